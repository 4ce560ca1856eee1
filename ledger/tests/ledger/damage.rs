use std::path::Path;

use consentry::ledger::Ledger as _;
use consentry_ledger::DiskLedger;
use rusqlite::Connection;

use super::{Said, code, crashed, filled, said, sweep};

const ACKNOWLEDGED: u64 = 24;
const FILES: [&str; 3] = ["ledger.sqlite3", "ledger.sqlite3-wal", "head"];

fn contents(dir: &Path) -> [Option<Vec<u8>>; 3] {
    FILES.map(|name| std::fs::read(dir.join(name)).ok())
}

/// Opens what a crash and a bad disk left: all of it is there, or it is damaged and left as it is.
fn all_or_damaged(dir: &Path, expected: &Said, what: &str) -> bool {
    let before = contents(dir);
    match DiskLedger::open(dir) {
        Ok(ledger) => {
            assert_eq!(&said(&ledger), expected, "{what}");
            true
        }
        Err(error) => {
            assert_eq!(error.code, "ledger_damaged", "{what}: {error}");
            assert!(contents(dir) == before, "{what}: changed something");
            false
        }
    }
}

/// Offsets in a log: its header, the headers of the frames' first bytes, and some of everything between.
fn offsets(length: usize) -> impl Iterator<Item = usize> {
    let frames = (32..length).step_by(4_120 * 7).flat_map(|frame| [frame, frame + 5, frame + 16, frame + 24]);
    (0..32).step_by(5).chain(frames).chain((0..length).step_by(length / 25 + 1)).chain([length - 1])
}

fn each_log(mangle: impl Fn(&mut Vec<u8>, usize)) {
    let dir = tempfile::tempdir().unwrap();
    let ledger = filled(dir.path(), ACKNOWLEDGED);
    let expected = said(&ledger);
    let log = std::fs::read(dir.path().join("ledger.sqlite3-wal")).unwrap();
    assert!(all_or_damaged(crashed(dir.path()).path(), &expected, "nothing changed"));
    let mut damaged = 0;
    for at in offsets(log.len()) {
        let copy = crashed(dir.path());
        let mut changed = log.clone();
        mangle(&mut changed, at);
        std::fs::write(copy.path().join("ledger.sqlite3-wal"), changed).unwrap();
        if !all_or_damaged(copy.path(), &expected, &format!("at {at} of {}", log.len())) {
            damaged += 1;
        }
    }
    assert!(damaged > 30, "only {damaged} were noticed");
}

#[test]
fn a_torn_log_loses_nothing_in_silence() {
    each_log(|log, at| log.truncate(at));
}

#[test]
fn a_changed_log_loses_nothing_in_silence() {
    each_log(|log, at| log[at] ^= 0x10);
}

#[test]
fn a_log_with_a_hole_loses_nothing_in_silence() {
    each_log(|log, at| log[at..].iter_mut().take(512).for_each(|byte| *byte = 0));
}

#[test]
fn a_changed_database_is_found_or_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = filled(dir.path(), ACKNOWLEDGED);
    let expected = said(&ledger);
    drop(ledger);
    let whole = std::fs::read(dir.path().join("ledger.sqlite3")).unwrap();
    let mut found = 0;
    for at in (0..100).step_by(7).chain((0..whole.len()).step_by(whole.len() / 60 + 1)) {
        let copy = crashed(dir.path());
        let mut changed = whole.clone();
        changed[at] ^= 0x11;
        std::fs::write(copy.path().join("ledger.sqlite3"), changed).unwrap();
        match DiskLedger::open(copy.path()).and_then(|ledger| ledger.verify().map(|_| ledger)) {
            Ok(ledger) => assert_eq!(said(&ledger), expected, "byte {at}"),
            Err(error) => {
                assert!(error.code != "ledger_full" && error.code != "ledger_locked", "byte {at}: {error}");
                found += 1;
            }
        }
    }
    assert!(found > 10, "only {found} were noticed");
}

#[test]
fn an_older_copy_is_refused_until_its_loss_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = filled(dir.path(), 2);
    let older = crashed(dir.path());
    ledger.append(sweep(2, "lost")).wait().unwrap();
    std::fs::copy(dir.path().join("head"), older.path().join("head")).unwrap();
    let error = DiskLedger::open(older.path()).unwrap_err();
    assert_eq!(error.code, "ledger_damaged");
    let told = "revision 3 and audit line 2 were, and it ends at revision 2 and audit line 2";
    assert!(error.message.contains(told), "{error}");
    std::fs::remove_file(older.path().join("head")).unwrap();
    let accepted = DiskLedger::open(older.path()).unwrap();
    assert_eq!(accepted.head().unwrap().revision, 2);
    assert!(older.path().join("head").exists());
}

#[test]
fn another_ledgers_database_is_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop((filled(one.path(), 2), filled(two.path(), 5)));
    std::fs::copy(two.path().join("ledger.sqlite3"), one.path().join("ledger.sqlite3")).unwrap();
    assert_eq!(code(one.path()), "ledger_damaged");
}

#[test]
fn a_branch_of_the_same_ledger_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = filled(dir.path(), 2);
    let branch = crashed(dir.path());
    ledger.append(sweep(2, "here")).wait().unwrap();
    let other = DiskLedger::open(branch.path()).unwrap();
    other.append(sweep(2, "there")).wait().unwrap();
    other.append(sweep(3, "further")).wait().unwrap();
    drop(other);
    std::fs::copy(dir.path().join("head"), branch.path().join("head")).unwrap();
    let error = DiskLedger::open(branch.path()).unwrap_err();
    assert!(error.message.contains("record 3 is not the one that was acknowledged"), "{error}");
}

