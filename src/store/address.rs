//! The address of a store's server, and connecting to it before a deadline. The deadline
//! also limits name resolution, and the wait for a server that does not accept connections.
//!
//! In: a location from the settings. Out: a connected stream.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::deadline_stream::{Stream, remaining};
use crate::error::{Error, Result};

/// The address of a server.
#[derive(Debug)]
pub(super) struct StoreAddress {
    endpoint: Endpoint,
    names: Arc<Names>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Endpoint {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl Endpoint {
    /// Returns the name that the server's certificate must have.
    #[cfg(feature = "redis")]
    pub(super) fn host(&self) -> &str {
        match self {
            Endpoint::Tcp(host, _) => host,
            Endpoint::Unix(_) => "",
        }
    }
}

impl StoreAddress {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        StoreAddress { endpoint, names: Arc::default() }
    }

    pub(super) fn tcp(host: impl Into<String>, port: u16) -> Self {
        StoreAddress::new(Endpoint::Tcp(host.into(), port))
    }

    pub(super) fn unix(path: impl Into<PathBuf>) -> Self {
        StoreAddress::new(Endpoint::Unix(path.into()))
    }

    #[cfg(feature = "redis")]
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Parses `host`, `host:port`, `[address]:port` and `unix:/path`.
    pub(super) fn parse(location: &str, default_port: u16) -> Result<Self> {
        if let Some(path) = location.strip_prefix("unix:") {
            return match path.strip_prefix("//").unwrap_or(path) {
                "" => Err(invalid("it has no path")),
                path => Ok(StoreAddress::unix(path)),
            };
        }
        if location.contains(|c: char| c.is_whitespace() || c.is_control() || "/@".contains(c)) {
            return Err(invalid("it is neither HOST:PORT nor unix:PATH"));
        }
        if location.parse::<IpAddr>().is_ok() {
            return Ok(StoreAddress::tcp(location, default_port));
        }
        let (host, port) = match location.rsplit_once(':') {
            Some((host, port)) => (
                host,
                port.parse()
                    .ok()
                    .filter(|port| *port > 0)
                    .ok_or_else(|| invalid("its port is not a number from 1 to 65535"))?,
            ),
            None => (location, default_port),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(invalid("it has no host"));
        }
        Ok(StoreAddress::tcp(host, port))
    }

    /// Opens a new connection.
    pub(super) fn connect(&self, deadline: Instant) -> io::Result<Stream> {
        match &self.endpoint {
            Endpoint::Tcp(host, port) => {
                let addresses = match host.parse() {
                    Ok(address) => vec![SocketAddr::new(address, *port)],
                    Err(_) => self.names.look_up(host, *port, deadline)?,
                };
                let mut result = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
                let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
                // Each address gets an equal share of the remaining time.
                for (address, left) in addresses.iter().zip((1..=count).rev()) {
                    result = TcpStream::connect_timeout(address, remaining(deadline)? / left);
                    if result.is_ok() {
                        break;
                    }
                }
                let stream = result?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            #[cfg(unix)]
            Endpoint::Unix(path) => {
                use socket2::{Domain, SockAddr, Socket, Type};

                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                // The time-out also limits `connect`, which waits while the server's
                // backlog is full.
                socket.set_write_timeout(Some(remaining(deadline)?))?;
                socket.connect(&SockAddr::unix(path)?)?;
                Ok(Stream::Unix(socket.into()))
            }
            #[cfg(not(unix))]
            Endpoint::Unix(_) => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "this platform has no Unix sockets"))
            }
        }
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Endpoint::Tcp(host, port) => write!(f, "{host}:{port}"),
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Returns an error without the location, which may contain a password by mistake.
fn invalid(why: &str) -> Error {
    Error::usage(format!("a location cannot be used: {why}"))
        .help("write it like \"127.0.0.1:11211\" or \"unix:/run/server.sock\"")
}

/// Resolves a host name on a thread of its own, because the resolver has no time limit.
/// All waiting callers of an address share one thread.
#[derive(Debug, Default)]
struct Names {
    state: Mutex<LookUp>,
    answered: Condvar,
}

#[derive(Debug, Default)]
struct LookUp {
    running: bool,
    /// The number of resolutions that have ended.
    count: u64,
    /// The result of the last resolution.
    result: Option<io::Result<Vec<SocketAddr>>>,
}

impl Names {
    fn look_up(self: &Arc<Self>, host: &str, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
        let mut state = self.state();
        let count = state.count;
        if !state.running {
            let names = Arc::clone(self);
            let host = host.to_owned();
            std::thread::Builder::new().name("bustard-name".to_owned()).spawn(move || {
                let result = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
                let mut state = names.state();
                *state = LookUp { running: false, count: state.count + 1, result: Some(result) };
                names.answered.notify_all();
            })?;
            state.running = true;
        }
        while state.count == count {
            let left = remaining(deadline)?;
            state = self.answered.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        match &state.result {
            Some(Ok(addresses)) => Ok(addresses.clone()),
            Some(Err(error)) => Err(io::Error::new(error.kind(), error.to_string())),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn state(&self) -> MutexGuard<'_, LookUp> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    #[test]
    fn locations_are_read() {
        for (location, shown) in [
            ("127.0.0.1:11211", "127.0.0.1:11211"),
            ("cache.example", "cache.example:7"),
            ("cache.example:1", "cache.example:1"),
            ("::1", "[::1]:7"),
            ("[::1]:9", "[::1]:9"),
            ("unix:/run/m.sock", "unix:/run/m.sock"),
            ("unix:///run/m.sock", "unix:/run/m.sock"),
        ] {
            assert_eq!(StoreAddress::parse(location, 7).unwrap().to_string(), shown, "{location}");
        }
        for wrong in ["", ":1", "h:", "h:0", "h:70000", "h:x", "unix:", "a b:1", "u:secret@h:1", "http://h/"]
        {
            let error = StoreAddress::parse(wrong, 7).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn concurrent_callers_share_one_name_resolution() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = StoreAddress::tcp("localhost", listener.local_addr().unwrap().port());
        let deadline = Instant::now() + Duration::from_secs(60);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| address.connect(deadline).unwrap());
            }
        });
    }

    #[test]
    fn connecting_fails_after_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let path = std::env::temp_dir().join("bustard-no-such-socket");
        for address in [
            StoreAddress::tcp("localhost", port),
            StoreAddress::tcp("127.0.0.1", port),
            StoreAddress::unix(path),
        ] {
            let error = address.connect(Instant::now()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
    }

    /// Without a limit, `connect` would wait until the server accepts a connection.
    #[test]
    #[cfg(unix)]
    fn connecting_to_a_unix_socket_with_a_full_queue_times_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(0).unwrap();
        let address = StoreAddress::unix(&path);
        let mut held = Vec::new();
        let error = loop {
            match address.connect(Instant::now() + Duration::from_millis(50)) {
                Ok(stream) => held.push(stream),
                Err(error) => break error,
            }
            assert!(held.len() < 100, "the queue never fills");
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
    }
}
