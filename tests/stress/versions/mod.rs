//! Tests the promises of cache versions on real engines: they are never wrong (P4),
//! and on PostgreSQL no transaction waits because of them (P5).
//!
//! A stress test runs writers, readers and a thread that folds on one database, and checks
//! every read. The faults that its checker must find are seeded one by one. Rare races have
//! tests of their own, which control every step.

pub mod ledger;
pub mod stress;

mod faults;
mod folding;
mod keys;
mod registration;
mod restore;
mod snapshots;
mod sources;
mod sqlite;
mod waiting;

use crate::support::Database;
use bustard::{CacheVersion, Migrator, registry};
use postgres::Client;

/// Creates a database with the registry and these caches, and returns a connection.
pub fn with_caches(caches: &[&str]) -> (Database<'static>, Client) {
    let database = Database::new();
    let client = fill(&database, caches);
    (database, client)
}

/// Creates the registry and these caches in a database.
pub fn fill(database: &Database<'_>, caches: &[&str]) -> Client {
    let mut client = database.client();
    Migrator::new().run(&mut client).expect("Bustard's own tables are made");
    for cache in caches {
        registry::register(&mut client, cache, None).expect("it is new");
    }
    client
}

/// Returns the current version of a cache for this connection.
#[track_caller]
pub fn version(client: &mut Client, cache: &str) -> i64 {
    registry::get_version(client, cache).map(CacheVersion::get).expect("it is registered")
}

/// Returns the number of invalidations that a version counts.
pub fn count(version: i64) -> i64 {
    version >> 23
}

/// Runs statements that must not fail.
#[track_caller]
pub fn run(client: &mut Client, sql: &str) {
    client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// Folds, which must not fail, and returns the number of events.
#[track_caller]
pub fn fold(client: &mut Client) -> i64 {
    client.query_one("SELECT bustard.fold()", &[]).expect("folding works").get(0)
}
