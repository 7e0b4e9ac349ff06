//! Tests calls in the forms that drivers and programs use: with parameters, prepared, from
//! triggers and functions, and in read-only transactions.

use postgres::fallible_iterator::FallibleIterator;
use postgres::types::Type;

use super::{ask, code, get, refused, run, with_caches};
use crate::support::PATIENCE;

/// Each statement is called more than five times, because then the server may cache its
/// plan.
#[test]
fn prepared_statements() {
    let (database, _client, role) = with_caches(&["settings", "bans"]);
    for mode in ["auto", "force_generic_plan", "force_custom_plan"] {
        let mut client = database.client_as(&role);
        run(&mut client, &format!("SET plan_cache_mode = {mode}"));
        let version = client.prepare("SELECT bustard.get_version($1)").expect("one parameter");
        let valid = client.prepare("SELECT bustard.is_valid($1, $2)").expect("two parameters");
        let one = client.prepare("SELECT bustard.invalidate($1)").expect("one name");
        let two = client.prepare("SELECT bustard.invalidate($1, $2)").expect("two names");
        let any = client.prepare("SELECT bustard.invalidate(VARIADIC $1)").expect("an array");
        let all = client.prepare("SELECT bustard.invalidate_all()").expect("no parameters");
        assert_eq!(version.params(), [Type::TEXT]);
        assert_eq!(version.columns()[0].type_(), &Type::INT8);
        assert_eq!(valid.params(), [Type::TEXT, Type::INT8]);
        assert_eq!(valid.columns()[0].type_(), &Type::BOOL);
        assert_eq!(two.params(), [Type::TEXT, Type::TEXT]);
        assert_eq!(any.params(), [Type::TEXT_ARRAY]);
        for round in 0..12 {
            for way in 0..4 {
                let before: i64 = client.query_one(&version, &[&"settings"]).expect("it is there").get(0);
                let mut transaction = client.transaction().expect("it begins");
                let done = match way {
                    0 => transaction.execute(&one, &[&"settings"]),
                    1 => transaction.execute(&two, &[&"settings", &"bans"]),
                    2 => transaction.execute(&any, &[&["bans", "settings"].as_slice()]),
                    _ => transaction.execute(&all, &[]),
                };
                done.expect("every role may");
                transaction.commit().expect("it is open");
                let after: i64 = client.query_one(&version, &[&"settings"]).expect("it is there").get(0);
                assert_eq!((after >> 23) - (before >> 23), 1, "{mode}, round {round}, way {way}");
                for (version, is_valid) in [(before, false), (after, true)] {
                    let row = client.query_one(&valid, &[&"settings", &version]).expect("it is there");
                    assert_eq!(row.get::<_, bool>(0), is_valid, "{mode}, round {round}, way {way}");
                }
            }
        }
        let error = client.query_one(&version, &[&"unknown"]).expect_err("it is not registered");
        let error = error.as_db_error().expect("the server reported it");
        assert_eq!(error.code().code(), "42704");
        assert!(error.hint().is_some());
    }
}

/// The cached entries are rows of the database, with their versions beside them.
#[test]
fn in_queries() {
    let (database, mut client, role) = with_caches(&["settings", "bans"]);
    run(
        &mut client,
        &format!(
            "CREATE TABLE entry (cache text, version bigint);
             INSERT INTO entry SELECT name, version FROM bustard.caches, generate_series(1, 100);
             GRANT ALL ON entry TO {role}"
        ),
    );
    ask(&database, &role, "SELECT bustard.invalidate('bans')");
    let valid = "SELECT DISTINCT cache FROM entry WHERE bustard.is_valid(cache, version)";
    assert_eq!(ask(&database, &role, valid), "settings");
    let parallel = format!(
        "SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
         SET min_parallel_table_scan_size = 0; {valid}"
    );
    assert_eq!(ask(&database, &role, &parallel), "settings");
    // A parallel worker sees the invalidation of its own transaction.
    let own =
        format!("BEGIN; SELECT bustard.invalidate('settings'); {}", parallel.replace("SET ", "SET LOCAL "));
    assert_eq!(ask(&database, &role, &own), "");
}

#[test]
fn in_triggers_and_functions() {
    let (database, mut client, role) = with_caches(&["settings"]);
    run(
        &mut client,
        &format!(
            "CREATE TABLE setting (name text, value text);
             CREATE FUNCTION bust() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN PERFORM bustard.invalidate(TG_ARGV[0]); RETURN NULL; END';
             CREATE TRIGGER bust AFTER INSERT OR UPDATE OR DELETE ON setting
                 FOR EACH STATEMENT EXECUTE FUNCTION bust('settings');
             GRANT ALL ON setting TO {role}"
        ),
    );
    let before: i64 = get(&mut client, "SELECT bustard.get_version('settings')");
    ask(&database, &role, "INSERT INTO setting SELECT i, i FROM generate_series(1, 10) AS i");
    ask(&database, &role, "UPDATE setting SET value = ''");
    let after: i64 = get(&mut client, "SELECT bustard.get_version('settings')");
    assert_eq!((after >> 23) - (before >> 23), 2);
}

#[test]
fn in_read_only_transactions() {
    let (database, mut client, role) = with_caches(&["settings"]);
    let version: i64 = get(&mut client, "SELECT bustard.get_version('settings')");
    let begin = "BEGIN READ ONLY";
    let sql = format!("{begin}; SELECT bustard.get_version(name), version FROM bustard.caches");
    assert_eq!(ask(&database, &role, &sql), format!("{version}\t{version}"));
    refused(&database, &role, &format!("{begin}; SELECT bustard.invalidate('settings')"), "25006");
    refused(&database, &role, &format!("{begin}; SELECT bustard.invalidate_all()"), "25006");
    assert_eq!(code(&mut client, &format!("{begin}; SELECT bustard.register_cache('x')")), "25006");
}

/// Notifications arrive on the channel `bustard` when the transaction commits.
#[test]
fn notifications() {
    let (database, mut client, role) = with_caches(&[]);
    run(&mut client, "LISTEN bustard");
    ask(&database, &role, "BEGIN; SELECT bustard.notify(); ROLLBACK");
    ask(&database, &role, "SELECT bustard.notify()");
    let mut notifications = client.notifications();
    let mut waited = notifications.timeout_iter(PATIENCE);
    let first = waited.next().expect("the connection is open").expect("a notification arrives");
    assert_eq!((first.channel(), first.payload()), ("bustard", ""));
}
