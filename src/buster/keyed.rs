//! The handle of the keys of one cache.
//!
//! In: a cache that is registered `by` columns, and a key. Out: the version of the key.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

use super::cache::Cache;
use super::cache_key::{CacheKey, KeyOf, no_key, texts};
use super::key_cells::{KeyView, SlotKeys};
use super::values::Values;
use crate::engine::Executor;
use crate::engine::observer::SeenKeys;
use crate::error::{Error, ErrorKind, Result};
use crate::model::KeyVersion;
use crate::registry;

/// A handle of the keys of a cache that is registered `on TABLE by COLUMN`: a write gives a
/// new version to the keys of the rows that it changes. Cloning it and reading the version of
/// a key are cheap.
///
/// The value of a key must be computed from rows of that key only, and from tables that
/// invalidate the whole cache. Nothing can notice a value that reads rows of other keys: it
/// is stale after a write to them.
///
/// On SQLite, and with a [`TestBuster`](crate::testing::TestBuster), every key has the version
/// of the whole cache. On PostgreSQL, keys are divided into 4,093 buckets, and those of one
/// bucket have one version.
///
/// ```no_run
/// use bustard::CacheBuster;
///
/// let buster = CacheBuster::connect("postgres://localhost/forum")?;
/// let permissions = buster.cache("permissions")?.keyed::<i64>()?;
/// let version = permissions.version(&42)?; // before the data is read
/// // … read the permissions of the user 42, and keep them under `version` …
/// assert!(permissions.is_valid(&42, version));
///
/// let granted = permissions.values::<Vec<String>>("granted", 1)?.max_entries(50_000);
/// let of_user = granted.get_or_insert_with(&42, || vec!["read".to_owned()]);
/// # Ok::<(), bustard::Error>(())
/// ```
pub struct KeyedCache<K: ?Sized> {
    cache: Cache,
    view: KeyView,
    key: PhantomData<fn(&K)>,
}

impl<K: ?Sized> Clone for KeyedCache<K> {
    fn clone(&self) -> Self {
        KeyedCache { cache: self.cache.clone(), view: self.view.clone(), key: PhantomData }
    }
}

impl<K: ?Sized> fmt::Debug for KeyedCache<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedCache").field("name", &self.cache.name()).finish_non_exhaustive()
    }
}

