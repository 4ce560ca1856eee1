use std::path::Path;
use std::time::Duration;

use consentry::ledger::FORMAT;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::fault::Fault;

/// The first version whose write-ahead log cannot be damaged by a reset of the log.
const SOUND_SQLITE: i32 = 3_051_003;

/// How much of the database the writer keeps in memory, in KiB: commands touch their ids' index all over.
const WRITER_CACHE: i64 = 32 * 1024;

/// How long to wait for somebody outside who holds the database, such as a backup.
const PATIENCE: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE records (
        revision INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        payload TEXT NOT NULL,
        hash BLOB NOT NULL CHECK (length(hash) = 32)
    ) STRICT;
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        command_id TEXT NOT NULL,
        binds INTEGER NOT NULL CHECK (binds IN (0, 1)),
        digest BLOB NOT NULL CHECK (length(digest) = 32),
        principal TEXT NOT NULL,
        body TEXT NOT NULL,
        outcome TEXT NOT NULL,
        failed_ticket TEXT,
        hash BLOB NOT NULL CHECK (length(hash) = 32)
    ) STRICT;
    CREATE UNIQUE INDEX audit_answers ON audit (command_id) WHERE binds = 1;
    CREATE INDEX audit_failures ON audit (failed_ticket) WHERE failed_ticket IS NOT NULL;
";

/// Opens the database for the writer. Nothing in it is changed by that, nor when it is closed again:
/// what a damaged ledger still holds stays as it was found.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, Fault> {
    let version = rusqlite::version_number();
    if version < SOUND_SQLITE {
        let found = rusqlite::version();
        return Err(Fault::Broken(format!("SQLite {found} can damage it; at least 3.51.3 is needed")));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = open(path, flags)?;
    if connection.is_readonly("main")? {
        return Err(Fault::Broken(format!("`{}` is read-only", path.display())));
    }
    Ok(connection)
}

/// Opens the database for reading; the writer has it open.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, Fault> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, Fault> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// The epoch of the ledger in this database; `None`: there is nothing in the database.
pub(crate) fn epoch(connection: &Connection) -> Result<Option<String>, Fault> {
    let tables = "SELECT count(*), count(*) FILTER (WHERE name = 'meta') FROM sqlite_schema";
    match connection.query_row(tables, [], |row| Ok((row.get(0)?, row.get(1)?)))? {
        (0_i64, _) => return Ok(None),
        (_, 0_i64) => return Err(Fault::damaged("the database is not one of a ledger")),
        (_, _) => {}
    }
    let format = meta(connection, "format")?;
    match format.parse() {
        Ok(FORMAT) => {}
        Ok(found) => return Err(Fault::Format(found)),
        Err(_) => return Err(Fault::Damaged(format!("its format is `{format}`, which is none"))),
    }
    let epoch = meta(connection, "epoch")?;
    if epoch.len() != 32 || !epoch.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Fault::Damaged(format!("its epoch is `{epoch}`, which is none")));
    }
    Ok(Some(epoch))
}

fn meta(connection: &Connection, key: &str) -> Result<String, Fault> {
    let value =
        connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()?;
    value.ok_or_else(|| Fault::Damaged(format!("it does not say its {key}")))
}

/// Makes an empty ledger, with an epoch of its own, whole or not at all.
pub(crate) fn create(connection: &mut Connection) -> Result<String, Fault> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    let epoch: String = transaction.query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0))?;
    let mut insert = transaction.prepare("INSERT INTO meta (key, value) VALUES (?1, ?2)")?;
    insert.execute(["format", &FORMAT.to_string()])?;
    insert.execute(["epoch", &epoch])?;
    drop(insert);
    transaction.commit()?;
    Ok(epoch)
}

/// Has every commit of this connection be durable when it returns, and sees that it will be.
pub(crate) fn configure(connection: &Connection) -> Result<(), Fault> {
    let mode = write_ahead(connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // An fsync alone does not reach the disk on macOS; elsewhere these say nothing.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE)?;
    // The writer checkpoints itself: SQLite would do so before the commit returns, and hide a failure.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    if (mode.as_str(), synchronous) != ("wal", 2) {
        let found = format!("journal_mode={mode}, synchronous={synchronous}");
        return Err(Fault::Broken(format!("commits would not be durable: the database says {found}")));
    }
    Ok(())
}

/// Moves the database to the write-ahead log, and says what SQLite says. The change is committed after that, at the
/// statement's end: whoever does not go there does not hear that it failed.
fn write_ahead(connection: &Connection) -> Result<String, Fault> {
    let mut statement = connection.prepare("PRAGMA journal_mode = WAL")?;
    let mut rows = statement.query([])?;
    let mut mode = String::new();
    while let Some(row) = rows.next()? {
        mode = row.get(0)?;
    }
    Ok(mode)
}

/// How a checkpoint is made, in SQLite's words.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Checkpoint {
    /// Not at all: only tells how far the log reaches.
    Noop,
    /// As far as it goes without waiting.
    Passive,
    /// All of it, without waiting; the log is empty afterwards, unless a reader was in the way.
    Truncate,
}

/// What a checkpoint found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checkpointed {
    /// Somebody was in the way.
    pub(crate) busy: bool,
    /// Pages in the log.
    pub(crate) logged: i64,
    /// Pages of these that are in the database as well.
    pub(crate) moved: i64,
}

/// Moves pages from the write-ahead log into the database. Whoever is in the way is not waited for: it
/// may be a backup that takes its time.
pub(crate) fn checkpoint(connection: &Connection, how: Checkpoint) -> Result<Checkpointed, Fault> {
    let sql = match how {
        Checkpoint::Noop => "PRAGMA wal_checkpoint(NOOP)",
        Checkpoint::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Checkpoint::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    connection.busy_timeout(Duration::ZERO)?;
    let done = connection.query_row(sql, [], |row| {
        let busy: i64 = row.get(0)?;
        Ok(Checkpointed { busy: busy != 0, logged: row.get(1)?, moved: row.get(2)? })
    });
    connection.busy_timeout(PATIENCE)?;
    Ok(done?)
}

/// Lets SQLite remove the write-ahead log when this connection, the last one, is closed.
pub(crate) fn remove_log_on_close(connection: &Connection) -> Result<(), Fault> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(())
}
