//! A session and its transactions over a [`Link`].
//!
//! A transaction is two messages: one begins it, takes the lock and reads the history,
//! and one does the work, with COMMIT at the end. Statements are queued until then, each
//! with the migration it belongs to. If the message fails, the position that the server
//! names, or the number of completed statements, tells which one it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::history::{self, Resolved};
use super::simple_query::Link;
use super::transactional::{BEGIN, Ending, Transactional};
use super::{lock, quote_text};
use crate::diagnostic::{Action, Advice};
use crate::engine::inspector::Inspector;
use crate::engine::postgres::{POSTGRES, PostgresInspector, PostgresRegistry};
use crate::engine::registry::Registry;
use crate::engine::{Attempt, Failure, Opened, Opening, Row, Session, Transaction, Work};
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint;
use crate::model::{Form, Function, History, HistoryTable, Statement, Width};
use crate::sql::Dialect;

/// Settings that a migration may change for its session and that the next migration must
/// not inherit. On Bustard's own connections, all other settings are reset too. The role
/// comes after the session's user in the list, because setting the user resets the role.
const SETTINGS: &[&str] = &[
    "session_authorization",
    "role",
    "client_encoding",
    "search_path",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "check_function_bodies",
    "row_security",
    "client_min_messages",
    "default_tablespace",
    "default_table_access_method",
    "session_replication_role",
    "standard_conforming_strings",
    "synchronous_commit",
    "xmloption",
    "TimeZone",
    "DateStyle",
    "IntervalStyle",
];

/// A statement that contains this text changes how later statements are parsed. The server
/// parses a whole message before it runs any of it, so later statements go into another
/// message.
const CHANGES_PARSING: &str = "standard_conforming_strings";

/// A session on any link.
pub(crate) struct PostgresSession<'s, L: Transactional> {
    link: &'s mut L,
    resolved: Vec<Resolved>,
    cancelled: Option<Arc<AtomicBool>>,
}

impl<'s, L: Transactional> PostgresSession<'s, L> {
    pub(crate) fn new(link: &'s mut L, cancelled: Option<Arc<AtomicBool>>) -> Self {
        PostgresSession { link, resolved: Vec::new(), cancelled }
    }

    fn check_cancelled(&self) -> Result<()> {
        match &self.cancelled {
            Some(flag) if flag.load(Ordering::SeqCst) => Err(Error::new(ErrorKind::Cancelled, "cancelled")),
            _ => Ok(()),
        }
    }

    /// Turns the error into one of [`ErrorKind::Cancelled`] if the run was cancelled.
    fn as_cancelled(&self, error: Error) -> Error {
        match self.check_cancelled() {
            Err(_) if error.sqlstate() == Some("57014") => error.cancelled(),
            _ => error,
        }
    }
}

impl<L: Transactional> Session for PostgresSession<'_, L> {
    fn dialect(&self) -> &'static dyn Dialect {
        POSTGRES
    }

    fn registry(&self) -> &'static dyn Registry {
        &PostgresRegistry
    }

    fn inspector(&self) -> &'static dyn Inspector {
        &PostgresInspector
    }

    fn read_with(
        &mut self,
        tables: &[HistoryTable],
        queries: &[&str],
    ) -> Result<(Vec<History>, Vec<Vec<Row>>)> {
        self.check_cancelled()?;
        let read = history::read(self.link, tables, queries)?;
        self.resolved = read.resolved;
        Ok((read.histories, read.rows))
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        let results = self.link.send(sql, true).all().map_err(Failure::into_error)?;
        Ok(results.into_iter().next_back().unwrap_or_default())
    }

    fn history_table(&self, app: &str) -> &str {
        place(&self.resolved, app)
    }

    fn attempt(&mut self, opening: &Opening<'_>, work: Work<'_>) -> Result<Attempt> {
        self.check_cancelled()?;
        let apps = opening.tables.iter().map(|table| &table.app);
        if !self.resolved.iter().map(|table| &table.app).eq(apps) {
            self.read(opening.tables)?;
        }
        let (query, cancelled) = (opening.query, self.cancelled.as_deref());
        let mut made = Vec::new();
        let attempted = attempt(self.link, &self.resolved, query, cancelled, work, &mut made)
            .map_err(|error| self.as_cancelled(error))?;
        match attempted {
            Attempt::Done => {
                for table in self.resolved.iter_mut().filter(|table| made.contains(&table.app)) {
                    table.width = Some(Width::NEW);
                }
            }
            Attempt::Moved => self.resolved.clear(),
            Attempt::Held => {}
        }
        Ok(attempted)
    }

    fn lock_not_obtained(&mut self, waited: Duration) -> Error {
        lock::not_obtained(self.link, waited)
    }
}

