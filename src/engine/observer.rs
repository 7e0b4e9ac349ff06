//! The port of the reading side: a connection of its own that is looked through
//! again and again, on a thread that may wait for it.
//!
//! Whatever the network does, each call ends by its deadline, or at once when the
//! [`Bell`] is rung to stop.

use std::sync::Arc;
use std::time::Instant;

use super::Row;
use crate::error::Result;
use crate::sql::Dialect;

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
    fn dialect(&self) -> &'static dyn Dialect;

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
