use std::path::Path;

use consentry::directory::Revision;
use consentry::ledger::{Hash, hex};
use sha2::{Digest as _, Sha256};

use crate::fault::{Fault, replace};

const NAME: &str = "snapshot";

/// The record after which a snapshot was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) epoch: String,
    pub(crate) revision: Revision,
    /// The record's hash, in hexadecimal digits.
    pub(crate) record: String,
}

/// INVARIANT: always of the same length.
fn encode(place: &Place, bytes: &[u8]) -> String {
    let Place { epoch, revision, record } = place;
    let text = format!("consentry-snapshot epoch {epoch}\nrecord {revision:020} {record}\n");
    let sum: Hash = Sha256::new().chain_update(&text).chain_update(bytes).finalize().into();
    format!("{text}sum {}\n", hex(&sum))
}

/// Keeps a snapshot, in place of an older one. The caller sees to it that only one is written at a time.
pub(crate) fn save(dir: &Path, place: &Place, bytes: &[u8]) -> Result<(), Fault> {
    replace(dir, NAME, &[encode(place, bytes).as_bytes(), bytes])?;
    Ok(())
}

/// The snapshot that was kept; `None`: there is none, or not the one that was written.
pub(crate) fn load(dir: &Path) -> Option<(Place, Vec<u8>)> {
    let mut bytes = std::fs::read(dir.join(NAME)).ok()?;
    let mut newlines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let (end, _) = newlines.nth(2)?;
    let contents = bytes.split_off(end + 1);
    let header = str::from_utf8(&bytes).ok()?;
    let words: Vec<&str> = header.split_ascii_whitespace().collect();
    let &[_, "epoch", epoch, "record", revision, record, "sum", _] = words.as_slice() else { return None };
    let place =
        Place { epoch: epoch.to_owned(), revision: revision.parse().ok()?, record: record.to_owned() };
    (encode(&place, &contents) == header).then_some((place, contents))
}
