//! SQLite: `BEGIN IMMEDIATE` is the lock, and whoever meets a busy database
//! tries again until the lock time-out.

mod foreign_keys;
mod session;

pub(crate) use session::SqliteSession;

use rusqlite::ffi::ErrorCode;
use rusqlite::types::ValueRef;

use super::{Connection, Engine, Executor, Failure, Row, Session, sealed};
use crate::error::{ErrorKind, Result, Said};

impl Connection for rusqlite::Connection {}

impl sealed::Connection for rusqlite::Connection {
    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    fn session(&mut self, _functions: bool) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(SqliteSession::new(self, None)))
    }
}

fn registry_rows(connection: &rusqlite::Connection, sql: &str) -> Result<Vec<Row>> {
    rows(connection, sql).map_err(|error| {
        let failure = failure(&error, sql);
        let absent = failure.said.message.contains("no such table: bustard_");
        let error = failure.into_error();
        if absent { error.help("this database has no registry yet: run `bustard migrate`") } else { error }
    })
}

macro_rules! executors {
    ($($executor:ty),*) => {$(
        impl Executor for $executor {}

        impl sealed::Executor for $executor {
            fn engine(&self) -> Engine {
                Engine::Sqlite
            }

            fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
                registry_rows(self, sql)
            }
        }
    )*};
}

executors!(rusqlite::Connection, rusqlite::Transaction<'_>);

/// What SQLite said, with the place in the statement where it says one.
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
        Some(ErrorCode::CannotOpen | ErrorCode::NotADatabase) => ErrorKind::Connection,
        _ => ErrorKind::Database,
    };
    let code = code.map(|code| code.extended_code.to_string());
    Failure { kind, said: Said { message, code, detail: None, hint: None }, offset }
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

/// Runs one statement to its end; rusqlite's own ways stop at the first row or
/// refuse rows altogether.
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
