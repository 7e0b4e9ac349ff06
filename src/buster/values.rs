//! Cached values: computed on a miss and kept under the versions that were read before the
//! data.
//!
//! In: a key and a function that loads its value. Out: the value, from this process or the
//! store if it has one for the current versions.

use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cache_key::KeyOf;
use super::codec::Codec;
use super::first_level::{FirstLevel, Limits};
use super::levels::Levels;
use super::load_error::LoadError;
use super::park::{Mode, block_on};
use super::refresh::{Refresh, Stale};
use super::shared_level::SharedLevel;
use super::single_flight::Flights;
use super::sources::Sources;
use super::stamp::Stamp;
use super::value_key::ValueKey;
use crate::engine::Executor;
use crate::error::{Error, Result};

/// Values of one type, kept in this process under the versions of their caches.
///
/// A lookup returns an `Arc` of the value itself: nothing is copied or decoded. A value that
/// was computed for an earlier version is never returned for a later one. While the versions
/// are unknown, values are computed and not kept.
///
/// Clone the handle to share its values: clones have the same values and share computations.
/// A second call of [`Cache::values`](super::Cache::values) returns a handle that begins
/// empty, and so does every setting below.
///
/// ```
/// use std::time::{Duration, Instant};
/// use bustard::{App, CacheBuster, Migration, Migrator};
///
/// # let directory = tempfile::tempdir()?;
/// # let url = format!("sqlite:{}", directory.path().join("forum.sqlite").display());
/// # let mut connection = rusqlite::Connection::open(directory.path().join("forum.sqlite"))?;
/// # let app = App::new("forum").migration("V1__ranks", Migration::new().register_cache("ranks"));
/// # Migrator::new().app(app).run(&mut connection)?;
/// let buster = CacheBuster::connect(&url)?;
/// let ranks = buster.cache("ranks")?.values::<Vec<String>>("names", 1)?;
/// let ranks = ranks.max_entries(1_000).ttl(Duration::from_secs(600)).jitter(0.1);
///
/// let load = || vec!["newbie".to_owned(), "regular".to_owned()]; // SELECT name FROM rank
/// assert_eq!(ranks.get_or_insert_with("all", load).len(), 2);
/// let never = || unreachable!("the value is kept");
/// assert_eq!(ranks.get_or_insert_with("all", never).len(), 2);
///
/// buster.invalidate(&mut connection, &["ranks"])?;
/// assert_eq!(ranks.get_or_insert_with("all", || Vec::new()).len(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # A store behind the values
///
/// With [`shared`](Values::shared) or [`store`](Values::store), values that are not in this
/// process are looked up in a store, which processes share, before they are computed. The
/// key of an entry there consists of the database, the caches, the name, the format number,
/// the versions, and the caller's key.
///
/// # Values that do not exist
///
/// A value may be an `Option`: `None` says that the database has no such row, and is kept
/// like any other value. [`ttl_by`](Values::ttl_by) can keep it for a shorter time.
///
/// # Keys
///
/// A key is a text, or has another type, for example `i64`; see
/// [`Cache::values_by`](super::Cache::values_by).
pub struct Values<T, K: ValueKey + ?Sized = str> {
    levels: Arc<Levels<T, K>>,
}

impl<T, K: ValueKey + ?Sized> Clone for Values<T, K> {
    fn clone(&self) -> Self {
        Values { levels: self.levels.clone() }
    }
}

impl<T, K: ValueKey + ?Sized> fmt::Debug for Values<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Levels { sources, limits, first, behind, .. } = &*self.levels;
        f.debug_struct("Values")
            .field("caches", &sources.caches)
            .field("name", &sources.name)
            .field("format", &sources.format)
            .field("limits", limits)
            .field("entries", &first.len())
            .field("has_store", &behind.is_some())
            .finish_non_exhaustive()
    }
}

