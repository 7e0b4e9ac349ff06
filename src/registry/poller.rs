//! Looking at the versions of all caches again and again, through an [`Observer`]:
//! cheaply while nothing has changed, and knowing how old the answer is.
//!
//! Notifications only say when to look. What keeps them from coming, a hot standby
//! or a pooler that changes connections, is found out here, so that it does no harm
//! to others; correctness never depends on it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{single, strange};
use crate::engine::observer::{Bell, Observer, Woken};
use crate::engine::{READING, Row};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Identity;

/// A registered cache, as a look has seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub name: String,
    pub app: Option<String>,
    pub identity: Identity,
}

/// What a look has found.
#[derive(Debug)]
pub(crate) struct Look {
    /// Those of the wanted caches that are registered, and perhaps others; `None`
    /// if nothing has changed since the last look.
    pub caches: Option<Vec<Seen>>,
    /// How much older than the look the state may be that it has seen: nothing, but
    /// on a hot standby. [`Duration::MAX`] if nobody knows.
    pub age: Duration,
}

/// Naming more caches than this is not worth it: of 100,000, naming 5,000 takes an
/// eighth of the time that reading all of them does.
const MOST_NAMED: usize = 10_000;

/// By how much the clock of a primary may be ahead of its standby's, in microseconds.
const CLOCKS_DIFFER: i64 = 1_000_000;

/// More unfolded events than this are worth a fold.
const WORTH_FOLDING: u64 = 1000;

/// More than this, and nobody folds who should.
const TOO_MANY: u64 = 10_000;

/// How long nobody folds here after a fold that did not end in time: connecting anew
/// after every look would be worse than many events.
const FOLD_PAUSE: Duration = Duration::from_secs(60);

/// Looks.
pub(crate) struct Looker {
    observer: Box<dyn Observer>,
    /// What the last look on this connection has seen, told from everything else by
    /// these values: the sum on PostgreSQL, `data_version` on SQLite.
    known: Option<Vec<String>>,
    wanted: Option<Vec<String>>,
    server: Server,
    may_fold: bool,
    /// Not before then: the last fold has cost the connection.
    fold_from: Option<Instant>,
    /// What has been said once, and needs not be said again.
    said: BTreeSet<&'static str>,
}

/// What is known of a PostgreSQL server, from the last look or before it.
#[derive(Default)]
struct Server {
    /// The process that serves the connection.
    served_by: Option<i32>,
    /// Not always the same one does.
    pooled: bool,
    /// It is a hot standby.
    standby: bool,
    /// Who receives what a hot standby replays; the outer `None` before the first look.
    receiver: Option<Option<String>>,
    unfolded: u64,
}

impl Looker {
    pub(crate) fn new(observer: Box<dyn Observer>) -> Self {
        Looker {
            observer,
            known: None,
            wanted: None,
            server: Server::default(),
            may_fold: true,
            fold_from: None,
            said: BTreeSet::new(),
        }
    }

    /// What other threads ring.
    pub(crate) fn bell(&self) -> Arc<dyn Bell> {
        self.observer.bell()
    }

    /// Connects anew, forgets what is known, and listens where that works.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Connection`], and [`ErrorKind::Cancelled`] after the bell's stop.
    pub(crate) fn connect(&mut self, deadline: Instant) -> Result<()> {
        self.known = None;
        self.server = Server { pooled: self.server.pooled, ..Server::default() };
        self.observer.connect(deadline)?;
        self.listen(deadline)
    }

    fn listen(&mut self, deadline: Instant) -> Result<()> {
        if !self.observer.dialect().has_schemas() || self.server.pooled {
            return Ok(());
        }
        match self.observer.rows(None, super::postgres::LISTEN, deadline) {
            Ok(rows) => {
                self.server.served_by = single(&rows).and_then(|process| process.parse().ok());
                if let Some(process) = self.server.served_by {
                    self.observer.served_by(process);
                }
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::Connection | ErrorKind::Cancelled) => Err(error),
            Err(error) => {
                // Cannot be executed during recovery.
                self.server.standby = error.sqlstate() == Some("25006");
                match self.server.standby {
                    true => self.say_standby(),
                    false => self.say(
                        "LISTEN",
                        &format!("notifications are not listened to, so caches are polled: {error}"),
                    ),
                }
                Ok(())
            }
        }
    }

    fn say(&mut self, what: &'static str, message: &str) {
        if self.said.insert(what) {
            log::info!("{message}");
        }
    }

    fn say_standby(&mut self) {
        self.say("standby", "the database is a hot standby, where nobody is notified: caches are polled");
    }

