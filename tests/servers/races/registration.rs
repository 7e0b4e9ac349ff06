//! Tests a cache that is unregistered and registered again: no old value becomes
//! valid, and existing handles stay usable.

use std::collections::BTreeSet;

use bustard::ErrorKind;

use super::place::{Client, Place, Shared, on_both, reader};

on_both! {
    fn no_value_of_an_earlier_registration_becomes_valid_again(place: &impl Place) {
        let store = Shared::default();
        let (buster, cache, values) = reader(place, &store);
        let mut client = place.client();
        let mut seen = BTreeSet::from([cache.version().unwrap()]);
        for number in 2..6 {
            let before = cache.version().unwrap();
            let old = values.get_or_insert_with("k", || client.number());
            buster.unregister(&mut client, "numbers").unwrap();
            assert!(!cache.is_valid(before));
            assert_eq!(cache.version().unwrap_err().kind(), ErrorKind::Cache);
            assert_eq!(buster.version("numbers").unwrap_err().kind(), ErrorKind::Cache);
            // Nothing is stored for a cache that is not registered.
            let kept = store.len();
            for _ in 0..2 {
                assert_eq!(*values.get_or_insert_with("k", || -number), -number);
            }
            assert_eq!(store.len(), kept);
            client.set(number);

            let owner = (number % 2 == 0).then_some("another");
            buster.register(&mut client, "numbers", owner).unwrap();
            assert!(!cache.is_valid(before), "the handle is still usable, but the version is not valid");
            assert!(seen.insert(cache.version().unwrap()), "a version has occurred again");
            assert_ne!(values.get_or_insert_with("k", || client.number()), old);
        }
    }

    /// The cache is unregistered and registered in one transaction, so other sessions
    /// always see it registered.
    fn in_one_transaction(place: &impl Place) {
        let (buster, cache, values) = reader(place, &Shared::default());
        let mut client = place.client();
        let before = cache.version().unwrap();
        assert_eq!(*values.get_or_insert_with("k", || client.number()), 1);
        for end in ["ROLLBACK", "COMMIT"] {
            client.run("BEGIN");
            bustard::registry::unregister(&mut client, "numbers").unwrap();
            client.set(2);
            bustard::registry::register(&mut client, "numbers", None).unwrap();
            buster.notify().unwrap();
            assert!(cache.is_valid(before));
            client.run(end);
            buster.notify().unwrap();
            assert_eq!(cache.is_valid(before), end == "ROLLBACK");
        }
        assert_eq!(*values.get_or_insert_with("k", || client.number()), 2);
    }
}
