//! Which server, database and user a URL means, and how to get there: libpq's
//! settings, as far as they are supported.
//!
//! The URL says which database it is; the environment may only fill in what the
//! URL leaves open: `PGUSER`, `PGPASSWORD`, `PGPASSFILE`, `PGSSLMODE`,
//! `PGSSLROOTCERT`, `PGCHANNELBINDING`, `PGAPPNAME`, `PGOPTIONS`,
//! `PGCONNECT_TIMEOUT`, `PGTARGETSESSIONATTRS`, and, for a URL without a host,
//! `PGHOST` and `PGPORT`. `PGDATABASE`, `PGHOSTADDR` and `PGSERVICE` are not
//! read: they could lead a deploy to a database that nobody meant.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;

use super::settings::{Draft, Origin};
use super::tls::Tls;
use super::url::{self, Setting};
use crate::error::{Error, Result};

/// Where a connection goes, and everything it needs.
#[derive(Clone)]
pub(crate) struct Target {
    /// In the order in which they are tried; never empty.
    pub(super) servers: Vec<Server>,
    pub(super) user: String,
    pub(super) database: String,
    /// Everything but server, password and TLS.
    pub(super) config: Config,
    pub(super) tls: Tls,
    /// For one attempt at one address; `None` waits for ever.
    pub(super) limit: Option<Duration>,
}

/// One of the servers of a URL.
#[derive(Clone)]
pub(super) struct Server {
    pub address: Address,
    pub port: u16,
    pub password: Option<Password>,
}

#[derive(Clone)]
pub(super) enum Address {
    /// A host, and where it is, if that was said.
    Tcp(String, Option<IpAddr>),
    /// The directory of a Unix socket.
    Unix(PathBuf),
}

#[derive(Clone)]
pub(super) struct Password {
    pub text: String,
    /// Where it was found, for messages.
    pub origin: &'static str,
}

impl Target {
    /// Reads a URL, and what it leaves open from the environment of the process.
    pub(crate) fn parse(url: &str) -> Result<Target> {
        Target::parse_with(url, &|name| std::env::var(name).ok())
    }

    fn parse_with(url: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Target> {
        let mut draft = Draft::default();
        for Setting { name, value } in url::settings(url)? {
            draft.set(&name, value, Origin::Url)?;
        }
        // An empty variable is one that is not set, as for libpq.
        let environment = |name: &str| environment(name).filter(|value| !value.is_empty());
        draft.fill(&environment)?;
        draft.finish(&environment)
    }

    pub(crate) fn connector(&self) -> tokio_postgres_rustls::MakeRustlsConnect {
        self.tls.connector()
    }

    /// The URL without what is secret, with what was left open filled in.
    pub(crate) fn redacted(&self) -> String {
        let mut text = format!("postgres://{}@", url::encode(&self.user, ""));
        let mut sockets = Vec::new();
        let mut hosts = Vec::new();
        for server in &self.servers {
            match &server.address {
                Address::Unix(path) => sockets.push((path.display().to_string(), server.port)),
                Address::Tcp(..) => hosts.push(server.to_string()),
            }
        }
        let database = url::encode(&self.database, "");
        match sockets.as_slice() {
            [(path, port)] if hosts.is_empty() => {
                text += &format!("/{database}?host={}&port={port}", url::encode(path, "/"));
            }
            sockets => {
                hosts.extend(sockets.iter().map(|(path, port)| format!("{}:{port}", url::encode(path, ""))));
                text += &format!("{}/{database}", hosts.join(","));
            }
        }
        text
    }

    /// The driver's configuration for one server, at `ip` if it was looked up.
    pub(super) fn config_for(&self, server: &Server, ip: Option<IpAddr>) -> Config {
        let mut config = self.config.clone();
        config.port(server.port);
        match &server.address {
            Address::Tcp(host, _) => {
                config.host(host).ssl_mode(self.tls.driver_mode());
                if let Some(ip) = ip {
                    config.hostaddr(ip);
                }
            }
            // Servers have no TLS on Unix sockets, and libpq ignores sslmode there.
            Address::Unix(path) => {
                config.host_path(path).ssl_mode(tokio_postgres::config::SslMode::Disable);
            }
        }
        if let Some(password) = &server.password {
            config.password(&password.text);
        }
        config
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.redacted())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(host, _) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Address::Tcp(host, _) => write!(f, "{host}:{}", self.port),
            Address::Unix(path) => write!(f, "{}/.s.PGSQL.{}", path.display(), self.port),
        }
    }
}

/// Puts together the lists of hosts, addresses and ports, which libpq keeps apart.
pub(super) fn servers(
    hosts: Option<&str>,
    addresses: Option<&str>,
    ports: Option<&str>,
) -> Result<Vec<Server>> {
    let list = |text: Option<&str>| -> Vec<String> {
        text.map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default()
    };
    let (hosts, addresses, ports) = (list(hosts), list(addresses), list(ports));
    let count = hosts.len().max(addresses.len()).max(1);
    if (!hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len())
        || (ports.len() > 1 && ports.len() != count)
    {
        return Err(Error::usage(
            "the database URL has lists of different lengths for host, hostaddr and port",
        )
        .help("give one port for all hosts, or one for each"));
    }
    (0..count)
        .map(|i| {
            let port = match ports.get(i).or(ports.first()).map(String::as_str) {
                None | Some("") => 5432,
                Some(text) => text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| {
                    Error::usage("a port of the database URL is no number from 1 to 65535")
                        .help("write HOST:PORT; in a user name or password write %3A for : and %40 for @")
                })?,
            };
            let text = |list: &[String]| list.get(i).filter(|text| !text.is_empty()).cloned();
            let ip = text(&addresses).map(|ip| {
                ip.parse::<IpAddr>().map_err(|_| {
                    Error::usage("hostaddr of the database URL is not an IP address")
                        .help("names go into the parameter host")
                })
            });
            let address = match (text(&hosts), ip.transpose()?) {
                (Some(host), None) if host.starts_with('/') => Address::Unix(host.into()),
                (Some(host), ip) => Address::Tcp(host, ip),
                (None, Some(ip)) => Address::Tcp(ip.to_string(), Some(ip)),
                (None, None) => usual_address(port),
            };
            Ok(Server { address, port, password: None })
        })
        .collect()
}

/// A server on this machine: a Unix socket where packages of PostgreSQL put it,
/// else TCP.
fn usual_address(port: u16) -> Address {
    ["/run/postgresql", "/var/run/postgresql", "/tmp", "/private/tmp"]
        .into_iter()
        .map(PathBuf::from)
        .find(|directory| directory.join(format!(".s.PGSQL.{port}")).exists())
        .map_or_else(|| Address::Tcp("localhost".to_owned(), None), Address::Unix)
}
