//! Tests the promises that every store must keep.

use std::time::Duration;

use bustard::{ErrorKind, Store};

use super::subject::Subject;
use crate::support::{Random, wait_until};

type Check = fn(&dyn Store);

const LIST: &[(&str, Check)] = &[
    ("a value that was set is returned", a_value_that_was_set_is_returned),
    ("a key that was not set", a_key_that_was_not_set_is_a_miss),
    ("overwritten", the_last_value_is_returned),
    ("binary", any_bytes_are_kept),
    ("empty", an_empty_value_is_kept),
    ("keys", keys_are_1_to_250_bytes),
    ("wrong keys", other_keys_are_refused),
    ("threads", each_thread_gets_its_own_values),
];

fn passes(subject: &Subject) {
    let store = subject.open();
    for (name, check) in LIST {
        println!("{subject}: {name}");
        check(&*store);
    }
    println!("{subject}: time to live");
    a_value_expires_after_its_ttl(&*subject.open_with(|settings| settings.ttl(Duration::from_secs(1))));
    println!("{subject}: too large");
    a_value_that_is_too_large_is_not_kept(subject, &*store);
    assert_eq!(store.is_local(), subject.servers.is_empty());
}

#[test]
fn memory_conforms() {
    passes(&Subject::memory());
}

#[test]
fn memcached_conforms() {
    passes(&Subject::memcached());
}

#[test]
fn memcached_on_a_socket_conforms() {
    passes(&Subject::memcached_on_socket());
}

#[test]
fn two_memcached_servers_conform() {
    passes(&Subject::two_memcached());
}

#[test]
fn redis_with_tls_conforms() {
    passes(&Subject::redis_with_tls());
}

#[test]
fn redis_with_sentinels_conforms() {
    passes(&Subject::redis_with_sentinels());
}

#[test]
fn a_cluster_of_redis_conforms() {
    passes(&Subject::redis_cluster());
}

#[test]
fn redis_conforms() {
    passes(&Subject::redis());
}

#[test]
fn redis_with_a_password_conforms() {
    passes(&Subject::redis_with_password());
}

#[test]
fn redis_on_a_socket_conforms() {
    passes(&Subject::redis_on_socket());
}

fn got(store: &dyn Store, key: &str) -> Option<Vec<u8>> {
    store.get(key).expect("the store answers")
}

fn set(store: &dyn Store, key: &str, value: &[u8]) {
    store.set(key, value).expect("the store answers");
}

fn a_value_that_was_set_is_returned(store: &dyn Store) {
    set(store, "a", b"one");
    set(store, "b", b"two");
    assert_eq!(got(store, "a").as_deref(), Some(&b"one"[..]));
    assert_eq!(got(store, "b").as_deref(), Some(&b"two"[..]));
}

fn a_key_that_was_not_set_is_a_miss(store: &dyn Store) {
    assert_eq!(got(store, "never-set"), None);
}

fn the_last_value_is_returned(store: &dyn Store) {
    for value in [&b"short"[..], b"much longer than before", b""] {
        set(store, "overwritten", value);
        assert_eq!(got(store, "overwritten").as_deref(), Some(value));
    }
}

fn any_bytes_are_kept(store: &dyn Store) {
    let all: Vec<u8> = (0..=255).collect();
    for value in [&all[..], b"\r\nEND\r\n", b"$3\r\n", b"\0", b"\xff\xfe"] {
        set(store, "binary", value);
        assert_eq!(got(store, "binary").as_deref(), Some(value));
    }
}

fn an_empty_value_is_kept(store: &dyn Store) {
    set(store, "empty", b"");
    assert_eq!(got(store, "empty"), Some(Vec::new()));
}

fn keys_are_1_to_250_bytes(store: &dyn Store) {
    let graphic: String = (b'!'..=b'~').map(char::from).collect();
    for key in ["k", &"k".repeat(250), &graphic] {
        set(store, key, key.as_bytes());
        assert_eq!(got(store, key).as_deref(), Some(key.as_bytes()));
    }
}

fn other_keys_are_refused(store: &dyn Store) {
    for key in ["", "a b", "a\r\nflush_all", "ü", "\x7f", &"k".repeat(251)] {
        assert_eq!(store.get(key).unwrap_err().kind(), ErrorKind::Usage, "{key:?}");
        assert_eq!(store.set(key, b"").unwrap_err().kind(), ErrorKind::Usage, "{key:?}");
    }
}

fn each_thread_gets_its_own_values(store: &dyn Store) {
    std::thread::scope(|scope| {
        for thread in 0..16 {
            scope.spawn(move || {
                let mut random = Random::new(thread);
                for _ in 0..50 {
                    let key = format!("thread{thread}-{}", random.below(10));
                    let value = format!("{key} {}", random.next()).repeat(1 + random.below(200));
                    set(store, &key, value.as_bytes());
                    assert_eq!(got(store, &key).as_deref(), Some(value.as_bytes()));
                }
            });
        }
    });
}

fn a_value_expires_after_its_ttl(store: &dyn Store) {
    set(store, "mortal", b"value");
    wait_until("the value is gone", || got(store, "mortal").is_none());
}

fn a_value_that_is_too_large_is_not_kept(subject: &Subject, store: &dyn Store) {
    let Some((mut kept, mut lost)) = subject.border else { return };
    let is_kept = |length: usize| {
        let key = format!("large{length}");
        let value = vec![b'x'; length];
        set(store, &key, &value);
        got(store, &key)
            .inspect(|got| assert!(*got == value, "a value of {length} bytes was changed"))
            .is_some()
    };
    assert!(is_kept(kept) && !is_kept(lost));
    // At the exact limit, the store may keep the value or not, but no call fails.
    while kept + 1 < lost {
        let middle = kept.midpoint(lost);
        *(if is_kept(middle) { &mut kept } else { &mut lost }) = middle;
    }
    println!("{subject}: keeps {kept} bytes");
    set(store, "after", b"fine");
    assert_eq!(got(store, "after").as_deref(), Some(&b"fine"[..]));
}
