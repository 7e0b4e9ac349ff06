//! Entries of a directory that are no regular files, or cannot be read.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{SPECIAL, pipe, remove};
use crate::support::{Outcome, Project};

/// A project with a valid first migration.
fn project() -> Project {
    let project = Project::new();
    project.file("migrations/V1__a.sql", "CREATE TABLE a (x INTEGER);\n");
    project
}

fn run(project: &Project, command: &str) -> Outcome {
    let arguments: Vec<&str> = command.split(' ').chain(["--database-url", "sqlite:app.db"]).collect();
    project.bustard(&arguments)
}

/// Asserts that there are these errors, each at a place, and that no database is made.
#[track_caller]
fn refused(project: &Project, command: &str, errors: &[(&str, &str)]) {
    let outcome = run(project, command).exits(2);
    assert_eq!(outcome.stderr.matches("\n  --> ").count(), errors.len(), "{outcome}");
    for (place, message) in errors {
        let found = outcome.stderr.split("\n\n").flat_map(|part| part.split("error: "));
        let found: Vec<&str> = found.filter(|part| part.contains(&format!("--> {place}"))).collect();
        assert!(found.iter().any(|part| part.contains(message)), "{place}: {message}: {outcome}");
        assert!(found.iter().all(|part| part.contains("help: ")), "{outcome}");
    }
    assert!(!project.path().join("app.db").exists(), "{outcome}");
}

#[test]
fn a20_what_is_no_regular_file_is_refused_before_it_is_opened() {
    let project = project();
    fs::create_dir(project.path().join("migrations/more")).expect("a directory");
    let names = ["V2__b.sql", "more/U3__c.sqlite.sql", "R__d.sql", "V4__e.rs", "odd.sql"];
    for (kind, make) in SPECIAL {
        for name in names {
            let path = project.path().join("migrations").join(name);
            make(&path);
            let place = format!("migrations/{name}");
            refused(&project, "migrate", &[(&place, &format!("{kind}, not a regular file"))]);
            remove(&path);
        }
        println!("{} names of {kind}", names.len());
    }
    run(&project, "migrate").success();
}

#[test]
fn a20_every_command_refuses_all_of_them_together() {
    let project = project();
    let mut errors = Vec::new();
    for (n, (kind, make)) in SPECIAL.into_iter().enumerate() {
        let directory = format!("migrations/d{n}");
        fs::create_dir(project.path().join(&directory)).expect("a directory");
        let place = format!("{directory}/V{}__b.sql", n + 2);
        make(&project.path().join(&place));
        errors.push((place, format!("{kind}, not a regular file")));
    }
    let errors: Vec<(&str, &str)> = errors.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    for command in
        ["migrate", "migrate --fake", "plan", "plan --sql", "status", "check", "graph", "revert --steps 1"]
    {
        refused(&project, command, &errors);
    }
    let found = run(&project, "migrate --json").exits(2).json();
    let diagnostics = found["error"]["diagnostics"].as_array().expect("they are listed");
    assert_eq!(diagnostics.len(), SPECIAL.len());
    assert!(diagnostics.iter().all(|one| one["code"] == "not-a-regular-file"), "{diagnostics:#?}");
}

#[test]
fn a20_what_is_no_migration_is_passed_over() {
    let project = project();
    let migrations = project.path().join("migrations");
    pipe(&migrations.join("notes.txt"));
    pipe(&migrations.join("pipe"));
    pipe(&migrations.join(".V2__b.sql"));
    pipe(&migrations.join("mod.rs"));
    symlink("/dev/zero", migrations.join("zero")).expect("a link");
    // A link to a file is followed, also through other links.
    project.file("elsewhere/b.txt", "CREATE TABLE b (x INTEGER);\n");
    symlink("../elsewhere/b.txt", migrations.join(".link")).expect("a link");
    symlink(".link", migrations.join("V2__b.sql")).expect("a link");
    let outcome = run(&project, "migrate").success();
    assert!(project.sqlite_schema("app.db").contains("CREATE TABLE b "), "{outcome}");
}

#[test]
fn a20_what_cannot_be_read_is_named() {
    for (name, target, message, help) in [
        ("V2__b.sql", "V2__b.sql", "Too many levels of symbolic links", "does not lead back to itself"),
        ("V2__b.sql", "gone", "No such file", "a link to gone, which does not exist"),
        ("V2__b.sql", "/proc/self/mem", "Input/output error", "help: "),
        ("V2__b.sql", "V1__a.sql/x", "Not a directory", "help: "),
        ("more", "more", "Too many levels of symbolic links", "does not lead back to itself"),
        ("more", "gone/away", "No such file", "a link to gone/away, which does not exist"),
    ] {
        let project = project();
        let place = format!("migrations/{name}");
        symlink(target, project.path().join(&place)).expect("a link");
        refused(&project, "migrate", &[(&place, message)]);
        refused(&project, "migrate", &[(&place, help)]);
    }
    // A directory that contains itself is not entered.
    let project = project();
    symlink(".", project.path().join("migrations/again")).expect("a link");
    run(&project, "migrate").success().complains("a link to a directory is not followed");
}

