//! The ports of the reading side: an [`Observer`] is a connection of its own, used on
//! a thread that may wait for it; a [`Poller`] reads versions through it, again and
//! again.
//!
//! Whatever the network does, each call ends by its deadline, or at once when the
//! [`Bell`] is rung to stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Row;
use super::registry::not_a_version;
use crate::error::Result;
use crate::model::Identity;

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Somebody says that there is something to look at.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "SQLite does not say it"))]
    Notified,
    /// The bell was rung.
    Rung,
    /// It is time.
    Time,
}

/// A connection that is looked through. Made and dropped anywhere; what lies
/// between belongs on a thread of its own, not into an asynchronous task.
pub(crate) trait Observer: Send {
    /// What reads versions through it.
    fn poller(self: Box<Self>) -> Box<dyn Poller>;

    /// Connects, in place of any connection that there is. Does not create
    /// anything.
    fn connect(&mut self, deadline: Instant) -> Result<()>;

    /// Runs one statement in a transaction of its own and returns its rows. On
    /// PostgreSQL it may be several, of which the last one's rows are returned; and
    /// `ahead`, another message, is sent before it without being waited for: its
    /// failure is only logged.
    ///
    /// After an error of [`ErrorKind::Connection`](crate::ErrorKind::Connection)
    /// the connection is over. A missed deadline is one; only on SQLite, where a
    /// writer has the file to itself, it is
    /// [`ErrorKind::Locked`](crate::ErrorKind::Locked) and nothing is over.
    fn rows(&mut self, ahead: Option<&str>, sql: &str, deadline: Instant) -> Result<Vec<Row>>;

    /// Waits until there may be something to look at: for a notification that has
    /// come since the last wait, for the bell, or for the time. Without a
    /// connection it waits for the last two.
    fn wait(&mut self, until: Instant) -> Result<Woken>;

    /// Says which process of the server serves this connection: its own
    /// notifications are none to this observer.
    fn served_by(&mut self, _process: i32) {}

    /// What other threads ring.
    fn bell(&self) -> Arc<dyn Bell>;
}

/// Reaches an [`Observer`] on its thread.
pub(crate) trait Bell: Send + Sync {
    /// Ends a wait, the next one if there is none now.
    fn ring(&self);

    /// Ends whatever is going on, and everything that comes: errors of
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    fn stop(&self);
}

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

/// Reads the versions of caches.
pub(crate) trait Poller: Send {
    /// What other threads ring.
    fn bell(&self) -> Arc<dyn Bell>;

    /// Connects anew, forgets what is known, and listens where that works.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Connection`](crate::ErrorKind::Connection), and
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) after the bell's stop.
    fn connect(&mut self, deadline: Instant) -> Result<()>;

    /// Reads, and with `notify` tells others to read. Caches that are `wanted`, or
    /// all of them, are read where anything has changed since the last time on this
    /// connection, or others are wanted than then.
    ///
    /// # Errors
    ///
    /// As [`Observer::rows`], and [`ErrorKind::Database`](crate::ErrorKind::Database)
    /// where there is no registry, or this role may not read it.
    fn look(&mut self, wanted: Option<&[&str]>, notify: bool, deadline: Instant) -> Result<Look>;

    /// Folds, if that is worth it and this role may. A failure does no harm.
    fn fold(&mut self, deadline: Instant);

    /// The names of all registered caches.
    ///
    /// # Errors
    ///
    /// As [`Observer::rows`].
    fn names(&mut self, deadline: Instant) -> Result<Vec<String>>;

    /// Whether all reads on this connection are at one server.
    fn is_direct(&self) -> bool;

    /// Has the next look read everything anew.
    fn forget(&mut self);

    /// Waits until it is time to look.
    ///
    /// # Errors
    ///
    /// As [`Observer::wait`].
    fn wait(&mut self, until: Instant) -> Result<Woken>;
}

/// Naming more caches than this is not worth it: of 100,000, naming 5,000 takes an
/// eighth of the time that reading all of them does.
pub(super) const MOST_NAMED: usize = 10_000;

/// What a poller has read last: the caches that were wanted, and a value that changes
/// when any cache does.
pub(super) struct Interest<K> {
    pub known: Option<K>,
    wanted: Option<Vec<String>>,
}

impl<K> Default for Interest<K> {
    fn default() -> Self {
        Interest { known: None, wanted: None }
    }
}

impl<K> Interest<K> {
    /// Notes which caches are wanted, forgets what is known if others were, and returns
    /// those that it is worth to name.
    pub fn want<'w>(&mut self, wanted: Option<&'w [&'w str]>) -> Option<&'w [&'w str]> {
        let same = match (&self.wanted, wanted) {
            (None, None) => true,
            (Some(before), Some(now)) => before.iter().map(String::as_str).eq(now.iter().copied()),
            _ => false,
        };
        if !same {
            self.known = None;
            self.wanted = wanted.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        }
        wanted.filter(|names| names.len() <= MOST_NAMED)
    }
}

/// A row of name, app, count and nonce, and whatever follows.
pub(super) fn seen(row: Row) -> Result<Seen> {
    let mut columns = row.into_iter();
    let mut next = || columns.next().flatten();
    let (name, app, n, nonce) = (next(), next(), next(), next());
    let number = |text: Option<String>| text?.parse().ok();
    match (name, number(n), number(nonce)) {
        (Some(name), Some(n), Some(nonce)) => Ok(Seen { name, app, identity: Identity { n, nonce } }),
        _ => Err(not_a_version()),
    }
}
