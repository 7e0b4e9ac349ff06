//! The reading side: a snapshot of cache versions in this process, and handles
//! that read a version with one atomic load.
//!
//! A [`CacheBuster`] has one thread, the refresher, which polls the database over a
//! connection of its own and publishes a snapshot of the versions. A listener has a
//! second thread. A snapshot is at most `max_staleness` old; after that it expires, and
//! the versions are unknown until the next successful poll.
//!
//! In: a database, by its URL, and perhaps a store. Out: versions, cached values and
//! changes.

mod alias_stores;
#[cfg(feature = "tokio")]
mod asynchronous;
#[cfg(feature = "tokio")]
mod asynchronous_memo;
#[cfg(feature = "tokio")]
mod asynchronous_values;
mod cache;
mod cache_key;
mod change;
mod codec;
mod first_level;
mod key_cells;
mod keyed;
mod levels;
mod listener;
mod load_error;
mod memo;
#[cfg(feature = "metrics")]
mod metrics;
mod park;
mod refresh;
mod refresher;
mod settings;
mod shared;
mod shared_level;
mod single_flight;
mod snapshot;
mod sources;
mod stamp;
mod stats;
#[cfg(test)]
mod tests;
mod value_key;
mod values;

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "tokio")]
pub use self::asynchronous_memo::AsyncMemo;
#[cfg(feature = "tokio")]
pub use self::asynchronous_values::ValuesIn;
pub use self::cache::Cache;
pub use self::cache_key::CacheKey;
pub use self::change::Change;
pub use self::codec::Codec;
pub use self::keyed::KeyedCache;
pub use self::load_error::LoadError;
pub use self::memo::Memo;
use self::refresher::Threads;
pub use self::settings::{
    CacheBusterBuilder, DEFAULT_LOOKUP_TIMEOUT, DEFAULT_MAX_STALENESS, DEFAULT_POLL_INTERVAL,
};
use self::shared::Shared;
pub use self::stamp::Stamp;
pub use self::stats::CacheStats;
pub use self::value_key::ValueKey;
pub use self::values::Values;
use crate::engine::database::Database;
use crate::engine::{Commit, Executor};
use crate::error::{Error, Result};
use crate::model::CacheVersion;
use crate::registry;

/// Versions of tracked caches, kept current in this process.
///
/// Start one per process and share it: all clones use the same threads, which end
/// when the last clone is dropped. A process that forks without `exec` must start its
/// `CacheBuster` after the fork, because threads are not inherited.
///
/// ```
/// use bustard::{App, CacheBuster, Migration, Migrator};
///
/// # let directory = tempfile::tempdir()?;
/// # let url = format!("sqlite:{}", directory.path().join("forum.sqlite").display());
/// # let mut connection = rusqlite::Connection::open(directory.path().join("forum.sqlite"))?;
/// let app = App::new("forum").migration("V1__bans", Migration::new().register_cache("bans"));
/// Migrator::new().app(app).run(&mut connection)?;
///
/// let buster = CacheBuster::connect(&url)?;
/// let bans = buster.cache("bans")?;
/// let version = bans.version()?; // before the data is read
/// assert!(bans.is_valid(version));
///
/// let mut transaction = connection.transaction()?;
/// buster.invalidate(&mut transaction, &["bans"])?;
/// buster.commit(transaction)?; // the new version is visible here from now on
/// assert!(!bans.is_valid(version));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Storing a version beside a value
///
/// A value that is stored with its version can be checked later. It can be stored in a
/// row of a table, in a session or in a cookie.
///
/// ```
/// # use bustard::{App, CacheBuster, Migration, Migrator};
/// # let directory = tempfile::tempdir()?;
/// # let url = format!("sqlite:{}", directory.path().join("forum.sqlite").display());
/// # let mut connection = rusqlite::Connection::open(directory.path().join("forum.sqlite"))?;
/// # let app = App::new("forum").migration("V1__bans", Migration::new().register_cache("bans"));
/// # Migrator::new().app(app).run(&mut connection)?;
/// # let buster = CacheBuster::connect(&url)?;
/// struct Ban {
///     banned: bool,
///     version: i64, // a BIGINT of the session's table
/// }
/// let ban = Ban { version: buster.version("bans")?.get(), banned: true };
/// assert!(buster.is_valid("bans", ban.version)?);
///
/// buster.invalidate(&mut connection, &["bans"])?;
///
/// // The version is from before the invalidation, so the ban must be checked again.
/// assert!(!buster.is_valid("bans", ban.version)?);
/// # assert!(ban.banned);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CacheBuster {
    shared: Arc<Shared>,
    // The threads are stopped and joined when the last clone is dropped.
    _threads: Arc<Threads>,
}

