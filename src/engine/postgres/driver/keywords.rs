//! All keywords and environment variables that libpq 18 knows, and how Bustard treats
//! each: the one table that the settings are checked against.
//!
//! `docs/connection.md` shows this table. A test compares the two, and feeds every row.

/// One setting of libpq.
pub(super) struct Known {
    /// Its name in a URL and in a service file. Some exist only as a variable.
    pub keyword: Option<&'static str>,
    /// The environment variable that sets it.
    pub variable: Option<&'static str>,
    pub rule: Rule,
}

/// How Bustard treats a setting.
pub(super) enum Rule {
    /// It is obeyed, as this describes. A value that makes no sense is an error.
    Obeyed(#[cfg_attr(not(test), expect(dead_code, reason = "the documentation shows it"))] &'static str),
    /// These values are accepted, because they ask for what Bustard does anyway. Others
    /// are refused for this reason.
    Only(&'static [&'static str], &'static str),
    /// Every value is refused for this reason.
    Refused(&'static str),
}

impl Known {
    /// Returns the name under which a value is kept.
    pub(super) fn key(&self) -> &'static str {
        self.keyword.or(self.variable).unwrap_or_default()
    }
}

/// Finds a setting by its keyword.
pub(super) fn by_keyword(keyword: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.keyword == Some(keyword))
}

const fn obeyed(keyword: &'static str, variable: &'static str, how: &'static str) -> Known {
    row(keyword, variable, Rule::Obeyed(how))
}

const fn only(
    keyword: &'static str,
    variable: &'static str,
    values: &'static [&'static str],
    why: &'static str,
) -> Known {
    row(keyword, variable, Rule::Only(values, why))
}

const fn refused(keyword: &'static str, variable: &'static str, why: &'static str) -> Known {
    row(keyword, variable, Rule::Refused(why))
}

const fn row(keyword: &'static str, variable: &'static str, rule: Rule) -> Known {
    let keyword = if keyword.is_empty() { None } else { Some(keyword) };
    let variable = if variable.is_empty() { None } else { Some(variable) };
    Known { keyword, variable, rule }
}

const NO_GSS: &str = "the driver has no GSSAPI";
const NO_OAUTH: &str = "the driver has no OAuth";
const NO_CRL: &str = "certificate revocation lists are not read";

