//! Tests the assertions of `bustard::testing`. An assertion that fails panics at its line
//! in the test of a plugin, with a message for the author of the plugin.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use bustard::testing::TestDatabase;
use bustard::{App, Migration, registry};

thread_local! {
    /// The file in which this thread's expected panic occurred.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Returns the message of the panic of a block. The place of the panic must be in this
/// file.
#[track_caller]
fn panics<T>(block: impl FnOnce() -> T) -> String {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            let expected = PLACE.with_borrow_mut(|place| {
                place.as_mut().map(|place| *place = panic.location().map_or("", |l| l.file()).to_owned())
            });
            if expected.is_none() {
                before(panic);
            }
        }));
    });
    PLACE.set(Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(block));
    let place = PLACE.take();
    let payload = result.err().expect("the block panics");
    assert_eq!(place.as_deref(), Some(file!()), "#[track_caller] is missing");
    payload.downcast_ref::<String>().expect("it panics with a text").clone()
}

fn sql(up: &str, down: &str) -> Migration {
    Migration::new().sql(up).down(Migration::new().sql(down))
}

fn host() -> App {
    let users = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'Ann')";
    App::new("host")
        .migration("V1__users", sql(users, "DROP TABLE users").register_cache("users"))
        .migration("V2__posts", sql("CREATE TABLE posts (author INTEGER)", "DROP TABLE posts"))
}

/// Creates a plugin with a valid migration and the given migration.
fn with(second: Migration) -> TestDatabase {
    let bans = sql("CREATE TABLE bans (user_id INTEGER REFERENCES users (id))", "DROP TABLE bans");
    let plugin = App::new("plugin")
        .migration("V1__bans", bans.depends_on("host", 1).register_cache_on("bans", ["bans"]))
        .migration("V2__second", second.depends_on("host", 2));
    TestDatabase::new([host(), plugin])
}

fn good() -> Migration {
    sql("CREATE INDEX bans_user ON bans (user_id)", "DROP INDEX bans_user")
}

#[test]
fn a_reversible_app_passes() {
    let mut database = with(good());
    database.assert_round_trips("plugin");
    let versions = "SELECT version FROM refinery_schema_history_plugin ORDER BY 1";
    assert_eq!(database.values(versions), ["1", "2"]);
    with(good()).assert_round_trips("host");
}

/// A migration of another app depends on the first migration, and the second migration
/// depends on that migration of the other app. All three are reverted and applied together.
#[test]
fn interleaved_apps_pass() {
    let table = |name: &str| sql(&format!("CREATE TABLE {name} (id INTEGER)"), &format!("DROP TABLE {name}"));
    let first = App::new("first")
        .migration("V1__a", table("a"))
        .migration("V2__b", table("b").depends_on("second", 1));
    let second = App::new("second").migration("V1__c", table("c").depends_on("first", 1));
    let mut database = TestDatabase::new([first, second]);
    database.assert_round_trips("first");
    assert_eq!(database.schema(), "table a: id integer\ntable b: id integer\ntable c: id integer\n");
}

#[test]
fn a_round_trip_migrates_existing_rows() {
    let lower = sql("UPDATE users SET name = lower(name)", "UPDATE users SET name = upper(name)");
    let mut database = with(lower);
    database.migrate_to("plugin", 1);
    database.execute("INSERT INTO users (name) VALUES ('Bob'), ('Cleo')");
    database.assert_round_trip("plugin", 2);
    assert_eq!(database.values("SELECT name FROM users"), ["bob", "cleo"]);
    database.revert_to("plugin", 1);
    assert_eq!(database.values("SELECT name FROM users"), ["BOB", "CLEO"]);
}

#[test]
fn remains_of_a_revert_are_found() {
    let mut said = Vec::new();
    let leaves_index = sql("CREATE INDEX bans_user ON bans (user_id)", "SELECT 1");
    said.push(panics(|| with(leaves_index).assert_round_trips("plugin")));

    let changes_default = sql(
        "CREATE TABLE reasons (id INTEGER)",
        "DROP TABLE reasons; CREATE TABLE u (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'ann');
         DROP TABLE users; ALTER TABLE u RENAME TO users",
    );
    said.push(panics(|| with(changes_default).assert_round_trip("plugin", 2)));

    let keeps_cache =
        Migration::new().unregister_cache("users").down(Migration::new().unregister_cache("bans"));
    said.push(panics(|| with(keeps_cache).assert_round_trip("plugin", 2)));
    insta::assert_snapshot!(said.join("\n\n"));
}

