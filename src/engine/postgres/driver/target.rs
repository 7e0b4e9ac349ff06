//! The servers, the database and the user that a URL names, and the settings of the
//! connection: libpq's settings, as far as they are supported.
//!
//! The URL names the database. The environment only supplies settings that the URL does not
//! contain: `PGUSER`, `PGPASSWORD`, `PGPASSFILE`, `PGSSLMODE`, `PGSSLROOTCERT`,
//! `PGCHANNELBINDING`, `PGAPPNAME`, `PGOPTIONS`, `PGCONNECT_TIMEOUT`,
//! `PGTARGETSESSIONATTRS`, and, for a URL without a host, `PGHOST` and `PGPORT`.
//! `PGDATABASE`, `PGHOSTADDR` and `PGSERVICE` are not read, because they could lead a
//! deploy to the wrong database.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;

use super::tls::Tls;
use super::url;
use crate::error::{Error, Result};

/// The destination of a connection, and everything needed to connect.
#[derive(Clone)]
pub(crate) struct Target {
    /// The servers in the order in which they are tried. The list is never empty.
    pub(super) servers: Vec<Server>,
    pub(super) user: String,
    pub(super) database: String,
    /// All other settings of the driver.
    pub(super) config: Config,
    pub(super) tls: Tls,
    /// The time limit of one attempt at one address; `None` waits for ever.
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
    /// A host, with its address if one was given.
    Tcp(String, Option<IpAddr>),
    /// The directory of a Unix socket.
    Unix(PathBuf),
}

#[derive(Clone)]
pub(super) struct Password {
    text: String,
    /// The source of the password, for messages.
    pub origin: &'static str,
}

impl Password {
    pub(super) fn new(text: impl Into<String>, origin: &'static str) -> Password {
        Password { text: text.into(), origin }
    }
}

impl Target {
    pub(crate) fn connector(&self) -> tokio_postgres_rustls::MakeRustlsConnect {
        self.tls.connector()
    }

    /// Formats the URL without secrets, with the defaults filled in.
    pub(crate) fn redacted(&self) -> String {
        let user = url::encode(&self.user, "");
        let database = url::encode(&self.database, "");
        if let [Server { address: Address::Unix(path), port, .. }] = self.servers.as_slice() {
            let path = url::encode(&path.to_string_lossy(), "/");
            return format!("postgres://{user}@/{database}?host={path}&port={port}");
        }
        let servers: Vec<_> = (self.servers.iter())
            .map(|server| {
                let host = match &server.address {
                    Address::Tcp(host, _) if host.contains(':') => format!("[{}]", url::encode(host, ":")),
                    Address::Tcp(host, _) => url::encode(host, ""),
                    Address::Unix(path) => url::encode(&path.to_string_lossy(), ""),
                };
                format!("{host}:{}", server.port)
            })
            .collect();
        format!("postgres://{user}@{}/{database}", servers.join(","))
    }

