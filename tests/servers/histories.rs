//! Tests that history tables with 4-byte and with 8-byte versions are found, read, written
//! and dropped, on both engines.

use bustard::report::State;
use bustard::{App, Database, Migration, Migrator, Revert, Uninstall};

use crate::support::Scene;

const TABLE: &str = "refinery_schema_history";

/// Creates an empty table as refinery creates it, with versions of this type.
fn make_table(scene: &Scene, version: &str) {
    scene.execute(&format!(
        "CREATE TABLE {TABLE} (version {version} PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255), \
         checksum VARCHAR(255))"
    ));
}

fn count(scene: &Scene, of: &str) -> String {
    scene.value(&format!("SELECT count(*) FROM {of}"))
}

fn exists(scene: &Scene) -> bool {
    let catalogue =
        if scene.is_postgres() { "pg_tables WHERE tablename" } else { "sqlite_master WHERE name" };
    count(scene, &format!("{catalogue} = '{TABLE}'")) == "1"
}

fn width(scene: &Scene) -> String {
    scene.value(&match scene.is_postgres() {
        true => format!(
            "SELECT format_type(atttypid, NULL) FROM pg_attribute \
             WHERE attrelid = '{TABLE}'::regclass AND attname = 'version'"
        ),
        false => format!("SELECT lower(type) FROM pragma_table_info('{TABLE}') WHERE name = 'version'"),
    })
}

fn app(first: &str) -> App {
    let table = |sql: &str, name: &str| {
        Migration::new().sql(sql).down(Migration::new().sql(format!("DROP TABLE {name}")))
    };
    App::new("main")
        .migration("V1__a", table(first, "a"))
        .migration("V2__b", table("CREATE TABLE b (id INTEGER)", "b"))
}

const FIRST: &str = "CREATE TABLE a (id INTEGER)";
const CHANGED: &str = "CREATE TABLE a (id  INTEGER)";

fn states(migrator: &Migrator, database: &mut Database) -> Vec<State> {
    let status = migrator.status(database).expect("it can be read");
    status.migrations.iter().filter(|one| one.app == "main").map(|one| one.state).collect()
}

#[test]
fn a_history_with_versions_of_either_width_is_found_read_written_and_dropped() {
    for version in ["int4", "int8"] {
        for scene in Scene::both() {
            make_table(&scene, version);
            let before = width(&scene);
            let url = match scene.is_postgres() {
                true => scene.url(),
                false => scene.project.sqlite_url("app.db"),
            };
            let mut database = Database::new(&url).expect("the URL is good");
            let migrator = Migrator::new().app(app(FIRST));
            assert_eq!(states(&migrator, &mut database), [State::Pending, State::Pending]);

            // Rows are inserted, and recognised by their checksums.
            assert!(migrator.run(&mut database).expect("it runs").changed());
            assert_eq!((count(&scene, TABLE), width(&scene)), ("2".to_owned(), before), "{version}");
            assert!(!migrator.run(&mut database).expect("it runs").changed());
            assert_eq!(states(&migrator, &mut database), [State::Applied, State::Applied]);

            // A row is replaced.
            let changed = Migrator::new().app(app(CHANGED));
            assert_eq!(states(&changed, &mut database), [State::Divergent, State::Applied]);
            changed.repair(&mut database, &bustard::Repair::migration("main", 1)).expect("it is accepted");
            assert_eq!(states(&changed, &mut database), [State::Applied, State::Applied]);
            assert_eq!(states(&migrator, &mut database), [State::Divergent, State::Applied]);

            // A row is deleted.
            changed.revert(&mut database, &Revert::Steps(1)).expect("it is reverted");
            assert_eq!(scene.value(&format!("SELECT version FROM {TABLE}")), "1");
            assert_eq!(states(&changed, &mut database), [State::Applied, State::Pending]);

            // The table is dropped.
            let plan = changed.plan_uninstall(&mut database, &Uninstall::new("main")).expect("it is planned");
            changed.uninstall(&mut database, &plan).expect("it is uninstalled");
            assert!(!exists(&scene), "{version}");

            // The table is created again, with versions of the width that new tables have.
            changed.run(&mut database).expect("it runs");
            assert_eq!(count(&scene, TABLE), "2");
        }
    }
}
