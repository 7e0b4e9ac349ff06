//! Begins and commits transactions, and hands them to functions. On Bustard's own
//! connection, a transaction is two messages. On a connection that the caller handed over,
//! the driver begins and commits the transaction.

use std::time::Duration;

use super::simple_query::{Answer, Hear, Link, Own};
use super::{copy, outside};
use crate::engine::{Failure, Row};
use crate::error::{Error, ErrorKind, Result, ServerMessage};
use crate::model::{Engine, Function, Native, OpenTransaction};

/// A link that can begin transactions.
pub(crate) trait Transactional: Link {
    /// A transaction on the link. Dropping it rolls back.
    type Open<'o>: Link + Ending
    where
        Self: 'o;

    /// Begins a transaction, and sends `sql` in it. Rows are kept. A server that does not
    /// answer in time is given up.
    fn begin(&mut self, sql: &str, limit: Duration) -> Result<(Self::Open<'_>, Vec<Vec<Row>>), Failure>;
}

/// The end of a transaction.
pub(crate) trait Ending: Sized {
    /// Sends the remaining SQL and commits. The answer tells how many statements completed.
    fn commit(self, sql: &str, hear: Hear<'_>) -> Answer;

    /// Runs `COPY … FROM stdin` with these rows, by the copy protocol.
    fn copy_in(&mut self, sql: &str, rows: &str, hear: Hear<'_>) -> Option<Failure>;

    /// Calls a function with the driver's transaction.
    fn call(&mut self, function: &Function) -> Result<()>;

    /// Sets the SQL that a rollback sends in the same message, so that a pooler cannot give
    /// the connection to another client before this SQL runs. A rollback does not undo
    /// everything that a statement has done to its session.
    fn clean_up_with(&mut self, sql: String);
}

/// How long to wait for a rollback. A server that has not answered then rolls back when it
/// notices that the connection is gone.
const ROLLBACK: Duration = Duration::from_secs(10);

pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// A transaction on a connection of Bustard's own.
pub(crate) struct OwnTransaction<'o> {
    link: &'o mut Own,
    ended: bool,
    clean_up: Option<String>,
}

impl Transactional for Own {
    type Open<'o> = OwnTransaction<'o>;

    fn begin(&mut self, sql: &str, limit: Duration) -> Result<(OwnTransaction<'_>, Vec<Vec<Row>>), Failure> {
        let transaction = OwnTransaction { link: self, ended: false, clean_up: None };
        transaction.link.limit(Some(limit));
        let answer = transaction.link.send(&format!("{BEGIN};{sql}"), true);
        transaction.link.limit(None);
        let mut results = answer.all()?;
        results.remove(0);
        Ok((transaction, results))
    }
}

impl Link for OwnTransaction<'_> {
    const COUNTS: bool = true;

    fn send_and_hear(&mut self, sql: &str, keep: bool, hear: Hear<'_>) -> Answer {
        self.link.send_and_hear(sql, keep, hear)
    }
}

impl Ending for OwnTransaction<'_> {
    fn commit(mut self, sql: &str, hear: Hear<'_>) -> Answer {
        let separator = if sql.is_empty() { "" } else { ";\n" };
        let answer = self.link.send_and_hear(&format!("{sql}{separator}COMMIT"), false, hear);
        self.ended = answer.failure.is_none();
        answer
    }

    fn copy_in(&mut self, sql: &str, rows: &str, hear: Hear<'_>) -> Option<Failure> {
        self.link.copy_in(sql, rows, hear)
    }

    fn call(&mut self, function: &Function) -> Result<()> {
        let message =
            format!("the function {} needs a connection that can be handed to it", function.label());
        Err(Error::new(ErrorKind::Failed, message))
    }

    fn clean_up_with(&mut self, sql: String) {
        self.clean_up = Some(sql);
    }
}

impl Drop for OwnTransaction<'_> {
    fn drop(&mut self) {
        if !self.ended {
            roll_back(self.link, self.clean_up.as_deref().unwrap_or_default());
        }
    }
}

