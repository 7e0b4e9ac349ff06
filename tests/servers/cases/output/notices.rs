//! A14: what the server says beside its answers, and which migration it belongs to.

use serde_json::{Value, json};

use super::run;
use crate::support::{Outcome, Scene};

const MODES: [&str; 2] = ["each", "all"];

/// Five migrations. Each raises one message of each level, and one before its last
/// statement. Some statements return rows, complete silently, or cause notices of the
/// server itself.
fn raising(scene: &Scene) {
    scene.good_files();
    for version in 3..8 {
        let raise = |level: &str| {
            format!("DO $$ BEGIN RAISE {level} '{} of {version}'; END $$;\n", level.to_lowercase())
        };
        let levels = ["DEBUG", "LOG", "INFO", "NOTICE", "WARNING"].map(raise).concat();
        let quiet = "SELECT 1;\n".repeat(version);
        scene.file(
            &format!("V{version}__raise.sql"),
            format!(
                "{quiet}{levels};;\nSELECT generate_series(1, 100);\nCREATE TABLE t{version} (id int);\n\
                 CREATE TABLE IF NOT EXISTS t{version} (id int);\n\
                 DO $$ BEGIN RAISE WARNING 'end of {version}' USING DETAIL = 'd', HINT = 'h', ERRCODE = '01234'; END $$;\n"
            ),
        );
    }
}

fn migrate(scene: &Scene, mode: &str, more: &[&str]) -> Outcome {
    run(scene, &[&["migrate", "--transaction", mode], more].concat())
}

/// Returns the lines of standard error that begin with this word.
fn lines<'o>(outcome: &'o Outcome, word: &str) -> Vec<&'o str> {
    outcome.stderr.lines().filter(|line| line.starts_with(word)).collect()
}

fn warnings_of(version: usize) -> [String; 2] {
    ["warning of", "end of"].map(|words| format!("warning: main V{version}__raise: {words} {version}"))
}

fn notices_of(version: usize) -> [String; 3] {
    [
        format!("info of {version}"),
        format!("notice of {version}"),
        format!("relation \"t{version}\" already exists, skipping"),
    ]
    .map(|words| format!("notice: main V{version}__raise: {words}"))
}

#[test]
fn a14_messages_are_shown_with_their_migration() {
    for mode in MODES {
        for more in [&[][..], &["-v"], &["-vvv"]] {
            let scene = Scene::postgres();
            raising(&scene);
            let outcome = migrate(&scene, mode, more).success();
            let expected: Vec<String> = (3..8).flat_map(warnings_of).collect();
            assert_eq!(lines(&outcome, "warning: main "), expected, "{outcome}");
            assert_eq!(outcome.stderr.matches("\n  detail: d\n  hint: h\n").count(), 5, "{outcome}");
            let expected: Vec<String> = (3..8).flat_map(notices_of).collect();
            let expected = if more.is_empty() { Vec::new() } else { expected };
            // Bustard's own statements have caused none.
            assert_eq!(lines(&outcome, "notice: "), expected, "{outcome}");
        }
        let scene = Scene::postgres();
        raising(&scene);
        let outcome = migrate(&scene, mode, &["-q"]).success();
        assert_eq!(outcome.stderr, "", "{outcome}");
    }
}

fn notice(version: usize, level: &str, code: &str, message: &str) -> Value {
    let migration = format!("V{version}__raise");
    let message = format!("{message} {version}");
    json!({ "app": "main", "migration": migration, "level": level, "code": code, "message": message,
        "detail": null, "hint": null, "omitted": 0 })
}

fn documented(version: usize) -> Vec<Value> {
    let mut skipped = notice(version, "notice", "42P07", "");
    skipped["message"] = json!(format!("relation \"t{version}\" already exists, skipping"));
    let mut end = notice(version, "warning", "01234", "end of");
    (end["detail"], end["hint"]) = (json!("d"), json!("h"));
    vec![
        notice(version, "notice", "00000", "info of"),
        notice(version, "notice", "00000", "notice of"),
        notice(version, "warning", "01000", "warning of"),
        skipped,
        end,
    ]
}

#[test]
fn a14_json_has_all_of_them() {
    for mode in MODES {
        for more in [&["--json"][..], &["--json", "-q"], &["--json", "-v"]] {
            let scene = Scene::postgres();
            raising(&scene);
            let outcome = migrate(&scene, mode, more).success();
            // It fails if standard output has anything beside one document.
            let document = outcome.json();
            assert!(!outcome.stderr.contains("of 3"), "{outcome}");
            let expected: Vec<Value> = (3..8).flat_map(documented).collect();
            assert_eq!(document["notices"], json!(expected), "{mode} {more:?}");
            let again = migrate(&scene, mode, more).success().json();
            assert_eq!(again["notices"], json!([]), "{mode} {more:?}");
        }
    }
}

/// What was said before a failure is part of the error: of the migrations that committed,
/// and of the one that failed.
#[test]
fn a14_a_failed_run_has_them_too() {
    for mode in MODES {
        let scene = Scene::postgres();
        raising(&scene);
        let failing = "DO $$ BEGIN RAISE WARNING 'end of 8'; END $$;\nSELECT 1/0;\nDO $$ BEGIN RAISE WARNING 'never'; END $$;\n";
        scene.file("V8__raise.sql", failing);
        let outcome = migrate(&scene, mode, &[]).exits(1);
        assert_eq!(lines(&outcome, "warning: main ").len(), 11, "{outcome}");
        assert!(outcome.stderr.contains("warning: main V8__raise: end of 8\nerror: "), "{outcome}");

        let scene = Scene::postgres();
        raising(&scene);
        scene.file("V8__raise.sql", failing);
        let document = migrate(&scene, mode, &["--json"]).exits(1).json();
        let expected = (3..8).flat_map(documented).chain([notice(8, "warning", "01000", "end of")]);
        assert_eq!(document["error"]["notices"], json!(expected.collect::<Vec<_>>()), "{mode}");
    }
}

