//! How long a command waits for other sessions.
//!
//! In: a limit. Out: what is left of it after each wait. All waits of a command share one
//! limit, so that it waits no longer in total, whatever it waits for.

use std::time::{Duration, Instant};

/// The time that a command may still spend waiting.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    limit: Duration,
    left: Duration,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Patience { limit, left: limit }
    }

    /// Returns the limit of all waits together.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Returns what is left. Zero means that the command must give up.
    pub(crate) fn left(&self) -> Duration {
        self.left
    }

    /// Returns what is left, as a setting of a server in milliseconds. Zero would mean no
    /// limit.
    #[cfg(feature = "postgres")]
    pub(crate) fn milliseconds(&self) -> u128 {
        self.left.as_millis().clamp(1, i32::MAX.unsigned_abs().into())
    }

    /// Takes a wait that began at this time from what is left.
    pub(crate) fn spend_since(&mut self, started: Instant) {
        self.left = self.left.saturating_sub(started.elapsed());
    }
}
