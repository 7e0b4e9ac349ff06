//! The reading side: a snapshot of cache versions in this process, and handles
//! that are one atomic load.
//!
//! A [`CacheBuster`] has one thread, the refresher, which looks at the database
//! over a connection of its own and publishes what it sees; a listener has another.
//! It knows the versions as of at most `max_staleness` ago, or knows that it does not.

#[cfg(feature = "tokio")]
mod asynchronous;
mod cache;
mod change;
mod listener;
mod refresher;
mod settings;
mod shared;
mod single_flight;
mod snapshot;
#[cfg(test)]
mod tests;
mod values;

use std::fmt;
use std::sync::Arc;

pub use self::cache::Cache;
pub use self::change::Change;
use self::refresher::Threads;
pub use self::settings::{CacheBusterBuilder, DEFAULT_MAX_STALENESS, DEFAULT_POLL_INTERVAL};
use self::shared::Shared;
pub use self::values::Values;
use crate::engine::database::Database;
use crate::engine::{Commit, Executor};
use crate::error::Result;
use crate::model::CacheVersion;
use crate::registry;

/// Versions of tracked caches, kept current in this process.
///
/// Started once, shared by everybody: clones are the same `CacheBuster`, and its
/// thread ends with the last of them. (A process that forks without executing
/// something else must start one after the fork: threads stay behind.)
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
/// buster.commit(transaction)?; // takes effect, and is seen, here
/// assert!(!bans.is_valid(version));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # A ban that knows its version
///
/// Whatever is stored beside a version can be checked later: in a row of a table,
/// in a session, in a cookie.
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
/// let ban = Ban { version: buster.get_version("bans")?.get(), banned: true };
/// assert!(buster.is_valid("bans", ban.version)?);
///
/// buster.invalidate(&mut connection, &["bans"])?;
///
/// // It was set before the cache got invalidated, and needs to be checked again.
/// assert!(!buster.is_valid("bans", ban.version)?);
/// # assert!(ban.banned);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CacheBuster {
    shared: Arc<Shared>,
    // Stopped and joined when the last clone goes.
    _threads: Arc<Threads>,
}

impl fmt::Debug for CacheBuster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuster").finish_non_exhaustive()
    }
}

impl CacheBuster {
    /// Starts one on the database that the URL names, with the defaults of
    /// [`builder`](CacheBuster::builder). Returns after the first look: all is known
    /// then, unless it is a hot standby that has not caught up.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from a first look: a bad URL, no connection, a database
    /// without a registry. Later it tries again for ever.
    pub fn connect(url: &str) -> Result<Self> {
        CacheBuster::builder(url).start()
    }

    /// One that is still to be started. A bad URL is an error of
    /// [`start`](CacheBusterBuilder::start).
    pub fn builder(url: &str) -> CacheBusterBuilder {
        CacheBusterBuilder::new(Database::new(url).and_then(|database| database.observer()))
    }

    /// One that is still to be started, with a connection of its own to the same
    /// database.
    pub fn on(database: &Database) -> CacheBusterBuilder {
        CacheBusterBuilder::new(database.observer())
    }

    /// The handle of a cache.
    ///
    /// Asks the database, if nobody has asked for this cache here before. Whoever
    /// wants thousands calls [`get_versions`](CacheBuster::get_versions) with their
    /// names first, which asks once for all.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cache`](crate::ErrorKind::Cache) if the name is not
    /// registered, with the nearest that is;
    /// [`ErrorKind::Stale`](crate::ErrorKind::Stale) if the database does not
    /// answer.
    pub fn cache(&self, name: &str) -> Result<Cache> {
        Cache::find(&self.shared, name)
    }

    /// The cache's version. Read it before the data that is to be stored under it.
    ///
    /// # Errors
    ///
    /// As for [`cache`](CacheBuster::cache) and [`Cache::version`].
    pub fn get_version(&self, name: &str) -> Result<CacheVersion> {
        self.cache(name)?.version()
    }

