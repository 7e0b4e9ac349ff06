//! The asynchronous forms of values.
//!
//! In: the arguments of the blocking forms. Out: futures that do not block the thread.

use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::load_error::LoadError;
use super::park::Mode;
use super::refresh::{Refresh, Stale};
use super::stamp::Stamp;
use super::value_key::ValueKey;
use super::values::{Values, get_in_async, infallible};
use crate::engine::AsyncExecutor;
use crate::error::{Error, Result};

impl<T: Send + Sync + 'static, K: ValueKey + ?Sized> Values<T, K> {
    /// Does the same as [`get_or_insert_with`](Values::get_or_insert_with), for an
    /// asynchronous computation. Call it within a Tokio runtime. Do not call the blocking
    /// form in a task: a waiting caller blocks its thread, and the task that computes the
    /// value may need that thread.
    ///
    /// If the future is dropped while it computes the value, one of the waiting callers
    /// computes it. See [`load_in`](Values::load_in) for computations that must not be lost.
    ///
    /// # Panics
    ///
    /// As for `get_or_insert_with`.
    pub async fn get_or_insert_with_async<F: Future<Output = T>>(
        &self,
        key: &K,
        load: impl FnOnce() -> F,
    ) -> Arc<T> {
        let load = || async { Ok::<T, Infallible>(load().await) };
        infallible(self.get_or_try_insert_with_async(key, load).await)
    }

    /// Does the same as [`get_or_try_insert_with`](Values::get_or_try_insert_with), for an
    /// asynchronous computation. Call it within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns the errors of `get_or_try_insert_with`.
    pub async fn get_or_try_insert_with_async<F: Future<Output = Result<T, E>>, E: Send + Sync + 'static>(
        &self,
        key: &K,
        load: impl FnOnce() -> F,
    ) -> Result<Arc<T>, LoadError<E>> {
        self.levels().get(Mode::Async, key, load).await
    }

    /// Does the same as [`get_or_try_insert_in`](Values::get_or_try_insert_in), on a
    /// connection or transaction of tokio-postgres. `load` must read on this connection or
    /// transaction. Call it within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns the error of `load`, or of reading the versions.
    pub async fn get_or_try_insert_in_async<F: Future<Output = Result<T, E>>, E: From<Error>>(
        &self,
        executor: &impl AsyncExecutor,
        key: &K,
        load: impl FnOnce() -> F,
    ) -> Result<Arc<T>, E> {
        get_in_async(self.levels(), executor, key, load).await
    }

    /// Does the same as [`get_many`](Values::get_many), for an asynchronous computation. Call
    /// it within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns the errors of `get_many`.
    pub async fn get_many_async<F: Future<Output = Result<Vec<T>, E>>, E>(
        &self,
        keys: &[&K],
        load: impl FnOnce(Vec<K::Owned>) -> F,
    ) -> Result<Vec<Arc<T>>, LoadError<E>> {
        self.levels().get_many(Mode::Async, keys, load).await
    }

    /// Does the same as [`insert`](Values::insert). Waits for a store on a server without
    /// blocking the thread. Call it within a Tokio runtime.
    pub async fn insert_async(&self, stamp: &Stamp, key: &K, value: T) -> Arc<T> {
        let value = Arc::new(value);
        self.levels().insert(Mode::Async, key, stamp, &value, None).await;
        value
    }

    /// Does the same as [`insert_for`](Values::insert_for). Waits for a store on a server
    /// without blocking the thread. Call it within a Tokio runtime.
    pub async fn insert_for_async(&self, stamp: &Stamp, key: &K, value: T, ttl: Duration) -> Arc<T> {
        let value = Arc::new(value);
        self.levels().insert(Mode::Async, key, stamp, &value, Some(ttl)).await;
        value
    }

    /// Does the same as [`remove`](Values::remove). Waits for a store on a server without
    /// blocking the thread. Call it within a Tokio runtime.
    pub async fn remove_async(&self, key: &K) {
        self.levels().remove(Mode::Async, key).await;
    }

    /// Returns a handle that computes values in tasks of this runtime. A computation then
    /// goes on when the caller is cancelled, so its work is not lost, and the value is kept.
    pub fn load_in(&self, runtime: &Handle) -> ValuesIn<T, K> {
        ValuesIn { values: self.clone(), runtime: runtime.clone() }
    }
}

/// A handle that computes values in tasks of a runtime; see
/// [`load_in`](Values::load_in).
pub struct ValuesIn<T, K: ValueKey + ?Sized = str> {
    values: Values<T, K>,
    runtime: Handle,
}

impl<T, K: ValueKey + ?Sized> fmt::Debug for ValuesIn<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValuesIn").field("values", &self.values).finish_non_exhaustive()
    }
}

impl<T, K: ValueKey + ?Sized> Clone for ValuesIn<T, K> {
    fn clone(&self) -> Self {
        ValuesIn { values: self.values.clone(), runtime: self.runtime.clone() }
    }
}

impl<T: Send + Sync + 'static, K: ValueKey + ?Sized> ValuesIn<T, K> {
    /// Does the same as [`get_or_try_insert_with`](Values::get_or_try_insert_with), and
    /// computes the value in a task.
    ///
    /// If the time to live of a value has ended less than
    /// [`stale_while_revalidate`](Values::stale_while_revalidate) ago, returns it at once, and
    /// the task computes it again in the background. At most one task computes a value, and
    /// at most 16 tasks compute values of this handle in the background. If there are 16, the
    /// caller waits for the value. An error in the background is counted in
    /// [`CacheStats::failures`](super::CacheStats::failures); the next caller tries again.
    ///
    /// # Errors
    ///
    /// Returns the errors of `get_or_try_insert_with`, and [`LoadError::Cancelled`] if the
    /// runtime has ended.
    ///
    /// # Panics
    ///
    /// Panics if the computation does.
    pub async fn get_or_try_insert_with<F, E>(
        &self,
        key: &K,
        load: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Arc<T>, LoadError<E>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let levels = self.values.levels();
        if let Some(value) = levels.hit(key) {
            return Ok(value);
        }
        // The task cannot know it, because the caller's thread does not poll the task.
        if levels.flights.is_computed_here(key) {
            return Err(LoadError::Recursion);
        }
        match Refresh::begin(levels, key) {
            None => {}
            Some(Stale::Led(value)) => return Ok(value),
            Some(Stale::Leads(value, refresh)) => {
                self.runtime.spawn(async move { refresh.run(Mode::Async, load).await.map(drop) });
                return Ok(value);
            }
        }
        let (levels, key) = (levels.clone(), key.to_owned());
        let task = self.runtime.spawn(async move { levels.get(Mode::Async, key.borrow(), load).await });
        match task.await {
            Ok(computed) => computed,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(LoadError::Cancelled),
            },
        }
    }
}