impl Cache {
    /// Returns the handle of the keys of this cache. `K` is the type of the columns: `i64`
    /// for integers, `str` for texts, `Uuid` with the feature `uuid`, and `[String]` for
    /// several columns.
    ///
    /// The first call for a cache polls the database, and waits for it no longer than the
    /// [`lookup_timeout`](super::CacheBusterBuilder::lookup_timeout).
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Cache`](crate::ErrorKind::Cache) if the cache has no keys or is
    /// not registered any more, [`ErrorKind::Usage`](crate::ErrorKind::Usage) if its keys
    /// have another type, and [`ErrorKind::Stale`](crate::ErrorKind::Stale) if the
    /// database does not answer, or not in time.
    pub fn keyed<K: CacheKey + ?Sized>(&self) -> Result<KeyedCache<K>> {
        self.keyed_by(self.shared.lookup_deadline())
    }

    fn keyed_by<K: CacheKey + ?Sized>(&self, deadline: Instant) -> Result<KeyedCache<K>> {
        let interest = self.slot.keys.clone();
        if self.needs_keys() {
            self.shared.poll_by(deadline);
        }
        self.keyed_now(interest)
    }

    /// Returns whether a poll must read the keys.
    pub(super) fn needs_keys(&self) -> bool {
        let snapshot = self.shared.snapshot();
        snapshot.find(self.name()).is_ok_and(|entry| !matches!(entry.keys, SeenKeys::Read { .. }))
    }

    /// Returns the handle, if the snapshot has the keys.
    pub(super) fn keyed_now<K: CacheKey + ?Sized>(&self, interest: Arc<SlotKeys>) -> Result<KeyedCache<K>> {
        let cells = self.shared.key_cells(&self.slot)?;
        if !K::fits(&cells.rule) {
            return Err(other_type(self.name(), K::TYPE));
        }
        let view = KeyView::new(interest, cells);
        Ok(KeyedCache { cache: self.clone(), view, key: PhantomData })
    }
}

impl<K: CacheKey + ?Sized> KeyedCache<K> {
    /// Returns the name of the cache.
    pub fn name(&self) -> &str {
        self.cache.name()
    }

    /// Returns the handle of the whole cache.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    fn bucket(&self, key: &K) -> Result<usize> {
        key.bucket(&self.view.cells.rule).ok_or_else(|| no_key(self.name()))
    }

    /// Returns the version of a key with one atomic load. Read the version before the data
    /// that you store under it. It is as current as [`Cache::version`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Cache::version`], [`ErrorKind::Usage`](crate::ErrorKind::Usage)
    /// if the values of a key of several columns are not those of the columns, and
    /// [`ErrorKind::Stale`](crate::ErrorKind::Stale) if the cache has been registered with keys
    /// of another type since the handle was made.
    pub fn version(&self, key: &K) -> Result<KeyVersion> {
        let bucket = self.bucket(key)?;
        if let Some(version) = KeyVersion::new(self.view.cells.version(bucket)) {
            return Ok(version);
        }
        let snapshot = self.cache.shared.snapshot();
        let identity = snapshot.key_identity(self.name(), &self.view.cells.rule, bucket)?;
        identity.version().and_then(|version| KeyVersion::new(version.get())).ok_or_else(|| {
            Error::new(
                ErrorKind::Failed,
                format!("the version of a key of the cache {} is too large", self.name()),
            )
        })
    }

    /// Returns whether the key still has this version, with one atomic load. Returns `false`
    /// while the version is unknown.
    #[must_use = "use the cached value only if the version is valid"]
    pub fn is_valid(&self, key: &K, version: KeyVersion) -> bool {
        self.bucket(key).is_ok_and(|bucket| self.view.cells.version(bucket) == version.get())
    }

    /// Reads the version of a key from the database. On a connection this is the current
    /// version, and in a transaction it is the version in the transaction's snapshot.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Cache`](crate::ErrorKind::Cache) if the cache is not registered,
    /// and the error of the server if this is no key of the cache.
    pub fn version_in(&self, executor: &mut impl Executor, key: &K) -> Result<KeyVersion> {
        registry::get_key_version(executor, self.name(), &texts(&key.values()))
    }

    /// Returns whether the key has this version in the database, as
    /// [`version_in`](KeyedCache::version_in) reads it.
    ///
    /// # Errors
    ///
    /// Returns the errors of `version_in`.
    pub fn is_valid_in(&self, executor: &mut impl Executor, key: &K, version: KeyVersion) -> Result<bool> {
        Ok(self.version_in(executor, key)? == version)
    }

    /// Gives a key a new version, and so the version of the whole cache. This takes effect at
    /// once on a connection, and at the commit in a transaction; see
    /// [`CacheBuster::invalidate`](super::CacheBuster::invalidate).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`version_in`](KeyedCache::version_in).
    pub fn invalidate(&self, executor: &mut impl Executor, key: &K) -> Result<()> {
        registry::invalidate_key(executor, self.name(), &texts(&key.values()))?;
        self.cache.shared.after_write(executor);
        Ok(())
    }

    /// Returns the values that are stored under the versions of their keys by this name; see
    /// [`Cache::values`]. They share nothing with values of the whole cache.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Cache::values`].
    pub fn values<T: Send + Sync + 'static>(&self, name: &str, format: u32) -> Result<Values<T, K>> {
        let sources = self.cache.sources_of_keys(self.view.clone(), name, format);
        self.cache.shared.reserve::<T>(&sources.caches, name)?;
        Ok(Values::of_keys(sources, KeyOf::new()))
    }
}

fn other_type(cache: &str, of: &str) -> Error {
    Error::usage(format!("keys of the cache {cache} are not of the type {of}"))
        .help("use i64 for integers, str for texts, Uuid for uuids and [String] for several columns")
}
