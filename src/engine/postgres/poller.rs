//! Polls the versions of caches on a PostgreSQL server through an [`Observer`]. A poll is
//! cheap while nothing has changed. Its result includes the age of the state that was read.
//!
//! Notifications only shorten the wait for the next poll. Correctness never depends on
//! them. The poller detects a hot standby, which sends no notifications, and a pooler that
//! changes connections, where a LISTEN would affect other sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::key_snapshot::{Applied, KeySnapshot};
use super::registry;
use crate::diagnostic::{Action, Advice};
use crate::engine::observer::{Bell, Interest, Look, Observer, Poller, Seen, SeenKeys, Wanted, Woken, seen};
use crate::engine::registry::{not_a_version, single};
use crate::engine::{READING, Row};
use crate::error::{Error, ErrorKind, Result};
use crate::model::DatabaseId;
use crate::sql::RegistrySql;

/// The longest time, in microseconds, by which the clock of a primary may be ahead of the
/// clock of its standby.
const CLOCKS_DIFFER: i64 = 1_000_000;

/// The number of unfolded events above which a fold is worthwhile.
const WORTH_FOLDING: u64 = 1000;

/// The number of events that one fold moves: see `migrations/R__fold.postgres.sql`.
const FOLDED_AT_ONCE: u64 = 25_000;

/// The most folds after one poll.
const MOST_FOLDS: u64 = 40;

/// The time for which this poller does not fold after a fold that missed its deadline. Such
/// a fold ends the connection, and a reconnection after every poll would cost more than
/// unfolded events.
const FOLD_PAUSE: Duration = Duration::from_secs(60);

/// Reads versions on a server.
pub(crate) struct PostgresPoller {
    observer: Box<dyn Observer>,
    /// The total of all versions, which changes when the version of any cache changes.
    interest: Interest<[String; 2]>,
    /// The database of the last poll. Behind a pooler, the next poll may reach a copy, which
    /// can have the same total.
    database: DatabaseId,
    keys: KeySnapshot,
    server: Server,
    may_fold: bool,
    /// The earliest time of the next fold. It is set after a fold that ended the
    /// connection.
    fold_from: Option<Instant>,
    /// Messages that have been logged. Each is logged once.
    said: BTreeSet<&'static str>,
}

/// The known properties of a PostgreSQL server, from the last poll or an earlier one.
#[derive(Default)]
struct Server {
    /// The process that serves the connection.
    served_by: Option<i32>,
    /// Whether the serving process has changed, which means that there is a pooler.
    pooled: bool,
    /// Whether the server is a hot standby.
    standby: bool,
    /// The process of a hot standby that receives WAL. The outer option is `None` before
    /// the first poll.
    receiver: Option<Option<String>>,
    unfolded: u64,
}

impl PostgresPoller {
    pub(crate) fn new(observer: Box<dyn Observer>) -> Self {
        PostgresPoller {
            observer,
            interest: Interest::default(),
            database: DatabaseId::default(),
            keys: KeySnapshot::default(),
            server: Server::default(),
            may_fold: true,
            fold_from: None,
            said: BTreeSet::new(),
        }
    }

