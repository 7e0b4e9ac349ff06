//! Tests of loading whole apps, from every origin.
//!
//! In: directories and apps built in code. Out: loaded apps and diagnostics.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::engine::dialects::{POSTGRES, SQLITE};
use crate::model::{Migration, Operation};

fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let root = TempDir::new().expect("a temporary directory");
    for (file, bytes) in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a directory");
        fs::write(path, bytes).expect("a file");
    }
    root
}

/// Formats diagnostics without the name of the temporary directory.
fn diagnostics(root: &Path, dialect: &'static dyn Dialect) -> Vec<String> {
    let found = load(&[App::directory("main", root)], dialect);
    assert_eq!(found.broken, found.errors.iter().map(|(app, _)| *app).collect());
    let root = root.display().to_string();
    all_errors(&found).iter().map(|error| error.report().to_string().replace(&root, "ROOT")).collect()
}

/// Returns the errors of loading, and those of judging all texts.
fn all_errors(found: &Loaded) -> Vec<Diagnostic> {
    let texts = found.apps.iter().flat_map(LoadedApp::errors_in_texts);
    let mut errors: Vec<Diagnostic> =
        found.errors.iter().map(|(_, error)| error).chain(texts).cloned().collect();
    errors.sort_by(|one, other| one.place.cmp(&other.place));
    errors
}

fn loaded(app: App, dialect: &'static dyn Dialect) -> LoadedApp {
    let mut found = load(&[app], dialect);
    assert_eq!(found.errors, []);
    found.apps.remove(0)
}

#[test]
fn a_directory_is_read_with_its_subdirectories() {
    let text = "\u{feff}-- bustard: register cache a\r\nSELECT 1;\r\n";
    let root = directory(&[
        ("V10__c.sql", b"SELECT 3;"),
        ("nested/deep/V2__b.sql", text.as_bytes()),
        ("U1__a.postgres.sql", b"SELECT 1;"),
        ("U1__a.sql", b"no sql '"),
        ("README.md", b"# Migrations"),
        (".V1__hidden.sql", b"'"),
        (".git/V1__hidden.sql", b"'"),
        ("mod.rs", b""),
        ("V1__a.sql.orig", b"'"),
    ]);
    let app = loaded(App::directory("main", root.path()), POSTGRES);
    let ids: Vec<String> = app.migrations.iter().map(|m| m.id.to_string()).collect();
    assert_eq!(ids, ["U1__a", "V2__b", "V10__c"]);
    assert_eq!(app.migrations[1].text.held(), Some(text));
    assert_eq!(app.migrations[1].migration().operations.len(), 2);
    let place = app.migrations[1].migration().operations[1].place().expect("it is in a file");
    assert_eq!(place.path(), root.path().join("nested/deep/V2__b.sql"));
    assert_eq!((place.line(), place.column()), (Some(2), Some(1)));
}

#[test]
fn refinery_reads_the_same_migrations() {
    let root = directory(&[
        ("V1__a.sql", b"SELECT 1;"),
        ("n/V3__c.sql", "é\r\n".as_bytes()),
        ("U2__b.sql", b"SELECT 2"),
    ]);
    let theirs = refinery_core::load_sql_migrations(root.path()).expect("refinery reads them");
    let ours = loaded(App::directory("main", root.path()), SQLITE);
    let through = loaded(App::refinery("main", theirs.clone()), SQLITE);
    for app in [ours, through] {
        assert_eq!(app.migrations.len(), theirs.len());
        for (our, their) in app.migrations.iter().zip(&theirs) {
            assert_eq!(our.id.to_string(), their.to_string());
            assert_eq!(our.text.held(), their.sql());
        }
    }
}

