//! Tests when an invalidation takes effect: not before its commit, at once with a
//! notification, at the next poll without a notification, and never without a commit.

use std::collections::HashMap;

use bustard::{CacheBuster, ErrorKind};
use postgres::NoTls;

use super::place::{Client, Place, Shared, lazy, on_both, on_postgres, on_sqlite, quick, reader};
use crate::support::proxy::Proxy;
use crate::support::wait_until;

on_both! {
    /// A reader fills the cache between the invalidation and the commit.
    fn invalidated_before_the_commit(place: &impl Place) {
        let mut other = place.client();
        let mut writer = place.client();
        let (buster, cache, values) = reader(place, &Shared::default());
        // For comparison, `naive` is a cache that deletes entries instead.
        let mut naive = HashMap::from([("k", 1)]);

        assert_eq!(*values.get_or_insert_with("k", || other.number()), 1);
        let before = cache.version().unwrap();
        writer.run("BEGIN");
        writer.set(2);
        writer.invalidate();
        naive.remove("k");
        // Other sessions see neither the change nor the invalidation.
        buster.notify().unwrap();
        assert!(cache.is_valid(before));
        naive.entry("k").or_insert_with(|| other.number());
        assert_eq!(*values.get_or_insert_with("k", || other.number()), 1);
        assert_eq!(*values.get_or_insert_with("new", || other.number()), 1);
        writer.run("COMMIT");
        buster.notify().unwrap();

        assert_eq!(naive["k"], 1, "the value that was cached before the commit remains");
        assert!(!cache.is_valid(before));
        for key in ["k", "new"] {
            assert_eq!(*values.get_or_insert_with(key, || other.number()), 2);
        }
    }

    /// One of two processes commits, and notifies the other process.
    fn a_commit_with_a_notification_takes_effect_at_once(place: &impl Place) {
        let mut client = place.client();
        let (buster, cache, _) = reader(place, &Shared::default());
        let clone = buster.clone();
        for all in [false, true] {
            let before = cache.version().unwrap();
            match all {
                false => buster.invalidate(&mut client, &["numbers"]).unwrap(),
                true => clone.invalidate_all(&mut client).unwrap(),
            }
            assert!(!cache.is_valid(before), "on a connection, the call commits");
            let before = cache.version().unwrap();
            client.change(5);
            assert!(cache.is_valid(before), "there was no notification");
            buster.notify().unwrap();
            assert!(!cache.is_valid(before));
            assert_eq!(cache.version().unwrap().get(), client.version());
        }
    }

    /// Without a notification, a poll sees the commit.
    fn any_other_commit_is_seen_by_polling(place: &impl Place) {
        let mut client = place.client();
        let buster = quick(&place.url()).start().unwrap();
        let cache = buster.cache("numbers").unwrap();
        for number in 2..5 {
            let before = cache.version().unwrap();
            client.change(number);
            wait_until("the refresher polls", || cache.version().is_ok_and(|now| now != before));
            assert_eq!(cache.version().unwrap().get(), client.version());
        }
    }
}

#[test]
fn an_invalidation_takes_effect_when_buster_commits_on_postgres() {
    let place = on_postgres();
    let mut client = place.client();
    let ((here, cache, _), (_there, other, _)) =
        (reader(&place, &Shared::default()), reader(&place, &Shared::default()));
    for _ in 2..5 {
        let before = cache.version().unwrap();
        let mut transaction = client.transaction().unwrap();
        here.invalidate(&mut transaction, &["numbers"]).unwrap();
        assert!(cache.is_valid(before) && other.is_valid(before));
        here.commit(transaction).unwrap();
        assert!(!cache.is_valid(before), "the invalidation takes effect before `commit` returns");
        let now = cache.version().unwrap();
        // The reader polls so rarely that only the notification can inform it.
        wait_until("the other process is notified", || other.is_valid(now));
    }
}

#[test]
fn an_invalidation_takes_effect_when_buster_commits_on_sqlite() {
    let place = on_sqlite();
    let mut client = place.client();
    let (here, cache, _) = reader(&place, &Shared::default());
    let there = quick(&place.url()).start().unwrap();
    let other = there.cache("numbers").unwrap();
    for _ in 0..3 {
        let before = cache.version().unwrap();
        let mut transaction = client.transaction().unwrap();
        here.invalidate(&mut transaction, &["numbers"]).unwrap();
        assert!(cache.is_valid(before));
        here.commit(transaction).unwrap();
        assert!(!cache.is_valid(before), "the invalidation takes effect before `commit` returns");
        let now = cache.version().unwrap();
        wait_until("the other process polls", || other.is_valid(now));
    }
}

/// The other process has just reconnected, and has missed earlier notifications.
#[test]
fn the_sql_function_notifies_as_well() {
    let place = on_postgres();
    let mut client = place.client();
    let (_buster, cache, _) = reader(&place, &Shared::default());
    let before = cache.version().unwrap();
    client.change(2);
    client.run("SELECT bustard.notify()");
    wait_until("the refresher is notified", || !cache.is_valid(before));
}

/// The server has committed, but its answer is lost.
#[test]
fn a_commit_whose_answer_is_lost() {
    let place = on_postgres();
    let proxy = Proxy::start(place.cluster().port());
    let buster = quick(&place.url()).start().unwrap();
    let cache = buster.cache("numbers").unwrap();
    let before = cache.version().unwrap();
    let mut client = postgres::Client::connect(&proxy.url(&place.url()), NoTls).unwrap();
    let mut transaction = client.transaction().unwrap();
    transaction.batch_execute("UPDATE data SET x = 2").unwrap();
    buster.invalidate(&mut transaction, &["numbers"]).unwrap();
    proxy.cut_after_messages(1);
    let error = buster.commit(transaction).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection, "{error}");
    // The server may execute the COMMIT after `commit` has returned the error.
    wait_until("the refresher sees the commit", || !cache.is_valid(before));
    let mut client = place.client();
    assert_eq!(client.number(), 2);
    wait_until("the version of the cache is known", || cache.is_valid(client.version()));
}

/// If the refresher cannot read after a commit, no version is valid.
#[test]
fn no_version_is_valid_if_the_read_after_a_commit_fails() {
    let place = on_postgres();
    let proxy = Proxy::start(place.cluster().port());
    let buster: CacheBuster = lazy(&proxy.url(&place.url())).start().unwrap();
    let cache = buster.cache("numbers").unwrap();
    let before = cache.version().unwrap();
    let mut client = place.client();
    let mut transaction = client.transaction().unwrap();
    buster.invalidate(&mut transaction, &["numbers"]).unwrap();
    // From here on the refresher cannot connect.
    drop(proxy);
    buster.commit(transaction).unwrap();
    assert!(!cache.is_valid(before));
    let error = cache.version().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert!(error.report().to_string().contains("have not been known for"), "{error}");
}
