//! One value of a cache, which is computed again when its version changes.
//!
//! In: a function that loads the value. Out: the value.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::first_level::{FirstLevel, Limits};
use super::levels::Levels;
use super::load_error::LoadError;
use super::park::{Mode, block_on};
use super::single_flight::Flights;
use super::sources::Sources;
use super::values::{get_in, infallible};
use crate::engine::Executor;
use crate::error::{Error, Result};

/// The key of the only value.
pub(super) const KEY: &() = &();

/// One value, kept in this process and computed again when its version changes. Clones share
/// the value.
///
/// ```
/// # use bustard::{App, CacheBuster, Migration, Migrator};
/// # let directory = tempfile::tempdir()?;
/// # let url = format!("sqlite:{}", directory.path().join("forum.sqlite").display());
/// # let mut connection = rusqlite::Connection::open(directory.path().join("forum.sqlite"))?;
/// # let app = App::new("forum").migration("V1__settings", Migration::new().register_cache("settings"));
/// # Migrator::new().app(app).run(&mut connection)?;
/// let buster = CacheBuster::connect(&url)?;
/// let title = buster.cache("settings")?.memo(|| "Bustard".to_owned()); // SELECT title FROM settings
/// assert_eq!(*title.get(), "Bustard");
/// assert_eq!(title.with(|title| title.len()), 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Memo<T, E = Infallible> {
    levels: Arc<Levels<T, ()>>,
    load: Arc<dyn Fn() -> Result<T, E> + Send + Sync>,
}

impl<T, E> Clone for Memo<T, E> {
    fn clone(&self) -> Self {
        Memo { levels: self.levels.clone(), load: self.load.clone() }
    }
}

impl<T, E> fmt::Debug for Memo<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo").field("caches", &self.levels.sources.caches).finish_non_exhaustive()
    }
}

impl<T, E> Memo<T, E> {
    pub(super) fn new(sources: Sources, load: impl Fn() -> Result<T, E> + Send + Sync + 'static) -> Self {
        Memo { levels: levels_of_one(sources), load: Arc::new(load) }
    }
}

/// Returns the levels of one value.
pub(super) fn levels_of_one<T>(sources: Sources) -> Arc<Levels<T, ()>> {
    let (limits, first, flights) = (Limits::default(), FirstLevel::one(), Flights::default());
    Arc::new(Levels {
        sources,
        key_of: None,
        limits,
        first,
        behind: None,
        flights,
        refreshing: AtomicUsize::new(0),
    })
}

impl<T: Send + Sync + 'static> Memo<T> {
    /// Returns the value, computing it if its version has changed. Concurrent callers share
    /// one computation.
    ///
    /// # Panics
    ///
    /// Panics if the computation requests this value, because it would wait for itself.
    pub fn get(&self) -> Arc<T> {
        infallible(self.try_get())
    }

    /// Calls a function with the value. This is the cheapest form.
    ///
    /// # Panics
    ///
    /// As for [`get`](Memo::get).
    pub fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        infallible(self.try_with(f))
    }
}

impl<T: Send + Sync + 'static, E: Send + Sync + 'static> Memo<T, E> {
    /// Returns the value, computing it if its version has changed. Concurrent callers share
    /// one computation, and its error.
    ///
    /// # Errors
    ///
    /// Returns the error of the computation. Returns [`LoadError::Recursion`] if the
    /// computation requests this value.
    pub fn try_get(&self) -> Result<Arc<T>, LoadError<E>> {
        if let Some(value) = self.levels.hit(KEY) {
            return Ok(value);
        }
        block_on(self.levels.get(Mode::Blocking, KEY, || async { (self.load)() }))
    }

    /// Calls a function with the value, without counting a reference.
    ///
    /// # Errors
    ///
    /// As for [`try_get`](Memo::try_get).
    pub fn try_with<R>(&self, f: impl FnOnce(&T) -> R) -> Result<R, LoadError<E>> {
        match self.levels.with_only(f) {
            Ok(result) => Ok(result),
            Err(f) => self.try_get().map(|value| f(&value)),
        }
    }

    /// Returns the value, reading the version on `executor` first and calling `load` with
    /// `executor` on a miss; see
    /// [`Values::get_or_try_insert_in`](super::Values::get_or_try_insert_in).
    ///
    /// # Errors
    ///
    /// Returns the error of `load`, or of reading the version.
    pub fn get_or_try_insert_in<X: Executor, F: From<Error>>(
        &self,
        executor: &mut X,
        load: impl FnOnce(&mut X) -> Result<T, F>,
    ) -> Result<Arc<T>, F> {
        get_in(&self.levels, executor, KEY, load)
    }
}
