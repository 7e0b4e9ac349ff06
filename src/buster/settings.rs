//! What a `CacheBuster` is started with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::listener::Listener;
use super::refresher;
use super::{CacheBuster, Change};
use crate::engine::observer::Observer;
use crate::error::{Error, Result};
use crate::store::{Shelf, Store, StoreSettings, Stores};

/// How old a snapshot may be, unless told otherwise.
pub const DEFAULT_MAX_STALENESS: Duration = Duration::from_secs(10);

/// How often the database is looked at, unless told otherwise.
pub const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Longer times come to the same, and would be beyond what clocks can tell.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// How a [`CacheBuster`] is to be started.
///
/// ```no_run
/// use std::time::Duration;
///
/// use bustard::CacheBuster;
///
/// let buster = CacheBuster::builder("postgres://forum@db.example/forum")
///     .max_staleness(Duration::from_secs(5))
///     .poll_interval(Duration::from_millis(500))
///     .start()?;
/// # Ok::<(), bustard::Error>(())
/// ```
#[must_use = "nothing happens before `start`"]
pub struct CacheBusterBuilder {
    observer: Result<Box<dyn Observer>>,
    max_staleness: Duration,
    poll_interval: Duration,
    shelf: Result<Shelf>,
    listener: Option<Listener>,
}

impl fmt::Debug for CacheBusterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBusterBuilder")
            .field("max_staleness", &self.max_staleness)
            .field("poll_interval", &self.poll_interval)
            .field("shelf", &self.shelf)
            .finish_non_exhaustive()
    }
}

impl CacheBusterBuilder {
    pub(super) fn new(observer: Result<Box<dyn Observer>>) -> Self {
        CacheBusterBuilder {
            observer,
            max_staleness: DEFAULT_MAX_STALENESS,
            poll_interval: DEFAULT_POLL_INTERVAL,
            shelf: Shelf::open(&StoreSettings::memory()),
            listener: None,
        }
    }

    /// For how long after the last successful look what it saw may be used;
    /// [`DEFAULT_MAX_STALENESS`] unless told otherwise.
    pub fn max_staleness(mut self, limit: Duration) -> Self {
        self.max_staleness = limit;
        self
    }

    /// How often to look at the database when nobody says that there is something
    /// to see; [`DEFAULT_POLL_INTERVAL`] unless told otherwise. A commit of which
    /// nobody tells is seen within it.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Where [`Values`](super::Values) are kept: in the store `bustard` of these, or
    /// else `default`. In memory unless told otherwise. Settings that cannot be are
    /// an error of [`start`](CacheBusterBuilder::start).
    pub fn stores(mut self, stores: &Stores) -> Self {
        self.shelf = Shelf::open(&stores.preferred());
        self
    }

    /// Keeps [`Values`](super::Values) in a store of the caller's own.
    pub fn store(mut self, store: impl Store + 'static) -> Self {
        self.shelf = Ok(Shelf::new(Box::new(store)));
        self
    }

    /// Has all caches looked at, not only those that there are handles of, and
    /// calls the function with every change from [`start`](CacheBusterBuilder::start)
    /// on, in order, on a thread that is there for this alone. What changes while the
    /// function is busy is one change afterwards. Dropping the last clone of the
    /// `CacheBuster` waits for it; a function that panics is not called again.
    pub fn on_change(mut self, listener: impl FnMut(&Change) + Send + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Starts the refresher and returns after its first look.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) for a bad URL, a database in
    /// memory, or a `max_staleness` shorter than twice the `poll_interval`;
    /// otherwise what kept it from looking.
    pub fn start(self) -> Result<CacheBuster> {
        if self.poll_interval.is_zero() {
            return Err(Error::usage("the poll interval of a CacheBuster must be longer than nothing"));
        }
        if self.max_staleness < self.poll_interval.saturating_mul(2) {
            return Err(Error::usage(format!(
                "the max_staleness of a CacheBuster ({:?}) must be at least twice its poll_interval ({:?})",
                self.max_staleness, self.poll_interval
            ))
            .help("otherwise versions would not be known between two looks"));
        }
        let (observer, shelf) = (self.observer?, self.shelf?);
        let times = refresher::Times {
            max_staleness: self.max_staleness.min(FOR_EVER),
            poll_interval: self.poll_interval.min(FOR_EVER / 2),
        };
        let (shared, threads) = refresher::start(observer, times, shelf, self.listener)?;
        Ok(CacheBuster { shared, _threads: Arc::new(threads) })
    }
}
