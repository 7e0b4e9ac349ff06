//! Builds a target from settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslNegotiation};

use super::attributes::Wanted;
use super::environment::{Environment, variable};
use super::pgpass;
use super::settings::{Origin, Settings};
use super::target::{Password, Target, servers};
use super::tls::{Roots, SslMode, Tls, TlsSettings, TlsVersion};
use crate::error::{Error, Result};
use crate::tls::Identity;

/// The variables that set something of the session, and what they set.
const SESSION: [(&str, &str); 3] = [("PGDATESTYLE", "datestyle"), ("PGTZ", "timezone"), ("PGGEQO", "geqo")];

impl Settings {
    /// Builds the target that the settings describe.
    pub(super) fn target(&self, environment: Environment<'_>) -> Result<Target> {
        let user = match self.get("user") {
            Some(user) => user.to_owned(),
            None => user_of_process(environment)?,
        };
        let database = self.get("dbname").map(str::to_owned).ok_or_else(|| {
            Error::usage("the database URL names no database").help(
                "write postgres://USER@HOST/DATABASE, or set PGDATABASE; there is no default, which could be the wrong database",
            )
        })?;
        let home = environment("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let mut config = self.config()?;
        config.user(&user).dbname(&database);
        let limit = self.seconds("connect_timeout")?;
        if let Some(limit) = limit {
            // For the connection that cancels a statement; `connect` applies its own
            // limit.
            config.connect_timeout(limit);
        }
        let tls = self.tls(home.as_deref())?;
        let direct = self.word("sslnegotiation", &[("postgres", false), ("direct", true)])?;
        if direct == Some(true) {
            config.ssl_negotiation(SslNegotiation::Direct);
        }
        let mut servers = servers(self.get("host"), self.get("hostaddr"), self.get("port"))?;
        let passfile = self.get("passfile").map(PathBuf::from).or_else(|| Some(home?.join(".pgpass")));
        let given = self.get("password").map(|text| {
            let origin = match self.origin("password") {
                Origin::Service(_) => "the service file",
                Origin::Environment(variable) => variable,
                Origin::Url | Origin::Default => "the database URL",
            };
            Password::new(text, origin)
        });
        for server in &mut servers {
            server.password = given.clone().or_else(|| {
                let host = server.name_in_pgpass();
                let found = pgpass::lookup(passfile.as_deref()?, &host, server.port, &database, &user)?;
                Some(Password::new(found, "the password file"))
            });
        }
        let wanted = self.word("target_session_attrs", &Wanted::NAMES)?.unwrap_or(Wanted::Any);
        let shuffled = self.word("load_balance_hosts", &[("disable", false), ("random", true)])?;
        let shuffled = shuffled.unwrap_or(false);
        Ok(Target { servers, user, database, config, tls, limit, wanted, shuffled })
    }

    /// Passes on the settings that the driver accepts unchanged.
    fn config(&self) -> Result<Config> {
        let mut config = Config::new();
        if let Some(options) = self.options()? {
            config.options(options);
        }
        let name = self.get("application_name").or(self.get("fallback_application_name"));
        config.application_name(name.unwrap_or("bustard"));
        let binding = self.word(
            "channel_binding",
            &[
                ("disable", ChannelBinding::Disable),
                ("prefer", ChannelBinding::Prefer),
                ("require", ChannelBinding::Require),
            ],
        );
        if let Some(binding) = binding? {
            config.channel_binding(binding);
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

    /// Returns the options of the session. Those that have a variable of their own come
    /// last, so that they win, as in libpq.
    fn options(&self) -> Result<Option<String>> {
        let mut options: Vec<String> = self.get("options").map(str::to_owned).into_iter().collect();
        for (variable, name) in SESSION {
            let value = self.get(variable).filter(|value| !value.eq_ignore_ascii_case("default"));
            options.extend(value.map(|value| {
                // In options a backslash keeps a blank from ending the value.
                let escaped = value.chars().flat_map(|c| {
                    let escape = (c.is_whitespace() || c == '\\').then_some('\\');
                    escape.into_iter().chain([c])
                });
                format!("-c {name}={}", escaped.collect::<String>())
            }));
        }
        Ok(Some(options.join(" ")).filter(|options| !options.is_empty()))
    }

    fn tls(&self, home: Option<&Path>) -> Result<Tls> {
        let ours = |name: &str| home.map(|home| home.join(".postgresql").join(name));
        let (mode, roots) = self.mode_and_roots()?;
        // libpq's default file. If it exists, `require` verifies the chain, as in libpq.
        let usual = || ours("root.crt").filter(|file| mode >= SslMode::Require && file.is_file());
        let roots = roots.or_else(|| usual().map(Roots::File));
        let revoked = ours("root.crl").filter(|file| roots.is_some() && file.is_file());
        if let Some(file) = revoked.filter(|_| mode != SslMode::Disable) {
            return Err(Error::usage(format!("{} is not supported", file.display())).help(
                "libpq refuses the certificates that it lists; Bustard reads no lists of revoked certificates: remove it if it lists none of this server's",
            ));
        }
        let version = |name: &str| {
            self.read(name, "TLSv1.2 or TLSv1.3", |value| match value.to_ascii_lowercase().as_str() {
                // Never below 1.2, whatever is allowed.
                "tlsv1" | "tlsv1.1" if name == "ssl_min_protocol_version" => Some(TlsVersion::V12),
                "tlsv1.2" => Some(TlsVersion::V12),
                "tlsv1.3" => Some(TlsVersion::V13),
                _ => None,
            })
        };
        let oldest = version("ssl_min_protocol_version")?.unwrap_or(TlsVersion::V12);
        let newest = version("ssl_max_protocol_version")?.unwrap_or(TlsVersion::V13);
        if oldest > newest {
            return Err(Error::usage("ssl_min_protocol_version is later than ssl_max_protocol_version"));
        }
        let direct = self.get("sslnegotiation") == Some("direct");
        if direct && mode < SslMode::Require {
            return Err(Error::usage(
                "sslnegotiation=direct is too weak without sslmode=require or stronger",
            )
            .help("with a weaker sslmode the connection could fall back to plaintext"));
        }
        let identity = match self.get("sslcertmode") {
            Some("disable") => None,
            _ => self.identity(&ours),
        };
        Tls::new(TlsSettings {
            mode,
            roots,
            identity,
            sni: self.word("sslsni", &[("1", true), ("0", false)])?.unwrap_or(true),
            oldest,
            newest,
            direct,
        })
    }

    fn mode_and_roots(&self) -> Result<(SslMode, Option<Roots>)> {
        if self.get("sslmode") == Some("allow") {
            return Err(self
                .origin("sslmode")
                .error("sslmode=allow is not supported".to_owned())
                .help("write prefer, or better verify-full; allow would try plaintext first"));
        }
        let required = self.word("PGREQUIRESSL", &[("0", None), ("1", Some(SslMode::Require))])?.flatten();
        let mode = self.read("sslmode", &SslMode::NAMES.join(", "), SslMode::from_name)?.or(required);
        let roots = self.get("sslrootcert").map(|roots| match roots {
            "system" => Roots::System,
            file => Roots::File(file.into()),
        });
        let mode = match (&roots, mode) {
            (Some(Roots::System), None) => SslMode::VerifyFull,
            // With every public CA trusted, only the host name identifies the server.
            (Some(Roots::System), Some(mode)) if mode != SslMode::VerifyFull => {
                return Err(Error::usage("sslrootcert=system is too weak without sslmode=verify-full").help(
                    "a certificate for any host would be accepted; write sslmode=verify-full, or name the file of your own CA",
                ));
            }
            (_, mode) => mode.unwrap_or(SslMode::Prefer),
        };
        Ok((mode, roots))
    }

    /// Returns the files of the client's certificate: those of the settings, else libpq's
    /// default ones, if the certificate exists.
    fn identity(&self, ours: &dyn Fn(&str) -> Option<PathBuf>) -> Option<Identity> {
        let named = self.get("sslcert").map(PathBuf::from);
        let certificate = named.or_else(|| ours("postgresql.crt").filter(|file| file.is_file()))?;
        let key = self.get("sslkey").map(PathBuf::from).or_else(|| ours("postgresql.key"));
        Some(Identity { certificate, key })
    }
}

/// The user of this process. cron sets only the second variable, Windows the third.
fn user_of_process(environment: Environment<'_>) -> Result<String> {
    for name in ["USER", "LOGNAME", "USERNAME"] {
        if let Some(user) = variable(environment, name)? {
            return Ok(user);
        }
    }
    Err(Error::usage("the database URL names no user")
        .help("write postgres://USER@HOST/DATABASE, or set PGUSER"))
}
