//! PostgreSQL: Bustard's own connections over tokio-postgres, and connections that a
//! caller hands over as `postgres::Client`.

#[cfg(feature = "tokio")]
mod asynchronous;
mod attempt;
mod attributes;
mod blocking;
mod configure;
mod connect;
mod copy;
mod environment;
mod explain;
mod failure;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod fuzz_targets;
mod history;
mod keywords;
#[cfg(test)]
mod keywords_tests;
mod lock;
mod message;
mod notices;
mod observer;
mod pgpass;
mod queue;
mod queued;
mod service;
mod session;
mod session_state;
mod settings;
mod simple_query;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod transactional;
mod url;

pub(crate) use blocking::outside;
pub(crate) use connect::{connect, connect_sync};
pub(crate) use failure::failure;
pub(crate) use notices::Inbox;
pub(crate) use observer::PostgresObserver;
pub(crate) use session::PostgresSession;
use simple_query::{Answer, Link, Looking};
pub(crate) use simple_query::{Own, cancel};
pub(crate) use target::Target;
pub(crate) use url::is_postgres;

use std::time::Duration;

use crate::diagnostic::{Action, Advice};
use crate::engine::patience::Patience;
use crate::engine::postgres::{POSTGRES, PostgresRegistry};
use crate::engine::registry::Registry;
use crate::engine::{Commit, Connection, Executor, GLANCE, READING, Row, Session, sealed};
use crate::error::{ErrorKind, Result};
use crate::sql::Dialect;

impl Connection for postgres::Client {}

impl sealed::Connection for postgres::Client {
    fn dialect(&self) -> &'static dyn Dialect {
        POSTGRES
    }

    fn session(&mut self, _functions: bool, patience: Duration) -> Result<Box<dyn Session + '_>> {
        // Inside a transaction, the time of the transaction is older than the time of this
        // statement.
        let open = "SELECT pg_catalog.transaction_timestamp() OPERATOR(pg_catalog.<>) pg_catalog.statement_timestamp()";
        let open = match self.send(open, true).all() {
            Ok(mut results) => results.pop().and_then(|mut rows| rows.pop()?.pop()?).as_deref() == Some("t"),
            // There is an open transaction, which has failed.
            Err(failure) if failure.server_message.code.as_deref() == Some("25P02") => true,
            Err(failure) => return Err(failure.into_error()),
        };
        if open {
            Err(crate::engine::in_transaction())
        } else {
            Ok(Box::new(PostgresSession::of_caller(self, patience)))
        }
    }
}

fn registry_rows(link: &mut impl Link, sql: &str) -> Result<Vec<Row>> {
    registry_answer(link.send(sql, true))
}

/// The advice if the role of an application or the role that migrates lacks a right.
const NO_RIGHT: &str = "to read and invalidate, the role must be in `grant` (in a configuration, under [registry]), if \
    there is one; registering is for the role that migrates";

fn registry_answer(answer: Answer) -> Result<Vec<Row>> {
    match answer.all() {
        Ok(results) => Ok(results.into_iter().next_back().unwrap_or_default()),
        Err(mut failure) => {
            if failure.is_cache() {
                failure.kind = ErrorKind::Cache;
            }
            let advice = match failure.server_message.code.as_deref() {
                Some("3F000" | "42883" | "42P01") => {
                    Advice::text("this database has no registry yet: run ").then(Action::Migrate)
                }
                Some("42501") => NO_RIGHT.into(),
                _ => return Err(failure.into_error()),
            };
            Err(failure.into_error().help(advice))
        }
    }
}

macro_rules! executors {
    ($($executor:ty: $commits:literal),*) => {$(
        impl Executor for $executor {}

        impl sealed::Executor for $executor {
            fn dialect(&self) -> &'static dyn Dialect {
                POSTGRES
            }

            fn registry(&self) -> &'static dyn Registry {
                &PostgresRegistry
            }

            fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
                registry_rows(self, sql)
            }

            fn commits(&self) -> bool {
                $commits
            }
        }
    )*};
}

executors!(postgres::Client: true, postgres::Transaction<'_>: false);

impl Commit for postgres::Transaction<'_> {}

impl sealed::Commit for postgres::Transaction<'_> {
    fn commit(self) -> Result<()> {
        postgres::Transaction::commit(self).map_err(|error| failure(&error).into_error())
    }
}

impl Own {
    /// Runs one statement of the registry that only reads.
    pub(crate) fn rows(&mut self, sql: &str) -> Result<Vec<Row>> {
        // The statement is a transaction of its own, and READ COMMITTED keeps it from
        // making other transactions fail.
        registry_rows(&mut Looking::new(self, &Patience::new(GLANCE)), &format!("{READING};{sql}"))
    }

    /// Runs one statement that writes, in a transaction with the same settings as those of
    /// the migrator.
    pub(crate) fn write(&mut self, sql: &str) -> Result<()> {
        let patience = Patience::new(GLANCE);
        let limits = lock::limits(&patience, false);
        self.limit(Some(simple_query::answer_within(&patience)));
        let written = registry_rows(self, &format!("{};{limits};{sql};COMMIT", transactional::BEGIN));
        if written.is_err() {
            // If the connection is dead, there is nothing to roll back.
            let _ = self.send("ROLLBACK", false);
        }
        self.limit(None);
        match written {
            Err(error) if error.sqlstate() == Some(lock::NOT_AVAILABLE) => {
                Err(lock::blocked(&mut Looking::new(self, &patience), &patience, error))
            }
            written => written.map(drop),
        }
    }
}

/// Quotes a string so that its meaning does not depend on `standard_conforming_strings`.
pub(crate) fn quote_text(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}
