//! A session and its transactions on a `rusqlite::Connection`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::ffi::ErrorCode;

use super::foreign_keys::{Off, Violations};
use super::session_state::SessionState;
use super::{failure, is_unusable, rows, run, with_help};
use crate::engine::inspector::Inspector;
use crate::engine::patience::Patience;
use crate::engine::registry::Registry;
use crate::engine::sqlite::{NEEDS_WRITING, SQLITE, SqliteInspector, SqliteRegistry};
use crate::engine::{
    Attempt, Opened, Opening, Row, Session, Transaction, Work, function_failed, quote_ident,
};
use crate::error::{Error, ErrorKind, Notice, NoticeLevel, Result, ServerMessage};
use crate::failpoint;
use crate::model::{Applied, Function, History, HistoryTable, Statement, Width};
use crate::model::{Engine, Native, OpenTransaction};
use crate::sql::Dialect;

/// A session.
pub(crate) struct SqliteSession<'s> {
    connection: &'s mut Connection,
    cancelled: Option<Arc<AtomicBool>>,
    patience: Patience,
    /// The history tables of the last read, by app.
    tables: Vec<(String, String)>,
    /// SQLite's message when the lock was held.
    busy: ServerMessage,
}

impl<'s> SqliteSession<'s> {
    pub(crate) fn new(
        connection: &'s mut Connection,
        cancelled: Option<Arc<AtomicBool>>,
        patience: Duration,
    ) -> Self {
        SqliteSession {
            connection,
            cancelled,
            patience: Patience::new(patience),
            tables: Vec::new(),
            busy: ServerMessage::default(),
        }
    }
}

/// Retries while the database is busy, with growing pauses.
fn patiently<T>(
    patience: &mut Patience,
    cancelled: Option<&AtomicBool>,
    on_wait: &dyn Fn(),
    mut attempt: impl FnMut() -> Result<T, rusqlite::Error>,
) -> Result<Result<T, rusqlite::Error>> {
    let mut pause = Duration::from_millis(1);
    loop {
        check_cancelled(cancelled)?;
        let started = Instant::now();
        match attempt() {
            Err(error) if is_busy(&error) => {
                let left = patience.left();
                if left.is_zero() {
                    return Err(still_locked(patience.limit(), *failure(&error, "").server_message));
                }
                on_wait();
                std::thread::sleep(pause.min(left));
                patience.spend_since(started);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            other => return Ok(other),
        }
    }
}

fn still_locked(waited: Duration, message: ServerMessage) -> Error {
    Error::new(ErrorKind::Locked, format!("the database was still locked after {waited:?}"))
        .help("another process has a transaction open on it; SQLite does not tell which")
        .with_server_message(message)
}

fn check_cancelled(cancelled: Option<&AtomicBool>) -> Result<()> {
    match cancelled {
        Some(flag) if flag.load(Ordering::SeqCst) => Err(Error::new(ErrorKind::Cancelled, "cancelled")),
        _ => Ok(()),
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

impl SqliteSession<'_> {
    fn patient_rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        patient_rows(self.connection, &mut self.patience, self.cancelled.as_deref(), sql)
    }
}

/// Runs one statement outside a transaction, and waits while the database is busy.
pub(crate) fn patient_rows(
    connection: &Connection,
    patience: &mut Patience,
    cancelled: Option<&AtomicBool>,
    sql: &str,
) -> Result<Vec<Row>> {
    patiently(patience, cancelled, &|| (), || rows(connection, sql))?
        .map_err(|error| with_help(failure(&error, sql)))
}

impl Session for SqliteSession<'_> {
    fn dialect(&self) -> &'static dyn Dialect {
        SQLITE
    }

    fn registry(&self) -> &'static dyn Registry {
        &SqliteRegistry
    }

    fn inspector(&self) -> &'static dyn Inspector {
        &SqliteInspector
    }

    fn read_with(
        &mut self,
        tables: &[HistoryTable],
        queries: &[&str],
    ) -> Result<(Vec<History>, Vec<Vec<Row>>)> {
        // Each table is read by one statement. Without a transaction, the statements may
        // read different states, which suffices for a preflight.
        let histories: Result<Vec<_>> =
            tables.iter().map(|table| read_history(table, &mut |sql| self.patient_rows(sql))).collect();
        self.tables = places(tables);
        let mut answers = Vec::new();
        for query in queries {
            match self.patient_rows(query) {
                Err(error)
                    if error.server_message().is_some_and(|message| message.contains("no such table")) =>
                {
                    break;
                }
                rows => answers.push(rows?),
            }
        }
        Ok((histories?, answers))
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        self.patient_rows(sql)
    }

    fn history_table(&self, app: &str) -> &str {
        place(&self.tables, app)
    }

    fn attempt(&mut self, opening: &Opening<'_>, work: Work<'_>) -> Result<Attempt> {
        let cancelled = self.cancelled.as_deref();
        check_cancelled(cancelled)?;
        let connection = &*self.connection;
        let _off = Off::new(connection)?;
        let sql = "BEGIN IMMEDIATE";
        match connection.execute_batch(sql) {
            Err(error) if is_busy(&error) => {
                self.busy = *failure(&error, "").server_message;
                return Ok(Attempt::Held);
            }
            begun => begun.map_err(|error| failure(&error, "").into_error())?,
        }
        // This state is restored after the rollback.
        let state = SessionState::of(connection);
        let guard = RollBack(connection);
        check_writable(connection)?;
        failpoint::pass(sql)?;
        let mut transaction = SqliteTransaction {
            connection,
            state: &state,
            on_notice: opening.on_notice,
            tables: Vec::new(),
            migration: None,
            entered: 0,
        };
        transaction.tables = places(opening.tables);
        let histories = (opening.tables.iter())
            .map(|table| read_history(table, &mut |sql| under_lock(connection, sql)))
            .collect::<Result<Vec<_>>>()?;
        let rows = opening.query.map(|query| under_lock(connection, query)).transpose()?;
        let before = Violations::count(connection);
        if !work(&mut transaction, Opened { histories, rows })? {
            return Ok(Attempt::Done);
        }
        // An error found here does not tell which of several migrations caused it.
        let migration = transaction.migration.take().filter(|_| transaction.entered == 1);
        let in_migration = |error: Error| match &migration {
            Some((app, migration)) => error.in_migration(app, migration),
            None => error,
        };
        Violations::count(connection).none_new(&before).map_err(in_migration)?;
        let commit = || connection.execute_batch("COMMIT");
        patiently(&mut self.patience, cancelled, opening.on_wait, commit)?
            .map_err(|error| in_migration(failure(&error, "").into_error()))?;
        std::mem::forget(guard);
        failpoint::pass("COMMIT")?;
        Ok(Attempt::Done)
    }

    fn patience(&mut self) -> &mut Patience {
        &mut self.patience
    }

    fn lock_not_obtained(&mut self) -> Error {
        still_locked(self.patience.limit(), self.busy.clone())
    }
}

