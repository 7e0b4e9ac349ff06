//! Tests embedded migrations: packages with a build script are built with Cargo and run,
//! and faulty packages do not build.

mod workspace;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Outcome, Scene};
use bustard::embedded::{self, Built, File};
use bustard::sea_query::{ColumnDef, Table};
use bustard::{App, Database, Migration, Migrator, Place, Revert, Uninstall};
use workspace::{Workspace, built};

const EMBEDS: &str = "fn main() {\n    bustard::build::embed(\"migrations\")\n}\n";

const CREATE: &str = "-- bustard: register cache bans\nCREATE TABLE ban (pattern TEXT NOT NULL);\n\n\
                      -- bustard: down\nDROP TABLE ban;\n";

const TEXT: &str = r#"pub fn migration() -> String {
    let column = Some("note").filter(|_| std::env::args().count() > 1).expect("the database is given");
    format!("ALTER TABLE ban ADD COLUMN {column} TEXT;\n")
}
"#;

const BUILT: &str = r#"use bustard::Migration;
use bustard::sea_query::{ColumnDef, Table};

pub fn migration() -> Migration {
    Migration::new()
        .schema(Table::create().table("appeal").col(ColumnDef::new("ban").text()))
        .run("nothing", |_| Ok(()))
}
"#;

const HOST: &str = r#"use std::process::ExitCode;

