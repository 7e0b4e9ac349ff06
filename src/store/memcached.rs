//! The store Memcached, with the commands `get` and `set` of the text protocol. Keys are
//! distributed over the servers by rendezvous hashing, so that adding or removing a
//! server does not move the keys of the other servers.
//!
//! In: keys and values. Out: requests to the server of each key.

use std::fmt;
use std::hash::Hasher;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::time::{Duration, Instant};

use siphasher::sip::SipHasher13;

use super::address::StoreAddress;
use super::deadline_stream::{DeadlineStream, LONGEST, server_message};
use super::refusal::Refusal;
use super::server::{ServerConnection, StoreServer};
use super::{Store, key};
use crate::error::{Error, Result};

const PORT: u16 = 11211;
/// The longest line. Lines are short: `VALUE key flags length`, or an error.
const LONGEST_LINE: u64 = 1024;

/// Values on one or several Memcached servers.
pub(super) struct MemcachedStore {
    /// The servers, each with the hash of its address.
    servers: Vec<(u64, StoreServer<BufReader<DeadlineStream>>)>,
    /// The time to live in seconds. It is at most 30 days, because Memcached reads a larger
    /// number as a date.
    ttl: u64,
}

impl MemcachedStore {
    /// Creates the store. Does not connect yet.
    pub(super) fn new<'a>(
        locations: impl IntoIterator<Item = &'a str>,
        timeout: Duration,
        ttl: Duration,
    ) -> Result<Self> {
        let servers = (locations.into_iter())
            .map(|location| {
                if let Some(what) = unsupported(location) {
                    return Err(Error::usage(format!("the store memcached supports no {what}")).help(
                        "write HOST:PORT or unix:/PATH, and let a proxy or the network protect the server",
                    ));
                }
                let address = StoreAddress::parse(location, PORT)?;
                Ok((hash(0, &address.to_string()), StoreServer::new("Memcached", address, timeout)))
            })
            .collect::<Result<_>>()?;
        let ttl = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        Ok(MemcachedStore { servers, ttl })
    }

    fn call<T>(
        &self,
        key: &str,
        exchange: impl Fn(&mut BufReader<DeadlineStream>) -> io::Result<T>,
    ) -> Result<Option<T>> {
        key::check(key)?;
        let server = self.servers.iter().max_by_key(|(seed, _)| hash(*seed, key));
        server.map(|(_, server)| server.call(|stream| Ok(BufReader::new(stream)), exchange)).transpose()
    }
}

/// Returns what a location demands that the store does not have.
fn unsupported(location: &str) -> Option<&'static str> {
    match () {
        () if location.contains('@') => Some("logins (SASL)"),
        () if location.contains("://") && !location.starts_with("unix:") => Some("URLs, and no TLS"),
        () => None,
    }
}

fn hash(seed: u64, text: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed, 0);
    hasher.write(text.as_bytes());
    hasher.finish()
}

impl fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> = self.servers.iter().map(|(_, server)| server.address().to_string()).collect();
        f.debug_struct("MemcachedStore").field("servers", &servers).field("ttl", &self.ttl).finish()
    }
}

impl Store for MemcachedStore {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.call(key, |connection| get(connection, key))?.flatten())
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        if value.len() > LONGEST {
            return key::check(key);
        }
        let mut request = format!("set {key} 0 {} {}\r\n", self.ttl, value.len()).into_bytes();
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\n");
        self.call(key, |connection| set(connection, &request))?;
        Ok(())
    }
}

impl ServerConnection for BufReader<DeadlineStream> {
    fn restart(&mut self, deadline: Instant) {
        self.get_mut().restart(deadline);
    }
}

fn get(connection: &mut BufReader<DeadlineStream>, key: &str) -> io::Result<Option<Vec<u8>>> {
    send(connection, format!("get {key}\r\n").as_bytes())?;
    let header = line(connection)?;
    if header == "END" {
        return Ok(None);
    }
    let length = length(&header, key).ok_or_else(|| unexpected(&header))?;
    let mut value = Vec::new();
    // The buffer grows with the received bytes, not with the announced length.
    connection.by_ref().take(length as u64).read_to_end(&mut value)?;
    if value.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    for expected in ["", "END"] {
        let line = line(connection)?;
        if line != expected {
            return Err(server_message(&line));
        }
    }
    Ok(Some(value))
}

/// Parses the length in `VALUE key flags length`.
fn length(header: &str, key: &str) -> Option<usize> {
    let rest = header.strip_prefix("VALUE ")?.strip_prefix(key)?.strip_prefix(' ')?;
    let (_flags, length) = rest.split_once(' ')?;
    length.parse().ok().filter(|length| *length <= LONGEST)
}

fn set(connection: &mut BufReader<DeadlineStream>, request: &[u8]) -> io::Result<()> {
    send(connection, request)?;
    let answer = line(connection)?;
    match answer.as_str() {
        "STORED" | "SERVER_ERROR object too large for cache" => Ok(()),
        // A full server does not store the value, but is healthy otherwise.
        "SERVER_ERROR out of memory storing object" => {
            Err(Refusal::error("out of memory", &server_message(&answer)))
        }
        _ => Err(unexpected(&answer)),
    }
}

