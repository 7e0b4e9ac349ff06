//! Tests that folding changes only the place where invalidations are stored, and no
//! version.

use bustard::registry;
use postgres::Client;

use super::{count, fold, run, version, with_caches};
use crate::support::{Cluster, Database};

/// SQL that creates the view `lie`. It lists the caches for which the function, the view
/// and a plain computation over all rows disagree.
pub const ORACLE: &str = include_str!("../../sql/oracle.sql");

#[track_caller]
pub fn agreed(client: &mut Client) {
    let lies = client.query("SELECT name FROM lie", &[]).expect("the oracle is there");
    let lies: Vec<String> = lies.iter().map(|row| row.get(0)).collect();
    assert!(lies.is_empty(), "wrong versions: {lies:?}");
}

fn with_oracle(caches: &[&str]) -> (Database<'static>, Client) {
    let (database, mut client) = with_caches(caches);
    run(&mut client, ORACLE);
    agreed(&mut client);
    (database, client)
}

/// A transaction that is older than a fold changes the version when it commits, whether it
/// invalidated before the fold or after it.
#[test]
fn transactions_that_are_older_than_folds() {
    let (database, mut client) = with_oracle(&["a", "b"]);
    run(&mut client, "CREATE TABLE data (x integer)");
    let (mut early, mut late) = (database.client(), database.client());
    run(&mut early, "BEGIN; SELECT bustard.invalidate('a'); SAVEPOINT s; SELECT bustard.invalidate('b')");
    // The transaction has an id, but no event yet.
    run(&mut late, "BEGIN; INSERT INTO data VALUES (1)");
    let mut before = count(version(&mut client, "a"));
    for _ in 0..3 {
        run(&mut client, "SELECT bustard.invalidate('b')");
        assert!(fold(&mut client) > 0);
        assert_eq!(count(version(&mut client, "a")), before);
        agreed(&mut client);
    }
    run(&mut late, "SELECT bustard.invalidate('a'); SELECT bustard.invalidate_all()");
    run(&mut early, "ROLLBACK TO s; SELECT bustard.invalidate('a')");
    for (transaction, counted) in [(&mut early, 2), (&mut late, 2)] {
        run(transaction, "COMMIT");
        before += counted;
        assert_eq!(count(version(&mut client, "a")), before);
        agreed(&mut client);
        run(&mut client, "SELECT bustard.invalidate('b')");
        assert_eq!(fold(&mut client), counted + 1);
        assert_eq!(count(version(&mut client, "a")), before);
        agreed(&mut client);
    }
    assert_eq!(fold(&mut client), 0);
}

/// A prepared transaction that is older than a fold also changes the version when it
/// commits, even after a crash of the server.
#[test]
fn prepared_transactions() {
    let cluster = Cluster::start_with(&[]);
    let database = Database::on(&cluster);
    let mut client = super::fill(&database, &["a"]);
    run(&mut client, ORACLE);
    for name in ["kept", "dropped"] {
        run(
            &mut client,
            &format!(
                "BEGIN; SELECT bustard.invalidate('a'); SAVEPOINT s; SELECT bustard.invalidate('a');
                 PREPARE TRANSACTION '{name}'"
            ),
        );
    }
    let before = version(&mut client, "a");
    run(&mut client, "SELECT bustard.invalidate('a')");
    assert!(fold(&mut client) > 0);
    assert_eq!(count(version(&mut client, "a")) - count(before), 1);
    drop(client);
    cluster.kill9();
    cluster.restart();
    let mut client = database.client();
    assert_eq!(count(version(&mut client, "a")) - count(before), 1);
    agreed(&mut client);
    run(&mut client, "SELECT bustard.invalidate('a')");
    assert_eq!(fold(&mut client), 1);
    run(&mut client, "COMMIT PREPARED 'kept'");
    assert_eq!(count(version(&mut client, "a")) - count(before), 4);
    agreed(&mut client);
    run(&mut client, "ROLLBACK PREPARED 'dropped'");
    assert_eq!(fold(&mut client), 2);
    assert_eq!(fold(&mut client), 0);
    assert_eq!(count(version(&mut client, "a")) - count(before), 4);
    agreed(&mut client);
}

