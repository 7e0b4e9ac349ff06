//! The asynchronous forms of methods that wait for the refresher, a store or the
//! database.
//!
//! In: the arguments of the blocking forms. Out: futures that do not block the thread.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::settings::CacheBusterBuilder;
use super::shared::Shared;
use super::single_flight::FlightPart;
use super::values::{Filing, Values, decode, encode};
use super::{Cache, CacheBuster};
use crate::engine::{AsyncExecutor, CommitAsync};
use crate::error::{Error, ErrorKind, Result};
use crate::model::CacheVersion;
use crate::registry;
use crate::store::CheckedStore;

impl CacheBusterBuilder {
    /// Does the same as [`start`](CacheBusterBuilder::start), without blocking the thread.
    ///
    /// # Errors
    ///
    /// Returns the errors of `start`.
    pub async fn start_async(self) -> Result<CacheBuster> {
        blocking(|| self.start()).await?
    }
}

impl CacheBuster {
    /// [`cache`](CacheBuster::cache) without blocking the thread; call it within a Tokio
    /// runtime that has time enabled.
    ///
    /// # Errors
    ///
    /// As for `cache`.
    pub async fn cache_async(&self, name: &str) -> Result<Cache> {
        self.find_async(name, self.shared.lookup_deadline()).await
    }

    async fn find_async(&self, name: &str, deadline: Instant) -> Result<Cache> {
        let (cache, is_new) = Cache::slot(&self.shared, name)?;
        let polled = !cache.needs_poll() || self.shared.poll_by_async(deadline).await;
        cache.found(is_new, polled)
    }

    /// [`version`](CacheBuster::version) without blocking the thread; call it within a
    /// Tokio runtime that has time enabled.
    ///
    /// # Errors
    ///
    /// As for `version`.
    pub async fn version_async(&self, name: &str) -> Result<CacheVersion> {
        self.cache_async(name).await?.version()
    }

    /// [`is_valid`](CacheBuster::is_valid) without blocking the thread; call it within a
    /// Tokio runtime that has time enabled.
    ///
    /// # Errors
    ///
    /// As for `is_valid`.
    pub async fn is_valid_async(&self, name: &str, version: impl Into<i64>) -> Result<bool> {
        Ok(self.cache_async(name).await?.is_valid(version))
    }

    /// [`versions`](CacheBuster::versions) without blocking the thread; call it within a
    /// Tokio runtime that has time enabled.
    ///
    /// # Errors
    ///
    /// As for `versions`.
    pub async fn versions_async(&self, names: &[&str]) -> Result<Vec<CacheVersion>> {
        names.iter().try_for_each(|name| registry::check_name(name))?;
        // One poll reads all names that were added before it.
        let _wanted: Vec<_> = names.iter().map(|name| self.shared.slot(name)).collect();
        let deadline = self.shared.lookup_deadline();
        let mut caches = Vec::new();
        for name in names {
            caches.push(self.find_async(name, deadline).await?);
        }
        let snapshot = self.shared.snapshot();
        caches.iter().map(|cache| Ok(snapshot.find(cache.name())?.version)).collect()
    }

    /// [`commit`](CacheBuster::commit) for a transaction of tokio-postgres.
    ///
    /// # Errors
    ///
    /// Returns the error of the commit.
    pub async fn commit_async(&self, transaction: impl CommitAsync) -> Result<()> {
        let committed = transaction.commit().await;
        // The refresher polls after an error too, because a commit whose connection was
        // lost may have succeeded.
        self.shared.poll_after_commit_async().await;
        committed
    }

    /// Does the same as [`notify`](CacheBuster::notify), without blocking the thread.
    ///
    /// # Errors
    ///
    /// Returns the errors of `notify`.
    pub async fn notify_async(&self) -> Result<()> {
        self.shared.poll_after_commit_async().await;
        self.shared.snapshot().check()
    }

    /// Does the same as [`register`](CacheBuster::register), on a connection or transaction
    /// of tokio-postgres.
    ///
    /// # Errors
    ///
    /// Returns the errors of `register`.
    pub async fn register_async(
        &self,
        executor: &impl AsyncExecutor,
        name: &str,
        app: Option<&str>,
    ) -> Result<()> {
        registry::asynchronous::register(executor, name, app).await?;
        self.after_write_async(executor).await;
        Ok(())
    }

    /// Does the same as [`unregister`](CacheBuster::unregister), on a connection or
    /// transaction of tokio-postgres.
    ///
    /// # Errors
    ///
    /// Returns the errors of `unregister`.
    pub async fn unregister_async(&self, executor: &impl AsyncExecutor, name: &str) -> Result<()> {
        registry::asynchronous::unregister(executor, name).await?;
        self.after_write_async(executor).await;
        Ok(())
    }

    /// Does the same as [`invalidate`](CacheBuster::invalidate), on a connection or
    /// transaction of tokio-postgres.
    ///
    /// # Errors
    ///
    /// Returns the errors of `invalidate`.
    pub async fn invalidate_async(&self, executor: &impl AsyncExecutor, names: &[&str]) -> Result<()> {
        registry::asynchronous::invalidate(executor, names).await?;
        self.after_write_async(executor).await;
        Ok(())
    }

    /// Does the same as [`invalidate_all`](CacheBuster::invalidate_all), on a connection or
    /// transaction of tokio-postgres.
    ///
    /// # Errors
    ///
    /// Returns the errors of `invalidate_all`.
    pub async fn invalidate_all_async(&self, executor: &impl AsyncExecutor) -> Result<()> {
        registry::asynchronous::invalidate_all(executor).await?;
        self.after_write_async(executor).await;
        Ok(())
    }

