//! A5 and A6: what is applied is judged by its checksum, never by its text.

use bustard::diagnostic::Code;
use bustard::embedded::File;
use bustard::report::State;
use bustard::{App, Database, ErrorKind, Migration, Migrator, Revert};

use crate::support::Scene;

/// Texts that are refused or warned about while they are pending, on both engines.
const ANYWHERE: &[&str] = &[
    "BEGIN;\nCREATE TABLE a (x int);\nCOMMIT;\nBEGIN;\nCOMMIT;\n",
    "BEGIN;\nCREATE TABLE a (x int);\n",
    "ROLLBACK;\n",
    "VACUUM;\n",
    "SELECT 'it;\n",
    "SELECT \"it;\n",
    "SELECT 1;\0\n",
    "-- bustard: registr cache x\nSELECT 1;\n",
    "-- bustard: register cache a b c\nSELECT 1;\n",
    "-- bustard: no transaction\nSELECT 1;\n",
    "-- bustard: this is a note\nSELECT 1;\n",
    "  -- bustard: down\nSELECT 1;\n",
    "SELECT\n-- bustard: down\n1;\n",
    "-- bustard: down\n-- bustard: down\n",
    "-- bustard: down\n-- bustard: no transaction\n",
    "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\n",
    "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;\n",
    "-- bustard down\nSELECT 1;\n",
    "",
    "-- nothing at all\n",
];

const POSTGRES: &[&str] = &[
    "CREATE INDEX CONCURRENTLY a ON b (c);\n",
    "ALTER SYSTEM SET work_mem = '4MB';\n",
    "COPY a FROM stdin;\n1\tit's\n\\.\n",
    "COPY a TO stdout;\n",
    "\\connect other\nSELECT 1;\n",
    "\\i other.sql\n",
    "SELECT 1 \\gset\n",
    "SELECT $a$ open;\n",
    "SELECT 1 /* open;\n",
    "SET client_encoding = 'LATIN1';\nSELECT 1;\n",
    "SET standard_conforming_strings = off;\nSELECT 'it\\'s';\n",
    "START TRANSACTION READ ONLY;\nSELECT 1;\nCOMMIT AND CHAIN;\n",
    "PREPARE TRANSACTION 'x';\n",
];

const SQLITE: &[&str] = &[
    "PRAGMA journal_mode = WAL;\n",
    "PRAGMA foreign_keys = OFF;\nSELECT 1;\n",
    "PRAGMA wal_checkpoint(FULL);\n",
    "ATTACH 'other.db' AS other;\n",
    ".mode list\nSELECT 1;\n",
    "SELECT [open;\n",
];

/// Returns the texts for an engine, each with the name of a file: from V1 on, in order.
fn texts(engine: &str) -> Vec<(String, &'static str)> {
    let own = if engine == "postgres" { POSTGRES } else { SQLITE };
    let all = ANYWHERE.iter().chain(own).enumerate();
    all.map(|(n, text)| (format!("V{}__x.sql", n + 1), *text)).collect()
}

/// Writes the texts as files, and history rows as refinery has them.
fn applied(scene: &Scene) -> usize {
    let texts = texts(scene.engine);
    scene.execute(
        "CREATE TABLE refinery_schema_history (version int8 PRIMARY KEY, name VARCHAR(255), \
         applied_on VARCHAR(255), checksum VARCHAR(255))",
    );
    for (file, text) in &texts {
        scene.file(file, text);
        let stem = file.trim_end_matches(".sql");
        let theirs = refinery_core::Migration::unapplied(stem, text).expect("a good name");
        scene.execute(&format!(
            "INSERT INTO refinery_schema_history VALUES ({}, 'x', '2026-01-01T00:00:00Z', '{}')",
            theirs.version(),
            theirs.checksum()
        ));
    }
    texts.len()
}

const PENDING: &str = "CREATE TABLE b (x INTEGER);\n-- bustard: down\nDROP TABLE b;\n";

#[test]
fn a5_applied_files_are_not_judged_by_any_command() {
    for scene in Scene::both() {
        let count = applied(&scene);
        scene.file("V90__b.sql", PENDING);
        let url = scene.url();
        let silent = |arguments: &[&str], code| {
            let all = [arguments, &["--database-url", &url]].concat();
            let outcome = scene.project.bustard(&all).exits(code);
            for word in ["error", "warning", "V1__x", "help"] {
                assert!(!outcome.stderr.contains(word), "{outcome}");
            }
            let outcome = scene.project.bustard(&[&all[..], &["--json"]].concat()).exits(code);
            let document = outcome.json();
            let warnings = document.get("warnings").and_then(|found| found.as_array());
            assert!(warnings.is_none_or(Vec::is_empty), "{outcome}");
        };
        silent(&["plan"], 0);
        silent(&["status"], 0);
        silent(&["check"], 3);
        silent(&["apps"], 0);
        silent(&["repair", "main:V1"], 0);
        silent(&["migrate"], 0);
        silent(&["check"], 0);
        scene.file("V91__c.sql", PENDING.replace("TABLE b", "TABLE c"));
        silent(&["migrate", "--fake"], 0);
        scene.execute("CREATE TABLE c (x INTEGER)");
        silent(&["revert", "--to", "main:V90"], 0);
        silent(&["revert", "--to", &format!("main:V{count}")], 0);
        silent(&["check"], 3);
        assert_eq!(scene.applied().split(',').count(), count);
    }
}

