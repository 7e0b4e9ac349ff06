//! Tests the records of migrations, which keep the contents of the file until the migration
//! is reverted.

use bustard::report::State;
use bustard::{
    App, AppState, Database, Migration, OpenTransaction, Repair, Revert, TransactionMode, Uninstall,
};

use super::{Ground, bans, changes, forum, migrator, names, table, without_own};
use crate::support::Scene;

impl Ground {
    /// Returns all records, one line for each: `app version depends_on | revert |
    /// irreversible`.
    fn records(&self) -> String {
        let (records, list) = match self.scene.is_postgres() {
            true => ("bustard.migration", "string_agg(line, '' ORDER BY app, version)"),
            false => ("(SELECT * FROM bustard_migration ORDER BY app, version)", "group_concat(line, '')"),
        };
        let line = "app || ' ' || version || ' ' || depends_on || ' | ' || revert || ' | ' || coalesce(irreversible, '') || '\n'";
        let shown = format!("SELECT {list} FROM (SELECT app, version, {line} AS line FROM {records}) AS x");
        self.scene
            .value(&format!("SELECT replace(replace(({shown}), '\r', '<CR>'), '\n', '<LF>')"))
            .replace("<CR>", "\r")
            .replace("<LF>", "\n")
    }

    fn bodies(&self) -> String {
        let records = self.own("migration");
        let list = if self.scene.is_postgres() {
            "string_agg(body_checksum, ',' ORDER BY app, version)"
        } else {
            "group_concat(body_checksum)"
        };
        self.scene.value(&format!("SELECT {list} FROM (SELECT * FROM {records} ORDER BY app, version) AS x"))
    }

    /// Restores the state that refinery would have left.
    fn forget(&self) {
        let sqlite = &without_own(crate::support::Engine::Sqlite);
        self.scene.execute(if self.scene.is_postgres() { "DROP SCHEMA bustard CASCADE" } else { sqlite });
    }
}

const FILE: &str = "-- bustard: depends on forum V2
-- bustard: depends on bans
-- bustard: register cache a
-- bustard: register cache \"b, c\" on x
CREATE TABLE x (id integer); INSERT INTO x VALUES (1);
-- bustard: down
DELETE FROM x -- all
  WHERE id > 0;
-- bustard: register cache d on x, \"y\"
DROP TABLE x; -- that is it
";

#[test]
fn a_record_has_the_contents_of_the_file() {
    for mut ground in Ground::both() {
        let file = FILE.replace("\" on x\nCREATE TABLE x (id integer);", "\"\nCREATE TABLE x (id integer);");
        ground.scene.project.file("plugin/V1__plugin.sql", file.replace('\n', "\r\n"));
        ground.scene.project.file("plugin/V2__last.sql", "DELETE FROM x;\n-- bustard: unregister cache a\n");
        let plugin = App::directory("plugin", ground.scene.project.path().join("plugin"));
        let fill = |transaction: &mut OpenTransaction<'_, '_>| Ok(transaction.execute("DELETE FROM code")?);
        let code = App::new("code")
            .migration("V1__undone", table("code").register_cache("code"))
            .migration("V2__run", Migration::new().run("fill", fill))
            .migration(
                "V3__back",
                Migration::new().down(Migration::new().run("empty", fill).sql("SELECT 1")),
            );
        let apps = [forum(), bans(), plugin, code];
        // The apps are first applied together, and later adopted.
        for mode in [TransactionMode::All, TransactionMode::Each] {
            let report = migrator(&apps).transaction(mode).run(&mut ground.database);
            report.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(
                ground.records(),
                "bans 1 forum:1 | -- bustard: unregister cache bans\nDROP TABLE ban;\n | \n\
                 code 1  | -- bustard: unregister cache code\nDROP TABLE code;\n | \n\
                 code 2  |  | nothing reverts: run function fill\n\
                 code 3  | -- function empty\nSELECT 1;\n | the function empty is in the app's code\n\
                 forum 1  | DROP TABLE users;\n | \n\
                 forum 2  | DROP TABLE posts;\n | \n\
                 plugin 1 bans:1 forum:2 | -- bustard: unregister cache \"b, c\"\n-- bustard: unregister cache a\n\
                 DELETE FROM x -- all\r\n  WHERE id > 0;\n-- bustard: register cache d on x, \"y\"\nDROP TABLE x;\n | \n\
                 plugin 2  |  | nothing reverts: DELETE FROM x\n",
            );
            ground.forget();
        }
    }
}

