//! Hostile text in every place from which the command prints: nothing of it reaches the
//! terminal as it is, whether colours are on or off, and JSON has its value.

use std::os::unix::ffi::OsStrExt;

use bustard::diagnostic::is_unsafe;

use crate::support::{Outcome, Project};

/// Escape sequences (colour, title, clipboard), C1, bidirectional controls, zero width
/// characters, separators of lines, and a bell.
const HOSTILE: &str =
    "\u{1b}[31mX\u{1b}]0;title\u{7}\u{9b}2J\u{202e}\u{2066}\u{200e}\u{200b}\u{feff}\u{2028}\u{85}\u{7f}";

/// Runs the command with and without colours, and looks for what a terminal would obey.
#[track_caller]
fn assert_clean(project: &Project, arguments: &[&str]) -> Outcome {
    let plain = project.bustard(arguments);
    for text in [&plain.stdout, &plain.stderr] {
        assert!(!text.chars().any(|c| is_unsafe(c) && c != '\n'), "{plain:?}");
    }
    let mut command = project.command(arguments);
    command.env_remove("NO_COLOR").env("CLICOLOR_FORCE", "1");
    let coloured = Outcome::of(command);
    for text in [&coloured.stdout, &coloured.stderr] {
        let text = without_our_colours(text);
        assert!(!text.chars().any(|c| is_unsafe(c) && c != '\n'), "{coloured:?}");
    }
    plain
}

fn without_our_colours(text: &str) -> String {
    let ours = ["0", "1;31", "1;33", "32", "1", "4", "22", "24", "31", "33", "34", "36", "39"];
    let ours = ours.iter().fold(text.to_owned(), |text, code| text.replace(&format!("\u{1b}[{code}m"), ""));
    // A colour of ours that encloses hostile text must not hide that it is still there.
    assert!(!text.contains("\u{1b}[31mX"), "{text:?}");
    ours
}

/// A project whose names are as hostile as the file system allows, migrated.
fn project() -> Project {
    let project = Project::new();
    let directory = format!("dir{HOSTILE}\nmain V9__forged applied");
    project
        .file(
            format!("{directory}/V1__a.sql"),
            "-- bustard: register cache a\nCREATE TABLE a (id INTEGER);\n",
        )
        .file(format!("{directory}/V2__b.sql"), format!("-- {HOSTILE}\nCREATE TABLE b (id INTEGER);\n"))
        .config(&format!(
            "[database]\nurl = \"sqlite:app.db\"\n[[apps]]\nlabel = \"main\"\nmigrations = {}\n",
            serde_json::to_string(&directory).expect("it is text").replace('\u{7f}', "\\u007f")
        ));
    project.bustard(&["migrate", "--to", "main:1"]).success();
    project
}

#[test]
fn a21_names_of_files_and_directories() {
    let project = project();
    for arguments in [&["plan"][..], &["plan", "--sql"], &["status"], &["graph"], &["check"], &["migrate"]] {
        let outcome = assert_clean(&project, arguments);
        let all = outcome.stdout.clone() + &outcome.stderr;
        assert!(!all.lines().any(|line| line.starts_with("main V9__forged")), "{outcome}");
    }
    // The name is told apart from others: as escapes.
    assert_clean(&project, &["revert", "--steps", "1"]).exits(2).complains("dir\\u{1b}[31mX");
}

#[test]
fn a21_excerpts_and_diagnostics() {
    let project = Project::new();
    project.file(".env", "DATABASE_URL=sqlite:app.db\n");
    for (name, text) in [
        ("V1__a.sql", format!("SELEC '{HOSTILE}' FROM x;\n")),
        ("V1__a.sql", format!("-- bustard: registr cache \"{HOSTILE}\"\nSELECT 1;\n")),
        ("V1__a.sql", format!("-- bustard: depends on {HOSTILE} V1\nSELECT 1;\n")),
        ("V1__a.sql", format!("SELECT 1; COMMIT /* {HOSTILE} */;\n")),
        ("V1__a.sql", format!("CREATE TABLE \"{HOSTILE}\" (id INTEGER); SELECT * FROM \"y{HOSTILE}\";\n")),
    ] {
        project.file(format!("migrations/{name}"), text);
        for arguments in [&["migrate"][..], &["migrate", "--json"], &["migrate", "-vvv"], &["plan"]] {
            let outcome = assert_clean(&project, arguments);
            assert_ne!(outcome.code, None, "{outcome}");
        }
    }
    let misnamed = std::ffi::OsStr::from_bytes(b"migrations/V2__\x1b[31mb\xff.sql");
    project.file(std::path::Path::new(misnamed), "SELECT 1;\n");
    assert_clean(&project, &["migrate"]).exits(2);
}

