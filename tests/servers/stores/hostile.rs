//! Tests peers that speak another protocol, stop answering, or never answer. Each call
//! fails before its deadline, and no invalid answer is returned as a value.

use std::io::Write;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use bustard::{ErrorKind, Store, StoreSettings};

use super::peer::{Peer, each_request};
use super::subject::PATIENT;
use crate::support::{Random, wait_until};

/// The time-out of calls. It is short, because the calls are expected to fail and each test
/// waits for the time-out.
const TIMEOUT: Duration = Duration::from_millis(200);

/// Opens a Memcached store and a Redis store, in this order.
fn stores(location: &str) -> [Box<dyn Store>; 2] {
    stores_within(location, TIMEOUT)
}

fn stores_within(location: &str, timeout: Duration) -> [Box<dyn Store>; 2] {
    [StoreSettings::memcached([location]), StoreSettings::redis(location)]
        .map(|settings| settings.timeout(timeout).open().expect("the settings are right"))
}

/// Asserts that reading and writing fail on this peer, with both stores.
fn both_fail(name: &str, peer: impl Fn() -> Peer) {
    for at in 0..2 {
        for writes in [false, true] {
            // Each call gets a new store, because a store that has failed does not connect
            // again at once.
            let peer = peer();
            let [memcached, redis] = stores(&peer.location());
            let store = if at == 0 { memcached } else { redis };
            let call = move || if writes { store.set("key", b"value") } else { store.get("key").map(drop) };
            let error = fails_in_time(name, call);
            wait_until(&format!("{name} was asked"), || peer.connections() >= 1);
            let said = error.to_string();
            assert!(said.len() < 500 && !said.contains(char::is_control), "{name}: {said:?}");
            println!("{name:?}: {said}");
        }
    }
}

/// Runs a call that must fail in time, and returns its error.
fn fails_in_time(name: &str, call: impl FnOnce() -> bustard::Result<()> + Send + 'static) -> bustard::Error {
    let call = thread::spawn(call);
    wait_until(&format!("{name} is given up"), || call.is_finished());
    let error = call.join().expect("no store panics").expect_err(name);
    assert_eq!(error.kind(), ErrorKind::Store, "{name}: {error}");
    error
}

#[test]
fn a_peer_that_does_not_answer() {
    both_fail("silence", || Peer::start(|stream| each_request(stream, |_| true)));
}

/// The value is larger than the buffers between the two sides.
#[test]
fn a_peer_that_does_not_read() {
    // The peer keeps the connection open and does not read.
    let held = Mutex::new(Vec::new());
    let peer = Peer::start(move |stream| held.lock().expect("the mutex is not poisoned").push(stream));
    for store in stores(&peer.location()) {
        fails_in_time("a peer that does not read", move || store.set("key", &vec![b'x'; 16 << 20]));
    }
}

#[test]
fn a_peer_that_closes_at_once() {
    both_fail("closed", || Peer::start(drop));
}

#[test]
fn a_peer_that_speaks_http() {
    both_fail("HTTP", || {
        Peer::answering("HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwhat")
    });
}

#[test]
fn peers_that_answer_garbage() {
    for seed in 0..8 {
        both_fail("garbage", move || {
            let mut random = Random::new(seed);
            let mut bytes: Vec<u8> = (0..5000).map(|_| random.next().to_le_bytes()[0]).collect();
            // No line is a valid answer of either protocol, however it is cut.
            bytes.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'?');
            bytes[0] = b'?';
            Peer::answering(bytes)
        });
    }
}

#[test]
fn peers_that_claim_absurd_lengths() {
    for answer in [
        "VALUE key 0 1152921504606846976\r\nabc",
        "VALUE key 0 18446744073709551615\r\nabc",
        "VALUE key 0 99999999999999999999999\r\nabc",
        "VALUE key 0 -1\r\nabc",
        "$1152921504606846976\r\nabc",
        "$9223372036854775807\r\nabc",
        "*9223372036854775807\r\n",
        "%4611686018427387903\r\n",
        "|9223372036854775807\r\n+a\r\n",
        "=-1\r\nabc\r\n",
        ">9223372036854775807\r\n",
    ] {
        both_fail(answer, || Peer::answering(answer));
    }
    both_fail("nested", || Peer::answering("*1\r\n".repeat(10_000)));
    both_fail("nested wide", || Peer::answering("*1000000000\r\n".repeat(10_000)));
}