/// The database of a scene, for the library.
fn database(scene: &Scene) -> Database {
    let url = match scene.is_postgres() {
        true => scene.url(),
        false => scene.project.sqlite_url("app.db"),
    };
    Database::new(&url).expect("the URL is good")
}

/// The texts embedded in a binary, and given as refinery's migrations.
fn as_embedded(engine: &str) -> App {
    let files: Vec<(&'static str, File)> = (texts(engine).into_iter())
        .map(|(name, text)| (&*name.leak(), File::Sql(text)))
        .chain([("V90__b.sql", File::Sql(PENDING))])
        .collect();
    bustard::embedded::app("main", files.leak())
}

fn as_refinerys(engine: &str) -> App {
    let all = texts(engine).into_iter().chain([("V90__b.sql".to_owned(), PENDING)]);
    let theirs = all.map(|(name, text)| {
        refinery_core::Migration::unapplied(name.trim_end_matches(".sql"), text).expect("a good name")
    });
    App::refinery("main", theirs.collect())
}

#[test]
fn a5_embedded_files_and_refinerys_migrations_are_not_judged_either() {
    for form in [as_embedded, as_refinerys] {
        for scene in Scene::both() {
            let count = applied(&scene);
            let mut database = database(&scene);
            let migrator = Migrator::new().app(form(scene.engine));
            let plan = migrator.plan(&mut database).expect("it is planned");
            assert_eq!(plan.warnings, []);
            let status = migrator.status(&mut database).expect("it is read");
            assert_eq!(status.warnings, []);
            let applied = status.migrations.iter().filter(|one| one.app == "main");
            assert_eq!(applied.filter(|one| one.state == State::Applied).count(), count);
            let report = migrator.run(&mut database).expect("it runs");
            assert_eq!(report.warnings, []);
            assert!(report.changed());
            assert!(!migrator.run(&mut database).expect("nothing is pending").changed());
            let report = migrator.revert(&mut database, &Revert::Steps(1)).expect("it is reverted");
            assert_eq!(report.steps.len(), 1);

            let engine = database.engine();
            let error = migrator.check_sources(engine).expect_err("without a database, all are judged");
            assert_eq!(error.kind(), ErrorKind::Source);
            assert!(error.diagnostics().len() >= 10, "{error:#}");
        }
    }
}

#[test]
fn a5_a_migration_built_in_code_is_not_judged_once_it_is_applied() {
    for scene in Scene::both() {
        let mut database = database(&scene);
        let app =
            |first: &str, second: &str| {
                let first = Migration::new().sql(first).down(Migration::new().sql("DROP TABLE a"));
                Migrator::new().app(App::new("main").migration("V1__a", first).migration(
                    "V2__b",
                    Migration::new().sql(second).down(Migration::new().sql("DROP TABLE b")),
                ))
            };
        let b = "CREATE TABLE b (x INTEGER)";
        app("CREATE TABLE a (x INTEGER)", b).run(&mut database).expect("it runs");
        // Changed since: divergent, and not refused for its text.
        let error = app("COMMIT; VACUUM", b).run(&mut database).expect_err("it was changed");
        assert_eq!(error.kind(), ErrorKind::Divergent, "{error:#}");
        let status = app("COMMIT; VACUUM", b).status(&mut database).expect("it is read");
        assert_eq!(status.warnings, []);
        let error = app("COMMIT", b).check_sources(database.engine()).expect_err("all are judged");
        assert_eq!(error.diagnostics()[0].code(), Code::TransactionControl);
    }
}

#[test]
fn a5_pending_files_are_judged_together_before_anything_is_executed() {
    for scene in Scene::both() {
        let count = applied(&scene);
        scene.file("V80__good.sql", "CREATE TABLE good (x INTEGER);\n");
        scene.file("V81__bad.sql", "CREATE TABLE bad (x INTEGER);\nCOMMIT;\n");
        scene.file("V82__worse.sql", "SELECT 'open;\n");
        let before = scene.contents();
        let url = scene.url();
        for command in [&["migrate"][..], &["plan"], &["check"], &["status"]] {
            let outcome = scene.project.bustard(&[command, &["--database-url", &url]].concat()).exits(2);
            let outcome = outcome.complains("V81__bad.sql:2:1").complains("V82__worse.sql:1:8");
            assert!(!outcome.stderr.contains("V1__x"), "{outcome}");
        }
        assert_eq!(before, scene.contents());
        // What another command has to do with is not theirs.
        for command in [&["apps"][..], &["repair", "main:V1"]] {
            scene.project.bustard(&[command, &["--database-url", &url]].concat()).exits(0);
        }
        assert_eq!(scene.applied().split(',').count(), count);
        // A statement that is not executed is not judged. What hides a directive is.
        let outcome = scene.migrate(&["--fake"]).exits(2).complains("V82__worse.sql:1:8");
        assert!(!outcome.stderr.contains("V81"), "{outcome}");
        scene.file("V82__worse.sql", "SELECT 'closed';\n");
        scene.migrate(&["--fake"]).exits(0);
        assert_eq!(scene.applied().split(',').count(), count + 3);
    }
}

#[test]
fn a6_warnings_are_about_pending_files_only() {
    for scene in Scene::both() {
        let text = match scene.is_postgres() {
            true => "BEGIN;\nSELECT 1;\nCOMMIT;\n",
            false => "PRAGMA foreign_keys = OFF;\nSELECT 1;\n",
        };
        scene.file("V1__a.sql", text).file("V2__b.sql", "-- nothing\n");
        let url = scene.url();
        let warned = |arguments: &[&str], code, count| {
            let all = [arguments, &["--database-url", &url]].concat();
            let outcome = scene.project.bustard(&all).exits(code);
            let found =
                outcome.stderr.matches("warning: ").count() + outcome.stderr.matches("note: ").count();
            assert_eq!(found, count, "{outcome}");
            let outcome = scene.project.bustard(&[&all[..], &["--json"]].concat());
            assert_eq!(outcome.json()["warnings"].as_array().map_or(0, Vec::len), count, "{outcome}");
        };
        if scene.is_postgres() {
            warned(&["plan"], 0, 2);
            warned(&["check"], 3, 2);
        }
        scene.migrate(&["--to", "main:V1"]).success().complains("V1__a.sql:1:1");
        warned(&["check"], 3, 1);
        scene.migrate(&[]).success().complains("V2__b.sql");
        for (command, code) in [("plan", 0), ("status", 0), ("check", 0), ("migrate", 0)] {
            warned(&[command], code, 0);
        }
    }
}

/// The part of an applied file that reverts it is judged when it is to be run.
#[test]
fn a5_what_reverts_an_applied_migration_is_judged_when_it_is_run() {
    for scene in Scene::both() {
        scene.execute(
            "CREATE TABLE refinery_schema_history (version int8 PRIMARY KEY, name VARCHAR(255), \
             applied_on VARCHAR(255), checksum VARCHAR(255))",
        );
        let files = [
            // Refused when applied, and can be reverted.
            ("V1__a", "CREATE TABLE a (x INTEGER);\nCOMMIT;\n-- bustard: down\nDROP TABLE a;\n"),
            // Nothing reverts it, although no statement of it can be run.
            ("V2__b", "VACUUM;\n"),
            ("V3__c", "CREATE TABLE c (x INTEGER);\n-- bustard: down\nDROP TABLE c;\nCOMMIT;\n"),
            ("V4__d", "CREATE TABLE d (x INTEGER);\n-- bustard: down\nDROP TABLE d;\n"),
        ];
        for (stem, text) in files {
            scene.file(&format!("{stem}.sql"), text);
            let theirs = refinery_core::Migration::unapplied(stem, text).expect("a good name");
            scene.execute(&format!(
                "INSERT INTO refinery_schema_history VALUES ({}, '{}', '2026-01-01T00:00:00Z', '{}')",
                theirs.version(),
                theirs.name(),
                theirs.checksum()
            ));
        }
        scene.execute("CREATE TABLE a (x INTEGER)");
        scene.execute("CREATE TABLE c (x INTEGER)");
        scene.execute("CREATE TABLE d (x INTEGER)");
        let url = scene.url();
        let revert = |to: &str| scene.project.bustard(&["revert", "--to", to, "--database-url", &url]);
        scene.migrate(&[]).success();
        revert("main:V3").exits(0);
        assert_eq!(scene.applied(), "1,2,3");
        let before = scene.contents();
        revert("main:V2").exits(2).complains("V3__c.sql:4:1").complains("COMMIT");
        assert_eq!(before, scene.contents());
        scene.execute("DELETE FROM refinery_schema_history WHERE version = 3");
        revert("main:V1").exits(2).complains("cannot be reverted");
        scene.execute("DELETE FROM refinery_schema_history WHERE version = 2");
        scene.project.bustard(&["revert", "--steps", "1", "--database-url", &url]).exits(0);
        assert_eq!(scene.applied(), "");
    }
}
