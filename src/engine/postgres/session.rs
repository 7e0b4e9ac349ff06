//! A session and its transactions over a [`Link`].
//!
//! A transaction is two messages: what opens it (BEGIN, the lock, the history),
//! and what it does, with COMMIT at the end. Statements are queued until then,
//! each with what it is for; when the message fails, the number of completed
//! statements, or the position that the server names, tells which one it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::history::{self, Resolved};
use super::link::{Answer, Link, Own};
use super::quote_text;
use crate::engine::{Engine, Failure, Native, OpenTransaction, Opening, Row, Session, Transaction, Work};
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint;
use crate::history::{History, HistoryTable, Width};
use crate::operation::{Form, Function, Statement};

/// The advisory lock that every run holds while it changes anything: the
/// letters of "bustard" as a number.
const LOCK: i64 = 0x0062_7573_7461_7264;

/// Settings that a migration may change for its session and that the next one
/// must not inherit. The role comes after the session's user, which resets it.
const SETTINGS: &[&str] = &[
    "session_authorization",
    "role",
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
    "xmloption",
];

/// Statements after which the rest must be parsed anew, since the server parses
/// a whole message before it runs any of it.
const CHANGES_PARSING: &str = "standard_conforming_strings";

/// How transactions are begun, committed and handed to functions.
pub(crate) trait Transactional: Link {
    /// A transaction on the link; dropping it rolls back.
    type Open<'o>: Link + Ending
    where
        Self: 'o;

    /// Begins, and sends `sql` in it; rows are kept.
    fn begin(&mut self, sql: &str) -> Result<(Self::Open<'_>, Vec<Vec<Row>>), Failure>;
}

/// How a transaction ends.
pub(crate) trait Ending: Sized {
    /// Sends the rest and commits; the answer tells how far it got.
    fn commit(self, sql: &str) -> Answer;

    /// Calls a function with the driver's transaction.
    fn call(&mut self, function: &Function) -> Result<()>;
}

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// A transaction on a connection of Bustard's own.
pub(crate) struct OwnTransaction<'o> {
    link: &'o mut Own,
    ended: bool,
}

impl Transactional for Own {
    type Open<'o> = OwnTransaction<'o>;

    fn begin(&mut self, sql: &str) -> Result<(OwnTransaction<'_>, Vec<Vec<Row>>), Failure> {
        let transaction = OwnTransaction { link: self, ended: false };
        let mut results = transaction.link.send(&format!("{BEGIN};{sql}"), true).all()?;
        results.remove(0);
        Ok((transaction, results))
    }
}

impl Link for OwnTransaction<'_> {
    const COUNTS: bool = true;

    fn send(&mut self, sql: &str, keep: bool) -> Answer {
        self.link.send(sql, keep)
    }
}

impl Ending for OwnTransaction<'_> {
    fn commit(mut self, sql: &str) -> Answer {
        let separator = if sql.is_empty() { "" } else { ";\n" };
        let answer = self.link.send(&format!("{sql}{separator}COMMIT"), false);
        self.ended = answer.failure.is_none();
        answer
    }

    fn call(&mut self, function: &Function) -> Result<()> {
        let message =
            format!("the function {} needs a connection that can be handed to it", function.label());
        Err(Error::new(ErrorKind::Failed, message))
    }
}

impl Drop for OwnTransaction<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // On a dead connection there is nothing left to roll back.
            let _ = self.link.send("ROLLBACK", false);
        }
    }
}

impl Transactional for postgres::Client {
    type Open<'o> = postgres::Transaction<'o>;

    fn begin(&mut self, sql: &str) -> Result<(postgres::Transaction<'_>, Vec<Vec<Row>>), Failure> {
        let mut transaction = self
            .build_transaction()
            .isolation_level(postgres::IsolationLevel::ReadCommitted)
            .read_only(false)
            .start()
            .map_err(|error| super::failure(&error))?;
        let results = transaction.send(sql, true).all()?;
        Ok((transaction, results))
    }
}

impl Ending for postgres::Transaction<'_> {
    fn commit(mut self, sql: &str) -> Answer {
        let mut answer = if sql.is_empty() { Answer::default() } else { self.send(sql, false) };
        if answer.failure.is_none() {
            match postgres::Transaction::commit(self) {
                Ok(()) => answer.completed += 1,
                Err(error) => answer.failure = Some(super::failure(&error)),
            }
        }
        answer
    }

    fn call(&mut self, function: &Function) -> Result<()> {
        let mut open = OpenTransaction::new(self);
        function.call(&mut open).map_err(|error| crate::engine::function_failed(function, error))
    }
}

