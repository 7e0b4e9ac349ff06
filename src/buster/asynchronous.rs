//! The asynchronous forms. They differ where something is waited for: the
//! refresher, a store, the database.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::settings::CacheBusterBuilder;
use super::shared::Shared;
use super::single_flight::Part;
use super::values::{Filing, Values, decode, encode};
use super::{Cache, CacheBuster};
use crate::engine::{AsyncExecutor, CommitAsync};
use crate::error::{Error, ErrorKind, Result};
use crate::model::CacheVersion;
use crate::registry;
use crate::store::Shelf;

impl CacheBusterBuilder {
    /// [`start`](CacheBusterBuilder::start) without blocking the thread.
    ///
    /// # Errors
    ///
    /// As for `start`.
    pub async fn start_async(self) -> Result<CacheBuster> {
        blocking(|| self.start()).await?
    }
}

impl CacheBuster {
    /// [`commit`](CacheBuster::commit) for a transaction of tokio-postgres.
    ///
    /// # Errors
    ///
    /// Those of the commit.
    pub async fn commit_async(&self, transaction: impl CommitAsync) -> Result<()> {
        let committed = transaction.commit().await;
        // Also after an error: a connection that was lost may have committed.
        self.shared.tell_async().await;
        committed
    }

    /// [`notify`](CacheBuster::notify) without blocking the thread.
    ///
    /// # Errors
    ///
    /// As for `notify`.
    pub async fn notify_async(&self) -> Result<()> {
        self.shared.tell_async().await;
        self.shared.knowledge().check()
    }

    /// [`register`](CacheBuster::register) on a connection or transaction of
    /// tokio-postgres.
    ///
    /// # Errors
    ///
    /// As for `register`.
    pub async fn register_async(
        &self,
        executor: &impl AsyncExecutor,
        name: &str,
        app: Option<&str>,
    ) -> Result<()> {
        registry::asynchronous::register(executor, name, app).await?;
        self.written_async(executor).await;
        Ok(())
    }

    /// [`unregister`](CacheBuster::unregister) on a connection or transaction of
    /// tokio-postgres.
    ///
    /// # Errors
    ///
    /// As for `unregister`.
    pub async fn unregister_async(&self, executor: &impl AsyncExecutor, name: &str) -> Result<()> {
        registry::asynchronous::unregister(executor, name).await?;
        self.written_async(executor).await;
        Ok(())
    }

    /// [`invalidate`](CacheBuster::invalidate) on a connection or transaction of
    /// tokio-postgres.
    ///
    /// # Errors
    ///
    /// As for `invalidate`.
    pub async fn invalidate_async(&self, executor: &impl AsyncExecutor, names: &[&str]) -> Result<()> {
        registry::asynchronous::invalidate(executor, names).await?;
        self.written_async(executor).await;
        Ok(())
    }

    /// [`invalidate_all`](CacheBuster::invalidate_all) on a connection or
    /// transaction of tokio-postgres.
    ///
    /// # Errors
    ///
    /// As for `invalidate_all`.
    pub async fn invalidate_all_async(&self, executor: &impl AsyncExecutor) -> Result<()> {
        registry::asynchronous::invalidate_all(executor).await?;
        self.written_async(executor).await;
        Ok(())
    }

    async fn written_async(&self, executor: &impl AsyncExecutor) {
        if executor.commits() {
            self.shared.tell_async().await;
        }
    }
}

impl Shared {
    async fn tell_async(&self) {
        let ticket = self.ask(true);
        while let Some(listener) = self.not_yet(ticket) {
            listener.await;
        }
    }
}

impl Cache {
    /// [`version_in`](Cache::version_in) on a connection or transaction of
    /// tokio-postgres.
    ///
    /// # Errors
    ///
    /// As for `version_in`.
    pub async fn version_in_async(&self, executor: &impl AsyncExecutor) -> Result<CacheVersion> {
        registry::asynchronous::get_version(executor, self.name()).await
    }

    /// [`is_valid_in`](Cache::is_valid_in) on a connection or transaction of
    /// tokio-postgres.
    ///
    /// # Errors
    ///
    /// As for `is_valid_in`.
    pub async fn is_valid_in_async(
        &self,
        executor: &impl AsyncExecutor,
        version: impl Into<i64>,
    ) -> Result<bool> {
        registry::asynchronous::is_valid(executor, self.name(), version).await
    }
}

impl<T: Serialize + DeserializeOwned + Send + 'static> Values<T> {
    /// [`get_or_insert_with`](Values::get_or_insert_with) for an asynchronous
    /// computation; call it within a Tokio runtime. (The other form blocks its
    /// thread while it waits: in a task, for a computation that may need it.)
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

    /// [`get_or_try_insert_with`](Values::get_or_try_insert_with) for an
    /// asynchronous computation; call it within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// Those of `load`.
    pub async fn get_or_try_insert_with_async<F: Future<Output = Result<T, E>>, E>(
        &self,
        key: &str,
        load: impl FnOnce() -> F,
    ) -> Result<T, E> {
        // The version first, then the data.
        let Some(filing) = self.filing_now(key).map(Arc::new) else { return load().await };
        if let Some(value) = find(self.shelf(), &filing).await {
            return Ok(value);
        }
        let part = self.shared().flights.join(&filing.key());
        let lead = match part {
            Part::Lead(lead) => Some(lead),
            Part::Recursion => return load().await,
            Part::Follow(flight) => match flight.wait_async().await.and_then(|bytes| decode(&bytes)) {
                Some(value) => return Ok(value),
                None => None,
            },
        };
        // Another leader may have landed between the look and the take-off.
        if let Some(value) = find(self.shelf(), &filing).await {
            return Ok(value);
        }
        let value = match &lead {
            Some(lead) => lead.compute_async(async { load().await }).await?,
            None => load().await?,
        };
        if let Some(bytes) = encode(&value) {
            // Filed before it lands: then nobody finds neither.
            file(self.shelf(), &filing, &bytes).await;
            if let Some(lead) = lead {
                lead.land(bytes);
            }
        }
        Ok(value)
    }

    /// [`get_or_try_insert_in`](Values::get_or_try_insert_in) on a connection or
    /// transaction of tokio-postgres, on which `load` must read; call it within a
    /// Tokio runtime.
    ///
    /// # Errors
    ///
    /// Those of `load`, and those of reading the version.
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
        let filing = Arc::new(self.filing(sight.identity, key));
        if let Some(value) = find(self.shelf(), &filing).await {
            return Ok(value);
        }
        let value = load().await?;
        if let Some(bytes) = encode(&value) {
            file(self.shelf(), &filing, &bytes).await;
        }
        Ok(value)
    }
}

async fn find<T: DeserializeOwned + Send + 'static>(shelf: &Arc<Shelf>, filing: &Arc<Filing>) -> Option<T> {
    if shelf.is_local() {
        return filing.find(shelf);
    }
    let (shelf, filing) = (shelf.clone(), filing.clone());
    blocking(move || filing.find(&shelf)).await.ok().flatten()
}

async fn file(shelf: &Arc<Shelf>, filing: &Arc<Filing>, bytes: &Arc<[u8]>) {
    if shelf.is_local() {
        return filing.file(shelf, bytes);
    }
    let (shelf, filing, bytes) = (shelf.clone(), filing.clone(), bytes.clone());
    // What could not be kept is computed again.
    let _ = blocking(move || filing.file(&shelf, &bytes)).await;
}

/// Runs what blocks where it may.
async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(ErrorKind::Failed, "a blocking task did not end").caused_by(error))
}