    /// Whether the cache still has this version. A number that is no version, such
    /// as 0, never is; nothing is while the versions are not known.
    ///
    /// # Errors
    ///
    /// As for [`cache`](CacheBuster::cache).
    pub fn is_valid(&self, name: &str, version: impl Into<i64>) -> Result<bool> {
        Ok(self.cache(name)?.is_valid(version))
    }

    /// The versions of several caches in one snapshot, in the order of the names.
    ///
    /// # Errors
    ///
    /// As for [`get_version`](CacheBuster::get_version), for any of them.
    pub fn get_versions(&self, names: &[&str]) -> Result<Vec<CacheVersion>> {
        // One look finds all that are wanted before it.
        names.iter().try_for_each(|name| registry::check_name(name))?;
        let _wanted: Vec<_> = names.iter().map(|name| self.shared.want(name)).collect();
        let caches: Vec<Cache> = names.iter().map(|name| self.cache(name)).collect::<Result<_>>()?;
        // All are wanted by now, so whatever is known from here on knows them all.
        let knowledge = self.shared.knowledge();
        caches.iter().map(|cache| Ok(knowledge.find(cache.name())?.version)).collect()
    }

    /// Starts tracking a cache that `app` owns: on a connection at once, in a
    /// transaction when it commits.
    ///
    /// # Errors
    ///
    /// As for [`registry::register`].
    pub fn register(&self, executor: &mut impl Executor, name: &str, app: Option<&str>) -> Result<()> {
        registry::register(executor, name, app)?;
        self.written(executor);
        Ok(())
    }

    /// Stops tracking a cache: on a connection at once, in a transaction when it
    /// commits.
    ///
    /// # Errors
    ///
    /// As for [`registry::unregister`].
    pub fn unregister(&self, executor: &mut impl Executor, name: &str) -> Result<()> {
        registry::unregister(executor, name)?;
        self.written(executor);
        Ok(())
    }

    /// Gives each of the caches a new version: on a connection at once, in a
    /// transaction when it commits, which [`commit`](CacheBuster::commit) makes
    /// known at once.
    ///
    /// # Errors
    ///
    /// As for [`registry::invalidate`].
    pub fn invalidate(&self, executor: &mut impl Executor, names: &[&str]) -> Result<()> {
        registry::invalidate(executor, names)?;
        self.written(executor);
        Ok(())
    }

    /// Gives every cache a new version: on a connection at once, in a transaction
    /// when it commits.
    ///
    /// # Errors
    ///
    /// As for [`registry::invalidate_all`].
    pub fn invalidate_all(&self, executor: &mut impl Executor) -> Result<()> {
        registry::invalidate_all(executor)?;
        self.written(executor);
        Ok(())
    }

    /// Commits a transaction. What it has invalidated counts in this process when
    /// this returns, and in others as soon as the notification reaches them.
    ///
    /// Waits for a look at the database after the commit, seconds at most. If that
    /// fails, versions are unknown here until one succeeds; that is no error. On a hot standby they are unknown until
    /// it has replayed as much.
    ///
    /// # Errors
    ///
    /// Those of the commit.
    pub fn commit(&self, transaction: impl Commit) -> Result<()> {
        let committed = transaction.commit();
        // Also after an error: a connection that was lost may have committed.
        self.shared.tell();
        committed
    }

    /// Makes known what has been committed elsewhere, by another driver or with
    /// the transaction's own `commit`: looks at the database now, and tells other
    /// processes to.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`](crate::ErrorKind::Stale) if the database does not
    /// answer; versions are unknown here until it does.
    pub fn notify(&self) -> Result<()> {
        self.shared.tell();
        self.shared.knowledge().check()
    }

    fn written(&self, executor: &impl Executor) {
        if executor.commits() {
            self.shared.tell();
        }
    }
}
