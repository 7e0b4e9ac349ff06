//! Locations of Redis servers.
//!
//! In: a location from the settings. Out: the parts of it, or an error of usage that does not
//! contain the location, which may contain a password.

use redis::{ConnectionAddr, IntoConnectionInfo};

use crate::error::{Error, Result};
use crate::store::address::{Endpoint, StoreAddress};

pub(super) const PORT: u16 = 6379;

/// How a connection begins, wherever it leads.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub tls: bool,
    pub user: Option<String>,
    pub password: Option<String>,
    pub database: i64,
}

#[derive(Clone)]
pub(super) struct Location {
    pub endpoint: Endpoint,
    pub login: Login,
}

impl Location {
    /// Parses `HOST`, `HOST:PORT`, `unix:PATH`, and URLs.
    pub(super) fn parse(location: &str) -> Result<Self> {
        if !(location.contains("://") || location.starts_with("unix:")) {
            let endpoint = StoreAddress::parse(location, PORT)?.endpoint().clone();
            return Ok(Location { endpoint, login: Login::default() });
        }
        if location.starts_with("redis+") || location.starts_with("valkey+") {
            return Err(invalid("its scheme is not known")
                .help("write redis://, rediss:// with TLS, or unix:/PATH; Sentinels are listed in `sentinels`, and a cluster has `cluster = true`"));
        }
        // The crate parses URLs with TLS only if it also speaks TLS.
        let (plain, tls) = match location.split_once("://") {
            Some(("rediss" | "valkeys", rest)) => (format!("redis://{rest}"), true),
            _ => (location.to_owned(), false),
        };
        let is_unix = plain.starts_with("unix:");
        check_options(&plain, is_unix)?;
        let info = plain.as_str().into_connection_info().map_err(|_| {
            invalid("it is not a valid URL").help(
                "write redis://USER:PASSWORD@HOST:PORT/DATABASE, rediss:// with TLS, or unix:/PATH?db=0&pass=PASSWORD, special characters as %XX",
            )
        })?;
        let endpoint = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Endpoint::Tcp(host.clone(), *port),
            ConnectionAddr::Unix(path) => Endpoint::Unix(path.clone()),
            _ => return Err(invalid("it is neither TCP nor a Unix socket")),
        };
        let settings = info.redis_settings();
        let login = Login {
            tls,
            user: settings.username().map(str::to_owned),
            password: settings.password().map(str::to_owned),
            database: settings.db(),
        };
        if login.user.is_some() && login.password.is_none() {
            return Err(invalid("it has a user but no password"));
        }
        Ok(Location { endpoint, login })
    }
}

/// Refuses what the crate would ignore.
fn check_options(url: &str, is_unix: bool) -> Result<()> {
    if url.contains('#') {
        return Err(invalid("it has a fragment (#)").help(
            "a certificate is always verified: name its CA with tls_ca=FILE; write # in a password as %23",
        ));
    }
    let known: &[&str] = if is_unix { &["db", "user", "pass"] } else { &[] };
    let options = url.split_once('?').map(|(_, options)| options).unwrap_or_default();
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, _) = option.split_once('=').unwrap_or((option, ""));
        if !known.contains(&name) {
            let known =
                if is_unix { "db, user and pass" } else { "none; the database is the path of the URL" };
            // The option may be a part of a password.
            return Err(invalid("an option after ? is not known")
                .help(format!("the options are {known}; write ? in a password as %3F")));
        }
    }
    Ok(())
}

pub(super) fn invalid(why: &str) -> Error {
    Error::usage(format!("a location of the store redis cannot be used: {why}"))
}