#[test]
fn a_reverted_migration_has_no_record() {
    for mut ground in Ground::both() {
        let apps = [forum(), bans()];
        migrator(&apps).fake(true).run(&mut ground.database).expect("it runs");
        let recorded = format!("SELECT count(*) FROM {}", ground.own("migration"));
        assert_eq!(ground.scene.value(&recorded), "3");
        migrator(&apps).fake(true).revert(&mut ground.database, &Revert::Steps(1)).expect("it is reverted");
        let records = ground.records();
        assert!(!records.contains("forum 2") && records.contains("forum 1"), "{records}");
        migrator(&apps).fake(true).revert(&mut ground.database, &Revert::Steps(9)).expect("it is reverted");
        assert_eq!(ground.records(), "");
        let rows = format!("SELECT count(*) FROM {}", ground.own("app"));
        assert_eq!(ground.scene.value(&rows), "2");
    }
}

/// Applied migrations get records when the tables for them are created.
#[test]
fn a_database_without_records_is_adopted() {
    for mut ground in Ground::both() {
        let apps = [forum(), bans()];
        ground.run(&apps);
        let (records, bodies) = (ground.records(), ground.bodies());
        ground.forget();
        let states = [("bans".to_owned(), AppState::Enabled), ("forum".to_owned(), AppState::Enabled)];
        assert_eq!(ground.states(&apps), states);
        for mode in [TransactionMode::Each, TransactionMode::All] {
            let report = migrator(&apps).transaction(mode).run(&mut ground.database).expect("it runs");
            assert!(report.steps.iter().all(|done| done.app == "bustard"), "{:?}", report.steps);
            assert_eq!(changes(&report), [], "the apps were installed before");
            assert_eq!((ground.records(), ground.bodies()), (records.clone(), bodies.clone()));
            assert_eq!(ground.states(&apps), states);
            ground.unchanged(|database| migrator(&apps).run(database));
            ground.forget();
        }

        // In the same run, one migration is pending and another migration has diverged.
        let changed = App::new("bans").migration("V1__bans", table("other").register_cache("bans"));
        let more = [forum().migration("V3__more", table("more")), changed];
        migrator(&more).allow_divergent(true).run(&mut ground.database).expect("it runs");
        let records = ground.records();
        assert!(records.contains("forum 1 ") && records.contains("forum 3 "), "{records}");
        assert!(!records.contains("bans"), "the applied text of bans is unknown: {records}");
        assert_eq!(ground.states(&more), states);
        migrator(&more)
            .repair(&mut ground.database, &bustard::Repair::migration("bans", 1))
            .expect("it is accepted");
        assert!(ground.records().contains("bans 1  | -- bustard: unregister cache bans\nDROP TABLE other"));
    }
}

/// An app is added to the database later. Its history comes from another program.
#[test]
fn an_app_that_is_added_later_is_adopted() {
    for mut ground in Ground::both() {
        ground.run(&[forum(), bans()]);
        let records = ground.records();
        let (app, migration) = (ground.own("app"), ground.own("migration"));
        ground.scene.execute(&format!(
            "DELETE FROM {app} WHERE label = 'bans'; DELETE FROM {migration} WHERE app = 'bans'"
        ));
        assert_eq!(ground.state(&[forum(), bans()], "bans"), AppState::Enabled);
        ground.unchanged(|database| migrator(&[forum(), bans()]).run(database));
        assert_ne!(ground.records(), records);
        let later = bans().migration("V2__more", table("more"));
        ground.run(&[forum(), later.clone()]);
        let more = ground.records();
        assert!(records.lines().all(|line| more.contains(line)) && more.contains("bans 2 "), "{more}");
        // An app that is disabled before it has records is adopted too.
        ground.forget();
        ground.run(&[forum()]);
        migrator(&[forum(), later.clone()]).disable(&mut ground.database, "bans").expect("it is loaded");
        assert_eq!(ground.records(), more);
        assert_eq!(ground.state(&[forum(), later], "bans"), AppState::Disabled);
    }
}

#[test]
fn a_database_that_refinery_migrated_is_adopted() {
    for mut ground in Ground::both() {
        let project = &ground.scene.project;
        project.file("migrations/V1__a.sql", "CREATE TABLE a (id integer);\n");
        project.file("migrations/V2__b.sql", "CREATE TABLE b (id integer);\n");
        let directory = project.path().join("migrations");
        let app = App::directory("main", &directory);
        match ground.scene.is_postgres() {
            true => {
                let files = refinery::load_sql_migrations(&directory).expect("they are read");
                let mut client = ground.scene.database().client();
                refinery::Runner::new(&files).run(&mut client).expect("it runs");
            }
            false => {
                ground.run(std::slice::from_ref(&app));
                ground.forget();
            }
        }
        let report = ground.run(std::slice::from_ref(&app));
        assert!(report.steps.iter().all(|done| done.app == "bustard"), "{:?}", report.steps);
        assert_eq!(
            ground.records(),
            "main 1  |  | nothing reverts: CREATE TABLE a (id integer)\n\
             main 2  |  | nothing reverts: CREATE TABLE b (id integer)\n"
        );
        // Directives may be added to refinery's files, if nothing else is changed.
        ground
            .scene
            .project
            .file("migrations/V2__b.sql", "-- bustard: depends on forum V1\nCREATE TABLE b (id integer);\n");
        ground.run(&[forum()]);
        let status = migrator(&[forum(), app]).status(&mut ground.database).expect("there is a status");
        assert!(status.migrations.iter().all(|migration| migration.state == State::Applied));
        assert_eq!(status.warnings.len(), 1);
    }
}

