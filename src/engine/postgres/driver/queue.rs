//! A transaction whose statements are queued, and sent in messages of at most 64 KB, the
//! last of them with COMMIT.
//!
//! In: statements of migrations. Out: messages on a [`Link`].

use std::sync::atomic::{AtomicBool, Ordering};

use super::copy::Copy;
use super::history::{Resolved, place};
use super::lock::READ_TEXT;
use super::message::{SEPARATOR, at_commit, blame, flush_together, in_migration, lost, message};
use super::notices::{Notices, Sent};
use super::queued::Queued;
use super::quote_text;
use super::session_state::{CHECK_CONSTRAINTS, CHECK_EACH_CONSTRAINT, SessionState};
use super::simple_query::Link;
use super::transactional::Ending;
use crate::diagnostic::{Action, Advice, Place};
use crate::engine::inspector::Inspector;
use crate::engine::postgres::{POSTGRES, PostgresInspector, PostgresRegistry};
use crate::engine::registry::Registry;
use crate::engine::{Row, Transaction};
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint;
use crate::model::{self, Form, Function, Statement};
use crate::sql::Dialect;

/// The most bytes in a message of several statements. The server keeps the parse trees of a
/// whole message, which are many times as large as its text.
pub(super) const WINDOW: usize = 1 << 16;

/// A transaction's statements that have not been sent yet.
pub(super) struct Queue<'q, T> {
    pub(super) open: T,
    pub(super) resolved: &'q [Resolved],
    /// Fails if another role owns one of Bustard's objects or a history.
    pub(super) guard: String,
    /// Apps whose history tables the transaction creates.
    pub(super) made: Vec<String>,
    /// The state of the session before the transaction.
    pub(super) state: SessionState,
    /// The statement that sets how text is read, and how long the transaction waits.
    pub(super) limits: String,
    pub(super) queued: Vec<Queued>,
    /// The bytes of the queued statements.
    pub(super) bytes: usize,
    pub(super) cancelled: Option<&'q AtomicBool>,
    pub(super) migration: Option<(String, String)>,
    /// The number of migrations in this transaction.
    pub(super) entered: usize,
    /// A migration has run its own statements, which may have changed the session's
    /// state.
    pub(super) touched: bool,
    /// A rollback removes what the migrations have left in the session.
    pub(super) cleans_up: bool,
    /// What the server says.
    pub(super) notices: Notices<'q>,
}

impl<T: Link + Ending> Queue<'_, T> {
    pub(super) fn commit(mut self) -> Result<()> {
        if !T::COUNTS {
            self.flush()?;
        }
        let message = message(&self.queued);
        let queued = self.queued;
        let sent = Sent::new(&queued);
        let mut notices = self.notices;
        let answer = self.open.commit(&message, &mut |at, said| notices.hear(&sent, at, said));
        drop(notices);
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
        self.bytes = 0;
        if T::COUNTS {
            return flush_together(&mut self.open, &queued, &mut self.notices);
        }
        for one in queued.chunks(1) {
            flush_together(&mut self.open, one, &mut self.notices)?;
        }
        Ok(())
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
        if matches!(statement.form, Form::CopyIn { .. } | Form::CopyStored { .. }) {
            return self.copy(&statement);
        }
        self.queue(statement)
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
        self.notices.discard();
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
        // They are settings too.
        statements.push(self.limits.clone());
        if !T::COUNTS {
            // Otherwise each statement would be a round trip.
            statements = vec![statements.join(SEPARATOR)];
        }
        statements.into_iter().try_for_each(|sql| self.queue(Statement::generated(sql, None)))
    }

    fn call(&mut self, function: &Function) -> Result<()> {
        self.touch();
        self.guard()?;
        let called = self.open.call(function);
        self.notices.collect_of(self.migration.as_ref(), &Sent::new(&[]));
        called.map_err(|error| in_migration(error, self.migration.as_ref()))?;
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

    /// Runs a COPY with its rows, after everything that is queued.
    fn copy(&mut self, statement: &Statement) -> Result<()> {
        let Some(copy) = Copy::of(statement) else { return Ok(()) };
        if let Some(check) = copy.check() {
            self.queue(Statement::generated(check, statement.place.clone()))?;
        }
        self.flush()?;
        let unreadable = |error| {
            let file = statement.place.as_ref().map(|place| Place::file(place.path()));
            model::unreadable(&error, file)
        };
        let mut rows = copy.rows().map_err(unreadable)?;
        let queued = [Queued { statement: copy.statement(), migration: self.migration.clone() }];
        let sent = Sent::of_copy(&queued);
        let notices = &mut self.notices;
        let hear = &mut |completed, message: &_| notices.hear(&sent, completed, message);
        let failure = self.open.copy_in(copy.sql, &mut rows, hear);
        self.notices.collect(&sent);
        if let Some(error) = rows.error {
            return Err(unreadable(error));
        }
        let Some(mut failure) = failure else { return failpoint::pass(copy.sql) };
        let place = copy.place(&failure.server_message, rows.lines);
        copy.without_secrets(&mut failure.server_message, rows.lines);
        let error = blame(&queued, 0, failure);
        Err(if place.is_some() { error.at(place) } else { error })
    }

    fn queue(&mut self, statement: Statement) -> Result<()> {
        let point = failpoint::one_by_one().then(|| statement.sql.clone());
        let bytes = statement.sql.len() + SEPARATOR.len();
        if self.bytes + bytes > WINDOW && !self.queued.is_empty() {
            self.flush()?;
            // Between two messages, the server has no statement to cancel.
            self.check_cancelled()?;
        }
        self.bytes += bytes;
        self.queued.push(Queued { statement, migration: self.migration.clone() });
        match point {
            Some(sql) => self.flush().and_then(|()| failpoint::pass(&sql)),
            None => Ok(()),
        }
    }

    fn check_cancelled(&self) -> Result<()> {
        match self.cancelled {
            Some(flag) if flag.load(Ordering::SeqCst) => Err(Error::new(ErrorKind::Cancelled, "cancelled")),
            _ => Ok(()),
        }
    }

    /// Sets a savepoint before a function. Then [`release`](Self::release) can tell whether
    /// the transaction is still the same and has not failed.
    fn guard(&mut self) -> Result<()> {
        self.queue(Statement::generated("SAVEPOINT bustard", None))?;
        self.flush()
    }

    fn release(&mut self, who: &str) -> Result<()> {
        let answer = self.open.send(&format!("RELEASE SAVEPOINT bustard{SEPARATOR}{READ_TEXT}"), false);
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
