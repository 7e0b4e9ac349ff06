//! Tests faulty migration files: each causes one clear error before any connection is
//! opened, and the database does not change. The errors are in `tests/snapshots/bad_input`.

use crate::support::{Outcome, Scene, refused, refused_alike};

#[test]
fn misnamed_files() {
    refused_alike(2, "misnamed", |scene| {
        scene.good_files();
        for name in [
            "3__no_prefix.sql",
            "V4_one_underscore.sql",
            "V5.1__fraction.sql",
            "V6__hyphen-ated.sql",
            "V99999999999999999999__large.sql",
            "notes.sql",
            "V7__upper.SQL",
        ] {
            scene.file(name, "CREATE TABLE unreached (id INTEGER);\n");
        }
    });
}

#[test]
fn two_files_with_one_version() {
    refused_alike(2, "one_version_twice", |scene| {
        scene.good_files().file("U2__again.sql", "CREATE TABLE unreached (id INTEGER);\n");
    });
}

#[test]
fn unknown_directive() {
    refused_alike(2, "unknown_directive", |scene| {
        scene.bad_file("CREATE TABLE a (id INTEGER);\n-- Bustard: registr cache bans\n");
    });
}

#[test]
fn register_without_a_name() {
    refused_alike(2, "register_without_a_name", |scene| {
        scene.bad_file("-- bustard: register cache\nCREATE TABLE a (id INTEGER);\n-- bustard: register\n");
    });
}

#[test]
fn invalid_cache_names() {
    refused_alike(2, "bad_cache_names", |scene| {
        let long = "x".repeat(129);
        scene.bad_file(format!(
            "-- bustard: register cache two words\n-- bustard: register cache \"\"\n\
             -- bustard: register cache \"open\n-- bustard: register cache {long}\n"
        ));
    });
}

#[test]
fn directives_of_later_releases_are_refused() {
    refused_alike(2, "not_yet", |scene| {
        scene
            .bad_file("-- bustard: no transaction\nSELECT 1;\n")
            .file("V5__code.rs", "pub fn migration() -> String { String::new() }\n");
    });
    refused_alike(2, "not_yet_in_texts", |scene| {
        scene.bad_file("-- bustard: no transaction\nSELECT 1;\n");
    });
}

#[test]
fn register_on_an_invalid_table_name() {
    refused_alike(2, "register_on_an_invalid_table_name", |scene| {
        scene.bad_file(
            "-- bustard: register cache a on\n-- bustard: register cache b on ban,\n\
             -- bustard: register cache c on ban thread\n-- bustard: register cache d on 1ban, thread\n\
             -- bustard: register cache e on \"ban\n-- bustard: register cache f on a.b.c\n\
             -- bustard: register cache g on \"\"\n-- bustard: register cache h at ban\n",
        );
    });
}

/// Writes a host and a plugin, each in a directory of its own.
fn two_apps(scene: &Scene, plugin: &str) {
    scene.good_files();
    scene.project.file("bans/V1__bans.sql", plugin).config(
        "[[apps]]\nlabel = \"main\"\nmigrations = \"migrations\"\n\
         [[apps]]\nlabel = \"bans\"\nmigrations = \"bans\"\n",
    );
}

#[test]
fn missing_dependency() {
    refused_alike(2, "missing_dependency", |scene| {
        two_apps(
            scene,
            "CREATE TABLE unreached (id INTEGER);\n-- bustard: depends on main V7\n\
             -- bustard: depends on mian\n-- bustard: required by forum V1\n",
        );
    });
}

#[test]
fn cyclic_dependency() {
    refused_alike(2, "cyclic_dependency", |scene| {
        two_apps(scene, "-- bustard: depends on main V2\nCREATE TABLE unreached (id INTEGER);\n");
        scene.file("V1__base.sql", "-- bustard: depends on bans V1\nCREATE TABLE unreached (id INTEGER);\n");
    });
}

