//! Tests text that looks like an instruction, and the lexer.

use crate::support::Scene;

/// What an `up` section and a `down` section do, with a line between them.
fn sections(line: &str) -> String {
    format!("CREATE TABLE live (id INTEGER);\nINSERT INTO live VALUES (1);\n{line}\nDROP TABLE live;\n")
}

/// Asserts that each line is an error on line 3, before anything is executed.
#[track_caller]
fn refuses_each(code: &str, lines: &[(&str, u32, &str)]) {
    for scene in Scene::both() {
        for (line, column, expected) in lines {
            scene.file("V1__live.sql", sections(line));
            let outcome = scene.migrate(&["--json"]).exits(2);
            let found = &outcome.json()["error"]["diagnostics"][0];
            assert_eq!(found["code"], code, "{line}: {outcome}");
            let outcome = scene.migrate(&[]).exits(2);
            let place = format!("V1__live.sql:3:{column}");
            assert!(outcome.stderr.contains(&place), "{line}: no {place}: {outcome}");
            assert!(outcome.stderr.contains(expected), "{line}: {outcome}");
            scene.project.bustard(&["plan", "--database-url", &scene.url()]).exits(2);
        }
        // The same sections with our own directive.
        scene.file("V1__live.sql", sections("-- bustard: down"));
        scene.migrate(&[]).success();
        assert_eq!(scene.value("SELECT count(*) FROM live"), "1");
    }
}

#[test]
fn a4_near_misses_of_directives() {
    let down = "write `-- bustard: down`";
    refuses_each(
        "directive-near-miss",
        &[
            ("-- bustard down", 4, down),
            ("-- bustard; down", 4, down),
            ("-- bustrad: down", 4, down),
            ("/* bustard: down */", 4, down),
            ("-- bustard\u{ff1a}down", 4, down),
            ("--- bustard: down", 5, down),
            ("  -- Bustard, down", 6, down),
            ("-- down", 4, down),
            ("/* down */", 4, down),
            ("-- no transaction", 4, "write `-- bustard: no transaction`"),
            ("-- register cache live", 4, "write `-- bustard: register cache live`"),
        ],
    );
}

#[test]
fn a3_markers_of_other_tools() {
    let down = "write `-- bustard: down` before the statements that revert the migration";
    refuses_each(
        "foreign-marker",
        &[
            ("-- +goose Down", 4, down),
            ("-- migrate:down", 4, down),
            ("-- +migrate Down", 4, down),
            ("---- create above / drop below ----", 3, down),
            ("# --- !Downs", 5, down),
            ("-- !Downs", 4, down),
            ("-- Down Migration", 4, down),
            ("-- rambler down", 4, down),
            ("--liquibase formatted sql", 3, "after `-- bustard: down`"),
            ("--> statement-breakpoint", 3, "remove the markers"),
            ("-- no-transaction", 4, "`-- bustard: no transaction`"),
            ("//@UNDO", 1, down),
            ("-- //@UNDO", 4, down),
        ],
    );
}

/// Applies a file, changes it, and asserts that the next run says what was changed.
#[test]
fn a22_a_changed_checksum_says_what_differs() {
    let applied = "CREATE TABLE a (\n\tx INTEGER\n);\n";
    let change = |change: fn(&str) -> String| change(applied);
    for scene in Scene::both() {
        scene.file("V1__a.sql", applied);
        scene.migrate(&[]).success();
        let file = scene.project.path().join("migrations/V1__a.sql");
        for (text, expected) in [
            (change(|text| format!("\u{feff}{text}")), "a byte order mark was added"),
            (change(|text| text.trim_end().to_owned()), "the newline at the end was removed"),
            (change(|text| format!("{text}\n\n")), "blank lines were added at the end"),
            (change(|text| text.replace(";", "; ")), "white space was added at the ends of lines"),
            (change(|text| text.replace('\t', "    ")), "tabs were replaced by spaces"),
            (
                change(|text| format!("\u{feff}{}", text.trim_end().replace('\n', "\r\n"))),
                "a byte order mark was added, and the newline at the end was removed",
            ),
            (change(|text| text.replace("INTEGER", "BIGINT")), "its text differs"),
        ] {
            std::fs::write(&file, text).expect("the file is written");
            for verb in ["migrate", "plan"] {
                let outcome = scene.project.bustard(&[verb, "--database-url", &scene.url()]).exits(4);
                assert!(
                    outcome.stderr.contains("main:V1__a was changed after it was applied on "),
                    "{outcome}"
                );
                assert!(outcome.stderr.contains(&format!(": {expected}\n")), "{expected}: {outcome}");
                assert!(!outcome.stderr.contains("dependencies"), "{outcome}");
            }
        }
        // Line ends do not matter, and dependencies are another finding.
        std::fs::write(&file, applied.replace('\n', "\r\n")).expect("the file is written");
        assert_eq!(scene.migrate(&[]).success().stderr.matches("changed").count(), 0);

        std::fs::remove_file(&file).expect("the file is removed");
        scene.file("V1__renamed.sql", applied);
        let outcome = scene.migrate(&[]).exits(4);
        assert!(outcome.stderr.contains(": it was applied with the name V1__a\n"), "{outcome}");
        std::fs::remove_file(scene.project.path().join("migrations/V1__renamed.sql")).expect("it is removed");
        scene.file("V2__renamed.sql", applied);
        let outcome = scene.migrate(&[]).exits(4);
        assert!(outcome.stderr.contains("there is no file for it: V2__renamed has its text"), "{outcome}");
    }
}