impl<T, K: ValueKey + ?Sized> Values<T, K> {
    pub(super) fn new(sources: Sources) -> Self {
        Values::with(sources, None, Limits::default(), None)
    }

    /// Creates values that have the versions of their keys.
    pub(super) fn of_keys(sources: Sources, key_of: KeyOf<K>) -> Self {
        Values::with(sources, Some(key_of), Limits::default(), None)
    }

    fn with(
        sources: Sources,
        key_of: Option<KeyOf<K>>,
        limits: Limits<T, K>,
        behind: Option<SharedLevel<T>>,
    ) -> Self {
        let first = FirstLevel::keyed(&limits);
        let (flights, refreshing) = (Flights::default(), AtomicUsize::new(0));
        Values { levels: Arc::new(Levels { sources, key_of, limits, first, behind, flights, refreshing }) }
    }

    fn limited(self, change: impl FnOnce(&mut Limits<T, K>)) -> Self {
        let Levels { sources, key_of, limits, behind, .. } = &*self.levels;
        let mut limits = limits.clone();
        change(&mut limits);
        Values::with(sources.clone(), *key_of, limits, behind.clone())
    }

    #[cfg(any(test, feature = "tokio"))]
    pub(super) fn levels(&self) -> &Arc<Levels<T, K>> {
        &self.levels
    }

    /// Sets how many values are kept in this process. The default is 10,000. Beyond that,
    /// values that are used rarely are evicted. With 0, no value is kept in this process:
    /// callers at the same time still share a computation, and a store is still used.
    pub fn max_entries(self, entries: usize) -> Self {
        self.limited(|limits| limits.max_entries = entries)
    }

    /// Limits the values in this process by weight, for example their size in bytes, instead
    /// of by number. [`max_entries`](Values::max_entries) is then an estimate of their
    /// number. The cache is divided into up to four parts for each processor, of at least 32
    /// estimated entries each, and keeps no value that is heavier than a part.
    pub fn weigher(self, capacity: u64, weigh: impl Fn(&K, &T) -> u64 + Send + Sync + 'static) -> Self {
        self.limited(|limits| limits.weigher = Some((capacity, Arc::new(weigh))))
    }

    /// Sets how long a value is kept in this process if its version remains current. By
    /// default there is no such limit. The clock is monotonic, so setting the time of the
    /// machine has no effect.
    pub fn ttl(self, ttl: Duration) -> Self {
        self.limited(|limits| limits.ttl = Some(ttl))
    }

    /// Sets how long each value is kept. If the function returns `None`,
    /// [`ttl`](Values::ttl) applies.
    ///
    /// ```no_run
    /// # use std::time::{Duration, Instant};
    /// # use bustard::{Cache, Values};
    /// # fn users(cache: Cache) -> bustard::Result<Values<Option<String>>> {
    /// // Users who do not exist are looked up again after 10 seconds.
    /// let users = cache.values::<Option<String>>("users", 1)?;
    /// Ok(users.ttl_by(|_, user| user.is_none().then_some(Duration::from_secs(10))))
    /// # }
    /// ```
    pub fn ttl_by(self, ttl: impl Fn(&K, &T) -> Option<Duration> + Send + Sync + 'static) -> Self {
        self.limited(|limits| limits.ttl_of = Some(Arc::new(ttl)))
    }

