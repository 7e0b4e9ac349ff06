//! Tests hostile search paths. The functions run with the rights of their owner, and the
//! caller chooses the `search_path`. The functions must not call anything that the caller
//! has put into a schema of this path.

use bustard::{App, Migration, Migrator, registry};

use super::{code, get, run, with_caches};
use crate::support::Database;

/// A schema `evil` with a trap for every function, operator, type and table that the
/// registry could resolve by an unqualified name.
const TRAPS: &str = include_str!("../../sql/hostile.sql");
const ORACLE: &str = include_str!("../../sql/oracle.sql");

/// Tables with the same names in the schema that is searched first by default, and every
/// setting that changes how the server parses a text.
const AMBUSH: &str = "
    CREATE TEMP TABLE cache ();
    CREATE TEMP TABLE event ();
    CREATE TEMP TABLE base ();
    CREATE TEMP TABLE caches ();
    SET standard_conforming_strings = off;
    SET transform_null_equals = on;
    SET array_nulls = off;
    SET DateStyle = 'SQL, DMY';
    SET search_path = evil, pg_temp, bustard, pg_catalog";

fn set_traps(database: &Database<'_>) -> String {
    let mallory = database.create_role("mallory", "");
    run(&mut database.client(), &format!("GRANT CREATE ON DATABASE {} TO {mallory}", database.name()));
    run(&mut database.client_as(&mallory), TRAPS);
    mallory
}

#[test]
fn calls_by_any_role() {
    let (database, mut owner, _role) = with_caches(&["settings", "bans"]);
    run(&mut owner, ORACLE);
    let mallory = set_traps(&database);
    let mut client = database.client_as(&mallory);
    run(&mut client, AMBUSH);
    assert_eq!(code(&mut client, "SELECT 1 = 2"), "ZZ666", "the traps work");
    let version: i64 = get(&mut client, "SELECT bustard.get_version('settings')");
    assert_eq!(version, get::<i64>(&mut owner, "SELECT bustard.get_version('settings')"));
    assert!(get::<bool>(&mut client, &format!("SELECT bustard.is_valid('settings', {version})")));
    let view = "SELECT version FROM bustard.caches WHERE name OPERATOR(pg_catalog.=) 'settings'";
    assert_eq!(get::<i64>(&mut client, view), version);
    for call in ["snapshot(0, 0, NULL)", "identity('settings')", "missing_triggers()"] {
        run(&mut client, &format!("SELECT * FROM bustard.{call}"));
    }
    for call in
        ["invalidate('settings')", "invalidate('settings', 'bans', 'bans')", "invalidate_all()", "notify()"]
    {
        run(&mut client, &format!("SELECT bustard.{call}"));
    }
    let after: i64 = get(&mut owner, "SELECT bustard.get_version('settings')");
    assert_eq!((after >> 23) - (version >> 23), 3);
    for name in ["settingz", "zzz", ""] {
        for call in [
            format!("get_version('{name}')"),
            format!("is_valid('{name}', 1)"),
            format!("invalidate('settings', '{name}')"),
        ] {
            assert_eq!(code(&mut client, &format!("SELECT bustard.{call}")), "42704", "{call}");
        }
    }
    assert_eq!(code(&mut client, "SELECT bustard.invalidate(NULL)"), "22023");
    assert_eq!(code(&mut client, "SELECT bustard.register_cache('x')"), "42501");
    assert_eq!(get::<i64>(&mut owner, "SELECT count(*) FROM lie"), 0);
}

/// A cast of an argument runs before the call, with the rights of the caller.
#[test]
fn a_hostile_cast() {
    let (database, mut owner, _role) = with_caches(&["settings"]);
    let mallory = set_traps(&database);
    let mut client = database.client_as(&mallory);
    run(
        &mut client,
        "CREATE TYPE evil.wolf AS (x integer);
         CREATE FUNCTION evil.bite(evil.wolf) RETURNS text LANGUAGE plpgsql AS
             'BEGIN IF current_user <> session_user THEN RAISE ''bitten''; END IF; RETURN ''settings''; END';
         CREATE CAST (evil.wolf AS text) WITH FUNCTION evil.bite(evil.wolf) AS IMPLICIT",
    );
    let version: i64 = get(&mut client, "SELECT bustard.get_version(ROW(1)::evil.wolf)");
    assert_eq!(version, get::<i64>(&mut owner, "SELECT bustard.get_version('settings')"));
    run(&mut client, "SELECT bustard.invalidate(ROW(1)::evil.wolf)");
    assert_ne!(version, get::<i64>(&mut owner, "SELECT bustard.get_version('settings')"));
}

#[test]
fn calls_by_the_owner() {
    let (database, mut watcher, _role) = with_caches(&["settings"]);
    run(&mut watcher, ORACLE);
    set_traps(&database);
    let mut owner = database.client();
    run(&mut owner, AMBUSH);
    assert!(get::<i64>(&mut owner, "SELECT bustard.fold()") > 0);
    run(&mut owner, "SELECT bustard.register_cache('trap', 'app')");
    assert_eq!(code(&mut owner, "SELECT bustard.register_cache('trap')"), "42710");
    for name in ["''", "E'x\\001'", "NULL"] {
        assert_eq!(code(&mut owner, &format!("SELECT bustard.register_cache({name})")), "22023", "{name}");
    }
    run(&mut owner, "SELECT bustard.unregister_cache('trap')");
    assert_eq!(code(&mut owner, "SELECT bustard.unregister_cache('trap')"), "42704");
    run(&mut owner, "SELECT bustard.register_cache('trap')");
    assert_eq!(get::<i64>(&mut owner, "SELECT bustard.fold()"), 3);
    assert_eq!(get::<i64>(&mut watcher, "SELECT count(*) FROM lie"), 0);
}

/// Runs the migrator itself, on a database whose search path has a hostile schema.
#[test]
fn a_run_of_the_migrator() {
    let database = Database::new();
    set_traps(&database);
    run(&mut database.client(), "CREATE SCHEMA app");
    database.set("search_path", "app, evil");
    let reader = database.create_role("reader", "");
    let app = || {
        App::new("main")
            .migration("V1__a", Migration::new().register_cache("settings"))
            .migration("V2__b", Migration::new().register_cache("bans").unregister_cache("settings"))
    };
    let mut client = database.client();
    let migrator = Migrator::new().app(app()).grant(vec![reader.clone()]);
    let report = migrator.run(&mut client).unwrap_or_else(|error| panic!("{error}"));
    assert!(report.changed());
    let again = migrator.run(&mut client).unwrap_or_else(|error| panic!("{error}"));
    assert!(!again.changed() && again.granted.is_none());
    let caches = registry::list(&mut client).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(caches.iter().map(|cache| cache.name.as_str()).collect::<Vec<_>>(), ["bans"]);
    assert!(get::<i64>(&mut database.client_as(&reader), "SELECT bustard.get_version('bans')") > 0);
    let other = Migrator::new().app(app()).grant(Vec::new()).run(&mut client);
    assert!(other.unwrap_or_else(|error| panic!("{error}")).granted.is_some());
}
