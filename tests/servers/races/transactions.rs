//! Tests reads inside a transaction. After the transaction has invalidated the cache, the
//! values that it reads are not stored, whether the transaction commits or not.

use bustard::registry;

use super::place::{Client, Place, Shared, on_both, reader};

/// Reads through the cache in the client's transaction, and returns whether the value
/// was stored or found.
fn is_kept<C: Client>(values: &bustard::Values<i64>, client: &mut C, key: &str) -> bool {
    let mut loaded = 0;
    for _ in 0..2 {
        let value = values.get_or_try_insert_in(client, key, |client| {
            loaded += 1;
            client.load()
        });
        assert_eq!(*value.unwrap(), client.number(), "the value is not what the transaction sees");
    }
    loaded < 2
}

on_both! {
    fn a_rolled_back_transaction_has_no_effect(place: &impl Place) {
        let store = Shared::default();
        let (buster, cache, values) = reader(place, &store);
        let (mut writer, mut other) = (place.client(), place.client());
        let before = cache.version().unwrap();
        assert_eq!(*values.get_or_insert_with("k", || other.number()), 1);
        let kept = store.len();
        for all in [false, true] {
            writer.run("BEGIN");
            assert!(is_kept(&values, &mut writer, "k"), "the transaction has written nothing");
            writer.set(2);
            match all {
                false => writer.invalidate(),
                true => registry::invalidate_all(&mut writer).unwrap(),
            }
            for key in ["k", "new"] {
                assert!(!is_kept(&values, &mut writer, key));
            }
            assert_eq!(store.len(), kept);
            writer.run("ROLLBACK");
            buster.notify().unwrap();
            assert!(cache.is_valid(before));
            assert_eq!(*values.get_or_insert_with("k", || unreachable!("the value is in the store")), 1);
            assert!(is_kept(&values, &mut writer, "k"));
        }
        // `get_or_insert_with`, which does not know the transaction, stores a value that is
        // never committed.
        writer.run("BEGIN");
        writer.set(2);
        writer.invalidate();
        assert_eq!(*values.get_or_insert_with("naive", || writer.number()), 2);
        writer.run("ROLLBACK");
        assert_eq!(*values.get_or_insert_with("naive", || writer.number()), 2, "the stale value is found");
    }

    fn values_are_stored_again_after_the_commit(place: &impl Place) {
        let store = Shared::default();
        let (buster, _, values) = reader(place, &store);
        let mut writer = place.client();
        writer.run("BEGIN");
        writer.set(2);
        registry::invalidate_all(&mut writer).unwrap();
        assert!(!is_kept(&values, &mut writer, "k"));
        writer.run("COMMIT");
        buster.notify().unwrap();
        assert!(is_kept(&values, &mut writer, "k"));
        assert_eq!(*values.get_or_insert_with("k", || unreachable!("the value is in the store")), 2);
    }

    fn a_rollback_to_a_savepoint(place: &impl Place) {
        savepoints(place);
    }
}

fn savepoints<P: Place>(place: &P) {
    let store = Shared::default();
    let (buster, cache, values) = reader(place, &store);
    let (mut writer, mut other) = (place.client(), place.client());
    let before = cache.version().unwrap();
    for all in [false, true] {
        writer.run("BEGIN; SAVEPOINT s");
        writer.set(2);
        match all {
            false => writer.invalidate(),
            true => registry::invalidate_all(&mut writer).unwrap(),
        }
        assert!(!is_kept(&values, &mut writer, "k"));
        writer.run("ROLLBACK TO s");
        // PostgreSQL reports that no write remains after the rollback to the savepoint.
        // SQLite does not report it.
        assert_eq!(is_kept(&values, &mut writer, "k"), P::Client::SAVEPOINTS_FORGET);
        writer.run("COMMIT");
        buster.notify().unwrap();
        assert!(cache.is_valid(before));
        assert_eq!(*values.get_or_insert_with("k", || other.number()), 1);
    }
    // The changes of a released savepoint belong to the outer transaction.
    writer.run("BEGIN; SAVEPOINT s");
    writer.set(3);
    writer.invalidate();
    writer.run("RELEASE s");
    assert!(!is_kept(&values, &mut writer, "k"));
    writer.run("COMMIT");
    buster.notify().unwrap();
    assert_eq!(*values.get_or_insert_with("k", || other.number()), 3);
}
