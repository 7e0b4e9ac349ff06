//! A database on either engine with one number and a cache of it, a store that all
//! processes share, and functions that read the number through the cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bustard::{
    App, Cache, CacheBuster, CacheBusterBuilder, Connection, Error, Executor, Migration, Migrator, Result,
    Store, Values, registry,
};

use crate::support::{Cluster, Database, Outcome, Project, faulty_test};

/// An interval that is longer than any test waits, so that a `CacheBuster` polls only on
/// request.
pub const NEVER: Duration = Duration::from_secs(600);

/// A connection of the application.
pub trait Client: Executor + Connection + Send + Sized {
    /// Begins a transaction with one snapshot.
    const BEGIN_SNAPSHOT: &str;

    /// Whether the engine reports that a rollback to a savepoint has reverted all writes.
    const SAVEPOINTS_FORGET: bool;

    fn run(&mut self, sql: &str);

    /// Reads the cached number from the database.
    fn number(&mut self) -> i64;

    fn set(&mut self, number: i64) {
        self.run(&format!("UPDATE data SET x = {number}"));
    }

    fn invalidate(&mut self) {
        registry::invalidate(self, &["numbers"]).expect("it is registered");
    }

    /// Changes the number and invalidates the cache in one transaction.
    fn change(&mut self, number: i64) {
        self.run("BEGIN");
        self.set(number);
        self.invalidate();
        self.run("COMMIT");
    }

    fn version(&mut self) -> i64 {
        registry::get_version(self, "numbers").unwrap_or_else(|error| panic!("{error}")).get()
    }

    /// Reads the number as `load` of [`Values::get_or_try_insert_in`] does.
    fn load(&mut self) -> Result<i64, Error> {
        Ok(self.number())
    }
}

impl Client for postgres::Client {
    const BEGIN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";
    const SAVEPOINTS_FORGET: bool = true;

    fn run(&mut self, sql: &str) {
        self.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    fn number(&mut self) -> i64 {
        self.query_one("SELECT x FROM data", &[]).expect("the row is there").get(0)
    }
}

impl Client for rusqlite::Connection {
    const BEGIN_SNAPSHOT: &str = "BEGIN";
    const SAVEPOINTS_FORGET: bool = false;

    fn run(&mut self, sql: &str) {
        self.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    fn number(&mut self) -> i64 {
        self.query_row("SELECT x FROM data", [], |row| row.get(0)).expect("the row is there")
    }
}

/// The location of the database.
pub trait Place {
    type Client: Client;

    fn url(&self) -> String;

    fn client(&self) -> Self::Client;
}

impl Place for Database<'_> {
    type Client = postgres::Client;

    fn url(&self) -> String {
        Database::url(self)
    }

    fn client(&self) -> postgres::Client {
        Database::client(self)
    }
}

impl Place for Project {
    type Client = rusqlite::Connection;

    fn url(&self) -> String {
        self.sqlite_url("app.db")
    }

    fn client(&self) -> rusqlite::Connection {
        self.sqlite("app.db")
    }
}

/// Creates a place on PostgreSQL, in the cluster that the tests share.
pub fn on_postgres() -> Database<'static> {
    let database = Database::new();
    fill(&mut database.client());
    database
}

/// Creates a place on PostgreSQL, in a private cluster.
pub fn in_cluster(cluster: &Cluster) -> Database<'_> {
    let database = Database::on(cluster);
    fill(&mut database.client());
    database
}

/// Creates a place on SQLite, in WAL mode so that readers do not wait for writers.
pub fn on_sqlite() -> Project {
    let project = Project::new();
    let mut client = project.client();
    client.run("PRAGMA journal_mode = WAL");
    fill(&mut client);
    project
}

/// Creates the number 1 and its cache `numbers`.
pub fn fill(client: &mut impl Client) {
    let migration = Migration::new()
        .sql("CREATE TABLE data (x bigint NOT NULL)")
        .sql("INSERT INTO data VALUES (1)")
        .register_cache("numbers");
    Migrator::new().app(App::new("main").migration("V1__data", migration)).run(client).expect("it applies");
}

/// Generates a test on both engines.
macro_rules! on_both {
    ($($(#[$attribute:meta])* fn $name:ident($place:ident: &impl Place) $body:block)*) => {
        $(mod $name {
            #[allow(unused_imports, reason = "not every test uses everything")]
            use super::*;

            $(#[$attribute])*
            fn check($place: &impl Place) $body

            #[test]
            fn on_postgres() {
                check(&$crate::races::place::on_postgres());
            }

            #[test]
            fn on_sqlite() {
                check(&$crate::races::place::on_sqlite());
            }
        })*
    };
}
pub(crate) use on_both;

/// A fake of a store on a server, which all processes share.
#[derive(Clone, Debug, Default)]
pub struct Shared(pub Arc<Mutex<HashMap<String, Vec<u8>>>>);

impl Store for Shared {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.0.lock().unwrap().insert(key.to_owned(), value.to_owned());
        Ok(())
    }
}

impl Shared {
    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Returns the builder of a process that polls only on request.
pub fn lazy(url: &str) -> CacheBusterBuilder {
    CacheBuster::builder(url).max_staleness(NEVER * 2).poll_interval(NEVER)
}

/// Returns the builder of a process that polls often.
pub fn quick(url: &str) -> CacheBusterBuilder {
    CacheBuster::builder(url).max_staleness(Duration::from_secs(2)).poll_interval(Duration::from_millis(100))
}

/// Starts a process that polls only on request, and returns its cache and values.
pub fn reader(place: &impl Place, store: &Shared) -> (CacheBuster, Cache, Values<i64>) {
    let buster = lazy(&place.url()).store(store.clone()).start().expect("it starts");
    let cache = buster.cache("numbers").expect("it is registered");
    let values = cache.values("main", 1).unwrap().shared();
    (buster, cache, values)
}

/// Runs a test again in a build with a seeded fault, where it must fail with this
/// message.
#[track_caller]
pub fn fails_with(fault: &str, test: &str, words: &str) {
    let mut child = faulty_test(fault);
    child.args(["--exact", test, "--nocapture"]);
    let outcome = Outcome::of(child).exits(101).complains(words);
    assert!(outcome.stdout.contains("1 failed"), "{outcome}");
}