/// The table, in the order of libpq's documentation: the server, the login, the session,
/// the network, TLS, several servers, and what is left.
pub(super) const KNOWN: &[Known] = &[
    obeyed(
        "host",
        "PGHOST",
        "names, addresses or directories of Unix sockets, with commas between several; without one, the socket in `/var/run/postgresql` or `/tmp`",
    ),
    obeyed(
        "hostaddr",
        "PGHOSTADDR",
        "the IP address to connect to; `host` is still the name that TLS verifies",
    ),
    obeyed("port", "PGPORT", "one for all hosts, or one for each; 5432 without one"),
    obeyed("dbname", "PGDATABASE", "required, here or in the path of the URL: the user's name is no default"),
    obeyed("user", "PGUSER", "without one, the user of the process (`USER`, `LOGNAME`, `USERNAME`)"),
    obeyed("password", "PGPASSWORD", "never printed"),
    obeyed(
        "passfile",
        "PGPASSFILE",
        "without one, `~/.pgpass`; a file that others may read is not used, and a warning says so",
    ),
    obeyed("service", "PGSERVICE", "the section of a service file that fills in what the URL leaves open"),
    obeyed(
        "",
        "PGSERVICEFILE",
        "the service file; without one, `~/.pg_service.conf`, then `pg_service.conf` in the directory of `PGSYSCONFDIR`",
    ),
    obeyed(
        "",
        "PGSYSCONFDIR",
        "the directory of the system's service file; without one, `/etc/postgresql-common`, then `/etc`",
    ),
    refused(
        "require_auth",
        "PGREQUIREAUTH",
        "the driver does not tell how the server authenticates; `channel_binding=require` demands SCRAM over TLS",
    ),
    obeyed("channel_binding", "PGCHANNELBINDING", "`disable`, `prefer` or `require`"),
    refused("requirepeer", "PGREQUIREPEER", "the driver does not tell which user owns the server's socket"),
    refused("scram_client_key", "", "the driver authenticates with a password"),
    refused("scram_server_key", "", "the driver authenticates with a password"),
    refused("oauth_issuer", "", NO_OAUTH),
    refused("oauth_client_id", "", NO_OAUTH),
    refused("oauth_client_secret", "", NO_OAUTH),
    refused("oauth_scope", "", NO_OAUTH),
    refused("", "PGOAUTHDEBUG", NO_OAUTH),
    obeyed("options", "PGOPTIONS", "settings of the session, as in `-c search_path=forum`"),
    obeyed("application_name", "PGAPPNAME", "without one, `fallback_application_name`, then `bustard`"),
    obeyed("fallback_application_name", "", "used where `application_name` is not set"),
    obeyed("", "PGDATESTYLE", "the session's `DateStyle`; `default` leaves the server's"),
    obeyed("", "PGTZ", "the session's `TimeZone`; `default` leaves the server's"),
    obeyed("", "PGGEQO", "the session's `geqo`; `default` leaves the server's"),
    only(
        "client_encoding",
        "PGCLIENTENCODING",
        &["UTF8", "utf8", "UTF-8", "utf-8", "unicode", "UNICODE", "auto"],
        "migrations are sent as UTF-8",
    ),
    only("replication", "", &["false", "off", "no", "0"], "a connection for replication cannot migrate"),
    obeyed(
        "connect_timeout",
        "PGCONNECT_TIMEOUT",
        "seconds for each address of each server: 10 without one, no limit with 0",
    ),
    obeyed("keepalives", "", "`1` or `0`"),
    obeyed("keepalives_idle", "", "seconds: 60 without one, the system's with 0"),
    obeyed("keepalives_interval", "", "seconds: 10 without one, the system's with 0"),
    obeyed("keepalives_count", "", "6 without one, the system's with 0"),
    obeyed("tcp_user_timeout", "", "milliseconds; the system's without one"),
    only(
        "min_protocol_version",
        "PGMINPROTOCOLVERSION",
        &["3.0"],
        "the driver speaks version 3.0 of the protocol",
    ),
    only(
        "max_protocol_version",
        "PGMAXPROTOCOLVERSION",
        &["3.0", "3.2", "latest"],
        "the driver speaks version 3.0 of the protocol",
    ),
    obeyed(
        "sslmode",
        "PGSSLMODE",
        "`disable`, `prefer`, `require`, `verify-ca` or `verify-full`; `allow` is refused, because it would send a password in plaintext first",
    ),
    obeyed("", "PGREQUIRESSL", "`1` is `sslmode=require` where `sslmode` is not set; `0` says nothing"),
    obeyed(
        "sslnegotiation",
        "PGSSLNEGOTIATION",
        "`postgres`, or `direct` (PostgreSQL 17 and later, with `sslmode=require` or stronger)",
    ),
    only("sslcompression", "PGSSLCOMPRESSION", &["0"], "TLS is never compressed"),
    obeyed(
        "sslcert",
        "PGSSLCERT",
        "the client's certificate in PEM form; without one, `~/.postgresql/postgresql.crt`, if it exists",
    ),
    obeyed(
        "sslkey",
        "PGSSLKEY",
        "the key of `sslcert`, not encrypted, in PEM or DER form, readable by its owner only; without one, `~/.postgresql/postgresql.key`",
    ),
    refused(
        "sslpassword",
        "",
        "keys that are encrypted are not read: decrypt a copy with `openssl pkcs8 -topk8 -nocrypt`, and protect the file",
    ),
    only(
        "sslcertmode",
        "PGSSLCERTMODE",
        &["disable", "allow"],
        "rustls does not tell whether the server asked for a certificate; `disable` is obeyed",
    ),
    obeyed(
        "sslrootcert",
        "PGSSLROOTCERT",
        "a file in PEM form, or `system`; without one, `~/.postgresql/root.crt`, if it exists and `sslmode` is `require` or stronger, else the system's",
    ),
    refused("sslcrl", "PGSSLCRL", NO_CRL),
    refused("sslcrldir", "PGSSLCRLDIR", NO_CRL),
    obeyed("sslsni", "PGSSLSNI", "`1` or `0`"),
    obeyed(
        "ssl_min_protocol_version",
        "PGSSLMINPROTOCOLVERSION",
        "`TLSv1.3`; `TLSv1`, `TLSv1.1` and `TLSv1.2` change nothing, because TLS before 1.2 is never used",
    ),
    obeyed("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", "`TLSv1.2` or `TLSv1.3`"),
    refused("sslkeylogfile", "", "the keys of a connection are never written to a file"),
    only("gssencmode", "PGGSSENCMODE", &["disable", "prefer"], NO_GSS),
    refused("krbsrvname", "PGKRBSRVNAME", NO_GSS),
    refused("gsslib", "PGGSSLIB", NO_GSS),
    only("gssdelegation", "PGGSSDELEGATION", &["0"], NO_GSS),
    obeyed(
        "target_session_attrs",
        "PGTARGETSESSIONATTRS",
        "`any`, `read-write`, `read-only`, `primary`, `standby` or `prefer-standby`",
    ),
    obeyed(
        "load_balance_hosts",
        "PGLOADBALANCEHOSTS",
        "`disable`, or `random`: hosts and their addresses are tried in random order",
    ),
    refused("", "PGLOCALEDIR", "messages are not translated"),
];
