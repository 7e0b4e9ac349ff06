//! The ports: what the migrator and the registry require of an engine's connection,
//! transaction and lock. Only the adapters beside this file name a driver.
//!
//! All data is text: a statement is SQL, a row is a list of columns of optional text. This
//! form corresponds to PostgreSQL's simple protocol, which sends a whole migration as one
//! message.

#[cfg(feature = "_engine")]
pub(crate) mod advice;
#[cfg(feature = "_engine")]
pub(crate) mod database;
pub(crate) mod dialects;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod inspector;
pub(crate) mod observer;
pub(crate) mod patience;
#[cfg(feature = "_engine")]
pub(crate) mod percent;
pub(crate) mod postgres;
pub(crate) mod registry;
pub(crate) mod sqlite;

use std::time::Duration;

use crate::diagnostic::{Advice, Code, Diagnostic, secrets};
use crate::error::{Error, ErrorKind, Notice, Result, ServerMessage, cut};
use crate::model::{Applied, Form, Function, History, HistoryTable, Statement};
use crate::sql::Dialect;
use inspector::Inspector;
use patience::Patience;
use registry::Registry;

/// One row. Each column is text as the engine writes it.
pub type Row = Vec<Option<String>>;

/// How long a command that only looks, or that calls the registry, waits for other
/// sessions, and for the answer of a server.
pub(crate) const GLANCE: Duration = Duration::from_secs(30);

/// A connection that the migrator runs on: `postgres::Client`, `rusqlite::Connection`, or
/// [`Database`](crate::Database), which Bustard connects itself. The trait is implemented
/// for these types only. A connection with an open transaction is refused.
pub trait Connection: sealed::Connection {}

/// The argument of a registry operation. On a connection ([`Database`](crate::Database),
/// `postgres::Client`, `rusqlite::Connection`), the operation commits at once. In an open
/// transaction (`postgres::Transaction`, `rusqlite::Transaction`), it commits with the
/// transaction. The trait is implemented for these types only.
pub trait Executor: sealed::Executor {}

/// An open transaction that the caller hands over to be committed: `postgres::Transaction`
/// or `rusqlite::Transaction`. The trait is implemented for these types only.
pub trait Commit: sealed::Commit {}

/// The argument of an operation of
/// [`registry::asynchronous`](crate::registry::asynchronous). On a
/// `tokio_postgres::Client`, the operation commits at once. In a
/// `tokio_postgres::Transaction`, it commits with the transaction. The trait is implemented
/// for these types only.
#[cfg(feature = "tokio")]
pub trait AsyncExecutor: sealed::AsyncExecutor {}

/// An open `tokio_postgres::Transaction` that the caller hands over to be committed. The
/// trait is implemented for this type only.
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
        /// Runs one statement that writes. On Bustard's own connections the statement can
        /// write even if transactions of the database are read-only by default. On other
        /// connections, the caller's defaults apply.
        fn write(&mut self, sql: &str) -> Result<()> {
            self.rows(sql).map(drop)
        }
        /// Returns whether a write has committed when the call returns.
        fn commits(&self) -> bool;
        /// Returns whether an open transaction has begun to write, if the engine reports
        /// it. On PostgreSQL the result is always `false`, because the registry itself
        /// detects writes.
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
        /// Returns whether a write has committed when the call returns.
        fn commits(&self) -> bool;
    }

    #[cfg(feature = "tokio")]
    pub trait CommitAsync: Send {
        fn commit(self) -> impl Future<Output = Result<()>> + Send;
    }

    pub trait Connection {
        /// Returns the dialect, which is known before connecting.
        fn dialect(&self) -> &'static dyn Dialect;
        /// Returns whether connecting would make the database, so that it is known to be
        /// empty.
        fn is_new(&self) -> bool {
            false
        }
        /// Connects, unless there is a connection already. With `functions`, the session's
        /// transactions can be handed to Rust functions. `patience` is how long the
        /// session may wait for other sessions, in total.
        fn session(&mut self, functions: bool, patience: Duration) -> Result<Box<dyn Session + '_>>;

        /// Connects for reading only. Creates nothing: a SQLite file that does not exist yet
        /// reads like an empty database.
        fn look(&mut self, patience: Duration) -> Result<Box<dyn Session + '_>> {
            self.session(false, patience)
        }
    }
}

/// The start of a transaction.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// The histories to read under the lock.
    pub tables: &'a [HistoryTable],
    /// A query to run under the lock, after the histories are read.
    pub query: Option<&'a str>,
    /// The function to call each time another session blocks this session.
    pub on_wait: &'a dyn Fn(),
    /// The function to call for each message that the engine has about a running migration.
    /// The thread that waits for the network calls it.
    pub on_notice: &'a (dyn Fn(Notice) + Sync),
}

/// The outcome of one attempt to run a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The transaction committed, or the work rolled it back.
    Done,
    /// Another session holds the migration lock. The work has not been called.
    Held,
    /// A history table was created or dropped after it was looked up, or the query
    /// refers to an object that does not exist. The work has not been called. The next
    /// attempt looks the tables up again.
    Moved,
}

