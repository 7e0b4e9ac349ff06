//! A cluster of Redis servers: each key belongs to a slot, and each slot to a server, which
//! may change at any time.
//!
//! In: keys and packed commands. Out: the answers of the servers of the keys.
//!
//! The client's part is described in <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crc::{CRC_16_XMODEM, Crc};
use redis::Value;

use super::connection::{Greeting, not_redis, unexpected};
use super::node::{Node, is_late};
use crate::error::{Error, ErrorKind, Result};
use crate::store::address::Endpoint;
use crate::store::breaker::{Breaker, Transition};
use crate::store::server::Failure;

const SLOTS: u16 = 16384;
const ASKING: &[u8] = b"*1\r\n$6\r\nASKING\r\n";
/// How often one command is sent on to another server.
const MOST_REDIRECTIONS: usize = 5;
/// A map is not asked for again before this time.
const FRESH: Duration = Duration::from_millis(100);
/// A cluster has at most 1,000 servers by its specification.
const MOST_NODES: usize = 1000;

pub(super) struct Cluster {
    seeds: Vec<Arc<Node>>,
    greeting: Greeting,
    timeout: Duration,
    map: Mutex<Arc<Map>>,
    /// Whether a server has said that the map is out of date.
    is_stale: AtomicBool,
    /// Limits how often the map is asked for in vain.
    breaker: Breaker,
}

/// The servers of the slots.
#[derive(Default)]
struct Map {
    /// The first slot and the server of each range, by its last slot.
    ranges: BTreeMap<u16, (u16, Arc<Node>)>,
    read_at: Option<Instant>,
}

impl Map {
    fn node(&self, slot: u16) -> Option<Arc<Node>> {
        let (_, (first, node)) = self.ranges.range(slot..).next()?;
        (*first <= slot).then(|| node.clone())
    }

    fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.ranges.values().map(|(_, node)| node)
    }
}

/// An answer, or the server that has it.
enum Answer<T> {
    Value(T),
    Moved(Endpoint),
    Ask(Endpoint),
}

impl Cluster {
    pub(super) fn new(seeds: &[Endpoint], greeting: Greeting, timeout: Duration) -> Self {
        let seeds = seeds.iter().map(|seed| Arc::new(Node::new(seed, greeting.clone(), timeout))).collect();
        let (map, is_stale, breaker) = (Mutex::default(), AtomicBool::new(false), Breaker::default());
        Cluster { seeds, greeting, timeout, map, is_stale, breaker }
    }

    pub(super) fn seeds(&self) -> impl Iterator<Item = &Endpoint> {
        self.seeds.iter().map(|seed| seed.endpoint())
    }

