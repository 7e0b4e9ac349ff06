//! Tests that a version belongs to the snapshot of the statement that reads it. An old
//! version comes with old data, a new version with new data, and a version that was rolled
//! back never again.

use std::thread;

use bustard::{CacheVersion, registry};
use postgres::Client;

use super::{count, fold, run, version, with_caches};
use crate::support::Database;

/// Returns a query that reads the data, waits for the lock, and then reads the version.
/// OFFSET 0 prevents the planner from reordering these steps.
fn waiting(read: &str) -> String {
    format!(
        "SELECT d.x, {read} FROM
         (SELECT x, pg_catalog.pg_advisory_xact_lock_shared(7)::text AS waited FROM data OFFSET 0) AS d"
    )
}

/// Returns the results of the statement: while it waits, an invalidation commits; then it
/// runs again.
fn beside_a_commit(database: &Database<'_>, client: &mut Client, sql: &str) -> [(i32, bool); 2] {
    run(client, "DROP TABLE IF EXISTS data; CREATE TABLE data AS SELECT 1 AS x");
    let current = version(client, "a");
    let sql = waiting(&sql.replace("$current", &current.to_string()));
    let read = |client: &mut Client| {
        let row = client.query_one(&sql, &[]).expect("the query is right");
        (row.get(0), row.get(1))
    };
    let mut reader = database.client();
    run(client, "SELECT pg_advisory_lock(7)");
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            let first = read(&mut reader);
            [first, read(&mut reader)]
        });
        // Now the statement has taken its snapshot and read the data.
        database.wait_until("SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())");
        run(client, "BEGIN; UPDATE data SET x = 2; SELECT bustard.invalidate('a'); COMMIT");
        // A fold changes where the invalidation is stored, which must not matter either.
        fold(client);
        run(client, "SELECT pg_advisory_unlock(7)");
        first.join().expect("it does not panic")
    })
}

const BY_FUNCTION: &str = "bustard.get_version('a') = $current";
const BY_IS_VALID: &str = "bustard.is_valid('a', $current)";
const BY_VIEW: &str =
    "(SELECT c.version = $current FROM bustard.caches AS c WHERE c.name = 'a' AND d.waited IS NOT NULL)";

#[test]
fn old_data_and_old_version_or_both_new() {
    let (database, mut client) = with_caches(&["a"]);
    for read in [BY_FUNCTION, BY_IS_VALID, BY_VIEW] {
        assert_eq!(beside_a_commit(&database, &mut client, read), [(1, true), (2, false)], "{read}");
    }
}

/// Proves that the same test finds a fault.
#[test]
fn a_volatile_function_reads_the_new_version_beside_old_data() {
    let (database, mut client) = with_caches(&["a"]);
    run(&mut client, "ALTER FUNCTION bustard.get_version(text) VOLATILE");
    assert_eq!(beside_a_commit(&database, &mut client, BY_FUNCTION), [(1, false), (2, false)]);
}

/// A transaction with one snapshot keeps its versions, independent of later commits
/// and folds.
#[test]
fn an_old_snapshot() {
    let (database, mut client) = with_caches(&["a", "b"]);
    let mut old = database.client();
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        run(&mut old, &format!("BEGIN ISOLATION LEVEL {level} READ ONLY"));
        let before = registry::list(&mut old).expect("it can be read");
        run(&mut client, "SELECT bustard.invalidate('a')");
        fold(&mut client);
        run(&mut client, "SELECT bustard.unregister_cache('b'); SELECT bustard.invalidate_all()");
        fold(&mut client);
        run(&mut client, "SELECT bustard.register_cache('b')");
        assert_eq!(registry::list(&mut old).expect("it can be read"), before);
        for cache in &before {
            assert_eq!(version(&mut old, &cache.name), cache.version.get());
            assert!(registry::is_valid(&mut old, &cache.name, cache.version).expect("it is registered"));
        }
        run(&mut old, "COMMIT");
        for cache in &before {
            assert!(CacheVersion::new(version(&mut old, &cache.name)) > Some(cache.version));
        }
    }
}

