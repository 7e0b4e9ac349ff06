//! The handle of one cache.
//!
//! In: the name of a cache. Out: its version, read from the shared snapshot or, in the
//! strict form, from the database.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::key_cells::KeyView;
use super::memo::Memo;
use super::shared::{Shared, Slot};
use super::sources::Sources;
use super::stats::CacheStats;
use super::value_key::ValueKey;
use super::values::Values;
use crate::engine::Executor;
use crate::error::{Error, ErrorKind, Result};
use crate::model::CacheVersion;
use crate::registry;

/// A handle of one cache in the snapshot. Cloning it and reading the version are cheap.
///
/// The handle can still be used when the cache is unregistered and registered again. Once
/// the last [`CacheBuster`](super::CacheBuster) is dropped, the version is unknown.
///
/// ```no_run
/// use bustard::CacheBuster;
///
/// let buster = CacheBuster::connect("postgres://localhost/forum")?;
/// let bans = buster.cache("bans")?;
/// let version = bans.version()?; // before the data is read
/// // … read the data, and keep it under `version` …
/// assert!(bans.is_valid(version));
/// # Ok::<(), bustard::Error>(())
/// ```
#[derive(Clone)]
pub struct Cache {
    pub(super) slot: Arc<Slot>,
    pub(super) shared: Arc<Shared>,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Cache {
    /// Finds a cache, if necessary by a poll, which is awaited until the deadline.
    pub(super) fn find(shared: &Arc<Shared>, name: &str, deadline: Instant) -> Result<Cache> {
        let (cache, is_new) = Cache::slot(shared, name)?;
        let polled = !cache.needs_poll() || shared.poll_by(deadline);
        cache.found(is_new, polled)
    }

    /// Returns the handle, and whether its slot is a new one.
    pub(super) fn slot(shared: &Arc<Shared>, name: &str) -> Result<(Cache, bool)> {
        registry::check_name(name)?;
        let (slot, is_new) = shared.slot(name);
        Ok((Cache { slot, shared: shared.clone() }, is_new))
    }

    /// The cache may have been registered since the last poll. Polling again is useless
    /// while the database does not answer.
    pub(super) fn needs_poll(&self) -> bool {
        self.load() == 0 && self.shared.snapshot().check().is_ok()
    }

    /// Returns the handle, if the cache is registered. `polled` is whether the poll that
    /// it needed has ended in time.
    pub(super) fn found(self, is_new: bool, polled: bool) -> Result<Cache> {
        let error = match self.shared.snapshot().find(self.name()) {
            Ok(_) => return Ok(self),
            Err(error) if polled => error,
            Err(_) => {
                let late = format!("the database did not answer within {:?}", self.shared.lookup_timeout);
                Error::new(
                    ErrorKind::Stale,
                    format!("the version of the cache {} is not known yet: {late}", self.name()),
                )
                .help("is it overloaded? lookup_timeout is how long a caller waits")
            }
        };
        if is_new || error.kind() == ErrorKind::Cache {
            self.shared.forget(self.name());
            return Err(error);
        }
        Ok(self)
    }

    #[inline]
    fn load(&self) -> i64 {
        // With `Acquire`, a thread that reads a version sees all writes from before the
        // version was published.
        self.slot.version.load(Ordering::Acquire)
    }

    /// Returns the name of the cache.
    pub fn name(&self) -> &str {
        &self.slot.name
    }

    /// Returns the version with one atomic load. Read the version before the data that
    /// you store under it.
    ///
    /// The version is at most `max_staleness` old. There are two exceptions. A process
    /// that was stopped (SIGSTOP, a frozen container) may return an older version until
    /// its refresher runs again. If the monotonic clock stops while the machine sleeps,
    /// an older version may be returned for the rest of `max_staleness`.
    /// [`version_in`](Cache::version_in) has no exceptions.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Stale`](crate::ErrorKind::Stale) if the version is unknown now.
    /// The message contains the reason and the duration. Returns
    /// [`ErrorKind::Cache`](crate::ErrorKind::Cache) if the cache is not registered any
    /// more.
    #[inline]
    pub fn version(&self) -> Result<CacheVersion> {
        match CacheVersion::new(self.load()) {
            Some(version) => Ok(version),
            None => self.version_from_snapshot(),
        }
    }

    #[cold]
    fn version_from_snapshot(&self) -> Result<CacheVersion> {
        Ok(self.shared.snapshot().find(self.name())?.version)
    }

    /// Returns whether the cache still has this version, with one atomic load. Returns
    /// `false` for a number that is no version, and while the version is unknown.
    #[inline]
    #[must_use = "use the cached value only if the version is valid"]
    pub fn is_valid(&self, version: impl Into<i64>) -> bool {
        let version = version.into();
        self.load() == version && version > 0
    }

    /// Reads the version from the database. On a connection this is the current version,
    /// and in a transaction it is the version in the transaction's snapshot. This is the
    /// strict form: it neither reads nor changes the snapshot of this process.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`registry::get_version`].
    pub fn version_in(&self, executor: &mut impl Executor) -> Result<CacheVersion> {
        registry::get_version(executor, self.name())
    }

    /// Returns whether the cache has this version in the database. On a connection this is
    /// the current version, and in a transaction it is the version in the transaction's
    /// snapshot.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`registry::is_valid`].
    pub fn is_valid_in(&self, executor: &mut impl Executor, version: impl Into<i64>) -> Result<bool> {
        registry::is_valid(executor, self.name(), version)
    }

    /// Returns the values that are stored under this cache's version by this name. The name
    /// tells values of one cache apart, so that two kinds of values never share keys: a plugin
    /// uses a name that begins with its own. Increment `format` when the meaning of the type
    /// changes, so that the old and the new release of a rolling deploy do not read each
    /// other's values.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Usage`](crate::ErrorKind::Usage) if the name is empty, or if this
    /// `CacheBuster` has values of another type under the name.
    pub fn values<T: Send + Sync + 'static>(&self, name: &str, format: u32) -> Result<Values<T>> {
        self.values_by(name, format)
    }

