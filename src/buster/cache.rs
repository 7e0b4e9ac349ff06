//! The handle of one cache.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::shared::{Shared, Slot};
use super::values::Values;
use crate::engine::Executor;
use crate::error::{ErrorKind, Result};
use crate::model::CacheVersion;
use crate::registry;

/// One cache's place in the snapshot: cheap to clone, and to ask.
///
/// It stays useful when the cache is unregistered and registered again, and knows
/// nothing any more once the [`CacheBuster`](super::CacheBuster) is gone.
#[derive(Clone)]
pub struct Cache {
    slot: Arc<Slot>,
    shared: Arc<Shared>,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Cache {
    pub(super) fn find(shared: &Arc<Shared>, name: &str) -> Result<Cache> {
        registry::check_name(name)?;
        let (slot, is_new) = shared.want(name);
        let cache = Cache { slot, shared: shared.clone() };
        if cache.load() != 0 {
            return Ok(cache);
        }
        // It may have been registered just now. While the database does not answer,
        // waiting for it gains nothing.
        if shared.knowledge().check().is_ok() {
            shared.look();
        }
        match shared.knowledge().find(name) {
            Err(error) if is_new || error.kind() == ErrorKind::Cache => {
                shared.forget(name);
                Err(error)
            }
            _ => Ok(cache),
        }
    }

    #[inline]
    fn load(&self) -> i64 {
        // Acquire: whoever reads a version sees what happened before it was published.
        self.slot.version.load(Ordering::Acquire)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.slot.name
    }

    /// The version: one atomic load. Read it before the data that is to be stored
    /// under it.
    ///
    /// The refresher sees to it that the version is known as of at most
    /// `max_staleness` ago. A process that was itself stopped (SIGSTOP, a frozen
    /// container) may answer from before until its refresher runs again, and where
    /// clocks stand still while a whole machine sleeps, for the rest of
    /// `max_staleness`. [`version_in`](Cache::version_in) has no such gap.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`](crate::ErrorKind::Stale) if it is not known now, with
    /// since when and why; [`ErrorKind::Cache`](crate::ErrorKind::Cache) if the
    /// cache is not registered any more.
    #[inline]
    pub fn version(&self) -> Result<CacheVersion> {
        match CacheVersion::new(self.load()) {
            Some(version) => Ok(version),
            None => self.version_from_snapshot(),
        }
    }

    #[cold]
    fn version_from_snapshot(&self) -> Result<CacheVersion> {
        Ok(self.shared.knowledge().find(self.name())?.version)
    }

    /// Whether the cache still has this version: one atomic load. A number that is
    /// no version never is; nothing is while the version is not known.
    #[inline]
    #[must_use = "what is cached may be used only if it is"]
    pub fn is_valid(&self, version: impl Into<i64>) -> bool {
        let version = version.into();
        self.load() == version && version > 0
    }

    /// The version as the database has it, on a connection now, in a transaction
    /// in its snapshot. This is the strict form: nothing of it is remembered here.
    ///
    /// # Errors
    ///
    /// As for [`registry::get_version`].
    pub fn version_in(&self, executor: &mut impl Executor) -> Result<CacheVersion> {
        registry::get_version(executor, self.name())
    }

    /// Whether the cache has this version in the database, on a connection now, in
    /// a transaction in its snapshot.
    ///
    /// # Errors
    ///
    /// As for [`registry::is_valid`].
    pub fn is_valid_in(&self, executor: &mut impl Executor, version: impl Into<i64>) -> Result<bool> {
        registry::is_valid(executor, self.name(), version)
    }

    /// Values that are kept under this cache's version, filed by `app` in this
    /// `format`: raise the number whenever the type changes its meaning, so that
    /// old and new code of a rolling deploy do not read each other's.
    pub fn values<T>(&self, app: &str, format: u32) -> Values<T> {
        Values::new(self.shared.clone(), self.name(), app, format)
    }
}