/// A transaction sees its own invalidations at once, and no other transaction does.
#[test]
fn own_invalidations() {
    let (database, mut client) = with_caches(&["a"]);
    let mut other = database.client();
    let before = version(&mut client, "a");
    run(&mut client, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT bustard.invalidate('a')");
    let own = version(&mut client, "a");
    assert_ne!(own, before);
    assert_eq!(version(&mut other, "a"), before);
    run(&mut client, "COMMIT");
    assert_eq!(version(&mut other, "a"), own);
}

/// A rollback leaves no version behind, and its versions never occur again.
#[test]
fn aborts_and_savepoints() {
    let (_database, mut client) = with_caches(&["a"]);
    let before = version(&mut client, "a");
    run(&mut client, "BEGIN; SELECT bustard.invalidate('a')");
    let aborted = version(&mut client, "a");
    run(&mut client, "ROLLBACK");
    assert_eq!(version(&mut client, "a"), before);
    run(&mut client, "BEGIN; SAVEPOINT s; SELECT bustard.invalidate('a')");
    let rolled_back = version(&mut client, "a");
    run(&mut client, "ROLLBACK TO s");
    assert_eq!(version(&mut client, "a"), before);
    run(&mut client, "SELECT bustard.invalidate('a')");
    let kept = version(&mut client, "a");
    run(&mut client, "SAVEPOINT s; SELECT bustard.invalidate('a'); RELEASE s; COMMIT");
    let committed = version(&mut client, "a");
    assert_eq!(count(committed) - count(before), 2);
    for old in [before, aborted, rolled_back, kept] {
        assert_ne!(old, committed);
    }
    // Each version counts one invalidation more than before, and no two versions are equal.
    assert_eq!([aborted, rolled_back, kept].map(|version| count(version) - count(before)), [1; 3]);
    assert!(aborted != rolled_back && rolled_back != kept && kept != aborted);
}

/// Reading few caches, many or all gives the same versions, by the plans of the first
/// calls and by the cached plan.
#[test]
fn snapshots_of_few_many_and_all_caches() {
    let (_database, mut client) = with_caches(&["a", "b", "it's"]);
    let few = ["a", "it's", "unknown"].map(str::to_owned).to_vec();
    let many = few.iter().cloned().chain((0..200).map(|i| i.to_string())).collect::<Vec<_>>();
    let agree = |client: &mut Client, wanted: &Option<Vec<String>>| {
        let sql = "SELECT ARRAY(SELECT (s.name, s.n * 8388608 | (s.nonce & 8388607))::text
                                FROM bustard.snapshot(NULL, NULL, $1) AS s WHERE s.name IS NOT NULL ORDER BY 1),
                          ARRAY(SELECT (c.name, c.version)::text
                                FROM bustard.caches AS c WHERE $1 IS NULL OR c.name = ANY ($1) ORDER BY 1)";
        let row = client.query_one(sql, &[wanted]).expect("it can be read");
        let [seen, there]: [Vec<String>; 2] = [row.get(0), row.get(1)];
        assert_eq!(seen, there, "{wanted:?}");
        assert!(seen.len() > 1);
    };
    let wanted = [Some(few), None, Some(many)];
    for acts in [
        "SELECT bustard.invalidate('a', 'b')",
        "SELECT bustard.invalidate('a'); SELECT bustard.invalidate('a'); SELECT bustard.invalidate('it''s')",
        "SELECT bustard.invalidate_all()",
        "BEGIN; SELECT bustard.fold(); COMMIT",
        "SELECT bustard.unregister_cache('b'); SELECT bustard.invalidate('a')",
        "SELECT bustard.register_cache('b'); SELECT bustard.invalidate('b')",
        // More caches are invalidated here than the fast path of the function handles.
        "SELECT bustard.register_cache(i::text), bustard.invalidate(i::text) FROM generate_series(0, 150) AS i",
        "BEGIN; SELECT bustard.fold(); COMMIT",
    ] {
        run(&mut client, acts);
        for wanted in &wanted {
            agree(&mut client, wanted);
        }
    }
}
