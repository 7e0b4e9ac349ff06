//! Logical copies, which are noticed, and what is no copy.

use super::{GIVEN, identity, installed, installed_on, is_noticed, is_original, project, restored, run};
use crate::support::{Cluster, Database};

#[test]
fn c5_templates() {
    let project = project();
    let original = installed(&project);
    let copy = original.copy();
    is_noticed(&project, &copy, "a copy");
    // A copy of a copy, of one that has an identity of its own and of one that has not.
    is_noticed(&project, &copy.copy(), "a copy of a copy");
    is_noticed(&project, &original.copy().copy(), "a copy of a copy that was not noticed");
    is_original(&project, &original, "the original");
}

#[test]
fn c5_text_of_a_run() {
    let project = project();
    let copy = installed(&project).copy();
    let outcome = run(&project, &copy, &["migrate"]).success();
    assert!(outcome.stdout.contains(&format!("{GIVEN}\n\nall 2 caches invalidated")), "{outcome}");
}

#[test]
fn c5_dumps() {
    let project = project();
    let original = installed(&project);
    let whole = Database::new();
    restored(&original, &whole, &[]);
    is_noticed(&project, &whole, "a whole dump");
    // The schema of the registry is restored beside the tables of the application.
    let parts = Database::new();
    parts.psql("DROP SCHEMA public");
    restored(&original, &parts, &["--schema", "bustard"]);
    restored(&original, &parts, &["--schema", "public"]);
    is_noticed(&project, &parts, "a dump in two parts");
    let inserts = Database::new();
    restored(&original, &inserts, &["--inserts", "--clean", "--if-exists"]);
    is_noticed(&project, &inserts, "a dump of inserts");
    // Without rows there is no identity. The run creates what is missing.
    let empty = Database::new();
    restored(&original, &empty, &["--schema-only"]);
    empty.psql("DROP TABLE users, posts");
    run(&project, &empty, &["migrate"]).success();
    assert_ne!(identity(&empty), identity(&original));
    is_original(&project, &empty, "a restored schema without rows");
    // The dump of a copy, restored where the original was.
    original.psql("DROP SCHEMA bustard CASCADE; DROP SCHEMA public CASCADE");
    restored(&whole, &original, &["--schema", "public", "--schema", "bustard"]);
    is_noticed(&project, &original, "the dump of a copy");
}

#[test]
fn c5_another_cluster() {
    let project = project();
    let original = installed(&project);
    let cluster = Cluster::start_with(&[]);
    // A server can give the restored database the OID of the original.
    let oid = original.value("SELECT oid FROM pg_database WHERE datname = current_database()");
    let names_oids = original.value("SELECT current_setting('server_version_num')::int >= 150000") == "t";
    let options = if names_oids { format!("OID {oid}") } else { String::new() };
    let copy = Database::with(&cluster, &options);
    restored(&original, &copy, &[]);
    is_noticed(&project, &copy, "a dump in another cluster");
    assert_ne!(identity(&copy), identity(&original));
}

#[test]
fn c5_a_renamed_database_is_no_copy() {
    let project = project();
    let original = installed(&project);
    let renamed = original.rename();
    is_original(&project, &renamed, "another name");
}

/// The rows are restored where they were.
#[test]
fn c5_a_restored_schema_is_no_copy() {
    let project = project();
    let original = installed(&project);
    let before = identity(&original);
    restored(&original, &original, &["--clean", "--if-exists"]);
    assert_eq!(identity(&original), before);
    is_original(&project, &original, "restored in its place");
}

/// Each command that changes something gives a copy an identity of its own, in the same
/// transaction.
#[test]
fn c5_every_changing_command() {
    let commands: &[(&str, &[&str])] = &[
        ("migrate", &["migrate"]),
        ("in one transaction", &["migrate", "--transaction", "all"]),
        ("with a target", &["migrate", "--to", "main:V1"]),
        ("revert", &["revert", "--steps", "1"]),
        ("disable", &["disable", "main"]),
        ("enable", &["enable", "off"]),
        ("uninstall", &["uninstall", "main", "--yes"]),
        ("uninstall, keeping data", &["uninstall", "main", "--keep-data", "--yes"]),
        ("forget", &["uninstall", "main", "--forget", "--yes"]),
        ("repair", &["repair", "main:V2"]),
        ("repair --new-identity", &["repair", "--new-identity"]),
    ];
    let cluster = Cluster::shared();
    for (what, command) in commands {
        let project = project();
        project.config(
            "[[apps]]\nlabel = \"main\"\nmigrations = \"migrations\"\n[[apps]]\nlabel = \"off\"\nmigrations = \"off\"\n",
        );
        project.file("off/V1__off.sql", "SELECT 1;\n");
        let original = installed_on(&project, cluster);
        run(&project, &original, &["disable", "off"]).success();
        let copy = original.copy();
        project.file(
            "migrations/V2__posts.sql",
            "CREATE TABLE posts (id bigint);\n-- bustard: register cache posts\n",
        );
        if !what.contains("repair") {
            // The file is the applied one again.
            run(&project, &copy, &["check"]).exits(4);
            project.file("migrations/V2__posts.sql", super::project().read("migrations/V2__posts.sql"));
        }
        let outcome = run(&project, &copy, &[command, &["--json"][..]].concat());
        let refused = outcome.code == Some(4) && *what == "repair --new-identity";
        assert!(outcome.code == Some(0) || refused, "{what}: {outcome}");
        assert!(refused || outcome.json()["new_identity"] == true, "{what}: {outcome}");
        assert_eq!(identity(&copy) == identity(&original), refused, "{what}");
        assert_eq!(
            copy.value("SELECT is_copy FROM bustard.this_database()"),
            if refused { "t" } else { "f" },
            "{what}"
        );
    }
}