/// A user without rights; the tests may run as root, to whom everything is readable.
#[test]
fn a20_what_may_not_be_read_is_named() {
    use std::os::unix::fs::PermissionsExt as _;

    let project = project();
    let open = |path: &str, mode| {
        let path = project.path().join(path);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is set");
    };
    project.file("migrations/V2__b.sql", "SELECT 1;\n").file("migrations/more/V3__c.sql", "SELECT 1;\n");
    open("", 0o755);
    open("migrations/V2__b.sql", 0o000);
    open("migrations/more", 0o000);
    let mut command = project.command(&["migrate", "--database-url", "sqlite::memory:"]);
    let is_root =
        fs::metadata(project.path()).is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == 0);
    if is_root {
        std::os::unix::process::CommandExt::uid(&mut command, 65534);
    }
    let outcome = Outcome::of(command).exits(2);
    for place in ["migrations/V2__b.sql", "migrations/more"] {
        assert!(
            outcome.stderr.contains(&format!("--> {place}\n  help: the user that runs this")),
            "{outcome}"
        );
    }
    assert_eq!(outcome.stderr.matches("Permission denied").count(), 2, "{outcome}");
    open("migrations/more", 0o755);
}

#[test]
fn a20_many_levels_of_directories_are_an_error() {
    for (levels, ends) in [(63, 0), (64, 2), (1500, 2)] {
        let project = project();
        let mut command = std::process::Command::new("sh");
        let nest = format!(
            "cd migrations && i=0 && while [ $i -lt {levels} ]; do mkdir d && cd d && i=$((i+1)); done && \
             echo 'CREATE TABLE deep (x INTEGER);' > V2__deep.sql"
        );
        let made = command.args(["-c", &nest]).current_dir(project.path()).status();
        assert!(made.expect("it runs").success());
        let outcome = run(&project, "migrate").exits(ends);
        if ends == 2 {
            let place = format!("--> migrations/{}\n  help: ", vec!["d"; 64].join("/"));
            outcome.complains("nested more than 64 levels deep").complains(&place);
        }
    }
}

#[test]
fn a20_a_directory_of_migrations_that_is_none() {
    for (kind, make) in SPECIAL.into_iter().filter(|(kind, _)| *kind != "a directory") {
        let project = Project::new();
        make(&project.path().join("migrations"));
        refused(
            &project,
            "migrate",
            &[("migrations", &format!("this is {kind}, not a directory of migrations"))],
        );
    }
    for target in ["migrations", "gone"] {
        let project = Project::new();
        symlink(target, project.path().join("migrations")).expect("a link");
        refused(&project, "migrate", &[("migrations", "the directory of migrations cannot be read")]);
    }
}

/// Opening never waits, also if a file becomes a named pipe after the check.
#[test]
fn a20_a_file_that_becomes_a_pipe_does_not_stop_a_run() {
    let project = project();
    let path = project.path().join("migrations/V2__b.sql");
    let (pipe, file) = (path.with_file_name("pipe"), path.with_file_name("file"));
    self::pipe(&pipe);
    project.file("migrations/file", "CREATE TABLE b (x INTEGER);\n");
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (ended, other) = (&ended, path.with_file_name("other"));
        let swap = scope.spawn(move || {
            let mut swaps = 0;
            while !ended.load(Ordering::Relaxed) {
                for target in [&file, &pipe] {
                    fs::hard_link(target, &other).expect("a link");
                    fs::rename(&other, &path).expect("it is renamed");
                    // Renaming to another name of the same file does nothing.
                    let _ = fs::remove_file(&other);
                    swaps += 1;
                }
            }
            swaps
        });
        let mut codes = [0; 3];
        for _ in 0..40 {
            let outcome = run(&project, "check");
            codes[match outcome.code {
                Some(3) => 0,
                Some(2) => 1,
                _ => 2,
            }] += 1;
        }
        ended.store(true, Ordering::Relaxed);
        let swaps = swap.join().expect("it ends");
        println!("{swaps} swaps; pending, refused, other: {codes:?}");
        assert_eq!(codes[2], 0, "{codes:?}");
    });
}