    async fn after_write_async(&self, executor: &impl AsyncExecutor) {
        if executor.commits() {
            self.shared.poll_after_commit_async().await;
        }
    }
}

impl Shared {
    /// [`poll_by`](Shared::poll_by) without blocking the thread.
    async fn poll_by_async(&self, deadline: Instant) -> bool {
        let ticket = self.request(false);
        let ended = async {
            while let Some(listener) = self.pending(ticket) {
                listener.await;
            }
        };
        tokio::time::timeout_at(deadline.into(), ended).await.is_ok()
    }

    async fn poll_after_commit_async(&self) {
        let ticket = self.request(true);
        while let Some(listener) = self.pending(ticket) {
            listener.await;
        }
    }
}

impl Cache {
    /// Does the same as [`version_in`](Cache::version_in), on a connection or transaction
    /// of tokio-postgres.
    ///
    /// # Errors
    ///
    /// Returns the errors of `version_in`.
    pub async fn version_in_async(&self, executor: &impl AsyncExecutor) -> Result<CacheVersion> {
        registry::asynchronous::get_version(executor, self.name()).await
    }

    /// Does the same as [`is_valid_in`](Cache::is_valid_in), on a connection or transaction
    /// of tokio-postgres.
    ///
    /// # Errors
    ///
    /// Returns the errors of `is_valid_in`.
    pub async fn is_valid_in_async(
        &self,
        executor: &impl AsyncExecutor,
        version: impl Into<i64>,
    ) -> Result<bool> {
        registry::asynchronous::is_valid(executor, self.name(), version).await
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Values<T> {
    /// Does the same as [`get_or_insert_with`](Values::get_or_insert_with), for an
    /// asynchronous computation. Call it within a Tokio runtime. Do not call the blocking
    /// form in a task: a waiting caller blocks its thread, and the task that computes the
    /// value may need that thread.
    pub async fn get_or_insert_with_async<F: Future<Output = T>>(
        &self,
        key: &str,
        load: impl FnOnce() -> F,
    ) -> T {
        let load = || async { Ok::<T, std::convert::Infallible>(load().await) };
        match self.get_or_try_insert_with_async(key, load).await {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// Does the same as [`get_or_try_insert_with`](Values::get_or_try_insert_with), for an
    /// asynchronous computation. Call it within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns the error of `load`.
    pub async fn get_or_try_insert_with_async<F: Future<Output = Result<T, E>>, E>(
        &self,
        key: &str,
        load: impl FnOnce() -> F,
    ) -> Result<T, E> {
        // The version must be read before the data.
        let Some(filing) = self.filing_now(key).map(Arc::new) else { return load().await };
        if let Some(value) = find(self.store(), &filing).await {
            return Ok(value);
        }
        let part = self.shared().flights.join(&filing.key());
        let lead = match part {
            FlightPart::Lead(lead) => Some(lead),
            FlightPart::Recursion => return load().await,
            FlightPart::Follow(flight) => match flight.wait_async().await.and_then(|bytes| decode(&bytes)) {
                Some(value) => return Ok(value),
                None => None,
            },
        };
        // Another task may have computed and stored the value between the lookup and
        // `join`.
        if let Some(value) = find(self.store(), &filing).await {
            return Ok(value);
        }
        let value = match &lead {
            Some(lead) => lead.compute_async(async { load().await }).await?,
            None => load().await?,
        };
        if let Some(bytes) = encode(&value) {
            // Store the value before ending the flight, so that a later caller finds the
            // value or joins the flight.
            file(self.store(), &filing, &bytes).await;
            if let Some(lead) = lead {
                lead.land(bytes);
            }
        }
        Ok(value)
    }

    /// Does the same as [`get_or_try_insert_in`](Values::get_or_try_insert_in), on a
    /// connection or transaction of tokio-postgres. `load` must read on this connection or
    /// transaction. Call it within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns the error of `load`, or of reading the version.
    pub async fn get_or_try_insert_in_async<F: Future<Output = Result<T, E>>, E: From<Error>>(
        &self,
        executor: &impl AsyncExecutor,
        key: &str,
        load: impl FnOnce() -> F,
    ) -> Result<T, E> {
        let sight = registry::asynchronous::sight(executor, self.cache()).await?;
        if sight.own {
            return load().await;
        }
        let filing = Arc::new(self.filing(sight.database, sight.identity, key));
        if let Some(value) = find(self.store(), &filing).await {
            return Ok(value);
        }
        let value = load().await?;
        if let Some(bytes) = encode(&value) {
            file(self.store(), &filing, &bytes).await;
        }
        Ok(value)
    }
}

async fn find<T: DeserializeOwned + Send + 'static>(
    store: &Arc<CheckedStore>,
    filing: &Arc<Filing>,
) -> Option<T> {
    if store.is_local() {
        return filing.find(store);
    }
    let (store, filing) = (store.clone(), filing.clone());
    blocking(move || filing.find(&store)).await.ok().flatten()
}

async fn file(store: &Arc<CheckedStore>, filing: &Arc<Filing>, bytes: &Arc<[u8]>) {
    if store.is_local() {
        return filing.file(store, bytes);
    }
    let (store, filing, bytes) = (store.clone(), filing.clone(), bytes.clone());
    // A value that could not be stored is computed again.
    let _ = blocking(move || filing.file(&store, &bytes)).await;
}

/// Runs blocking work on a thread of Tokio's blocking pool.
async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(ErrorKind::Failed, "a blocking task did not end").caused_by(error))
}