#[test]
fn a_different_second_result_is_found() {
    let mut said = Vec::new();
    let once = sql("CREATE TABLE x (id INTEGER)", "DROP TABLE x").run("only once", |transaction| {
        let connection = transaction.sqlite().ok_or("SQLite")?;
        let column = connection.query_row("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0))?;
        transaction
            .execute(&format!("ALTER TABLE x ADD COLUMN c{column}; INSERT INTO users DEFAULT VALUES"))?;
        Ok(())
    });
    said.push(panics(|| with(once).assert_round_trip("plugin", 2)));
    insta::assert_snapshot!(said.join("\n\n"));
}

/// Each migration reverts its own effects, but only if no later migration is applied.
#[test]
fn remains_of_reverting_all_are_found() {
    let mut said = Vec::new();
    let table = |name: &str| sql(&format!("CREATE TABLE {name} (id INTEGER)"), &format!("DROP TABLE {name}"));
    let first = App::new("first")
        .migration(
            "V1__a",
            table("a").down(Migration::new().sql("DROP TABLE a").run("left behind", |transaction| {
                let posts = "SELECT count(*) FROM sqlite_master WHERE name = 'posts'";
                let connection = transaction.sqlite().ok_or("SQLite")?;
                if connection.query_row(posts, [], |row| row.get::<_, i64>(0))? > 0 {
                    transaction.execute("ALTER TABLE posts ADD COLUMN a INTEGER")?;
                }
                Ok(())
            })),
        )
        .migration("V2__b", table("b").depends_on("host", 2));
    let mut database = TestDatabase::new([host(), first]);
    said.push(panics(|| database.assert_round_trips("first")));
    insta::assert_snapshot!(said.join("\n\n"));
}

#[test]
fn impossible_assertions_are_reported() {
    let mut said = Vec::new();
    let mut database = with(Migration::new().sql("CREATE TABLE x (id INTEGER)"));
    said.push(panics(|| database.assert_round_trip("plugin", 2)));
    said.push(panics(|| database.assert_round_trip("plugin", 2)));
    said.push(panics(|| database.assert_round_trip("plugin", 3)));
    said.push(panics(|| database.assert_round_trips("plugins")));
    let mut database = with(Migration::new().run("count", |_| Ok(())));
    said.push(panics(|| database.assert_round_trip("plugin", 2)));
    insta::assert_snapshot!(said.join("\n\n"));
}

#[test]
fn invalidations_are_seen() {
    let mut said = Vec::new();
    let mut database = with(good());
    said.push(panics(|| database.assert_does_not_invalidate("bans", |_| ())));
    database.migrate();
    let invalidate = |name: &'static str| {
        move |connection: &mut rusqlite::Connection| registry::invalidate(connection, &[name]).unwrap()
    };
    database.assert_invalidates("users", invalidate("users"));
    database.assert_does_not_invalidate("bans", invalidate("users"));
    let ban = "INSERT INTO users (id) VALUES (1); INSERT INTO bans VALUES (1)";
    database.assert_invalidates("bans", |connection| connection.execute_batch(ban)).unwrap();
    database
        .assert_does_not_invalidate("users", |connection| connection.execute("DELETE FROM bans", []))
        .unwrap();

    said.push(panics(|| database.assert_invalidates("bans", invalidate("users"))));
    said.push(panics(|| database.assert_invalidates("bans", |_| ())));
    said.push(panics(|| database.assert_does_not_invalidate("bans", invalidate("bans"))));
    said.push(panics(|| database.assert_invalidates("ban", |_| ())));
    said.push(panics(|| database.assert_does_not_invalidate("ban", |_| ())));
    let open = |connection: &mut rusqlite::Connection| {
        connection.execute_batch("BEGIN; DELETE FROM bans").unwrap();
    };
    said.push(panics(|| database.assert_invalidates("bans", open)));
    insta::assert_snapshot!(said.join("\n\n"));
}

/// A rolled back invalidation does not count.
#[test]
fn a_transaction_that_is_dropped_does_not_invalidate() {
    let mut database = with(good());
    database.migrate();
    database.assert_does_not_invalidate("users", |connection| {
        let mut transaction = connection.transaction().unwrap();
        registry::invalidate(&mut transaction, &["users"]).unwrap();
    });
}

#[test]
fn failures_are_reported_at_the_callers_line() {
    let mut said = Vec::new();
    let mut database = with(Migration::new().sql("CREATE TABLE bans (id INTEGER)"));
    database.migrate_to("plugin", 1);
    said.push(panics(|| database.migrate()));
    said.push(panics(|| database.migrate_to("plugin", 2)));
    said.push(panics(|| database.revert_to("plugin", 7)));
    said.push(panics(|| database.execute("INSERT INTO absent VALUES (1)")));
    said.push(panics(|| database.values("SELECT absent FROM bans")));
    insta::assert_snapshot!(said.join("\n\n"));
}

#[test]
fn apps_can_be_directories() {
    let directory = tempfile::tempdir().unwrap();
    let file = "-- bustard: depends on host V1\n-- bustard: register cache bans on bans\n";
    let broken = "CREATE TABLE bans (id INTEGER);\n-- bustard: down\nDROP TABLE bans;\n";
    std::fs::write(directory.path().join("V1__bans.sql"), format!("{broken}{file}")).unwrap();
    let app = || App::directory("plugin", directory.path());
    let said = panics(|| TestDatabase::new([host(), app()]).migrate());
    assert!(said.contains("V1__bans.sql:4:1"), "{said}");

    let whole = "-- bustard: depends on host V1\nCREATE TABLE bans (id INTEGER);\n\
                 -- bustard: register cache bans on bans\n-- bustard: down\nDROP TABLE bans;\n";
    std::fs::write(directory.path().join("V1__bans.sql"), whole).unwrap();
    let mut database = TestDatabase::new([host(), app().history("plugin_log")]);
    database.assert_round_trips("plugin");
    assert_eq!(database.schema().lines().filter(|line| line.contains("plugin_log")).count(), 0);
    database
        .assert_invalidates("bans", |connection| connection.execute("INSERT INTO bans VALUES (1)", []))
        .unwrap();
}
