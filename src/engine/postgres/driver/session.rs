//! A session and its transactions over a [`Link`].
//!
//! A transaction is two messages: one begins it, takes the lock and reads the history, and
//! one does the work, with COMMIT at the end. Statements are queued until then, each with
//! the migration it belongs to. If the message fails, the position that the server names,
//! or the number of completed statements, tells which statement failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::explain::explain;
use super::history::{self, Resolved, place};
use super::lock;
use super::notices::{Inbox, Notices};
use super::queue::Queue;
use super::session_state::SessionState;
use super::simple_query::{Link, Looking, answer_within};
use super::transactional::{BEGIN, Transactional};
use crate::diagnostic::Diagnostic;
use crate::engine::inspector::Inspector;
use crate::engine::patience::Patience;
use crate::engine::postgres::registry;
use crate::engine::postgres::rights::{self, Rights};
use crate::engine::postgres::{POSTGRES, PostgresInspector, PostgresRegistry};
use crate::engine::registry::Registry;
use crate::engine::{Attempt, Failure, Opened, Opening, Row, Session, Work};
use crate::error::{Error, ErrorKind, Notice, Result};
use crate::failpoint;
use crate::model::{History, HistoryTable, Width};
use crate::sql::Dialect;

/// How long the server may take to explain an error.
const EXPLANATION: Duration = Duration::from_secs(10);

/// A session on any link.
pub(crate) struct PostgresSession<'s, L: Transactional> {
    link: &'s mut L,
    /// Whether Bustard opened the connection.
    own: bool,
    resolved: Vec<Resolved>,
    rights: Rights,
    cancelled: Option<Arc<AtomicBool>>,
    patience: Patience,
    /// Whether the server is asked to notice a client that has died.
    watches_client: bool,
    /// The messages of the server, on a connection of the synchronous driver.
    inbox: Option<Inbox>,
}

impl<'s, L: Transactional> PostgresSession<'s, L> {
    /// A session on a connection that Bustard opened.
    pub(crate) fn own(link: &'s mut L, cancelled: Arc<AtomicBool>, patience: Duration) -> Self {
        PostgresSession {
            own: true,
            cancelled: Some(cancelled),
            watches_client: true,
            ..PostgresSession::of_caller(link, patience)
        }
    }

    /// Takes what the server says from the inbox of the connection.
    pub(crate) fn with_inbox(self, inbox: &Inbox) -> Self {
        PostgresSession { inbox: Some(inbox.clone()), ..self }
    }

    /// A session on a connection that belongs to the caller.
    pub(crate) fn of_caller(link: &'s mut L, patience: Duration) -> Self {
        PostgresSession {
            link,
            own: false,
            resolved: Vec::new(),
            rights: Rights::default(),
            cancelled: None,
            patience: Patience::new(patience),
            watches_client: false,
            inbox: None,
        }
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

    /// Judges the error of work that began at this time: the run was cancelled, or has
    /// waited for too long.
    fn failed(&mut self, error: Error, started: Instant) -> Error {
        if error.sqlstate() == Some(lock::NOT_AVAILABLE) {
            self.patience.spend_since(started);
            if self.patience.left().is_zero() {
                return lock::blocked(&mut Looking::new(self.link, &self.patience), &self.patience, error);
            }
        }
        let error = self.as_cancelled(error);
        self.link.limit(Some(EXPLANATION));
        let error = explain(self.link, error);
        self.link.limit(None);
        error
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
        let started = Instant::now();
        let read = history::read(&mut Looking::new(self.link, &self.patience), tables, queries, &self.rights)
            .map_err(|error| self.failed(error, started))?;
        self.resolved = read.resolved;
        Ok((read.histories, read.rows))
    }

    fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        let started = Instant::now();
        let sent = Looking::new(self.link, &self.patience).send(sql, true).all();
        let results = sent.map_err(|failure| self.failed(failure.into_error(), started))?;
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
        let started = Instant::now();
        let begin = Begin {
            own: self.own,
            tables: opening.tables,
            resolved: &self.resolved,
            rights: &self.rights,
            query: opening.query,
            cancelled: self.cancelled.as_deref(),
            patience: &self.patience,
            watch_client: self.watches_client,
            inbox: self.inbox.as_ref(),
            on_notice: opening.on_notice,
        };
        let mut ended = Ended::default();
        let attempted = match attempt(self.link, &begin, work, &mut ended) {
            Err(_) if ended.cannot_watch => {
                log::info!("the server does not notice clients that have died");
                self.watches_client = false;
                return self.attempt(opening, work);
            }
            Ok(attempted) => attempted,
            Err(error) => {
                let error = match ended.refused {
                    Some(failure) => self.refused(failure),
                    None => error,
                };
                return Err(self.failed(error, started));
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

    fn patience(&mut self) -> &mut Patience {
        &mut self.patience
    }

    fn lock_not_obtained(&mut self) -> Error {
        lock::not_obtained(&mut Looking::new(self.link, &self.patience), &self.patience)
    }
}

/// How a transaction begins.
struct Begin<'b> {
    own: bool,
    tables: &'b [HistoryTable],
    resolved: &'b [Resolved],
    rights: &'b Rights,
    query: Option<&'b str>,
    cancelled: Option<&'b AtomicBool>,
    patience: &'b Patience,
    watch_client: bool,
    inbox: Option<&'b Inbox>,
    on_notice: &'b (dyn Fn(Notice) + Sync),
}

/// What an attempt returns in addition to its result.
#[derive(Default)]
struct Ended {
    /// The apps whose history tables it created.
    made: Vec<String>,
    /// The failure of the message that begins with the guard.
    refused: Option<Failure>,
    /// The server cannot watch its clients. The work has not been called.
    cannot_watch: bool,
}

/// Makes one attempt.
fn attempt<L: Transactional>(
    link: &mut L,
    begin: &Begin<'_>,
    work: Work<'_>,
    ended: &mut Ended,
) -> Result<Attempt> {
    let Begin { tables, resolved, query, cancelled, .. } = *begin;
    let limits = lock::limits(begin.patience, begin.watch_client);
    // The guard comes before the histories are read. The state comes first, because neither
    // the lock nor the limits are part of it.
    let guard = begin.rights.guard(resolved.iter().map(|table| table.quoted.as_str()));
    let mut opening = format!(
        "{};{},{guard};{limits};{}",
        SessionState::query(begin.own),
        lock::obtain(),
        history::lookup(tables, "")
    );
    for table in resolved.iter().filter(|table| table.width.is_some()) {
        opening.push(';');
        opening.push_str(&crate::sql::applied_query(&table.quoted));
    }
    if let Some(query) = query {
        opening.push(';');
        opening.push_str(query);
    }
    let (open, mut results) = match link.begin(&opening, answer_within(begin.patience)) {
        Ok(begun) => begun,
        Err(failure) if begin.watch_client && failure.server_message.code.as_deref() == Some("22023") => {
            ended.cannot_watch = true;
            return Err(failure.into_error());
        }
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
    let mut read = results.split_off(4.min(results.len())).into_iter();
    let places = results.pop().unwrap_or_default();
    results.truncate(2);
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
        state: SessionState::of(state, begin.patience.milliseconds()),
        limits,
        queued: Vec::new(),
        migration: None,
        entered: 0,
        touched: false,
        cleans_up: false,
        notices: Notices::new(begin.on_notice, begin.inbox.cloned()),
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
