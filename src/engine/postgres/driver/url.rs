//! Parses a `postgres://` URL as libpq does, into named settings.
//! [`target`](super::target) interprets them.
//!
//! Errors of this module repeat only the names of parameters. A password with an
//! unencoded character can end up in any other part of the URL.

use crate::engine::percent::{self, decode};
use crate::error::{Error, Result};

/// One setting, by libpq's name for it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub name: String,
    pub value: String,
}

/// Returns whether a text is a URL of this engine.
pub(crate) fn is_postgres(url: &str) -> bool {
    strip_scheme(url).is_some()
}

fn strip_scheme(url: &str) -> Option<&str> {
    url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"))
}

/// Returns the settings of a URL in their order. If a name occurs twice, the later setting
/// is used.
pub(super) fn settings(url: &str) -> Result<Vec<Setting>> {
    let Some(rest) = strip_scheme(url) else {
        return Err(Error::usage("this is not the URL of a PostgreSQL database")
            .help("write postgres://USER@HOST/DATABASE"));
    };
    let (before, query) = match rest.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (rest, None),
    };
    let (authority, path) = match before.split_once('/') {
        Some((authority, path)) => (authority, path),
        None => (before, ""),
    };
    refuse_stray_at(authority, path, query)?;

    let mut settings = Settings::default();
    let hosts = match authority.split_once('@') {
        Some((credentials, hosts)) => {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            settings.add("user", user, "the user name")?;
            settings.add("password", password, "the password")?;
            hosts
        }
        None => authority,
    };
    settings.add_hosts(hosts)?;
    settings.add("dbname", path, "the name of the database")?;
    for parameter in query.unwrap_or("").split('&').filter(|parameter| !parameter.is_empty()) {
        settings.add_parameter(parameter)?;
    }
    Ok(settings.0)
}

/// Returns an error for an `@` in the wrong place, because then the parts of the URL are
/// ambiguous. The end of a password could be taken for a host, and would be shown as a
/// host.
fn refuse_stray_at(authority: &str, path: &str, query: Option<&str>) -> Result<()> {
    let count = |text: &str| text.matches('@').count();
    let elsewhere = count(path) > 0 || (count(authority) == 0 && count(query.unwrap_or("")) > 0);
    if count(authority) > 1 || elsewhere {
        return Err(Error::usage("the database URL has an @ in the wrong place").help(
            "in a user name, password or parameter write %40 for @, %3A for :, %2F for /, %3F for ? and %25 for %",
        ));
    }
    Ok(())
}

#[derive(Default)]
struct Settings(Vec<Setting>);

impl Settings {
    /// Adds a setting. An empty value counts as unset.
    fn add(&mut self, name: &str, encoded: &str, what: &str) -> Result<()> {
        if !encoded.is_empty() {
            self.0.push(Setting { name: name.to_owned(), value: decode(encoded, what)? });
        }
        Ok(())
    }

    fn add_hosts(&mut self, hosts: &str) -> Result<()> {
        if hosts.is_empty() {
            return Ok(());
        }
        let mut names = Vec::new();
        let mut ports = Vec::new();
        for host in hosts.split(',') {
            let (name, port) = split_port(host)?;
            names.push(name);
            ports.push(port);
        }
        self.add("host", &names.join(","), "the host")?;
        if ports.iter().any(|port| !port.is_empty()) {
            self.add("port", &ports.join(","), "the port")?;
        }
        Ok(())
    }

    fn add_parameter(&mut self, parameter: &str) -> Result<()> {
        let Some((name, value)) = parameter.split_once('=') else {
            return Err(Error::usage("a parameter of the database URL has no value")
                .help("write ?NAME=VALUE&NAME=VALUE, and %3F for a ? in a user name or password"));
        };
        let name = decode(name, "the name of a parameter")?;
        // This is the spelling of JDBC, which libpq accepts.
        if name == "ssl" && value == "true" {
            return self.add("sslmode", "require", "sslmode");
        }
        let value = decode(value, &format!("the parameter {name}"))?;
        self.0.push(Setting { name, value });
        Ok(())
    }
}

