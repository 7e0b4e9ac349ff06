//! SQLite: the migration lock is `BEGIN IMMEDIATE`. A session that finds the database busy
//! retries until the lock time-out.

mod foreign_keys;
mod math;
mod observer;
mod session;
mod session_state;
mod url;

#[cfg(feature = "testing")]
pub(crate) use math::add as add_math;
pub(crate) use observer::SqliteObserver;
pub(crate) use session::{SqliteSession, patient_rows};
pub(crate) use url::{is_sqlite, of as url_of, path as path_of};

use std::path::Path;
use std::time::Duration;

use rusqlite::ffi::ErrorCode;
use rusqlite::types::ValueRef;
use rusqlite::{OpenFlags, TransactionState};

use crate::diagnostic::{Action, Advice};
use crate::engine::registry::Registry;
use crate::engine::sqlite::{NEEDS_WRITING, NO_DATABASE, SQLITE, SqliteRegistry, advice_of};
use crate::engine::{Commit, Connection, Executor, Failure, Row, Session, sealed};
use crate::error::{Error, ErrorKind, Result, ServerMessage};
use crate::regular_file;
use crate::sql::Dialect;

/// The advice if a database in WAL mode cannot be read.
const NEEDS_SHARED_MEMORY: &str = "it is in WAL mode, where even reading needs the files -wal and -shm beside it: let this process' user write to its directory, or copy the database to a writable one";

impl Connection for rusqlite::Connection {}

impl sealed::Connection for rusqlite::Connection {
    fn dialect(&self) -> &'static dyn Dialect {
        SQLITE
    }

    fn session(&mut self, _functions: bool, patience: Duration) -> Result<Box<dyn Session + '_>> {
        if !self.is_autocommit() {
            return Err(crate::engine::in_transaction());
        }
        Ok(Box::new(SqliteSession::new(self, None, patience)))
    }
}

/// Opens a file, or a database in memory if there is no path. Makes a missing file if
/// `create` is set, but never a directory.
pub(crate) fn open(path: Option<&Path>, create: bool) -> Result<rusqlite::Connection> {
    let connection = match path {
        Some(path) => open_file(path, create)?,
        None => rusqlite::Connection::open_in_memory().map_err(|error| failure(&error, "").into_error())?,
    };
    math::add(&connection).map_err(|error| failure(&error, "").into_error())?;
    Ok(connection)
}

fn open_file(path: &Path, create: bool) -> Result<rusqlite::Connection> {
    let cannot = |why: String| {
        Error::new(ErrorKind::Connection, format!("cannot open the SQLite file {}: {why}", path.display()))
    };
    if !path.exists() {
        if !create {
            return Err(
                cannot("it does not exist".to_owned()).help(Advice::from(Action::Migrate).and(" makes it"))
            );
        }
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
            let why = match directory.exists() {
                true => "is no directory",
                false => "does not exist",
            };
            return Err(cannot(format!("{} {why}", directory.display()))
                .help("make the directory, or correct the path: only the file is made"));
        }
    }
    if let Some(found) = std::fs::metadata(path).ok().filter(|found| !found.is_file()) {
        let kind = regular_file::kind(found.file_type());
        return Err(cannot(format!("it is {kind}")).help("name a regular file, as in sqlite:app.db"));
    }
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    // SQLite gives names that begin like this a meaning of their own.
    let special = path.to_str().is_some_and(|path| path.starts_with(':') || path.starts_with("file:"));
    let named = if special { Path::new(".").join(path) } else { path.to_owned() };
    let opened = rusqlite::Connection::open_with_flags(named, flags);
    let connection = opened.map_err(|error| {
        cannot(failure(&error, "").server_message.message)
            .help("it must be a file that this process' user may read and write")
    })?;
    // SQLite itself does not wait. The session retries instead, because its wait can be
    // cancelled.
    connection.busy_timeout(Duration::ZERO).map_err(|error| cannot(error.to_string()))?;
    // SQLite opens lazily. Reading now reports a file that is not a database.
    match rows(&connection, "PRAGMA schema_version") {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(cannot("it is not a SQLite database".to_owned()).help(NO_DATABASE))
        }
        Err(error) if is_unusable(&error) => {
            let help = if is_wal(path) { NEEDS_SHARED_MEMORY } else { NEEDS_WRITING };
            Err(cannot(failure(&error, "").server_message.message).help(help))
        }
        _ => Ok(connection),
    }
}

