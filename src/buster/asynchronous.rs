//! The asynchronous forms of methods that wait for the refresher or the database.
//!
//! In: the arguments of the blocking forms. Out: futures that do not block the thread.

use std::time::Instant;

use super::cache_key::{CacheKey, texts};
use super::settings::CacheBusterBuilder;
use super::shared::Shared;
use super::{Cache, CacheBuster, KeyedCache};
use crate::engine::{AsyncExecutor, CommitAsync};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{CacheVersion, KeyVersion};
use crate::registry;

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
        self.shared.after_write_async(executor).await;
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
        self.shared.after_write_async(executor).await;
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
        self.shared.after_write_async(executor).await;
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
        self.shared.after_write_async(executor).await;
        Ok(())
    }
}

impl Shared {
    async fn after_write_async(&self, executor: &impl AsyncExecutor) {
        if executor.commits() {
            self.poll_after_commit_async().await;
        }
    }

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

impl Cache {
    /// Does the same as [`keyed`](Cache::keyed), without blocking the thread; call it within a
    /// Tokio runtime that has time enabled.
    ///
    /// # Errors
    ///
    /// Returns the errors of `keyed`.
    pub async fn keyed_async<K: CacheKey + ?Sized>(&self) -> Result<KeyedCache<K>> {
        let interest = self.slot.keys.clone();
        if self.needs_keys() {
            self.shared.poll_by_async(self.shared.lookup_deadline()).await;
        }
        self.keyed_now(interest)
    }
}

impl<K: CacheKey + ?Sized> KeyedCache<K> {
    /// Does the same as [`version_in`](KeyedCache::version_in), on a connection or transaction
    /// of tokio-postgres.
    ///
    /// # Errors
    ///
    /// Returns the errors of `version_in`.
    pub async fn version_in_async(&self, executor: &impl AsyncExecutor, key: &K) -> Result<KeyVersion> {
        registry::asynchronous::get_key_version(executor, self.name(), &texts(&key.values())).await
    }

    /// Does the same as [`is_valid_in`](KeyedCache::is_valid_in), on a connection or
    /// transaction of tokio-postgres.
    ///
    /// # Errors
    ///
    /// Returns the errors of `is_valid_in`.
    pub async fn is_valid_in_async(
        &self,
        executor: &impl AsyncExecutor,
        key: &K,
        version: KeyVersion,
    ) -> Result<bool> {
        Ok(self.version_in_async(executor, key).await? == version)
    }

    /// Does the same as [`invalidate`](KeyedCache::invalidate), on a connection or transaction
    /// of tokio-postgres.
    ///
    /// # Errors
    ///
    /// Returns the errors of `invalidate`.
    pub async fn invalidate_async(&self, executor: &impl AsyncExecutor, key: &K) -> Result<()> {
        registry::asynchronous::invalidate_key(executor, self.name(), &texts(&key.values())).await?;
        self.cache().shared.after_write_async(executor).await;
        Ok(())
    }
}

/// Runs blocking work on a thread of Tokio's blocking pool.
async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(ErrorKind::Failed, "a blocking task did not end").caused_by(error))
}