impl fmt::Debug for CacheBuster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuster").finish_non_exhaustive()
    }
}

impl CacheBuster {
    /// Starts a `CacheBuster` on the database of this URL, with the defaults of
    /// [`builder`](CacheBuster::builder). Returns after the first poll. The snapshot is
    /// current then, unless the database is a hot standby that lags too far behind.
    ///
    /// # Errors
    ///
    /// Returns an error if the first poll fails, for example because of an invalid URL, a
    /// missing connection, or a database without a registry. Later failures are retried
    /// until the `CacheBuster` is dropped.
    pub fn connect(url: &str) -> Result<Self> {
        CacheBuster::builder(url).start()
    }

    /// Returns a builder for the database of this URL. If the URL is invalid,
    /// [`start`](CacheBusterBuilder::start) returns the error.
    pub fn builder(url: &str) -> CacheBusterBuilder {
        CacheBusterBuilder::new(Database::new(url).and_then(|database| database.observer()))
    }

    /// Returns a builder for the same database. The `CacheBuster` opens a connection of
    /// its own.
    pub fn on(database: &Database) -> CacheBusterBuilder {
        CacheBusterBuilder::new(database.observer())
    }

    /// Returns the handle of a cache.
    ///
    /// The first call for a cache polls the database, and waits for it no longer than the
    /// [`lookup_timeout`](CacheBusterBuilder::lookup_timeout). To get thousands of handles, call
    /// [`versions`](CacheBuster::versions) with their names first: it polls once for all.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Cache`](crate::ErrorKind::Cache) if the name is not
    /// registered, with the most similar name that is;
    /// [`ErrorKind::Stale`](crate::ErrorKind::Stale) if the database does not
    /// answer, or not in time.
    pub fn cache(&self, name: &str) -> Result<Cache> {
        Cache::find(&self.shared, name, self.shared.lookup_deadline())
    }