#[test]
fn sql_that_ends_inside_a_string_name_or_comment() {
    refused_alike(2, "ends_inside_a_string", |scene| {
        scene.bad_file("CREATE TABLE a (t TEXT);\n\nINSERT INTO a VALUES ('it''s);\nDROP TABLE a;\n");
    });
    refused_alike(2, "ends_inside_a_name", |scene| {
        scene.bad_file("CREATE TABLE \"a (t TEXT);\n");
    });
    let scene = Scene::postgres();
    scene.bad_file("SELECT 1;\nDO $body$ BEGIN NULL; END $bodi$;\n").refuses(2, "ends_inside_a_dollar_quote");
    scene.bad_file("SELECT 1; /* a /* nested */ comment\n").refuses(2, "ends_inside_a_comment");
}

#[test]
fn not_utf_8() {
    refused_alike(2, "not_utf_8", |scene| {
        scene.bad_file(b"CREATE TABLE a (t TEXT);\nINSERT INTO a VALUES ('caf\xe9');\n");
    });
}

#[test]
fn a_zero_byte() {
    refused_alike(2, "zero_byte", |scene| {
        scene.bad_file("CREATE TABLE a (t TEXT);\nINSERT INTO a VALUES ('a\0b');\n");
    });
}

#[test]
fn transaction_control() {
    refused_alike(2, "transaction_control", |scene| {
        scene.bad_file(
            "BEGIN;\nCREATE TABLE a (t TEXT);\n/* at last */ commit;\nROLLBACK;\nSAVEPOINT s;\nROLLBACK TO s;\nEND TRANSACTION;\n",
        );
    });
    let scene = Scene::postgres();
    scene
        .bad_file("START TRANSACTION;\nABORT;\nPREPARE TRANSACTION 'x';\nVACUUM;\nCREATE INDEX CONCURRENTLY i ON post (id);\n")
        .refuses(2, "transaction_control_of_postgres");
}

#[test]
fn copy_from_stdin() {
    let scene = Scene::postgres();
    scene
        .bad_file("CREATE TABLE a (id int, t text);\nCOPY a (id, t) FROM stdin; SELECT 1;\n1\tit's\n\\.\nCOPY a FROM stdin;\n2\n")
        .refuses(2, "copy_from_stdin");
}

#[test]
fn commands_of_the_shells() {
    refused(2, "shell_commands", |scene| {
        scene.bad_file(match scene.is_postgres() {
            true => "\\set ON_ERROR_STOP on\nCREATE TABLE a (id INTEGER);\n",
            false => ".mode csv\nCREATE TABLE a (id INTEGER);\n",
        });
    });
}

#[test]
fn directories() {
    use std::os::unix::fs::symlink;

    refused_alike(2, "empty_directory", |scene| {
        scene.project.file("migrations/README.md", "Nothing yet.\n");
    });
    refused_alike(2, "no_directory", |_| {});
    refused_alike(2, "directory_is_a_file", |scene| {
        scene.project.file("migrations", "");
    });
    refused_alike(2, "directory_is_a_loop", |scene| {
        symlink("migrations", scene.project.path().join("migrations")).expect("a link can be made");
    });
    refused_alike(2, "loop_in_a_directory", |scene| {
        scene.good_files();
        symlink("V3__loop.sql", scene.project.path().join("migrations/V3__loop.sql"))
            .expect("a link can be made");
        symlink("gone", scene.project.path().join("migrations/more")).expect("a link can be made");
    });
}

/// Names and dependencies come first. The texts are judged when it is known which of them are
/// pending, and all together.
#[test]
fn everything_at_once() {
    refused_alike(2, "everything_at_once", |scene| {
        two_apps(scene, "-- bustard: depend on main V1\nSELECT 'open;\n");
        scene.file("misnamed.sql", "").file("V3__begin.sql", "BEGIN;\n").file("V3__twice.sql", "COMMIT;\n");
    });
    refused_alike(2, "everything_at_once_in_texts", |scene| {
        two_apps(scene, "-- bustard: depend on main V1\nSELECT 'open;\n");
        scene.file("V3__begin.sql", "BEGIN;\n").file("V4__commit.sql", "COMMIT;\n");
    });
}

#[test]
fn dependencies_are_checked_together_with_other_errors() {
    refused_alike(2, "dependencies_at_once", |scene| {
        two_apps(
            scene,
            "-- bustard: depends on nosuch\n-- bustard: depends on main V3\n\
             -- bustard: depends on main V2\nCREATE TABLE unreached (id INTEGER);\n",
        );
        scene
            .file("bad.sql", "CREATE TABLE unreached (id INTEGER);\n")
            .file("V1__base.sql", "-- bustard: depends on bans V1\n-- bustard: depends on bans V8\n");
    });
}

