//! The files of a ledger, changed: what was acknowledged is all there, or opening says that it is damaged. The
//! input says which file, from where on, and by what: three bytes, then what is written over it.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use consentry::{Command, Engine, Ledger as _, Submission, Timestamp};
use consentry_ledger::DiskLedger;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

const FILES: [&str; 3] = ["ledger.sqlite3", "ledger.sqlite3-wal", "head"];
const COMPANIES: u64 = 8;

struct Sound {
    files: [Vec<u8>; 3],
    hash: [u8; 32],
}

/// In memory where there is such a folder: a disk would be waited for.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap()
}

/// The files as a crash leaves them.
static SOUND: LazyLock<Sound> = LazyLock::new(|| {
    let dir = folder();
    let ledger = DiskLedger::open(dir.path()).unwrap();
    let engine = Engine::open(ledger).unwrap();
    for number in 0..COMPANIES {
        let command: Command =
            serde_json::from_str(&format!(r#"{{"registerCompany":{{"company":"c-{number}"}}}}"#)).unwrap();
        let submission = Submission::new(r#"Operator::"root""#.parse().unwrap(), command);
        engine.submit(&submission, Timestamp::from_millis(1)).unwrap();
    }
    let files = FILES.map(|name| std::fs::read(dir.path().join(name)).unwrap_or_default());
    let copy = folder();
    FILES.iter().zip(&files).for_each(|(name, bytes)| std::fs::write(copy.path().join(name), bytes).unwrap());
    let hash = DiskLedger::open(copy.path()).unwrap().head().unwrap().hash;
    Sound { files, hash }
});

fuzz_target!(|bytes: &[u8]| {
    let [file, high, low, over @ ..] = bytes else { return };
    let dir = folder();
    for (number, (name, sound)) in FILES.iter().zip(&SOUND.files).enumerate() {
        let mut changed = sound.clone();
        if usize::from(*file) % FILES.len() == number && !changed.is_empty() {
            let from = usize::from(*high) << 8 | usize::from(*low);
            let from = from * changed.len() / 65_536;
            if over.is_empty() {
                changed.truncate(from);
            }
            changed[from..].iter_mut().zip(over).for_each(|(byte, over)| *byte ^= over);
        }
        std::fs::write(dir.path().join(name), changed).unwrap();
    }
    match DiskLedger::open(dir.path()) {
        Ok(ledger) => {
            if ledger.verify().is_err() {
                return;
            }
            let head = ledger.head().unwrap();
            assert_eq!((head.revision, head.hash), (COMPANIES, SOUND.hash), "something is lost in silence");
            assert_eq!(ledger.read(0, usize::MAX).unwrap().len() as u64, COMPANIES);
        }
        Err(error) => {
            let codes = ["ledger_damaged", "ledger_format", "ledger_io"];
            assert!(codes.contains(&error.code), "{}: {error}", error.code);
        }
    }
});
