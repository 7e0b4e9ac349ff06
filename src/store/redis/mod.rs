//! The store Redis, which also works with Valkey: one server, a master that Sentinels name, or
//! a cluster. The crate `redis` parses locations and answers and writes commands. The
//! connections are our own, because the crate's connections have a time limit for each read
//! of the socket, but no time limit for a whole call.
//!
//! In: keys and values. Out: requests to the servers.

mod cluster;
mod connection;
mod location;
mod node;
mod sentinel;
mod tls;

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use redis::{Cmd, Value};

use self::cluster::Cluster;
use self::connection::{Greeting, unexpected};
use self::location::{Location, invalid};
use self::node::Node;
use self::sentinel::Sentinels;
pub(super) use self::tls::TlsFiles;
use super::address::Endpoint;
use super::deadline_stream::LONGEST;
use super::refusal::Refusal;
use super::{Store, key};
use crate::error::{Error, Result};

/// What the errors of a server begin with that answers no reads either. Any other error
/// that answers a write refuses that write: `READONLY` (a replica), `NOREPLICAS` (too
/// few), `OOM` (full), `MISCONF` (its disk), `NOPERM` (no right to write), and those of
/// proxies. Reads then go on.
const OUTAGES: &[&str] =
    &["BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "NOAUTH", "TRYAGAIN", "UNKILLABLE", "WRONGPASS"];

/// A store on Redis servers.
pub(super) struct RedisStore {
    servers: Servers,
    timeout: Duration,
    ttl: Duration,
}

enum Servers {
    One(Node),
    Sentinels(Sentinels),
    Cluster(Cluster),
}

/// Where the servers are, and how to reach them.
pub(super) struct Topology<'a> {
    pub locations: Vec<&'a str>,
    /// If there are any, the location's host is the name of their master.
    pub sentinels: Vec<&'a str>,
    pub is_cluster: bool,
    pub files: &'a TlsFiles,
}

impl RedisStore {
    /// Creates the store. Does not connect yet.
    pub(super) fn new(topology: &Topology, timeout: Duration, ttl: Duration) -> Result<Self> {
        let locations: Vec<_> =
            topology.locations.iter().map(|one| Location::parse(one)).collect::<Result<_>>()?;
        let sentinels: Vec<_> =
            topology.sentinels.iter().map(|one| Location::parse(one)).collect::<Result<_>>()?;
        let Some(first) = locations.first() else { return Err(invalid("there is none")) };
        let tls = match locations.iter().chain(&sentinels).any(|one| one.login.tls) {
            true => Some(topology.files.read()?),
            false if topology.files.is_empty() => None,
            false => {
                return Err(Error::usage("tls_ca, tls_certificate and tls_key are for locations with TLS")
                    .help("write rediss:// instead of redis://"));
            }
        };
        let greeting =
            |location: &Location| Greeting::new(&location.login, tls.clone().filter(|_| location.login.tls));
        let servers = if topology.is_cluster {
            if first.login.database != 0 {
                return Err(invalid("a cluster has only the database 0"));
            }
            if locations.iter().any(|one| matches!(one.endpoint, Endpoint::Unix(_))) {
                return Err(invalid("the servers of a cluster are reached by TCP"));
            }
            // Locations without a login have that of the first one.
            if locations[1..].iter().any(|one| one.login != first.login && one.login != Default::default()) {
                return Err(invalid("the locations of a cluster have different logins")
                    .help("the servers of a cluster share users, passwords and TLS: write them in the first location"));
            }
            let seeds: Vec<_> = locations.iter().map(|one| one.endpoint.clone()).collect();
            Servers::Cluster(Cluster::new(&seeds, greeting(first), timeout))
        } else if let [_, ..] = sentinels.as_slice() {
            let Endpoint::Tcp(name, _) = &first.endpoint else {
                return Err(invalid("its host must be the name of the master that the Sentinels know"));
            };
            let nodes =
                sentinels.iter().map(|one| Node::new(&one.endpoint, greeting(one), timeout)).collect();
            Servers::Sentinels(Sentinels::new(nodes, name.clone(), greeting(first), timeout))
        } else {
            Servers::One(Node::new(&first.endpoint, greeting(first), timeout))
        };
        Ok(RedisStore { servers, timeout, ttl })
    }

