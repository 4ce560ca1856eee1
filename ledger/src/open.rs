//! From a folder to a ledger that may be used. Nothing is changed before everything was checked.

use std::fs::{File, OpenOptions, TryLockError, create_dir};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use consentry::domain::Timestamp;
use consentry::ledger::{Head, LedgerError};
use rusqlite::Connection;

use crate::chain::{Line, Link, StoredRecord, last, number, walk};
use crate::database::{self, Checkpoint};
use crate::fault::{Fault, sync_dir};
use crate::tail::Tail;
use crate::witness::{self, Witness};

const DATABASE: &str = "ledger.sqlite3";
const LOG: &str = "ledger.sqlite3-wal";
const LOCK: &str = "lock";

/// How many links at the end of each chain are proven whenever a ledger is opened.
const PROVEN: u64 = 10_000;

/// The files of a ledger that the writer and the readers open by name.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) dir: PathBuf,
    pub(crate) database: PathBuf,
    pub(crate) log: PathBuf,
}

impl Files {
    pub(crate) fn in_folder(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), database: dir.join(DATABASE), log: dir.join(LOG) }
    }
}

/// A ledger that was found whole, or made.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) files: Files,
    pub(crate) connection: Connection,
    pub(crate) epoch: String,
    pub(crate) tail: Tail,
    pub(crate) witness: Witness,
    pub(crate) lock: File,
}

pub(crate) fn open(dir: &Path) -> Result<Opened, LedgerError> {
    opened(Files::in_folder(dir)).map_err(|fault| fault.of(dir))
}

fn opened(files: Files) -> Result<Opened, Fault> {
    let Files { dir, database, log } = &files;
    let lock = lock(dir)?;
    let found = witness::find(dir)?;
    if is_empty(database)? {
        if found.is_some() {
            return Err(without_database(database));
        }
        // SQLite would delete a log that has no database.
        if !is_empty(log)? {
            return Err(Fault::Damaged(format!("`{}` is there without its database", log.display())));
        }
    }
    let mut connection = database::open_writer(database)?;
    let (epoch, tail) = match (database::epoch(&connection)?, &found) {
        (Some(epoch), found) => {
            let tail = examine(&connection, &epoch, dir, found.as_deref())?;
            database::configure(&connection)?;
            (epoch, tail)
        }
        (None, Some(_)) => return Err(without_database(database)),
        (None, None) => {
            database::configure(&connection)?;
            (database::create(&mut connection)?, Tail::EMPTY)
        }
    };
    make_durable(&connection, &files)?;
    let witness = Witness::take_up(dir, found.is_some(), &epoch, &tail)?;
    Ok(Opened { connection, epoch, tail, witness, lock, files })
}

fn without_database(database: &Path) -> Fault {
    Fault::Damaged(format!(
        "it lost what was acknowledged: `{}` is empty, and `{}` says that there was a ledger",
        database.display(),
        witness::NAME
    ))
}

/// Makes the folder and those above it that are missing, with names that are durable. Each is synced before the
/// next is made: an opening that was stopped half way left one name at most that is not, that of the deepest folder.
fn make(dir: &Path) -> Result<(), Fault> {
    let above = |dir: &Path| match dir.parent() {
        Some(above) if above.as_os_str().is_empty() => Path::new(".").to_owned(),
        Some(above) => above.to_owned(),
        None => dir.to_owned(),
    };
    let missing = dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
    let missing: Vec<&Path> = missing.collect();
    let there = missing.last().map_or_else(|| dir.to_owned(), |first| above(first));
    let there = there.canonicalize().map_err(Fault::io("find", &there))?;
    sync_dir(&above(&there)).or_else(|fault| if fault.is_elsewhere() { Ok(()) } else { Err(fault) })?;
    for dir in missing.into_iter().rev() {
        match create_dir(dir) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made.map_err(Fault::io("make the folder", dir))?,
        }
        sync_dir(&above(dir))?;
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<File, Fault> {
    make(dir)?;
    let path = dir.join(LOCK);
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(Fault::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Fault::Locked),
        Err(TryLockError::Error(error)) => Err(Fault::io("lock", &path)(error)),
    }
}

