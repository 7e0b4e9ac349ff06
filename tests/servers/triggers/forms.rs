//! The operation in code and in files, in plans, faked and undone.

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
        (vec!["a.b.c"], "no name of a table"),
    ] {
        let app =
            App::new("main").migration("V1__x", Migration::new().register_cache_on("bans", tables.clone()));
        let error = Migrator::new().app(app).load(bustard::Engine::Sqlite).expect_err("it is wrong");
        assert!(error.to_string().contains(message), "{tables:?}: {error}");
    }
    let down = Migration::new().register_cache_on("bans", ["a b"]);
    let app = App::new("main").migration("V1__x", Migration::new().unregister_cache("bans").down(down));
    assert!(Migrator::new().app(app).load(bustard::Engine::Sqlite).is_err());
}

/// A file that says the same has the same checksum as what is built in code has
/// of its own: another list of tables is another migration.
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
            true => "SELECT bustard.register_cache_on('bans', 'main', 'ban', 'exception');",
            false => "-- bustard: register cache bans on ban, exception",
        };
        assert!(sql.contains(expected), "{sql}");
        scene.migrate(&[]).success().says("registered bans");
    }
}

/// The tables are there: the triggers come. They are not: nothing fails.
#[test]
fn faked() {
    for scene in Scene::both() {
        scene.file("V1__bans.sql", BAN);
        scene.execute("CREATE TABLE ban (id integer)");
        scene.migrate(&["--fake"]).success();
        assert!(invalidates(&scene, "bans", "INSERT INTO ban VALUES (1)"));
        assert_eq!(super::untracked(&scene), []);
    }
}

#[test]
fn undone_and_done_again() {
    for scene in both_with(BAN) {
        bustard(&scene, &["revert", "--steps", "1"]).success().says("unregistered bans");
        assert_eq!(triggers(&scene), [""; 0]);
        scene.migrate(&[]).success();
        assert!(invalidates(&scene, "bans", "INSERT INTO exception VALUES (1)"));
    }
}

/// Every command that says how things stand says what is missing.
#[test]
fn what_is_said() {
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
    assert_eq!(count(&scene, "bans") - before, 1, "one run has put them back");
}

/// A database that an older Bustard made: it is read, and a run brings what is new.
#[test]
fn a_registry_without_tables() {
    for scene in both_with("CREATE TABLE x (id integer);\n-- bustard: register cache xs\n") {
        super::migrated(&scene, "V2__off.sql", "-- bustard: unregister cache xs\n");
        let history = if scene.is_postgres() {
            "bustard.refinery_schema_history_bustard"
        } else {
            "refinery_schema_history_bustard"
        };
        let older = match scene.is_postgres() {
            true => "DROP FUNCTION bustard.untracked(), bustard.undo_register_cache(text), bustard.install_triggers(), bustard.register_cache_again(text),
                         bustard.register_cache_on(text, text, text[]), bustard.drop_triggers(), bustard.snapshot, bustard.identity;
                     DROP VIEW bustard.wanted_trigger, bustard.located, bustard.unfolded;
                     DROP FUNCTION bustard.trigger_name, bustard.table_changed; DROP TABLE bustard.tracked_table;
                     DROP TABLE bustard.app, bustard.migration",
            false => "DROP VIEW bustard_untracked; DROP VIEW bustard_wanted_trigger; DROP VIEW bustard_located;
                      DROP TRIGGER bustard_suspended; DROP TABLE bustard_tracked_table;
                      DROP TABLE bustard_app; DROP TABLE bustard_migration",
        };
        scene.execute(&format!("{older}; DELETE FROM {history} WHERE version >= 2"));
        if scene.is_postgres() {
            let function = include_str!("../../../migrations/V1__registry.postgres.sql");
            let start = function.find("CREATE FUNCTION bustard.unregister_cache").expect("it is there");
            let end = start + function[start..].find("$$;").expect("it ends") + 3;
            scene.execute(&function[start..end].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"));
        }
        bustard(&scene, &["check"]).exits(3);
        bustard(&scene, &["plan"]).success().says("V2__reading_side");
        if scene.is_postgres() {
            // The driver does not tell which of several statements failed.
            let app = App::directory("main", scene.project.path().join("migrations"));
            let plan = Migrator::new().app(app).plan(&mut scene.database().client()).expect("it plans");
            assert_eq!(plan.steps.iter().map(|step| step.migration.version).collect::<Vec<_>>(), [2, 3]);
        }
        // Undoing works with what there is.
        bustard(&scene, &["revert", "--steps", "1"]).success();
        assert!(count(&scene, "xs") > 0);
        bustard(&scene, &["caches", "unregister", "xs", "--force"]).success();
        bustard(&scene, &["caches", "register", "xs"]).success();
        std::fs::remove_file(scene.project.path().join("migrations/V2__off.sql")).expect("it is there");
        scene.migrate(&[]).success().says("V2__reading_side");
        bustard(&scene, &["check"]).exits(0);
    }
}

/// What applications have stored with a version stays valid or over as it was: the
/// second of Bustard's own migrations by itself changes no version.
#[test]
fn versions_of_an_older_registry() {
    for scene in Scene::both() {
        let sql = |name: &str| {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/").to_owned();
            std::fs::read_to_string(format!("{path}{name}.{}.sql", scene.engine)).expect(name)
        };
        let versions = match scene.is_postgres() {
            true => {
                scene.execute(&format!("CREATE SCHEMA bustard; {}", sql("V1__registry")));
                for statement in [
                    "SELECT bustard.register_cache('a', 'main'), bustard.register_cache('b'), bustard.register_cache('off')",
                    "SELECT bustard.invalidate('a', 'b'), bustard.unregister_cache('off'), bustard.invalidate_all()",
                    "SELECT bustard.fold()",
                    "SELECT bustard.invalidate('a'), bustard.invalidate_all()",
                ] {
                    scene.execute(statement);
                }
                "SELECT string_agg(concat_ws(' ', name, app, version, bustard.get_version(name), registered_at), ',' ORDER BY name)
                 FROM bustard.caches"
            }
            false => {
                scene.execute(&sql("V1__registry"));
                scene.execute(
                    "INSERT INTO bustard_cache (id, name, app) VALUES (2, 'a', 'main'), (3, 'b', NULL)",
                );
                scene.execute("INSERT INTO bustard_cache (id, name, active, n) VALUES (4, 'off', 0, 7)");
                scene.execute("UPDATE bustard_cache SET n = n + 1, nonce = random() WHERE id IN (1, 2)");
                "SELECT group_concat(name || ' ' || coalesce(app, '') || version || registered_at) FROM bustard_caches"
            }
        };
        let before = scene.value(versions);
        assert!(before.starts_with("a ") && before.contains(",b ") && !before.contains("off"), "{before}");
        scene.execute(&sql("V2__reading_side"));
        assert_eq!(scene.value(versions), before);
        if scene.is_postgres() {
            let same = "SELECT bool_and(s.n << 23 | (s.nonce & 8388607) = bustard.get_version(s.name))
                FROM bustard.snapshot(NULL, NULL, NULL) AS s WHERE s.name IS NOT NULL";
            assert_eq!(scene.value(same), "t");
        }
    }
}