    /// Sends a command to the server of its key.
    pub(super) fn ask<T>(
        &self,
        key: &str,
        request: &[u8],
        read: impl Fn(Value) -> io::Result<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + self.timeout;
        let slot = slot(key.as_bytes());
        let mut map = self.map();
        if map.ranges.is_empty() {
            map = self.find(deadline)?;
        } else if self.is_stale.swap(false, Ordering::Relaxed) {
            // The former map is still right for most slots.
            map = self.find(deadline).unwrap_or(map);
        }
        let Some(mut node) = map.node(slot) else {
            self.is_stale.store(true, Ordering::Relaxed);
            return Err(Error::new(
                ErrorKind::Store,
                format!("no server of the cluster has the slot {slot}"),
            ));
        };
        let mut asking: &[&[u8]] = &[];
        let mut failed = false;
        for _ in 0..=MOST_REDIRECTIONS {
            let from = node.endpoint().clone();
            let read =
                |answer| redirection(&answer, &from).map_or_else(|| read(answer).map(Answer::Value), Ok);
            match node.ask(deadline, asking, request, read) {
                Ok(Answer::Value(value)) => return Ok(value),
                Ok(Answer::Moved(endpoint)) => {
                    self.is_stale.store(true, Ordering::Relaxed);
                    (node, asking) = (self.node(&map, &endpoint), &[]);
                }
                Ok(Answer::Ask(endpoint)) => {
                    (node, asking) = (self.node(&map, &endpoint), &[ASKING]);
                }
                Err(Failure::Down(error)) if !failed => {
                    // A replica may have taken its place.
                    failed = true;
                    if is_late(deadline, self.timeout) {
                        self.is_stale.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                    let found = self.find(deadline).ok().and_then(|map| map.node(slot));
                    match found.filter(|found| !Arc::ptr_eq(found, &node)) {
                        Some(found) => (node, asking) = (found, &[]),
                        None => return Err(error),
                    }
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(Error::new(ErrorKind::Store, "the servers of the cluster redirect a command without end"))
    }

    fn map(&self) -> Arc<Map> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the server at an address, with its connections if it is known.
    fn node(&self, map: &Map, endpoint: &Endpoint) -> Arc<Node> {
        let known = map.nodes().chain(&self.seeds);
        known
            .into_iter()
            .find(|node| node.endpoint() == endpoint)
            .cloned()
            .unwrap_or_else(|| Arc::new(Node::new(endpoint, self.greeting.clone(), self.timeout)))
    }

    /// Asks the servers for the map.
    fn find(&self, deadline: Instant) -> Result<Arc<Map>> {
        let error = |why: &str| {
            Error::new(ErrorKind::Store, format!("the servers of the cluster Redis are not known: {why}"))
        };
        let map = self.map();
        if map.read_at.is_some_and(|read_at| read_at.elapsed() < FRESH) {
            return Ok(map);
        }
        let Some(pass) = self.breaker.pass(Instant::now()) else {
            return Err(error("they are asked for again after a pause"));
        };
        match self.ask_nodes(deadline) {
            Ok(ranges) => {
                if pass.succeeded() == Some(Transition::Recovered) {
                    log::info!("the servers of the cluster Redis are known again");
                }
                let former = map;
                let mut map = Map { ranges: BTreeMap::new(), read_at: Some(Instant::now()) };
                let mut nodes: BTreeMap<Endpoint, Arc<Node>> = BTreeMap::new();
                for (first, last, endpoint) in ranges {
                    let node =
                        nodes.entry(endpoint).or_insert_with_key(|endpoint| self.node(&former, endpoint));
                    map.ranges.insert(last, (first, node.clone()));
                }
                let map = Arc::new(map);
                *self.map.lock().unwrap_or_else(PoisonError::into_inner) = map.clone();
                Ok(map)
            }
            Err(why) => {
                let error = error(why.message());
                if pass.failed(Instant::now()) == Some(Transition::Failed) {
                    log::warn!("{}; values are computed until they are", error.message());
                }
                Err(error)
            }
        }
    }

    /// Returns the ranges of slots and their servers that the first server knows, or the last
    /// error.
    fn ask_nodes(&self, deadline: Instant) -> Result<Vec<(u16, u16, Endpoint)>> {
        let map = self.map();
        let mut nodes: BTreeMap<&Endpoint, &Arc<Node>> = BTreeMap::new();
        for node in map.nodes().chain(&self.seeds) {
            nodes.entry(node.endpoint()).or_insert(node);
        }
        let request = redis::cmd("CLUSTER").arg("SLOTS").get_packed_command();
        let mut last = Error::new(ErrorKind::Store, "there is no server");
        let count = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        // Each server gets an equal share of the remaining time.
        for (node, left) in nodes.values().zip((1..=count).rev()) {
            let now = Instant::now();
            let share = now + deadline.saturating_duration_since(now) / left;
            match node.ask(share, &[], &request, |answer| read_slots(&answer, node.endpoint())) {
                Ok(ranges) => return Ok(ranges),
                Err(failure) => last = failure.into(),
            }
        }
        Err(last)
    }
}

/// Returns the slot of a key: of the part in the first braces, if there is one, else of all.
fn slot(key: &[u8]) -> u16 {
    let tag = || {
        let open = key.iter().position(|byte| *byte == b'{')? + 1;
        let length = key[open..].iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &key[open..open + length])
    };
    Crc::<u16>::new(&CRC_16_XMODEM).checksum(tag().unwrap_or(key)) % SLOTS
}

/// Reads `MOVED SLOT HOST:PORT` and `ASK SLOT HOST:PORT`. A server that does not know its
/// name leaves out the host, and means the one at which it was reached.
fn redirection<T>(answer: &Value, from: &Endpoint) -> Option<Answer<T>> {
    let Value::ServerError(error) = answer else { return None };
    let kind = error.code();
    if kind != "MOVED" && kind != "ASK" {
        return None;
    }
    let (host, port) = error.details()?.split(' ').nth(1)?.rsplit_once(':')?;
    let host = match host {
        "" | "?" => from.host(),
        host => host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host),
    };
    let endpoint = Endpoint::Tcp(host.to_owned(), port.parse().ok()?);
    Some(if kind == "ASK" { Answer::Ask(endpoint) } else { Answer::Moved(endpoint) })
}

/// Reads the answer of `CLUSTER SLOTS`.
fn read_slots(answer: &Value, from: &Endpoint) -> io::Result<Vec<(u16, u16, Endpoint)>> {
    let Value::Array(ranges) = answer else { return Err(unexpected(answer)) };
    let ranges: Option<Vec<_>> = ranges.iter().map(|range| read_range(range, from)).collect();
    let ranges = ranges.ok_or_else(not_redis)?;
    if ranges.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the cluster has no slots"));
    }
    let mut endpoints: Vec<_> = ranges.iter().map(|(_, _, endpoint)| endpoint).collect();
    endpoints.sort();
    endpoints.dedup();
    match endpoints.len() > MOST_NODES {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, "the cluster has more than 1,000 servers")),
        false => Ok(ranges),
    }
}