/// What stands in the database was written by others: names in histories and registries.
#[test]
fn a21_names_in_the_database() {
    let project = project();
    project.bustard(&["migrate"]).success();
    let name = format!("b{HOSTILE}\nmain V9__forged applied");
    let connection = project.sqlite("app.db");
    connection
        .execute("UPDATE refinery_schema_history SET name = ?1 WHERE version = 2", [&name])
        .expect("the history is there");
    connection
        .execute("UPDATE bustard_cache SET name = ?1 WHERE name = 'a'", [&name])
        .expect("the registry is there");
    connection.execute("UPDATE bustard_app SET label = ?1 WHERE label = 'main'", [&name]).ok();
    for arguments in [
        &["status"][..],
        &["check"],
        &["migrate"],
        &["migrate", "--allow-missing", "--allow-divergent"],
        &["apps"],
        &["caches"],
        &["plan"],
        &["uninstall", "main"],
        &["caches", "get", "nothing"],
    ] {
        let outcome = assert_clean(&project, arguments);
        let all = outcome.stdout.clone() + &outcome.stderr;
        assert!(!all.lines().any(|line| line.starts_with("main V9__forged")), "{outcome}");
        let mut json = arguments.to_vec();
        json.push("--json");
        assert_clean(&project, &json).json();
    }
    // The run has registered the cache of the migration again, beside the forged name.
    let caches = project.bustard(&["caches", "--json"]).success().json();
    let names: Vec<_> =
        caches["caches"].as_array().expect("a list").iter().map(|cache| &cache["name"]).collect();
    assert!(names.contains(&&serde_json::Value::from(name.as_str())), "{names:?}");
}

/// Arguments come back in messages, suggestions and documents.
#[test]
fn a21_arguments() {
    let project = project();
    for arguments in [
        &[HOSTILE][..],
        &["migrate", HOSTILE],
        &["migrate", "--to", HOSTILE],
        &["migrate", "--lock-wait", HOSTILE],
        &["new", HOSTILE],
        &["new", "x", "--app", HOSTILE],
        &["new", "x", "--app", &format!("mai{HOSTILE}")],
        &["caches", "get", HOSTILE],
        &["caches", "register", HOSTILE],
        &["caches", "invalidate", HOSTILE, "a"],
        &["caches", "valid", "a", HOSTILE],
        &["uninstall", HOSTILE],
        &["disable", HOSTILE],
        &["repair", HOSTILE],
        &["status", "--config", HOSTILE],
        &["status", "--database-url", HOSTILE],
        &["status", "--database-url", &format!("sqlite:{HOSTILE}")],
        &["status", "--database-url", &format!("postgres://h/{HOSTILE}")],
    ] {
        let outcome = assert_clean(&project, arguments);
        assert_ne!(outcome.code, Some(0), "{outcome}");
        let mut json = arguments.to_vec();
        json.push("--json");
        assert_clean(&project, &json).json();
    }
}

#[test]
fn a21_the_configuration_and_the_environment() {
    for config in [
        format!("[migrate]\nlock_wiat = \"{}\"\n", HOSTILE.escape_default()),
        "[[apps]]\nlabel = \"\\u001b[31mX\"\nmigrations = \"m\"\n".to_owned(),
        "[[apps]]\nlabel = \"a\"\nmigrations = \"\\u001b[31mX\\u202E\"\n".to_owned(),
        "\"\\u001b[31mX\" = 1\n".to_owned(),
        "[database]\nurl = \"sqlite:\\u001b[31mX\"\n".to_owned(),
    ] {
        let project = Project::new();
        project.config(&config);
        for command in ["status", "migrate", "plan", "apps", "graph"] {
            assert_clean(&project, &[command, "-v"]);
        }
    }
}

/// Diagrams write names as numbers, so that they are right for the program that reads them.
#[test]
fn a21_diagrams() {
    let project = project();
    for format in ["mermaid", "dot", "text"] {
        assert_clean(&project, &["graph", "--format", format]).success();
    }
}

#[test]
fn a21_the_library_cleans_its_messages() {
    use bustard::{App, Engine, Migration, Migrator};

    let app = App::new("main").migration("V1__a", Migration::new().sql(format!("COMMIT /* {HOSTILE} */")));
    let missing = App::directory("other", format!("no/{HOSTILE}"));
    let error = Migrator::new().app(app).app(missing).check_sources(Engine::Sqlite).unwrap_err();
    for text in [error.to_string(), error.report().to_string(), format!("{error:?}")] {
        assert!(!text.chars().any(|c| is_unsafe(c) && c != '\n'), "{text:?}");
    }
}