    fn listen(&mut self, deadline: Instant) -> Result<()> {
        if self.server.pooled {
            return Ok(());
        }
        match self.observer.rows(None, registry::LISTEN, deadline) {
            Ok(rows) => {
                self.server.served_by = single(&rows).and_then(|process| process.parse().ok());
                if let Some(process) = self.server.served_by {
                    self.observer.served_by(process);
                }
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::Connection | ErrorKind::Cancelled) => Err(error),
            Err(error) => {
                // On a hot standby, LISTEN fails with this code.
                self.server.standby = error.sqlstate() == Some("25006");
                match self.server.standby {
                    true => self.say_standby(),
                    false => self.say("LISTEN", &format!("LISTEN failed, so caches are polled: {error}")),
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
        self.say("standby", "the database is a hot standby, which sends no notifications: caches are polled");
    }

    fn read_versions(&mut self, wanted: Wanted<'_>, notify: bool, deadline: Instant) -> Result<Look> {
        // The lag is read before the caches, so that the poll includes everything that is
        // replayed in between.
        let age = if self.server.standby { self.lag(deadline)? } else { Duration::ZERO };
        let known = self.interest.known.as_ref().map(|[n, nonce]| (n.as_str(), nonce.as_str()));
        let sql = registry::look(known, wanted.caches, self.known_keys(wanted.keyed));
        let ahead = match (self.server.standby, self.server.pooled, notify) {
            (true, ..) | (false, false, false) => None,
            (false, false, true) => Some(registry::NOTIFY.to_owned()),
            (false, true, false) => Some(registry::UNLISTEN.to_owned()),
            (false, true, true) => Some(format!("{};{}", registry::UNLISTEN, registry::NOTIFY)),
        };
        let mut rows = self.read(ahead.as_deref(), &sql, deadline).map_err(explain)?.into_iter();

        let mut first = rows.next().ok_or_else(not_a_version)?;
        let mut database = first.split_off(7.min(first.len()));
        database.truncate(3);
        let database = DatabaseId::read(&database).ok_or_else(not_a_version)?;
        let [_, _, n, nonce, unfolded, process, standby] =
            <[_; 7]>::try_from(first).map_err(|_| not_a_version())?;
        self.notice_process(process.and_then(|process| process.parse().ok()));
        if standby.as_deref() == Some("t") && !self.server.standby {
            self.server.standby = true;
            self.say_standby();
            return self.read_versions(wanted, notify, deadline);
        }
        let total = [n.ok_or_else(not_a_version)?, nonce.ok_or_else(not_a_version)?];
        if std::mem::replace(&mut self.database, database) != database && self.interest.known.take().is_some()
        {
            self.keys = KeySnapshot::default();
            return self.read_versions(wanted, notify, deadline);
        }
        let caches = match self.interest.known.as_ref() == Some(&total) {
            true => None,
            false => {
                let mut rows: Vec<Row> = rows.collect();
                // Only the rows of keys have sources.
                let keys =
                    rows.split_off(rows.partition_point(|row| row.get(10).is_none_or(Option::is_none)));
                let mut caches = rows.into_iter().map(seen).collect::<Result<Vec<_>>>()?;
                if !self.apply_keys(&mut caches, &keys)? {
                    self.interest.known = None;
                    return self.read_versions(wanted, false, deadline);
                }
                Some(caches)
            }
        };
        self.server.unfolded = unfolded.and_then(|count| count.parse().ok()).ok_or_else(not_a_version)?;
        self.interest.known = Some(total);
        Ok(Look { caches, database, age })
    }

    /// Returns the arguments of a look at keys: the names of their caches, their known sources,
    /// and the mark as of which the keys are known. Returns `None` if no keys are wanted.
    fn known_keys(&self, keyed: &[&str]) -> Option<([String; 2], Option<&str>)> {
        if keyed.is_empty() {
            return None;
        }
        let names: Vec<_> = keyed.iter().map(|name| Some(*name)).collect();
        let sources: Vec<_> = keyed.iter().map(|name| self.keys.sources(name)).collect();
        Some(([registry::array_of(&names), registry::array_of(&sources)], self.keys.mark()))
    }

    /// Adds the keys that were read to the caches. Returns `false` if an earlier poll has missed
    /// a change of keys; the next poll reads all of their cache.
    fn apply_keys(&mut self, caches: &mut [Seen], rows: &[Row]) -> Result<bool> {
        let mut places: BTreeMap<String, &mut Seen> =
            caches.iter_mut().map(|seen| (seen.name.clone(), seen)).collect();
        let mut is_complete = true;
        for row in rows {
            match self.keys.apply(row)? {
                (_, Applied::Missed) => is_complete = false,
                (name, Applied::Keys(keys, sum)) => {
                    if keys == SeenKeys::Unproven && self.said.insert("unproven keys") {
                        log::warn!(
                            "the buckets of the cache {name} do not come to their sum, so the versions of its keys are unknown"
                        );
                    }
                    if let Some(seen) = places.get_mut(&name) {
                        seen.keys = keys.beside(seen.identity.without(sum));
                    }
                }
            }
        }
        Ok(is_complete)
    }

    /// Notes the serving process. On a direct connection it never changes.
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

    /// Returns how old the state of a hot standby may be. If the server has been promoted,
    /// begins to listen on this session, because sessions survive a promotion.
    fn lag(&mut self, deadline: Instant) -> Result<Duration> {
        let mut rows = self.read(None, registry::STANDBY, deadline)?;
        let row = rows.pop().and_then(|row| <[_; 5]>::try_from(row).ok()).ok_or_else(not_a_version)?;
        let [standby, receiver, caught_up, heard, replayed] = row;
        if standby.as_deref() == Some("f") {
            self.server.standby = false;
            self.listen(deadline)?;
            return Ok(Duration::ZERO);
        }
        let since = |microseconds: Option<String>| {
            let microseconds = microseconds?.parse::<i64>().ok()?;
            // Two clocks always differ a little. If one is far ahead, the lag is
            // unknown.
            Some(match microseconds {
                ahead if ahead < -CLOCKS_DIFFER => Duration::MAX,
                _ => Duration::from_micros(microseconds.max(0).unsigned_abs()),
            })
        };
        let replayed = since(replayed).unwrap_or(Duration::MAX);
        let before = self.server.receiver.replace(receiver.clone());
        // A receiver process that has just started may not have received anything yet.
        let settled = receiver.is_some() && before.is_none_or(|before| before == receiver);
        if !settled || caught_up.as_deref() != Some("t") {
            return Ok(replayed);
        }
        let heard = since(heard).unwrap_or_else(|| {
            self.say(
                "pg_read_all_stats",
                "this role may not see when the hot standby last heard from its primary; a lost connection is \
                 noticed only after the standby's wal_receiver_timeout (GRANT pg_read_all_stats would change that)",
            );
            Duration::ZERO
        });
        Ok(heard.min(replayed))
    }

    /// Folds until the events of the last poll are folded, or the next fold might miss the
    /// deadline.
    fn fold_until(&mut self, unfolded: u64, deadline: Instant) -> Result<()> {
        for _ in 0..unfolded.div_ceil(FOLDED_AT_ONCE).min(MOST_FOLDS) {
            let began = Instant::now();
            self.observer.rows(None, registry::FOLD, deadline)?;
            if Instant::now() + 3 * began.elapsed() > deadline {
                break;
            }
        }
        Ok(())
    }

    /// Reads in READ COMMITTED, so that this read makes no writer fail.
    fn read(&mut self, ahead: Option<&str>, sql: &str, deadline: Instant) -> Result<Vec<Row>> {
        self.observer.rows(ahead, &format!("{READING};{sql}"), deadline)
    }
}

impl Poller for PostgresPoller {
    fn bell(&self) -> Arc<dyn Bell> {
        self.observer.bell()
    }

    fn connect(&mut self, deadline: Instant) -> Result<()> {
        self.interest.known = None;
        self.keys = KeySnapshot::default();
        self.server = Server { pooled: self.server.pooled, ..Server::default() };
        self.observer.connect(deadline)?;
        self.listen(deadline)
    }

    fn look(&mut self, wanted: Wanted<'_>, notify: bool, deadline: Instant) -> Result<Look> {
        let wanted = self.interest.want(wanted);
        self.keys.retain(wanted.keyed);
        self.read_versions(wanted, notify, deadline)
    }

    fn fold(&mut self, deadline: Instant) {
        let unfolded = std::mem::take(&mut self.server.unfolded);
        let too_early = self.fold_from.is_some_and(|from| Instant::now() < from);
        if unfolded <= WORTH_FOLDING || self.server.standby || too_early {
            return;
        }
        if self.may_fold {
            let Err(error) = self.fold_until(unfolded, deadline) else { return };
            self.may_fold = error.sqlstate() != Some("42501");
            if self.may_fold && error.kind() == ErrorKind::Database && self.said.insert("failed fold") {
                log::warn!("invalidations could not be folded, which makes reading versions slow: {error}");
            } else {
                log::debug!("invalidations could not be folded: {error}");
            }
            if error.kind() != ErrorKind::Database {
                // A fold that has exceeded its limit would exceed it again.
                self.fold_from = Some(Instant::now() + FOLD_PAUSE);
                return;
            }
        }
        if !self.may_fold && unfolded > registry::TOO_MANY && self.said.insert("fold") {
            let role = self.observer.rows(None, registry::ROLE, deadline).ok();
            let role = role.as_deref().and_then(single).unwrap_or("this role");
            log::warn!(
                "{unfolded} invalidations have not been folded, which makes reading versions slow: call bustard.fold() \
                 now and then, as a cron job does, or GRANT EXECUTE ON FUNCTION bustard.fold() TO {role}"
            );
        }
    }

    fn names(&mut self, deadline: Instant) -> Result<Vec<String>> {
        let rows = self.read(None, registry::PostgresRegistry.names(), deadline)?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    fn is_direct(&self) -> bool {
        !self.server.pooled
    }

    fn forget(&mut self) {
        self.interest.known = None;
    }

    fn wait(&mut self, until: Instant) -> Result<Woken> {
        self.observer.wait(until)
    }
}

/// Adds advice to an error of reading the registry.
fn explain(error: Error) -> Error {
    match error.sqlstate() {
        Some("3F000" | "42883" | "42P01") => error
            .with_message("this database has no registry yet, or an older one")
            .help(Advice::text("run ").then(Action::Migrate)),
        Some("42501") => error.with_message("this role may not read the versions of caches").help(
            Advice::text("add it to `grant` (in a configuration, under [registry]) and run ")
                .then(Action::Migrate),
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests;