#[test]
fn all_diagnostics_are_reported_together() {
    let root = directory(&[
        ("V1__a.sql", b"-- bustard: registr cache a\nSELECT 1;"),
        ("V1__b.sql", b"SELECT 1;"),
        ("V2_c.sql", b""),
        ("V3__d.sql", b"SELECT 1;\nSELECT '\xff';"),
        ("V4__e.sql", b"SELECT 'a"),
        ("V1.5__f.sql", b""),
        ("V5__g.rs", b""),
        ("V6__h.rs", b""),
    ]);
    let found = diagnostics(root.path(), SQLITE);
    let expected = [
        "`V1.5__f.sql` has a version with a point\n  --> ROOT/V1.5__f.sql\n",
        "`V2_c.sql` is not named like a migration\n  --> ROOT/V2_c.sql\n  help: name it `V2__c.sql`",
        "a migration in Rust (and one more) needs the host's own command\n  --> ROOT/V5__g.rs\n",
        "two migrations have the version 1: this one and ROOT/V1__a.sql\n  --> ROOT/V1__b.sql\n",
        "`registr cache a` is not a directive\n  --> ROOT/V1__a.sql:1:13\n",
        "the file is not UTF-8\n  --> ROOT/V3__d.sql:2:9\n   |\n 2 | SELECT '\u{fffd}';\n   |         ^\n",
        "the SQL ends inside a string\n  --> ROOT/V4__e.sql:1:8\n",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for expected in expected {
        assert!(found.iter().any(|found| found.starts_with(expected)), "{found:#?}\n\nhas no\n\n{expected}");
    }
}

#[test]
fn versions_beyond_32_bits_need_the_feature() {
    let root = directory(&[("V20240131120000__a.sql", b"SELECT 1")]);
    let found = diagnostics(root.path(), SQLITE);
    if cfg!(feature = "int8-versions") {
        assert_eq!(found, [""; 0]);
    } else {
        assert!(
            found[0].contains("does not fit into 32 bits\n  --> ROOT/V20240131120000__a.sql"),
            "{found:?}"
        );
        assert!(found[0].contains("`int8-versions`"), "{found:?}");
    }
}

#[test]
fn directories_without_migrations() {
    let root = directory(&[("README.md", b""), ("file.txt", b"")]);
    assert!(
        diagnostics(root.path(), SQLITE)[0]
            .starts_with("there are no migrations in this directory\n  --> ROOT\n")
    );
    let missing = root.path().join("missing");
    assert!(diagnostics(&missing, SQLITE)[0].contains("cannot be read: No such file"));
    assert!(diagnostics(&root.path().join("file.txt"), SQLITE)[0].starts_with("this is a file"));
    let other = directory(&[("V1__a.postgres.sql", b"SELECT 1")]);
    assert_eq!(diagnostics(other.path(), SQLITE), [""; 0]);
}

#[cfg(unix)]
#[test]
fn links() {
    use std::os::unix::fs::symlink;

    let root = directory(&[("real/V1__a.sql", b"SELECT 1"), ("V2__b.txt", b"SELECT 2")]);
    symlink("../V2__b.txt", root.path().join("real/V2__b.sql")).expect("a link");
    symlink("real", root.path().join("linked")).expect("a link");
    let app = loaded(App::directory("main", root.path().join("linked")), SQLITE);
    assert_eq!(app.migrations.len(), 2);

    symlink(root.path(), root.path().join("real/up")).expect("a link");
    let found = load(&[App::directory("main", root.path())], SQLITE);
    assert_eq!(found.errors, [], "a link to a directory is no error");
    assert!(found.warnings[0].message().contains("not followed"));

    symlink("loop", root.path().join("loop")).expect("a link");
    let found = diagnostics(&root.path().join("loop"), SQLITE);
    assert!(found[0].starts_with("the directory of migrations cannot be read: "), "{found:?}");
    let found = diagnostics(root.path(), SQLITE);
    assert!(found[0].contains("ROOT/loop"), "{found:?}");
}

#[test]
fn labels_and_history_tables() {
    let two = [App::new("a"), App::new("a"), App::new("B-c"), App::new("bustard")];
    let found = load(&two, POSTGRES).errors;
    let messages: Vec<(usize, &str)> = found.iter().map(|(app, error)| (*app, error.message())).collect();
    assert_eq!(
        messages,
        [
            (1, "two apps have the label `a`"),
            (2, "`B-c` is not a valid app label"),
            (3, "the label `bustard` belongs to Bustard's own tables")
        ]
    );
    let found = load(&[App::new("main"), App::new("b").history("refinery_schema_history")], SQLITE);
    assert!(found.errors[0].1.message().contains("keep their history in one table"));
    assert!(found.broken.is_empty(), "the migrations are all there");
    let two = |a: &str, b: &str, dialect| {
        let found = load(&[App::new("a").history(a), App::new("b").history(b)], dialect).errors;
        found.first().map(|(_, error)| error.message().to_owned())
    };
    assert_eq!(two("x.history", "y.history", POSTGRES), None);
    assert_eq!(two("History", "history", POSTGRES), None);
    // On SQLite these names mean one table.
    for (a, b) in [("x.history", "y.history"), ("History", "history")] {
        let message = two(a, b, SQLITE).expect("it is one table");
        assert_eq!(message, "the apps `a` and `b` keep their history in one table");
    }
    let long = "h".repeat(64);
    assert!(two(&long, "history", POSTGRES).is_some_and(|message| message.contains("too long")));
    assert_eq!(two(&long[1..], "history", POSTGRES), None);
}

#[test]
fn migrations_built_in_code() {
    let migration = Migration::new()
        .depends_on("forum", 1)
        .sql("CREATE TABLE a (x int);\nCREATE TABLE b (x int)")
        .register_cache("a b")
        .run("fill", |_| Ok(()))
        .down(Migration::new().sql("DROP TABLE b"));
    let app = App::new("bans")
        .migration("U7__create", migration)
        .migration("V1__first", Migration::new().register_cache("x"));
    let app = loaded(app, SQLITE);
    assert_eq!(app.migrations[0].id.to_string(), "V1__first");
    let second = &app.migrations[1];
    assert_eq!(
        second.text.held().unwrap(),
        "-- bustard: depends on forum 1\nCREATE TABLE a (x int);\nCREATE TABLE b (x int)\n-- bustard: register cache \"a b\"\n-- function fill\n\
         -- bustard: down\nDROP TABLE b\n"
    );
    match &second.migration().operations[0] {
        Operation::Sql(sql) => {
            let places: Vec<String> =
                sql.statements().iter().filter_map(|s| Some(s.place.as_ref()?.to_string())).collect();
            assert_eq!(
                places,
                ["bans U7__create (built in code):1:1", "bans U7__create (built in code):2:1"]
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn errors_of_migrations_in_code() {
    use sea_query::{Alias, ForeignKey};
    let app = App::new("a")
        .migration("V1_x", Migration::new())
        .migration("V1__x", Migration::new().register_cache("").depends_on("Forum", 1))
        .migration("V1__y", Migration::new().sql("SELECT 1;\nCOMMIT"))
        .migration("V2__z", Migration::new().schema(ForeignKey::drop().table(Alias::new("t")).name("k")));
    let found = load(&[app], SQLITE);
    assert_eq!(found.apps[0].migrations[0].depends_on, [], "an invalid label is one error");
    let errors = all_errors(&found);
    let messages: Vec<&str> = errors.iter().map(Diagnostic::message).collect();
    assert_eq!(messages.len(), 6, "{messages:#?}");
    for part in [
        "the app `a` has two migrations of one version: V1__x and V1__y",
        "`V1_x` is not a valid migration name",
        "`Forum` is not a valid app label",
        "name of the cache is empty",
        "`COMMIT` cannot be in a migration",
        "sea-query cannot write",
    ] {
        assert!(messages.iter().any(|message| message.contains(part)), "{messages:#?} has no {part}");
    }
}

#[test]
fn bustards_own_migrations_load_on_both_engines() {
    for dialect in [POSTGRES, SQLITE] {
        let app = loaded(own(), dialect);
        assert!(!app.migrations.is_empty(), "{dialect}");
    }
}

#[test]
fn lookalikes_are_found_in_texts_of_every_origin() {
    use crate::embedded::{Built, File};

    const SQL: &str =
        "SELECT 1;\n-- bustrad: down\nSELECT 2;\n-- +goose Down\nSELECT 3;\n-- +goose StatementEnd\n";
    let root = directory(&[("V1__a.sql", SQL.as_bytes())]);
    let files: &'static [(&str, File)] = &[("V1__a.sql", File::Sql(SQL))];
    let rust: &'static [(&str, File)] =
        &[("V1__a.rs", File::Rust(|| Built::Text(SQL.to_owned()))), ("V2__b.sql", File::Sql("SELECT 1;"))];
    let code = App::new("main").migration("V1__a", Migration::new().sql(SQL));
    let down =
        App::new("main").migration("V1__a", Migration::new().sql("SELECT 1").down(Migration::new().sql(SQL)));
    let embedded = |files| App { origin: AppSource::Embedded(files), ..App::new("main") };
    for app in [App::directory("main", root.path()), embedded(files), embedded(rust), code, down] {
        for dialect in [POSTGRES, SQLITE] {
            let found = load(std::slice::from_ref(&app), dialect);
            let found = all_errors(&found);
            let [near, marker] = &found[..] else { panic!("{found:#?}") };
            assert_eq!((near.code, marker.code), (Code::DirectiveNearMiss, Code::ForeignMarker));
            let place = |found: &Diagnostic| found.place.as_ref().map(|place| (place.line(), place.column()));
            assert_eq!(place(near), Some((Some(2), Some(4))));
            assert_eq!(place(marker), Some((Some(4), Some(4))));
            assert!(
                marker
                    .message
                    .contains("is a marker of goose, which Bustard does not obey, and there is one more")
            );
        }
    }
}

/// A long text that is gone or that is another one can be neither applied nor reverted.
#[test]
fn a7_a_long_text_that_cannot_be_read_again_is_refused() {
    let text = "SELECT 'é';\n".repeat(10_000);
    type Change = fn(&Path, &str);
    let changes: [(&str, Change, Code); 5] = [
        ("gone", |path, _| fs::remove_file(path).expect("it is there"), Code::UnreadableSource),
        (
            "another",
            |path, text| fs::write(path, text.replace('é', "e")).expect("a file"),
            Code::ChangedSource,
        ),
        ("less", |path, text| fs::write(path, &text[..99_999]).expect("a file"), Code::ChangedSource),
        (
            "half a character",
            |path, text| fs::write(path, &text.as_bytes()[..9]).expect("a file"),
            Code::ChangedSource,
        ),
        (
            "not UTF-8",
            |path, text| {
                fs::write(
                    path,
                    text.replace('é', "e")
                        .as_bytes()
                        .iter()
                        .map(|b| if *b == b'e' { 0xe9 } else { *b })
                        .collect::<Vec<u8>>(),
                )
                .expect("a file")
            },
            Code::ChangedSource,
        ),
    ];
    for (what, change, code) in changes {
        let root = directory(&[("V1__a.sql", text.as_bytes())]);
        let app = loaded(App::directory("main", root.path()), POSTGRES);
        change(&root.path().join("V1__a.sql"), &text);
        let migration = &app.migrations[0];
        assert_eq!(migration.refusal().map(|error| error.code()), Some(code), "{what}");
        assert_eq!(app.errors_in_texts().count(), 1, "{what}");
    }
}
