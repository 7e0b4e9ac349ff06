//! Settings that decide how the server reads text. Bustard reads a file with
//! `standard_conforming_strings = on` and as UTF-8, and so does the server, whatever the role,
//! the database and the caller have set. A file that sets another value is refused.

use bustard::{App, Code, ErrorKind, Migrator, TransactionMode};

use crate::support::{Database, Project, Scene};

/// Texts that mean something else with other settings.
const FILES: [(&str, &str); 3] = [
    ("V1__a.sql", "CREATE TABLE word (n int, w text);\nINSERT INTO word VALUES (1, 'C:\\dir\\');\n"),
    ("V2__b.sql", "INSERT INTO word VALUES (2, 'é\\n');\nINSERT INTO word VALUES (3, E'it\\'s');\n"),
    ("V3__c.sql", "RESET ALL;\nINSERT INTO word VALUES (4, '\\'), (5, 'x; -- \\');\n"),
];

const WORDS: &str = "C:\\dir\\|é\\n|it's|\\|x; -- \\";

fn migrator(project: &Project) -> Migrator {
    for (name, text) in FILES {
        project.file(&format!("migrations/{name}"), text);
    }
    Migrator::new().app(App::directory("main", project.path().join("migrations")))
}

fn words(database: &Database<'_>) -> String {
    database.value("SELECT string_agg(w, '|' ORDER BY n) FROM word")
}

const SETTINGS: [&str; 3] =
    ["standard_conforming_strings = off", "backslash_quote = off", "client_encoding = 'LATIN1'"];

#[test]
fn kind8_the_role_and_the_database_read_text_in_another_way() {
    for mode in [TransactionMode::Each, TransactionMode::All] {
        for whose in ["DATABASE", "ROLE"] {
            for callers in [false, true] {
                let database = Database::new();
                let role = database.create_role("reads", "SUPERUSER");
                let name = if whose == "ROLE" { role.as_str() } else { database.name() };
                for setting in SETTINGS {
                    let sql = format!("ALTER {whose} {name} SET {setting}");
                    database.client().batch_execute(&sql).expect("it may");
                }
                let project = Project::new();
                let migrator = migrator(&project).transaction(mode);
                match callers {
                    true => migrator.run(&mut database.client_as(&role)),
                    false => {
                        let url = database.url_as(&role);
                        migrator.run(&mut bustard::Database::new(&url).expect("the URL is good"))
                    }
                }
                .unwrap_or_else(|error| panic!("{whose} {callers} {mode:?}: {error:#}"));
                assert_eq!(words(&database), WORDS, "{whose} {callers} {mode:?}");
            }
        }
    }
}

/// What the caller has set stays, after a run that succeeds and after one that fails.
#[test]
fn kind8_the_caller_reads_text_in_another_way() {
    for mode in [TransactionMode::Each, TransactionMode::All] {
        for fails in [false, true] {
            let database = Database::new();
            let project = Project::new();
            let migrator = migrator(&project).transaction(mode);
            if fails {
                project.file("migrations/V4__d.sql", "SELECT '\\', 1/0;\n");
            }
            let mut client = database.client();
            let set: Vec<String> = SETTINGS.iter().map(|setting| format!("SET {setting};")).collect();
            client.batch_execute(&set.concat()).expect("it may");
            let outcome = migrator.run(&mut client);
            match fails {
                true => assert_eq!(outcome.expect_err("it fails").sqlstate(), Some("22012")),
                false => drop(outcome.expect("nothing is wrong with it")),
            }
            for (name, value) in [
                ("standard_conforming_strings", "off"),
                ("backslash_quote", "off"),
                ("client_encoding", "LATIN1"),
            ] {
                let now: String = client.query_one(&format!("SHOW {name}"), &[]).expect("it is known").get(0);
                assert_eq!(now, value, "{name} {mode:?}");
            }
            if !(fails && mode == TransactionMode::All) {
                assert_eq!(words(&database), WORDS, "{mode:?}");
            }
        }
    }
}

#[test]
fn kind8_a_file_that_changes_how_text_is_read_is_refused() {
    for (statement, name) in [
        ("SET standard_conforming_strings = off", "standard_conforming_strings"),
        ("SET LOCAL standard_conforming_strings TO 'false'", "standard_conforming_strings"),
        ("RESET standard_conforming_strings", "standard_conforming_strings"),
        ("SELECT set_config('standard_conforming_strings', 'off', false)", "standard_conforming_strings"),
        ("SET client_encoding = 'LATIN1'", "client_encoding"),
        ("SET NAMES 'LATIN1'", "client_encoding"),
        ("SELECT pg_catalog.set_config('client_encoding', 'WIN1252', true)", "client_encoding"),
        ("SET backslash_quote = off", "backslash_quote"),
    ] {
        let scene = Scene::postgres();
        let sql = format!("SELECT 1;\n  {statement};\nSELECT 'it\\'s; x';\n");
        scene.file("V1__a.sql", "CREATE TABLE a (i int);\n").file("V2__b.sql", &sql);
        let url = scene.url();
        for command in ["check", "plan", "migrate"] {
            let all = [command, "--database-url", &url];
            let outcome = scene.project.bustard(&all).exits(2);
            let outcome = outcome.complains("V2__b.sql:2:3").complains(name).complains("help: leave it out");
            assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{outcome}");
            let json = scene.project.bustard(&[&all[..], &["--json"]].concat()).json();
            assert_eq!(json["error"]["diagnostics"][0]["code"], "text-setting", "{json}");
        }
        let app = App::directory("main", scene.project.path().join("migrations"));
        let error = Migrator::new().app(app).run(&mut scene.database().client()).expect_err("it is refused");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Source, Code::TextSetting), "{error:#}");
        assert_eq!(scene.value("SELECT to_regclass('a') IS NULL"), "t");
    }
    // The values with which files are read, as pg_dump writes them.
    let scene = Scene::postgres();
    scene.file(
        "V1__a.sql",
        "SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\nSET backslash_quote = safe_encoding;\n\
         CREATE TABLE a AS SELECT '\\' AS w;\n",
    );
    scene.migrate(&[]).success();
    assert_eq!(scene.value("SELECT w FROM a"), "\\");
}