#[test]
fn a_missing_or_empty_database_with_a_witness_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 1));
    let database = dir.path().join("ledger.sqlite3");
    std::fs::write(&database, "").unwrap();
    assert_eq!(code(dir.path()), "ledger_damaged");
    std::fs::remove_file(&database).unwrap();
    assert_eq!(code(dir.path()), "ledger_damaged");
    assert!(!database.exists());
}

#[test]
fn a_log_without_its_database_is_damage_and_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = filled(dir.path(), 1);
    let crash = crashed(dir.path());
    drop(ledger);
    std::fs::remove_file(crash.path().join("ledger.sqlite3")).unwrap();
    std::fs::remove_file(crash.path().join("head")).unwrap();
    let log = std::fs::read(crash.path().join("ledger.sqlite3-wal")).unwrap();
    assert_eq!(code(crash.path()), "ledger_damaged");
    assert_eq!(std::fs::read(crash.path().join("ledger.sqlite3-wal")).unwrap(), log);
}

#[test]
fn a_damaged_witness_is_named() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 1));
    let witness = dir.path().join("head");
    for contents in ["", "revision 1", "\u{0}\u{0}"] {
        std::fs::write(&witness, contents).unwrap();
        let error = DiskLedger::open(dir.path()).unwrap_err();
        assert_eq!(error.code, "ledger_damaged");
        assert!(error.message.contains(&*witness.to_string_lossy()), "{error}");
    }
}

/// Changes the database of a closed ledger through SQL, and gives what opening and verifying say.
fn changed(sql: &str) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 4));
    let database = Connection::open(dir.path().join("ledger.sqlite3")).unwrap();
    database.pragma_update(None, "ignore_check_constraints", true).unwrap();
    database.execute_batch(sql).unwrap();
    drop(database);
    let opened = DiskLedger::open(dir.path()).and_then(|ledger| ledger.verify());
    opened.map(drop).map_err(|error| {
        assert_eq!(error.code, "ledger_damaged", "{sql}: {error}");
        error.message
    })
}

#[test]
fn a_changed_row_is_found() {
    assert_eq!(changed("UPDATE records SET at = at"), Ok(()));
    for sql in [
        "UPDATE records SET at = at + 1 WHERE revision = 2",
        "UPDATE records SET at = -9000000000000000 WHERE revision = 1",
        "UPDATE records SET payload = replace(payload, 'company-1', 'company-9') WHERE revision = 2",
        "UPDATE records SET payload = payload || ' ' WHERE revision = 4",
        "UPDATE records SET hash = zeroblob(32) WHERE revision = 3",
        "UPDATE records SET hash = x'00' WHERE revision = 3",
        "DELETE FROM records WHERE revision = 2",
        "DELETE FROM records WHERE revision = 4",
        "UPDATE records SET revision = -1 WHERE revision = 1",
        "UPDATE records SET revision = 9 WHERE revision = 4",
        "INSERT INTO records SELECT 5, at, payload, hash FROM records WHERE revision = 4",
        "UPDATE audit SET at = 1 WHERE number = 2",
        "UPDATE audit SET command_id = 'mine' WHERE number = 2",
        "UPDATE audit SET binds = 0 WHERE number = 2",
        "UPDATE audit SET digest = zeroblob(32) WHERE number = 2",
        "UPDATE audit SET principal = 'Operator::\"eve\"' WHERE number = 2",
        "UPDATE audit SET body = '{}' WHERE number = 2",
        "UPDATE audit SET outcome = replace(outcome, 'operators', 'nobody') WHERE number = 2",
        "UPDATE audit SET failed_ticket = '' WHERE number = 2",
        "UPDATE audit SET failed_ticket = 'ticket' WHERE number = 2",
        "DELETE FROM audit WHERE number = 3",
        "DELETE FROM audit WHERE number = 4",
        "DELETE FROM meta WHERE key = 'epoch'",
        "UPDATE meta SET value = 'one' WHERE key = 'format'",
        "DROP TABLE audit",
    ] {
        assert!(changed(sql).is_err(), "{sql}");
    }
}

#[test]
fn a_row_changed_while_the_ledger_is_open_is_found_by_who_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = filled(dir.path(), 4);
    let database = Connection::open(dir.path().join("ledger.sqlite3")).unwrap();
    database.execute("UPDATE records SET at = 5 WHERE revision = 2", []).unwrap();
    database.execute("UPDATE audit SET digest = zeroblob(32) WHERE number = 2", []).unwrap();
    drop(database);
    assert_eq!(ledger.read(0, 9).unwrap_err().code, "ledger_damaged");
    assert_eq!(ledger.read(2, 9).unwrap().len(), 2);
    assert_eq!(ledger.audit(1, 1).unwrap_err().code, "ledger_damaged");
    assert_eq!(ledger.answered(&"command-1".parse().unwrap()).unwrap_err().code, "ledger_damaged");
    assert!(ledger.answered(&"command-2".parse().unwrap()).unwrap().is_some());
    assert!(ledger.verify().unwrap_err().message.contains("record 2 is not what was written"));
}

#[test]
fn a_row_written_by_another_hand_stops_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = filled(dir.path(), 1);
    let database = Connection::open(dir.path().join("ledger.sqlite3")).unwrap();
    database.execute("INSERT INTO records VALUES (2, 0, '[]', zeroblob(32))", []).unwrap();
    drop(database);
    let error = ledger.append(sweep(1, "more")).wait().unwrap_err();
    assert!(error.to_string().contains("nothing is written until it is opened again"), "{error}");
    drop(ledger);
    assert_eq!(code(dir.path()), "ledger_damaged");
}