fn place<'r>(resolved: &'r [Resolved], app: &str) -> &'r str {
    resolved.iter().find(|table| table.app == app).map_or("", |table| &table.quoted)
}

/// Makes one attempt. `made` receives the apps whose history tables the attempt created.
fn attempt<L: Transactional>(
    link: &mut L,
    resolved: &[Resolved],
    query: Option<&str>,
    cancelled: Option<&AtomicBool>,
    work: Work<'_>,
    made: &mut Vec<String>,
) -> Result<Attempt> {
    let settings: Vec<String> =
        SETTINGS.iter().map(|name| format!("pg_catalog.current_setting('{name}')")).collect();
    let mut opening = format!("{};SELECT {}", lock::obtain(), settings.join(","));
    for table in resolved {
        opening.push(';');
        opening.push_str(&history::under_lock(table));
    }
    if let Some(query) = query {
        opening.push(';');
        opening.push_str(query);
    }
    let (open, mut results) = match link.begin(&opening) {
        Ok(begun) => begun,
        Err(failure) if failure.server_message.code.as_deref() == Some("42P01") => return Ok(Attempt::Moved),
        // A replica returns one of these codes, and so does a server that is read-only for
        // another reason.
        Err(failure) if matches!(failure.server_message.code.as_deref(), Some("0A000" | "25006")) => {
            return Err(failure
                .into_error()
                .with_message("the database is read-only")
                .help("is it a replica? migrations are run on the primary"));
        }
        Err(failure) => return Err(failure.into_error()),
    };
    let rows = query.and_then(|_| results.pop());
    let read = results.split_off(2.min(results.len()));
    let settings = results.pop().and_then(|mut rows| rows.pop()).unwrap_or_default();
    let held = results.pop().and_then(|mut rows| rows.pop()?.pop()?);
    if held.as_deref() != Some("t") {
        return Ok(Attempt::Held);
    }
    let mut histories = Vec::with_capacity(resolved.len());
    for (table, rows) in resolved.iter().zip(read) {
        if table.width.is_none() {
            if rows.first().and_then(|row| row.first()).is_some_and(Option::is_some) {
                return Ok(Attempt::Moved);
            }
            histories.push(History::EMPTY);
        } else {
            let applied = rows.into_iter().map(|row| crate::engine::applied(&table.quoted, row));
            histories.push(History { width: table.width, applied: applied.collect::<Result<_>>()? });
        }
    }
    failpoint::pass(BEGIN)?;
    let mut transaction = Queue {
        open,
        resolved,
        made: Vec::new(),
        settings,
        queued: Vec::new(),
        migration: None,
        entered: 0,
        touched: false,
    };
    if !work(&mut transaction, Opened { histories, rows })? {
        return Ok(Attempt::Done);
    }
    if cancelled.is_some_and(|flag| flag.load(Ordering::SeqCst)) {
        return Err(Error::new(ErrorKind::Cancelled, "cancelled"));
    }
    *made = std::mem::take(&mut transaction.made);
    transaction.commit()?;
    Ok(Attempt::Done)
}

/// A transaction's statements that have not been sent yet.
struct Queue<'q, T> {
    open: T,
    resolved: &'q [Resolved],
    /// Apps whose history tables the transaction creates.
    made: Vec<String>,
    settings: Row,
    queued: Vec<Queued>,
    migration: Option<(String, String)>,
    /// The number of migrations in this transaction.
    entered: usize,
    /// Whether a migration has run statements of its own, which may have changed the
    /// session's settings.
    touched: bool,
}

struct Queued {
    statement: Statement,
    migration: Option<(String, String)>,
}

const SEPARATOR: &str = ";\n";

