//! The ports of the reading side. An [`Observer`] is a separate connection, used on a
//! thread that may block. A [`Poller`] reads versions through it at intervals.
//!
//! Every call ends by its deadline, even if the network fails. When another thread calls
//! [`Bell::stop`], the call ends at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Row;
use super::registry::not_a_version;
use crate::error::Result;
use crate::model::{DatabaseId, Identity, KeyRule};

/// The reason why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// A notification arrived: there may be a change to read.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "SQLite does not say it"))]
    Notified,
    /// The bell was rung.
    Rung,
    /// The given time was reached.
    Time,
}

/// A connection for reading. It may be created and dropped on any thread. Its calls
/// block, so they belong on a thread of their own and not in an asynchronous task.
pub(crate) trait Observer: Send {
    /// Returns the poller that reads versions through this connection.
    fn poller(self: Box<Self>) -> Box<dyn Poller>;

    /// Connects, and replaces an existing connection. Creates no database.
    fn connect(&mut self, deadline: Instant) -> Result<()>;

    /// Runs one statement in its own transaction and returns its rows. On PostgreSQL, `sql`
    /// may be several statements. The rows of the last statement are returned. The message
    /// `ahead` is sent first, without waiting for its reply. A failure of `ahead` is only
    /// logged.
    ///
    /// An error of [`ErrorKind::Connection`](crate::ErrorKind::Connection) ends the
    /// connection. A missed deadline is such an error. The exception is a SQLite file
    /// that a writer has locked: then the error is
    /// [`ErrorKind::Locked`](crate::ErrorKind::Locked), and the connection stays open.
    fn rows(&mut self, ahead: Option<&str>, sql: &str, deadline: Instant) -> Result<Vec<Row>>;

    /// Waits until a notification has arrived since the last wait, the bell is rung, or the
    /// given time is reached. Without a connection, no notification can arrive.
    fn wait(&mut self, until: Instant) -> Result<Woken>;

    /// Sets the server process that serves this connection. The observer ignores
    /// notifications from that process.
    fn served_by(&mut self, _process: i32) {}

    /// Returns the bell, which other threads ring.
    fn bell(&self) -> Arc<dyn Bell>;
}

/// A handle to wake or stop an [`Observer`] from another thread.
pub(crate) trait Bell: Send + Sync {
    /// Ends the current wait. If nothing waits now, ends the next wait.
    fn ring(&self);

    /// Stops the observer: the current call and all later calls return an error of
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    fn stop(&self);
}

/// A registered cache, as one poll has read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub name: String,
    pub app: Option<String>,
    pub identity: Identity,
    pub keys: SeenKeys,
}

/// The keys of a cache, as one poll has read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SeenKeys {
    /// The keys were not wanted.
    NotRead,
    /// The cache has no keys.
    None,
    /// The registry contradicts itself, so the versions of the keys are unknown.
    Unproven,
    /// What each bucket has come to, and what counts for all keys. The identity of a key is
    /// the sum of both.
    Read { rule: KeyRule, rest: Identity, buckets: Arc<[Identity]> },
}

impl SeenKeys {
    /// Returns keys for which this counts besides their buckets.
    pub(crate) fn beside(self, rest: Identity) -> Self {
        match self {
            SeenKeys::Read { rule, buckets, .. } => SeenKeys::Read { rule, rest, buckets },
            other => other,
        }
    }

    /// Returns the keys of a cache on an engine that does not tell keys apart.
    pub(crate) fn whole(identity: Identity) -> Self {
        SeenKeys::Read { rule: KeyRule::Whole, rest: identity, buckets: Arc::new([Identity::NONE]) }
    }
}

/// What a poll should read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'w> {
    /// The names of the caches; all caches if `None`.
    pub caches: Option<&'w [&'w str]>,
    /// The names of those of these caches whose keys are wanted, too.
    pub keyed: &'w [&'w str],
}

#[cfg(test)]
impl Wanted<'_> {
    /// All caches, and no keys.
    pub(crate) const ALL: Wanted<'static> = Wanted { caches: None, keyed: &[] };
}

