//! Tests hot standbys: versions and data of a lagging standby belong together, and versions
//! that were lost in a failover stay invalid.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bustard::ErrorKind;

use super::place::{Client, Shared, in_cluster, lazy, quick};
use crate::support::proxy::Proxy;
use crate::support::{Cluster, wait_until};

#[test]
fn versions_and_data_of_a_standby_that_lags() {
    let primary = Cluster::start_with(&[]);
    let place = in_cluster(&primary);
    let standby = primary.standby(&[]);
    standby.wait_for_replay(&primary);
    let store = Shared::default();
    let start = |builder: bustard::CacheBusterBuilder| {
        let buster = builder.store(store.clone()).start().unwrap();
        let cache = buster.cache("numbers").unwrap();
        (buster, cache.clone(), cache.values::<i64>("main", 1).unwrap().shared())
    };
    let (ahead, cache, values) = start(lazy(&place.url()));
    let (_behind, late_cache, late_values) = start(quick(&standby.url("postgres", place.name())));
    let (mut writer, mut late) = (place.client(), standby.client(place.name()));
    wait_until("the standby is known", || late_cache.version().ok() == cache.version().ok());
    let before = cache.version().unwrap();

    standby.set("recovery_min_apply_delay", "1h");
    writer.change(2);
    ahead.notify().unwrap();

    // It is a mistake to store data of the standby under a version of the primary.
    assert_eq!(*values.get_or_insert_with("naive", || late.number()), 1);
    assert_eq!(*values.get_or_insert_with("naive", || writer.number()), 1, "the stale value is found");
    // Version and data come from the same server.
    assert_eq!(*late_values.get_or_try_insert_in(&mut late, "k", Client::load).unwrap(), 1);
    assert_eq!(*values.get_or_insert_with("k", || writer.number()), 2);
    assert_eq!(late_cache.version_in(&mut late).unwrap(), before);

    // A snapshot that is this old counts as expired, and nothing is stored under its
    // versions.
    wait_until("the snapshot is too old", || !late_cache.is_valid(before));
    assert_eq!(late_cache.version().unwrap_err().kind(), ErrorKind::Stale);
    // On a busy machine, the first reason may be a poll that was too slow.
    wait_until("the error names the reason", || {
        let reason = late_cache.version().map_or_else(|error| error.report().to_string(), |_| String::new());
        reason.contains("the database is a standby that")
    });
    let kept = store.len();
    assert_eq!(*late_values.get_or_insert_with("not kept", || late.number()), 1);
    assert_eq!(store.len(), kept);

    standby.set("recovery_min_apply_delay", "0");
    wait_until("the version of the standby is known", || late_cache.version().ok() == cache.version().ok());
    assert_eq!(*late_values.get_or_insert_with("k", || unreachable!("the value is in the store")), 2);
}

/// Values under lost versions are still in the store, but are never found, even when the
/// count is the same again.
#[test]
fn values_of_lost_versions_are_not_found() {
    let primary = Cluster::start_with(&[]);
    let place = in_cluster(&primary);
    let proxy = Proxy::start(primary.port());
    let standby = primary.standby_through(proxy.port(), &[]);
    let both = format!(
        "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/{}?target_session_attrs=read-write",
        primary.port(),
        standby.port(),
        place.name()
    );
    let store = Shared::default();
    let buster = quick(&both).store(store.clone()).start().unwrap();
    let cache = buster.cache("numbers").unwrap();
    let values = cache.values::<i64>("main", 1).unwrap().shared();
    standby.wait_for_replay(&primary);
    let (mut writer, mut other) = (place.client(), standby.client(place.name()));

    drop(proxy);
    wait_until("the standby receives nothing any more", || {
        let gone = "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)";
        other.query_one(gone, &[]).unwrap().get(0)
    });
    let mut lost = Vec::new();
    for number in 2..5 {
        writer.change(number);
        buster.notify().unwrap();
        assert_eq!(*values.get_or_insert_with("k", || writer.number()), number);
        lost.push(cache.version().unwrap().get());
    }
    assert_eq!(store.len(), lost.len());
    primary.kill9();
    wait_until("the versions are unknown", || cache.version().is_err());
    standby.promote();
    for number in 12..16 {
        wait_until("the refresher follows", || cache.is_valid(other.version()));
        let now = values.get_or_insert_with("k", || other.number());
        assert_eq!(*now, other.number(), "the value belongs to the lost history");
        assert!(!lost.iter().any(|version| cache.is_valid(*version)));
        other.change(number);
        buster.notify().unwrap();
    }
    assert!(other.version() >> 23 > lost[2] >> 23, "the count is higher than that of the lost version");
}

/// All data from the primary to the standby arrive three seconds late, and no data are
/// lost. So the standby has always replayed everything that it has received.
#[test]
fn a_standby_with_constant_delay() {
    const DELAY: Duration = Duration::from_secs(3);
    let primary = Cluster::start_with(&[]);
    let place = in_cluster(&primary);
    let proxy = Proxy::start(primary.port());
    let standby = primary.standby_through(proxy.port(), &[("wal_receiver_timeout", "20s")]);
    standby.wait_for_replay(&primary);
    // A snapshot is valid for two seconds.
    let buster = quick(&standby.url("postgres", place.name())).start().unwrap();
    let cache = buster.cache("numbers").unwrap();
    let (mut writer, mut late) = (place.client(), standby.client(place.name()));
    proxy.set_latency(DELAY);
    let stop = Arc::new(AtomicBool::new(false));
    let others = thread::spawn({
        let (stop, mut client) = (stop.clone(), place.client());
        move || {
            // Commits make the primary send messages continuously.
            client.run("CREATE TABLE other (x int)");
            while !stop.load(Ordering::SeqCst) {
                client.run("INSERT INTO other VALUES (1)");
                thread::sleep(Duration::from_millis(20));
            }
        }
    });
    for number in 2..4 {
        let before = late.version();
        writer.change(number);
        let committed = Instant::now();
        let mut asked = 0;
        while late.number() != number {
            let valid = cache.is_valid(before);
            // Allow half a second for a slow machine.
            if committed.elapsed() > Duration::from_millis(2500) {
                assert!(!valid, "valid {:?} after it was invalidated", committed.elapsed());
                asked += 1;
            }
            thread::sleep(Duration::from_millis(10));
        }
        assert!(asked > 0 || committed.elapsed() < DELAY, "there was no query");
    }
    stop.store(true, Ordering::SeqCst);
    others.join().unwrap();
    proxy.set_latency(Duration::ZERO);
    writer.change(5);
    wait_until("the version is known again", || cache.is_valid(writer.version()));
}
