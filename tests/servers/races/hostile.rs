//! Tests invalid input, and stores that return foreign data: the result is an error
//! or a miss, never a panic and never a stale value.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bustard::{CacheBuster, Error, ErrorKind, Result, Store, StoreSettings, Stores, Values, registry};
use serde::ser::{SerializeSeq, Serializer};
use serde::{Deserialize, Deserializer, Serialize};

use super::place::{Client, Place, Shared, lazy, on_both, on_postgres, on_sqlite, reader};
use crate::support::{Cluster, Server};

on_both! {
    fn invalid_names(place: &impl Place) {
        let (buster, cache, _) = reader(place, &Shared::default());
        let mut client = place.client();
        let before = cache.version().unwrap();
        let long = "n".repeat(129);
        for (name, words) in [
            ("", "must not be empty"),
            (long.as_str(), "at most 128 characters"),
            ("a\nb", "no control characters"),
            ("a\0b", "no control characters"),
            ("\u{9f}", "no control characters"),
        ] {
            let errors = [
                buster.cache(name).map(drop),
                buster.version(name).map(drop),
                buster.is_valid(name, before).map(drop),
                buster.versions(&["numbers", name]).map(drop),
                buster.register(&mut client, name, None),
                buster.unregister(&mut client, name),
                buster.invalidate(&mut client, &["numbers", name]),
            ];
            for error in errors.map(Result::unwrap_err) {
                assert_eq!((error.kind(), error.message().contains(words)), (ErrorKind::Cache, true), "{error}");
            }
        }
        let error = buster.invalidate(&mut client, &["numbers", "nubmers"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cache);
        assert!(error.report().to_string().contains("numbers"), "{error}");
        assert!(cache.is_valid(before), "a call that fails invalidates nothing");
    }

    /// Odd names that are valid, each with quotes of some sort.
    fn names_that_look_like_something_else(place: &impl Place) {
        let (buster, _, _) = reader(place, &Shared::default());
        let mut client = place.client();
        let long = "ü".repeat(128);
        let names = [
            "it's", "\"", "a\"b", "\\", "a\\", "{}", "a,b", "NULL", "$1", "?", "%", " ", "[x]", "--", ";", "E'x'",
            "a:b", "$$", "🦤", "numbers ", "Numbers", long.as_str(),
        ];
        for name in names {
            buster.register(&mut client, name, Some("o'brien")).unwrap();
        }
        let handles: Vec<_> = names.iter().map(|name| buster.cache(name).unwrap()).collect();
        let versions = buster.versions(&names).unwrap();
        for (at, name) in names.iter().enumerate() {
            assert_eq!(handles[at].version().unwrap(), versions[at], "{name}");
            assert_eq!(registry::get_version(&mut client, name).unwrap(), versions[at], "{name}");
            buster.invalidate(&mut client, &[name]).unwrap();
            let valid: Vec<bool> = (0..names.len()).map(|at| handles[at].is_valid(versions[at])).collect();
            assert!(valid.iter().enumerate().all(|(other, valid)| *valid == (other > at)), "{name}: {valid:?}");
        }
        buster.unregister(&mut client, "it's").unwrap();
        assert_eq!(handles[0].version().unwrap_err().kind(), ErrorKind::Cache);
        assert!(handles[1].version().is_ok());
    }

    fn invalid_version_numbers(place: &impl Place) {
        let (buster, cache, _) = reader(place, &Shared::default());
        let mut client = place.client();
        let version = cache.version().unwrap().get();
        for number in [0, -1, -version, i64::MIN, i64::MAX, version + 1, version - 1, version << 1, version ^ 1] {
            assert!(!cache.is_valid(number));
            assert!(!buster.is_valid("numbers", number).unwrap());
            assert!(!cache.is_valid_in(&mut client, number).unwrap());
        }
        assert!(cache.is_valid(version));
    }
}

#[test]
fn a_version_of_another_database() {
    let (one, other) = (on_postgres(), on_postgres());
    let sqlite = on_sqlite();
    let store = Shared::default();
    let readers = [reader(&one, &store), reader(&other, &store), reader(&sqlite, &store)];
    for (at, (_, cache, values)) in readers.iter().enumerate() {
        // The two databases share a store, which is a mistake of the application.
        assert_eq!(*values.get_or_insert_with("k", || at as i64), at as i64);
        for (_, other, _) in &readers[at + 1..] {
            assert!(!cache.is_valid(other.version().unwrap()));
        }
    }
}

/// Starts a process with values in a store with these settings.
fn stored(place: &impl Place, settings: StoreSettings) -> (CacheBuster, Values<String>) {
    let stores = Stores::new().with("default", settings);
    let buster = lazy(&place.url()).stores(&stores).start().unwrap();
    let values = buster.cache("numbers").unwrap().values("main", 1).unwrap().shared().max_entries(0);
    (buster, values)
}

fn is_kept(values: &Values<String>, key: &str, value: &str) -> bool {
    let mut computed = 0;
    for _ in 0..2 {
        let found = values.get_or_insert_with(key, || {
            computed += 1;
            value.to_owned()
        });
        assert!(*found == value, "another value");
    }
    computed < 2
}

#[test]
fn keys_and_values_of_any_size_and_shape() {
    let place = on_sqlite();
    let (memcached, redis) = (Server::memcached(), Server::redis());
    let long = "k".repeat(300);
    let longer = "k".repeat(301);
    let keys = [
        "",
        " ",
        "a b",
        "a  b",
        "a\tb",
        "a\r\nset x 0 0 1\r\n",
        "\0",
        "ü",
        "#",
        ":",
        "a:b",
        long.as_str(),
        longer.as_str(),
    ];
    for settings in [
        StoreSettings::memory(),
        StoreSettings::memcached([memcached.location()]),
        StoreSettings::redis(format!("redis://{}", redis.location())),
    ] {
        let name = format!("{settings:?}");
        let is_memcached = name.contains("emcached");
        let (_buster, values) = stored(&place, settings);
        for key in keys {
            assert!(is_kept(&values, key, &format!("of {key}")), "{key:?} in {name}");
        }
        for key in keys {
            assert_eq!(*values.get_or_insert_with(key, || unreachable!()), format!("of {key}"));
        }
        // Memcached accepts values up to a megabyte. A larger value is computed each time,
        // and does not replace an older value.
        let large = "v".repeat(2 << 20);
        assert_eq!(is_kept(&values, "large", &large), !is_memcached, "{name}");
        assert!(is_kept(&values, "small", "v"), "{name}");
    }
}

#[test]
fn a_server_that_speaks_something_else() {
    let place = on_postgres();
    let (memcached, redis) = (Server::memcached(), Server::redis());
    let database = format!("127.0.0.1:{}", Cluster::shared().port());
    for settings in [
        StoreSettings::memcached([redis.location()]),
        StoreSettings::memcached([database.clone()]),
        StoreSettings::redis(format!("redis://{}", memcached.location())),
        StoreSettings::redis(format!("redis://{database}")),
    ] {
        let (_buster, values) = stored(&place, settings.timeout(Duration::from_millis(200)));
        assert!(!is_kept(&values, "k", "v"), "there is nowhere to keep it");
    }
}

#[test]
fn stores_that_are_not_configured() {
    let stores = Stores::new().with("default", StoreSettings::memory());
    let error = stores.get("sessions").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.report().to_string().contains("`default`"), "{error}");
    let place = on_sqlite();
    for settings in [
        StoreSettings::memcached(Vec::<String>::new()),
        StoreSettings::redis("http://127.0.0.1:1"),
        StoreSettings::memory().timeout(Duration::ZERO),
        StoreSettings::memory().key_prefix("a b"),
    ] {
        let stores = Stores::new().with("default", settings);
        let error = lazy(&place.url()).stores(&stores).start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    }
}

