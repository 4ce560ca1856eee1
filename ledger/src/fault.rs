use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, ErrorKind, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use consentry::ledger::{FORMAT, LedgerError};
use rusqlite::{ErrorCode, ffi};

/// What went wrong inside one ledger's folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Another opener holds the lock.
    #[error("it is open already, in this process or in another one")]
    Locked,
    /// Written in a form that this version cannot read.
    #[error("its format is {0}, and this version knows {FORMAT} alone")]
    Format(u32),
    /// It does not hold what was written.
    #[error("{0}")]
    Damaged(String),
    /// No space is left, as far as can be told.
    #[error("no space is left: {0}")]
    Full(String),
    /// The system refused to work on a file.
    #[error("cannot {doing} `{}`: {error}", path.display())]
    Io { doing: &'static str, path: PathBuf, error: io::Error },
    /// The database did not do what it was asked for.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Anything else that keeps the ledger from working.
    #[error("{0}")]
    Broken(String),
}

impl Fault {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { doing, path: path.to_owned(), error }
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Locked => "ledger_locked",
            Self::Format(_) => "ledger_format",
            Self::Damaged(_) => "ledger_damaged",
            Self::Full(_) => "ledger_full",
            Self::Io { error, .. } if is_full(error) => "ledger_full",
            Self::Io { .. } | Self::Broken(_) => "ledger_io",
            Self::Sqlite(error) => sqlite_code(error),
        }
    }

    /// The error to tell, for the ledger in `dir`.
    pub(crate) fn of(self, dir: &Path) -> LedgerError {
        LedgerError::new(self.code(), format!("the ledger in `{}`: {self}", dir.display()))
    }

    /// A failed commit. SQLite syncs the commit before it notes it in memory: when only the latter fails,
    /// the disk may hold what was not acknowledged.
    pub(crate) fn of_commit(error: rusqlite::Error) -> Self {
        let half_way = error.sqlite_extended_error_code() == Some(ffi::SQLITE_IOERR_SHMSIZE)
            || error.sqlite_error_code() == Some(ErrorCode::OutOfMemory);
        if half_way { Self::Broken(format!("a commit failed half way: {error}")) } else { error.into() }
    }

    /// Tells a lack of space from other failed writes. SQLite does so for ENOSPC, and reports a spent
    /// quota and a limit on file sizes as any other failed write; a write of ours shows what it was.
    pub(crate) fn examined(self, dir: &Path, log: &Path) -> Self {
        if !matches!(&self, Self::Sqlite(error) if is_failed_write(error)) {
            return self;
        }
        match probe(dir, log) {
            Err(cause) if is_full(&cause) => Self::Full(cause.to_string()),
            Err(_) | Ok(()) => self,
        }
    }

    /// Whether a transaction that ended with this fault has certainly left nothing behind, and the next
    /// one may fare better. Not so after a failed fsync: what the disk holds is then unknown.
    pub(crate) fn passes(&self) -> bool {
        use ErrorCode::{DatabaseBusy, DatabaseLocked, OutOfMemory, TooBig};
        match self {
            Self::Full(_) => true,
            Self::Io { error, .. } => is_full(error),
            Self::Sqlite(error) => {
                self.code() == "ledger_full"
                    || error.sqlite_error_code().is_some_and(|code| {
                        [DatabaseBusy, DatabaseLocked, OutOfMemory, TooBig].contains(&code)
                    })
            }
            Self::Locked | Self::Format(_) | Self::Damaged(_) | Self::Broken(_) => false,
        }
    }

    /// Whether a folder could not be synced because it is somebody else's, or cannot be changed at all.
    pub(crate) fn is_elsewhere(&self) -> bool {
        use ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem};
        matches!(self, Self::Io { error, .. }
            if [InvalidInput, PermissionDenied, ReadOnlyFilesystem].contains(&error.kind()))
    }
}

fn sqlite_code(error: &rusqlite::Error) -> &'static str {
    use ErrorCode::{ConstraintViolation, DatabaseCorrupt, DiskFull, NotADatabase, TypeMismatch, Unknown};
    match error.sqlite_error_code() {
        Some(DiskFull) => "ledger_full",
        // `Unknown` is an error in the SQL: the tables are not those that this crate makes.
        Some(code)
            if [DatabaseCorrupt, NotADatabase, ConstraintViolation, TypeMismatch, Unknown]
                .contains(&code) =>
        {
            "ledger_damaged"
        }
        Some(_) => "ledger_io",
        // A value that is not of the type which this crate writes, or a missing one.
        None => "ledger_damaged",
    }
}

fn is_failed_write(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_extended_error_code();
    [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_SHMSIZE].map(Some).contains(&code)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// Writes as far into a file of its own as the write-ahead log reaches, so that it meets the same limits.
fn probe(dir: &Path, log: &Path) -> io::Result<()> {
    let path = dir.join("probe");
    let result = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        file.seek(SeekFrom::Start(std::fs::metadata(log).map_or(0, |found| found.len())))?;
        file.write_all(&[0; 1 << 12])?;
        file.sync_all()
    })();
    let _left_behind = remove_file(&path);
    result
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), Fault> {
    // Only Unix lets a folder be opened and synced; elsewhere the file system orders it.
    if cfg!(unix) {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(Fault::io("sync", dir))?;
    }
    Ok(())
}

/// Puts a file with these bytes in the place of `name`, whole or not at all, and hands it over open.
pub(crate) fn replace(dir: &Path, name: &str, parts: &[&[u8]]) -> Result<File, Fault> {
    let path = dir.join(name);
    let draft = dir.join(format!("{name}.new"));
    let written = || -> io::Result<File> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&draft)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()?;
        Ok(file)
    };
    let file = written().map_err(Fault::io("write", &draft))?;
    std::fs::rename(&draft, &path).map_err(Fault::io("replace", &path))?;
    sync_dir(dir)?;
    Ok(file)
}
