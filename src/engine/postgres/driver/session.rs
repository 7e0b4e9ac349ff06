//! A session and its transactions over a [`Link`].
//!
//! A transaction is two messages: one begins it, takes the lock and reads the history, and
//! one does the work, with COMMIT at the end. Statements are queued until then, each with
//! the migration it belongs to. If the message fails, the position that the server names,
//! or the number of completed statements, tells which statement failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::history::{self, Resolved};
use super::session_state::{CHECK_CONSTRAINTS, CHECK_EACH_CONSTRAINT, SessionState};
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

/// The setting that changes how the server parses text. Statements after a change of this
/// setting need a message of their own, because the server parses a whole message before it
/// runs the first statement.
const CHANGES_PARSING: &str = "standard_conforming_strings";

/// A session on any link.
pub(crate) struct PostgresSession<'s, L: Transactional> {
    link: &'s mut L,
    /// Whether Bustard opened the connection.
    own: bool,
    resolved: Vec<Resolved>,
    cancelled: Option<Arc<AtomicBool>>,
}

impl<'s, L: Transactional> PostgresSession<'s, L> {
    /// A session on a connection that Bustard opened.
    pub(crate) fn own(link: &'s mut L, cancelled: Arc<AtomicBool>) -> Self {
        PostgresSession { link, own: true, resolved: Vec::new(), cancelled: Some(cancelled) }
    }

    /// A session on a connection that belongs to the caller.
    pub(crate) fn of_caller(link: &'s mut L) -> Self {
        PostgresSession { link, own: false, resolved: Vec::new(), cancelled: None }
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
        let mut made = Vec::new();
        let attempted = attempt(
            self.link,
            self.own,
            (opening.tables, &self.resolved),
            opening.query,
            self.cancelled.as_deref(),
            work,
            &mut made,
        )
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
    own: bool,
    (tables, resolved): (&[HistoryTable], &[Resolved]),
    query: Option<&str>,
    cancelled: Option<&AtomicBool>,
    work: Work<'_>,
    made: &mut Vec<String>,
) -> Result<Attempt> {
    // The state comes first, because the lock is not part of it.
    let mut opening = format!("{};{};{}", SessionState::query(own), lock::obtain(), history::lookup(tables));
    for table in resolved.iter().filter(|table| table.width.is_some()) {
        opening.push(';');
        opening.push_str(&crate::sql::applied_query(&table.quoted));
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
    let mut read = results.split_off(3.min(results.len())).into_iter();
    let places = results.pop().unwrap_or_default();
    let held = results.pop().and_then(|mut rows| rows.pop()?.pop()?);
    let state = results.pop().and_then(|mut rows| rows.pop()).unwrap_or_default();
    if held.as_deref() != Some("t") {
        return Ok(Attempt::Held);
    }
    let now = history::resolve(tables, &places)?;
    if !now.iter().zip(resolved).all(|(now, before)| now.is_still(before)) {
        return Ok(Attempt::Moved);
    }
    let mut histories = Vec::with_capacity(now.len());
    for table in &now {
        let rows = if table.width.is_some() { read.next().unwrap_or_default() } else { Vec::new() };
        let applied = rows.into_iter().map(|row| crate::engine::applied(&table.quoted, row));
        histories.push(table.history(applied.collect::<Result<_>>()?));
    }
    failpoint::pass(BEGIN)?;
    let mut transaction = Queue {
        open,
        resolved,
        made: Vec::new(),
        state: SessionState::of(state),
        queued: Vec::new(),
        migration: None,
        entered: 0,
        touched: false,
        cleans_up: false,
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
    /// The state of the session before the transaction.
    state: SessionState,
    queued: Vec<Queued>,
    migration: Option<(String, String)>,
    /// The number of migrations in this transaction.
    entered: usize,
    /// A migration has run its own statements, which may have changed the session's
    /// state.
    touched: bool,
    /// A rollback removes what the migrations have left in the session.
    cleans_up: bool,
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
    let checks = [CHECK_CONSTRAINTS, CHECK_EACH_CONSTRAINT].contains(&one.statement.sql.as_str());
    let error = if checks { at_commit(failure) } else { failure.of(&one.statement) };
    in_migration(error, one.migration.as_ref())
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

fn at_commit(mut failure: Failure) -> Error {
    failure.server_message.context = None;
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
        if statement.form != Form::Generated {
            self.touch();
        }
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
        let Some(role) = self.state.role().filter(|_| self.touched).map(quote_text) else {
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

    fn end_migration(&mut self, last: bool) -> Result<()> {
        if !std::mem::take(&mut self.touched) {
            return Ok(());
        }
        let check = if last { CHECK_CONSTRAINTS } else { CHECK_EACH_CONSTRAINT };
        self.queue(Statement::generated(check, None))?;
        let mut statements = self.state.end();
        if !T::COUNTS {
            // Otherwise each statement would be a round trip.
            statements = vec![statements.join(SEPARATOR)];
        }
        statements.into_iter().try_for_each(|sql| self.queue(Statement::generated(sql, None)))
    }

    fn call(&mut self, function: &Function) -> Result<()> {
        self.touch();
        self.guard()?;
        self.open.call(function).map_err(|error| in_migration(error, self.migration.as_ref()))?;
        self.release(&format!("the function {}", function.label()))?;
        failpoint::pass(function.label())
    }
}

impl<T: Link + Ending> Queue<'_, T> {
    /// Prepares for statements that may change the state of the session.
    fn touch(&mut self) {
        self.touched = true;
        if !std::mem::replace(&mut self.cleans_up, true) {
            self.open.clean_up_with(self.state.end().join(SEPARATOR));
        }
    }

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