fn under_lock(connection: &Connection, sql: &str) -> Result<Vec<Row>> {
    rows(connection, sql).map_err(|error| failure(&error, sql).into_error())
}

/// Returns an error if the database is read-only. On such a database BEGIN IMMEDIATE
/// succeeds. Without this check, the first statement that writes would fail, and the error
/// would name that statement. Tests this by writing the current value of a setting, because
/// the supported versions of the driver have no common function for it.
fn check_writable(connection: &Connection) -> Result<()> {
    let setting = "PRAGMA main.user_version";
    let found = rows(connection, setting).map_err(|error| failure(&error, setting).into_error())?;
    let Some(version) = found.into_iter().next().and_then(|row| row.into_iter().next()?) else {
        return Ok(());
    };
    match run(connection, &format!("{setting} = {version}")) {
        Err(error) if is_unusable(&error) => {
            Err(Error::new(ErrorKind::Database, "the database is read-only").help(NEEDS_WRITING))
        }
        other => other.map_err(|error| failure(&error, setting).into_error()),
    }
}

/// Rolls back on drop.
struct RollBack<'c>(&'c Connection);

impl Drop for RollBack<'_> {
    fn drop(&mut self) {
        // Some errors, such as a full disk, have rolled back already.
        if !self.0.is_autocommit() && self.0.execute_batch("ROLLBACK").is_err() {
            log::error!(
                "the transaction could not be rolled back; SQLite does it when the connection closes"
            );
        }
    }
}

/// Returns the name of a table with the schema `main`, to exclude temporary tables and
/// attached databases.
fn qualified(table: &HistoryTable) -> String {
    format!("main.{}", quote_ident(&table.name))
}

fn places(tables: &[HistoryTable]) -> Vec<(String, String)> {
    tables.iter().map(|table| (table.app.clone(), qualified(table))).collect()
}

fn place<'p>(places: &'p [(String, String)], app: &str) -> &'p str {
    places.iter().find(|(label, _)| label == app).map_or("", |(_, quoted)| quoted)
}

