//! Tests lost notifications, lost answers, and a network that drops everything.

use std::time::{Duration, Instant};

use bustard::ErrorKind;
use postgres::NoTls;
use postgres::fallible_iterator::FallibleIterator;

use super::place::{Client, fails_with, lazy, on_postgres, quick};
use crate::support::proxy::Proxy;
use crate::support::wait_until;

/// Waits for a condition, up to ten times as long as it may take. Only a seeded fault takes
/// that long.
#[track_caller]
fn soon(otherwise: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(20), "{otherwise}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// After a broken connection, the reader reads the versions again, so lost notifications do
/// not matter. The reader polls so rarely that polling does not help.
#[test]
fn notifications_lost_with_their_connection() {
    let place = on_postgres();
    let proxy = Proxy::start(place.cluster().port());
    let through = proxy.url(&place.url());
    let buster = lazy(&through).start().unwrap();
    let cache = buster.cache("numbers").unwrap();
    let mut client = place.client();
    type Cut = fn(&Proxy);
    let cuts: [(&str, Cut); 4] = [
        ("at once", |proxy| proxy.cut()),
        ("in the middle of a question", |proxy| proxy.cut_after_bytes(20)),
        ("at the end of a question", |proxy| proxy.cut_after_messages(1)),
        ("at once, and again", |proxy| {
            proxy.cut();
            proxy.cut_after_messages(1);
        }),
    ];
    for (number, (when, cut)) in (2..).zip(cuts) {
        let before = cache.version().unwrap();
        cut(&proxy);
        client.change(number);
        client.run("SELECT bustard.notify()");
        soon(&format!("cut {when}: there is no further read"), || {
            cache.version().is_ok_and(|now| now != before)
        });
        assert_eq!(cache.version().unwrap().get(), client.version(), "{when}");
    }
}

/// A process that only listens and never reads misses the lost notifications.
#[test]
fn listening_alone_is_not_enough() {
    let place = on_postgres();
    let proxy = Proxy::start(place.cluster().port());
    let through = proxy.url(&place.url());
    let listen = || {
        let mut client = postgres::Client::connect(&through, NoTls).unwrap();
        client.run("LISTEN bustard");
        client
    };
    let mut client = place.client();
    let mut listener = listen();
    client.run("SELECT bustard.notify()");
    assert!(listener.notifications().blocking_iter().next().unwrap().is_some());
    proxy.cut();
    client.change(2);
    client.run("SELECT bustard.notify()");
    let mut listener = listen();
    listener.run("SELECT 1");
    assert_eq!(listener.notifications().iter().count().unwrap(), 0);
}

/// The connection stays open, but no data arrive.
#[test]
fn a_network_that_loses_all_data() {
    let place = on_postgres();
    let proxy = Proxy::start(place.cluster().port());
    let url = proxy.url(&place.url()).replacen("//postgres@", "//postgres:hunter2@", 1);
    assert!(url.contains("hunter2"), "{url}");
    let buster = quick(&url).start().unwrap();
    let cache = buster.cache("numbers").unwrap();
    let values = cache.values::<i64>("main", 1).unwrap().shared();
    let mut client = place.client();
    for number in 2..4 {
        let before = cache.version().unwrap();
        proxy.set_latency(Duration::from_secs(600));
        client.change(number);
        soon("a stale version is valid for ever", || !cache.is_valid(before));
        let error = cache.version().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stale);
        let text = error.report().to_string();
        assert!(text.contains("have not been known for"), "since when: {text}");
        assert!(text.contains("no answer within") || text.contains("did not end in time"), "why: {text}");
        assert!(!text.contains("hunter2"), "{text}");

        assert!(buster.cache("numbers").is_ok(), "the cache was known once");
        assert!(!buster.is_valid("numbers", before).unwrap());
        assert_eq!(buster.notify().unwrap_err().kind(), ErrorKind::Stale);
        assert_eq!(buster.versions(&["numbers"]).unwrap_err().kind(), ErrorKind::Stale);
        for key in ["k", "k"] {
            assert_eq!(*values.get_or_insert_with(key, || client.number()), number);
        }
        proxy.set_latency(Duration::ZERO);
        wait_until("the version is known again", || cache.is_valid(client.version()));
        assert_eq!(*values.get_or_insert_with("k", || client.number()), number);
    }
}

#[test]
fn the_checks_above_find_faults() {
    fails_with(
        "no-expiry",
        "races::network::a_network_that_loses_all_data",
        "a stale version is valid for ever",
    );
    let lost = "races::network::notifications_lost_with_their_connection";
    fails_with("no-read-after-reconnect", lost, "cut at once: there is no further read");
}