/// The data that a transaction has read at its start.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// The histories, in the order of the tables.
    pub histories: Vec<History>,
    /// The rows of the query; `None` if it was not run.
    pub rows: Option<Vec<Row>>,
}

/// The work within a transaction. If it returns `false`, the transaction is rolled back.
pub type Work<'w> = &'w mut dyn FnMut(&mut dyn Transaction, Opened) -> Result<bool>;

/// An open connection.
pub trait Session {
    fn dialect(&self) -> &'static dyn Dialect;

    fn registry(&self) -> &'static dyn Registry;

    fn inspector(&self) -> &'static dyn Inspector;

    /// Sets the roles that may own Bustard's objects and the histories, beside the current
    /// role, superusers and the database's owner. Reads and transactions fail if another
    /// role owns one. An engine without roles has nothing to check.
    fn trust(&mut self, _roles: &[String]) {}

    /// Returns a warning for each role that is not trusted and has the right to change
    /// Bustard's tables or the histories of the last read, and one if very many
    /// invalidations have not been folded.
    fn warnings(&mut self) -> Result<Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    /// Reads the histories, in the order of `tables`, without lock or transaction. On
    /// PostgreSQL this takes one round trip if all tables exist.
    fn read(&mut self, tables: &[HistoryTable]) -> Result<Vec<History>> {
        self.read_with(tables, &[]).map(|(histories, _)| histories)
    }

    /// Reads the histories and, in the same round trip, the rows of the queries. Stops
    /// at the first query that refers to an object that does not exist.
    fn read_with(
        &mut self,
        tables: &[HistoryTable],
        queries: &[&str],
    ) -> Result<(Vec<History>, Vec<Vec<Row>>)>;

    /// Runs a query outside any transaction.
    fn rows(&mut self, sql: &str) -> Result<Vec<Row>>;

    /// Returns the table of an app's history, quoted for SQL, from the last read; empty
    /// for an app that was not read.
    fn history_table(&self, app: &str) -> &str;

    /// Begins a transaction, tries once to take the lock, reads the histories under it,
    /// does the work, and commits. Any error rolls everything back.
    fn attempt(&mut self, opening: &Opening<'_>, work: Work<'_>) -> Result<Attempt>;

    /// Returns how long this session may still wait for others. The caller of `attempt`
    /// waits for the migration lock, and the session for everything else.
    fn patience(&mut self) -> &mut Patience;

    /// Builds the error for a migration lock that was not obtained in time. The error names
    /// the holder if the engine reports it.
    fn lock_not_obtained(&mut self) -> Error;
}

/// An open transaction that holds the migration lock.
pub trait Transaction {
    fn dialect(&self) -> &'static dyn Dialect;

    fn registry(&self) -> &'static dyn Registry;

    fn inspector(&self) -> &'static dyn Inspector;

    /// Sets the migration that later statements belong to. Errors of these statements name
    /// the migration.
    fn enter(&mut self, app: &str, migration: &str);

    /// Runs a statement, or queues it to run before the commit. The returned error may
    /// belong to an earlier statement.
    fn execute(&mut self, statement: Statement) -> Result<()>;

    /// Runs a statement with the rights of the role that runs the migrator, even if the
    /// migration has switched to another role.
    fn execute_as_runner(&mut self, statement: Statement) -> Result<()> {
        self.execute(statement)
    }

    /// Runs all pending statements, then a query.
    fn rows(&mut self, sql: &str) -> Result<Vec<Row>>;

    /// Reports a message about the current migration, as a notice of the server. PostgreSQL
    /// sends its own.
    fn notice(&self, _message: String) {}

    /// Returns the table of an app's history, quoted for SQL.
    fn history_table(&self, app: &str) -> &str;

    /// Notes that the transaction creates an app's history table with the width of new
    /// tables, so that the session need not look the table up afterwards.
    fn makes_history(&mut self, app: &str);

    /// Checks, before the next statement, that no other role has created one of the objects
    /// that the transaction has just created.
    fn check_owners(&mut self) -> Result<()> {
        Ok(())
    }

    /// Ends a migration: removes what it has left in the session, such as settings, roles
    /// and temporary tables, so that this state does not reach the migrations that follow,
    /// the caller, or the next user of a pooled connection. Deferred constraints are
    /// checked. `last` tells that no other migration follows in the transaction.
    fn end_migration(&mut self, last: bool) -> Result<()>;

    /// Runs all pending statements, then calls a function with the driver's transaction.
    fn call(&mut self, function: &Function) -> Result<()>;
}

/// The failure of a statement, before its purpose is known.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub kind: ErrorKind,
    pub server_message: Box<ServerMessage>,
    /// The offset in the statement, in characters, from 0.
    pub offset: Option<usize>,
    /// What to do about it, by its code.
    pub advice: Option<(About, Advice)>,
}

