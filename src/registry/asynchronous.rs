//! The registry for applications on Tokio.
//!
//! In: a `tokio_postgres::Client` or an open `tokio_postgres::Transaction`. On a client,
//! each operation is committed at once; in a transaction, it is committed with the
//! transaction. For a connection of a pool, pass `&**pooled`. Out: versions, and changed
//! registrations.
//!
//! Each operation is one statement. Dropping its future does not revoke a statement that
//! was already sent.
//!
//! ```no_run
//! use bustard::registry::asynchronous as registry;
//!
//! # async fn example(client: &mut tokio_postgres::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let version = registry::get_version(client, "bans").await?; // before the data is read
//! assert!(registry::is_valid(client, "bans", version).await?);
//!
//! let transaction = client.transaction().await?;
//! transaction.execute("DELETE FROM ban WHERE expires < now()", &[]).await?;
//! registry::invalidate(&transaction, &["bans"]).await?;
//! transaction.commit().await?;
//! assert!(!registry::is_valid(client, "bans", version).await?);
//! # Ok(())
//! # }
//! ```

use super::check_name;
use super::identity::{self, Sight};
use crate::engine::AsyncExecutor;
use crate::engine::registry::{not_a_version, single};
use crate::error::Result;
use crate::model::{CacheVersion, KeyVersion};

/// Starts tracking a cache that `app` owns.
///
/// Registering takes a lock, and only other registrations wait for it. A name that was
/// registered before gets new versions, and never an old version.
///
/// # Errors
///
/// Returns [`ErrorKind::Cache`](crate::ErrorKind::Cache) if the name is registered, empty
/// or too long, or has control characters. If the name is registered, the message names the
/// owner.
/// Returns [`ErrorKind::Database`](crate::ErrorKind::Database) in a PostgreSQL transaction that is not READ
/// COMMITTED.
///
/// ```no_run
/// # use bustard::registry::asynchronous;
/// # async fn example(client: &tokio_postgres::Client) -> bustard::Result<()> {
/// asynchronous::register(client, "bans", Some("main")).await?;
/// # Ok(())
/// # }
/// ```
pub async fn register(executor: &impl AsyncExecutor, name: &str, app: Option<&str>) -> Result<()> {
    check_name(name)?;
    executor.rows(&executor.calls().register(name, app)).await.map(drop)
}

/// Stops tracking a cache.
///
/// # Errors
///
/// Returns [`ErrorKind::Cache`](crate::ErrorKind::Cache) if the name is not registered.
/// Returns [`ErrorKind::Database`](crate::ErrorKind::Database) in a PostgreSQL transaction that is not READ
/// COMMITTED.
///
/// ```no_run
/// # use bustard::registry::asynchronous;
/// # async fn example(client: &tokio_postgres::Client) -> bustard::Result<()> {
/// asynchronous::unregister(client, "bans").await?;
/// # Ok(())
/// # }
/// ```
pub async fn unregister(executor: &impl AsyncExecutor, name: &str) -> Result<()> {
    check_name(name)?;
    executor.rows(&executor.calls().unregister(name)).await.map(drop)
}

/// Returns the cache's current version. Inside a transaction, reads it in the transaction's
/// snapshot. Read the version before the data that you store under it.
///
/// # Errors
///
/// Returns [`ErrorKind::Cache`](crate::ErrorKind::Cache) if the name is not registered.
///
/// ```no_run
/// # use bustard::registry::asynchronous;
/// # async fn example(client: &tokio_postgres::Client) -> bustard::Result<()> {
/// asynchronous::get_version(client, "bans").await?;
/// # Ok(())
/// # }
/// ```
pub async fn get_version(executor: &impl AsyncExecutor, name: &str) -> Result<CacheVersion> {
    check_name(name)?;
    let rows = executor.rows(&executor.calls().version(name)).await?;
    single(&rows).and_then(|version| CacheVersion::new(version.parse().ok()?)).ok_or_else(not_a_version)
}

