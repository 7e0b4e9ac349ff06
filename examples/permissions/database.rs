//! Permissions in the database, and their cached values.
//!
//! In: the name of a user. Out: the user's permissions.

use std::collections::BTreeSet;
use std::sync::Arc;

use bustard::{CacheBuster, Values};
use tokio_postgres::{Client, NoTls};

use crate::Result;

/// The name of the cache that the migration registers.
const CACHE: &str = "permissions";

/// Reads and changes permissions.
pub struct Permissions {
    url: String,
    buster: CacheBuster,
    of_users: Values<BTreeSet<String>>,
}

/// An answer, and whether it required a query.
pub struct Found {
    pub permissions: Arc<BTreeSet<String>>,
    pub loaded: bool,
}

impl Permissions {
    pub fn new(url: String, buster: CacheBuster) -> Result<Self> {
        // The values remain in this process, so a hit costs neither a query nor a copy.
        let of_users = buster.cache(CACHE)?.values("granted", 1)?.max_entries(50_000);
        Ok(Permissions { url, buster, of_users })
    }

    /// Returns the permissions of a user.
    pub async fn of(&self, user: &str) -> Result<Found> {
        let mut loaded = false;
        let load = async || {
            loaded = true;
            self.load(user).await
        };
        let permissions = self.of_users.get_or_try_insert_with_async(user, load).await?;
        Ok(Found { permissions, loaded })
    }

    async fn load(&self, user: &str) -> Result<BTreeSet<String>> {
        let client = self.connect().await?;
        let rows = client.query("SELECT permission FROM permission WHERE user_name = $1", &[&user]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    pub async fn grant(&self, user: &str, permission: &str) -> Result {
        let insert = "INSERT INTO permission VALUES ($1, $2) ON CONFLICT DO NOTHING";
        self.change(insert, user, permission).await
    }

    pub async fn revoke(&self, user: &str, permission: &str) -> Result {
        let delete = "DELETE FROM permission WHERE user_name = $1 AND permission = $2";
        self.change(delete, user, permission).await
    }

    /// Changes a permission and invalidates the cache. Both commit together, and other
    /// instances are notified after the commit.
    async fn change(&self, sql: &str, user: &str, permission: &str) -> Result {
        let mut client = self.connect().await?;
        let transaction = client.transaction().await?;
        transaction.execute(sql, &[&user, &permission]).await?;
        self.buster.invalidate_async(&transaction, &[CACHE]).await?;
        self.buster.commit_async(transaction).await?;
        Ok(())
    }

    /// Opens a connection for one request. With the cache, few requests need a connection.
    /// A larger service uses a pool, and passes `&**pooled` to functions that accept
    /// `&client`.
    async fn connect(&self) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
        tokio::spawn(async move {
            // The caller gets an error too, so this task only logs it.
            if let Err(error) = connection.await {
                log::warn!("a connection ended: {error}");
            }
        });
        Ok(client)
    }
}
