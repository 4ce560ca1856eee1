//! `consentry token`.

use serde_json::json;

use super::Failure;
use super::output::Output;
use crate::serve::callers::digest;

/// Letters and digits of a token: of 62, so that 43 of them are as many as 256 bits.
const LENGTH: usize = 43;
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Makes a token for a caller, and says what the server has to know of it.
pub(super) fn run(output: &mut Output) -> Result<(), Failure> {
    let token = made()?;
    let digest: String = digest(&token).iter().map(|byte| format!("{byte:02x}")).collect();
    output.object(&json!({ "token": token, "token_sha256": digest }))?;
    output.line(
        "For the caller, who sends it as `Authorization: Bearer …`. It is shown once, and kept nowhere:\n",
    )?;
    output.line(&format!("{token}\n"))?;
    output.line("For the server's configuration:\n")?;
    output.line("[[callers]]\nname = \"…\"\nrole = \"evaluate\"   # or \"lifecycle\", or \"admin\"")?;
    output.line(&format!("token_sha256 = \"{digest}\""))?;
    Ok(())
}

fn made() -> Result<String, Failure> {
    let mut token = String::from("ct_");
    while token.len() < LENGTH + 3 {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
        // Of 256 values only so many are taken as are shared out evenly.
        let letters =
            bytes.iter().filter(|byte| **byte < 248).filter_map(|byte| LETTERS.get(usize::from(byte % 62)));
        token.extend(letters.map(|letter| char::from(*letter)).take(LENGTH + 3 - token.len()));
    }
    Ok(token)
}
