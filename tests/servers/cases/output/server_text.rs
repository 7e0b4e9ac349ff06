//! What a server sends is text from outside: message, detail, hint, context and names.

use bustard::diagnostic::is_unsafe;

use super::run;
use crate::support::Scene;

/// A message with what a terminal would obey, in all fields of an error.
const RAISE: &str = "DO $do$ DECLARE x text := U&'\\001B[31mX\\001B]0;t\\0007\\009B2J\\202E\\2066\\200B\\2028' \
    || E'\\nerror: forged\\n  help: run this'; \
    BEGIN RAISE EXCEPTION '%', x USING DETAIL = x, HINT = x, ERRCODE = 'P0001'; END $do$;\n";

#[test]
fn a21_fields_of_a_servers_error() {
    let scene = Scene::postgres();
    scene.file("V1__a.sql", RAISE);
    for arguments in [&["migrate"][..], &["migrate", "-vvv"], &["migrate", "--json"]] {
        let outcome = run(&scene, arguments).exits(1);
        for text in [&outcome.stdout, &outcome.stderr] {
            assert!(!text.chars().any(|c| is_unsafe(c) && c != '\n'), "{outcome:?}");
            // Nor can it forge a line of its own.
            assert!(
                !text.lines().any(|line| line == "error: forged" || line == "  help: run this"),
                "{outcome}"
            );
        }
    }
    let outcome = run(&scene, &["migrate"]).exits(1);
    for field in ["database: \\u{1b}[31mX", "detail: \\u{1b}[31mX", "hint: \\u{1b}[31mX"] {
        assert!(outcome.stderr.contains(field), "{field}\n{outcome}");
    }
    // JSON has the value itself.
    let document = run(&scene, &["migrate", "--json"]).exits(1).json();
    let message = document["error"]["database"]["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("\u{1b}[31mX\u{1b}]0;t\u{7}\u{9b}2J\u{202e}"), "{message:?}");
}

#[test]
fn a21_names_of_objects_on_the_server() {
    let scene = Scene::postgres();
    let name = "\u{1b}[31mX\u{202e}\nmain V9__forged applied";
    let table = format!("CREATE TABLE \"{name}\" (id int);\n-- bustard: register cache a\n");
    scene.file("V1__a.sql", format!("{table}-- bustard: down\nDROP TABLE \"{name}\";\n"));
    run(&scene, &["migrate"]).success();
    scene.execute(&format!("CREATE VIEW v AS SELECT * FROM \"{name}\""));
    for arguments in
        [&["uninstall", "main"][..], &["revert", "--steps", "1"], &["plan", "--sql"], &["caches"]]
    {
        let outcome = run(&scene, arguments);
        for text in [&outcome.stdout, &outcome.stderr] {
            assert!(!text.chars().any(|c| is_unsafe(c) && c != '\n'), "{outcome:?}");
            assert!(!text.lines().any(|line| line.starts_with("main V9__forged")), "{outcome}");
        }
    }
}
