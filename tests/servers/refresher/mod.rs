//! Tests the refresher against real servers: hot standbys, their promotion, poolers,
//! and networks and databases that stop answering.

mod isolation;
mod network;
mod pooler;
mod runtime;
mod standby;

use std::time::Duration;

use bustard::{Cache, CacheBuster, CacheBusterBuilder, CacheVersion, ErrorKind, Migrator, registry};
use postgres::Client;

use crate::support::{Cluster, wait_until};

/// An interval that is longer than any test waits, so that only notifications have an
/// effect.
pub const NEVER: Duration = Duration::from_secs(600);

/// Creates a database `forum` with the cache `bans`, and a role `web` that has only the
/// rights of every role.
pub fn forum(cluster: &Cluster) -> Client {
    cluster.client("postgres").batch_execute("CREATE DATABASE forum").expect("it is new");
    let mut client = cluster.client("forum");
    client.batch_execute("CREATE ROLE web LOGIN").expect("it is new");
    Migrator::new().run(&mut client).expect("Bustard's own tables are made");
    registry::register(&mut client, "bans", None).expect("it is new");
    client
}

/// Returns the builder of a refresher that polls often.
pub fn quick(url: &str) -> CacheBusterBuilder {
    CacheBuster::builder(url).max_staleness(Duration::from_secs(2)).poll_interval(Duration::from_millis(100))
}

/// Returns the builder of a refresher that polls only on notifications, and whose snapshot
/// does not expire during a test.
pub fn lazy(url: &str) -> CacheBusterBuilder {
    CacheBuster::builder(url).max_staleness(NEVER * 2).poll_interval(NEVER)
}

/// Returns the handle of `bans`, after waiting until the versions are known.
#[track_caller]
pub fn bans(buster: &CacheBuster) -> Cache {
    let mut cache = None;
    wait_until("versions are known", || {
        cache = buster.cache("bans").ok();
        cache.is_some()
    });
    cache.expect("it was found")
}

/// Waits until the handle has the current version of the database.
#[track_caller]
pub fn wait_for(bans: &Cache, database: &mut Client) -> CacheVersion {
    let version = registry::get_version(database, "bans").expect("it is registered");
    wait_until("the version is known", || bans.is_valid(version));
    version
}

/// Waits until the snapshot is unknown, and returns the reason.
#[track_caller]
pub fn wait_until_unknown(bans: &Cache) -> String {
    let mut why = String::new();
    wait_until("the versions are unknown", || match bans.version() {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Stale);
            why = error.report().to_string();
            true
        }
    });
    why
}

pub fn invalidate(client: &mut Client) {
    registry::invalidate(client, &["bans"]).expect("it is registered");
}