    /// Looks, and with `notify` tells others to look. Caches that are `wanted`, or
    /// all of them, are read where anything has changed since the last look on this
    /// connection, or others are wanted than then.
    ///
    /// # Errors
    ///
    /// As [`Observer::rows`], and [`ErrorKind::Database`] where there is no registry,
    /// or this role may not read it.
    pub(crate) fn look(&mut self, wanted: Option<&[&str]>, notify: bool, deadline: Instant) -> Result<Look> {
        let same = match (&self.wanted, wanted) {
            (None, None) => true,
            (Some(before), Some(now)) => before.iter().map(String::as_str).eq(now.iter().copied()),
            _ => false,
        };
        if !same {
            self.known = None;
            self.wanted = wanted.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        }
        let named = wanted.filter(|names| names.len() <= MOST_NAMED);
        match self.observer.dialect().has_schemas() {
            true => self.look_at_postgres(named, notify, deadline),
            false => self.look_at_sqlite(named, deadline),
        }
    }

    fn look_at_sqlite(&mut self, wanted: Option<&[&str]>, deadline: Instant) -> Result<Look> {
        // Before the caches: what changes in between is seen by the next look.
        let version = self.observer.rows(None, super::sqlite::DATA_VERSION, deadline)?;
        let version = vec![single(&version).ok_or_else(strange)?.to_owned()];
        if self.known.as_ref() == Some(&version) {
            return Ok(Look { caches: None, age: Duration::ZERO });
        }
        let rows = self.read(None, &super::sqlite::snapshot(wanted), deadline)?;
        let caches = rows.into_iter().map(seen).collect::<Result<_>>()?;
        self.known = Some(version);
        Ok(Look { caches: Some(caches), age: Duration::ZERO })
    }

    fn look_at_postgres(&mut self, wanted: Option<&[&str]>, notify: bool, deadline: Instant) -> Result<Look> {
        // Before the caches: what is replayed in between is seen as well.
        let age = if self.server.standby { self.lag(deadline)? } else { Duration::ZERO };
        let known =
            self.known.as_deref().and_then(|known| Some((known.first()?.as_str(), known.get(1)?.as_str())));
        let sql = super::postgres::look(known, wanted);
        let ahead = match (self.server.standby, self.server.pooled, notify) {
            (true, ..) | (false, false, false) => None,
            (false, false, true) => Some(super::postgres::NOTIFY.to_owned()),
            (false, true, false) => Some(super::postgres::UNLISTEN.to_owned()),
            (false, true, true) => Some(format!("{};{}", super::postgres::UNLISTEN, super::postgres::NOTIFY)),
        };
        let mut rows = self.read(ahead.as_deref(), &sql, deadline).map_err(explain)?.into_iter();

        let first = rows.next().and_then(|row| <[_; 7]>::try_from(row).ok()).ok_or_else(strange)?;
        let [_, _, n, nonce, unfolded, process, standby] = first;
        self.notice_process(process.and_then(|process| process.parse().ok()));
        if standby.as_deref() == Some("t") && !self.server.standby {
            self.server.standby = true;
            self.say_standby();
            return self.look_at_postgres(wanted, notify, deadline);
        }
        let total = vec![n.ok_or_else(strange)?, nonce.ok_or_else(strange)?];
        let caches = match self.known.as_ref() == Some(&total) {
            true => None,
            false => Some(rows.map(seen).collect::<Result<_>>()?),
        };
        self.server.unfolded = unfolded.and_then(|count| count.parse().ok()).ok_or_else(strange)?;
        self.known = Some(total);
        Ok(Look { caches, age })
    }

    /// A direct connection is served by one process for ever.
    fn notice_process(&mut self, process: Option<i32>) {
        let before = std::mem::replace(&mut self.server.served_by, process);
        if before.is_some() && before != process && !self.server.pooled {
            self.server.pooled = true;
            self.say(
                "pooled",
                "the database is reached through a pooler that changes connections, so notifications do not arrive: caches are polled",
            );
        }
    }