#[test]
fn a14_their_number_and_length_are_bounded() {
    for mode in MODES {
        let scene = Scene::postgres();
        scene.file(
            "V1__loud.sql",
            "DO $$ BEGIN RAISE NOTICE '%', repeat('x', 1000000);\n\
             FOR i IN 1..100000 LOOP RAISE NOTICE 'notice %', i; END LOOP; RAISE WARNING 'the end'; END $$;\n",
        );
        scene.file("V2__next.sql", "DO $$ BEGIN RAISE NOTICE 'of another'; END $$;\n");
        let outcome = migrate(&scene, mode, &["-v"]).success();
        let notices = lines(&outcome, "notice: main V1__loud: ");
        assert_eq!(notices.len(), 51, "{}", outcome.stderr.len());
        assert!(notices[0].ends_with("… 995904 bytes more"), "{}", notices[0].len());
        assert!(outcome.stderr.len() < 12_000);
        assert_eq!(notices[50], "notice: main V1__loud: 99951 more notices are not shown");
        outcome
            .complains("warning: main V1__loud: the end\n")
            .complains("notice: main V2__next: of another\n");

        let scene = Scene::postgres();
        scene.file(
            "V1__loud.sql",
            "DO $$ BEGIN FOR i IN 1..70 LOOP RAISE WARNING '%', i; END LOOP; END $$;\nSELECT 1/0;\n",
        );
        let document = migrate(&scene, mode, &["--json"]).exits(1).json();
        let notices = document["error"]["notices"].as_array().cloned().unwrap_or_default();
        assert_eq!(notices.len(), 51);
        assert_eq!(notices[50]["omitted"], 20);
        assert_eq!(notices[50]["message"], "20 more warnings are not shown");
    }
}

#[test]
fn a14_they_are_cleaned_and_without_secrets() {
    for mode in MODES {
        let scene = Scene::postgres();
        // The server repeats the whole message that it was sent, with the secrets of all
        // statements in it.
        scene.file(
        "V1__repeat.sql",
        "CREATE FUNCTION repeat_all() RETURNS event_trigger LANGUAGE plpgsql AS $$\n\
         BEGIN RAISE WARNING 'ran %', current_query() USING HINT = current_query(), DETAIL = 'hunter2'; END $$;\n\
         CREATE EVENT TRIGGER repeat_all ON ddl_command_end EXECUTE FUNCTION repeat_all();\n",
    );
        scene.file(
            "V2__secret.sql",
            "CREATE FOREIGN DATA WRAPPER w;\nCREATE SERVER s FOREIGN DATA WRAPPER w;\n\
         CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (user 'u', password 'hunter2');\n",
        );
        scene.file(
        "V3__hostile.sql",
        "DO $$ BEGIN RAISE WARNING '%', U&'\\001B[31mX\\202E' || E'\\nerror: forged\\nnotice: forged'; END $$;\n\
         DROP EVENT TRIGGER repeat_all;\n",
    );
        let outcome = migrate(&scene, mode, &["-v"]).success();
        // In one transaction, the statement is behind the end of the text that is shown.
        let hidden = if mode == "each" { "password '***'" } else { "detail: ***" };
        assert!(outcome.stderr.contains(hidden), "{outcome}");
        assert!(!outcome.stderr.contains("hunter2"), "{outcome}");
        outcome.complains(
            "warning: main V3__hostile: \\u{1b}[31mX\\u{202e}\n    error: forged\n    notice: forged\n",
        );
    }
}

/// Checks at the end of a migration run triggers of users.
#[test]
fn a14_deferred_triggers_belong_to_their_migration() {
    for mode in MODES {
        let scene = Scene::postgres();
        scene.file(
            "V1__trigger.sql",
            "CREATE TABLE a (id int);\n\
             CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS $$\n\
             BEGIN RAISE WARNING 'row %', NEW.id; RETURN NEW; END $$;\n\
             CREATE CONSTRAINT TRIGGER say AFTER INSERT ON a DEFERRABLE INITIALLY DEFERRED\n\
             FOR EACH ROW EXECUTE FUNCTION say();\n",
        );
        scene.file("V2__two.sql", "INSERT INTO a VALUES (2);\n");
        scene.file("V3__three.sql", "INSERT INTO a VALUES (3);\n");
        let outcome = migrate(&scene, mode, &[]).success();
        assert_eq!(
            lines(&outcome, "warning: main "),
            ["warning: main V2__two: row 2", "warning: main V3__three: row 3"],
            "{outcome}"
        );
    }
}

#[test]
fn a14_reverting_and_uninstalling_show_them() {
    let scene = Scene::postgres();
    let raise = |words: &str| format!("DO $$ BEGIN RAISE WARNING '{words}'; END $$;\n");
    scene.file("V1__a.sql", format!("{}-- bustard: down\n{}", raise("up"), raise("down")));
    migrate(&scene, "each", &[]).success().complains("warning: main V1__a: up\n");
    run(&scene, &["revert", "--steps", "1"]).success().complains("warning: main V1__a: down\n");
    migrate(&scene, "each", &[]).success();
    let outcome = run(&scene, &["uninstall", "main", "--yes"]).success();
    assert_eq!(lines(&outcome, "warning: main "), ["warning: main V1__a: down"], "{outcome}");
    migrate(&scene, "each", &[]).success();
    let document = run(&scene, &["uninstall", "main", "--yes", "--json"]).success().json();
    assert_eq!(document["notices"][0]["message"], "down");
}