/// The result of a poll.
#[derive(Debug)]
pub(crate) struct Look {
    /// The wanted caches that are registered, and possibly other caches; `None` if nothing
    /// has changed since the last poll.
    pub caches: Option<Vec<Seen>>,
    /// The database that was read.
    pub database: DatabaseId,
    /// The age of the state that was read. It is zero except on a hot standby, and
    /// [`Duration::MAX`] if it is unknown.
    pub age: Duration,
}

/// Reads the versions of caches.
pub(crate) trait Poller: Send {
    /// Returns the bell, which other threads ring.
    fn bell(&self) -> Arc<dyn Bell>;

    /// Reconnects, forgets everything that was read before, and listens for notifications
    /// if the server supports it.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Connection`](crate::ErrorKind::Connection), and
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) after [`Bell::stop`].
    fn connect(&mut self, deadline: Instant) -> Result<()>;

    /// Reads the versions of the wanted caches and keys. With `notify`, also notifies other
    /// readers. The versions are read only if something has changed since the last poll on this
    /// connection, or if others are wanted now.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Observer::rows`], and
    /// [`ErrorKind::Database`](crate::ErrorKind::Database) if there is no registry, or if
    /// this role may not read it.
    fn look(&mut self, wanted: Wanted<'_>, notify: bool, deadline: Instant) -> Result<Look>;

    /// Folds events, if there are enough events and this role may fold. A failure is only
    /// logged.
    fn fold(&mut self, deadline: Instant);

    /// Returns the names of all registered caches.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Observer::rows`].
    fn names(&mut self, deadline: Instant) -> Result<Vec<String>>;

    /// Returns whether all reads on this connection reach the same server.
    fn is_direct(&self) -> bool;

    /// Makes the next poll read everything again.
    fn forget(&mut self);

    /// Waits until the next poll is due.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Observer::wait`].
    fn wait(&mut self, until: Instant) -> Result<Woken>;
}

/// The largest number of caches that a query names. With more names, reading all caches is
/// faster. For comparison: naming 5,000 of 100,000 caches takes an eighth of the time of
/// reading all caches.
pub(super) const MOST_NAMED: usize = 10_000;

/// The last read of a poller: the caches that were wanted, and a value that changes when
/// any cache changes.
pub(super) struct Interest<K> {
    pub known: Option<K>,
    wanted: Option<Vec<String>>,
    keyed: Vec<String>,
}

impl<K> Default for Interest<K> {
    fn default() -> Self {
        Interest { known: None, wanted: None, keyed: Vec::new() }
    }
}

impl<K> Interest<K> {
    /// Stores which caches and keys are wanted, and forgets the last value if others were
    /// wanted in the last poll. Returns what the query should list.
    pub fn want<'w>(&mut self, wanted: Wanted<'w>) -> Wanted<'w> {
        let is = |before: &[String], now: &[&str]| before.iter().map(String::as_str).eq(now.iter().copied());
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let same = match (&self.wanted, wanted.caches) {
            (None, None) => true,
            (Some(before), Some(now)) => is(before, now),
            _ => false,
        };
        if !same || !is(&self.keyed, wanted.keyed) {
            self.known = None;
            self.wanted = wanted.caches.map(owned);
            self.keyed = owned(wanted.keyed);
        }
        Wanted { caches: wanted.caches.filter(|names| names.len() <= MOST_NAMED), ..wanted }
    }
}

/// Reads a row of name, app, count and nonce; further columns are ignored.
pub(super) fn seen(row: Row) -> Result<Seen> {
    let mut columns = row.into_iter();
    let mut next = || columns.next().flatten();
    let (name, app, n, nonce) = (next(), next(), next(), next());
    let number = |text: Option<String>| text?.parse().ok();
    match (name, number(n), number(nonce)) {
        (Some(name), Some(n), Some(nonce)) => {
            Ok(Seen { name, app, identity: Identity { n, nonce }, keys: SeenKeys::NotRead })
        }
        _ => Err(not_a_version()),
    }
}
