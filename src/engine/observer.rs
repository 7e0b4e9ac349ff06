//! The port of the reading side: a connection of its own that is looked through
//! again and again, on a thread that may wait for it.
//!
//! Whatever the network does, each call ends by its deadline, or at once when the
//! [`Bell`] is rung to stop.

use std::sync::Arc;
use std::time::Instant;

use super::{Engine, Row};
use crate::error::Result;

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Somebody says that there is something to look at.
    Notified,
    /// The bell was rung.
    Rung,
    /// It is time.
    Time,
}

/// A connection that is looked through.
pub(crate) trait Observer: Send {
    fn engine(&self) -> Engine;

    /// Connects, in place of any connection that there is. Does not create
    /// anything.
    fn connect(&mut self, deadline: Instant) -> Result<()>;

    /// Runs one statement in a transaction of its own and returns its rows. On
    /// PostgreSQL `ahead`, another one, is sent before it without being waited
    /// for; its failure is only logged. After an error of
    /// [`ErrorKind::Connection`](crate::ErrorKind::Connection), which also a
    /// missed deadline is, the connection is over.
    fn rows(&mut self, ahead: Option<&str>, sql: &str, deadline: Instant) -> Result<Vec<Row>>;

    /// Waits until there may be something to look at: for a notification that has
    /// come since the last wait, for the bell, or for the time.
    fn wait(&mut self, until: Instant) -> Result<Woken>;

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
