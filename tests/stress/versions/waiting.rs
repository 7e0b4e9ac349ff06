//! Tests P5: no transaction waits for another transaction because of versions. One thread
//! alternately runs the statements of two transactions. If a statement waited for the other
//! transaction, the thread would never end that transaction, so the time-out would end the
//! statement.

use bustard::registry;

use super::{count, fold, run, version, with_caches};

const LEVELS: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];
const NO_WAITING: &str = "SET lock_timeout = '10s'; SET statement_timeout = '60s'";

#[test]
fn opposite_orders_at_every_level() {
    let (database, mut folder) = with_caches(&["a", "b"]);
    let (mut one, mut other) = (database.client(), database.client());
    for client in [&mut one, &mut other, &mut folder] {
        run(client, NO_WAITING);
    }
    for (level, other_level) in LEVELS.iter().flat_map(|one| LEVELS.map(|other| (one, other))) {
        let before = version(&mut folder, "a");
        run(&mut one, &format!("BEGIN ISOLATION LEVEL {level}; SELECT bustard.invalidate('a')"));
        run(&mut other, &format!("BEGIN ISOLATION LEVEL {other_level}; SELECT bustard.invalidate('b')"));
        run(&mut one, "SELECT bustard.invalidate('b')");
        run(&mut other, "SELECT bustard.invalidate('a')");
        fold(&mut folder);
        run(&mut one, "SELECT bustard.invalidate_all()");
        run(&mut other, "SELECT bustard.invalidate_all()");
        run(&mut one, "SAVEPOINT s; SELECT bustard.invalidate('a', 'b'); ROLLBACK TO s");
        run(&mut other, "SAVEPOINT s; SELECT bustard.invalidate('b', 'a'); RELEASE s");
        run(&mut one, "COMMIT");
        fold(&mut folder);
        run(&mut other, "SELECT bustard.invalidate('a'); COMMIT");
        let counted = count(version(&mut folder, "a")) - count(before);
        assert_eq!(counted, 6, "{level} beside {other_level}");
    }
}

/// Registering takes a lock, but only other registrations wait for it.
#[test]
fn an_open_registration_blocks_no_invalidation() {
    let (database, mut registering) = with_caches(&["a"]);
    let mut other = database.client();
    run(&mut other, NO_WAITING);
    run(&mut registering, "BEGIN; SELECT bustard.register_cache('b'); SELECT bustard.unregister_cache('a')");
    let before = version(&mut other, "a");
    run(&mut other, "SELECT bustard.invalidate('a'); SELECT bustard.invalidate_all()");
    assert_eq!(count(version(&mut other, "a")) - count(before), 2);
    assert!(fold(&mut other) > 0);
    let names: Vec<String> =
        registry::list(&mut other).expect("it can be read").into_iter().map(|cache| cache.name).collect();
    assert_eq!(names, ["a"]);
    run(&mut registering, "COMMIT");
    let names: Vec<String> =
        registry::list(&mut other).expect("it can be read").into_iter().map(|cache| cache.name).collect();
    assert_eq!(names, ["b"]);
}

/// A fold that has not committed blocks no transaction, and no other fold.
#[test]
fn an_open_fold_blocks_no_transaction() {
    let (database, mut folding) = with_caches(&["a"]);
    let mut other = database.client();
    run(&mut other, NO_WAITING);
    run(&mut other, "SELECT bustard.invalidate('a')");
    let before = version(&mut other, "a");
    run(&mut folding, "BEGIN ISOLATION LEVEL READ COMMITTED");
    assert!(fold(&mut folding) > 0);
    assert_eq!(fold(&mut other), 0, "another fold has taken it");
    assert_eq!(version(&mut other, "a"), before);
    for level in LEVELS {
        run(&mut other, &format!("BEGIN ISOLATION LEVEL {level}; SELECT bustard.invalidate('a'); COMMIT"));
    }
    // The folding transaction itself may continue and invalidate.
    run(&mut folding, "SELECT bustard.invalidate('a'); COMMIT");
    assert_eq!(count(version(&mut other, "a")) - count(before), 4);
    assert_eq!(fold(&mut other), 4);
    assert_eq!(count(version(&mut other, "a")) - count(before), 4);
}

/// SERIALIZABLE transactions that read versions and invalidate may fail. They do not fail
/// if the versions are read before the transactions begin.
#[test]
fn serializable_transactions_read_versions_before_they_begin() {
    let (database, mut one) = with_caches(&["a"]);
    let mut other = database.client();
    let before = [version(&mut one, "a"), version(&mut other, "a")];
    assert_eq!(before[0], before[1]);
    for client in [&mut one, &mut other] {
        run(client, NO_WAITING);
        run(client, "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT bustard.invalidate('a')");
    }
    run(&mut one, "COMMIT");
    run(&mut other, "COMMIT");
    assert_eq!(count(version(&mut one, "a")) - count(before[0]), 2);
}
