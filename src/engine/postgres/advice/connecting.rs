//! Advice for errors of PostgreSQL at connecting.
//!
//! In: the code of an error, the function of the server that raised it, and the names of the
//! connection. Out: advice.

use super::is_of;
use crate::engine::quote_ident;

/// The advice for an error at connecting. `{user}` and `{database}` are quoted names.
const CONNECTING: &[(&str, &[&str], &str)] = &[
    (
        "28000",
        &["InitializeSessionUserId"],
        "the role must exist and may log in: `CREATE ROLE {user} LOGIN`, or `ALTER ROLE {user} LOGIN`",
    ),
    (
        "28000",
        &[],
        "does the user exist, may it log in, and does the server's pg_hba.conf let it in from here, with or without TLS \
         (sslmode)?",
    ),
    ("3D000", &[], "create it (createdb {name}), or correct its name in the database URL"),
    (
        "53300",
        &["InitializeSessionUserId"],
        "the role has as many connections as it may have: close others, or `ALTER ROLE {user} CONNECTION LIMIT -1`",
    ),
    (
        "53300",
        &["CheckMyDatabase"],
        "the database has as many connections as it may have: close others, or \
         `ALTER DATABASE {database} CONNECTION LIMIT -1`",
    ),
    (
        "53300",
        &["InitPostgres"],
        "the connections that are left are reserved for superusers: close other connections, or raise max_connections",
    ),
    ("53300", &[], "close other connections, or raise max_connections"),
    ("57P03", &[], "it is starting up or shutting down: try again in a moment"),
    ("42501", &[], "`GRANT CONNECT ON DATABASE {database} TO {user}`"),
    ("55000", &["CheckMyDatabase"], "`ALTER DATABASE {database} ALLOW_CONNECTIONS true`"),
    (
        "42704",
        &[],
        "the server does not know a setting of the connection: correct `options` in the database URL, or PGOPTIONS",
    ),
    (
        "22023",
        &[],
        "a setting of the connection has a value that is not valid: correct `options` in the database URL, or PGOPTIONS",
    ),
    (
        "08P01",
        &[],
        "if a pooler such as PgBouncer is in between, it may refuse a setting of the connection: see its \
         ignore_startup_parameters, and `options` in the database URL",
    ),
];

/// Returns the advice for an error at connecting.
pub(crate) fn connecting(code: &str, routine: &str, user: &str, database: &str) -> String {
    let fits = |(of, routines, _): &&(&str, &[&str], &str)| *of == code && is_of(routines, routine);
    let text = CONNECTING.iter().find(fits).map_or("the server's log may say more", |(_, _, text)| text);
    text.replace("{user}", &quote_ident(user))
        .replace("{database}", &quote_ident(database))
        .replace("{name}", database)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind10_advice_at_connecting() {
        for (code, routine, expected) in [
            ("53300", "InitializeSessionUserId", "ALTER ROLE \"u\" CONNECTION LIMIT"),
            ("53300", "InitProcess", "raise max_connections"),
            ("53300", "", "raise max_connections"),
            ("28000", "ClientAuthentication", "pg_hba.conf"),
            ("3D000", "InitPostgres", "createdb d"),
            ("XX000", "", "log"),
        ] {
            let advice = connecting(code, routine, "u", "d");
            assert!(advice.contains(expected) && !advice.contains('{'), "{code} {routine}: {advice}");
        }
    }
}
