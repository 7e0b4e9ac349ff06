//! Tests that unregistering a cache and registering it again never makes an old version
//! current.

use std::collections::HashSet;
use std::thread;

use super::{fold, run, version, with_caches};
use crate::support::Database;

#[test]
fn no_version_becomes_current_again() {
    let (database, mut client) = with_caches(&["a", "b"]);
    let mut seen = HashSet::new();
    // Each element has the statements of a transaction, and tells whether they end in a new
    // state.
    let courses: [(&str, bool); 12] = [
        ("BEGIN; SELECT bustard.unregister_cache('a'); SELECT bustard.register_cache('a')", true),
        ("COMMIT", false),
        ("BEGIN; SELECT bustard.unregister_cache('a'); SELECT bustard.register_cache('a', 'other')", true),
        ("ROLLBACK", false),
        ("BEGIN; SELECT bustard.invalidate('a')", true),
        ("SAVEPOINT s; SELECT bustard.unregister_cache('a'); SELECT bustard.register_cache('a')", true),
        ("ROLLBACK TO s; SELECT bustard.invalidate('a')", true),
        ("ROLLBACK", false),
        ("SELECT bustard.unregister_cache('a'); SELECT bustard.register_cache('a')", true),
        ("BEGIN; SELECT bustard.unregister_cache('a')", false),
        (
            "SELECT bustard.invalidate('b'); SELECT bustard.register_cache('a'); SELECT bustard.invalidate('a')",
            true,
        ),
        ("COMMIT", false),
    ];
    seen.insert(version(&mut client, "a"));
    for round in 0..20 {
        for (statements, is_new) in courses {
            run(&mut client, statements);
            if is_new {
                let version = version(&mut client, "a");
                assert!(seen.insert(version), "round {round}: {version} was used again after {statements}");
            }
        }
        if round % 3 == 0 {
            fold(&mut client);
        }
        if round % 4 == 0 {
            // The lost connection makes the server roll back, and the test connects again.
            run(&mut client, "BEGIN; SELECT bustard.invalidate('a')");
            assert!(seen.insert(version(&mut client, "a")));
            client = database.client();
            database.wait_until(
                "SELECT count(*) = 0 FROM pg_stat_activity
                 WHERE datname = current_database() AND state = 'idle in transaction'",
            );
        }
    }
}

/// An unregistered cache still counts invalidations, so that a later registration has a
/// correct version.
#[test]
fn invalidate_all_counts_for_an_unregistered_cache() {
    let (_database, mut client) = with_caches(&["a"]);
    let before = version(&mut client, "a");
    run(
        &mut client,
        "SELECT bustard.unregister_cache('a'); SELECT bustard.invalidate_all(); SELECT bustard.register_cache('a')",
    );
    assert_eq!(super::count(version(&mut client, "a")) - super::count(before), 3);
}

/// The second registration of a name waits for the first, and is then refused.
#[test]
fn two_register_the_same_name() {
    for (end, code) in [("COMMIT", Some("42710")), ("ROLLBACK", None)] {
        let (database, mut first) = with_caches(&[]);
        run(&mut first, "BEGIN; SELECT bustard.register_cache('a')");
        let own = version(&mut first, "a");
        let second = register_beside(&database, "a", || run(&mut first, end));
        let refused = second.err().and_then(|error| error.code().map(|state| state.code().to_owned()));
        assert_eq!(refused.as_deref(), code);
        assert_eq!(version(&mut first, "a") == own, code.is_some());
    }
}

/// A new id is the highest id plus one. Two registrations at once must not get the same id.
#[test]
fn two_register_at_once() {
    let (database, mut first) = with_caches(&[]);
    run(&mut first, "BEGIN; SELECT bustard.register_cache('a')");
    register_beside(&database, "b", || run(&mut first, "COMMIT")).expect("another name is free");
    assert_eq!(database.value("SELECT count(DISTINCT id) FROM bustard.cache WHERE active"), "2");
    let (a, b) = (version(&mut first, "a"), version(&mut first, "b"));
    run(&mut first, "SELECT bustard.invalidate('a')");
    assert_ne!(version(&mut first, "a"), a);
    assert_eq!(version(&mut first, "b"), b);
}

/// Registers `name` on another connection, and runs `then` when that connection waits.
fn register_beside(database: &Database<'_>, name: &str, then: impl FnOnce()) -> Result<(), postgres::Error> {
    let mut client = database.client();
    thread::scope(|scope| {
        let second =
            scope.spawn(move || client.batch_execute(&format!("SELECT bustard.register_cache('{name}')")));
        database.wait_until(
            "SELECT count(*) = 1 FROM pg_locks WHERE relation = 'bustard.cache'::regclass AND NOT granted",
        );
        then();
        second.join().expect("it does not panic")
    })
}
