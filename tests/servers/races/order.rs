//! Tests the order in which versions and data are read, and the order in which
//! transactions commit.

use std::collections::BTreeSet;
use std::sync::mpsc::sync_channel;
use std::thread;

use bustard::{Error, registry};

use super::place::{Client, Place, Shared, fails_with, on_both, on_postgres, reader};

on_both! {
    /// A process reads the data, then a change commits, and then the process reads the
    /// version.
    fn the_version_after_the_data(place: &impl Place) {
        let mut writer = place.client();
        let store = Shared::default();
        let (buster, cache, values) = reader(place, &store);

        // This is the wrong order: the data before the version.
        let stale = place.client().number();
        writer.change(2);
        buster.notify().unwrap();
        let version = cache.version().unwrap();
        assert!(cache.is_valid(version) && writer.number() != stale, "the value is stale and its version is valid");

        // The same change commits at the same moment, but the library reads the version
        // first.
        let (read, has_read) = sync_channel(0);
        let (go, may_go) = sync_channel(0);
        let mut client = place.client();
        thread::scope(|scope| {
            let early = values.clone();
            let early = scope.spawn(move || {
                early.get_or_insert_with("k", || {
                    let number = client.number();
                    read.send(()).unwrap();
                    may_go.recv().unwrap();
                    number
                })
            });
            has_read.recv().unwrap();
            writer.change(3);
            buster.notify().unwrap();
            go.send(()).unwrap();
            assert_eq!(*early.join().unwrap(), 2, "the value is the value from before the change");
        });
        let kept = values.get_or_insert_with("k", || writer.number());
        assert_eq!(*kept, 3, "a stale value is found");
    }

    /// The snapshot of a transaction is older than the version that the process has.
    fn a_snapshot_older_than_the_version(place: &impl Place) {
        let store = Shared::default();
        let (buster, cache, values) = reader(place, &store);
        let (mut writer, mut old) = (place.client(), place.client());
        begin_snapshot(&mut old);
        assert_eq!(old.number(), 1);
        writer.change(2);
        buster.notify().unwrap();

        // A value that is read in the old snapshot is stored under the version in that
        // snapshot.
        assert_eq!(*values.get_or_try_insert_in(&mut old, "k", Client::load).unwrap(), 1);
        assert_eq!(*values.get_or_insert_with("k", || writer.number()), 2);
        // The value is found only in the transaction.
        assert_eq!(*values.get_or_try_insert_in(&mut old, "k", loads_nothing).unwrap(), 1);
        assert_eq!(*values.get_or_try_insert_in(&mut writer, "k", loads_nothing).unwrap(), 2);
        assert_ne!(cache.version_in(&mut old).unwrap(), cache.version().unwrap());

        // `get_or_insert_with`, which does not know the transaction, stores the old value
        // under the new version.
        assert_eq!(*values.get_or_insert_with("naive", || old.number()), 1);
        assert_eq!(*values.get_or_insert_with("naive", || writer.number()), 1, "the stale value is found");
        old.run("COMMIT");
    }
}

fn begin_snapshot<C: Client>(client: &mut C) {
    client.run(C::BEGIN_SNAPSHOT);
}

fn loads_nothing<C: Client>(_: &mut C) -> Result<i64, Error> {
    panic!("the value is in the store")
}

#[test]
fn the_checks_above_find_seeded_faults() {
    for engine in ["postgres", "sqlite"] {
        let test = format!("races::order::the_version_after_the_data::on_{engine}");
        fails_with("version-after-data", &test, "a stale value is found");
        fails_with("store-ignores-version", &test, "a stale value is found");
        fails_with("first-level-ignores-version", &test, "a stale value is found");
    }
}

/// The transaction that begins first commits last. A cache that compares the highest
/// number of an event, or of a transaction, does not see its commit.
#[test]
fn a_lower_number_commits_later() {
    let place = on_postgres();
    let (buster, cache, values) = reader(&place, &Shared::default());
    let (mut first, mut second, mut other) = (place.client(), place.client(), place.client());
    first.run("BEGIN");
    first.set(2);
    first.invalidate();
    second.run("BEGIN");
    second.invalidate();
    second.run("COMMIT");
    buster.notify().unwrap();
    let highest = "SELECT xid::text || ' ' || (SELECT max(ctid)::text FROM bustard.event) FROM bustard.event ORDER BY xid DESC LIMIT 1";
    let mut highest = || other.query_one(highest, &[]).unwrap().get::<_, String>(0);
    let (naive, version) = (highest(), cache.version().unwrap());
    assert_eq!(*values.get_or_insert_with("k", || second.number()), 1);
    first.run("COMMIT");
    buster.notify().unwrap();
    assert_eq!(highest(), naive, "the highest number does not show the commit");
    assert!(!cache.is_valid(version));
    assert_eq!(*values.get_or_insert_with("k", || second.number()), 2);
}

/// Many transactions commit in different orders while another session folds. Some
/// transactions roll back.
#[test]
fn many_commit_out_of_order() {
    let place = on_postgres();
    let (buster, cache, values) = reader(&place, &Shared::default());
    let mut clients: Vec<_> = (0..8).map(|_| place.client()).collect();
    let mut folder = place.client();
    folder.run("DELETE FROM data; INSERT INTO data SELECT 0 FROM generate_series(0, 7)");
    let sum = |client: &mut postgres::Client| -> i64 {
        client.query_one("SELECT sum(x)::bigint FROM data", &[]).unwrap().get(0)
    };
    let mut seen = BTreeSet::from([cache.version().unwrap()]);
    // A step that has no common factor with 8 visits all 8 transactions, in another order.
    for (round, step) in [(1, 1), (2, 3), (3, 5), (4, 7)] {
        for client in &mut clients {
            client.run("BEGIN");
            registry::invalidate(client, &["numbers"]).unwrap();
        }
        for turn in 0..8 {
            let at = (turn * step + round) % 8;
            let client = &mut clients[at];
            let row = format!("(SELECT ctid FROM data WHERE x < {round} LIMIT 1 FOR UPDATE)");
            client.run(&format!("UPDATE data SET x = {round} WHERE ctid = {row}"));
            let version = cache.version().unwrap();
            if turn % 3 == 2 {
                client.run("ROLLBACK");
                buster.notify().unwrap();
                assert!(cache.is_valid(version), "nothing has happened");
            } else {
                client.run("COMMIT");
                buster.notify().unwrap();
                assert!(seen.insert(cache.version().unwrap()), "a version has occurred again");
            }
            if turn % 2 == 1 {
                folder.run("SELECT bustard.fold()");
                buster.notify().unwrap();
            }
            let truth = sum(&mut folder);
            assert_eq!(*values.get_or_insert_with("sum", || sum(&mut folder)), truth);
        }
    }
}
