//! Tests the SQL API, which programs in any language use: functions work for roles with
//! rights, are refused to other roles, and are safe under any `search_path` of the caller.

mod calls;
mod clients;
mod grants;
mod hostile;
mod names;

use crate::support::{Database, Outcome};
use bustard::{Migrator, registry};
use postgres::Client;

/// Creates a database with these caches, and a role without rights.
pub fn with_caches(caches: &[&str]) -> (Database<'static>, Client, String) {
    let database = Database::new();
    let mut client = database.client();
    Migrator::new().run(&mut client).expect("Bustard's own tables are made");
    for cache in caches {
        registry::register(&mut client, cache, Some("forum")).expect("it is new");
    }
    let role = database.create_role("reader", "");
    (database, client, role)
}

/// Runs a query with `psql` as this role, and returns the output.
#[track_caller]
pub fn ask(database: &Database<'_>, role: &str, sql: &str) -> String {
    database.psql_as(role, sql).success().stdout.trim_end_matches('\n').to_owned()
}

/// Runs a statement that must fail with this SQLSTATE.
#[track_caller]
pub fn refused(database: &Database<'_>, role: &str, sql: &str, code: &str) -> Outcome {
    database.psql_as(role, sql).exits(1).complains(&format!("ERROR:  {code}:"))
}

#[track_caller]
pub fn run(client: &mut Client, sql: &str) {
    client.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// Returns the SQLSTATE of the error of a statement.
#[track_caller]
pub fn code(client: &mut Client, sql: &str) -> String {
    let error = client.batch_execute(sql).expect_err(sql);
    error.code().unwrap_or_else(|| panic!("{sql}: {error:?}")).code().to_owned()
}

/// Returns the first column of the only row.
#[track_caller]
pub fn get<T: for<'a> postgres::types::FromSql<'a>>(client: &mut Client, sql: &str) -> T {
    client.query_one(sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
}
