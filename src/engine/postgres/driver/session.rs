//! A session and its transactions over a [`Link`].
//!
//! A transaction is two messages: one begins it, takes the lock and reads the history, and
//! one does the work, with COMMIT at the end. Statements are queued until then, each with
//! the migration it belongs to. If the message fails, the position that the server names,
//! or the number of completed statements, tells which statement failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::blame::{Queued, SEPARATOR, at_commit, blame, in_migration, lost, message};
use super::history::{self, Resolved};
use super::session_state::{CHECK_CONSTRAINTS, CHECK_EACH_CONSTRAINT, SessionState};
use super::simple_query::Link;
use super::transactional::{BEGIN, Ending, Transactional};
use super::{lock, quote_text};
use crate::diagnostic::{Action, Advice, Diagnostic};
use crate::engine::inspector::Inspector;
use crate::engine::postgres::registry;
use crate::engine::postgres::rights::{self, Rights};
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
    rights: Rights,
    cancelled: Option<Arc<AtomicBool>>,
}

impl<'s, L: Transactional> PostgresSession<'s, L> {
    /// A session on a connection that Bustard opened.
    pub(crate) fn own(link: &'s mut L, cancelled: Arc<AtomicBool>) -> Self {
        let rights = Rights::default();
        PostgresSession { link, own: true, resolved: Vec::new(), rights, cancelled: Some(cancelled) }
    }

    /// A session on a connection that belongs to the caller.
    pub(crate) fn of_caller(link: &'s mut L) -> Self {
        let rights = Rights::default();
        PostgresSession { link, own: false, resolved: Vec::new(), rights, cancelled: None }
    }

    fn check_cancelled(&self) -> Result<()> {
        match &self.cancelled {
            Some(flag) if flag.load(Ordering::SeqCst) => Err(Error::new(ErrorKind::Cancelled, "cancelled")),
            _ => Ok(()),
        }
    }

    /// Builds the error of a message that begins with the guard.
    fn refused(&mut self, failure: Failure) -> Error {
        let findings = self.rights.findings(self.resolved.iter().map(|table| table.quoted.as_str()));
        history::refused(self.link, &findings, failure)
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

    fn trust(&mut self, roles: &[String]) {
        self.rights = Rights::new(roles);
    }

    fn warnings(&mut self) -> Result<Vec<Diagnostic>> {
        let tables = self.resolved.iter().map(|table| table.quoted.as_str());
        let sql = self.rights.grants(tables);
        let mut warnings = rights::foreign_grants(self.rows(&sql)?);
        match self.rows(registry::UNFOLDED) {
            Ok(rows) => warnings.extend(registry::overdue(&rows)),
            // There is no registry yet, or the role may not read it.
            Err(error) if matches!(error.sqlstate(), Some("3F000" | "42883" | "42501" | "42P01")) => {}
            Err(error) => return Err(error),
        }
        Ok(warnings)
    }

    fn read_with(
        &mut self,
        tables: &[HistoryTable],
        queries: &[&str],
    ) -> Result<(Vec<History>, Vec<Vec<Row>>)> {
        self.check_cancelled()?;
        let read = history::read(self.link, tables, queries, &self.rights)?;
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
        let target =
            Target { own: self.own, tables: opening.tables, resolved: &self.resolved, rights: &self.rights };
        let (query, cancelled) = (opening.query, self.cancelled.as_deref());
        let mut ended = Ended::default();
        let attempted = match attempt(self.link, target, query, cancelled, work, &mut ended) {
            Ok(attempted) => attempted,
            Err(error) => {
                let error = match ended.refused {
                    Some(failure) => self.refused(failure),
                    None => error,
                };
                return Err(self.as_cancelled(error));
            }
        };
        match attempted {
            Attempt::Done => {
                for table in self.resolved.iter_mut().filter(|table| ended.made.contains(&table.app)) {
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

/// What a transaction begins with.
#[derive(Clone, Copy)]
struct Target<'t> {
    own: bool,
    tables: &'t [HistoryTable],
    resolved: &'t [Resolved],
    rights: &'t Rights,
}

/// What an attempt says beside its result.
#[derive(Default)]
struct Ended {
    /// The apps whose history tables it created.
    made: Vec<String>,
    /// The failure of the message that begins with the guard.
    refused: Option<Failure>,
}

/// Makes one attempt.
fn attempt<L: Transactional>(
    link: &mut L,
    target: Target<'_>,
    query: Option<&str>,
    cancelled: Option<&AtomicBool>,
    work: Work<'_>,
    ended: &mut Ended,
) -> Result<Attempt> {
    let Target { own, tables, resolved, rights } = target;
    // The guard comes before the histories are read. The state comes first, because the
    // lock is not part of it.
    let guard = rights.guard(resolved.iter().map(|table| table.quoted.as_str()));
    let lookup = history::lookup(tables, "NULL");
    let mut opening = format!("{};{},{guard};{lookup}", SessionState::query(own), lock::obtain());
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
        Err(failure) => {
            ended.refused = Some(failure.clone());
            return Err(failure.into_error());
        }
    };
    let rows = query.and_then(|_| results.pop());
    let mut read = results.split_off(3.min(results.len())).into_iter();
    let places = results.pop().unwrap_or_default();
    let held = results.pop().and_then(|mut rows| rows.pop()?.into_iter().next()?);
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
        guard: format!("SELECT {guard}"),
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
    ended.made = std::mem::take(&mut transaction.made);
    transaction.commit()?;
    Ok(Attempt::Done)
}

/// A transaction's statements that have not been sent yet.
struct Queue<'q, T> {
    open: T,
    resolved: &'q [Resolved],
    /// Fails if another role owns one of Bustard's objects or a history.
    guard: String,
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

    fn check_owners(&mut self) -> Result<()> {
        self.queue(Statement::generated(self.guard.clone(), None))
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
