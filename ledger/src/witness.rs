//! The witness: a small file that says what was acknowledged.
//!
//! SQLite takes a torn or changed end of its write-ahead log for one that was never committed, and
//! forgets it without a word. The witness lies outside the database and is rewritten after each durable
//! commit, before anybody is told of it; a database that holds less has lost something.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use consentry::ledger::{Hash, hex};
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};

use crate::chain::{Line, Link, StoredRecord, stored_hash};
use crate::fault::{Fault, replace};
use crate::tail::Tail;

/// The witness's name in the ledger's folder.
pub(crate) const NAME: &str = "head";

/// What was acknowledged, as the witness says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    epoch: String,
    revision: u64,
    record: String,
    lines: u64,
    line: String,
}

/// INVARIANT: always of the same length, and shorter than a disk's sector: it is rewritten in place.
fn encode(epoch: &str, tail: &Tail) -> String {
    let Tail { head, lines, line_hash, last: _ } = tail;
    let (record, line) = (hex(&head.hash), hex(line_hash));
    let text = format!(
        "consentry-ledger epoch {epoch}\nrecords {:020} {record}\naudit {lines:020} {line}\n",
        head.revision
    );
    let sum = sum(&text);
    format!("{text}sum {sum}\n")
}

fn sum(text: &str) -> String {
    let sum: Hash = Sha256::digest(text).into();
    hex(&sum)
}

fn decode(text: &str) -> Option<Acknowledged> {
    let (text, found) = text.split_at_checked(text.rfind("sum ")?)?;
    if found != format!("sum {}\n", sum(text)) {
        return None;
    }
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let &[_, "epoch", epoch, "records", revision, record, "audit", lines, line] = words.as_slice() else {
        return None;
    };
    Some(Acknowledged {
        epoch: epoch.to_owned(),
        revision: revision.parse().ok()?,
        record: record.to_owned(),
        lines: lines.parse().ok()?,
        line: line.to_owned(),
    })
}

/// The witness in this folder, not yet understood; `None`: there is none.
pub(crate) fn find(dir: &Path) -> Result<Option<Vec<u8>>, Fault> {
    let path = dir.join(NAME);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::io("read", &path)(error)),
    }
}

/// What the witness says.
pub(crate) fn understand(dir: &Path, bytes: &[u8]) -> Result<Acknowledged, Fault> {
    str::from_utf8(bytes).ok().and_then(decode).ok_or_else(|| {
        let path = dir.join(NAME);
        Fault::Damaged(format!("`{}`, which says what was acknowledged, is damaged", path.display()))
    })
}

impl Acknowledged {
    /// Sees that the database holds everything that was acknowledged.
    pub(crate) fn compare(&self, connection: &Connection, epoch: &str, tail: &Tail) -> Result<(), Fault> {
        if self.epoch != epoch {
            return Err(Fault::Damaged(format!(
                "it is another one than was acknowledged: epoch `{epoch}` in place of `{}`",
                self.epoch
            )));
        }
        if tail.head.revision < self.revision || tail.lines < self.lines {
            return Err(Fault::Damaged(format!(
                "it lost what was acknowledged: revision {} and audit line {} were, \
                 and it ends at revision {} and audit line {}",
                self.revision, self.lines, tail.head.revision, tail.lines
            )));
        }
        same::<StoredRecord>(connection, self.revision, &self.record)?;
        same::<Line>(connection, self.lines, &self.line)
    }
}

fn same<L: Link>(connection: &Connection, number: u64, acknowledged: &str) -> Result<(), Fault> {
    let found = stored_hash::<L>(connection, number)?.as_ref().map(hex);
    if found.as_deref() == Some(acknowledged) {
        return Ok(());
    }
    let name = L::NAME;
    Err(Fault::Damaged(format!(
        "{name} {number} is not the one that was acknowledged: its hash is `{}` in place of `{acknowledged}`",
        found.as_deref().unwrap_or("none")
    )))
}

/// The witness of an open ledger.
#[derive(Debug)]
pub(crate) struct Witness {
    file: File,
    path: PathBuf,
    epoch: String,
}

impl Witness {
    /// Takes up the witness in this folder, or a new one in place of none, and has it say `tail`.
    pub(crate) fn take_up(dir: &Path, exists: bool, epoch: &str, tail: &Tail) -> Result<Self, Fault> {
        let path = dir.join(NAME);
        let file = if exists {
            OpenOptions::new().write(true).open(&path).map_err(Fault::io("open", &path))?
        } else {
            replace(dir, NAME, &[encode(epoch, tail).as_bytes()])?
        };
        let mut witness = Self { file, path, epoch: epoch.to_owned() };
        witness.say(tail)?;
        Ok(witness)
    }

    /// Says that everything up to `tail` is acknowledged. It need not reach the disk before the process
    /// goes on: after a loss of power it may say less than the database holds, and never more.
    pub(crate) fn say(&mut self, tail: &Tail) -> Result<(), Fault> {
        let text = encode(&self.epoch, tail);
        self.file
            .rewind()
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .map_err(Fault::io("write", &self.path))
    }

    /// Has every later write fail for want of space.
    #[cfg(all(test, target_os = "linux", not(feature = "shuttle")))]
    pub(crate) fn fill_up(&mut self) {
        if let Ok(full) = OpenOptions::new().write(true).open("/dev/full") {
            self.file = full;
        }
    }

    /// Has every later write fail, as on a broken disk.
    #[cfg(all(test, not(feature = "shuttle")))]
    pub(crate) fn break_off(&mut self) {
        if let Ok(read_only) = File::open(&self.path) {
            self.file = read_only;
        }
    }
}

#[cfg(test)]
mod tests {
    use consentry::ledger::Head;

    use super::*;

    #[test]
    fn a_witness_says_what_it_was_told_or_nothing() {
        let epoch = "0123456789abcdef0123456789abcdef";
        let tail = Tail {
            head: Head { revision: u64::MAX, hash: [0xa5; 32], ..Head::EMPTY },
            lines: 7,
            line_hash: [0x5a; 32],
            ..Tail::EMPTY
        };
        let text = encode(epoch, &tail);
        assert_eq!(text.len(), encode(epoch, &Tail::EMPTY).len());
        assert!(text.len() <= 512, "{}", text.len());
        let said = decode(&text).unwrap();
        assert_eq!((said.revision, said.lines), (u64::MAX, 7));
        assert_eq!((said.record, said.line), ("a5".repeat(32), "5a".repeat(32)));
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= 1;
            }
            assert_eq!(str::from_utf8(&changed).ok().and_then(decode), None, "byte {at}");
            assert_eq!(text.get(..at).and_then(decode), None, "cut at {at}");
        }
    }
}
