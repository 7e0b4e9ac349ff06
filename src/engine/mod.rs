//! The ports: what an engine's connection, transaction and lock must do for the
//! migrator and the registry. The adapters beside this file are the only place
//! that names a driver.
//!
//! Everything goes through text: statements are SQL, rows are columns of
//! optional text. That is PostgreSQL's simple protocol, which lets a whole
//! migration travel as one message.

#[cfg(feature = "_engine")]
pub(crate) mod database;
pub(crate) mod dialects;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod inspector;
pub(crate) mod observer;
pub(crate) mod postgres;
pub(crate) mod registry;
pub(crate) mod sqlite;

use std::time::Duration;

use crate::diagnostic::Code;
use crate::error::{Error, ErrorKind, Result, ServerMessage};
use crate::model::{Applied, Form, Function, History, HistoryTable, Statement};
use crate::sql::Dialect;
use inspector::Inspector;
use registry::Registry;

/// One row, each column as the engine writes it as text.
pub type Row = Vec<Option<String>>;

/// How long those who only look keep trying while a writer has a SQLite file to
/// itself.
pub(crate) const GLANCE: Duration = Duration::from_secs(30);

/// What the migrator may be given to run on: `postgres::Client`,
/// `rusqlite::Connection`, or a [`Database`](crate::Database) that Bustard
/// connects to itself. Implemented for these and for nothing else. One with a
/// transaction open on it is refused.
pub trait Connection: sealed::Connection {}

/// What a registry operation may be given: a connection ([`Database`](crate::Database),
/// `postgres::Client`, `rusqlite::Connection`), where it commits at once, or an
/// open transaction (`postgres::Transaction`, `rusqlite::Transaction`), with
/// which it commits. Implemented for these and for nothing else.
pub trait Executor: sealed::Executor {}

/// An open transaction that can be handed over to be committed:
/// `postgres::Transaction`, `rusqlite::Transaction`. Implemented for these and for
/// nothing else.
pub trait Commit: sealed::Commit {}

/// The same for [`registry::asynchronous`](crate::registry::asynchronous): a
/// `tokio_postgres::Client`, where an operation commits at once, or a
/// `tokio_postgres::Transaction`, with which it commits. Implemented for these
/// and for nothing else.
#[cfg(feature = "tokio")]
pub trait AsyncExecutor: sealed::AsyncExecutor {}

/// An open `tokio_postgres::Transaction` that can be handed over to be committed.
/// Implemented for it and for nothing else.
#[cfg(feature = "tokio")]
pub trait CommitAsync: sealed::CommitAsync {}

pub(crate) mod sealed {
    use std::time::Duration;

    #[cfg(feature = "tokio")]
    use super::registry::Calls;
    use super::registry::Registry;
    use super::{Result, Row, Session};
    use crate::sql::Dialect;

    pub trait Executor {
        fn dialect(&self) -> &'static dyn Dialect;
        fn registry(&self) -> &'static dyn Registry;
        /// Runs one statement and returns its rows.
        fn rows(&mut self, sql: &str) -> Result<Vec<Row>>;
        /// Runs one statement that writes. On a connection of Bustard's own it may
        /// write whatever the database's defaults for transactions are; elsewhere
        /// they are the caller's business.
        fn write(&mut self, sql: &str) -> Result<()> {
            self.rows(sql).map(drop)
        }
        /// Whether what is written has committed when it returns.
        fn commits(&self) -> bool;
        /// Whether a transaction is open that has begun to write, as far as the
        /// engine tells: on PostgreSQL the registry knows, and this is `false`.
        fn has_written(&self) -> bool {
            false
        }
    }

    pub trait Commit {
        fn commit(self) -> Result<()>;
    }

    #[cfg(feature = "tokio")]
    pub trait AsyncExecutor: Sync {
        fn calls(&self) -> &'static dyn Calls;
        /// Runs one statement and returns its rows.
        fn rows(&self, sql: &str) -> impl Future<Output = Result<Vec<Row>>> + Send;
        /// Whether what is written has committed when it returns.
        fn commits(&self) -> bool;
    }

    #[cfg(feature = "tokio")]
    pub trait CommitAsync: Send {
        fn commit(self) -> impl Future<Output = Result<()>> + Send;
    }

