//! A command as JSON. What can be read is written as what it was read from, and nothing that is written
//! holds a password.
#![no_main]

use consentry::{Command, Submission};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(command) = serde_json::from_slice::<Command>(bytes) else { return };
    let has_password = command.name() == "completeResetTicket";
    let submission = Submission::new(r#"EndUser::"olga""#.parse().unwrap(), command);
    let body: Value = serde_json::from_str(&submission.body()).unwrap();
    let written = body["do"].clone();
    if has_password {
        assert!(written["completeResetTicket"].get("password").is_none());
        return;
    }
    let again: Command = serde_json::from_value(written).unwrap();
    assert_eq!(Submission::new(submission.principal.clone(), again).body(), submission.body());
});