impl<T: Link + Ending> Queue<'_, T> {
    fn commit(mut self) -> Result<()> {
        if !T::COUNTS {
            self.flush()?;
        }
        let message = message(&self.queued);
        let queued = self.queued;
        let answer = self.open.commit(&message);
        match answer.failure {
            None => failpoint::pass("COMMIT"),
            // If the server has received everything, it continues even if the client is
            // gone, and its reply may be lost with the connection. If the server itself
            // ends the connection, it still reports how many statements completed.
            Some(failure)
                if failure.is_silence()
                    || failure.kind == ErrorKind::Connection && answer.completed >= queued.len() =>
            {
                let advice = Advice::text(
                    "is the server still running? it is unknown whether it had committed the transaction: ",
                );
                let advice = advice.then(Action::Status).and(" shows it; running again is safe");
                Err(lost(&queued, failure).uncertain().help(advice))
            }
            Some(failure) if answer.completed >= queued.len() => {
                // The error of a commit does not tell which of several migrations caused
                // it.
                Err(in_migration(at_commit(failure), self.migration.as_ref().filter(|_| self.entered == 1)))
            }
            Some(failure) => Err(blame(&queued, answer.completed, failure)),
        }
    }

    fn flush(&mut self) -> Result<()> {
        let queued = std::mem::take(&mut self.queued);
        if T::COUNTS {
            return flush_together(&mut self.open, &queued);
        }
        for one in queued.chunks(1) {
            flush_together(&mut self.open, one)?;
        }
        Ok(())
    }
}

fn flush_together(link: &mut impl Link, queued: &[Queued]) -> Result<()> {
    if queued.is_empty() {
        return Ok(());
    }
    let answer = link.send(&message(queued), false);
    match answer.failure {
        None => Ok(()),
        Some(failure) => Err(blame(queued, answer.completed, failure)),
    }
}

fn message(queued: &[Queued]) -> String {
    queued.iter().map(|one| one.statement.sql.as_str()).collect::<Vec<_>>().join(SEPARATOR)
}

/// Finds the statement that failed: by the position, if the server returns one, otherwise
/// by the number of completed statements.
fn blame(queued: &[Queued], completed: usize, mut failure: Failure) -> Error {
    if failure.kind == ErrorKind::Connection {
        return lost(queued, failure);
    }
    let mut index = completed.min(queued.len() - 1);
    if let Some(offset) = failure.offset {
        let mut start = 0;
        for (i, one) in queued.iter().enumerate() {
            let length = one.statement.sql.chars().count() + SEPARATOR.len();
            if offset < start + length || i + 1 == queued.len() {
                index = i;
                failure.offset = Some(offset - start);
                break;
            }
            start += length;
        }
    }
    let one = &queued[index];
    in_migration(failure.of(&one.statement), one.migration.as_ref())
}

fn in_migration(error: Error, migration: Option<&(String, String)>) -> Error {
    match migration {
        Some((app, migration)) => error.in_migration(app, migration),
        None => error,
    }
}

/// Builds the error of a connection that was lost before the reply: the outcome of the
/// message is unknown. Names the migration if the message has only one.
fn lost(queued: &[Queued], failure: Failure) -> Error {
    let mut migrations = queued.iter().filter_map(|one| one.migration.as_ref());
    let first = migrations.next();
    let only = first.filter(|first| migrations.all(|other| other == *first));
    in_migration(failure.into_error(), only).help("is the server still there? running again is safe")
}

fn at_commit(failure: Failure) -> Error {
    failure
        .into_error()
        .with_message("the database refused to commit")
        .help("every statement succeeded, but a check at the commit failed, such as a deferred constraint")
}

