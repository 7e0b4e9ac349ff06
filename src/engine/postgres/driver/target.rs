//! The servers, the database and the user that a URL names, and the settings of the
//! connection: libpq's settings, as far as they are supported.
//!
//! The URL names the database. A service file and the environment only fill in what the
//! URL leaves open, as in libpq.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Config;

use super::attributes::Wanted;
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
    /// Which of the servers to use.
    pub(super) wanted: Wanted,
    /// Whether servers and their addresses are tried in random order.
    pub(super) shuffled: bool,
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
    /// The Unix socket in whichever default directory has one.
    Local,
}

/// The directories in which libpq looks for a socket: that of packages, and that of
/// PostgreSQL's own sources.
pub(super) const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Returns the default directory that has a socket for this port.
fn socket_directory(port: u16) -> Option<&'static str> {
    SOCKET_DIRECTORIES.into_iter().find(|directory| socket(Path::new(directory), port).exists())
}

fn socket(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!(".s.PGSQL.{port}"))
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
        if let [Server { address: address @ (Address::Unix(_) | Address::Local), port, .. }] =
            self.servers.as_slice()
        {
            let host = match address.directory(*port) {
                Some(path) => format!("host={}&", url::encode(&path.to_string_lossy(), "/")),
                None => String::new(),
            };
            return format!("postgres://{user}@/{database}?{host}port={port}");
        }
        let servers: Vec<_> = (self.servers.iter())
            .map(|server| {
                let host = match &server.address {
                    Address::Tcp(host, _) if host.contains(':') => format!("[{}]", url::encode(host, ":")),
                    Address::Tcp(host, _) => url::encode(host, ""),
                    address => address
                        .directory(server.port)
                        .map_or_else(String::new, |path| url::encode(&path.to_string_lossy(), "")),
                };
                format!("{host}:{}", server.port)
            })
            .collect();
        let addresses: Vec<_> = self.servers.iter().map(Server::separate_address).collect();
        let addresses = match addresses.iter().all(Option::is_none) {
            true => String::new(),
            false => {
                let texts = addresses.into_iter().map(|ip| ip.map_or_else(String::new, |ip| ip.to_string()));
                format!("?hostaddr={}", texts.collect::<Vec<_>>().join(","))
            }
        };
        format!("postgres://{user}@{}/{database}{addresses}", servers.join(","))
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
            address => {
                let path = address.directory(server.port).unwrap_or(Path::new(SOCKET_DIRECTORIES[0]));
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

impl Address {
    /// Returns the directory of a Unix socket, if there is one.
    fn directory(&self, port: u16) -> Option<&Path> {
        match self {
            Address::Tcp(..) => None,
            Address::Unix(path) => Some(path),
            Address::Local => socket_directory(port).map(Path::new),
        }
    }
}

impl Server {
    /// Returns the address that was given beside the host.
    fn separate_address(&self) -> Option<IpAddr> {
        match &self.address {
            Address::Tcp(host, Some(ip)) if *host != ip.to_string() => Some(*ip),
            _ => None,
        }
    }

    /// Returns the host by which a password file knows the server: as in libpq,
    /// `localhost` for a socket in a default directory.
    pub(super) fn name_in_pgpass(&self) -> String {
        match &self.address {
            Address::Tcp(host, _) => host.clone(),
            Address::Unix(path)
                if SOCKET_DIRECTORIES.into_iter().all(|usual| path.as_path() != Path::new(usual)) =>
            {
                path.to_string_lossy().into_owned()
            }
            Address::Unix(_) | Address::Local => "localhost".to_owned(),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(host, _) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Address::Tcp(host, _) => write!(f, "{host}:{}", self.port),
            address => match address.directory(self.port) {
                Some(path) => socket(path, self.port).display().fmt(f),
                None => write!(f, "the socket .s.PGSQL.{} of this machine", self.port),
            },
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
                (Some(host), None) if host.starts_with('@') => {
                    return Err(Error::usage("a socket in the abstract namespace is not supported")
                        .help("name the directory of the server's socket, or connect over TCP"));
                }
                (Some(host), ip) => Address::Tcp(host, ip),
                (None, Some(ip)) => Address::Tcp(ip.to_string(), Some(ip)),
                (None, None) => Address::Local,
            };
            Ok(Server { address, port, password: None })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;

    fn parse(url: &str, environment: &[(&str, &str)]) -> Result<Target> {
        Target::parse_with(url, &|name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).into())
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
            ("postgres://u@h/d?hostaddr=10.0.0.1", "postgres://u@h:5432/d?hostaddr=10.0.0.1"),
            ("postgres://u@h,i/d?hostaddr=,::1", "postgres://u@h:5432,i:5432/d?hostaddr=,::1"),
            ("postgres://u@/d?port=1", "postgres://u@/d?port=1"),
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
            ("PGDATABASE", "e"),
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
        assert_eq!(target.redacted(), "postgres://u@h:7/d");
        assert_eq!(target.limit, None);
        let config = target.config_for(&target.servers[0], None);
        assert_eq!(config.get_password(), Some("own".as_bytes()));
        assert_eq!(config.get_application_name(), Some("mine"));

        assert_eq!(parse("postgres://h/d", &[("USER", "w")]).unwrap().redacted(), "postgres://w@h:5432/d");
        assert_eq!(parse("postgres://u@i", &environment).unwrap().redacted(), "postgres://u@i:7/e");
        assert!(fails("postgres://u@h", &[]).contains("names no database"));
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
        std::fs::write(&file, "h1:*:d:u:one\nlocalhost:7:d:u:two\n/run/x:7:d:u:three\n").unwrap();
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
        let url = "postgres://u@h1,h2,localhost:7,%2Frun%2Fx:7,:7,%2Ftmp:7/d";
        assert_eq!(passwords(url, &[home]), ["one", "none", "two", "three", "two", "two"]);
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
            ("sslcrl=x", "sslcrl of the database URL is not supported"),
            ("gssencmode=require", "only disable or prefer will do"),
            ("channel_binding=always", "write disable, prefer or require"),
            ("target_session_attrs=writable", "primary, standby or prefer-standby"),
            ("connect_timeout=soon", "write a number of seconds"),
            ("keepalives=yes", "write 1 or 0"),
            ("schema=public", "is unknown"),
            ("requiressl=1", "is unknown"),
            ("hostaddr=localhost", "not an IP address"),
            ("port=70000", "not a number from 1 to 65535"),
            ("port=1,2", "different lengths"),
            ("hostaddr=10.0.0.1,10.0.0.2", "different lengths"),
            ("sslrootcert=no/such/file", "no/such/file"),
            ("sslrootcert=Cargo.toml", "there is none"),
            ("sslrootcert=system&sslmode=require", "too weak"),
            (
                "sslmode=verify-full&sslrootcert=x&ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
                "later than",
            ),
        ] {
            let message = fails(&format!("postgres://u:secret@h/d?{parameter}"), &[]);
            assert!(message.contains(said), "{parameter}: {message}");
            assert!(!message.contains("secret"));
        }
        assert!(fails("postgres://u@h/d", &[("PGKRBSRVNAME", "x")]).contains("unset PGKRBSRVNAME"));
    }

    #[test]
    fn a8_a_nul_character_is_refused_wherever_it_is() {
        for url in [
            "postgres://u\0@h/d",
            "postgres://u:secret\0@h/d",
            "postgres://u@h\0/d",
            "postgres://u@h/d\0",
            "postgres://u@h/d?application_name=secret\0",
            "postgres://u@h/d%00",
        ] {
            let message = fails(url, &[]);
            assert!(message.contains("NUL") || message.contains("%00"), "{url:?}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
        assert!(fails("postgres://u@h", &[("PGDATABASE", "d\0")]).contains("PGDATABASE contains a NUL"));
    }

    proptest! {
        #[test]
        fn a8_any_url_is_read_or_refused(
            rest in r"[a-z@:/?&=,%0-9\[\].ü -]{0,30}",
            parameter in prop::sample::select(&["", "?host=", "?hostaddr=", "?port=", "?user=", "?dbname=", "?service="]),
            value in r"[a-z@:/,%0-9\[\].]{0,12}",
        ) {
            let url = format!("postgres://u@{rest}{parameter}{value}");
            match parse(&url, &[]) {
                // The displayed URL means the same target.
                Ok(target) => {
                    let shown = target.redacted();
                    prop_assert_eq!(parse(&shown, &[]).unwrap().redacted(), shown);
                }
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Usage),
            }
        }

        #[test]
        fn a8_any_name_can_be_written(
            user in r"\PC{1,10}", password in r"\PC{1,10}", host in r"\PC{1,10}", database in r"\PC{1,10}",
        ) {
            prop_assume!(!host.starts_with(['/', '@']) && !host.contains(','));
            let encode = |text: &str| url::encode(text, "");
            let url = format!(
                "postgres://{}:{}@{}/{}", encode(&user), encode(&password), encode(&host), encode(&database)
            );
            let target = parse(&url, &[]).unwrap();
            prop_assert_eq!((&target.user, &target.database), (&user, &database));
            let server = &target.servers[0];
            prop_assert!(matches!(&server.address, Address::Tcp(name, None) if *name == host));
            prop_assert_eq!(server.password.as_ref().map(|given| &given.text), Some(&password));
        }
    }
}