    pub trait Connection {
        /// Known before connecting.
        fn dialect(&self) -> &'static dyn Dialect;
        /// Connects, where that has not happened yet. With `functions`, the
        /// transactions of the session can be handed to Rust functions. `patience`
        /// is how long it tries to read a database that a writer keeps to itself.
        fn session(&mut self, functions: bool, patience: Duration) -> Result<Box<dyn Session + '_>>;
    }
}

/// How a transaction starts.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// The histories to read under the lock.
    pub tables: &'a [HistoryTable],
    /// What else is asked there.
    pub query: Option<&'a str>,
    /// How long to wait for other sessions: for the migration lock, which the caller
    /// does, and on SQLite, at the commit, for readers.
    pub lock_wait: Duration,
    /// Called each time another session is in the way.
    pub on_wait: &'a dyn Fn(),
}

/// How one attempt to run a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It committed, or the work rolled it back.
    Done,
    /// Another session holds the migration lock; the work has not been called.
    Held,
    /// A history table was made or dropped since it was looked up, or the query
    /// asks for what does not exist; the work has not been called. The next attempt
    /// looks the tables up.
    Moved,
}

/// What a transaction has read when it starts.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// In the order of the tables.
    pub histories: Vec<History>,
    /// The answer to the query; `None` where it has not been asked.
    pub rows: Option<Vec<Row>>,
}

/// What is done within a transaction; `false` rolls it back.
pub type Work<'w> = &'w mut dyn FnMut(&mut dyn Transaction, Opened) -> Result<bool>;

/// An open connection.
pub trait Session {
    fn dialect(&self) -> &'static dyn Dialect;

    fn registry(&self) -> &'static dyn Registry;

    fn inspector(&self) -> &'static dyn Inspector;

    /// Reads the histories, in the order of `tables`, without lock or
    /// transaction. On PostgreSQL one round trip, if all tables are there.
    fn read(&mut self, tables: &[HistoryTable]) -> Result<Vec<History>> {
        self.read_with(tables, &[]).map(|(histories, _)| histories)
    }

    /// The same, and in the same round trip the rows of queries, up to the first that
    /// asks for what does not exist.
    fn read_with(
        &mut self,
        tables: &[HistoryTable],
        queries: &[&str],
    ) -> Result<(Vec<History>, Vec<Vec<Row>>)>;

    /// Runs a query outside any transaction.
    fn rows(&mut self, sql: &str) -> Result<Vec<Row>>;

    /// The place of an app's history, quoted for SQL, among those that were read
    /// last; empty for other apps.
    fn history_table(&self, app: &str) -> &str;

    /// Begins a transaction, tries once to take the lock, reads the histories under
    /// it, does the work, and commits. Nothing of it remains on any error.
    fn attempt(&mut self, opening: &Opening<'_>, work: Work<'_>) -> Result<Attempt>;

    /// The error for a lock that was held until `waited` had passed, with its holder
    /// where the engine tells it.
    fn lock_not_obtained(&mut self, waited: Duration) -> Error;
}

/// An open transaction that holds the migration lock.
pub trait Transaction {
    fn dialect(&self) -> &'static dyn Dialect;

    fn registry(&self) -> &'static dyn Registry;

    fn inspector(&self) -> &'static dyn Inspector;

    /// Whose statements follow; errors say so.
    fn enter(&mut self, app: &str, migration: &str);

    /// Runs a statement, now or at the latest before the commit. An error of an
    /// earlier statement may come out here.
    fn execute(&mut self, statement: Statement) -> Result<()>;

    /// The same, with the rights of whoever runs the migration, whatever role it
    /// has taken.
    fn execute_as_runner(&mut self, statement: Statement) -> Result<()> {
        self.execute(statement)
    }

    /// Runs what is still to be run, then a query.
    fn rows(&mut self, sql: &str) -> Result<Vec<Row>>;

    /// The place of an app's history, quoted for SQL.
    fn history_table(&self, app: &str) -> &str;

    /// Told when the transaction makes an app's history table, of the width of
    /// new ones: then nobody needs to look it up afterwards.
    fn makes_history(&mut self, app: &str);

    /// Puts back the settings that a migration may have changed for those that
    /// follow: search path, role and the like.
    fn restore_settings(&mut self) -> Result<()>;