impl<'c> Native<'c> for postgres::Transaction<'c> {
    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn execute(&mut self, sql: &str) -> Result<()> {
        self.batch_execute(sql).map_err(|error| super::failure(&error).into_error())
    }

    fn postgres(&mut self) -> Option<&mut postgres::Transaction<'c>> {
        Some(self)
    }
}

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

    /// A statement that ended because the run was cancelled says so.
    fn as_cancelled(&self, error: Error) -> Error {
        match self.check_cancelled() {
            Err(_) if error.sqlstate() == Some("57014") => error.cancelled(),
            _ => error,
        }
    }

    /// Who holds the lock, since when.
    fn holder(&mut self) -> Option<String> {
        let (high, low) = (LOCK >> 32, LOCK & 0xffff_ffff);
        let sql = format!(
            "SELECT a.pid, a.application_name, pg_catalog.to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS TZH:TZM'), \
             a.usename FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
             WHERE l.locktype = 'advisory' AND l.classid = {high} AND l.objid = {low} AND l.objsubid = 1 \
             AND l.granted AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d \
             WHERE d.datname = pg_catalog.current_database()) LIMIT 1"
        );
        let rows = self.link.send(&sql, true).all().ok()?.pop()?;
        let row = rows.into_iter().next()?;
        let column = |i: usize| row.get(i).and_then(Option::as_deref).filter(|text| !text.is_empty());
        Some(format!(
            "pid {}, application_name {}, in a transaction since {}",
            column(0).unwrap_or("?"),
            column(1).unwrap_or("(none)"),
            column(2).unwrap_or("?"),
        ))
    }
}

impl<L: Transactional> Session for PostgresSession<'_, L> {
    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn read(&mut self, tables: &[HistoryTable]) -> Result<Vec<History>> {
        self.check_cancelled()?;
        let (resolved, histories) = history::read(self.link, tables)?;
        self.resolved = resolved;
        Ok(histories)
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        let results = self.link.send(sql, true).all().map_err(Failure::into_error)?;
        Ok(results.into_iter().next_back().unwrap_or_default())
    }

    fn transaction(&mut self, opening: &Opening<'_>, work: Work<'_>) -> Result<()> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(2);
        loop {
            self.check_cancelled()?;
            if self.resolved.is_empty() {
                self.read(opening.tables)?;
            }
            let attempted = attempt(self.link, &self.resolved, self.cancelled.as_deref(), work);
            match attempted.map_err(|error| self.as_cancelled(error))? {
                Attempt::Done { made } => {
                    for table in self.resolved.iter_mut().filter(|table| made.contains(&table.app)) {
                        table.width = Some(Width::NEW);
                    }
                    return Ok(());
                }
                Attempt::Moved => self.resolved.clear(),
                Attempt::Held => {
                    if started.elapsed() >= opening.lock_wait {
                        let holder = self.holder();
                        return Err(locked(opening.lock_wait, holder));
                    }
                    (opening.on_wait)();
                    std::thread::sleep(pause.min(opening.lock_wait.saturating_sub(started.elapsed())));
                    pause = (pause * 2).min(Duration::from_millis(100));
                }
            }
        }
    }
}

fn locked(waited: Duration, holder: Option<String>) -> Error {
    let message = format!("the migration lock was not obtained within {waited:?}");
    let error = Error::new(ErrorKind::Locked, message);
    match holder {
        Some(holder) => error.help(format!("it is held by another run: {holder}; wait for it, or end it")),
        None => error.help("its holder has just let go of it: run again"),
    }
}

/// How an attempt to run a transaction ended.
enum Attempt {
    /// With the apps whose history tables it made.
    Done { made: Vec<String> },
    /// Somebody else holds the lock.
    Held,
    /// A history table was made or dropped since it was looked up.
    Moved,
}

fn attempt<L: Transactional>(
    link: &mut L,
    resolved: &[Resolved],
    cancelled: Option<&AtomicBool>,
    work: Work<'_>,
) -> Result<Attempt> {
    let settings: Vec<String> =
        SETTINGS.iter().map(|name| format!("pg_catalog.current_setting('{name}')")).collect();
    let mut opening =
        format!("SELECT pg_catalog.pg_try_advisory_xact_lock({LOCK});SELECT {}", settings.join(","));
    for table in resolved {
        opening.push(';');
        opening.push_str(&history::under_lock(table));
    }
    let (open, mut results) = match link.begin(&opening) {
        Ok(begun) => begun,
        Err(failure) if failure.said.code.as_deref() == Some("42P01") => return Ok(Attempt::Moved),
        Err(failure) => return Err(failure.into_error()),
    };
    let read = results.split_off(2.min(results.len()));
    let settings = results.pop().and_then(|mut rows| rows.pop()).unwrap_or_default();
    let held = results.pop().and_then(|mut rows| rows.pop()?.pop()?);
    if held.as_deref() != Some("t") && !failpoint::fault("no-lock") {
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
    let mut transaction =
        Queue { open, resolved, made: Vec::new(), settings, queued: Vec::new(), for_whom: None, last: None };
    if !work(&mut transaction, &histories)? {
        return Ok(Attempt::Done { made: Vec::new() });
    }
    if cancelled.is_some_and(|flag| flag.load(Ordering::SeqCst)) {
        return Err(Error::new(ErrorKind::Cancelled, "cancelled"));
    }
    let made = std::mem::take(&mut transaction.made);
    transaction.commit()?;
    Ok(Attempt::Done { made })
}

/// A transaction's statements that have not been sent yet.
struct Queue<'q, T> {
    open: T,
    resolved: &'q [Resolved],
    /// Apps whose history tables it makes.
    made: Vec<String>,
    settings: Row,
    queued: Vec<Queued>,
    for_whom: Option<(String, String)>,
    last: Option<(String, String)>,
}