/// Unusual files that are valid.
#[test]
fn unusual_files_that_are_fine() {
    for scene in Scene::both() {
        let longest = format!("V7__{}.sql", "x".repeat(240));
        let cache = format!("it's \\ \"\"{}\u{e9}\u{1f986}", "x".repeat(118));
        scene
            .good_files()
            .file("V3__bom.sql", "\u{feff}-- bustard: register cache bom\nCREATE TABLE bom (id INTEGER);\n")
            .file("V4__crlf.sql", "-- bustard: register cache crlf\r\nCREATE TABLE crlf (id INTEGER);\r\n")
            .file(
                "V5__quotes.sql",
                "CREATE TABLE \"it's; -- bustard: no\" (t TEXT DEFAULT '-- bustard: no');\n",
            )
            .file("V6__names.sql", format!("-- bustard: register cache \"{cache}\"\n"))
            .file(&longest, "CREATE TABLE longest (id INTEGER);\n")
            .file("V8__nothing.sql", "");
        let outcome = scene.migrate(&[]).success();
        assert_eq!(scene.applied(), "1,2,3,4,5,6,7,8");
        scene.snapshot("does_nothing", &outcome);
        let cache = cache.replace("\"\"", "\"");
        assert_eq!(cache.chars().count(), 128);
        for name in ["bom", "crlf", &cache] {
            let url = scene.url();
            let command = |arguments: &[&str]| {
                scene.project.bustard(&[arguments, &["--database-url", &url]].concat()).success()
            };
            let version = command(&["caches", "get", name]).stdout;
            command(&["caches", "invalidate", name]);
            assert_ne!(command(&["caches", "get", name]).stdout, version, "{name}");
        }
        scene.migrate(&[]).success().says("nothing to do");
    }
}

/// SQL that resembles refused statements, or other text, and is valid.
#[test]
fn unusual_sql_that_is_fine() {
    let scene = Scene::postgres();
    scene.good_files().file(
        "V3__unusual.sql",
        r#"CREATE TABLE odd (n int, t text, j jsonb);
INSERT INTO odd VALUES (1 OPERATOR(pg_catalog.+) 1, E'it\'s; COMMIT;', '{"a": [1]}' ), (2, U&'d\0061t\+000061; ' , '{}');
SELECT j #>> '{a,0}', j @? '$.a[*] ? (@ > 2)', n # 3, |/ 25.0, t !~~* 'x;', $q$ BEGIN; $q$ FROM odd;
CREATE FUNCTION three() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 3; END;
DO $do$ BEGIN PERFORM 1; END $do$;
SAVEPOINT s; ROLLBACK TO SAVEPOINT s; RELEASE s;
COPY (SELECT 1) TO '/dev/null';
SELECT 'the end' -- without a semicolon"#,
    );
    scene.migrate(&[]).success();
    assert_eq!(scene.value("SELECT t FROM odd WHERE j = '{}'"), "data; ");

    let scene = Scene::sqlite();
    scene.good_files().file(
        "V3__unusual.sql",
        "CREATE TABLE [odd; one] (`n;` INTEGER, t TEXT);\n\
         CREATE TRIGGER noted AFTER INSERT ON post BEGIN\n  UPDATE thread SET id = CASE WHEN 1 THEN 2 END;\n  SELECT 1;\nEND;\n\
         SAVEPOINT s; ROLLBACK TO s; RELEASE s;\nSELECT 0x1F, x'00', 'a\\' /* not closed",
    );
    scene.migrate(&[]).success();
    assert_eq!(scene.applied(), "1,2,3");
}

/// `check`, `plan` and `status` refuse faulty files, as `migrate` does.
#[test]
fn other_commands_refuse_faulty_files_too() {
    let scene = Scene::sqlite();
    scene.bad_file("-- bustard: frobnicate\n");
    for command in ["check", "plan", "status"] {
        let outcome: Outcome = scene.project.bustard(&[command, "--database-url", "sqlite:app.db"]);
        outcome.exits(2).complains("frobnicate").complains("V3__bad.sql:1:");
    }
}
