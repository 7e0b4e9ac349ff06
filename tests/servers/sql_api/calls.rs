//! Tests the results and errors of the SQL functions, with `psql` as an unprivileged role
//! and as the role that migrates.

use super::{ask, code, get, refused, run, with_caches};

#[test]
fn every_role_reads_and_invalidates() {
    let (database, _client, role) = with_caches(&["settings", "bans"]);
    let ask = |sql: &str| ask(&database, &role, sql);
    let version = ask("SELECT bustard.get_version('settings')");
    let other = ask("SELECT bustard.get_version('bans')");
    assert!(version.parse::<i64>().expect("it is a number") > 0);
    let is_valid =
        |cache: &str, version: &str| ask(&format!("SELECT bustard.is_valid('{cache}', {version})"));
    assert_eq!(is_valid("settings", &version), "t");
    assert_eq!(ask("SELECT bustard.invalidate('settings')"), "");
    assert_eq!(is_valid("settings", &version), "f");
    assert_eq!(is_valid("bans", &other), "t");
    ask("SELECT bustard.invalidate('settings', 'bans')");
    assert_eq!(is_valid("bans", &other), "f");
    let versions = "SELECT string_agg(version::text, ' ' ORDER BY name) FROM bustard.caches";
    let before = ask(versions);
    assert_eq!(ask("SELECT bustard.invalidate_all()"), "");
    let after = ask(versions);
    for (before, after) in before.split(' ').zip(after.split(' ')) {
        assert_ne!(before, after);
    }
    assert_eq!(ask("SELECT bustard.notify()"), "");
    // A rollback of a transaction also rolls back its invalidations.
    ask("BEGIN; SELECT bustard.invalidate_all(); ROLLBACK");
    assert_eq!(ask(versions), after);
}

#[test]
fn other_roles_do_nothing_else() {
    let (database, _client, role) = with_caches(&["settings"]);
    for sql in [
        "SELECT bustard.register_cache('mine')",
        "SELECT bustard.register_cache('mine', 'app')",
        "SELECT bustard.unregister_cache('settings')",
        "SELECT bustard.unknown_cache('x')",
        "SELECT * FROM bustard.cache",
        "SELECT * FROM bustard.event",
        "SELECT * FROM bustard.base",
        "INSERT INTO bustard.event (cell) VALUES (4096)",
        "UPDATE bustard.base SET n = 0",
        "DELETE FROM bustard.cache",
        "TRUNCATE bustard.event",
        "BEGIN; LOCK TABLE bustard.cache IN SHARE MODE",
        "CREATE TABLE bustard.mine ()",
        "CREATE FUNCTION bustard.get_version(varchar) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'",
        "DROP FUNCTION bustard.get_version(text)",
        "UPDATE bustard.caches SET app = 'mine'",
    ] {
        let outcome = database.psql_as(&role, sql).exits(1);
        // No role can write to a view with a join.
        let codes = ["ERROR:  42501:", "ERROR:  55000:"];
        assert!(codes.iter().any(|code| outcome.stderr.contains(code)), "{outcome}");
    }
}

#[test]
fn unknown_caches() {
    let (database, mut client, role) = with_caches(&["settings"]);
    for call in [
        "get_version('unknown')",
        "is_valid('unknown', 1)",
        "invalidate('unknown')",
        "invalidate('settings', 'unknown')",
        "invalidate(VARIADIC '{{settings,unknown}}')",
        "get_version('')",
        "is_valid('', 1)",
        "invalidate('')",
        "get_version('Settings ')",
    ] {
        refused(&database, &role, &format!("SELECT bustard.{call}"), "42704").complains("HINT:");
    }
    for name in ["unknown", ""] {
        let sql = format!("SELECT bustard.unregister_cache('{name}')");
        refused(&database, "postgres", &sql, "42704").complains("HINT:");
    }
    refused(&database, &role, "SELECT bustard.get_version('Setting')", "42704")
        .complains("cache \"Setting\" is not registered")
        .complains("HINT:  Did you mean \"settings\"?");
    refused(&database, &role, "SELECT bustard.invalidate('zzz')", "42704")
        .complains("HINT:  Registered caches: settings.");
    run(&mut client, "SELECT bustard.unregister_cache('settings')");
    refused(&database, &role, "SELECT bustard.is_valid('settings', 1)", "42704")
        .complains("HINT:  No cache is registered.");
    // The hint is short even if there are many long names.
    run(
        &mut client,
        "SELECT bustard.register_cache(repeat('x', 100) || i) FROM generate_series(1, 300) AS i",
    );
    let outcome = refused(&database, &role, "SELECT bustard.get_version(repeat('y', 1000000))", "42704");
    assert!(outcome.stderr.len() < 2_000, "{} bytes", outcome.stderr.len());
}

#[test]
fn nulls() {
    let (database, _client, role) = with_caches(&["settings"]);
    for call in [
        "get_version(NULL)",
        "is_valid(NULL, 1)",
        "invalidate(NULL)",
        "invalidate('settings', NULL)",
        "invalidate(VARIADIC NULL)",
    ] {
        refused(&database, &role, &format!("SELECT bustard.{call}"), "22023");
    }
    for call in ["register_cache(NULL)", "unregister_cache(NULL)"] {
        refused(&database, "postgres", &format!("SELECT bustard.{call}"), "22023");
    }
}

