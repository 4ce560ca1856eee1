use std::collections::BTreeMap;
use std::path::Path;

use consentry::ledger::Ledger as _;
use consentry_ledger::{DiskLedger, Verified};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::{code, crashed, done, filled, said, sweep};

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    std::fs::read_dir(dir).unwrap().map(read).collect()
}

#[test]
fn a_ledger_opened_again_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("not").join("there").join("yet");
    let ledger = filled(&dir, 3);
    let before = said(&ledger);
    drop(ledger);
    let names: Vec<String> = files(&dir).into_keys().collect();
    assert_eq!(names, ["head", "ledger.sqlite3", "lock"], "the log is in the database");
    let ledger = DiskLedger::open(&dir).unwrap();
    assert_eq!(said(&ledger), before);
    assert_eq!(ledger.verify(), Ok(Verified { records: 3, audit_lines: 3 }));
    assert!(ledger.append(done(3, Some("command-1"), "x")).wait().is_err(), "the id is bound for ever");
    assert_eq!(ledger.append(sweep(3, "more")).wait().unwrap().head.revision, 4);
}

#[test]
fn two_ledgers_are_not_the_same() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, two) = (filled(one.path(), 1), filled(two.path(), 1));
    assert_ne!(one.epoch(), two.epoch());
    assert_ne!(one.head().unwrap().hash, two.head().unwrap().hash);
}

#[test]
fn a_second_opener_is_refused_as_long_as_there_is_a_first() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = filled(dir.path(), 1);
    let error = DiskLedger::open(dir.path()).unwrap_err();
    assert_eq!(error.code, "ledger_locked");
    assert!(error.message.contains("open already"), "{error}");
    drop(ledger);
    assert_eq!(code(dir.path()), "ok");
}

#[test]
fn a_newer_format_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = filled(dir.path(), 2);
    let crash = crashed(dir.path());
    drop(ledger);
    for dir in [dir.path(), crash.path()] {
        let database = Connection::open(dir.join("ledger.sqlite3")).unwrap();
        database.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        database.execute("UPDATE meta SET value = '2' WHERE key = 'format'", []).unwrap();
        drop(database);
        std::fs::write(dir.join("lock"), "").unwrap();
        let before = files(dir);
        assert!(!before["ledger.sqlite3-wal"].is_empty());
        let error = DiskLedger::open(dir).unwrap_err();
        assert_eq!(error.code, "ledger_format");
        assert!(error.message.contains("its format is 2, and this version knows 1"), "{error}");
        // SQLite's index of the log is made anew by whoever opens it.
        let kept = |mut files: BTreeMap<_, _>| files.remove("ledger.sqlite3-shm").map(|_| files);
        assert_eq!(kept(files(dir)), kept(before));
    }
}

#[test]
fn a_folder_that_cannot_be_one_is_named_with_the_systems_words() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = DiskLedger::open(&file).unwrap_err();
    assert_eq!(error.code, "ledger_io");
    assert!(error.message.contains(&*file.to_string_lossy()), "{error}");
    assert!(error.message.contains("os error"), "{error}");

    let taken = dir.path().join("taken");
    std::fs::create_dir_all(taken.join("ledger.sqlite3")).unwrap();
    assert_eq!(code(&taken), "ledger_io");
}

#[test]
fn a_file_that_is_no_database_and_a_database_that_is_no_ledger_are_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.sqlite3");
    for contents in ["x".repeat(10), "x".repeat(10_000)] {
        std::fs::write(&path, &contents).unwrap();
        assert_eq!(code(dir.path()), "ledger_damaged");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), contents);
    }
    std::fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE other (x)").unwrap();
    assert_eq!(code(dir.path()), "ledger_damaged");
}

#[test]
fn a_process_that_was_killed_before_it_told_the_witness_lost_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = filled(dir.path(), 2);
    let older = std::fs::read(dir.path().join("head")).unwrap();
    ledger.append(done(2, Some("last"), "last")).wait().unwrap();
    let crash = crashed(dir.path());
    let newer = std::fs::read(crash.path().join("head")).unwrap();
    std::fs::write(crash.path().join("head"), older).unwrap();
    let reopened = DiskLedger::open(crash.path()).unwrap();
    assert_eq!(said(&reopened), said(&ledger));
    assert_eq!(std::fs::read(crash.path().join("head")).unwrap(), newer);
}

#[test]
fn a_database_is_moved_to_the_write_ahead_log_when_it_is_not_in_it() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 1));
    let database = Connection::open(dir.path().join("ledger.sqlite3")).unwrap();
    database.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).unwrap();
    drop(database);
    let ledger = DiskLedger::open(dir.path()).unwrap();
    ledger.append(sweep(1, "more")).wait().unwrap();
    assert!(dir.path().join("ledger.sqlite3-wal").exists());
}