    /// Shortens each time to live at random by up to this part, between 0 and 1, so that
    /// values which were computed together are not all computed again together.
    pub fn jitter(self, part: f64) -> Self {
        let part = if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) };
        self.limited(|limits| limits.jitter = part)
    }

    /// Returns a value for this long after the end of its time to live while one caller, the
    /// first, computes it again. This concerns the time to live only: a value whose version
    /// is not current, or unknown, is never returned.
    ///
    /// With [`get_or_try_refresh_with`](Values::get_or_try_refresh_with), and on Tokio with
    /// `load_in`, the first caller does not wait either: the value is computed in the
    /// background.
    pub fn stale_while_revalidate(self, bound: Duration) -> Self {
        self.limited(|limits| limits.stale = bound)
    }

    /// Returns the value under `key` if it is kept in this process and current. Does not
    /// wait, and does not count as a use of the value.
    pub fn peek(&self, key: &K) -> Option<Arc<T>> {
        self.levels.peek(key)
    }

    /// Returns the current versions, for [`insert`](Values::insert). Call this before the
    /// data is read. For values of a [`KeyedCache`](super::KeyedCache), this is the version of
    /// the whole cache, and [`stamp_of`](Values::stamp_of) returns that of a key.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Cache::version`](super::Cache::version).
    pub fn stamp(&self) -> Result<Stamp> {
        self.levels.sources.stamp()
    }

    /// Returns the current version of a key, for [`insert`](Values::insert) under this key. For
    /// values of whole caches, this does the same as [`stamp`](Values::stamp).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`KeyedCache::version`](super::KeyedCache::version).
    pub fn stamp_of(&self, key: &K) -> Result<Stamp> {
        self.levels.stamp(key)
    }
}

impl<T: Serialize + DeserializeOwned + 'static, K: ValueKey + ?Sized> Values<T, K> {
    /// Also keeps values in the store `bustard`, if it is configured, else in `default`, else
    /// in memory, encoded.
    pub fn shared(self) -> Self {
        let store = self.levels.sources.shared.stores.preferred();
        self.behind(SharedLevel::new(store))
    }

    /// Also keeps values in the store with this alias, encoded.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Usage`](crate::ErrorKind::Usage) if there is no such store, with
    /// the configured aliases, and the errors of
    /// [`StoreSettings::open`](crate::StoreSettings::open).
    pub fn store(self, alias: &str) -> Result<Self> {
        let store = self.levels.sources.shared.stores.get(alias)?;
        Ok(self.behind(SharedLevel::new(store)))
    }
}

impl<T: 'static, K: ValueKey + ?Sized> Values<T, K> {
    /// Does the same as [`shared`](Values::shared), with an encoding of the application. The
    /// type need not implement serde's traits.
    pub fn shared_with(self, codec: impl Codec<T> + 'static) -> Self {
        let store = self.levels.sources.shared.stores.preferred();
        self.behind(SharedLevel::with(store, codec))
    }

    /// Does the same as [`store`](Values::store), with an encoding of the application.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`store`](Values::store).
    pub fn store_with(self, alias: &str, codec: impl Codec<T> + 'static) -> Result<Self> {
        let store = self.levels.sources.shared.stores.get(alias)?;
        Ok(self.behind(SharedLevel::with(store, codec)))
    }

    fn behind(self, behind: SharedLevel<T>) -> Self {
        let Levels { sources, key_of, limits, .. } = &*self.levels;
        Values::with(sources.clone(), *key_of, limits.clone(), Some(behind))
    }
}

