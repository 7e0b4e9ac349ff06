//! The asynchronous forms of values.
//!
//! In: the arguments of the blocking forms. Out: futures that do not block the thread.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::load_error::LoadError;
use super::park::Mode;
use super::values::{Values, infallible};
use crate::engine::AsyncExecutor;
use crate::error::{Error, Result};

impl<T: Send + Sync + 'static> Values<T> {
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
        key: &str,
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
        key: &str,
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
        key: &str,
        load: impl FnOnce() -> F,
    ) -> Result<Arc<T>, E> {
        let levels = self.levels();
        let Some(stamp) = levels.sources.stamp_in_async(executor).await? else {
            return levels.counted(load().await).map(Arc::new);
        };
        if let Some(value) = levels.find_stamped(Mode::Async, key, &stamp).await {
            return Ok(value);
        }
        let value = Arc::new(levels.counted(load().await)?);
        // The computation itself may have invalidated a cache, and have read what is not
        // committed.
        if levels.sources.stamp_in_async(executor).await?.is_some() {
            levels.file(Mode::Async, key, &stamp, &value).await;
        }
        Ok(value)
    }

    /// Does the same as [`get_many`](Values::get_many), for an asynchronous computation. Call
    /// it within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns the errors of `get_many`.
    pub async fn get_many_async<F: Future<Output = Result<Vec<T>, E>>, E>(
        &self,
        keys: &[&str],
        load: impl FnOnce(Vec<String>) -> F,
    ) -> Result<Vec<Arc<T>>, LoadError<E>> {
        self.levels().get_many(Mode::Async, keys, load).await
    }

    /// Returns a handle that computes values in tasks of this runtime. A computation then
    /// goes on when the caller is cancelled, so its work is not lost, and the value is kept.
    pub fn load_in(&self, runtime: &Handle) -> ValuesIn<T> {
        ValuesIn { values: self.clone(), runtime: runtime.clone() }
    }
}

/// A handle that computes values in tasks of a runtime; see
/// [`load_in`](Values::load_in).
#[derive(Debug)]
pub struct ValuesIn<T> {
    values: Values<T>,
    runtime: Handle,
}

impl<T> Clone for ValuesIn<T> {
    fn clone(&self) -> Self {
        ValuesIn { values: self.values.clone(), runtime: self.runtime.clone() }
    }
}

impl<T: Send + Sync + 'static> ValuesIn<T> {
    /// Does the same as [`get_or_try_insert_with`](Values::get_or_try_insert_with), and
    /// computes the value in a task.
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
        key: &str,
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
        let (levels, key) = (levels.clone(), key.to_owned());
        let task = self.runtime.spawn(async move { levels.get(Mode::Async, &key, load).await });
        match task.await {
            Ok(computed) => computed,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(LoadError::Cancelled),
            },
        }
    }
}
