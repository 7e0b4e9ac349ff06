//! Fuzz targets: entries of a store, and what the targets of its protocols share.
//!
//! In: mutated entries. Out: nothing; a panic is a fault, and so is a value that was not
//! stored.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::deadline_stream::{DeadlineStream, Stream};
use super::entry;
use crate::fuzz::{corpus, drive_on, finds};

/// The keys of the entries, as stores and as envelopes have them.
pub(super) const KEYS: [&str; 2] = ["a", "b"];

/// Returns the values that were stored under the key. No other key has the same ones.
fn written(key: &str) -> Vec<Vec<u8>> {
    let distinct = |value: Vec<u8>| [format!("[\"{key}\",").into_bytes(), value, b"]".to_vec()].concat();
    corpus("value").into_iter().map(distinct).collect()
}

/// Returns all values that were stored, each with its key and its sealed entry.
pub(super) fn entries() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let sealed = |key: &'static str, value: Vec<u8>| {
        let entry = entry::seal(key.as_bytes(), &value).unwrap();
        (key, value, entry)
    };
    KEYS.iter().flat_map(|key| written(key).into_iter().map(|value| sealed(key, value))).collect()
}

/// Opens an entry that a store returned for the key, and decodes the value. Returns whether
/// there is one. It must be one that was stored under this key.
pub(super) fn opens(entry: Vec<u8>, key: &str, entries: &[(&str, Vec<u8>, Vec<u8>)]) -> bool {
    check(entry, key, entries, entry::open)
}

fn check(
    entry: Vec<u8>,
    key: &str,
    entries: &[(&str, Vec<u8>, Vec<u8>)],
    open: impl Fn(Vec<u8>, &[u8]) -> Option<Vec<u8>>,
) -> bool {
    let Some(value) = open(entry, key.as_bytes()) else { return false };
    let stored = entries.iter().any(|(stored_key, stored, _)| *stored_key == key && *stored == value);
    assert!(stored, "{key}: {:?} was not stored", String::from_utf8_lossy(&value));
    assert!(serde_json::from_slice::<Value>(&value).is_ok());
    true
}

/// Returns a connection on which a server has sent these bytes, and the server's end.
pub(super) fn answered(bytes: &[u8]) -> (DeadlineStream, UnixStream) {
    let (stream, mut server) = UnixStream::pair().unwrap();
    server.write_all(bytes).unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    (DeadlineStream::new(Stream::Unix(stream), Instant::now() + Duration::from_secs(60)), server)
}

fn sealed() -> Vec<Vec<u8>> {
    entries().into_iter().map(|(_, _, entry)| entry).collect()
}

#[test]
fn fuzz_entries() {
    let entries = entries();
    drive_on("entry", &sealed(), |input| {
        KEYS.map(|key| opens(input.to_vec(), key, &entries)).contains(&true)
    });
}

/// An entry with any contents under a right checksum opens only if it is an envelope.
#[test]
fn fuzz_entries_with_a_right_checksum() {
    drive_on("entry", &sealed(), |input| {
        let entry = entry::with_right_checksum(input.to_vec());
        KEYS.map(|key| {
            let value = entry::open(entry.clone(), key.as_bytes());
            let opened = value.is_some();
            assert!(value.is_none_or(|value| entry::seal(key.as_bytes(), &value).as_ref() == Some(&entry)));
            opened
        })
        .contains(&true)
    });
}

#[test]
fn fuzz_entries_finds_a_value_that_was_not_stored() {
    let entries = entries();
    let without_checksum = |entry, key: &[u8]| entry::open(entry::with_right_checksum(entry), key);
    finds("entry", &sealed(), |input| {
        KEYS.map(|key| check(input.to_vec(), key, &entries, without_checksum)).contains(&true)
    });
    let without_key =
        |entry: Vec<u8>, _: &[u8]| KEYS.iter().find_map(|key| entry::open(entry.clone(), key.as_bytes()));
    finds("entry", &sealed(), |input| {
        KEYS.map(|key| check(input.to_vec(), key, &entries, without_key)).contains(&true)
    });
}