impl<T: Send + Sync + 'static, K: ValueKey + ?Sized> Values<T, K> {
    /// Returns the value under `key`, computing it with `load` on a miss. Concurrent
    /// callers of this handle and its clones share one computation (single flight). If it
    /// panics, one of the waiting callers computes the value itself.
    ///
    /// `load` must read data that is at least as recent as the version. It must read from
    /// the same database and not from a replica. It must not read in a transaction whose
    /// snapshot is older than this call, nor in an open transaction that has invalidated
    /// the cache. Use [`get_or_try_insert_in`](Values::get_or_try_insert_in) in such a
    /// transaction.
    ///
    /// `load` may request other values, but two values must not request each other:
    /// on two threads, each computation would wait for the other. `load` must not need
    /// a resource that waiting callers hold, such as the last connection of a pool. Callers
    /// wait as long as it takes, so `load` should have a time limit.
    ///
    /// # Panics
    ///
    /// Panics if `load` requests its own value, because it would wait for itself.
    /// [`get_or_try_insert_with`](Values::get_or_try_insert_with) returns an error instead.
    pub fn get_or_insert_with(&self, key: &K, load: impl FnOnce() -> T) -> Arc<T> {
        infallible(self.get_or_try_insert_with(key, || Ok(load())))
    }

    /// Returns the value under `key`, computing it with a fallible `load` on a miss. If the
    /// shared computation fails, all callers that wait for it get its error. Later callers
    /// compute again.
    ///
    /// # Errors
    ///
    /// Returns the error of `load`, or of the computation that the caller has waited for.
    /// Returns [`LoadError::Recursion`] if `load` requests its own value.
    pub fn get_or_try_insert_with<E: Send + Sync + 'static>(
        &self,
        key: &K,
        load: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, LoadError<E>> {
        if let Some(value) = self.levels.hit(key) {
            return Ok(value);
        }
        block_on(self.levels.get(Mode::Blocking, key, || async { load() }))
    }

    /// Does the same as [`get_or_try_insert_with`](Values::get_or_try_insert_with), but if the
    /// time to live of a value has ended less than
    /// [`stale_while_revalidate`](Values::stale_while_revalidate) ago, returns it at once and
    /// computes it again on a thread of its own.
    ///
    /// At most one thread computes a value, and at most 16 threads compute values of this
    /// handle. If there are 16, the caller computes the value itself. An error on the thread
    /// is counted in [`CacheStats::failures`](super::CacheStats::failures); the next caller
    /// tries again.
    ///
    /// # Errors
    ///
    /// Returns the errors of `get_or_try_insert_with`.
    pub fn get_or_try_refresh_with<E: Send + Sync + 'static>(
        &self,
        key: &K,
        load: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<Arc<T>, LoadError<E>> {
        if let Some(value) = self.levels.hit(key) {
            return Ok(value);
        }
        match Refresh::begin(&self.levels, key) {
            None => self.get_or_try_insert_with(key, load),
            Some(Stale::Led(value)) => Ok(value),
            Some(Stale::Leads(value, refresh)) => {
                let compute = move || drop(block_on(refresh.run(Mode::Blocking, || async { load() })));
                // Without a thread the refresh is dropped, and the next caller tries again.
                if let Err(error) = thread::Builder::new().name("bustard-refresh".to_owned()).spawn(compute) {
                    log::warn!("no thread to compute a cached value again: {error}");
                }
                Ok(value)
            }
        }
    }

    /// Returns the value under `key`, reading the versions on `executor` first and passing
    /// `executor` to `load` on a miss.
    ///
    /// In a transaction the versions are read in the transaction's snapshot, so a value that
    /// was read in an old snapshot is kept under an old version. If the transaction has
    /// invalidated one of the caches itself, nothing is looked up or kept. If `load` does so,
    /// its value is not kept: the versions are read again after `load`. SQLite does not
    /// report invalidations, so there this is the case if the transaction has written
    /// anything. Invalidate the cache before reading back what the transaction has written.
    ///
    /// On a connection this is the strict form: the value was current at the time of the
    /// call, even if the snapshot of the refresher is older.
    ///
    /// # Errors
    ///
    /// Returns the error of `load`, or of reading the versions.
    pub fn get_or_try_insert_in<X: Executor, E: From<Error>>(
        &self,
        executor: &mut X,
        key: &K,
        load: impl FnOnce(&mut X) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        get_in(&self.levels, executor, key, load)
    }

    /// Returns the values under `keys` in their order, computing all missing ones with one
    /// call of `load`. It is given the missing keys, and must return a value for each of them
    /// in the same order. It does not wait for computations of single keys, nor they for it.
    ///
    /// # Errors
    ///
    /// Returns the error of `load`, and [`LoadError::Count`] if it returns another number of
    /// values than of keys.
    pub fn get_many<E>(
        &self,
        keys: &[&K],
        load: impl FnOnce(&[&K]) -> Result<Vec<T>, E>,
    ) -> Result<Vec<Arc<T>>, LoadError<E>> {
        let load = |missing: Vec<K::Owned>| async move {
            load(&missing.iter().map(Borrow::borrow).collect::<Vec<_>>())
        };
        block_on(self.levels.get_many(Mode::Blocking, keys, load))
    }

    /// Keeps a value that was computed from data read after `stamp`. Callers that wait for a
    /// computation of the value get its result, which is not kept. With a store on a server,
    /// this waits for the server.
    pub fn insert(&self, stamp: &Stamp, key: &K, value: T) -> Arc<T> {
        let value = Arc::new(value);
        block_on(self.levels.insert(Mode::Blocking, key, stamp, &value, None));
        value
    }

    /// Does the same as [`insert`](Values::insert), with a time to live of the value's own
    /// instead of those of [`ttl`](Values::ttl) and [`ttl_by`](Values::ttl_by).
    pub fn insert_for(&self, stamp: &Stamp, key: &K, value: T, ttl: Duration) -> Arc<T> {
        let value = Arc::new(value);
        block_on(self.levels.insert(Mode::Blocking, key, stamp, &value, Some(ttl)));
        value
    }

    /// Removes the value under `key` in this process and, under the current versions, in the
    /// store. The results of computations in progress are not kept. Other processes may still
    /// have the value: to remove it everywhere, invalidate the cache. With a store on a
    /// server, this waits for the server.
    pub fn remove(&self, key: &K) {
        block_on(self.levels.remove(Mode::Blocking, key));
    }
}