/// What advice about an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// A statement of a migration. The advice does not fit Bustard's own statements.
    Statement,
    /// The server, the connection, or other sessions.
    Server,
}

/// The start of the message of a failure to answer in time.
const NO_ANSWER: &str = "no answer within ";

impl Failure {
    /// Builds the failure of a server that has not answered in time.
    #[cfg(feature = "postgres")]
    pub(crate) fn no_answer(limit: Duration) -> Failure {
        let message = format!("{NO_ANSWER}{limit:?}");
        Failure {
            kind: ErrorKind::Connection,
            server_message: Box::new(ServerMessage { message, ..ServerMessage::default() }),
            offset: None,
            advice: None,
        }
    }

    /// Builds the error of a statement.
    pub(crate) fn of(mut self, statement: &Statement) -> Error {
        if statement.form == Form::Generated && self.is_cache() {
            self.kind = ErrorKind::Cache;
        }
        if statement.form == Form::Generated {
            // The context lists Bustard's own functions, which mean nothing to the user.
            self.server_message.context = None;
        }
        let place = match self.offset {
            Some(offset) => statement.place_of(offset),
            None => statement.place.clone(),
        };
        if statement.form != Form::Generated {
            let values = secrets::values(&statement.sql);
            self.server_message = Box::new(self.server_message.without_secrets(&values));
            return self.into_error_of_migration().at(place);
        }
        self.into_error().at(place)
    }

    /// Builds the error of an operation that is not a migration's statement.
    pub(crate) fn into_error(mut self) -> Error {
        self.advice = self.advice.filter(|(about, _)| *about == About::Server);
        self.into_error_of_migration()
    }

    /// Returns whether the registry rejected a cache name, as unknown or as already
    /// registered.
    pub(crate) fn is_cache(&self) -> bool {
        matches!(self.server_message.code.as_deref(), Some("42704" | "42710"))
    }

    /// Returns whether PgBouncer ended the connection because of a transaction. Its messages
    /// are always in English.
    fn is_statement_pooling(&self) -> bool {
        self.server_message.message.contains("statement pooling mode")
    }

    /// Returns whether the connection ended without a server message.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_silence(&self) -> bool {
        self.kind == ErrorKind::Connection && self.server_message.code.is_none()
    }

    /// Builds the error of a statement of a migration, or of the check of its constraints.
    pub(crate) fn into_error_of_migration(self) -> Error {
        let message = match self.kind {
            ErrorKind::Connection if self.is_statement_pooling() => {
                "the connection leads through a pooler that allows no transactions"
            }
            ErrorKind::Connection if self.server_message.message.starts_with(NO_ANSWER) => {
                "the database does not answer"
            }
            ErrorKind::Connection => "the connection to the database was lost",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Cache => "the cache registry refused",
            ErrorKind::Locked => "the database is locked",
            _ => "the database refused a statement",
        };
        let sqlstate = self.server_message.code.as_deref();
        let pooled = self.is_statement_pooling();
        let is_duplicate = self.kind == ErrorKind::Cache && sqlstate == Some("42710");
        let mut error = Error::new(self.kind, message).with_server_message(*self.server_message);
        if is_duplicate {
            error = error.with_code(Code::DuplicateCache);
        }
        if pooled {
            return error.help(
                "set PgBouncer's pool_mode to transaction or session for this database, or connect to the server itself",
            );
        }
        match self.advice {
            Some((About::Statement, advice)) => error.help_on_statement(advice),
            Some((About::Server, advice)) => error.help(advice),
            None => error,
        }
    }
}

/// Builds the error of a migration's function. If the database caused it, the error keeps
/// the server message, whether the function used the driver (`refused`) or
/// [`OpenTransaction::execute`].
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
        Err(error) => Error::new(ErrorKind::Failed, message(&cut(secrets::hide_looks(&error.to_string()))))
            .with_code(Code::FunctionFailed)
            .caused_by(error),
    }
}

/// Builds the error for a connection that has a transaction open. The caller began it,
/// so the migrator does not end it.
#[cfg(feature = "_engine")]
pub(crate) fn in_transaction() -> Error {
    Error::usage("the connection has a transaction open")
        .help("commit it or roll it back first: the migrator begins and commits its own transactions")
}

/// The start of every read on PostgreSQL, so that the default isolation level of the
/// database does not matter. The reads of a SERIALIZABLE transaction can make transactions
/// that invalidate fail, and a hot standby does not support that level.
pub(crate) const READING: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// Quotes an identifier for either engine.
pub(crate) fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Builds the error for a table that does not have the shape of a history.
pub(crate) fn other_shape(table: &str, found: &str) -> Error {
    let message = format!("the table {table} is not a migration history: it has another shape");
    Error::new(ErrorKind::Failed, message)
        .with_code(Code::InvalidHistory)
        .help(format!(
            "it should have the columns version (int4 or int8), name, applied_on and checksum (varchar), and has: {found}; \
             give the app another table with `history = \"…\"`"
        ))
}

/// Reads a row of version, name, applied_on and checksum, as either engine returns it.
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
