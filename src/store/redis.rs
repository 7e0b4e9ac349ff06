//! The store Redis, which also works with Valkey. The crate `redis` parses locations and
//! answers and writes commands. The connection is our own, because the crate's connection
//! has a time limit for each read of the socket, but no time limit for a whole call.
//!
//! In: keys and values. Out: requests to the server.

use std::fmt;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use redis::{Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Parser, Value};

use super::address::StoreAddress;
use super::deadline_stream::{DeadlineStream, LONGEST, server_message};
use super::refusal::Refusal;
use super::server::{ServerConnection, StoreServer};
use super::{Store, key};
use crate::error::{Error, Result};

const PORT: u16 = 6379;

/// What the errors of a server begin with that answers no reads either. Any other error
/// that answers a write refuses that write: `READONLY` (a replica), `NOREPLICAS` (too
/// few), `OOM` (full), `MISCONF` (its disk), `NOPERM` (no right to write), and those of
/// proxies. Reads then go on.
const OUTAGES: &[&str] =
    &["BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "NOAUTH", "TRYAGAIN", "UNKILLABLE", "WRONGPASS"];

/// A store on a Redis server.
pub(super) struct RedisStore {
    server: StoreServer<RedisConnection>,
    /// The packed commands that a new connection begins with.
    greeting: Vec<Vec<u8>>,
    ttl: Duration,
}

/// A connection and the parser of its answers.
struct RedisConnection {
    stream: DeadlineStream,
    parser: Parser,
}

impl RedisStore {
    /// Creates the store. Does not connect yet.
    pub(super) fn new(location: &str, timeout: Duration, ttl: Duration) -> Result<Self> {
        if !is_url(location) {
            let server = StoreServer::new("Redis", StoreAddress::parse(location, PORT)?, timeout);
            return Ok(RedisStore { server, greeting: Vec::new(), ttl });
        }
        if location.starts_with("rediss:") || location.starts_with("valkeys:") {
            return Err(Error::usage("the store redis does not speak TLS")
                .help("put a TLS proxy beside the application, and write redis:// or unix: to reach it"));
        }
        // The crate's errors may quote the rejected text, which may contain a password.
        let info = location.into_connection_info().map_err(|_| {
            Error::usage("the location of the store redis is not a valid URL")
                .help("write redis://USER:PASSWORD@HOST:PORT/DATABASE or unix:/PATH?db=0&pass=PASSWORD, special characters as %XX")
        })?;
        let address = match info.addr() {
            ConnectionAddr::Tcp(host, port) => StoreAddress::tcp(host, *port),
            ConnectionAddr::Unix(path) => StoreAddress::unix(path),
            _ => return Err(Error::usage("the store redis is reached by TCP or a Unix socket only")),
        };
        Ok(RedisStore { server: StoreServer::new("Redis", address, timeout), greeting: greeting(&info), ttl })
    }

    fn call<T>(&self, command: &Cmd, read: impl Fn(Value) -> io::Result<T>) -> Result<T> {
        let request = command.get_packed_command();
        let greet = |stream| {
            let mut session = RedisConnection { stream, parser: Parser::new() };
            for command in &self.greeting {
                match session.ask(command)? {
                    Value::Okay => {}
                    // The error contains only the code, because the message may quote the
                    // command with the password.
                    Value::ServerError(error) => return Err(server_message(error.code())),
                    _ => return Err(not_redis()),
                }
            }
            Ok(session)
        };
        self.server.call(greet, |session| read(session.ask(&request)?))
    }
}

fn is_url(location: &str) -> bool {
    location.contains("://") || location.starts_with("unix:")
}

fn greeting(info: &ConnectionInfo) -> Vec<Vec<u8>> {
    let settings = info.redis_settings();
    let mut greeting = Vec::new();
    if let Some(password) = settings.password() {
        let mut auth = redis::cmd("AUTH");
        if let Some(user) = settings.username() {
            auth.arg(user);
        }
        greeting.push(auth.arg(password).get_packed_command());
    }
    if settings.db() != 0 {
        greeting.push(redis::cmd("SELECT").arg(settings.db()).get_packed_command());
    }
    greeting
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The greeting is left out, because it contains the password.
        let server = self.server.address().to_string();
        f.debug_struct("RedisStore").field("server", &server).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

impl Store for RedisStore {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        key::check(key)?;
        self.call(redis::cmd("GET").arg(key), |answer| match answer {
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
        self.call(redis::cmd("SET").arg(key).arg(value).arg("PX").arg(ttl), |answer| match answer {
            Value::Okay => Ok(()),
            Value::ServerError(error) if !OUTAGES.contains(&error.code()) => {
                let kind = error.code().to_owned();
                Err(Refusal::error(&kind, &unexpected(&Value::ServerError(error))))
            }
            other => Err(unexpected(&other)),
        })
    }
}

impl RedisConnection {
    fn ask(&mut self, request: &[u8]) -> io::Result<Value> {
        self.stream.write_all(request)?;
        self.parser.parse_value(&mut self.stream).map_err(|error| {
            if error.is_connection_dropped() {
                io::ErrorKind::UnexpectedEof.into()
            } else if error.is_io_error() {
                io::Error::other(error.to_string())
            } else {
                not_redis()
            }
        })
    }
}

impl ServerConnection for RedisConnection {
    fn restart(&mut self, deadline: Instant) {
        self.stream.restart(deadline);
    }
}

fn unexpected(answer: &Value) -> io::Error {
    let Value::ServerError(error) = answer else { return not_redis() };
    // A server that does not know a command quotes its arguments, including the value.
    let details = error.details().unwrap_or_default().split(", with args").next().unwrap_or_default();
    server_message(&format!("{} {details}", error.code()))
}

fn not_redis() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the server does not speak Redis's protocol")
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(unix)]
    use crate::fuzz::{corpus, drive_on, finds};
    #[cfg(unix)]
    use crate::store::fuzz_targets;

    fn store(location: &str) -> Result<RedisStore> {
        RedisStore::new(location, Duration::from_secs(1), Duration::from_secs(60))
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
        ] {
            let store = store(location).unwrap();
            assert_eq!(store.server.address().to_string(), server);
            assert_eq!(String::from_utf8(store.greeting.concat()).unwrap(), greeting);
        }
    }

    #[test]
    fn nothing_shows_the_password() {
        let shown = format!("{:?}", store("redis://u:hunter2@h/1").unwrap());
        assert_eq!(shown, "RedisStore { server: \"h:6379\", ttl: 60s, .. }");
        for wrong in [
            "redis://u:hunter2@h/x",
            "redis://u:hunter2@h:port",
            "rediss://u:hunter2@h",
            "http://u:hunter2@h",
            "u:hunter2@h",
            "unix:?pass=hunter2",
            "redis://u:p@hunter2@h:1:2",
            "redis://u:hun/ter2@h",
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
        let mut connection = RedisConnection { stream, parser: Parser::new() };
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

    #[test]
    fn tls_is_refused_with_a_message() {
        assert_eq!(store("rediss://h").unwrap_err().message(), "the store redis does not speak TLS");
    }
}
