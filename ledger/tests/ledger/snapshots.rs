use consentry::ledger::Ledger as _;
use consentry_ledger::DiskLedger;

use super::{crashed, filled, sweep};

#[test]
fn the_last_snapshot_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = filled(dir.path(), 2);
    assert_eq!(ledger.snapshot(), Ok(None));
    ledger.save_snapshot(1, b"one\n\n\n".to_vec()).unwrap();
    ledger.save_snapshot(2, Vec::new()).unwrap();
    assert_eq!(ledger.snapshot(), Ok(Some(Vec::new())));
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    ledger.save_snapshot(2, bytes.clone()).unwrap();
    drop(ledger);
    assert_eq!(DiskLedger::open(dir.path()).unwrap().snapshot(), Ok(Some(bytes)));
}

#[test]
fn a_snapshot_of_nothing_yet_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = DiskLedger::open(dir.path()).unwrap();
    ledger.save_snapshot(0, vec![1]).unwrap();
    assert_eq!(ledger.snapshot(), Ok(Some(vec![1])));
    assert_eq!(ledger.save_snapshot(1, vec![2]).unwrap_err().code, "ledger_io");
    assert_eq!(ledger.snapshot(), Ok(Some(vec![1])));
}

#[test]
fn a_damaged_snapshot_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = filled(dir.path(), 1);
    ledger.save_snapshot(1, b"some bytes".to_vec()).unwrap();
    let path = dir.path().join("snapshot");
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert_eq!(ledger.snapshot(), Ok(None), "byte {at}");
        std::fs::write(&path, &whole[..at]).unwrap();
        assert_eq!(ledger.snapshot(), Ok(None), "cut at {at}");
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(ledger.snapshot(), Ok(Some(b"some bytes".to_vec())));
}

#[test]
fn a_snapshot_of_records_that_are_gone_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = filled(dir.path(), 2);
    let older = crashed(dir.path());
    ledger.append(sweep(2, "lost")).wait().unwrap();
    ledger.save_snapshot(3, b"with what is lost".to_vec()).unwrap();
    // An older copy is restored, and its loss accepted; the snapshot lies there still.
    std::fs::copy(dir.path().join("snapshot"), older.path().join("snapshot")).unwrap();
    std::fs::remove_file(older.path().join("head")).unwrap();
    let restored = DiskLedger::open(older.path()).unwrap();
    assert_eq!(restored.snapshot(), Ok(None));
    restored.append(sweep(2, "another")).wait().unwrap();
    assert_eq!(restored.snapshot(), Ok(None), "the revision is there again, and is another record");
}