impl<T: Link + Ending> Transaction for Queue<'_, T> {
    fn dialect(&self) -> &'static dyn Dialect {
        POSTGRES
    }

    fn registry(&self) -> &'static dyn Registry {
        &PostgresRegistry
    }

    fn inspector(&self) -> &'static dyn Inspector {
        &PostgresInspector
    }

    fn enter(&mut self, app: &str, migration: &str) {
        let entered = Some((app.to_owned(), migration.to_owned()));
        self.entered += usize::from(self.migration != entered);
        self.migration = entered;
    }

    fn execute(&mut self, statement: Statement) -> Result<()> {
        self.touched |= statement.form != Form::Generated;
        let alone = statement.form == Form::Unsplit || statement.sql.contains(CHANGES_PARSING);
        if statement.form == Form::Unsplit {
            // The file was not split, so it may contain a COMMIT.
            self.guard()?;
            let place = statement.place.clone();
            self.queue(statement)?;
            self.flush()?;
            return self.release("the file").map_err(|error| error.at(place));
        }
        self.queue(statement)?;
        if alone { self.flush() } else { Ok(()) }
    }

    fn execute_as_runner(&mut self, statement: Statement) -> Result<()> {
        let role =
            SETTINGS.iter().position(|name| *name == "role").and_then(|i| self.settings.get(i)?.as_deref());
        let Some(role) = role.filter(|_| self.touched).map(quote_text) else {
            return self.execute(statement);
        };
        let keep =
            "pg_catalog.set_config('bustard.role', pg_catalog.current_setting('role'), true) IS NOT NULL";
        let take = format!("SELECT pg_catalog.set_config('role', {role}, {keep})");
        self.queue(Statement::generated(take, None))?;
        self.execute(statement)?;
        let back = "SELECT pg_catalog.set_config('role', pg_catalog.current_setting('bustard.role'), true)";
        self.queue(Statement::generated(back, None))
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        self.flush()?;
        let results = self
            .open
            .send(sql, true)
            .all()
            .map_err(|failure| in_migration(failure.into_error(), self.migration.as_ref()))?;
        failpoint::pass(sql)?;
        Ok(results.into_iter().next_back().unwrap_or_default())
    }

    fn history_table(&self, app: &str) -> &str {
        place(self.resolved, app)
    }

    fn makes_history(&mut self, app: &str) {
        self.made.push(app.to_owned());
    }

    fn restore_settings(&mut self) -> Result<()> {
        if T::OWN {
            // `RESET ALL` does not change the user and the role. They are set below.
            self.queue(Statement::generated("RESET ALL", None))?;
        }
        let before = SETTINGS
            .iter()
            .zip(&self.settings)
            .filter_map(|(name, value)| Some(format!("('{name}',{})", quote_text(value.as_deref()?))));
        // The statement sets only values that differ, because only a superuser may set some
        // settings, even to their current value.
        let sql = format!(
            "SELECT pg_catalog.set_config(s.name, s.value, false) FROM (VALUES {}) s (name, value) \
             WHERE (pg_catalog.current_setting(s.name) OPERATOR(pg_catalog.=) s.value) IS NOT TRUE",
            before.collect::<Vec<_>>().join(",")
        );
        self.touched = false;
        self.queue(Statement::generated(sql, None))
    }

    fn call(&mut self, function: &Function) -> Result<()> {
        self.touched = true;
        self.guard()?;
        self.open.call(function).map_err(|error| in_migration(error, self.migration.as_ref()))?;
        self.release(&format!("the function {}", function.label()))?;
        failpoint::pass(function.label())
    }
}

impl<T: Link + Ending> Queue<'_, T> {
    fn queue(&mut self, statement: Statement) -> Result<()> {
        let point = failpoint::one_by_one().then(|| statement.sql.clone());
        self.queued.push(Queued { statement, migration: self.migration.clone() });
        match point {
            Some(sql) => self.flush().and_then(|()| failpoint::pass(&sql)),
            None => Ok(()),
        }
    }

    /// Sets a savepoint before SQL or a function that was not analysed. Then
    /// [`release`](Self::release) can tell whether the transaction is still the same and
    /// has not failed.
    fn guard(&mut self) -> Result<()> {
        self.queue(Statement::generated("SAVEPOINT bustard", None))?;
        self.flush()
    }

    fn release(&mut self, who: &str) -> Result<()> {
        let answer = self.open.send("RELEASE SAVEPOINT bustard", false);
        let Some(failure) = answer.failure else { return Ok(()) };
        let (message, help): (_, &'static str) = match failure.server_message.code.as_deref() {
            // The first error is the relevant one, but it is no longer available.
            Some("25P02") => (
                format!("{who} continued after the database had refused a statement"),
                "return the error; where it may be ignored, run the statement in a savepoint of its own",
            ),
            Some("25P01" | "3B001") => (
                format!("{who} ended the transaction that it runs in"),
                "leave BEGIN, COMMIT and ROLLBACK out of it; changes made before a COMMIT remain, and must be reverted by hand",
            ),
            _ => return Err(in_migration(failure.into_error(), self.migration.as_ref())),
        };
        Err(in_migration(Error::new(ErrorKind::Failed, message).help(help), self.migration.as_ref()))
    }
}
