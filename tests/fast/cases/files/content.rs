//! Sizes, names and contents of migration files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::{Outcome, Project};

const URL: [&str; 3] = ["migrate", "--database-url", "sqlite:app.db"];

/// Runs the command with at most this much memory, in KiB.
fn bounded(project: &Project, kibibytes: u32, arguments: &[&str]) -> Outcome {
    let mut command = Command::new("sh");
    let script = format!("ulimit -v {kibibytes} && exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_bustard")]).args(arguments);
    command.env("NO_COLOR", "1").current_dir(project.path());
    Outcome::of(command)
}

/// Asserts that a run is refused with one error, which contains these texts, before it opens
/// the database.
#[track_caller]
fn is_refused(project: &Project, texts: &[&str]) {
    let outcome = project.bustard(&URL).exits(2);
    let outcome = texts.iter().fold(outcome, |outcome, text| outcome.complains(text));
    assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{outcome}");
    assert!(!project.path().join("app.db").exists(), "{outcome}");
}

#[test]
fn a20_a_file_that_is_too_large_is_refused_without_being_read() {
    for size in [(1_u64 << 30) + 1, 4 << 30, 1 << 42] {
        let project = Project::new();
        project.file("migrations/V1__a.sql", "CREATE TABLE a (x INTEGER);\n");
        let file = fs::File::create(project.path().join("migrations/V2__b.sql")).expect("a file");
        file.set_len(size).expect("a sparse file");
        let outcome = bounded(&project, 512 << 10, &URL).exits(2);
        let outcome = outcome.complains("a migration cannot be read: it is larger than 1 GiB");
        let outcome = outcome.complains("--> migrations/V2__b.sql").complains("help: divide it");
        assert!(!project.path().join("app.db").exists(), "{outcome}");
    }
}

#[test]
fn a20_a_large_file_that_is_legal_works() {
    let project = Project::new();
    let row = format!("INSERT INTO a VALUES ('{}');\n", "x".repeat(1 << 20));
    project.file("migrations/V1__a.sql", format!("CREATE TABLE a (x TEXT);\n{}", row.repeat(101)));
    project.bustard(&URL).success();
    let rows = project.sqlite("app.db").query_row("SELECT count(*) FROM a", [], |row| row.get::<_, i64>(0));
    assert_eq!(rows, Ok(101));
}

#[test]
fn a20_names_that_are_not_utf_8_are_refused_at_loading() {
    for (name, shown, message) in [
        (&b"V2__\xff.sql"[..], "V2__\\xff.sql", "the name of the file is not UTF-8"),
        (b"V2__b\xc3.sql", "V2__b\\xc3.sql", "the name of the file is not UTF-8"),
        (b"V2__\xed\xa0\x80.sql", "V2__\\xed\\xa0\\x80.sql", "the name of the file is not UTF-8"),
        (b"R__\xffb.sql", "R__\\xffb.sql", "the name of the file is not UTF-8"),
        (b"\xff.sql", "\\xff.sql", "the name of the file is not UTF-8"),
        (b"V2__b.sqlite\xff.sql", "V2__b.sqlite\\xff.sql", "the name of the file is not UTF-8"),
        (b"more/V2__\xff.sql", "more/V2__\\xff.sql", "the name of the file is not UTF-8"),
        (b"m\xff/V2__b.sql", "m\\xff", "the name of the directory is not UTF-8"),
        (b"more/m\xff/less/V2__b.sql", "more/m\\xff", "the name of the directory is not UTF-8"),
    ] {
        let project = Project::new();
        project.file("migrations/V1__a.sql", "CREATE TABLE a (x INTEGER);\n");
        project.file(Path::new("migrations").join(OsStr::from_bytes(name)), "CREATE TABLE b (x INTEGER);\n");
        is_refused(&project, &[message, &format!("--> migrations/{shown}\n  help: rename it")]);
        let found = project.bustard(&[&URL[..], &["--json"]].concat()).exits(2).json();
        assert_eq!(found["error"]["file"], format!("migrations/{shown}"), "{found:#}");
    }
    // Names of other files, and the way to the directory, are free.
    let project = Project::new();
    let root = project.path().join(OsStr::from_bytes(b"r\xff"));
    fs::create_dir_all(root.join(OsStr::from_bytes(b"migrations/n\xffn"))).expect("a directory");
    fs::write(root.join("migrations/V1__a.sql"), "CREATE TABLE a (x INTEGER);\n").expect("a file");
    fs::write(root.join(OsStr::from_bytes(b"migrations/\xff.txt")), "").expect("a file");
    let mut command = project.command(&URL);
    command.current_dir(&root);
    Outcome::of(command).success();
}

#[test]
fn a20_contents_that_are_not_text_have_a_place() {
    for (bytes, place, help) in [
        (&b"SELECT 1;\nSELECT 'caf\xe9';\n"[..], ":2:12", "save it as UTF-8"),
        (b"SELECT '\xc3\xa9\xff", ":1:10", "save it as UTF-8"),
        (b"\r\n\r\n\xed\xa0\x80", ":3:1", "save it as UTF-8"),
        (b"\xff\xfeS\0E\0L\0E\0C\0T\0 \x001\0", ":1:1", "it looks like UTF-16: save it as UTF-8"),
        (b"\xfe\xff\0S\0E\0L\0E\0C\0T\0 \x001", ":1:1", "it looks like UTF-16: save it as UTF-8"),
        (b"\x89PNG\r\n", ":1:1", "save it as UTF-8"),
        (b"SELECT 1;\n-- \0\n", ":2:4", "save the file as UTF-8"),
        (b"S\0E\0L\0E\0C\0T\0", ":1:2", "save the file as UTF-8"),
        (b"-- bustard: register cache a\0\n", ":1:29", "save the file as UTF-8"),
    ] {
        let project = Project::new();
        project
            .file("migrations/V1__a.sql", "CREATE TABLE a (x INTEGER);\n")
            .file("migrations/V2__b.sql", bytes);
        is_refused(&project, &[&format!("--> migrations/V2__b.sql{place}\n"), help]);
    }
}

/// A message shows only a part of a long line.
#[test]
fn a20_a_message_about_a_long_line_is_short() {
    let project = Project::new();
    let mut line = vec![b'a'; 3 << 20];
    line.extend(b"\xff");
    line.extend(vec![b'b'; 3 << 20]);
    project.file("migrations/V1__a.sql", line);
    let outcome = project.bustard(&URL).exits(2).complains(":1:3145729\n");
    assert!(outcome.stderr.len() < 2000, "{} bytes", outcome.stderr.len());
    project.file("migrations/V1__a.sql", format!("SELECT '{}'; COMMIT; SELECT 1", "a".repeat(3 << 20)));
    let outcome = project.bustard(&URL).exits(2).complains(":1:3145740\n");
    assert!(outcome.stderr.len() < 2000, "{} bytes", outcome.stderr.len());
}