/// What needs the records is refused until a run has made them. Accepting a file works
/// before, because a run refuses a database with a changed file.
#[test]
fn a_database_that_only_refinery_has_migrated() {
    for mut ground in Ground::both() {
        let project = &ground.scene.project;
        project
            .file("migrations/V1__a.sql", "CREATE TABLE a (id integer);\n-- bustard: down\nDROP TABLE a;\n");
        let app = App::directory("main", project.path().join("migrations"));
        ground.run(std::slice::from_ref(&app));
        ground.forget();
        let migrator = migrator(&[app]);

        let revert = Revert::Steps(1);
        let history = Repair::History { app: None, table: "a".to_owned() };
        for error in [
            ground.refused(|database| migrator.revert(database, &revert)),
            ground.refused(|database| migrator.plan_revert(database, &revert)),
            ground.refused(|database| migrator.disable(database, "main")),
            ground.refused(|database| migrator.enable(database, "main")),
            ground.refused(|database| migrator.plan_uninstall(database, &Uninstall::new("main"))),
            ground.refused(|database| migrator.repair(database, &history)),
            ground.refused(|database| migrator.repair(database, &Repair::NewIdentity)),
        ] {
            assert!(error.message().contains("no records of what is installed yet"), "{error}");
            assert!(error.report().to_string().contains("`Migrator::run` first"), "{}", error.report());
        }
        let accept = Repair::migration("main", 1);
        ground.unchanged(|database| migrator.repair(database, &accept));
        ground.scene.project.file("migrations/V1__a.sql", "CREATE TABLE a (id int);\n");
        let error = ground.refused(|database| migrator.run(database));
        assert!(error.message().contains("main:V1__a was changed after"), "{error}");
        let report = migrator.repair(&mut ground.database, &accept).expect("it is repaired");
        assert_eq!(names(&report), ["main:V1__a"]);
        ground.unchanged(|database| migrator.repair(database, &accept));
        migrator.run(&mut ground.database).expect("the file is the applied one");
        ground.unchanged(|database| migrator.run(database));
    }
}

/// A role migrates an app of its own in a database whose records belong to another role.
#[test]
fn a_role_without_rights_to_records_gets_an_error() {
    let mut ground = Ground::on(Scene::postgres());
    ground.run(&[forum(), bans()]);
    let database = ground.scene.database();
    let guest = database.create_role("guest", "");
    ground.scene.execute(&format!(
        "CREATE SCHEMA guest AUTHORIZATION {guest}; ALTER ROLE {guest} SET search_path = guest;
         GRANT SELECT ON bustard.refinery_schema_history_bustard, refinery_schema_history_bans TO {guest}"
    ));
    let mut theirs = Database::new(&database.url_as(&guest)).expect("a good URL");
    let own = migrator(&[App::new("own").migration("V1__own", table("own"))]);
    own.run(&mut theirs).expect("it runs");
    let listed = own.list_apps(&mut theirs).expect("they are listed");
    let labels: Vec<&str> = listed.iter().map(|app| app.label.as_str()).collect();
    assert_eq!(labels, ["bans", "own"], "the guest may not read the history of the forum");
    let refusals = [
        own.disable(&mut theirs, "own").map(drop),
        own.enable(&mut theirs, "bans").map(drop),
        own.plan_uninstall(&mut theirs, &Uninstall::new("bans")).map(drop),
    ];
    for refused in refusals {
        let error = refused.expect_err("it is not theirs");
        assert!(
            error.message().ends_with("by this role: Bustard's own tables belong to another role"),
            "{error}"
        );
    }
}

/// Two applications in two schemas of one database may have apps with the same label.
#[test]
fn a_label_of_another_application() {
    let mut ground = Ground::on(Scene::postgres());
    ground.run(&[forum(), bans()]);
    let records = ground.records();
    ground.scene.execute("CREATE SCHEMA other");
    ground.scene.database().set("search_path", "other");
    let mut other = ground.connect();
    let others = App::new("forum").migration("V1__other", table("other"));
    let other_migrator = migrator(std::slice::from_ref(&others));
    let error = other_migrator.run(&mut other).map(drop).expect_err("the label is taken");
    assert_eq!(error.kind(), bustard::ErrorKind::History, "{error}");
    for table in ["public.refinery_schema_history_forum", "other.refinery_schema_history_forum"] {
        assert!(error.message().contains(table), "{error}");
    }
    other_migrator.disable(&mut other, "forum").map(drop).expect_err("it is not its own");
    assert_eq!(ground.records(), records);
    migrator(&[forum(), bans()]).disable(&mut ground.database, "forum").expect("it is its own");
}