    /// How old the state of a hot standby may be. If it has been promoted, which
    /// sessions survive, there is something to listen to.
    fn lag(&mut self, deadline: Instant) -> Result<Duration> {
        let mut rows = self.read(None, super::postgres::STANDBY, deadline)?;
        let row = rows.pop().and_then(|row| <[_; 5]>::try_from(row).ok()).ok_or_else(strange)?;
        let [standby, receiver, caught_up, heard, replayed] = row;
        if standby.as_deref() == Some("f") {
            self.server.standby = false;
            self.listen(deadline)?;
            return Ok(Duration::ZERO);
        }
        let since = |microseconds: Option<String>| {
            let microseconds = microseconds?.parse::<i64>().ok()?;
            // Two clocks are never quite the same; one that is far ahead tells nothing.
            Some(match microseconds {
                ahead if ahead < -CLOCKS_DIFFER => Duration::MAX,
                _ => Duration::from_micros(microseconds.max(0).unsigned_abs()),
            })
        };
        let replayed = since(replayed).unwrap_or(Duration::MAX);
        let before = self.server.receiver.replace(receiver.clone());
        // One that has only just begun to receive may not have got anything yet.
        let settled = receiver.is_some() && before.is_none_or(|before| before == receiver);
        if !settled || caught_up.as_deref() != Some("t") {
            return Ok(replayed);
        }
        let heard = since(heard).unwrap_or_else(|| {
            self.say(
                "pg_read_all_stats",
                "this role may not see when the hot standby last heard from its primary; if they lose touch, that is \
                 noticed only after the standby's wal_receiver_timeout (GRANT pg_read_all_stats would change that)",
            );
            Duration::ZERO
        });
        Ok(heard.min(replayed))
    }

    /// Reads tables, and is in nobody's way.
    fn read(&mut self, ahead: Option<&str>, sql: &str, deadline: Instant) -> Result<Vec<Row>> {
        match self.observer.dialect().has_schemas() {
            true => self.observer.rows(ahead, &format!("{READING};{sql}"), deadline),
            false => self.observer.rows(ahead, sql, deadline),
        }
    }

    /// Folds, if the last look has seen so many events that it is worth it, and
    /// this role may. Failing does no harm.
    pub(crate) fn fold(&mut self, deadline: Instant) {
        let unfolded = std::mem::take(&mut self.server.unfolded);
        let too_early = self.fold_from.is_some_and(|from| Instant::now() < from);
        if unfolded <= WORTH_FOLDING || self.server.standby || too_early {
            return;
        }
        if self.may_fold {
            let Err(error) = self.observer.rows(None, super::postgres::FOLD, deadline) else { return };
            log::debug!("invalidations could not be folded: {error}");
            self.may_fold = error.sqlstate() != Some("42501");
            if error.kind() != ErrorKind::Database {
                // If it takes longer than it may, it does so each time.
                self.fold_from = Some(Instant::now() + FOLD_PAUSE);
                return;
            }
            // The transaction is still open.
            if let Err(error) = self.observer.rows(None, "ROLLBACK", deadline) {
                log::debug!("the transaction could not be rolled back: {error}");
                return;
            }
        }
        if !self.may_fold && unfolded > TOO_MANY && self.said.insert("fold") {
            let role = self.observer.rows(None, super::postgres::ROLE, deadline).ok();
            let role = role.as_deref().and_then(single).unwrap_or("this role");
            log::warn!(
                "{unfolded} invalidations have not been folded, which makes reading versions slow: call bustard.fold() \
                 now and then, as a cron job does, or GRANT EXECUTE ON FUNCTION bustard.fold() TO {role}"
            );
        }
    }

    /// The names of all registered caches.
    ///
    /// # Errors
    ///
    /// As [`Observer::rows`].
    pub(crate) fn names(&mut self, deadline: Instant) -> Result<Vec<String>> {
        let rows = self.read(None, super::names_query(self.observer.dialect()), deadline)?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    /// Whether all looks on this connection are at one server.
    pub(crate) fn is_direct(&self) -> bool {
        !self.server.pooled
    }

    /// Has the next look read everything anew.
    pub(crate) fn forget(&mut self) {
        self.known = None;
    }

    /// Waits until it is time to look.
    ///
    /// # Errors
    ///
    /// As [`Observer::wait`].
    pub(crate) fn wait(&mut self, until: Instant) -> Result<Woken> {
        self.observer.wait(until)
    }
}

/// A row of name, app, count and nonce, and whatever follows.
fn seen(row: Row) -> Result<Seen> {
    let mut columns = row.into_iter();
    let mut next = || columns.next().flatten();
    let (name, app, n, nonce) = (next(), next(), next(), next());
    let number = |text: Option<String>| text?.parse().ok();
    match (name, number(n), number(nonce)) {
        (Some(name), Some(n), Some(nonce)) => Ok(Seen { name, app, identity: Identity { n, nonce } }),
        _ => Err(strange()),
    }
}

/// Says what to do about a registry that cannot be looked at.
fn explain(error: Error) -> Error {
    match error.sqlstate() {
        Some("3F000" | "42883" | "42P01") => error
            .with_message("this database has no registry yet, or an older one")
            .help("run `bustard migrate`"),
        Some("42501") => error
            .with_message("this role may not read the versions of caches")
            .help("add it to `grant` (in a configuration, under [registry]) and run `bustard migrate`"),
        _ => error,
    }
}

#[cfg(test)]
mod tests;