/// A manipulation of all data in the store.
type Meddling = fn(&mut Vec<(String, Vec<u8>)>);

#[test]
fn manipulated_values_are_computed_again() {
    let meddlings: [(&str, Meddling); 8] = [
        ("emptied", |entries| entries.iter_mut().for_each(|(_, value)| value.clear())),
        ("truncated", |entries| {
            entries.iter_mut().enumerate().for_each(|(at, (_, value))| value.truncate(at % value.len()));
        }),
        ("lengthened", |entries| entries.iter_mut().for_each(|(_, value)| value.extend(*b"7"))),
        ("flipped", |entries| {
            for (at, (_, value)) in entries.iter_mut().enumerate() {
                let place = (at * 3) % value.len();
                value[place] ^= 1;
            }
        }),
        ("zeroes", |entries| entries.iter_mut().for_each(|(_, value)| *value = vec![0; 1 << 20])),
        ("bare", |entries| entries.iter_mut().for_each(|(_, value)| *value = b"7".to_vec())),
        ("under the key of another value", |entries| {
            let first = entries[0].1.clone();
            for at in 1..entries.len() {
                entries[at - 1].1 = entries[at].1.clone();
            }
            entries.last_mut().unwrap().1 = first;
        }),
        ("the other's", |entries| {
            let first = entries[0].1.clone();
            entries.iter_mut().skip(1).for_each(|(_, value)| value.clone_from(&first));
            entries[0].1.clear();
        }),
    ];
    let place = on_sqlite();
    let mut client = place.client();
    for (how, meddle) in meddlings {
        let store = Shared::default();
        let (buster, _, values) = reader(&place, &store);
        let values = values.max_entries(0);
        // There are two versions, so that an old value can appear under the key of the new
        // version.
        for round in 0..2 {
            for key in 0..60 {
                values.get_or_insert_with(&format!("k{key}"), || round * 1000 + key);
            }
            client.invalidate();
            buster.notify().unwrap();
        }
        for key in 0..60 {
            values.get_or_insert_with(&format!("k{key}"), || 2000 + key);
        }
        {
            let mut entries = store.0.lock().unwrap();
            let mut taken: Vec<_> = entries.drain().collect();
            taken.sort();
            meddle(&mut taken);
            entries.extend(taken);
        }
        for key in 0..60 {
            let value = values.get_or_insert_with(&format!("k{key}"), || 3000 + key);
            assert_eq!(*value, 3000 + key, "{how}: k{key}");
            assert_eq!(*values.get_or_insert_with(&format!("k{key}"), || unreachable!()), 3000 + key);
        }
    }
}

