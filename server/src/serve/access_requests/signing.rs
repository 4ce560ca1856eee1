//! Signatures of the server's own: ES256, with a key that outlives the process.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Signs, and verifies what it signed.
pub(crate) struct Signer {
    key: EcdsaKeyPair,
    id: String,
    /// For names that nobody can guess, and that are the same when they are made again.
    secret: hmac::Key,
    random: SystemRandom,
}

/// Letters of a name that nobody can guess: 160 bits.
const LETTERS: usize = 40;

impl Signer {
    /// With the key in `file`, which is made if there is none; without a file, with one that ends with the process.
    pub(crate) fn open(file: Option<&Path>) -> Result<Self, String> {
        let random = SystemRandom::new();
        let made = || {
            let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
            made.map(|made| made.as_ref().to_vec()).map_err(|_| "no key could be made".to_owned())
        };
        let document = match file {
            None => made()?,
            Some(path) => match kept(path)? {
                Some(kept) => kept,
                None => keep(path, &made()?)?,
            },
        };
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &document, &random)
            .map_err(|error| format!("it is no key for ES256 (PKCS#8): {error}"))?;
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(key.public_key().as_ref()));
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &Sha256::digest(&document));
        Ok(Self { key, id: id.chars().take(16).collect(), secret, random })
    }

    /// The public key, as others read it (RFC 7517).
    pub(super) fn jwk(&self) -> Value {
        // A point, uncompressed: a byte that says so, and both coordinates.
        let point = self.key.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = point.split_at_checked(32).unwrap_or_default();
        let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": x, "y": y })
    }

    /// A name that nobody can guess.
    pub(super) fn random(&self, prefix: &str) -> String {
        let mut bytes = [0; 20];
        // Without random numbers there are no names: an empty one is refused where it is used.
        if ring::rand::SecureRandom::fill(&self.random, &mut bytes).is_err() {
            return String::new();
        }
        prefix.to_owned() + &letters(&bytes)
    }

    /// A name that nobody can guess, and that is always the same for the same things.
    pub(super) fn name(&self, prefix: &str, of: &[&str]) -> String {
        let mut context = hmac::Context::with_key(&self.secret);
        for part in of {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        prefix.to_owned() + &letters(context.sign().as_ref())
    }

    /// Signs `claims` as a token of a kind.
    pub(super) fn signed(&self, kind: &str, claims: &impl Serialize) -> Option<String> {
        let header = json!({ "alg": "ES256", "typ": kind, "kid": self.id }).to_string();
        let claims = serde_json::to_vec(claims).ok()?;
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let made = self.key.sign(&self.random, message.as_bytes()).ok()?;
        Some(format!("{message}.{}", URL_SAFE_NO_PAD.encode(made.as_ref())))
    }

    /// The claims of a token of a kind that was signed with this key.
    pub(super) fn verified<T: DeserializeOwned>(&self, kind: &str, token: &str) -> Option<T> {
        let (message, made) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let made = URL_SAFE_NO_PAD.decode(made).ok()?;
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        public.verify(message.as_bytes(), &made).ok()?;
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        let is_ours = header.get("typ").and_then(Value::as_str) == Some(kind) && header.get("crit").is_none();
        let claims = URL_SAFE_NO_PAD.decode(claims).ok().filter(|_| is_ours)?;
        serde_json::from_slice(&claims).ok()
    }
}

/// Letters, half a byte each.
fn letters(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 16] = b"abcdefghijklmnop";
    let letters = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    letters
        .filter_map(|half| ALPHABET.get(usize::from(half)))
        .map(|letter| char::from(*letter))
        .take(LETTERS)
        .collect()
}

fn kept(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match std::fs::File::open(path) {
        Ok(mut file) => {
            let mut document = Vec::new();
            file.read_to_end(&mut document).map_err(|error| error.to_string())?;
            Ok(Some(document))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Keeps a key where only its owner reads it: whole or not at all.
fn keep(path: &Path, document: &[u8]) -> Result<Vec<u8>, String> {
    let wrong = |error: std::io::Error| error.to_string();
    let unfinished = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(wrong)?;
    file.write_all(document).and_then(|()| file.sync_all()).map_err(wrong)?;
    std::fs::rename(&unfinished, path).map_err(wrong)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(wrong)?;
    }
    Ok(document.to_vec())
}