    /// Does the same as [`values`](Cache::values), for keys of another type than texts. A key
    /// need not be formatted, and is never mistaken for one of another type.
    ///
    /// ```no_run
    /// # fn main() -> bustard::Result<()> {
    /// # let buster = bustard::CacheBuster::connect("sqlite:forum.db")?;
    /// let permissions = buster.cache("permissions")?;
    /// let granted = permissions.values_by::<i64, Vec<String>>("granted", 1)?.max_entries(50_000);
    /// let of_user = granted.get_or_insert_with(&42, || vec!["read".to_owned()]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`values`](Cache::values).
    pub fn values_by<K, T>(&self, name: &str, format: u32) -> Result<Values<T, K>>
    where
        K: ValueKey + ?Sized,
        T: Send + Sync + 'static,
    {
        values_of(&self.shared, std::slice::from_ref(self), name, format)
    }

    /// Returns the numbers of lookups of this cache's values.
    pub fn stats(&self) -> CacheStats {
        self.slot.counters.stats()
    }

    /// Returns one value that is computed from this cache's data by `load`, and again after
    /// each change of the version.
    pub fn memo<T: Send + Sync + 'static>(&self, load: impl Fn() -> T + Send + Sync + 'static) -> Memo<T> {
        self.try_memo(move || Ok(load()))
    }

    /// Does the same as [`memo`](Cache::memo), with a fallible `load`.
    pub fn try_memo<T, E>(&self, load: impl Fn() -> Result<T, E> + Send + Sync + 'static) -> Memo<T, E>
    where
        T: Send + Sync + 'static,
        E: Send + Sync + 'static,
    {
        Memo::new(self.sources(), load)
    }

    /// Returns what the values of keys are made from.
    pub(super) fn sources_of_keys(&self, keys: KeyView, name: &str, format: u32) -> Sources {
        Sources::of_keys(&self.shared, self.slot.clone(), keys, name, format)
    }

    /// Returns what a value without a name is made from.
    pub(super) fn sources(&self) -> Sources {
        Sources::new(&self.shared, vec![self.slot.clone()], "", 0)
    }
}

/// Returns the values of several caches.
pub(super) fn values_of<T: Send + Sync + 'static, K: ValueKey + ?Sized>(
    shared: &Arc<Shared>,
    caches: &[Cache],
    name: &str,
    format: u32,
) -> Result<Values<T, K>> {
    let slots = caches.iter().map(|cache| cache.slot.clone()).collect();
    let sources = Sources::new(shared, slots, name, format);
    shared.reserve::<T>(&sources.caches, name)?;
    Ok(Values::new(sources))
}