/// Splits `host:port`, `[::1]:port` or a host alone.
fn split_port(host: &str) -> Result<(&str, &str)> {
    let bad = || {
        Error::usage("a host of the database URL is malformed")
            .help("write HOST, HOST:PORT, [IPv6] or [IPv6]:PORT, with commas between several")
    };
    if let Some(bracketed) = host.strip_prefix('[') {
        let (name, rest) = bracketed.split_once(']').ok_or_else(bad)?;
        match rest.strip_prefix(':') {
            Some(port) => Ok((name, port)),
            None if rest.is_empty() => Ok((name, "")),
            None => Err(bad()),
        }
    } else {
        match host.split_once(':') {
            Some((_, port)) if port.contains(':') => Err(bad()),
            Some(parts) => Ok(parts),
            None => Ok((host, "")),
        }
    }
}

/// Encodes characters that could be taken for another part of a URL.
pub(super) fn encode(text: &str, keep: &str) -> String {
    percent::encode(text, |c| c.is_alphanumeric() || "-._~".contains(c) || keep.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> String {
        match settings(url) {
            Ok(settings) => {
                let texts: Vec<_> = settings.iter().map(|s| format!("{}={}", s.name, s.value)).collect();
                texts.join(" ")
            }
            Err(error) => format!("error: {}", error.message()),
        }
    }

    #[test]
    fn settings_of_urls() {
        for (url, said) in [
            ("postgres://", ""),
            ("postgres://h/d", "host=h dbname=d"),
            ("postgresql://u@h:1/d", "user=u host=h port=1 dbname=d"),
            ("postgres://u:p@h/d", "user=u password=p host=h dbname=d"),
            ("postgres://u:@h/d", "user=u host=h dbname=d"),
            ("postgres://u:p%40%2F%3F%25@h/d%20e", "user=u password=p@/?% host=h dbname=d e"),
            ("postgres://u:p#s:t@h/d", "user=u password=p#s:t host=h dbname=d"),
            ("postgres://h1,h2:5/d", "host=h1,h2 port=,5 dbname=d"),
            ("postgres://[::1]:5433,[fe80::1]/d", "host=::1,fe80::1 port=5433, dbname=d"),
            ("postgres:///d?host=/run/x&port=7", "dbname=d host=/run/x port=7"),
            ("postgres://%2Frun%2Fx/d", "host=/run/x dbname=d"),
            ("postgres://h/d?ssl=true", "host=h dbname=d sslmode=require"),
            ("postgres://u@h/d?user=a@b", "user=u host=h dbname=d user=a@b"),
            ("postgres://h/d?options=-c%20a%3Db", "host=h dbname=d options=-c a=b"),
        ] {
            assert_eq!(parse(url), said, "{url}");
        }
    }

    #[test]
    fn no_error_repeats_the_url() {
        for url in [
            "postgres://u:sec@ret@h/d",
            "postgres://u:sec/ret@h/d",
            "postgres://u:sec?ret@h/d",
            "postgres://u:5?ret=1@h/d",
            "postgres://u:sec%ret@h/d",
            "postgres://u:sec%00ret@h/d",
            "postgres://u:sec%FFret@h/d",
            "postgres://u:pw@[secret/d",
            "postgres://u:pw@se:cr:et/d",
            "postgres://u:pw@h/d?secret",
            "mysql://u:secret@h/d",
        ] {
            let error = settings(url).err().unwrap_or_else(|| panic!("{url} was accepted"));
            assert_eq!(error.kind(), crate::ErrorKind::Usage);
            for part in ["sec", "ret", "se:", "pw"] {
                assert!(!format!("{error:?}").contains(part), "{error}");
            }
        }
    }

    #[test]
    fn paths_stay_readable() {
        assert_eq!(encode("/run/x y", "/"), "/run/x%20y");
    }
}