    /// Builds the driver's configuration for one server. `ip` is its address, if it was
    /// looked up.
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

/// Combines the lists of hosts, addresses and ports, which are separate settings of libpq.
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
                    Error::usage("a port of the database URL is not a number from 1 to 65535")
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

/// Returns the address of a server on this machine: a Unix socket, if it exists in a
/// directory that PostgreSQL packages use, otherwise TCP.
fn usual_address(port: u16) -> Address {
    ["/run/postgresql", "/var/run/postgresql", "/tmp", "/private/tmp"]
        .into_iter()
        .map(PathBuf::from)
        .find(|directory| directory.join(format!(".s.PGSQL.{port}")).exists())
        .map_or_else(|| Address::Tcp("localhost".to_owned(), None), Address::Unix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn parse(url: &str, environment: &[(&str, &str)]) -> Result<Target> {
        Target::parse_with(url, &|name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn fails(url: &str, environment: &[(&str, &str)]) -> String {
        let error = parse(url, environment).expect_err(url);
        assert_eq!(error.kind(), ErrorKind::Usage);
        error.report().to_string()
    }

    #[test]
    fn a_target_is_shown_without_its_secrets() {
        for (url, shown) in [
            ("postgres://u@h/d", "postgres://u@h:5432/d"),
            ("postgresql://u:secret@h:7/d", "postgres://u@h:7/d"),
            ("postgres://u:s%65cret@h/d", "postgres://u@h:5432/d"),
            ("postgres://u:secret%40%2F@h/d?sslmode=disable", "postgres://u@h:5432/d"),
            ("postgres://u@h/d?password=secret", "postgres://u@h:5432/d"),
            ("postgres://u@h/d?p%61ssword=secret", "postgres://u@h:5432/d"),
            ("postgres://a%40b:secret@h/d%2Fe", "postgres://a%40b@h:5432/d%2Fe"),
            ("postgres://u:secret@h1,h2:7/d", "postgres://u@h1:5432,h2:7/d"),
            ("postgres://u:secret@[::1]/d", "postgres://u@[::1]:5432/d"),
            ("postgres:///d?user=u&password=secret&host=/run/x", "postgres://u@/d?host=/run/x&port=5432"),
            ("postgres://u:secret@h,%2Frun%2Fx:7/d", "postgres://u@h:5432,%2Frun%2Fx:7/d"),
            ("postgres://u@/d?hostaddr=10.0.0.1", "postgres://u@10.0.0.1:5432/d"),
            ("postgres://u@h/d?host=i&dbname=e&port=8&user=v", "postgres://v@i:8/e"),
        ] {
            let target = parse(url, &[]).unwrap();
            assert_eq!(target.redacted(), shown, "{url}");
            assert_eq!(format!("{target:?}"), format!("Target({shown})"));
            // The displayed URL stands for the same target.
            assert_eq!(parse(shown, &[]).unwrap().redacted(), shown);
            for server in &target.servers {
                assert!(!format!("{server} {:?}", target.config_for(server, None)).contains("secret"));
            }
        }
    }

    #[test]
    fn the_environment_supplies_settings_that_the_url_lacks() {
        let environment = [
            ("PGHOST", "/run/x"),
            ("PGPORT", "7"),
            ("PGUSER", "v"),
            ("PGDATABASE", "never"),
            ("PGHOSTADDR", "10.9.9.9"),
            ("PGPASSWORD", "from environment"),
            ("PGAPPNAME", "deploy"),
            ("PGOPTIONS", ""),
            ("PGCONNECT_TIMEOUT", "3"),
            ("USER", "w"),
        ];
        let target = parse("postgres:///d", &environment).unwrap();
        assert_eq!(target.redacted(), "postgres://v@/d?host=/run/x&port=7");
        assert_eq!(target.limit, Some(Duration::from_secs(3)));
        let config = target.config_for(&target.servers[0], None);
        assert_eq!(config.get_password(), Some("from environment".as_bytes()));
        assert_eq!(config.get_application_name(), Some("deploy"));
        assert_eq!(config.get_options(), None);

        let url = "postgres://u:own@h/d?application_name=mine&connect_timeout=0";
        let target = parse(url, &environment).unwrap();
        assert_eq!(target.redacted(), "postgres://u@h:5432/d");
        assert_eq!(target.limit, None);
        let config = target.config_for(&target.servers[0], None);
        assert_eq!(config.get_password(), Some("own".as_bytes()));
        assert_eq!(config.get_application_name(), Some("mine"));

        assert_eq!(parse("postgres://h/d", &[("USER", "w")]).unwrap().redacted(), "postgres://w@h:5432/d");
        assert!(fails("postgres://u@h", &environment).contains("names no database"));
        assert!(fails("postgres://h/d", &[]).contains("names no user"));
    }

    #[test]
    fn defaults() {
        let target = parse("postgres://u@h/d", &[]).unwrap();
        let config = target.config_for(&target.servers[0], None);
        assert_eq!(config.get_application_name(), Some("bustard"));
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(10)));
        assert_eq!(config.get_ssl_mode(), tokio_postgres::config::SslMode::Prefer);
        assert!(config.get_keepalives());
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(60));
        assert_eq!(config.get_password(), None);
    }

    #[test]
    fn a_password_file_has_a_password_for_each_server() {
        use std::os::unix::fs::PermissionsExt as _;

        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".pgpass");
        std::fs::write(&file, "h1:*:d:u:one\nlocalhost:7:d:u:two\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let home = ("HOME", home.path().to_str().unwrap());

        let passwords = |url: &str, environment: &[(&str, &str)]| -> Vec<String> {
            let target = parse(url, environment).unwrap();
            let texts = target.servers.iter().map(|server| match &server.password {
                Some(password) => password.text.clone(),
                None => "none".to_owned(),
            });
            texts.collect()
        };
        let url = "postgres://u@h1,h2,localhost:7,%2Frun%2Fx:7/d";
        assert_eq!(passwords(url, &[home]), ["one", "none", "two", "two"]);
        assert_eq!(passwords("postgres://u@h1/d", &[home, ("PGPASSWORD", "x")]), ["x"]);
        assert_eq!(passwords("postgres://u@h1/d", &[home, ("PGPASSFILE", "no/such")]), ["none"]);
        let url = format!("postgres://u@h1/d?passfile={}", file.display());
        assert_eq!(passwords(&url, &[]), ["one"]);
    }

    #[test]
    fn unsupported_settings_are_refused() {
        for (parameter, said) in [
            ("sslmode=allow", "sslmode=allow is not supported"),
            ("sslmode=on", "write disable, prefer, require, verify-ca, verify-full"),
            ("sslmod=require", "did you mean sslmode?"),
            ("sslcert=x", "sslcert of the database URL is not supported"),
            ("sslkey=x", "not supported"),
            ("sslcrl=x", "not supported"),
            ("requiressl=1", "not supported"),
            ("require_auth=scram-sha-256", "not supported"),
            ("sslnegotiation=direct", "not supported"),
            ("ssl_min_protocol_version=TLSv1.3", "not supported"),
            ("gssencmode=require", "only disable or prefer will do"),
            ("channel_binding=always", "write disable, prefer or require"),
            ("target_session_attrs=primary", "write any, read-write or read-only"),
            ("connect_timeout=soon", "write a number of seconds"),
            ("keepalives=yes", "write 1 or 0"),
            ("schema=public", "is unknown"),
            ("hostaddr=localhost", "not an IP address"),
            ("port=70000", "not a number from 1 to 65535"),
            ("port=1,2", "different lengths"),
            ("hostaddr=10.0.0.1,10.0.0.2", "different lengths"),
            ("sslrootcert=no/such/file", "no/such/file"),
            ("sslrootcert=Cargo.toml", "there is none"),
            ("sslrootcert=system&sslmode=require", "too weak"),
        ] {
            let message = fails(&format!("postgres://u:secret@h/d?{parameter}"), &[]);
            assert!(message.contains(said), "{parameter}: {message}");
            assert!(!message.contains("secret"));
        }
        for parameter in ["gssencmode=prefer", "sslcert=", "client_encoding=UTF8", "sslcompression=0"] {
            parse(&format!("postgres://u@h/d?{parameter}"), &[]).unwrap();
        }
    }

    #[test]
    fn settings_of_the_environment_are_checked_too() {
        for (variable, value) in [
            ("PGSSLMODE", "allow"),
            ("PGSSLCERT", "x"),
            ("PGSSLCRL", "x"),
            ("PGREQUIRESSL", "1"),
            ("PGREQUIREAUTH", "scram-sha-256"),
            ("PGSSLROOTCERT", "no/such/file"),
        ] {
            fails("postgres://u@h/d", &[(variable, value)]);
        }
        assert!(fails("postgres://u@h/d", &[("PGSSLKEY", "x")]).contains("unset PGSSLKEY"));
    }
}
