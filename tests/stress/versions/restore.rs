//! Tests that a dump contains the versions, and that the versions continue after a restore
//! into any cluster, although transactions have other ids in that cluster.

use std::process::Command;

use bustard::registry;
use postgres::Client;

use super::folding::{ORACLE, agreed};
use super::{count, fill, fold, run, version};
use crate::support::{Binaries, Cluster, Database, Outcome};

/// Restores a dump of `from` into `to`.
fn restore(from: &Database<'_>, to: &Database<'_>) -> Client {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("dump.sql");
    let mut dump: Command = Binaries::find().client_command("pg_dump");
    dump.arg("--dbname").arg(from.url()).arg("--file").arg(&file);
    Outcome::of(dump).success();
    to.psql_file(&file).success();
    to.client()
}

/// Creates a database with rows in the base, rows in the events, and one transaction that
/// the last fold has left out.
fn original<'c>(cluster: &'c Cluster, numbers: u32) -> (Database<'c>, Client) {
    let database = Database::on(cluster);
    let mut client = fill(&database, &["a", "b"]);
    run(&mut client, ORACLE);
    run(
        &mut client,
        &format!(
            "DO $$ BEGIN FOR i IN 1..{numbers} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
        ),
    );
    let mut running = database.client();
    run(&mut running, "BEGIN; SELECT bustard.invalidate('a')");
    run(&mut client, "SELECT bustard.invalidate('a', 'b')");
    assert!(fold(&mut client) > 0);
    run(&mut running, "COMMIT");
    run(&mut client, "SELECT bustard.invalidate('b'); SELECT bustard.invalidate_all()");
    agreed(&mut client);
    (database, client)
}

/// Asserts that the restored registry has the versions of the original, and that each
/// invalidation in the restored registry changes the version: before a fold, after it, and
/// after the next fold.
#[track_caller]
fn goes_on(mut original: Client, mut restored: Client) {
    let versions = registry::list(&mut original).expect("it can be read");
    assert_eq!(registry::list(&mut restored).expect("it can be read"), versions);
    agreed(&mut restored);
    let mut before = count(version(&mut restored, "a"));
    for _ in 0..3 {
        run(&mut restored, "SELECT bustard.invalidate('a')");
        before += 1;
        assert_eq!(count(version(&mut restored, "a")), before);
        agreed(&mut restored);
        assert!(fold(&mut restored) > 0);
        assert_eq!(count(version(&mut restored, "a")), before);
        agreed(&mut restored);
    }
    assert_eq!(fold(&mut restored), 0);
    // Two histories of the same length have different versions.
    while count(version(&mut original, "a")) < before {
        run(&mut original, "SELECT bustard.invalidate('a')");
    }
    assert_ne!(version(&mut original, "a"), version(&mut restored, "a"));
}

#[test]
fn into_another_database() {
    let (from, client) = original(Cluster::shared(), 0);
    let to = Database::new();
    let restored = restore(&from, &to);
    goes_on(client, restored);
}

/// The dump has transaction ids far above the ids of the new cluster: in the events, in the
/// horizon and in the list of running transactions.
#[test]
fn into_another_cluster_whose_transactions_have_lower_numbers() {
    let (from, client) = original(Cluster::shared(), 20_000);
    let cluster = Cluster::start_with(&[]);
    let to = Database::on(&cluster);
    let restored = restore(&from, &to);
    let below = "SELECT bool_or(e.xid > pg_snapshot_xmax(pg_current_snapshot())) FROM bustard.event AS e";
    assert_eq!(to.value(below), "t", "the numbers are lower there");
    goes_on(client, restored);
}