#[test]
fn registered_twice() {
    let (database, mut client, _role) = with_caches(&["settings"]);
    refused(&database, "postgres", "SELECT bustard.register_cache('settings')", "42710")
        .complains("cache \"settings\" is already registered by app \"forum\"")
        .complains("HINT:");
    run(
        &mut client,
        "SELECT bustard.unregister_cache('settings'); SELECT bustard.register_cache('settings')",
    );
    let outcome =
        refused(&database, "postgres", "SELECT bustard.register_cache('settings', 'other')", "42710");
    assert!(!outcome.stderr.contains("by app"), "the cache has no owner: {outcome}");
    refused(
        &database,
        "postgres",
        "SELECT bustard.register_cache(name) FROM unnest('{new,new}'::text[]) AS name",
        "42710",
    );
    refused(&database, "postgres", "SELECT bustard.get_version('new')", "42704");
}

#[test]
fn is_valid_accepts_only_the_current_version() {
    let (_database, mut client, _role) = with_caches(&["settings"]);
    let version: i64 = get(&mut client, "SELECT bustard.get_version('settings')");
    for other in [
        "0",
        "-1",
        "1",
        "9223372036854775807",
        "NULL",
        &(version + 1).to_string(),
        &(version - 1).to_string(),
    ] {
        let sql = format!("SELECT bustard.is_valid('settings', {other})");
        assert_eq!(get::<Option<bool>>(&mut client, &sql), Some(false), "{other}");
    }
    assert!(get::<bool>(&mut client, &format!("SELECT bustard.is_valid('settings', {version})")));
}

#[test]
fn ways_to_name_the_caches() {
    let (_database, mut client, _role) = with_caches(&["settings", "Größe 1"]);
    let version = "SELECT bustard.get_version('settings')";
    for names in [
        "'settings'",
        "'settings', 'settings'",
        "'settings', 'Größe 1'",
        "VARIADIC '{settings}'",
        "VARIADIC '{{settings,settings}}'",
        "VARIADIC '[0:0]={settings}'",
        "VARIADIC ARRAY(SELECT name FROM bustard.caches)",
    ] {
        let before: i64 = get(&mut client, version);
        run(&mut client, &format!("SELECT bustard.invalidate({names})"));
        let after: i64 = get(&mut client, version);
        assert_eq!((after >> 23) - (before >> 23), 1, "{names}");
    }
    // An empty array invalidates nothing, and neither does a list with an unknown name.
    let events: i64 = get(&mut client, "SELECT count(*) FROM bustard.event");
    run(&mut client, "SELECT bustard.invalidate(VARIADIC '{}')");
    assert_eq!(code(&mut client, "SELECT bustard.invalidate('settings', 'unknown')"), "42704");
    assert_eq!(get::<i64>(&mut client, "SELECT count(*) FROM bustard.event"), events);
}

/// The count has 40 bits. An overflow is an error, and never yields the version of another
/// cache.
#[test]
fn overflow() {
    let (database, mut client, role) = with_caches(&["settings"]);
    let all = "SELECT (bustard.get_version('settings') >> 23)";
    let counted: i64 = get(&mut client, all);
    let room = (1_i64 << 40) - 1 - counted;
    run(&mut client, &format!("UPDATE bustard.base SET n = n + {room} WHERE cell = 4096"));
    assert_eq!(get::<i64>(&mut client, all), (1 << 40) - 1);
    assert!(get::<i64>(&mut client, "SELECT bustard.get_version('settings')") >= i64::MAX - (1 << 23));
    run(&mut client, "SELECT bustard.invalidate('settings')");
    for sql in [
        "SELECT bustard.get_version('settings')",
        "SELECT bustard.is_valid('settings', 1)",
        "SELECT version FROM bustard.caches",
    ] {
        refused(&database, &role, sql, "22003");
    }
}

/// After `setseed`, `random()` repeats its numbers, but versions must not repeat.
#[test]
fn sessions_with_the_same_seed() {
    let (database, mut client, _role) = with_caches(&["settings"]);
    let seeded = "BEGIN; SELECT setseed(0.5); SELECT bustard.invalidate('settings')";
    run(&mut client, seeded);
    let rolled_back: i64 = get(&mut client, "SELECT bustard.get_version('settings')");
    run(&mut client, "ROLLBACK");
    let mut other = database.client();
    run(&mut other, &format!("{seeded}; COMMIT"));
    let committed: i64 = get(&mut client, "SELECT bustard.get_version('settings')");
    assert_eq!(rolled_back >> 23, committed >> 23);
    assert_ne!(rolled_back, committed);
}

#[test]
fn the_view() {
    let (database, mut client, role) = with_caches(&["settings", "bans"]);
    run(&mut client, "SELECT bustard.register_cache('adhoc'); SELECT bustard.invalidate('bans')");
    assert_eq!(
        ask(
            &database,
            &role,
            "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
             FROM pg_attribute WHERE attrelid = 'bustard.caches'::regclass"
        ),
        "name text, app text, version bigint, registered_at timestamp with time zone, tables text[]"
    );
    assert_eq!(
        ask(&database, &role, "SELECT name, app FROM bustard.caches ORDER BY name"),
        "adhoc\t\nbans\tforum\nsettings\tforum"
    );
    let agree =
        "SELECT bool_and(version = bustard.get_version(name) AND registered_at <= now()) FROM bustard.caches";
    assert_eq!(ask(&database, &role, agree), "t");
    let before: String =
        get(&mut client, "SELECT registered_at::text FROM bustard.caches WHERE name = 'bans'");
    run(&mut client, "SELECT bustard.unregister_cache('bans')");
    assert_eq!(ask(&database, &role, "SELECT count(*) FROM bustard.caches"), "2");
    run(&mut client, "SELECT bustard.register_cache('bans', 'other')");
    let row =
        client.query_one("SELECT registered_at::text, app FROM bustard.caches WHERE name = 'bans'", &[]);
    let row = row.expect("it is back");
    assert_ne!(row.get::<_, String>(0), before);
    assert_eq!(row.get::<_, String>(1), "other");
}
