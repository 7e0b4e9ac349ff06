//! One value of a cache that is computed asynchronously.
//!
//! In: a function that loads the value. Out: futures of the value.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use super::cache::Cache;
use super::levels::Levels;
use super::load_error::LoadError;
use super::memo::{KEY, levels_of_one};
use super::park::Mode;
use super::values::{get_in_async, infallible};
use crate::engine::AsyncExecutor;
use crate::error::{Error, Result};

/// A computation in progress.
type Loading<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// One value, kept in this process and computed again when its version changes, like
/// [`Memo`](super::Memo), by an asynchronous function. Clones share the value. If a caller is
/// cancelled while it computes the value, one of the waiting callers computes it.
///
/// ```no_run
/// # async fn main_page(buster: bustard::CacheBuster) -> bustard::Result<()> {
/// async fn load() -> String {
///     "Bustard".to_owned() // SELECT title FROM settings
/// }
/// let title = buster.cache_async("settings").await?.memo_async(load);
/// assert_eq!(*title.get().await, "Bustard");
/// assert_eq!(title.with(|title| title.len()).await, 7);
/// # Ok(())
/// # }
/// ```
pub struct AsyncMemo<T, E = Infallible> {
    levels: Arc<Levels<T, ()>>,
    load: Arc<dyn Fn() -> Loading<T, E> + Send + Sync>,
}

impl<T, E> Clone for AsyncMemo<T, E> {
    fn clone(&self) -> Self {
        AsyncMemo { levels: self.levels.clone(), load: self.load.clone() }
    }
}

impl<T, E> fmt::Debug for AsyncMemo<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncMemo").field("caches", &self.levels.sources.caches).finish_non_exhaustive()
    }
}

impl Cache {
    /// Does the same as [`memo`](Cache::memo), with an asynchronous `load`.
    pub fn memo_async<T, F>(&self, load: impl Fn() -> F + Send + Sync + 'static) -> AsyncMemo<T>
    where
        T: Send + Sync + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.try_memo_async(move || {
            let loading = load();
            async { Ok(loading.await) }
        })
    }

    /// Does the same as [`memo_async`](Cache::memo_async), with a fallible `load`.
    pub fn try_memo_async<T, E, F>(&self, load: impl Fn() -> F + Send + Sync + 'static) -> AsyncMemo<T, E>
    where
        T: Send + Sync + 'static,
        E: Send + Sync + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let load = move || -> Loading<T, E> { Box::pin(load()) };
        AsyncMemo { levels: levels_of_one(self.sources()), load: Arc::new(load) }
    }
}

impl<T: Send + Sync + 'static> AsyncMemo<T> {
    /// Returns the value, computing it if its version has changed. Concurrent callers share
    /// one computation.
    ///
    /// # Panics
    ///
    /// Panics if the computation requests this value, because it would wait for itself.
    pub async fn get(&self) -> Arc<T> {
        infallible(self.try_get().await)
    }

    /// Calls a function with the value.
    ///
    /// # Panics
    ///
    /// As for [`get`](AsyncMemo::get).
    pub async fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        infallible(self.try_with(f).await)
    }
}

impl<T: Send + Sync + 'static, E: Send + Sync + 'static> AsyncMemo<T, E> {
    /// Returns the value, computing it if its version has changed. Concurrent callers share
    /// one computation, and its error.
    ///
    /// # Errors
    ///
    /// Returns the error of the computation. Returns [`LoadError::Recursion`] if the
    /// computation requests this value.
    pub async fn try_get(&self) -> Result<Arc<T>, LoadError<E>> {
        self.levels.get(Mode::Async, KEY, || (self.load)()).await
    }

    /// Calls a function with the value, without counting a reference if it is kept.
    ///
    /// # Errors
    ///
    /// As for [`try_get`](AsyncMemo::try_get).
    pub async fn try_with<R>(&self, f: impl FnOnce(&T) -> R) -> Result<R, LoadError<E>> {
        match self.levels.with_only(f) {
            Ok(result) => Ok(result),
            Err(f) => self.try_get().await.map(|value| f(&value)),
        }
    }

    /// Returns the value, reading the version on `executor` first, and calling `load` on a
    /// miss, which must read on `executor`; see
    /// [`Values::get_or_try_insert_in_async`](super::Values::get_or_try_insert_in_async).
    ///
    /// # Errors
    ///
    /// Returns the error of `load`, or of reading the version.
    pub async fn get_or_try_insert_in<F: Future<Output = Result<T, D>>, D: From<Error>>(
        &self,
        executor: &impl AsyncExecutor,
        load: impl FnOnce() -> F,
    ) -> Result<Arc<T>, D> {
        get_in_async(&self.levels, executor, KEY, load).await
    }
}
