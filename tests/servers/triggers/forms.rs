//! Tests `register cache … on` in code and in files, in plans, faked and reverted.

use bustard::{App, Migration, Migrator, registry};

use super::{Scene, both_with, bustard, count, invalidates, triggers};
use crate::support::Database;

fn bans() -> Migration {
    Migration::new()
        .sql("CREATE TABLE ban (id integer); CREATE TABLE \"Exception\" (id integer)")
        .register_cache_on("bans", ["ban", "\"Exception\""])
        .down(Migration::new().sql("DROP TABLE ban; DROP TABLE \"Exception\""))
}

#[test]
fn in_code() {
    let migrator = || Migrator::new().app(App::new("main").migration("V1__bans", bans()));
    let database = Database::new();
    let mut client = database.client();
    migrator().run(&mut client).unwrap_or_else(|error| panic!("{error}"));
    let before = registry::get_version(&mut client, "bans").expect("it is registered");
    client.batch_execute("INSERT INTO \"Exception\" VALUES (1)").expect("it runs");
    assert!(!registry::is_valid(&mut client, "bans", before).expect("it is registered"));
    assert!(!migrator().run(&mut client).expect("it runs").changed());
    client.batch_execute("ALTER TABLE ban DISABLE TRIGGER ALL").expect("it runs");
    assert_eq!(migrator().plan(&mut client).expect("it plans").missing_triggers.len(), 1);
    let report = migrator().run(&mut client).expect("it runs");
    assert_eq!((report.changed(), report.missing_triggers[0].table.as_str()), (true, "public.ban"));

    let mut connection = rusqlite::Connection::open_in_memory().expect("it opens");
    migrator().run(&mut connection).unwrap_or_else(|error| panic!("{error}"));
    let before = registry::get_version(&mut connection, "bans").expect("it is registered");
    connection.execute_batch("INSERT INTO \"exception\" VALUES (1)").expect("it runs");
    assert!(!registry::is_valid(&mut connection, "bans", before).expect("it is registered"));
    assert!(!migrator().run(&mut connection).expect("it runs").changed());
}

#[test]
fn wrong_names_in_code() {
    for (tables, message) in [
        (vec!["ban", "a b"], "`a b` is not a table name"),
        (vec![""], "the name of a table is missing"),
        (vec![], "the name of a table is missing"),
        (vec!["a.b.c"], "`a.b.c` is not a table name"),
    ] {
        let app =
            App::new("main").migration("V1__x", Migration::new().register_cache_on("bans", tables.clone()));
        let error = Migrator::new().app(app).check_sources(bustard::Engine::Sqlite).expect_err("it is wrong");
        assert!(error.to_string().contains(message), "{tables:?}: {error}");
    }
    let down = Migration::new().register_cache_on("bans", ["a b"]);
    let app = App::new("main").migration("V1__x", Migration::new().unregister_cache("bans").down(down));
    assert!(Migrator::new().app(app).check_sources(bustard::Engine::Sqlite).is_err());
}

/// The list of tables is part of the checksum, for a file and for a migration built in
/// code.
#[test]
fn tables_are_part_of_the_checksum() {
    let migrator = |table: &str| {
        let migration = Migration::new().sql("CREATE TABLE a (id integer); CREATE TABLE b (id integer)");
        Migrator::new().app(App::new("main").migration("V1__x", migration.register_cache_on("c", [table])))
    };
    let mut connection = rusqlite::Connection::open_in_memory().expect("it opens");
    migrator("a").run(&mut connection).expect("it runs");
    let error = migrator("b").run(&mut connection).expect_err("it is another");
    assert_eq!(error.kind(), bustard::ErrorKind::Divergent);
}

const BAN: &str = "CREATE TABLE ban (id integer);
CREATE TABLE exception (id integer);
-- bustard: Register Cache bans ON ban,exception
-- bustard: down
DROP TABLE ban;
DROP TABLE exception;
";

#[test]
fn in_a_plan() {
    for scene in Scene::both() {
        scene.file("V1__bans.sql", BAN);
        scene.project.sqlite("app.db").execute_batch("").expect("it is made");
        let plan = bustard(&scene, &["plan"]).success();
        assert!(plan.stdout.contains("    register cache bans on ban, exception\n"), "{plan}");
        let sql = bustard(&scene, &["plan", "--sql"]).success().stdout;
        let expected = match scene.is_postgres() {
            true => {
                "SELECT bustard.register_cache_on('bans', 'main', VARIADIC ARRAY['ban', 'exception']::pg_catalog.text[]);"
            }
            false => "-- bustard: register cache bans on ban, exception",
        };
        assert!(sql.contains(expected), "{sql}");
        scene.migrate(&[]).success().says("registered bans");
    }
}

/// A faked registration creates the triggers if the tables exist. If they do not, it does
/// not fail.
#[test]
fn faked() {
    for scene in Scene::both() {
        scene.file("V1__bans.sql", BAN);
        scene.execute("CREATE TABLE ban (id integer)");
        scene.migrate(&["--fake"]).success();
        assert!(invalidates(&scene, "bans", "INSERT INTO ban VALUES (1)"));
        assert_eq!(super::missing_triggers(&scene), []);
    }
}

#[test]
fn reverted_and_applied_again() {
    for scene in both_with(BAN) {
        bustard(&scene, &["revert", "--steps", "1"]).success().says("unregistered bans");
        assert_eq!(triggers(&scene), [""; 0]);
        scene.migrate(&[]).success();
        assert!(invalidates(&scene, "bans", "INSERT INTO exception VALUES (1)"));
    }
}

/// Every command that reports states reports missing triggers.
#[test]
fn missing_triggers_are_reported() {
    let scene = super::postgres_with(BAN);
    scene.execute("ALTER TABLE ban DISABLE TRIGGER ALL; ALTER TABLE exception RENAME TO exceptions");
    let before = count(&scene, "bans");
    let mut said = String::new();
    for (arguments, code) in [
        (["status"].as_slice(), 0),
        (&["check"], 3),
        (&["plan"], 0),
        (&["plan", "--sql"], 0),
        (&["migrate"], 0),
        (&["migrate"], 0),
    ] {
        said += &format!(
            "$ bustard {}\n{}\n",
            arguments.join(" "),
            bustard(&scene, arguments).exits(code).stdout
        );
    }
    let mut settings = crate::support::snapshot_settings(&scene.project);
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!("triggers__missing", said));
    // The run invalidates the sources of both tables and all caches.
    assert_eq!(count(&scene, "bans") - before, 3, "one run has restored the triggers");
}
