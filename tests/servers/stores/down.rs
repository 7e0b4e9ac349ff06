//! Tests servers that go down and come back: calls fail meanwhile, keys of other
//! servers are unaffected, and the store recovers by itself.

use std::time::Duration;

use bustard::{ErrorKind, Store, StoreSettings};

use super::log;
use super::peer::Peer;
use super::subject::{PASSWORD, PATIENT, Subject};
use crate::support::{Server, wait_until};

/// Asserts that the store returns an error or no value.
fn is_without(store: &dyn Store, key: &str) {
    match store.get(key) {
        Ok(value) => assert_eq!(value, None),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Store, "{error}"),
    }
}

fn works(store: &dyn Store, key: &str) -> bool {
    store.set(key, b"new").is_ok() && store.get(key).ok().flatten().as_deref() == Some(b"new")
}

#[test]
fn a_killed_server_is_not_used_until_it_is_back() {
    for subject in Subject::remote() {
        let store = subject.open();
        store.set("key", b"old").expect("the server is up");
        subject.servers.iter().for_each(Server::kill9);
        for _ in 0..100 {
            is_without(&*store, "key");
            assert!(store.set("key", b"old").is_err(), "{subject}");
        }
        subject.servers.iter().for_each(Server::restart);
        wait_until(&format!("{subject} is used again"), || works(&*store, "key"));
    }
}

/// The restart closes the idle connections of the store. No call fails because of that.
#[test]
fn a_restart_between_two_calls_causes_no_error() {
    for subject in Subject::remote() {
        let store = subject.open();
        std::thread::scope(|scope| {
            for i in 0..4 {
                let store = &store;
                scope.spawn(move || store.set(&format!("key{i}"), b"old").expect("the server is up"));
            }
        });
        subject.servers.iter().for_each(Server::restart);
        assert_eq!(store.get("key0").expect("the server is up"), None, "{subject}");
        assert!(works(&*store, "key0"));
    }
}

#[test]
fn a_stopped_server_is_not_used_until_it_continues() {
    for subject in [Subject::memcached(), Subject::redis_on_socket()] {
        let store = subject.open_with(|settings| settings.timeout(Duration::from_millis(200)));
        wait_until("the store works", || works(&*store, "key"));
        subject.servers[0].signal("STOP");
        wait_until("the store notices that the server has stopped", || store.get("key").is_err());
        is_without(&*store, "other");
        subject.servers[0].signal("CONT");
        wait_until(&format!("{subject} is used again"), || works(&*store, "key"));
    }
}

#[test]
fn one_server_of_two_loses_its_own_keys_only() {
    let subject = Subject::two_memcached();
    let store = subject.open();
    let keys: Vec<String> = (0..100).map(|i| format!("key{i}")).collect();
    for key in &keys {
        store.set(key, key.as_bytes()).expect("the servers are up");
    }
    let [first, second] = &subject.servers[..] else { panic!("there are two servers") };
    let alone = StoreSettings::memcached([second.location()]).timeout(PATIENT).open().unwrap();
    let (kept, lost): (Vec<_>, Vec<_>) =
        keys.iter().partition(|key| alone.get(key).expect("it is up").is_some());
    assert!(kept.len() > 20 && lost.len() > 20, "{} and {}", kept.len(), lost.len());

    first.kill9();
    for _ in 0..3 {
        for key in &lost {
            assert!(store.get(key).is_err());
            assert!(store.set(key, b"elsewhere").is_err());
            // The value is not on the second server, because it would be stale when the
            // first server works again.
            assert_eq!(alone.get(key).unwrap(), None);
        }
        for key in &kept {
            assert_eq!(store.get(key).unwrap().as_deref(), Some(key.as_bytes()));
        }
    }
    first.restart();
    wait_until("the first server is used again", || works(&*store, lost[0]));
    assert_eq!(store.get(lost[1]).unwrap(), None);
}

#[test]
fn a_failure_and_a_recovery_are_logged_once() {
    for subject in [Subject::memcached(), Subject::redis_with_password()] {
        let known = log::keep();
        let location = format!("127.0.0.1:{}", subject.servers[0].port());
        let store = subject.open();
        assert!(works(&*store, "key"));
        assert_eq!(log::lines(known, &location), [""; 0]);
        subject.servers[0].kill9();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..100).for_each(|_| is_without(&*store, "key")));
            }
        });
        let lines = log::lines(known, &location);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("WARN the store "), "{lines:?}");
        assert!(lines[0].ends_with("; values are computed until it does"), "{lines:?}");
        subject.servers[0].restart();
        wait_until("the server is used again", || works(&*store, "key"));
        let lines = log::lines(known, &location);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].starts_with("INFO ") && lines[1].ends_with(" answers again"), "{lines:?}");
        println!("{}", lines.join("\n"));
    }
}

#[test]
fn the_error_for_a_wrong_password_does_not_show_the_password() {
    log::keep();
    let server = Server::redis_with(&["--requirepass", PASSWORD]);
    for location in [
        format!("redis://default:wr0ng@{}", server.location()),
        format!("redis://:wr0ng@{}", server.location()),
        server.location(),
    ] {
        let store = StoreSettings::redis(location).timeout(PATIENT).open().unwrap();
        let error = store.get("key").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store);
        let said = error.to_string();
        assert!(said.contains("WRONGPASS") || said.contains("NOAUTH"), "{said}");
        let cause = std::error::Error::source(&error).expect("there is a cause");
        let shown = format!("{said} {cause} {store:?}");
        assert!(!shown.contains("wr0ng") && !shown.contains("hunter2"), "{shown}");
    }
    // A server that does not know the command AUTH repeats its arguments in the error.
    let peer = Peer::answering("-ERR unknown command `AUTH`, with args beginning with: `wr0ng`\r\n");
    let settings = StoreSettings::redis(format!("redis://:wr0ng@{}", peer.location()));
    let store = settings.timeout(PATIENT).open().unwrap();
    let said = store.get("key").unwrap_err().to_string();
    assert!(said.contains("unexpected server message `ERR`") && !said.contains("wr0ng"), "{said}");
    assert_eq!(log::lines(0, "wr0ng"), [""; 0]);
    assert_eq!(log::lines(0, "hunter2"), [""; 0]);
}