/// Returns whether the cache still has this version. A number that is not a version, such
/// as 0, is never valid.
///
/// # Errors
///
/// Returns [`ErrorKind::Cache`](crate::ErrorKind::Cache) if the name is not registered.
///
/// ```no_run
/// # use bustard::registry::asynchronous;
/// # async fn example(client: &tokio_postgres::Client, version: i64) -> bustard::Result<()> {
/// asynchronous::is_valid(client, "bans", version).await?;
/// # Ok(())
/// # }
/// ```
pub async fn is_valid(executor: &impl AsyncExecutor, name: &str, version: impl Into<i64>) -> Result<bool> {
    let version = version.into();
    Ok(get_version(executor, name).await?.get() == version)
}

/// Gives each of the caches a new version. Never waits for another session.
///
/// # Errors
///
/// Returns [`ErrorKind::Cache`](crate::ErrorKind::Cache) if one of the names is not
/// registered. In that case, none of the caches is invalidated.
///
/// ```no_run
/// # use bustard::registry::asynchronous;
/// # async fn example(client: &tokio_postgres::Client) -> bustard::Result<()> {
/// asynchronous::invalidate(client, &["bans"]).await?;
/// # Ok(())
/// # }
/// ```
pub async fn invalidate(executor: &impl AsyncExecutor, names: &[&str]) -> Result<()> {
    names.iter().try_for_each(|name| check_name(name))?;
    if names.is_empty() {
        return Ok(());
    }
    executor.rows(&executor.calls().invalidate(names)).await.map(drop)
}

/// Gives every registered cache a new version, however many there are.
///
/// # Errors
///
/// Returns [`ErrorKind::Database`](crate::ErrorKind::Database) if the database has no
/// registry yet.
///
/// ```no_run
/// # use bustard::registry::asynchronous;
/// # async fn example(client: &tokio_postgres::Client) -> bustard::Result<()> {
/// asynchronous::invalidate_all(client).await?;
/// # Ok(())
/// # }
/// ```
pub async fn invalidate_all(executor: &impl AsyncExecutor) -> Result<()> {
    executor.rows(&executor.calls().invalidate_all()).await.map(drop)
}

/// Notifies every [`CacheBuster`](crate::CacheBuster) of the database, so that it polls
/// now. Call it after the commit of an invalidation.
///
/// # Errors
///
/// Returns [`ErrorKind::Usage`](crate::ErrorKind::Usage) in an open transaction, because
/// transactions that notify wait for each other at the commit.
///
/// ```no_run
/// # use bustard::registry::asynchronous;
/// # async fn example(client: &tokio_postgres::Client) -> bustard::Result<()> {
/// asynchronous::notify(client).await?;
/// # Ok(())
/// # }
/// ```
pub async fn notify(executor: &impl AsyncExecutor) -> Result<()> {
    match executor.commits() {
        true => executor.rows(executor.calls().notify()).await.map(drop),
        false => Err(super::in_transaction()),
    }
}

/// Returns the cache, or a key of it, as the transaction sees it.
pub(crate) async fn sight(executor: &impl AsyncExecutor, name: &str, key: Option<&[&str]>) -> Result<Sight> {
    check_name(name)?;
    let calls = executor.calls();
    let rows =
        executor.rows(&key.map_or_else(|| calls.identity(name), |key| calls.key_identity(name, key))).await?;
    rows.first().map_or_else(|| Err(not_a_version()), identity::read)
}

/// Returns the current version of a key, in the snapshot of a transaction.
pub(crate) async fn get_key_version(
    executor: &impl AsyncExecutor,
    name: &str,
    key: &[&str],
) -> Result<KeyVersion> {
    check_name(name)?;
    let rows = executor.rows(&executor.calls().key_version(name, key)).await?;
    single(&rows).and_then(|version| KeyVersion::new(version.parse().ok()?)).ok_or_else(not_a_version)
}

/// Gives a key a new version.
pub(crate) async fn invalidate_key(executor: &impl AsyncExecutor, name: &str, key: &[&str]) -> Result<()> {
    check_name(name)?;
    executor.rows(&executor.calls().invalidate_key(name, key)).await.map(drop)
}
