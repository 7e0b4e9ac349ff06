//! Row A1 and promise P3: a command reads where the histories are, and then the records. An
//! app that another run installs in between has not lost its history.

use crate::support::{Scene, wait_until};

/// Takes the app away, as if it had never been installed.
const HIDE: &str = "ALTER TABLE refinery_schema_history RENAME TO hidden;
    CREATE TABLE hidden_app AS TABLE bustard.app;
    CREATE TABLE hidden_migration AS TABLE bustard.migration;
    DELETE FROM bustard.app WHERE label = 'main';
    DELETE FROM bustard.migration WHERE app = 'main'";

const INSTALL: &str = "ALTER TABLE hidden RENAME TO refinery_schema_history;
    INSERT INTO bustard.app SELECT * FROM hidden_app WHERE label = 'main';
    INSERT INTO bustard.migration SELECT * FROM hidden_migration WHERE app = 'main';
    DROP TABLE hidden_app, hidden_migration";

#[test]
fn a1_an_app_that_is_installed_meanwhile_is_not_lost() {
    for command in ["migrate", "plan", "status", "check", "apps"] {
        let scene = Scene::postgres();
        scene.file("V1__users.sql", "CREATE TABLE users (id integer);\n");
        scene.migrate(&[]).exits(0);
        let mut other = scene.database().client();
        other.batch_execute(HIDE).expect("the app is hidden");
        let mut installing = other.transaction().expect("a transaction begins");
        // Reading the histories waits here: after their places were looked up, and before
        // the records are read.
        installing
            .batch_execute("LOCK TABLE bustard.refinery_schema_history_bustard IN ACCESS EXCLUSIVE MODE")
            .expect("the table is locked");
        let running = scene.project.spawn(&[command, "--database-url", &scene.url()]);
        wait_until("the command waits for the history", || {
            scene.value(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = \
                (SELECT oid FROM pg_database WHERE datname = current_database())",
            ) == "1"
        });
        installing.batch_execute(INSTALL).expect("the app is installed");
        installing.commit().expect("it commits");
        let outcome = running.wait();
        assert_eq!(outcome.code, Some(0), "{command}: {outcome}");
        assert_eq!(scene.value("SELECT count(*) FROM refinery_schema_history"), "1", "{command}: {outcome}");
    }
}
