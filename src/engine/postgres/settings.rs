//! libpq's settings, as far as they are supported: gathered from the URL, then
//! from the environment, then from defaults, and put together as a target.
//!
//! What is not supported is an error and never ignored, since most of it makes
//! a connection safer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, TargetSessionAttrs};

use super::pgpass;
use super::target::{Address, Password, Target, servers};
use super::tls::{Roots, SslMode, Tls};
use crate::error::{Error, Result, nearest};

/// Where a setting comes from, for messages.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    Url,
    Environment(&'static str),
}

impl Origin {
    fn of(self, name: &str) -> String {
        match self {
            Origin::Url => format!("the parameter {name} of the database URL"),
            Origin::Environment(variable) => format!("the environment variable {variable}"),
        }
    }
}

/// What a URL that says nothing about it takes from the environment.
const VARIABLES: &[(&str, &str)] = &[
    ("PGUSER", "user"),
    ("PGPASSFILE", "passfile"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGAPPNAME", "application_name"),
    ("PGOPTIONS", "options"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGREQUIREPEER", "requirepeer"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLCRLDIR", "sslcrldir"),
    ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
    ("PGSSLMAXPROTOCOLVERSION", "ssl_max_protocol_version"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
];

/// Settings of libpq that are not supported, each with the values that ask for
/// nothing but what happens anyway.
const UNSUPPORTED: &[(&str, &[&str])] = &[
    ("client_encoding", &["utf8", "UTF8", "utf-8", "UTF-8", "auto"]),
    ("gssdelegation", &["0"]),
    ("gssencmode", &["disable", "prefer"]),
    ("gsslib", &[]),
    ("krbsrvname", &[]),
    ("load_balance_hosts", &["disable"]),
    ("replication", &["false", "off", "no", "0"]),
    ("require_auth", &[]),
    ("requirepeer", &[]),
    ("scram_client_key", &[]),
    ("scram_server_key", &[]),
    ("service", &[]),
    ("ssl_max_protocol_version", &["TLSv1.3"]),
    ("ssl_min_protocol_version", &["TLSv1", "TLSv1.1", "TLSv1.2"]),
    ("sslcert", &[]),
    ("sslcertmode", &["disable", "allow"]),
    ("sslcompression", &["0"]),
    ("sslcrl", &[]),
    ("sslcrldir", &[]),
    ("sslkey", &[]),
    ("sslnegotiation", &["postgres"]),
    ("sslpassword", &[]),
    ("sslsni", &["1"]),
];

const SUPPORTED: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "options",
    "passfile",
    "password",
    "port",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// The settings while they are gathered; a later one replaces an earlier.
#[derive(Default)]
pub(super) struct Draft {
    config: Config,
    given: Vec<String>,
    hosts: Option<String>,
    addresses: Option<String>,
    ports: Option<String>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    passfile: Option<PathBuf>,
    mode: Option<SslMode>,
    roots: Option<Roots>,
    limit: Option<Option<Duration>>,
}

impl Draft {
    pub(super) fn set(&mut self, name: &str, value: String, origin: Origin) -> Result<()> {
        // Empty means not given, as for libpq.
        let known = SUPPORTED.contains(&name) || UNSUPPORTED.iter().any(|(known, _)| *known == name);
        if value.is_empty() && known {
            return Ok(());
        }
        let bad = |allowed: &str| {
            Error::usage(format!("{} is not one that can be used", origin.of(name))).help(allowed.to_owned())
        };
        let number = |unit: &str| value.parse::<i64>().map_err(|_| bad(&format!("write {unit}")));
        match name {
            "host" => self.hosts = Some(value),
            "hostaddr" => self.addresses = Some(value),
            "port" => self.ports = Some(value),
            "user" => self.user = Some(value),
            "password" => self.password = Some(value),
            "dbname" => self.database = Some(value),
            "passfile" => self.passfile = Some(value.into()),
            "options" => _ = self.config.options(value),
            "application_name" => _ = self.config.application_name(value),
            "fallback_application_name" => {
                if self.config.get_application_name().is_none() {
                    self.config.application_name(value);
                }
            }
            "sslmode" => self.mode = Some(ssl_mode(&value, origin)?),
            "sslrootcert" if value == "system" => self.roots = Some(Roots::System),
            "sslrootcert" => self.roots = Some(Roots::File(value.into())),
            "channel_binding" => {
                let binding = match value.as_str() {
                    "disable" => ChannelBinding::Disable,
                    "prefer" => ChannelBinding::Prefer,
                    "require" => ChannelBinding::Require,
                    _ => return Err(bad("write disable, prefer or require")),
                };
                self.config.channel_binding(binding);
            }
            "target_session_attrs" => {
                let wanted = match value.as_str() {
                    "any" => TargetSessionAttrs::Any,
                    "read-write" => TargetSessionAttrs::ReadWrite,
                    "read-only" => TargetSessionAttrs::ReadOnly,
                    _ => return Err(bad("write any, read-write or read-only; others are not supported")),
                };
                self.config.target_session_attrs(wanted);
            }
            "connect_timeout" => {
                self.limit = Some(positive(number("seconds; 0 waits for ever")?).map(seconds))
            }
            "keepalives" => _ = self.config.keepalives(number("1 or 0")? != 0),
            "keepalives_idle" => {
                if let Some(n) = positive(number("seconds")?) {
                    self.config.keepalives_idle(seconds(n));
                }
            }
            "keepalives_interval" => {
                if let Some(n) = positive(number("seconds")?) {
                    self.config.keepalives_interval(seconds(n));
                }
            }
            "keepalives_count" => {
                if let Some(n) = positive(number("a number of probes")?) {
                    self.config.keepalives_retries(u32::try_from(n).unwrap_or(u32::MAX));
                }
            }
            "tcp_user_timeout" => {
                if let Some(n) = positive(number("milliseconds")?) {
                    self.config.tcp_user_timeout(Duration::from_millis(n));
                }
            }
            _ => return refuse(name, &value, origin),
        }
        self.given.push(name.to_owned());
        Ok(())
    }

    /// Takes from the environment, and from Bustard's defaults, what is not given.
    pub(super) fn fill(&mut self, environment: &dyn Fn(&str) -> Option<String>) -> Result<()> {
        let given = std::mem::take(&mut self.given);
        let open = |name: &str| !given.iter().any(|given| given == name);
        for (variable, name) in VARIABLES {
            if let Some(value) = environment(variable).filter(|_| open(name)) {
                self.set(name, value, Origin::Environment(variable))?;
            }
        }
        if self.hosts.is_none() && self.addresses.is_none() {
            for (variable, name) in [("PGHOST", "host"), ("PGPORT", "port")] {
                if let Some(value) = environment(variable).filter(|_| open(name)) {
                    self.set(name, value, Origin::Environment(variable))?;
                }
            }
        }
        if self.config.get_application_name().is_none() {
            self.config.application_name("bustard");
        }
        // The system's defaults notice a vanished server after two hours.
        let open = |name: &str| open(name) && !self.given.iter().any(|given| given == name);
        if open("keepalives_idle") {
            self.config.keepalives_idle(Duration::from_secs(60));
        }
        if open("keepalives_interval") {
            self.config.keepalives_interval(Duration::from_secs(10));
        }
        if open("keepalives_count") {
            self.config.keepalives_retries(6);
        }
        Ok(())
    }

    pub(super) fn finish(mut self, environment: &dyn Fn(&str) -> Option<String>) -> Result<Target> {
        let user = match self.user.take().or_else(|| environment("USER")).or_else(|| environment("USERNAME"))
        {
            Some(user) => user,
            None => {
                return Err(Error::usage("the database URL names no user")
                    .help("write postgres://USER@HOST/DATABASE, or set PGUSER"));
            }
        };
        let database = self.database.take().ok_or_else(|| {
            Error::usage("the database URL names no database")
                .help("write postgres://USER@HOST/DATABASE; no default is taken, so that nothing happens to a database that nobody meant")
        })?;
        let home = environment("HOME").map(PathBuf::from);
        let tls = self.tls(home.as_deref())?;
        let limit = self.limit.unwrap_or(Some(Duration::from_secs(10)));
        self.config.user(&user).dbname(&database);
        if let Some(limit) = limit {
            // For the connection that cancels a statement; see `connect` for the rest.
            self.config.connect_timeout(limit);
        }

        let mut servers = servers(self.hosts.as_deref(), self.addresses.as_deref(), self.ports.as_deref())?;
        let passfile = self.passfile.take().or_else(|| Some(home?.join(".pgpass")));
        let password = (self.password.take().map(|text| Password { text, origin: "the database URL" }))
            .or_else(|| Some(Password { text: environment("PGPASSWORD")?, origin: "PGPASSWORD" }));
        for server in &mut servers {
            server.password = password.clone().or_else(|| {
                let host = match &server.address {
                    Address::Tcp(host, _) => host,
                    Address::Unix(_) => "localhost",
                };
                let text = pgpass::lookup(passfile.as_deref()?, host, server.port, &database, &user)?;
                Some(Password { text, origin: "the password file" })
            });
        }
        Ok(Target { servers, user, database, config: self.config, tls, limit })
    }

    fn tls(&self, home: Option<&Path>) -> Result<Tls> {
        // Whoever trusts every CA of the world has to look at the name.
        if self.roots == Some(Roots::System) && self.mode.is_some_and(|mode| mode < SslMode::VerifyFull) {
            return Err(Error::usage("sslrootcert=system is too weak without sslmode=verify-full")
                .help("with it, anybody's certificate for any name would do; write sslmode=verify-full, or name your own CA's file"));
        }
        let default = match self.roots {
            Some(Roots::System) => SslMode::VerifyFull,
            _ => SslMode::Prefer,
        };
        let mode = self.mode.unwrap_or(default);
        // Where libpq looks; its presence makes `require` verify the chain there too.
        let usual = || {
            let file = home?.join(".postgresql/root.crt");
            (mode >= SslMode::Require && file.is_file()).then_some(Roots::File(file))
        };
        Tls::new(mode, self.roots.clone().or_else(usual).as_ref())
    }
}

fn positive(number: i64) -> Option<u64> {
    u64::try_from(number).ok().filter(|number| *number > 0)
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn ssl_mode(value: &str, origin: Origin) -> Result<SslMode> {
    SslMode::from_name(value).ok_or_else(|| {
        let name = origin.of("sslmode");
        let names = SslMode::NAMES.join(", ");
        match value {
            "allow" => Error::usage(format!("{name} is `allow`, which is not supported"))
                .help("write prefer, or better verify-full; allow would try plaintext first"),
            _ => Error::usage(format!("{name} is not a mode of TLS")).help(format!("the modes are {names}")),
        }
    })
}

fn refuse(name: &str, value: &str, origin: Origin) -> Result<()> {
    let what = origin.of(name);
    if let Some((_, harmless)) = UNSUPPORTED.iter().find(|(unsupported, _)| *unsupported == name) {
        if harmless.contains(&value) {
            return Ok(());
        }
        let help = match (origin, harmless) {
            (Origin::Environment(variable), _) => format!("unset {variable}"),
            (Origin::Url, []) => "take it out of the URL".to_owned(),
            (Origin::Url, harmless) => {
                format!("take it out of the URL; only {} will do", harmless.join(" or "))
            }
        };
        return Err(Error::usage(format!("{what} is not supported")).help(help));
    }
    let help = match nearest(name, SUPPORTED.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("the parameters are {}", SUPPORTED.join(", ")),
    };
    Err(Error::usage(format!("{what} is unknown")).help(help))
}
