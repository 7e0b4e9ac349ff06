//! Tests a rolling deploy: old and new code share a database and a store for a while.

use bustard::{CacheBuster, CacheBusterBuilder, StoreSettings, Stores, Values};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::place::{Place, Shared, lazy, on_both, on_postgres, on_sqlite};
use crate::support::Server;

/// The type of a rank in the old code.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Rank {
    posts: u64,
}

/// The type in the new code: the same JSON, but the number counts thousands.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Thousands {
    posts: u64,
}

/// A type with another JSON form.
type Named = BTreeMap<String, String>;

trait Value: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Value for T {}

/// The values of a process, which ends with the pair.
fn values<T: Value>(process: &impl Fn() -> CacheBusterBuilder, format: u32) -> (Values<T>, CacheBuster) {
    let buster = process().start().unwrap();
    (buster.cache("numbers").unwrap().values("forum", format).unwrap().shared(), buster)
}

/// Checks processes that share a store.
fn check(process: impl Fn() -> CacheBusterBuilder) {
    let (old, _old) = values::<Rank>(&process, 1);
    let (same, _same) = values::<Rank>(&process, 1);
    let rank = || Rank { posts: 5000 };
    assert_eq!(*old.get_or_insert_with("a", rank), rank());
    // The processes share values with the same format number.
    assert_eq!(*same.get_or_insert_with("a", || unreachable!("the value is in the store")), rank());

    // Another type under the same format number is a miss.
    let (other, _other) = values::<Thousands>(&process, 1);
    assert_eq!(other.get_or_insert_with("a", || Thousands { posts: 5 }).posts, 5);
    // With another format number, both processes get correct values, in either order.
    let (new, _new) = values::<Thousands>(&process, 2);
    let (old, _old) = values::<Rank>(&process, 1);
    for key in ["a", "b"] {
        assert_eq!(new.get_or_insert_with(key, || Thousands { posts: 5 }).posts, 5);
        assert_eq!(*old.get_or_insert_with(key, rank), rank());
        assert_eq!(new.get_or_insert_with(key, || unreachable!("the value is in the store")).posts, 5);
    }

    // A value of another form under the same format number is always a miss.
    let named = || Named::from([("name".to_owned(), "regular".to_owned())]);
    for _ in 0..2 {
        let ((one, _one), (other, _other)) = (values::<Named>(&process, 1), values::<Named>(&process, 1));
        assert_eq!(*one.get_or_insert_with("a", named), named());
        assert_eq!(*other.get_or_insert_with("a", || unreachable!("the value is in the store")), named());
        assert_eq!(*values::<Rank>(&process, 1).0.get_or_insert_with("a", rank), rank());
    }
}

on_both! {
    fn in_a_store_that_the_caller_implements(place: &impl Place) {
        let store = Shared::default();
        super::check(|| lazy(&place.url()).store(store.clone()));
    }
}

fn in_store(settings: StoreSettings) -> impl Fn(CacheBusterBuilder) -> CacheBusterBuilder {
    let stores = Stores::new().with("default", settings);
    move |builder| builder.stores(&stores)
}

#[test]
fn a_rolling_deploy_on_memcached() {
    let (server, place) = (Server::memcached(), on_postgres());
    let stored = in_store(StoreSettings::memcached([server.location()]));
    check(|| stored(lazy(&place.url())));
}

#[test]
fn a_rolling_deploy_on_redis() {
    let (server, place) = (Server::redis(), on_sqlite());
    let stored = in_store(StoreSettings::redis(format!("redis://{}", server.location())));
    check(|| stored(lazy(&place.url())));
}