struct Queued {
    statement: Statement,
    for_whom: Option<(String, String)>,
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
            Some(failure) if answer.completed >= queued.len() => {
                Err(in_whom(at_commit(failure), self.last.as_ref()))
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

/// Finds the statement that a failure is about: by the position in the message
/// where the server names one, by the number of completed ones otherwise.
fn blame(queued: &[Queued], completed: usize, mut failure: Failure) -> Error {
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
    in_whom(failure.of(&one.statement), one.for_whom.as_ref())
}

fn in_whom(error: Error, for_whom: Option<&(String, String)>) -> Error {
    match for_whom {
        Some((app, migration)) => error.in_migration(app, migration),
        None => error,
    }
}

fn at_commit(failure: Failure) -> Error {
    let lost = failure.kind == ErrorKind::Connection;
    let error = failure.into_error();
    if lost {
        return error.help(
            "it was lost while the transaction was being committed, so it is not known whether it was: \
             `bustard status` tells; running again is safe",
        );
    }
    error.help(
        "the commit itself was refused, as by a deferred constraint; nothing of the transaction remains",
    )
}

impl<T: Link + Ending> Transaction for Queue<'_, T> {
    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn enter(&mut self, app: &str, migration: &str) {
        self.for_whom = Some((app.to_owned(), migration.to_owned()));
        self.last.clone_from(&self.for_whom);
    }

    fn execute(&mut self, statement: Statement) -> Result<()> {
        let alone = statement.form == Form::Unsplit || statement.sql.contains(CHANGES_PARSING);
        if statement.form == Form::Unsplit {
            // Nobody has looked for a COMMIT in it: if there was one, the savepoint is gone.
            self.flush()?;
            self.queue(Statement::generated("SAVEPOINT bustard", None))?;
            self.flush()?;
            self.queue(statement)?;
            self.flush()?;
            self.queue(Statement::generated("RELEASE SAVEPOINT bustard", None))?;
            return self.flush();
        }
        self.queue(statement)?;
        if alone { self.flush() } else { Ok(()) }
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        self.flush()?;
        let results = self
            .open
            .send(sql, true)
            .all()
            .map_err(|failure| in_whom(failure.into_error(), self.for_whom.as_ref()))?;
        failpoint::pass(sql)?;
        Ok(results.into_iter().next_back().unwrap_or_default())
    }

    fn history_table(&self, app: &str) -> &str {
        self.resolved.iter().find(|table| table.app == app).map_or("", |table| &table.quoted)
    }

    fn makes_history(&mut self, app: &str) {
        self.made.push(app.to_owned());
    }

    fn restore_settings(&mut self) -> Result<()> {
        let before = SETTINGS
            .iter()
            .zip(&self.settings)
            .filter_map(|(name, value)| Some(format!("('{name}',{})", quote_text(value.as_deref()?))));
        // Only what differs: some may be set by superusers only, even to what they are.
        let sql = format!(
            "SELECT pg_catalog.set_config(s.name, s.value, false) FROM (VALUES {}) s (name, value) \
             WHERE (pg_catalog.current_setting(s.name) OPERATOR(pg_catalog.=) s.value) IS NOT TRUE",
            before.collect::<Vec<_>>().join(",")
        );
        self.queue(Statement::generated(sql, None))
    }

    fn call(&mut self, function: &Function) -> Result<()> {
        self.flush()?;
        self.open.call(function).map_err(|error| in_whom(error, self.for_whom.as_ref()))?;
        failpoint::pass(function.label())
    }
}

impl<T: Link + Ending> Queue<'_, T> {
    fn queue(&mut self, statement: Statement) -> Result<()> {
        let point = failpoint::one_by_one().then(|| statement.sql.clone());
        self.queued.push(Queued { statement, for_whom: self.for_whom.clone() });
        match point {
            Some(sql) => self.flush().and_then(|()| failpoint::pass(&sql)),
            None => Ok(()),
        }
    }
}
