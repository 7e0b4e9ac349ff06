//! The builder of a `CacheBuster`.
//!
//! In: settings. Out: a running `CacheBuster`, or the error of its first poll.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::alias_stores::AliasStores;
use super::listener::ChangeListener;
use super::refresher;
use super::{CacheBuster, Change};
use crate::engine::observer::{Observer, Poller};
use crate::error::{Error, Result};
use crate::store::{Store, Stores};

/// The default of [`max_staleness`](CacheBusterBuilder::max_staleness).
pub const DEFAULT_MAX_STALENESS: Duration = Duration::from_secs(10);

/// The default of [`poll_interval`](CacheBusterBuilder::poll_interval).
pub const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The default of [`lookup_timeout`](CacheBusterBuilder::lookup_timeout).
pub const DEFAULT_LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest time in use: adding longer ones to an `Instant` could overflow.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// A builder for a [`CacheBuster`].
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
    poller: Result<Box<dyn Poller>>,
    max_staleness: Duration,
    poll_interval: Duration,
    lookup_timeout: Duration,
    stores: Result<AliasStores>,
    listener: Option<ChangeListener>,
}

impl fmt::Debug for CacheBusterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBusterBuilder")
            .field("max_staleness", &self.max_staleness)
            .field("poll_interval", &self.poll_interval)
            .field("lookup_timeout", &self.lookup_timeout)
            .field("stores", &self.stores)
            .finish_non_exhaustive()
    }
}

impl CacheBusterBuilder {
    pub(super) fn new(observer: Result<Box<dyn Observer>>) -> Self {
        CacheBusterBuilder::of(observer.map(Observer::poller))
    }

    /// Returns a builder with the defaults.
    pub(crate) fn of(poller: Result<Box<dyn Poller>>) -> Self {
        CacheBusterBuilder {
            poller,
            max_staleness: DEFAULT_MAX_STALENESS,
            poll_interval: DEFAULT_POLL_INTERVAL,
            lookup_timeout: DEFAULT_LOOKUP_TIMEOUT,
            stores: AliasStores::open(&Stores::new()),
            listener: None,
        }
    }

    /// Sets how old a snapshot may be before it expires. The default is
    /// [`DEFAULT_MAX_STALENESS`].
    pub fn max_staleness(mut self, limit: Duration) -> Self {
        self.max_staleness = limit;
        self
    }

    /// Sets how often to poll the database without a notification. The default is
    /// [`DEFAULT_POLL_INTERVAL`]. A commit without a notification is seen within this
    /// interval.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Sets how long [`cache`](CacheBuster::cache), [`version`](CacheBuster::version),
    /// [`is_valid`](CacheBuster::is_valid) and [`versions`](CacheBuster::versions) wait for
    /// the database when it must be asked for a name. The default is
    /// [`DEFAULT_LOOKUP_TIMEOUT`]. With a handle there is nothing to wait for.
    pub fn lookup_timeout(mut self, limit: Duration) -> Self {
        self.lookup_timeout = limit;
        self
    }

    /// Sets the stores that [`Values::shared`](super::Values::shared) and
    /// [`Values::store`](super::Values::store) use. The default is a store in memory. If the
    /// settings of the preferred store are invalid, [`start`](CacheBusterBuilder::start)
    /// returns the error.
    pub fn stores(mut self, stores: &Stores) -> Self {
        self.stores = AliasStores::open(stores);
        self
    }

    /// Makes this store the one that values are kept in, with the alias `default`.
    pub fn store(mut self, store: impl Store + 'static) -> Self {
        self.stores = Ok(AliasStores::of(store));
        self
    }

    /// Calls `listener` with every change after [`start`](CacheBusterBuilder::start), in
    /// order, on a thread of its own. The `CacheBuster` then reads all caches, not only
    /// those that have handles.
    ///
    /// Changes of one cache that happen while the listener is busy are merged into one
    /// change. Dropping the last clone of the `CacheBuster` waits for the listener to
    /// return. A listener that panics is not called again.
    pub fn on_change(mut self, listener: impl FnMut(&Change) + Send + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Starts the refresher and returns after its first poll.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Usage`](crate::ErrorKind::Usage) for a bad URL, a database in
    /// memory, or a `max_staleness` shorter than twice the `poll_interval`. Otherwise,
    /// returns the error of the first poll if that poll fails.
    pub fn start(self) -> Result<CacheBuster> {
        if self.poll_interval.is_zero() {
            return Err(Error::usage("the poll_interval of a CacheBuster must be greater than 0"));
        }
        if self.max_staleness < self.poll_interval.saturating_mul(2) {
            return Err(Error::usage(format!(
                "the max_staleness of a CacheBuster ({:?}) must be at least twice its poll_interval ({:?})",
                self.max_staleness, self.poll_interval
            ))
            .help("otherwise the versions would be unknown between two polls"));
        }
        let (poller, stores) = (self.poller?, self.stores?);
        let times = refresher::Times {
            max_staleness: self.max_staleness.min(FOR_EVER),
            poll_interval: self.poll_interval.min(FOR_EVER / 2),
            lookup_timeout: self.lookup_timeout.min(FOR_EVER),
        };
        let (shared, threads) = refresher::start(poller, times, stores, self.listener)?;
        Ok(CacheBuster { shared, _threads: Arc::new(threads) })
    }
}