/// Whether a file holds nothing. It is not opened: to close it would give up SQLite's locks on it.
fn is_empty(path: &Path) -> Result<bool, Fault> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(found.len() == 0),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Fault::io("read", path)(error)),
    }
}

/// Sees that the ledger holds what was acknowledged, and that its end is what was written.
fn examine(connection: &Connection, epoch: &str, dir: &Path, found: Option<&[u8]>) -> Result<Tail, Fault> {
    let tail = tail(connection)?;
    if let Some(bytes) = found {
        witness::understand(dir, bytes)?.compare(connection, epoch, &tail)?;
    }
    dense::<StoredRecord>(connection, tail.head.revision)?;
    dense::<Line>(connection, tail.lines)?;
    end::<StoredRecord>(connection, epoch, tail.head.revision)?;
    end::<Line>(connection, epoch, tail.lines)?;
    Ok(tail)
}

fn tail(connection: &Connection) -> Result<Tail, Fault> {
    let mut tail = Tail::EMPTY;
    if let Some(record) = last::<StoredRecord>(connection)? {
        let time = Timestamp::from_millis(record.at);
        tail.head = Head { revision: record.revision, time, hash: record.hash };
    }
    if let Some(line) = last::<Line>(connection)? {
        tail.head.time = tail.head.time.max(Timestamp::from_millis(line.at));
        tail.lines = line.number;
        tail.line_hash = line.hash;
    }
    Ok(tail)
}

/// Sees that the keys are 1, 2, 3 and so on to `end`.
fn dense<L: Link>(connection: &Connection, end: u64) -> Result<(), Fault> {
    let sql = format!("SELECT count(*), coalesce(min({}), 1) FROM {}", L::KEY, L::TABLE);
    let (count, first) = connection.query_row(&sql, [], |row| Ok((number(row, 0)?, number(row, 1)?)))?;
    if (count, first) != (end, 1) {
        return Err(Fault::Damaged(format!(
            "{}s are missing: there are {count}, the first is {first} and the last is {end}",
            L::NAME
        )));
    }
    Ok(())
}

fn end<L: Link>(connection: &Connection, epoch: &str, end: u64) -> Result<(), Fault> {
    let after = end.saturating_sub(PROVEN);
    walk::<L>(connection, epoch, after, end - after, |_| Ok(()))?;
    Ok(())
}

/// Writes a file again as it is read, and syncs it. A sync alone would not do: after one that failed, the system
/// takes what it could not write for written, and another one succeeds without writing it.
fn write_again(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut bytes = vec![0; 1 << 16];
    let mut at = 0;
    loop {
        file.seek(SeekFrom::Start(at))?;
        let count = match file.read(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        let Some(read) = bytes.get(..count).filter(|read| !read.is_empty()) else { break };
        file.seek(SeekFrom::Start(at))?;
        file.write_all(read)?;
        at += read.len() as u64;
    }
    file.sync_all()
}

/// Makes durable what a process that was killed had written and not yet synced: it is about to be seen.
fn make_durable(connection: &Connection, files: &Files) -> Result<(), Fault> {
    // Unlike the database, the log bears no locks that closing it here would give up.
    match write_again(&files.log) {
        // The database was not in the write-ahead log until now.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        synced => synced.map_err(Fault::io("sync", &files.log))?,
    }
    sync_dir(&files.dir)?;
    let checkpointed = database::checkpoint(connection, Checkpoint::Truncate);
    match checkpointed.map_err(|fault| fault.examined(&files.dir, &files.log)) {
        // The log is durable: without space for a checkpoint there is still everything to read.
        Err(fault) if !fault.passes() => Err(fault),
        Err(_) | Ok(_) => Ok(()),
    }
}