    /// Returns the values that are made from several caches, by this name: a value is
    /// computed again when any of them has another version. Each version is compared, in any
    /// order of the names.
    ///
    /// ```no_run
    /// # fn main() -> bustard::Result<()> {
    /// # let buster = bustard::CacheBuster::connect("sqlite:forum.db")?;
    /// let granted = buster.values_of::<Vec<String>>(&["bans", "permissions"], "granted", 1)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`cache`](CacheBuster::cache) and [`Cache::values`], and
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if there are no names.
    pub fn values_of<T: Send + Sync + 'static>(
        &self,
        names: &[&str],
        name: &str,
        format: u32,
    ) -> Result<Values<T>> {
        self.values_of_by(names, name, format)
    }

    /// Does the same as [`values_of`](CacheBuster::values_of), for keys of another type than
    /// texts; see [`Cache::values_by`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`values_of`](CacheBuster::values_of).
    pub fn values_of_by<K: ValueKey + ?Sized, T: Send + Sync + 'static>(
        &self,
        names: &[&str],
        name: &str,
        format: u32,
    ) -> Result<Values<T, K>> {
        if names.is_empty() {
            return Err(Error::usage(format!("the values {name} are made from no cache"))
                .help("name the caches whose invalidation they depend on"));
        }
        let deadline = self.shared.lookup_deadline();
        let find = |name: &&str| Cache::find(&self.shared, name, deadline);
        let caches: Vec<Cache> = names.iter().map(find).collect::<Result<_>>()?;
        cache::values_of(&self.shared, &caches, name, format)
    }

    /// Returns the version of a cache. Read the version before the data that you store
    /// under it.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`cache`](CacheBuster::cache) and [`Cache::version`].
    pub fn version(&self, name: &str) -> Result<CacheVersion> {
        self.cache(name)?.version()
    }

    /// Returns whether the cache still has this version. Returns `false` for a number
    /// that is no version, such as 0, and while the versions are unknown.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`cache`](CacheBuster::cache).
    pub fn is_valid(&self, name: &str, version: impl Into<i64>) -> Result<bool> {
        Ok(self.cache(name)?.is_valid(version))
    }

    /// Returns the versions of several caches from one snapshot, in the order of `names`.
    /// Waits for the database no longer than for one cache.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`version`](CacheBuster::version).
    pub fn versions(&self, names: &[&str]) -> Result<Vec<CacheVersion>> {
        // One poll reads all names that were added before it.
        names.iter().try_for_each(|name| registry::check_name(name))?;
        let _wanted: Vec<_> = names.iter().map(|name| self.shared.slot(name)).collect();
        let deadline = self.shared.lookup_deadline();
        let find = |name: &&str| Cache::find(&self.shared, name, deadline);
        let caches: Vec<Cache> = names.iter().map(find).collect::<Result<_>>()?;
        // All names have slots by now, so every snapshot from here on contains them.
        let snapshot = self.shared.snapshot();
        caches.iter().map(|cache| Ok(snapshot.find(cache.name())?.version)).collect()
    }

    /// Registers a cache that `app` owns. This takes effect at once on a connection, and
    /// at the commit in a transaction.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`registry::register`].
    pub fn register(&self, executor: &mut impl Executor, name: &str, app: Option<&str>) -> Result<()> {
        registry::register(executor, name, app)?;
        self.shared.after_write(executor);
        Ok(())
    }

    /// Unregisters a cache. This takes effect at once on a connection, and at the commit
    /// in a transaction.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`registry::unregister`].
    pub fn unregister(&self, executor: &mut impl Executor, name: &str) -> Result<()> {
        registry::unregister(executor, name)?;
        self.shared.after_write(executor);
        Ok(())
    }

    /// Gives each of the caches a new version. This takes effect at once on a connection,
    /// and at the commit in a transaction. Use [`commit`](CacheBuster::commit) to update
    /// the snapshot of this process with the commit.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`registry::invalidate`].
    pub fn invalidate(&self, executor: &mut impl Executor, names: &[&str]) -> Result<()> {
        registry::invalidate(executor, names)?;
        self.shared.after_write(executor);
        Ok(())
    }

    /// Gives every cache a new version. This takes effect at once on a connection, and at
    /// the commit in a transaction.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`registry::invalidate_all`].
    pub fn invalidate_all(&self, executor: &mut impl Executor) -> Result<()> {
        registry::invalidate_all(executor)?;
        self.shared.after_write(executor);
        Ok(())
    }

    /// Commits a transaction and updates the snapshot. When this returns, the
    /// transaction's invalidations have taken effect in this process. Other processes
    /// see them when the notification reaches them.
    ///
    /// Waits for a poll after the commit, a few seconds at most. If the poll fails, this
    /// returns no error, and the versions are unknown until a poll succeeds. If the
    /// `CacheBuster` reads from a hot standby, the versions are unknown until the standby
    /// has replayed the commit.
    ///
    /// # Errors
    ///
    /// Returns the error of the commit.
    pub fn commit(&self, transaction: impl Commit) -> Result<()> {
        let committed = transaction.commit();
        // Poll after an error too: if the connection was lost, the commit may have
        // succeeded.
        self.shared.poll_after_commit();
        committed
    }

    /// Updates the snapshot after a commit that did not use
    /// [`commit`](CacheBuster::commit), such as a commit by another driver or by the
    /// transaction's own method. Polls the database now and notifies other processes.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Stale`](crate::ErrorKind::Stale) if the database does not
    /// answer; the versions are unknown until it does.
    pub fn notify(&self) -> Result<()> {
        self.shared.poll_after_commit();
        self.shared.snapshot().check()
    }

    /// Returns the numbers of lookups of the values of all caches that have handles. A value
    /// of several caches counts for each of them.
    pub fn stats(&self) -> CacheStats {
        self.shared.stats()
    }
}