fn unexpected(answer: &str) -> io::Error {
    match answer {
        "CLIENT_ERROR unauthenticated" => io::Error::new(
            io::ErrorKind::InvalidData,
            "the server demands a login, which this store does not support",
        ),
        _ => server_message(answer),
    }
}

fn send(connection: &mut BufReader<DeadlineStream>, request: &[u8]) -> io::Result<()> {
    // If the server has sent bytes without a request, the next answers could belong to
    // other requests.
    if !connection.buffer().is_empty() {
        return Err(server_message(&String::from_utf8_lossy(connection.buffer())));
    }
    connection.get_mut().write_all(request)
}

fn line(connection: &mut BufReader<DeadlineStream>) -> io::Result<String> {
    let mut line = Vec::new();
    let read = connection.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
    match (read, line.strip_suffix(b"\r\n")) {
        (Err(error), _) if error.kind() == io::ErrorKind::ConnectionReset => Err(closed(error.kind())),
        (Err(error), _) => Err(error),
        (Ok(_), Some(line)) => Ok(String::from_utf8_lossy(line).into_owned()),
        (Ok(_), None) if line.is_empty() => Err(closed(io::ErrorKind::UnexpectedEof)),
        (Ok(_), None) if line.len() < LONGEST_LINE as usize => Err(io::ErrorKind::UnexpectedEof.into()),
        (Ok(_), None) => Err(server_message(&String::from_utf8_lossy(&line))),
    }
}

fn closed(kind: io::ErrorKind) -> io::Error {
    io::Error::new(
        kind,
        "the server closed the connection without an answer; one that demands SASL or TLS does so, \
         and this store supports neither",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(unix)]
    use crate::fuzz::{corpus, drive_on, finds};
    #[cfg(unix)]
    use crate::store::fuzz_targets;

    #[test]
    fn headers_are_read() {
        assert_eq!(length("VALUE k 0 5", "k"), Some(5));
        for wrong in [
            "VALUE k 0 1152921504606846976",
            "VALUE k 0 -1",
            "VALUE k 0 18446744073709551616",
            "VALUE other 0 5",
            "VALUE k 0 5 7 7",
            "VALUE k 5",
            "VALUE ",
            "",
        ] {
            assert_eq!(length(wrong, "k"), None, "{wrong}");
        }
    }

    /// What a server may send: entries, and the files of the corpus.
    #[cfg(unix)]
    fn answers() -> Vec<Vec<u8>> {
        let answers = fuzz_targets::entries().into_iter().map(|(key, _, entry)| {
            [format!("VALUE {key} 0 {}\r\n", entry.len()).into_bytes(), entry, b"\r\nEND\r\n".to_vec()]
                .concat()
        });
        answers.chain(corpus("memcached")).collect()
    }

    /// Reads an answer for each key. A value is all that is between its header and `END`.
    #[cfg(unix)]
    fn check(
        input: &[u8],
        get: impl Fn(&mut BufReader<DeadlineStream>, &str) -> io::Result<Option<Vec<u8>>>,
    ) -> bool {
        let entries = fuzz_targets::entries();
        let mut accepted = false;
        for key in fuzz_targets::KEYS {
            let (stream, _server) = fuzz_targets::answered(input);
            let mut connection = BufReader::with_capacity(16, stream);
            match get(&mut connection, key) {
                Err(_) => {}
                Ok(None) => assert!(input.starts_with(b"END\r\n")),
                Ok(Some(value)) => {
                    let header = input.split_inclusive(|byte| *byte == b'\n').next().unwrap();
                    assert!(header.starts_with(format!("VALUE {key} ").as_bytes()));
                    assert!(header.ends_with(format!(" {}\r\n", value.len()).as_bytes()));
                    let rest = input[header.len()..].strip_prefix(value.as_slice()).unwrap();
                    assert!(rest.starts_with(b"\r\nEND\r\n"));
                    accepted |= fuzz_targets::opens(value, key, &entries);
                }
            }
        }
        accepted
    }

    #[test]
    #[cfg(unix)]
    fn fuzz_memcached() {
        drive_on("memcached", &answers(), |input| check(input, get));
    }

    #[test]
    #[cfg(unix)]
    fn fuzz_memcached_finds_a_value_of_another_length() {
        let without_end = |connection: &mut BufReader<DeadlineStream>, key: &str| {
            let answer = get(connection, key)?;
            Ok(answer.map(|mut value| {
                value.pop();
                value
            }))
        };
        finds("memcached", &answers(), |input| check(input, without_end));
    }

    #[test]
    fn an_added_server_gets_its_share_and_moves_no_other_keys() {
        let store = |locations: &[&str]| {
            let second = Duration::from_secs(1);
            MemcachedStore::new(locations.iter().copied(), second, second).unwrap()
        };
        let place = |store: &MemcachedStore, key: &str| {
            // No server listens at port 1, and the error names the address.
            store.get(key).unwrap_err().message().split_whitespace().nth(4).unwrap().to_owned()
        };
        let (two, three) =
            (store(&["127.0.0.1:1", "127.0.0.2:1"]), store(&["127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1"]));
        let mut moved = 0;
        for i in 0..600 {
            let key = format!("key{i}");
            let (before, after) = (place(&two, &key), place(&three, &key));
            assert!(after == before || after == "127.0.0.3:1", "{before} {after}");
            moved += usize::from(after != before);
        }
        assert!((120..280).contains(&moved), "{moved}");
    }
}