/// A fold that is rolled back has no effect, and the next fold does all of its work.
#[test]
fn a_fold_rolled_back() {
    let (database, mut client) = with_oracle(&["a"]);
    let mut other = database.client();
    while fold(&mut client) > 0 {}
    run(&mut client, "SELECT bustard.invalidate('a'); SELECT bustard.invalidate('a')");
    let before = version(&mut client, "a");
    run(&mut client, "BEGIN ISOLATION LEVEL READ COMMITTED");
    assert_eq!(fold(&mut client), 2);
    assert_eq!(version(&mut client, "a"), before);
    assert_eq!(fold(&mut other), 0, "what another fold has taken");
    run(&mut client, "ROLLBACK");
    assert_eq!(version(&mut client, "a"), before);
    assert_eq!(fold(&mut other), 2);
    assert_eq!(version(&mut client, "a"), before);
    agreed(&mut client);
}

/// Folding is refused in a transaction that has written or that keeps its snapshot, because
/// there it could fail because of an earlier fold.
#[test]
fn folding_requires_a_transaction_of_its_own() {
    let (_database, mut client) = with_oracle(&["a"]);
    run(&mut client, "CREATE TABLE data (x integer)");
    for begin in [
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
        "BEGIN; INSERT INTO data VALUES (1)",
        "BEGIN; SELECT bustard.invalidate('a')",
    ] {
        run(&mut client, begin);
        let error = client.query("SELECT bustard.fold()", &[]).expect_err("it refuses");
        assert_eq!(error.code().map(|state| state.code()), Some("25001"), "{begin}");
        run(&mut client, "ROLLBACK");
    }
    while fold(&mut client) > 0 {}
    run(&mut client, "BEGIN");
    assert_eq!(fold(&mut client), 0);
    let number = client.query_one("SELECT pg_current_xact_id_if_assigned()::text", &[]).expect("it is valid");
    assert_eq!(number.get::<_, Option<String>>(0), None, "a fold of nothing writes nothing");
    run(&mut client, "COMMIT");
}

/// A call folds a limited number of events.
#[test]
fn a_fold_is_bounded() {
    let (_database, mut client) = with_oracle(&["a"]);
    while fold(&mut client) > 0 {}
    let before = version(&mut client, "a");
    for _ in 0..3 {
        run(
            &mut client,
            "DO $$ BEGIN FOR i IN 1..60000 LOOP PERFORM bustard.invalidate('a'); END LOOP; END $$",
        );
    }
    for expected in [25_000, 25_000, 25_000, 25_000, 25_000, 25_000, 25_000, 5_000, 0] {
        assert_eq!(fold(&mut client), expected);
        assert_eq!(count(version(&mut client, "a")) - count(before), 180_000);
        agreed(&mut client);
    }
}

/// Rewriting the tables keeps the versions.
#[test]
fn rewritten_tables() {
    let (_database, mut client) = with_oracle(&["a"]);
    run(&mut client, "SELECT bustard.invalidate('a')");
    fold(&mut client);
    run(&mut client, "SELECT bustard.invalidate('a')");
    let before = registry::list(&mut client).expect("it can be read");
    for table in ["base", "event", "cache"] {
        run(&mut client, &format!("VACUUM (FULL, FREEZE) bustard.{table}"));
        assert_eq!(registry::list(&mut client).expect("it can be read"), before);
        agreed(&mut client);
    }
    assert_eq!(fold(&mut client), 1);
    assert_eq!(registry::list(&mut client).expect("it can be read"), before);
}

/// Transaction ids that a fold has recorded are only valid in the cluster where it ran:
/// restored rows have the ids of another cluster, which may be lower or higher.
#[test]
fn transaction_ids_from_another_cluster() {
    let (_database, mut client) = with_oracle(&["a", "b"]);
    run(&mut client, "SELECT bustard.invalidate('a')");
    fold(&mut client);
    run(
        &mut client,
        "SELECT bustard.invalidate('a');
         UPDATE bustard.base SET horizon = '99999999999', unfinished = '{5}' WHERE cell = 0;
         INSERT INTO bustard.event (xid, cell)
         SELECT x, c.id::bigint << 12 FROM unnest('{3,5,88888888888,99999999999}'::xid8[]) AS x, bustard.cache AS c WHERE c.active",
    );
    agreed(&mut client);
    let before = version(&mut client, "a");
    assert_eq!(fold(&mut client), 9);
    assert_eq!(version(&mut client, "a"), before);
    agreed(&mut client);
    // The foreign transaction ids do not make the next reader skip events of this cluster
    // either.
    for _ in 0..2 {
        run(&mut client, "SELECT bustard.invalidate('a')");
        agreed(&mut client);
        assert_eq!(fold(&mut client), 1);
        agreed(&mut client);
    }
    assert_eq!(count(version(&mut client, "a")) - count(before), 2);
}