#[test]
fn a_peer_that_never_stops() {
    for start in ["", "VALUE key 0 5\r\n", "$99999999999\r\n", "VALUE key 0 16777216\r\n"] {
        both_fail("endless", || {
            Peer::start(move |stream| {
                each_request(stream, |stream| {
                    let _ = stream.write_all(start.as_bytes());
                    while stream.write_all(&[b'x'; 65536]).is_ok() {}
                    false
                });
            })
        });
    }
}

/// Each byte arrives within the time-out, but the whole answer does not.
#[test]
fn a_peer_that_sends_one_byte_at_a_time() {
    for start in ["VALUE key 0 1000000\r\n", "$1000000\r\n", ""] {
        both_fail("dripping", || {
            Peer::start(move |stream| {
                each_request(stream, |stream| {
                    let mut alive = stream.write_all(start.as_bytes()).is_ok();
                    while alive {
                        thread::sleep(TIMEOUT / 20);
                        alive = stream.write_all(b"x").is_ok();
                    }
                    false
                });
            })
        });
    }
}

/// A complete answer is accepted, and a truncated one is not.
#[test]
fn peers_whose_answer_is_cut() {
    for (at, whole) in [(0, "VALUE key 0 5\r\nvalue\r\nEND\r\n"), (1, "$5\r\nvalue\r\n")] {
        for length in 1..=whole.len() {
            let answer = &whole.as_bytes()[..length];
            let peer = Peer::start(move |stream| {
                each_request(stream, |stream| {
                    let _ = stream.write_all(answer);
                    false
                });
            });
            let result = stores_within(&peer.location(), PATIENT)[at].get("key");
            match length == whole.len() {
                true => assert_eq!(result.unwrap().as_deref(), Some(&b"value"[..])),
                false => assert_eq!(result.unwrap_err().kind(), ErrorKind::Store, "{length}"),
            }
        }
    }
}

#[test]
fn a_peer_that_answers_for_another_key() {
    let peer = Peer::answering("VALUE other 0 5\r\nvalue\r\nEND\r\n");
    assert!(stores(&peer.location())[0].get("key").is_err());
    let peer = Peer::answering("VALUE key2 0 5\r\nvalue\r\nEND\r\n");
    assert!(stores(&peer.location())[0].get("key").is_err());
}

#[test]
fn a_second_answer_is_discarded() {
    let peer = Peer::answering("VALUE key 0 1\r\n1\r\nEND\r\nVALUE key 0 1\r\n2\r\nEND\r\n");
    let store = &stores_within(&peer.location(), PATIENT)[0];
    assert_eq!(store.get("key").unwrap().as_deref(), Some(&b"1"[..]));
    assert!(store.get("key").is_err());
}

#[test]
fn no_server_at_all() {
    let gone = Peer::start(drop).location();
    for store in stores(&gone) {
        assert_eq!(store.get("key").unwrap_err().kind(), ErrorKind::Store);
    }
    for store in stores("no-such-host.invalid") {
        assert_eq!(store.get("key").unwrap_err().kind(), ErrorKind::Store);
    }
    for store in stores("unix:/no/such/socket") {
        assert_eq!(store.get("key").unwrap_err().kind(), ErrorKind::Store);
    }
}

/// Two thousand requests cause only a few connections.
#[test]
fn most_calls_do_not_connect_to_a_peer_that_is_down() {
    let peer = Peer::start(|stream| each_request(stream, |_| true));
    for (before, store) in stores(&peer.location()).iter().enumerate() {
        let before = if before == 0 { 0 } else { peer.connections() };
        let start = Instant::now();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..500).for_each(|_| assert!(store.get("key").is_err())));
            }
        });
        // There are four connections at first, and then one after each pause of at least 75
        // ms.
        let most = 4 + start.elapsed().as_millis() / 75;
        wait_until("the store connects again", || peer.connections() > before);
        let asked = (peer.connections() - before) as u128;
        assert!(asked <= most, "asked {asked} times in {:?}", start.elapsed());
    }
}