/// Reads the first and the last slot of a range, and its master.
fn read_range(range: &Value, from: &Endpoint) -> Option<(u16, u16, Endpoint)> {
    let Value::Array(parts) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = parts.as_slice() else {
        return None;
    };
    let slot = |slot: &i64| u16::try_from(*slot).ok().filter(|slot| *slot < SLOTS);
    let [host, Value::Int(port), ..] = master.as_slice() else { return None };
    let host = match host {
        Value::Nil => from.host().to_owned(),
        Value::BulkString(host) if host.is_empty() || host == b"?" => from.host().to_owned(),
        Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
        _ => return None,
    };
    Some((slot(first)?, slot(last)?, Endpoint::Tcp(host, u16::try_from(*port).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures are those of `CLUSTER KEYSLOT` of a server of version 7.0.15.
    #[test]
    fn slots_are_those_of_the_server() {
        for (key, expected) in SERVER {
            assert_eq!(slot(key.as_bytes()), *expected, "{key}");
        }
    }

    const SERVER: &[(&str, u16)] = &[
        ("123456789", 12739),
        ("", 0),
        ("a", 15495),
        ("foo", 12182),
        ("bustard:x", 6100),
        ("{user1000}.following", 3443),
        ("foo{}{bar}", 8363),
        ("foo{{bar}}zap", 4015),
        ("foo{bar}{zap}", 5061),
        ("{", 4092),
        ("}{", 12793),
        ("a}b{c}d", 7365),
    ];

    fn at(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp(host.to_owned(), port)
    }

    fn read(bytes: &str) -> Value {
        redis::parse_redis_value(bytes.as_bytes()).unwrap()
    }

    #[test]
    fn redirections_are_read() {
        let from = at("here", 1);
        for (answer, expected) in [
            ("-MOVED 3999 127.0.0.1:6381\r\n", Some((false, at("127.0.0.1", 6381)))),
            ("-MOVED 3999 :6381\r\n", Some((false, at("here", 6381)))),
            ("-MOVED 3999 ?:6381\r\n", Some((false, at("here", 6381)))),
            ("-ASK 3999 ::1:6381\r\n", Some((true, at("::1", 6381)))),
            ("-ASK 3999 node.example:6381\r\n", Some((true, at("node.example", 6381)))),
            ("-MOVED\r\n", None),
            ("-MOVED 1 h\r\n", None),
            ("-MOVED 1 h:99999\r\n", None),
            ("-ERR MOVED 1 h:1\r\n", None),
            ("+OK\r\n", None),
        ] {
            let found = match redirection::<()>(&read(answer), &from) {
                Some(Answer::Ask(endpoint)) => Some((true, endpoint)),
                Some(Answer::Moved(endpoint)) => Some((false, endpoint)),
                _ => None,
            };
            assert_eq!(found, expected, "{answer}");
        }
    }

    #[test]
    fn maps_are_read_or_refused() {
        let from = at("here", 1);
        let range = |parts: &str| format!("*1\r\n{parts}");
        let good = range("*3\r\n:0\r\n:16383\r\n*3\r\n$1\r\nh\r\n:7\r\n$2\r\nid\r\n");
        assert_eq!(read_slots(&read(&good), &from).unwrap(), [(0, 16383, at("h", 7))]);
        let unnamed = range("*3\r\n:0\r\n:5\r\n*2\r\n$-1\r\n:7\r\n");
        assert_eq!(read_slots(&read(&unnamed), &from).unwrap(), [(0, 5, at("here", 7))]);
        for bad in [
            "*0\r\n".to_owned(),
            "+OK\r\n".to_owned(),
            "-ERR This instance has cluster support disabled\r\n".to_owned(),
            range("*0\r\n"),
            range("*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\nh\r\n:7\r\n"),
            range("*3\r\n:-1\r\n:5\r\n*2\r\n$1\r\nh\r\n:7\r\n"),
            range("*3\r\n:0\r\n:5\r\n*2\r\n$1\r\nh\r\n:70000\r\n"),
            range("*3\r\n:0\r\n:5\r\n*2\r\n:1\r\n:7\r\n"),
        ] {
            assert!(read_slots(&read(&bad), &from).is_err(), "{bad}");
        }
    }
}