fn read_history(table: &HistoryTable, rows: &mut dyn FnMut(&str) -> Result<Vec<Row>>) -> Result<History> {
    let name = table.name.replace('\'', "''");
    let columns = rows(&format!("SELECT name, lower(type) FROM pragma_table_info('{name}', 'main')"))?;
    if columns.is_empty() {
        return Ok(History::none(qualified(table)));
    }
    let type_of = |wanted: &str| {
        let found = columns.iter().find(|row| row.first().is_some_and(|n| n.as_deref() == Some(wanted)));
        found.and_then(|row| row.get(1)?.as_deref())
    };
    let width = match type_of("version") {
        Some("int4") => Some(Width::Int4),
        Some("int8") => Some(Width::Int8),
        _ => None,
    };
    let complete = ["name", "applied_on", "checksum"].iter().all(|column| type_of(column).is_some());
    let (Some(width), true) = (width, complete) else {
        let found = columns.iter().map(|row| row.iter().flatten().cloned().collect::<Vec<_>>().join(" "));
        return Err(crate::engine::other_shape(&table.name, &found.collect::<Vec<_>>().join(", ")));
    };
    let quoted = qualified(table);
    let applied = rows(&crate::sql::applied_query(&quoted))?;
    let applied = applied.into_iter().map(|row| crate::engine::applied(&table.name, row));
    let applied = applied.collect::<Result<Vec<Applied>>>()?;
    Ok(History { width: Some(width), applied, ..History::none(quoted) })
}

/// A transaction. Each statement runs at once.
struct SqliteTransaction<'t> {
    connection: &'t Connection,
    state: &'t SessionState<'t>,
    on_notice: &'t (dyn Fn(Notice) + Sync),
    tables: Vec<(String, String)>,
    migration: Option<(String, String)>,
    /// The number of migrations in this transaction.
    entered: usize,
}

impl SqliteTransaction<'_> {
    fn in_migration(&self, error: Error) -> Error {
        match &self.migration {
            Some((app, migration)) => error.in_migration(app, migration),
            None => error,
        }
    }

    /// Returns an error if the transaction has ended. SQLite itself ends a transaction on
    /// some errors, and a file that could not be split may contain a COMMIT.
    fn still_open(&self) -> Result<()> {
        if self.connection.is_autocommit() { Err(self.ended("the migration")) } else { Ok(()) }
    }

    fn ended(&self, who: &str) -> Error {
        let message = format!("{who} ended the transaction that it runs in");
        let help = "leave BEGIN, COMMIT and ROLLBACK out of it; changes made before a COMMIT remain, and must be reverted by hand";
        self.in_migration(Error::new(ErrorKind::Failed, message).help(help))
    }
}

impl Native<'_> for &rusqlite::Connection {
    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    fn execute(&mut self, sql: &str) -> Result<()> {
        self.execute_batch(sql).map_err(|error| failure(&error, sql).into_error_of_migration())
    }

    fn sqlite(&self) -> Option<&rusqlite::Connection> {
        Some(self)
    }
}

impl Transaction for SqliteTransaction<'_> {
    fn dialect(&self) -> &'static dyn Dialect {
        SQLITE
    }

    fn registry(&self) -> &'static dyn Registry {
        &SqliteRegistry
    }

    fn inspector(&self) -> &'static dyn Inspector {
        &SqliteInspector
    }

    fn enter(&mut self, app: &str, migration: &str) {
        let entered = Some((app.to_owned(), migration.to_owned()));
        self.entered += usize::from(self.migration != entered);
        self.migration = entered;
    }

    fn execute(&mut self, statement: Statement) -> Result<()> {
        // A file with COPY is refused before it is executed.
        run(self.connection, &statement.sql)
            .map_err(|error| self.in_migration(failure(&error, &statement.sql).of(&statement)))?;
        self.still_open()?;
        failpoint::pass(&statement.sql)
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        let found = rows(self.connection, sql);
        let found = found.map_err(|error| self.in_migration(failure(&error, sql).into_error()))?;
        failpoint::pass(sql)?;
        Ok(found)
    }

    fn notice(&self, message: String) {
        let Some((app, migration)) = self.migration.clone() else { return };
        let level = NoticeLevel::Notice;
        (self.on_notice)(Notice {
            app,
            migration,
            level,
            code: None,
            message,
            detail: None,
            hint: None,
            omitted: 0,
        });
    }

    fn history_table(&self, app: &str) -> &str {
        place(&self.tables, app)
    }

    /// Does nothing, because every transaction looks the tables up again, which needs no
    /// round trip.
    fn makes_history(&mut self, _: &str) {}

    fn end_migration(&mut self, _last: bool) -> Result<()> {
        self.state.restore().map_err(|error| self.in_migration(error))
    }

    fn call(&mut self, function: &Function) -> Result<()> {
        let mut connection = self.connection;
        let mut open = OpenTransaction::new(&mut connection);
        // The savepoint no longer exists if the function has ended the transaction and
        // begun another transaction.
        let savepoint = |sql| run(self.connection, sql).map_err(|error| failure(&error, sql).into_error());
        savepoint("SAVEPOINT bustard")?;
        function.call(&mut open).map_err(|error| {
            let refused = error.downcast_ref().map(|error| failure(error, "").into_error_of_migration());
            self.in_migration(function_failed(function, error, refused))
        })?;
        if self.connection.is_autocommit() || savepoint("RELEASE bustard").is_err() {
            return Err(self.ended(&format!("the function {}", function.label())));
        }
        failpoint::pass(function.label())
    }
}
