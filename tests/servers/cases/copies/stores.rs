//! Copies of a database that use one shared store.

use std::time::Duration;

use bustard::{CacheBuster, Repair, StoreSettings, Stores, Values};
use postgres::Client;

use super::{migrated, migrator, restored};
use crate::support::{Database, Server};

const PATIENT: Duration = Duration::from_secs(30);

/// A shared store, with the server that must live as long.
fn shared_stores() -> Vec<(&'static str, Server, StoreSettings)> {
    let (memcached, redis) = (Server::memcached(), Server::redis());
    let settings = [
        StoreSettings::memcached([memcached.location()]).timeout(PATIENT),
        StoreSettings::redis(redis.location()).timeout(PATIENT),
    ];
    let [first, second] = settings;
    vec![("memcached", memcached, first), ("redis", redis, second)]
}

/// An application on a database, with the shared store.
struct Application {
    client: Client,
    buster: CacheBuster,
    values: Values<String>,
}

impl Application {
    fn start(database: &Database<'_>, store: &StoreSettings) -> Application {
        let stores = Stores::new().with("default", store.clone());
        let buster = CacheBuster::builder(&database.url()).stores(&stores);
        let buster = buster.max_staleness(Duration::from_secs(600)).start().expect("it starts");
        let values = buster.cache("settings").expect("it is registered").values("main", 1).unwrap().shared();
        Application { client: database.client(), buster, values }
    }

    /// Reads the value, from the store if it is there.
    fn value(&mut self) -> String {
        let client = &mut self.client;
        self.values.get_or_insert_with("value", || loaded(client)).to_string()
    }

    /// Does the same in a transaction.
    fn value_in(&mut self) -> String {
        let value =
            self.values.get_or_try_insert_in::<_, bustard::Error>(&mut self.client, "value", |client| {
                Ok(loaded(client))
            });
        value.expect("the version is read").to_string()
    }
}

fn loaded(client: &mut Client) -> String {
    client.query_one("SELECT value FROM setting", &[]).expect("it is a table").get(0)
}

/// The value is changed without an invalidation, as by a script that makes a copy anonymous.
fn rename(database: &Database<'_>, value: &str) {
    database.psql(&format!("UPDATE setting SET value = '{value}'"));
}

#[test]
fn c5_copies_never_read_each_others_values() {
    for (name, _server, store) in shared_stores() {
        for in_transaction in [false, true] {
            let original = migrated();
            let mut application = Application::start(&original, &store);
            let read = |application: &mut Application| match in_transaction {
                true => application.value_in(),
                false => application.value(),
            };
            assert_eq!(read(&mut application), "original");
            drop(application);
            let copy = original.copy();
            rename(&copy, "copy");
            // Before any run, the copy has the identity of the original.
            let mut copied = Application::start(&copy, &store);
            assert_eq!(read(&mut copied), "copy", "{name}");
            rename(&original, "not computed again");
            let mut application = Application::start(&original, &store);
            assert_eq!(read(&mut application), "original", "{name}");
            rename(&copy, "not computed again");
            assert_eq!(read(&mut copied), "copy", "{name}");
            // The run gives the copy an identity of its own, and invalidates every cache.
            assert!(migrator().run(&mut copy.client()).expect("it runs").changed(), "{name}");
            copied.buster.notify().expect("the database answers");
            assert_eq!(read(&mut copied), "not computed again", "{name}");
            assert_eq!(read(&mut application), "original", "{name}");
        }
    }
}

/// Applications run on both databases from before the copy is noticed.
#[test]
fn c5_a_copy_made_while_an_application_runs() {
    for (name, _server, store) in shared_stores() {
        let original = migrated();
        let mut application = Application::start(&original, &store);
        assert_eq!(application.value(), "original");
        let copy = Database::new();
        restored(&original, &copy, &[]);
        rename(&copy, "copy");
        let mut copied = Application::start(&copy, &store);
        assert_eq!(copied.value(), "copy", "{name}");
        // Both invalidate, and go on to read only their own values.
        for (round, database) in [&original, &copy, &copy, &original].into_iter().enumerate() {
            rename(database, &format!("{} {round}", database.name()));
            database.psql("SELECT bustard.invalidate('settings')");
            let reader = if database.name() == original.name() { &mut application } else { &mut copied };
            reader.buster.notify().expect("the database answers");
            assert_eq!(reader.value(), format!("{} {round}", database.name()), "{name}");
        }
        assert!(application.value().starts_with(original.name()) && copied.value().starts_with(copy.name()));
    }
}

/// All ways of reading use one key, and the processes of one database share their values,
/// before and after the database gets a new identity. The refresher takes the new one.
#[test]
fn c5_one_database_shares_its_values() {
    for (name, _server, store) in shared_stores() {
        let database = migrated();
        let mut first = Application::start(&database, &store);
        for round in ["first", "second"] {
            rename(&database, round);
            let plan = migrator().repair(&mut database.client(), &Repair::NewIdentity);
            assert!(plan.expect("it is repaired").new_identity);
            first.buster.notify().expect("the database answers");
            assert_eq!(first.value(), round, "{name}");
            rename(&database, "not computed again");
            assert_eq!(first.value_in(), round, "{name}");
            let mut second = Application::start(&database, &store);
            assert_eq!((second.value_in(), second.value()), (round.to_owned(), round.to_owned()), "{name}");
        }
    }
}

/// The role of an application may read which database it is, also where `grant` lists it.
#[test]
fn c5_applications_with_grants() {
    let (_, _server, store) = shared_stores().remove(0);
    let database = migrated();
    let [web, other] = ["web", "other"].map(|name| database.create_role(name, ""));
    migrator().grant(vec![web.clone()]).run(&mut database.client()).expect("it runs");
    let start = |role: &str| {
        let stores = Stores::new().with("default", store.clone());
        CacheBuster::builder(&database.url_as(role)).stores(&stores).start()
    };
    start(&web).expect("it may read");
    start(&other).expect_err("it may not read");
    let call = "SELECT is_copy FROM bustard.this_database()";
    database.psql_as(&web, call).success();
    assert!(database.psql_as(&other, call).exits(1).stderr.contains("42501"));
}