/// Returns whether a file beside the database cannot be used.
fn is_unusable(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

/// Returns whether a database's header says that it is in WAL mode.
fn is_wal(path: &Path) -> bool {
    let mut header = [0; 20];
    let opened = regular_file::open(path, u64::MAX);
    let read = opened.is_ok_and(|mut file| std::io::Read::read_exact(&mut file, &mut header).is_ok());
    read && header[18..] == [2, 2]
}

/// Builds the error, with advice if the registry's tables do not exist.
fn with_help(failure: Failure) -> Error {
    let absent = failure.server_message.message.contains("no such table: main.bustard_");
    let error = failure.into_error();
    match absent {
        true => error.help(Advice::text("this database has no registry yet: run ").then(Action::Migrate)),
        false => error,
    }
}

macro_rules! executors {
    ($($executor:ty),*) => {$(
        impl Executor for $executor {}

        impl sealed::Executor for $executor {
            fn dialect(&self) -> &'static dyn Dialect {
                SQLITE
            }

            fn registry(&self) -> &'static dyn Registry {
                &SqliteRegistry
            }

            fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
                rows(self, sql).map_err(|error| with_help(failure(&error, sql)))
            }

            fn commits(&self) -> bool {
                self.is_autocommit()
            }

            fn has_written(&self) -> bool {
                // If the state is unknown, the transaction may have written, so `true` is
                // returned.
                !matches!(
                    self.transaction_state(Some(rusqlite::MAIN_DB)),
                    Ok(TransactionState::None | TransactionState::Read)
                )
            }
        }
    )*};
}

executors!(rusqlite::Connection, rusqlite::Transaction<'_>);

impl Commit for rusqlite::Transaction<'_> {}

impl sealed::Commit for rusqlite::Transaction<'_> {
    fn commit(self) -> Result<()> {
        rusqlite::Transaction::commit(self).map_err(|error| failure(&error, "COMMIT").into_error())
    }
}

/// Reads SQLite's message, and the offset in the statement if SQLite reports an offset.
pub(crate) fn failure(error: &rusqlite::Error, sql: &str) -> Failure {
    let (code, message, offset) = match error {
        rusqlite::Error::SqliteFailure(code, message) => {
            (Some(*code), message.clone().unwrap_or_else(|| code.to_string()), None)
        }
        rusqlite::Error::SqlInputError { error, msg, offset, .. } => {
            let bytes = usize::try_from(*offset).ok();
            let characters = bytes.and_then(|bytes| Some(sql.get(..bytes)?.chars().count()));
            (Some(*error), msg.clone(), characters)
        }
        other => (None, other.to_string(), None),
    };
    let kind = match code.map(|code| code.code) {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Locked,
        Some(ErrorCode::OperationInterrupted) => ErrorKind::Cancelled,
        Some(ErrorCode::NotADatabase) => ErrorKind::Connection,
        _ => ErrorKind::Database,
    };
    let advice = code.and_then(|code| advice_of(code.extended_code, &message));
    let code = code.map(|code| code.extended_code.to_string());
    Failure {
        kind,
        advice,
        server_message: Box::new(ServerMessage { message, code, ..ServerMessage::default() }),
        offset,
    }
}

/// Runs one statement to its end and returns its rows.
pub(crate) fn rows(connection: &rusqlite::Connection, sql: &str) -> Result<Vec<Row>, rusqlite::Error> {
    let mut statement = connection.prepare(sql)?;
    let width = statement.column_count();
    let mut found = statement.raw_query();
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push((0..width).map(|i| row.get_ref(i).map(text)).collect::<Result<Row, _>>()?);
    }
    Ok(rows)
}

/// Runs one statement to its end. rusqlite's own methods stop at the first row or reject
/// rows.
pub(crate) fn run(connection: &rusqlite::Connection, sql: &str) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare(sql)?;
    let mut found = statement.raw_query();
    while found.next()?.is_some() {}
    Ok(())
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}