    fn call<T>(&self, key: &str, command: &Cmd, read: impl Fn(Value) -> io::Result<T>) -> Result<T> {
        let request = command.get_packed_command();
        match &self.servers {
            Servers::One(node) => Ok(node.ask(Instant::now() + self.timeout, &[], &request, read)?),
            Servers::Sentinels(sentinels) => sentinels.ask(&request, read),
            Servers::Cluster(cluster) => cluster.ask(key, &request, read),
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The logins are left out, because they contain passwords.
        let list = |endpoints: &mut dyn Iterator<Item = &Endpoint>| {
            endpoints.map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let mut shown = f.debug_struct("RedisStore");
        match &self.servers {
            Servers::One(node) => shown.field("server", &node.endpoint().to_string()),
            Servers::Sentinels(sentinels) => {
                shown.field("master", &sentinels.name()).field("sentinels", &list(&mut sentinels.sentinels()))
            }
            Servers::Cluster(cluster) => shown.field("cluster", &list(&mut cluster.seeds())),
        };
        shown.field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

impl Store for RedisStore {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        key::check(key)?;
        self.call(key, redis::cmd("GET").arg(key), |answer| match answer {
            Value::BulkString(value) => Ok(Some(value)),
            Value::Nil => Ok(None),
            other => Err(unexpected(&other)),
        })
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        key::check(key)?;
        if value.len() > LONGEST {
            return Ok(());
        }
        let ttl = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        self.call(key, redis::cmd("SET").arg(key).arg(value).arg("PX").arg(ttl), |answer| match answer {
            Value::Okay => Ok(()),
            Value::ServerError(error) if !OUTAGES.contains(&error.code()) => {
                let kind = error.code().to_owned();
                Err(Refusal::error(&kind, &unexpected(&Value::ServerError(error))))
            }
            other => Err(unexpected(&other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::connection::RedisConnection;
    use super::*;
    #[cfg(unix)]
    use crate::fuzz::{corpus, drive_on, finds};
    #[cfg(unix)]
    use crate::store::fuzz_targets;

    fn store(location: &str) -> Result<RedisStore> {
        let topology = Topology {
            locations: vec![location],
            sentinels: Vec::new(),
            is_cluster: false,
            files: &TlsFiles::default(),
        };
        RedisStore::new(&topology, Duration::from_secs(1), Duration::from_secs(60))
    }

    #[test]
    fn locations_are_read() {
        for (location, server, greeting) in [
            ("127.0.0.1", "127.0.0.1:6379", ""),
            ("127.0.0.1:7000", "127.0.0.1:7000", ""),
            ("redis://h/3", "h:6379", "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"),
            ("redis://u:p%20w@[::1]:1", "[::1]:1", "*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$3\r\np w\r\n"),
            ("redis://:pw@h", "h:6379", "*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n"),
            ("unix:/run/r.sock?pass=pw", "unix:/run/r.sock", "*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n"),
            ("valkey://h", "h:6379", ""),
        ] {
            let parsed = Location::parse(location).unwrap();
            assert_eq!(parsed.endpoint.to_string(), server);
            assert_eq!(Greeting::new(&parsed.login, None).sent(), greeting);
            store(location).unwrap();
        }
    }

    #[test]
    fn nothing_shows_the_password() {
        let shown = format!("{:?}", store("redis://u:hunter2@h/1").unwrap());
        assert_eq!(shown, "RedisStore { server: \"h:6379\", ttl: 60s, .. }");
        assert!(Location::parse("rediss://u:hunter2@h").unwrap().login.tls);
        for wrong in [
            "redis://u:hunter2@h/x",
            "redis://u:hunter2@h:port",
            "http://u:hunter2@h",
            "u:hunter2@h",
            "unix:?pass=hunter2",
            "redis://u:p@hunter2@h:1:2",
            "redis://u:hun/ter2@h",
            "rediss://u:hun#ter2@h",
            "redis://u:hun?ter2=1@h",
            "redis://h?password=hunter2",
            "redis://hunter2@h",
            "redis+sentinel://u:hunter2@h/mymaster",
            "unix:/run/r.sock?password=hunter2",
        ] {
            let error = store(wrong).unwrap_err();
            assert!(!error.to_string().contains("ter2"), "{error}");
            assert!(std::error::Error::source(&error).is_none());
        }
    }

    /// What a server may send: entries, and the files of the corpus.
    #[cfg(unix)]
    fn answers() -> Vec<Vec<u8>> {
        let answers = fuzz_targets::entries().into_iter().map(|(_, _, entry)| {
            [format!("${}\r\n", entry.len()).into_bytes(), entry, b"\r\n".to_vec()].concat()
        });
        let answers: Vec<_> = answers.chain(corpus("redis")).collect();
        // A miss may come before an answer.
        answers.into_iter().flat_map(|one| [[b"$-1\r\n", &one[..]].concat(), one]).collect()
    }

    /// Reads two answers on one connection. A value is all that is between its header and the
    /// end of the line.
    #[cfg(unix)]
    fn check(input: &[u8], read: impl Fn(Value) -> Option<Vec<u8>>) -> bool {
        let entries = fuzz_targets::entries();
        let (stream, _server) = fuzz_targets::answered(input);
        let mut connection = RedisConnection::new(stream);
        let mut rest = input;
        for key in fuzz_targets::KEYS {
            let Ok(answer) = connection.ask(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n") else { return false };
            if answer == Value::Nil && rest.starts_with(b"$-1\r\n") {
                rest = &rest[5..];
                continue;
            }
            // A string that is announced with its length.
            let is_string = rest.starts_with(b"$");
            let Some(value) = read(answer) else { return false };
            assert!(is_string);
            let header = rest.split_inclusive(|byte| *byte == b'\n').next().unwrap();
            let length = std::str::from_utf8(&header[1..]).unwrap().trim_end().parse::<usize>().unwrap();
            assert_eq!(length, value.len());
            rest = rest[header.len()..].strip_prefix(value.as_slice()).unwrap();
            rest = rest.strip_prefix(b"\r\n").unwrap();
            fuzz_targets::opens(value, key, &entries);
        }
        true
    }

    #[cfg(unix)]
    fn string(answer: Value) -> Option<Vec<u8>> {
        match answer {
            Value::BulkString(value) => Some(value),
            _ => None,
        }
    }

    #[test]
    #[cfg(unix)]
    fn fuzz_redis() {
        let pairs: Vec<_> = answers().into_iter().flat_map(|one| [one.repeat(2), one]).collect();
        drive_on("redis", &pairs, |input| check(input, string));
    }

    #[test]
    #[cfg(unix)]
    fn fuzz_redis_finds_a_value_of_another_length() {
        let shorter = |answer| {
            string(answer).map(|mut value| {
                value.pop();
                value
            })
        };
        finds("redis", &answers(), |input| check(input, shorter));
    }
}