    /// Runs what is still to be run, then calls a function with the driver's
    /// transaction.
    fn call(&mut self, function: &Function) -> Result<()>;
}

/// A statement that failed, before anybody knows what it was for.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub kind: ErrorKind,
    pub server_message: Box<ServerMessage>,
    /// Characters into the statement, counted from 0.
    pub offset: Option<usize>,
}

impl Failure {
    /// The error of a statement.
    pub(crate) fn of(mut self, statement: &Statement) -> Error {
        if statement.form == Form::Generated && self.is_cache() {
            self.kind = ErrorKind::Cache;
        }
        if statement.form == Form::Generated {
            // The functions are Bustard's own.
            self.server_message.context = None;
        }
        let place = match self.offset {
            Some(offset) => statement.place_of(offset),
            None => statement.place.clone(),
        };
        self.into_error().at(place)
    }

    /// Whether the registry said that a cache is unknown, or registered already.
    pub(crate) fn is_cache(&self) -> bool {
        matches!(self.server_message.code.as_deref(), Some("42704" | "42710"))
    }

    /// Whether the connection ended without the database having said anything.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_silence(&self) -> bool {
        self.kind == ErrorKind::Connection && self.server_message.code.is_none()
    }

    /// The error of something that is no statement of a migration.
    pub(crate) fn into_error(self) -> Error {
        let message = match self.kind {
            ErrorKind::Connection => "the connection to the database was lost",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Cache => "the cache registry refused",
            ErrorKind::Locked => "the database is locked",
            _ => "the database refused a statement",
        };
        let sqlstate = self.server_message.code.as_deref();
        let forbidden = sqlstate == Some("42501");
        let is_duplicate = self.kind == ErrorKind::Cache && sqlstate == Some("42710");
        let mut error = Error::new(self.kind, message).with_server_message(*self.server_message);
        if is_duplicate {
            error = error.with_code(Code::DuplicateCache);
        }
        if !forbidden {
            return error;
        }
        error.help("the role that migrates needs this right: grant it, or migrate as another role")
    }
}

/// The error of a function of a migration. One that comes from the database, by
/// way of the driver (`refused`) or of [`OpenTransaction::execute`], keeps the server
/// message.
pub(crate) fn function_failed(
    function: &Function,
    error: Box<dyn std::error::Error + Send + Sync>,
    refused: Option<Error>,
) -> Error {
    let message = |text: &str| format!("the function {} failed: {text}", function.label());
    if let Some(refused) = refused {
        return refused.with_message(message("the database refused a statement")).caused_by(error);
    }
    match error.downcast::<Error>() {
        Ok(error) => {
            let message = message(error.message());
            error.with_message(message)
        }
        Err(error) => Error::new(ErrorKind::Failed, message(&error.to_string()))
            .with_code(Code::FunctionFailed)
            .caused_by(error),
    }
}

/// The error for a connection that somebody has begun a transaction on: ending
/// it is not the migrator's business.
#[cfg(feature = "_engine")]
pub(crate) fn in_transaction() -> Error {
    Error::usage("the connection has a transaction open")
        .help("commit it or roll it back first: the migrator begins and commits its own")
}

/// What reading on PostgreSQL begins with, whatever the database's default isolation: what a
/// SERIALIZABLE transaction has read can make those that invalidate fail, and a hot
/// standby has none.
pub(crate) const READING: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// Quotes an identifier for either engine.
pub(crate) fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The error of a history table that is none.
pub(crate) fn other_shape(table: &str, found: &str) -> Error {
    Error::new(ErrorKind::Failed, format!("the table {table} is no migration history: it has another shape"))
        .with_code(Code::InvalidHistory)
        .help(format!(
            "it should have the columns version (int4 or int8), name, applied_on and checksum (varchar), and has: {found}; \
             give the app another table with `history = \"…\"`"
        ))
}

/// A row of version, name, applied_on and checksum, as either engine returns it.
pub(crate) fn applied(table: &str, row: Row) -> Result<Applied> {
    let mut columns = row.into_iter();
    let mut next = || columns.next().flatten();
    match (next().and_then(|v| v.parse().ok()), next(), next(), next()) {
        (Some(version), Some(name), Some(applied_on), Some(checksum)) => {
            Ok(Applied { version, name, applied_on, checksum })
        }
        _ => Err(other_shape(table, "a row with an empty column")),
    }
}