fn roll_back(link: &mut impl Link, clean_up: &str) {
    link.limit(Some(ROLLBACK));
    let answer = link.send(&format!("ROLLBACK;{clean_up}"), false);
    link.limit(None);
    match answer.failure {
        None => {}
        // If the connection is dead, there is nothing to roll back.
        Some(failure) if failure.kind == ErrorKind::Connection => {}
        Some(failure) => {
            log::warn!("the session could not be cleaned up: {}", failure.server_message.message);
        }
    }
}

/// A transaction of the driver; `None` after the commit. Dropping it waits for the
/// rollback.
pub(crate) struct DriverTransaction<'o> {
    open: Option<postgres::Transaction<'o>>,
    clean_up: Option<String>,
}

impl Transactional for postgres::Client {
    type Open<'o> = DriverTransaction<'o>;

    fn begin(
        &mut self,
        sql: &str,
        _limit: Duration,
    ) -> Result<(DriverTransaction<'_>, Vec<Vec<Row>>), Failure> {
        let begun = outside(|| {
            self.build_transaction()
                .isolation_level(postgres::IsolationLevel::ReadCommitted)
                .read_only(false)
                .start()
        });
        let mut transaction =
            DriverTransaction { open: Some(begun.map_err(|error| super::failure(&error))?), clean_up: None };
        let results = transaction.send(sql, true).all()?;
        Ok((transaction, results))
    }
}

const OVER: &str = "the transaction has been committed";

fn over() -> Failure {
    let server_message = Box::new(ServerMessage { message: OVER.to_owned(), ..ServerMessage::default() });
    Failure { kind: ErrorKind::Failed, server_message, offset: None, advice: None }
}

impl Link for DriverTransaction<'_> {
    const COUNTS: bool = false;

    fn send_and_hear(&mut self, sql: &str, keep: bool, hear: Hear<'_>) -> Answer {
        match &mut self.open {
            Some(transaction) => transaction.send_and_hear(sql, keep, hear),
            None => Answer { failure: Some(over()), ..Answer::default() },
        }
    }
}

impl Ending for DriverTransaction<'_> {
    fn commit(mut self, sql: &str, hear: Hear<'_>) -> Answer {
        let mut answer = match sql.is_empty() {
            true => Answer::default(),
            false => self.send_and_hear(sql, false, hear),
        };
        if answer.failure.is_none() {
            match outside(|| self.open.take().map_or(Ok(()), postgres::Transaction::commit)) {
                Ok(()) => answer.completed += 1,
                Err(error) => answer.failure = Some(super::failure(&error)),
            }
        }
        answer
    }

    fn copy_in(&mut self, sql: &str, rows: &str, _hear: Hear<'_>) -> Option<Failure> {
        match &mut self.open {
            Some(transaction) => outside(|| copy::send_sync(transaction, sql, rows)),
            None => Some(over()),
        }
    }

    fn call(&mut self, function: &Function) -> Result<()> {
        let Some(transaction) = &mut self.open else { return Err(Error::new(ErrorKind::Failed, OVER)) };
        // The function blocks on the network as well.
        let called = outside(|| function.call(&mut OpenTransaction::new(transaction)));
        called.map_err(|error| {
            let refused = error.downcast_ref().map(|error| super::failure(error).into_error_of_migration());
            crate::engine::function_failed(function, error, refused)
        })
    }

    fn clean_up_with(&mut self, sql: String) {
        self.clean_up = Some(sql);
    }
}

impl Drop for DriverTransaction<'_> {
    fn drop(&mut self) {
        let mut transaction = self.open.take();
        if let (Some(open), Some(clean_up)) = (&mut transaction, &self.clean_up) {
            // The driver then rolls back once more, so it needs an open transaction.
            roll_back(open, &format!("{clean_up};BEGIN"));
        }
        outside(|| drop(transaction));
    }
}

impl<'c> Native<'c> for postgres::Transaction<'c> {
    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn execute(&mut self, sql: &str) -> Result<()> {
        self.batch_execute(sql).map_err(|error| super::failure(&error).into_error_of_migration())
    }

    fn postgres(&mut self) -> Option<&mut postgres::Transaction<'c>> {
        Some(self)
    }
}