/// Nested lists, deeper than the parser's limit.
#[derive(Clone, Copy)]
struct Deep(u32);

impl Serialize for Deep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(1))?;
        if self.0 > 0 {
            list.serialize_element(&Deep(self.0 - 1))?;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for Deep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(|_| Deep(0))
    }
}

#[test]
fn deeply_nested_values_are_a_miss() {
    let place = on_sqlite();
    let store = Shared::default();
    let (_buster, cache, _) = reader(&place, &store);
    let deep = cache.values::<Deep>("deep", 1).unwrap().shared();
    let deep = deep.max_entries(0);
    assert_eq!(deep.get_or_insert_with("k", || Deep(2000)).0, 2000);
    assert_eq!(
        deep.get_or_insert_with("k", || Deep(1000)).0,
        1000,
        "the stored value cannot be read, so it is computed"
    );
    let (_other, cache, _) = reader(&place, &store);
    let any = cache.values::<serde_json::Value>("deep", 1).unwrap().shared();
    assert_eq!(*any.get_or_insert_with("k", || 1.into()), 1);
}

/// A store that fails on command, with different kinds of errors.
#[derive(Clone)]
struct Broken {
    inner: Shared,
    down: Arc<AtomicBool>,
    asked: Arc<Mutex<u32>>,
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Broken")
    }
}

impl Broken {
    fn check(&self) -> Result<()> {
        *self.asked.lock().unwrap() += 1;
        match self.down.load(Ordering::SeqCst) {
            true => Err("0".parse::<bustard::CacheVersion>().unwrap_err()),
            false => Ok(()),
        }
    }
}

impl Store for Broken {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.check()?;
        self.inner.get(key)
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.check()?;
        self.inner.set(key, value)
    }
}

/// A store that was down still has its earlier data. A read must not return a value from
/// these data if the value has changed.
#[test]
fn a_store_that_returns_with_its_old_data() {
    let place = on_sqlite();
    let mut client = place.client();
    let store = Broken { inner: Shared::default(), down: Arc::default(), asked: Arc::default() };
    let buster = lazy(&place.url()).store(store.clone()).start().unwrap();
    let values = buster.cache("numbers").unwrap().values::<i64>("main", 1).unwrap().shared();
    let values = values.max_entries(0);
    assert_eq!(*values.get_or_insert_with("k", || client.number()), 1);
    store.down.store(true, Ordering::SeqCst);
    assert_eq!(*values.get_or_insert_with("k", || client.number()), 1);
    client.change(2);
    buster.notify().unwrap();
    for number in [2, 2] {
        assert_eq!(*values.get_or_insert_with("k", || client.number()), number);
        assert_eq!(*values.get_or_try_insert_in(&mut client, "k", Client::load).unwrap(), number);
    }
    store.down.store(false, Ordering::SeqCst);
    assert_eq!(*values.get_or_insert_with("k", || client.number()), 2);
    let kept = values.get_or_try_insert_with::<Error>("k", || panic!("the value is in the store"));
    assert_eq!(*kept.unwrap(), 2);
    assert!(*store.asked.lock().unwrap() > 5);
}