pub(super) fn get_in<T: Send + Sync + 'static, K: ValueKey + ?Sized, X: Executor, E: From<Error>>(
    levels: &Levels<T, K>,
    executor: &mut X,
    key: &K,
    load: impl FnOnce(&mut X) -> Result<T, E>,
) -> Result<Arc<T>, E> {
    let Some(stamp) = levels.stamp_in(executor, key)? else {
        let began = Instant::now();
        return levels.counted(began, load(executor)).map(Arc::new);
    };
    if let Some(value) = block_on(levels.find_stamped(Mode::Blocking, key, &stamp)) {
        return Ok(value);
    }
    let began = Instant::now();
    let value = Arc::new(levels.counted(began, load(executor))?);
    // The computation itself may have invalidated a cache, and have read what is not committed.
    if levels.stamp_in(executor, key)?.is_some() {
        block_on(levels.file(Mode::Blocking, key, &stamp, &value));
    }
    Ok(value)
}

/// The asynchronous form of [`get_in`].
#[cfg(feature = "tokio")]
pub(super) async fn get_in_async<T, K, F, E>(
    levels: &Levels<T, K>,
    executor: &impl crate::engine::AsyncExecutor,
    key: &K,
    load: impl FnOnce() -> F,
) -> Result<Arc<T>, E>
where
    T: Send + Sync + 'static,
    K: ValueKey + ?Sized,
    F: Future<Output = Result<T, E>>,
    E: From<Error>,
{
    let Some(stamp) = levels.stamp_in_async(executor, key).await? else {
        let began = Instant::now();
        return levels.counted(began, load().await).map(Arc::new);
    };
    if let Some(value) = levels.find_stamped(Mode::Async, key, &stamp).await {
        return Ok(value);
    }
    let began = Instant::now();
    let value = Arc::new(levels.counted(began, load().await)?);
    // The computation itself may have invalidated a cache, as in `get_in`.
    if levels.stamp_in_async(executor, key).await?.is_some() {
        levels.file(Mode::Async, key, &stamp, &value).await;
    }
    Ok(value)
}

/// Returns the value of a computation that cannot fail.
pub(super) fn infallible<T>(computed: Result<T, LoadError<Infallible>>) -> T {
    match computed {
        Ok(value) => value,
        Err(LoadError::Failed(never)) => match *never {},
        Err(error) => panic!("{error}"),
    }
}
