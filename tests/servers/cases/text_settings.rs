//! Settings that decide how the server reads text. Bustard reads a file with
//! `standard_conforming_strings = on` and as UTF-8, and so does the server, whatever the role,
//! the database and the caller have set. A file that sets another value is refused.

use bustard::diagnostic::Code;
use bustard::{App, ErrorKind, Migration, Migrator, OpenTransaction, TransactionMode};

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
        project.file(format!("migrations/{name}"), text);
    }
    Migrator::new().app(App::directory("main", project.path().join("migrations")))
}

fn words(database: &Database<'_>) -> String {
    // The query obeys the settings of the database too.
    let reset = format!("ALTER DATABASE {} RESET ALL", database.name());
    database.client().batch_execute(&reset).expect("it may");
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

/// Code that changes the settings, which is not visible in the file. The rows of COPY are sent
/// in a message of their own, and so is each statement on a connection of the caller.
const HIDDEN: [&str; 8] = [
    "DO $$ BEGIN PERFORM set_config('standard_conforming_strings', 'off', false); \
     PERFORM set_config('client_encoding', 'LATIN1', false); \
     PERFORM set_config('backslash_quote', 'off', false); END $$",
    "DO $$ BEGIN SET LOCAL standard_conforming_strings = off; SET LOCAL client_encoding = 'LATIN1'; END $$",
    "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT \
     set_config('standard_conforming_strings', 'off', false) || set_config('client_encoding', 'LATIN1', false) $$; \
     SELECT f()",
    "RESET ALL",
    "RESET /* here */ ALL",
    "UPDATE pg_settings SET setting = 'off' WHERE name IN ('standard_conforming_strings', 'backslash_quote')",
    "SELECT set_config(name, 'off', false) FROM pg_settings WHERE name LIKE 'standard\\_conforming%'",
    "SELECT set_config('client_' || 'encoding', 'LATIN1', false)",
];

#[test]
fn kind8_code_that_changes_how_text_is_read() {
    for callers in [false, true] {
        for hidden in HIDDEN {
            let database = Database::new();
            let role = database.create_role("reads", "SUPERUSER");
            for setting in SETTINGS {
                database.client().batch_execute(&format!("ALTER ROLE {role} SET {setting}")).expect("it may");
            }
            let project = Project::new();
            let insert = "INSERT INTO word VALUES (2, 'é\\n');\nINSERT INTO word VALUES (3, E'it\\'s');\n";
            project
                    .file(
                        "migrations/V1__a.sql",
                        format!(
                            "CREATE TABLE word (n int, w text);\n{hidden};\nINSERT INTO word VALUES (1, 'C:\\dir\\');\n\
                             COPY word FROM stdin;\n0\té\\\\n\n\\.\n{insert}"
                        ),
                    )
                    .file("migrations/V2__b.sql", "INSERT INTO word VALUES (4, 'é\\');\n");
            let migrator = Migrator::new()
                .app(App::directory("main", project.path().join("migrations")))
                .transaction(TransactionMode::All);
            match callers {
                true => migrator.run(&mut database.client_as(&role)),
                false => {
                    let url = database.url_as(&role);
                    migrator.run(&mut bustard::Database::new(&url).expect("the URL is good"))
                }
            }
            .unwrap_or_else(|error| panic!("{hidden} {callers}: {error:#}"));
            assert_eq!(words(&database), "é\\n|C:\\dir\\|é\\n|it's|é\\", "{hidden} {callers}");
        }
    }
}

/// A function of the app, and statements that affect later sessions.
#[test]
fn kind8_functions_and_roles_that_change_how_text_is_read() {
    for mode in [TransactionMode::Each, TransactionMode::All] {
        let database = Database::new();
        let name = database.name();
        let set = SETTINGS.map(|setting| format!("SET {setting};")).concat();
        let alter = SETTINGS.map(|setting| format!("ALTER DATABASE {name} SET {setting};\n")).concat();
        let insert = |n: u8| format!("INSERT INTO word VALUES ({n}, 'é\\n');");
        let app = App::new("main")
            .migration("V1__a", Migration::new().sql(format!("CREATE TABLE word (n int, w text); {alter}")))
            .migration(
                "V2__b",
                Migration::new()
                    .run("changes", move |transaction: &mut OpenTransaction<'_, '_>| {
                        let transaction = transaction.postgres().expect("it is one of PostgreSQL");
                        Ok(transaction.batch_execute(&set)?)
                    })
                    .sql(insert(1)),
            )
            .migration("V3__c", Migration::new().sql(insert(2)));
        let migrator = Migrator::new().app(app).transaction(mode);
        migrator.run(&mut database.client()).expect("nothing is wrong with it");
        let further = App::new("further").migration("V1__a", Migration::new().sql(insert(3)));
        let mut connection = bustard::Database::new(&database.url()).expect("the URL is good");
        Migrator::new().app(further).run(&mut connection).expect("nothing is wrong with it");
        assert_eq!(words(&database), "é\\n|é\\n|é\\n", "{mode:?}");
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
