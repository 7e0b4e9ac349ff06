//! The ports: what an engine's connection, transaction and lock must do for the
//! migrator and the registry. The adapters beside this file are the only place
//! that names a driver.
//!
//! Everything goes through text: statements are SQL, rows are columns of
//! optional text. That is PostgreSQL's simple protocol, which lets a whole
//! migration travel as one message.

#[cfg(feature = "postgres")]
pub(crate) mod postgres;
pub(crate) mod refinery;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;

use std::fmt;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result, Said};
use crate::history::{History, HistoryTable};
use crate::operation::Statement;

/// A kind of database that Bustard works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Engine {
    /// PostgreSQL, 14 and later.
    Postgres,
    /// SQLite.
    Sqlite,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Engine::Postgres => "PostgreSQL",
            Engine::Sqlite => "SQLite",
        })
    }
}

/// One row, each column as the engine writes it as text.
pub(crate) type Row = Vec<Option<String>>;

/// What the migrator may be given to run on: `postgres::Client`,
/// `rusqlite::Connection`, or a [`Database`](crate::Database) that Bustard
/// connects to itself. Implemented for these and for nothing else.
pub trait Connection: sealed::Connection {}

pub(crate) mod sealed {
    use super::{Engine, Result, Session};

    pub trait Connection {
        /// Known before connecting.
        fn engine(&self) -> Engine;
        /// Connects, where that has not happened yet. With `functions`, the
        /// transactions of the session can be handed to Rust functions.
        fn session(&mut self, functions: bool) -> Result<Box<dyn Session + '_>>;
    }
}

/// How a transaction is to start.
#[derive(Clone, Debug)]
pub(crate) struct Opening<'a> {
    /// The histories to read under the lock.
    pub tables: &'a [HistoryTable],
    /// How long to wait for the lock.
    pub lock_wait: Duration,
}

/// What is done within a transaction; `false` rolls it back.
pub(crate) type Work<'w> = &'w mut dyn FnMut(&mut dyn Transaction, &[History]) -> Result<bool>;

/// An open connection.
pub trait Session {
    fn engine(&self) -> Engine;

    /// Reads the histories, in the order of `tables`, without lock or
    /// transaction. On PostgreSQL one round trip, if all tables are there.
    fn read(&mut self, tables: &[HistoryTable]) -> Result<Vec<History>>;

    /// Runs a query outside any transaction.
    fn rows(&mut self, sql: &str) -> Result<Vec<Row>>;

    /// Begins a transaction, takes the lock, reads the histories under it, does
    /// the work, and commits. Nothing of it remains on any error.
    fn transaction(&mut self, opening: &Opening<'_>, work: Work<'_>) -> Result<()>;
}

/// An open transaction that holds the migration lock.
pub trait Transaction {
    fn engine(&self) -> Engine;

    /// Whose statements follow; errors say so.
    fn enter(&mut self, app: &str, migration: &str);

    /// Runs a statement, now or at the latest before the commit. An error of an
    /// earlier statement may come out here.
    fn execute(&mut self, statement: Statement) -> Result<()>;

    /// Runs what is still to be run, then a query.
    fn rows(&mut self, sql: &str) -> Result<Vec<Row>>;

    /// The place of an app's history, quoted for SQL.
    fn history_table(&self, app: &str) -> &str;

    /// Puts back the settings that a migration may have changed for those that
    /// follow: search path, role and the like.
    fn restore_settings(&mut self) -> Result<()>;

    /// Runs what is still to be run, then hands out the driver's transaction.
    fn open(&mut self) -> Result<OpenTransaction<'_>>;
}

/// The open transaction that a function of a migration is given.
pub struct OpenTransaction<'a>(pub(crate) Native<'a>);

pub(crate) enum Native<'a> {
    #[cfg(feature = "postgres")]
    Postgres(&'a mut dyn postgres::NativeTransaction),
    #[cfg(feature = "sqlite")]
    Sqlite(&'a rusqlite::Connection),
    #[cfg(not(any(feature = "postgres", feature = "sqlite")))]
    None(std::marker::PhantomData<&'a ()>),
}

/// A statement that failed, before anybody knows what it was for.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub kind: ErrorKind,
    pub said: Said,
    /// Characters into the statement, counted from 0.
    pub offset: Option<usize>,
}

impl Failure {
    /// The error of a statement.
    pub(crate) fn of(self, statement: &Statement) -> Error {
        let place = match self.offset {
            Some(offset) => statement.place_of(offset),
            None => statement.place.clone(),
        };
        self.into_error().at(place)
    }

    /// The error of something that is no statement of a migration.
    pub(crate) fn into_error(self) -> Error {
        let message = match self.kind {
            ErrorKind::Connection => "the connection to the database was lost",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Cache => "the registry refused",
            ErrorKind::Locked => "the database is locked",
            _ => "the database refused a statement",
        };
        Error::new(self.kind, message).said(self.said)
    }
}

/// Quotes an identifier for either engine.
pub(crate) fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
