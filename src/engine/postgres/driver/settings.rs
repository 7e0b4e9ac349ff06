//! Reads libpq's settings, as far as they are supported: from the URL, then from the
//! environment, then from defaults. Builds a target from them.
//!
//! An unsupported setting is an error and is never ignored, because most of these settings
//! make a connection safer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, TargetSessionAttrs};

use super::pgpass;
use super::target::{Address, Password, Target, servers};
use super::tls::{Roots, SslMode, Tls};
use super::url::{self, Setting};
use crate::diagnostic::nearest;
use crate::error::{Error, Result};

/// Reads a variable of the environment. It is a function, so that tests can replace it.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Target {
    /// Parses a URL. The environment of the process supplies settings that the URL does not
    /// contain.
    pub(crate) fn parse(url: &str) -> Result<Target> {
        Target::parse_with(url, &|name| std::env::var(name).ok())
    }

    /// Parses a URL with the given environment.
    pub(super) fn parse_with(url: &str, environment: Environment<'_>) -> Result<Target> {
        // As in libpq, an empty variable counts as unset.
        let environment = |name: &str| environment(name).filter(|value| !value.is_empty());
        Settings::gather(url::settings(url)?, &environment)?.target(&environment)
    }
}

/// The environment variables that supply settings that a URL does not contain.
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
    ("PGREQUIRESSL", "requiressl"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLCRLDIR", "sslcrldir"),
    ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
    ("PGSSLMAXPROTOCOLVERSION", "ssl_max_protocol_version"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
];

/// Unsupported settings of libpq. Each has a list of values that are accepted because they
/// change nothing.
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
    ("requiressl", &["0"]),
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

/// The values that apply if neither the URL nor the environment sets them. With the
/// defaults of the system, a lost server would be noticed only after two hours.
const DEFAULTS: &[(&str, &str)] = &[
    ("application_name", "bustard"),
    ("connect_timeout", "10"),
    ("keepalives_count", "6"),
    ("keepalives_idle", "60"),
    ("keepalives_interval", "10"),
];

/// The origin of a setting, for messages.
#[derive(Clone, Copy)]
enum Origin {
    Url,
    Environment(&'static str),
    Default,
}

impl Origin {
    fn of(self, name: &str) -> String {
        match self {
            Origin::Url => format!("the parameter {name} of the database URL"),
            Origin::Environment(variable) => format!("the environment variable {variable}"),
            Origin::Default => format!("Bustard's default of {name}"),
        }
    }
}

/// All settings that apply, by name.
#[derive(Default)]
pub(super) struct Settings(BTreeMap<String, (String, Origin)>);

impl Settings {
    /// Merges the settings. The URL takes precedence over the environment, and the
    /// environment takes precedence over the defaults. If the URL contains a setting twice,
    /// the later value is used.
    pub(super) fn gather(url: Vec<Setting>, environment: Environment<'_>) -> Result<Settings> {
        let mut settings = Settings::default();
        for Setting { name, value } in url {
            settings.check(&name, &value, Origin::Url)?;
            settings.0.insert(name, (value, Origin::Url));
        }
        let names_server = settings.get("host").or(settings.get("hostaddr")).is_some();
        let server: &[_] = if names_server { &[] } else { &[("PGHOST", "host"), ("PGPORT", "port")] };
        for (variable, name) in VARIABLES.iter().chain(server) {
            if let (None, Some(value)) = (settings.get(name), environment(variable)) {
                settings.check(name, &value, Origin::Environment(variable))?;
                settings.0.insert((*name).to_owned(), (value, Origin::Environment(variable)));
            }
        }
        for (name, value) in DEFAULTS {
            if settings.get(name).is_none() {
                settings.0.insert((*name).to_owned(), ((*value).to_owned(), Origin::Default));
            }
        }
        Ok(settings)
    }

    fn check(&self, name: &str, value: &str, origin: Origin) -> Result<()> {
        let unsupported = UNSUPPORTED.iter().find(|(unsupported, _)| *unsupported == name);
        let what = origin.of(name);
        match unsupported {
            Some((_, harmless)) if value.is_empty() || harmless.contains(&value) => Ok(()),
            Some((_, harmless)) => {
                let help = match origin {
                    Origin::Environment(variable) => format!("unset {variable}"),
                    _ if harmless.is_empty() => "take it out of the URL".to_owned(),
                    _ => format!("take it out of the URL; only {} will do", harmless.join(" or ")),
                };
                Err(Error::usage(format!("{what} is not supported")).help(help))
            }
            None if SUPPORTED.contains(&name) => Ok(()),
            None => {
                let help = match nearest(name, SUPPORTED.iter().copied()) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("the parameters are {}", SUPPORTED.join(", ")),
                };
                Err(Error::usage(format!("{what} is unknown")).help(help))
            }
        }
    }

    /// Returns a setting's value. As in libpq, an empty value counts as unset.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Converts a value with `read`. Returns an error if `read` returns `None`.
    fn read<T>(&self, name: &str, allowed: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let origin = self.0.get(name).map_or(Origin::Default, |(_, origin)| *origin);
        match read(value) {
            Some(read) => Ok(Some(read)),
            // The message omits the value, which may be part of a password.
            None => Err(Error::usage(format!("{} has a value that cannot be used", origin.of(name)))
                .help(format!("write {allowed}"))),
        }
    }

    /// Reads a whole number. As in libpq, 0 or less means the system's default.
    fn number(&self, name: &str, unit: &str) -> Result<Option<u64>> {
        let number = self.read(name, unit, |value| value.trim().parse::<i64>().ok())?;
        Ok(number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0))
    }

    fn seconds(&self, name: &str) -> Result<Option<Duration>> {
        Ok(self.number(name, "a number of seconds")?.map(Duration::from_secs))
    }

    /// Builds the target that the settings describe.
    pub(super) fn target(&self, environment: Environment<'_>) -> Result<Target> {
        // These variables contain the user of this process. cron sets only the second
        // variable, and Windows only the third.
        let own = || ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(environment);
        let user = self.get("user").map(str::to_owned).or_else(own).ok_or_else(|| {
            Error::usage("the database URL names no user")
                .help("write postgres://USER@HOST/DATABASE, or set PGUSER")
        })?;
        let database = self.get("dbname").map(str::to_owned).ok_or_else(|| {
            Error::usage("the database URL names no database").help(
                "write postgres://USER@HOST/DATABASE; there is no default, which could be the wrong database",
            )
        })?;
        let home = environment("HOME").map(PathBuf::from);
        let mut config = self.config()?;
        config.user(&user).dbname(&database);
        let limit = self.seconds("connect_timeout")?;
        if let Some(limit) = limit {
            // This limit is for the connection that cancels a statement. `connect` applies
            // a limit of its own.
            config.connect_timeout(limit);
        }
        let tls = self.tls(home.as_deref())?;
        let mut servers = servers(self.get("host"), self.get("hostaddr"), self.get("port"))?;
        let passfile = self.get("passfile").map(PathBuf::from).or_else(|| Some(home?.join(".pgpass")));
        let given = (self.get("password").map(|text| Password::new(text, "the database URL")))
            .or_else(|| Some(Password::new(environment("PGPASSWORD")?, "PGPASSWORD")));
        for server in &mut servers {
            server.password = given.clone().or_else(|| {
                let host = match &server.address {
                    Address::Tcp(host, _) => host,
                    Address::Unix(_) => "localhost",
                };
                let found = pgpass::lookup(passfile.as_deref()?, host, server.port, &database, &user)?;
                Some(Password::new(found, "the password file"))
            });
        }
        Ok(Target { servers, user, database, config, tls, limit })
    }

    /// Passes on the settings that the driver accepts unchanged.
    fn config(&self) -> Result<Config> {
        let mut config = Config::new();
        if let Some(options) = self.get("options") {
            config.options(options);
        }
        if let Some(name) = self.get("application_name") {
            config.application_name(name);
        }
        let binding = self.read("channel_binding", "disable, prefer or require", |value| match value {
            "disable" => Some(ChannelBinding::Disable),
            "prefer" => Some(ChannelBinding::Prefer),
            "require" => Some(ChannelBinding::Require),
            _ => None,
        });
        if let Some(binding) = binding? {
            config.channel_binding(binding);
        }
        let session =
            self.read("target_session_attrs", "any, read-write or read-only", |value| match value {
                "any" => Some(TargetSessionAttrs::Any),
                "read-write" => Some(TargetSessionAttrs::ReadWrite),
                "read-only" => Some(TargetSessionAttrs::ReadOnly),
                _ => None,
            });
        if let Some(session) = session? {
            config.target_session_attrs(session);
        }
        if let Some(on) = self.read("keepalives", "1 or 0", |value| value.parse::<i64>().ok())? {
            config.keepalives(on != 0);
        }
        if let Some(idle) = self.seconds("keepalives_idle")? {
            config.keepalives_idle(idle);
        }
        if let Some(interval) = self.seconds("keepalives_interval")? {
            config.keepalives_interval(interval);
        }
        if let Some(count) = self.number("keepalives_count", "a number of probes")? {
            config.keepalives_retries(u32::try_from(count).unwrap_or(u32::MAX));
        }
        if let Some(time) = self.number("tcp_user_timeout", "a number of milliseconds")? {
            config.tcp_user_timeout(Duration::from_millis(time));
        }
        Ok(config)
    }

    fn tls(&self, home: Option<&Path>) -> Result<Tls> {
        if self.get("sslmode") == Some("allow") {
            return Err(Error::usage("sslmode=allow is not supported")
                .help("write prefer, or better verify-full; allow would try plaintext first"));
        }
        let mode = self.read("sslmode", &SslMode::NAMES.join(", "), SslMode::from_name)?;
        let roots = self.get("sslrootcert").map(|roots| match roots {
            "system" => Roots::System,
            file => Roots::File(file.into()),
        });
        let mode = match (&roots, mode) {
            (Some(Roots::System), None) => SslMode::VerifyFull,
            // If every public CA is trusted, only the host name identifies the server.
            (Some(Roots::System), Some(mode)) if mode != SslMode::VerifyFull => {
                return Err(Error::usage("sslrootcert=system is too weak without sslmode=verify-full").help(
                    "a certificate for any host would be accepted; write sslmode=verify-full, or name the file of your own CA",
                ));
            }
            (_, mode) => mode.unwrap_or(SslMode::Prefer),
        };
        // This is libpq's default file. If it exists, `require` verifies the chain, as in
        // libpq.
        let usual = || {
            let file = home?.join(".postgresql/root.crt");
            (mode >= SslMode::Require && file.is_file()).then_some(Roots::File(file))
        };
        Tls::new(mode, roots.or_else(usual).as_ref())
    }
}