fn main() -> ExitCode {
    let database = std::env::args().nth(1).unwrap_or_default();
    let mut connection = rusqlite::Connection::open(database).expect("it opens");
    let apps = [bustard::app!("main", "db/main"), bans::migrations(), bustard::app!("extra", "./db/extra/")];
    let migrator = apps.into_iter().fold(bustard::Migrator::new(), bustard::Migrator::app);
    match migrator.run(&mut connection) {
        Ok(report) => {
            for step in report.steps.iter().filter(|step| step.app != "bustard") {
                println!("{} {}", step.app, step.migration);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
"#;

const BUILD_DEPENDENCIES: &str =
    "[build-dependencies]\nbustard = { BUSTARD, default-features = false, features = [\"build\"] }\n";

/// Creates a plugin, and a host with two directories of its own.
fn plugin_and_host() -> Workspace {
    let workspace = Workspace::new("host-and-plugin", &["host", "bans"]);
    let plugin =
        format!("[dependencies]\nbustard = {{ BUSTARD, default-features = false }}\n\n{BUILD_DEPENDENCIES}");
    workspace
        .package("bans", &plugin)
        .file("bans/build.rs", EMBEDS)
        .file(
            "bans/src/lib.rs",
            "//! Bans.\n#![deny(missing_docs, unreachable_pub, unused, clippy::all)]\n\n/// The migrations.\n\
             pub fn migrations() -> bustard::App {\n    bustard::app!(\"bans\")\n}\n",
        )
        // The search for paths in the binary must find this path.
        .file(
            "bans/src/bin/leaky.rs",
            "fn main() {\n    println!(\"{} {}\", env!(\"CARGO_MANIFEST_DIR\"), env!(\"OUT_DIR\"));\n}\n",
        )
        .file("bans/migrations/V1__create.sql", CREATE)
        .file("bans/migrations/later/V2__text.rs", TEXT)
        // The version has 64 bits, which the Bustard of the build script does not support.
        .file("bans/migrations/later/U20240131120000__built.rs", BUILT);
    let host = format!(
        "[dependencies]\nbans = {{ path = \"../bans\" }}\n\
         bustard = {{ BUSTARD, default-features = false, features = [\"sqlite\", \"int8-versions\"] }}\n\
         rusqlite = \">=0.32, <0.43\"\n\n{BUILD_DEPENDENCIES}"
    );
    workspace
        .package("host", &host)
        .file(
            "host/build.rs",
            "fn main() {\n    bustard::build::embed(\"db/main\");\n    bustard::build::embed(\"./db/extra/\");\n}\n",
        )
        .file("host/src/main.rs", HOST)
        .file("host/db/main/V1__users.sql", "CREATE TABLE users (name TEXT);\n")
        .file("host/db/main/V2__fill.rs", "pub fn migration() -> String {\n    String::from(\"INSERT INTO users VALUES ('admin')\")\n}\n")
        .file("host/db/extra/V1__extra.sql", "CREATE TABLE extra (x TEXT);\n");
    workspace
}

/// Builds the host and runs it on a database of this name.
#[track_caller]
fn run(workspace: &Workspace, database: &str) -> Outcome {
    workspace.cargo(&["build", "--quiet"]).success();
    let mut host = Command::new(workspace.program("host"));
    host.arg(workspace.path().join(database));
    Outcome::of(host)
}

/// Reads the plugin's history: names and checksums by version.
fn history(workspace: &Workspace, database: &str) -> BTreeMap<i64, (String, String)> {
    let connection = rusqlite::Connection::open(workspace.path().join(database)).expect("it opens");
    let mut query = connection
        .prepare("SELECT version, name, checksum FROM refinery_schema_history_bans")
        .expect("there is a history");
    let rows =
        query.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))).expect("it is readable");
    rows.collect::<Result<_, _>>().expect("it is readable")
}

/// Returns refinery's checksum of a migration with this text.
fn refinery(name: &str, text: &str) -> String {
    refinery::Migration::unapplied(name, text).expect("refinery takes the name").checksum().to_string()
}

/// Reports whether a program's bytes contain this text.
fn contains(program: &Path, text: &str) -> bool {
    let bytes = fs::read(program).expect("it is there");
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_plugins_migrations_are_in_the_hosts_binary() {
    let workspace = plugin_and_host();
    let outcome = run(&workspace, "first.sqlite").success();
    let expected = "bans V1__create\nbans V2__text\nbans U20240131120000__built\nextra V1__extra\n\
                    main V1__users\nmain V2__fill\n";
    assert_eq!(outcome.stdout, expected);
    assert_eq!(run(&workspace, "first.sqlite").success().stdout, "", "everything is applied");
    let first = history(&workspace, "first.sqlite");
    assert_eq!(first[&1], ("create".into(), refinery("V1__create", CREATE)));
    assert_eq!(first[&2].1, refinery("V2__text", "ALTER TABLE ban ADD COLUMN note TEXT;\n"));

    no_path_is_in_the_binary(&workspace);
    what_has_changed_is_built(&workspace, &first);
    line_ends_do_not_matter(&workspace);

    workspace.file("bans/migrations/V4__late.sql", "SELECT 1;\n  INSERT INTO nowhere VALUES (1);\n");
    run(&workspace, "fifth.sqlite").exits(1).complains("--> bans (embedded)/V4__late.sql:2:");
}

fn no_path_is_in_the_binary(workspace: &Workspace) {
    let host = workspace.program("host");
    assert!(contains(&host, CREATE), "the binary contains the text");
    assert!(contains(&host, "bans/src/../migrations/later/V2__text.rs"), "a panic names the file");
    let (package, out) = (workspace.path().display().to_string(), built().display().to_string());
    let leaky = workspace.program("leaky");
    for path in [&package, &out] {
        assert!(contains(&leaky, path), "the search finds a path that the binary contains: {path}");
        assert!(!contains(&host, path), "{path} is in the host's binary");
    }
}

fn what_has_changed_is_built(workspace: &Workspace, first: &BTreeMap<i64, (String, String)>) {
    workspace.file("bans/migrations/new/V3__new.sql", "CREATE TABLE new (x TEXT);\n");
    assert_eq!(run(workspace, "first.sqlite").success().stdout, "bans V3__new\n", "a new file");
    workspace.file("bans/migrations/new/V3__new.sql", "CREATE TABLE newer (x TEXT);\n");
    run(workspace, "second.sqlite").success();
    let changed = history(workspace, "second.sqlite");
    assert_eq!(changed[&3].1, refinery("V3__new", "CREATE TABLE newer (x TEXT);\n"), "a changed file");
    workspace.file("bans/migrations/later/V2__text.rs", TEXT.replace("note", "remark"));
    workspace.remove("bans/migrations/new/V3__new.sql");
    run(workspace, "third.sqlite").success();
    let gone = history(workspace, "third.sqlite");
    assert_eq!(gone.keys().collect::<Vec<_>>(), first.keys().collect::<Vec<_>>(), "a removed file");
    assert_eq!(
        gone[&2].1,
        refinery("V2__text", "ALTER TABLE ban ADD COLUMN remark TEXT;\n"),
        "a changed Rust file"
    );
}

fn line_ends_do_not_matter(workspace: &Workspace) {
    let carriage_returns = CREATE.replace('\n', "\r\n");
    workspace.file("bans/migrations/V1__create.sql", &carriage_returns);
    assert_eq!(run(workspace, "third.sqlite").success().stdout, "", "the migration is the same");
    run(workspace, "fourth.sqlite").success();
    let fourth = history(workspace, "fourth.sqlite");
    assert_eq!(
        fourth[&1].1,
        refinery("V1__create", &carriage_returns),
        "the checksum is that of the bytes of the file, as for a file in a directory"
    );
}

/// Returns Cargo's output on a failed build script, as the author sees it.
#[track_caller]
fn refusal(workspace: &Workspace) -> String {
    let outcome = workspace.cargo(&["check", "--quiet"]).exits(101);
    let shown = outcome.stderr.split_once("--- stderr\n").unwrap_or_else(|| panic!("{outcome}")).1;
    let lines = shown.lines().map(|line| line.strip_prefix("  ").unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// Creates a package in a workspace, both with this name. No two tests have a package of
/// the same name (see [`Workspace`]).
fn to_be_refused(name: &str) -> Workspace {
    let workspace = Workspace::new(name, &[name]);
    let dependencies =
        format!("[dependencies]\nbustard = {{ BUSTARD, default-features = false }}\n\n{BUILD_DEPENDENCIES}");
    workspace
        .package(name, &dependencies)
        .file(&format!("{name}/build.rs"), EMBEDS)
        .file(
            &format!("{name}/src/lib.rs"),
            "pub fn migrations() -> bustard::App {\n    bustard::app!(\"wrong\")\n}\n",
        )
        .file(&format!("{name}/migrations/V1__good.sql"), "CREATE TABLE good (x TEXT);\n");
    workspace
}

#[test]
fn every_diagnostic_fails_the_build() {
    let workspace = to_be_refused("refused");
    for (name, text) in [
        ("V2_misnamed.sql", ""),
        ("V3__directive.sql", "SELECT 1;\n\n-- bustard: registr cache a\n"),
        ("V4__misplaced.sql", "SELECT 1\n-- bustard: register cache a\n;\n"),
        ("deeper/V1__twice.sql", "SELECT 1;\n"),
        ("V5__open.sql", "SELECT 'a;\n"),
        ("V6__copy.sql", "COPY good FROM stdin;\nx\n\\.\n"),
        ("V7__commit.sql", "SELECT 1;\nCOMMIT;\n"),
        ("V8__private.rs", "// pub fn migration()\nfn migration() -> String {\n    String::new()\n}\n"),
        ("V9__one_engine.sql", "DO $$ BEGIN PERFORM 1; END $$;\n"),
        ("V10__variant.postgres.sql", "SELECT 1;\n"),
        ("V10__variant.sqlite.sql", "SELECT \"1;\n"),
        ("V10__variant.sql", "never looked at '"),
    ] {
        workspace.file(&format!("refused/migrations/{name}"), text);
    }
    insta::assert_snapshot!("refused", refusal(&workspace));

    workspace.file(
        "refused/build.rs",
        "fn main() {\n    bustard::build::embed_for(\"migrations\", bustard::Engine::Postgres)\n}\n",
    );
    let refused = refusal(&workspace);
    assert!(refused.contains("V5__open.sql:1:8"), "{refused}");
    for name in ["V9__one_engine.sql", "V10__variant"] {
        assert!(!refused.contains(name), "{name} is fine on PostgreSQL: {refused}");
    }
}

#[test]
fn compiler_errors_name_the_migration() {
    let workspace = to_be_refused("misused");
    workspace.file("misused/build.rs", "fn main() {\n    bustard::build::embed(\"../migrations\")\n}\n");
    insta::assert_snapshot!("outside", refusal(&workspace));

    workspace.file("misused/build.rs", "fn main() {}\n");
    let outcome = workspace.cargo(&["check", "--quiet"]).exits(101);
    outcome.complains("the build script has not embedded `migrations`: write `fn main() { bustard::build::embed(\"migrations\") }`");

    workspace
        .file("misused/build.rs", EMBEDS)
        .file("misused/migrations/V2__number.rs", "pub fn migration() -> u8 {\n    7\n}\n");
    (workspace.cargo(&["check", "--quiet"]).exits(101))
        .complains("`migration()` returns `u8`, which is not a migration")
        .complains("v2::migration()) // migrations/V2__number.rs");

    workspace.file("misused/src/lib.rs", "pub mod deep;\n").file(
        "misused/src/deep/mod.rs",
        "pub fn migrations() -> bustard::App {\n    bustard::app!(\"wrong\")\n}\n",
    );
    (workspace.cargo(&["check", "--quiet"]).exits(101))
        .complains("`bustard::app!` belongs in src/lib.rs, src/main.rs or a file beside them");
    workspace.remove("misused/migrations/V2__number.rs");
    workspace.cargo(&["check", "--quiet"]).success();
}

/// Embedded files and files in a directory are read in the same way, on both engines. This
/// test builds nothing.
#[test]
fn embedded_files_are_read_as_other_files() {
    const FILES: &[(&str, File)] = &[
        ("V1__create.sql", File::Sql(CREATE)),
        ("V2__variant.postgres.sql", File::Sql("SELECT 'for PostgreSQL';\n")),
        ("V2__variant.sqlite.sql", File::Sql("SELECT 'for SQLite';\n")),
        ("more/U3__text.rs", File::Rust(|| Built::Text("-- bustard: register cache text\n".to_owned()))),
        ("more/V4__built.rs", File::Rust(|| Built::Migration(built_in_code()))),
    ];
    for scene in Scene::both() {
        let directory = scene.project.path().join("migrations");
        for (path, file) in FILES {
            if let File::Sql(text) = file {
                scene.file(path, text);
            }
        }
        scene.file("more/U3__text.sql", "-- bustard: register cache text\n");
        let url = if scene.is_postgres() { scene.url() } else { scene.project.sqlite_url("app.db") };
        let mut database = Database::new(&url).expect("the URL is good");
        let report = Migrator::new().app(embedded::app("main", FILES)).run(&mut database).expect("it runs");
        assert_eq!(scene.applied(), "1,2,3,4");
        assert_eq!(
            report.steps.iter().flat_map(|step| &step.registered).collect::<Vec<_>>(),
            ["bans", "text"]
        );

        // The directory contains the same migrations, so only the migration built in code
        // has no file.
        let status = Migrator::new().app(App::directory("main", directory)).status(&mut database);
        let status = format!("{:?}", status.expect("it can be read"));
        assert!(!status.contains("Divergent"), "{status}");
    }
}

fn built_in_code() -> Migration {
    Migration::new().schema(Table::create().table("built").col(ColumnDef::new("x").text()))
}

/// Faults that are found only at run time also have a place in a file.
#[test]
fn faults_of_embedded_files_have_their_places() {
    const FILES: &[(&str, File)] = &[
        ("V1__sql.sql", File::Sql("SELECT 1;\n\n  -- bustard: register cache a\n")),
        ("later/V2__text.rs", File::Rust(|| Built::Text("SELECT 1;\nCOMMIT;\n".to_owned()))),
        ("later/V3__built.rs", File::Rust(|| Built::Migration(Migration::new().register_cache("")))),
        ("V4__built.rs", File::Rust(|| Built::Migration(Migration::new().sql("SELECT '")))),
    ];
    for engine in [bustard::Engine::Postgres, bustard::Engine::Sqlite] {
        let error = Migrator::new()
            .app(embedded::app("bans", FILES))
            .check_sources(engine)
            .expect_err("all are wrong");
        let places: Vec<String> =
            error.diagnostics().iter().filter_map(|problem| Some(problem.place()?.to_string())).collect();
        assert_eq!(
            places,
            [
                "bans (embedded)/V1__sql.sql:3:3",
                "bans (embedded)/V4__built.rs:1:8",
                "bans (embedded)/later/V2__text.rs:2:1",
                "bans (embedded)/later/V3__built.rs",
            ]
        );
    }
}

/// The error for an irreversible function has a file but no line.
#[test]
fn an_irreversible_migration_has_a_file() {
    const FILES: &[(&str, File)] =
        &[("V1__fill.rs", File::Rust(|| Built::Migration(Migration::new().run("fill", |_| Ok(())))))];
    let migrator = Migrator::new().app(embedded::app("bans", FILES));
    for scene in Scene::both() {
        let url = if scene.is_postgres() { scene.url() } else { scene.project.sqlite_url("app.db") };
        let mut database = Database::new(&url).expect("the URL is good");
        migrator.run(&mut database).expect("it runs");

        let error = migrator.revert(&mut database, &Revert::Steps(1)).expect_err("it is irreversible");
        assert_eq!((error.app(), error.migration()), (Some("bans"), Some("V1__fill")), "{error}");
        let file = Path::new("bans (embedded)/V1__fill.rs");
        assert_eq!(error.place().map(Place::path), Some(file), "{error}");

        let plan =
            migrator.plan_uninstall(&mut database, &Uninstall::new("bans")).expect("it can be planned");
        let places: Vec<_> = plan.obstacles.iter().map(|problem| problem.place().map(Place::path)).collect();
        assert_eq!(places, [Some(file)]);
    }
}
