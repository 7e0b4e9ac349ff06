//! An input for every code, which proves that each code in [`Code::ALL`] occurs.
//!
//! In: an input. Out: the codes of its diagnostics.
#![cfg(all(feature = "postgres", feature = "sqlite", feature = "build", feature = "memcached"))]

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use tempfile::TempDir;

use super::Code;
use crate::engine::dialects;
use crate::engine::postgres::rights::foreign_grants;
use crate::graph::Graph;
use crate::history::{Current, Installed, text_checksum};
use crate::model::Engine::{self, Postgres, Sqlite};
use crate::model::History;
use crate::plan::{Facts, Memory};
use crate::source::survey::survey;
use crate::{App, CacheBuster, Database, Migration, Migrator, Revert, StoreSettings, Uninstall, source};

/// Returns the codes of an error, and checks that its message is one line.
fn of<T>(result: crate::Result<T>) -> Vec<Code> {
    match result {
        Ok(_) => Vec::new(),
        Err(error) => {
            assert!(!error.to_string().contains(['\n', '\r']), "not one line: {error}");
            // The long form of an error with several diagnostics lists the diagnostics, but
            // not their number.
            let message = error.message().lines().next().unwrap_or_default();
            assert!(error.diagnostics().len() > 1 || error.report().to_string().contains(message), "{error}");
            match error.diagnostics() {
                [] => vec![error.code()],
                found => found.iter().map(super::Diagnostic::code).collect(),
            }
        }
    }
}

fn load(engine: Engine, apps: &[App]) -> Vec<Code> {
    let loaded = source::load(apps, dialects::of(engine));
    let errors = loaded.errors.iter().map(|(_, error)| error);
    let mut codes: Vec<Code> = errors.chain(&loaded.warnings).map(super::Diagnostic::code).collect();
    let texts = loaded.apps.iter().flat_map(|app| &app.migrations).map(|migration| migration.reading());
    codes.extend(texts.flat_map(|reading| &reading.warnings).map(super::Diagnostic::code));
    codes.extend(of(Migrator::new().apps(apps.iter().cloned()).check_sources(engine)));
    codes
}

fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let root = TempDir::new().unwrap();
    for (name, text) in files {
        std::fs::write(root.path().join(name), text).unwrap();
    }
    root
}

fn files(engine: Engine, files: &[(&str, &str)]) -> Vec<Code> {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let root = directory(&files);
    load(engine, &[App::directory("main", root.path())])
}

fn text(engine: Engine, text: &str) -> Vec<Code> {
    files(engine, &[("V1__a.sql", text)])
}

fn memory() -> rusqlite::Connection {
    rusqlite::Connection::open_in_memory().unwrap()
}

fn sql(text: &str) -> Migration {
    Migration::new().sql(text)
}

fn app(label: &str, migrations: &[(&str, Migration)]) -> App {
    migrations.iter().fold(App::new(label), |app, (stem, migration)| app.migration(*stem, migration.clone()))
}

/// Returns a migration that creates a table, and its `down`.
fn table(name: &str) -> Migration {
    sql(&format!("CREATE TABLE {name} (id INTEGER PRIMARY KEY)")).down(sql(&format!("DROP TABLE {name}")))
}

fn migrator(apps: &[App]) -> Migrator {
    Migrator::new().apps(apps.iter().cloned())
}

/// Migrates with the apps `before`, changes the database, and plans with the apps `after`.
fn plan(before: &[App], change: &str, after: &[App]) -> Vec<Code> {
    let mut connection = memory();
    migrator(before).run(&mut connection).unwrap();
    connection.execute_batch(change).unwrap();
    let planned = migrator(after).plan(&mut connection);
    let mut codes: Vec<Code> =
        planned.iter().flat_map(|plan| &plan.warnings).map(super::Diagnostic::code).collect();
    codes.extend(of(planned));
    codes
}

fn run(apps: &[App]) -> Vec<Code> {
    of(migrator(apps).run(&mut memory()))
}

/// Migrates, changes the database, and plans to uninstall the app `a`, with the code of the
/// apps in `with`.
fn uninstall(apps: &[App], change: &str, with: &[App]) -> Vec<Code> {
    let mut connection = memory();
    migrator(apps).run(&mut connection).unwrap();
    connection.execute_batch(change).unwrap();
    match migrator(with).plan_uninstall(&mut connection, &Uninstall::new("a")) {
        Ok(plan) => plan.obstacles.iter().chain(&plan.warnings).map(super::Diagnostic::code).collect(),
        error => of(error),
    }
}

/// Returns the code for a snapshot that is older than allowed.
fn stale() -> Vec<Code> {
    let root = TempDir::new().unwrap();
    let path = root.path().join("a.db");
    let url = format!("sqlite:{}", path.display());
    let mut database = Database::new(&url).unwrap();
    let bans = app("main", &[("V1__a", Migration::new().register_cache("bans"))]);
    migrator(&[bans]).run(&mut database).unwrap();
    let buster = CacheBuster::on(&database)
        .poll_interval(Duration::from_millis(50))
        .max_staleness(Duration::from_millis(200))
        .start()
        .unwrap();
    let cache = buster.cache("bans").unwrap();
    drop(database);
    std::fs::remove_file(&path).unwrap();
    for _ in 0..200 {
        if cache.version().is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    of(cache.version())
}

fn locked() -> Vec<Code> {
    let root = TempDir::new().unwrap();
    let path = root.path().join("a.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut connection = rusqlite::Connection::open(&path).unwrap();
    of(migrator(&[app("main", &[("V1__a", table("t"))])]).lock_wait(Duration::ZERO).run(&mut connection))
}

fn outdated() -> Vec<Code> {
    let mut connection = memory();
    let one = app("a", &[("V1__a", table("t"))]);
    migrator(std::slice::from_ref(&one)).run(&mut connection).unwrap();
    let plan = Migrator::new().plan_uninstall(&mut connection, &Uninstall::new("a")).unwrap();
    migrator(&[one.migration("V2__b", table("u"))]).run(&mut connection).unwrap();
    of(Migrator::new().uninstall(&mut connection, &plan))
}

fn cancelled() -> Vec<Code> {
    let mut database = Database::new("sqlite::memory:").unwrap();
    database.canceller().cancel();
    of(migrator(&[]).run(&mut database))
}

fn superseded() -> Vec<Code> {
    let release = |text: &str| {
        app("a", &[("R__view", sql(&format!("DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT {text}")))])
    };
    let mut connection = memory();
    migrator(&[release("1")]).run(&mut connection).unwrap();
    migrator(&[release("2")]).run(&mut connection).unwrap();
    of(migrator(&[release("1")]).plan(&mut connection))
}

fn disabled() -> Vec<Code> {
    let a = app("a", &[("V1__a", table("t"))]);
    let b = app("b", &[("V1__b", table("u").depends_on("a", 1))]);
    let mut connection = memory();
    migrator(std::slice::from_ref(&a)).run(&mut connection).unwrap();
    migrator(std::slice::from_ref(&a)).disable(&mut connection, "a").unwrap();
    of(migrator(&[a, b]).plan(&mut connection))
}

fn irreversible() -> Vec<Code> {
    let mut connection = memory();
    let apps = [app("a", &[("V1__a", sql("CREATE TABLE t (id INTEGER)"))])];
    migrator(&apps).run(&mut connection).unwrap();
    of(migrator(&apps).revert(&mut connection, &Revert::Steps(1)))
}

/// Returns the codes for apps that were never migrated, in a database with these records.
fn facts(
    engine: Engine,
    apps: &[App],
    installed: &Installed,
    find: impl FnOnce(&Facts<'_>) -> Vec<Code>,
) -> Vec<Code> {
    let apps = source::load(apps, dialects::of(engine)).apps;
    let graph = Graph::new(&apps, &HashSet::new()).unwrap();
    let histories = vec![History::default(); apps.len()];
    let memory = Memory::default();
    find(&Facts { apps: &apps, graph: &graph, histories: &histories, installed, memory: &memory })
}

/// Returns the codes for one of Bustard's own functions that was edited in the database.
fn edited() -> Vec<Code> {
    let mut installed = Installed::default();
    let own = source::load(&[source::own()], dialects::of(Postgres)).apps.remove(0);
    let function = own.migrations.iter().find(|loaded| loaded.is_repeatable()).unwrap();
    let current = Current {
        checksum: text_checksum(function),
        installed_at: "now".to_owned(),
        edition: own.edition,
        edited: true,
    };
    installed.repeatables.installed(own.label, function.id.name.clone(), current);
    facts(Postgres, &[source::own()], &installed, |facts| {
        facts.warnings().iter().map(super::Diagnostic::code).collect()
    })
}

fn own(label: &str) -> Vec<App> {
    vec![source::own(), App::new(label)]
}

/// The error for one finding about rights.
fn refused(columns: &[&str]) -> crate::Result<()> {
    let row = columns.iter().map(|column| Some((*column).to_owned())).collect();
    crate::engine::postgres::rights::refused(vec![row]).map_or(Ok(()), Err)
}

type Input = fn() -> Vec<Code>;

/// Every code, with an input that causes it.
const INPUTS: &[(Code, Input)] = &[
    (Code::UnreadableSource, || load(Sqlite, &[App::directory("main", "no/such/directory")])),
    (Code::ChangedSource, || {
        let root = directory(&[("V1__a.sql", "SELECT 1;\n".repeat(10_000).as_bytes())]);
        let file = root.path().join("V1__a.sql");
        let change = Migration::new().run("change the file", move |_| {
            std::fs::write(&file, "SELECT 2;\n".repeat(10_000)).map_err(Into::into)
        });
        run(&[app("first", &[("V1__change", change)]), App::directory("main", root.path())])
    }),
    (Code::NotARegularFile, || {
        let root = directory(&[("V1__a.sql", b"SELECT 1")]);
        std::fs::create_dir(root.path().join("V2__b.sql")).unwrap();
        load(Sqlite, &[App::directory("main", root.path())])
    }),
    (Code::FileTooLarge, || {
        let root = directory(&[]);
        std::fs::File::create(root.path().join("V1__a.sql")).unwrap().set_len(4 << 30).unwrap();
        load(Sqlite, &[App::directory("main", root.path())])
    }),
    (Code::NotADirectory, || {
        let root = directory(&[("a.sql", b"")]);
        load(Sqlite, &[App::directory("main", root.path().join("a.sql"))])
    }),
    (Code::EmptyDirectory, || files(Sqlite, &[])),
    #[cfg(unix)]
    (Code::LinkNotFollowed, || {
        let root = directory(&[("V1__a.sql", b"SELECT 1")]);
        std::os::unix::fs::symlink(root.path(), root.path().join("link")).unwrap();
        load(Sqlite, &[App::directory("main", root.path())])
    }),
    (Code::NotUtf8, || {
        let root = directory(&[("V1__a.sql", b"SELECT '\xff'")]);
        load(Sqlite, &[App::directory("main", root.path())])
    }),
    (Code::InvalidMigrationName, || files(Sqlite, &[("1_a.sql", "")])),
    (Code::NameTooLong, || load(Sqlite, &[app("a", &[(&format!("V1__{}", "a".repeat(256)), table("t"))])])),
    (Code::VersionTooWide, || {
        let history = "CREATE TABLE refinery_schema_history (version int4 PRIMARY KEY, name VARCHAR(255), \
                       applied_on VARCHAR(255), checksum VARCHAR(255))";
        plan(&[], history, &[app("main", &[("V20240131120000__a", table("t"))])])
    }),
    (Code::DuplicateVersion, || files(Sqlite, &[("V1__a.sql", "SELECT 1"), ("V1__b.sql", "SELECT 1")])),
    (Code::DuplicateRepeatable, || load(Sqlite, &[app("a", &[("R__a", table("t")), ("R__a", table("u"))])])),
    (Code::RustMigration, || files(Sqlite, &[("V1__a.rs", "")])),
    (Code::MissingMigrationFunction, || {
        let root = directory(&[("V1__a.rs", b"")]);
        survey(root.path(), &[dialects::of(Sqlite)]).errors.iter().map(super::Diagnostic::code).collect()
    }),
    (Code::MigrationWithoutSql, || {
        let row = refinery_core::Migration::applied(1, "a".into(), time::OffsetDateTime::UNIX_EPOCH, 1);
        load(Sqlite, &[App::refinery("a", vec![row])])
    }),
    (Code::EmptyMigration, || text(Sqlite, "-- nothing")),
    (Code::InvalidLabel, || load(Sqlite, &[App::new("No")])),
    (Code::ReservedLabel, || load(Sqlite, &own("bustard"))),
    (Code::DuplicateLabel, || load(Sqlite, &[App::new("a"), App::new("a")])),
    (Code::InvalidHistoryTable, || load(Sqlite, &[App::new("a").history("")])),
    (Code::SharedHistoryTable, || load(Sqlite, &[App::new("a").history("h"), App::new("b").history("h")])),
    (Code::SharedMigrations, || {
        let root = directory(&[("V1__a.sql", b"SELECT 1")]);
        load(Sqlite, &["a", "b"].map(|label| App::directory(label, root.path())))
    }),
    (Code::ZeroByte, || text(Sqlite, "SELECT 1\0")),
    (Code::UnterminatedSql, || text(Sqlite, "SELECT 'a")),
    (Code::ShellCommand, || text(Postgres, "\\connect a")),
    (Code::TransactionControl, || text(Sqlite, "COMMIT")),
    (Code::SkippedTransaction, || text(Sqlite, "BEGIN; SELECT 1; COMMIT")),
    (Code::NotInTransaction, || text(Postgres, "VACUUM")),
    (Code::ClientCopy, || text(Postgres, "COPY a TO STDOUT")),
    (Code::AttachedDatabase, || text(Sqlite, "ATTACH 'a' AS b")),
    (Code::IneffectivePragma, || text(Sqlite, "PRAGMA journal_mode = WAL")),
    (Code::SkippedPragma, || text(Sqlite, "PRAGMA foreign_keys = OFF")),
    (Code::TextSetting, || text(Postgres, "SET standard_conforming_strings = off; SELECT 'it\\'s'")),
    (Code::UnsupportedSchemaStatement, || {
        let alter = sea_query::Table::alter().table("a").to_owned();
        load(Sqlite, &[app("a", &[("V1__a", Migration::new().schema(alter))])])
    }),
    (Code::UnknownDirective, || text(Sqlite, "-- bustard: registr cache a")),
    (Code::DirectiveNearMiss, || text(Sqlite, "SELECT 1;\n-- bustrad: down\nSELECT 2;")),
    (Code::ForeignMarker, || text(Sqlite, "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;")),
    (Code::InvalidDirective, || text(Sqlite, "-- bustard: depends on")),
    (Code::MisplacedDirective, || text(Sqlite, "SELECT 1 -- bustard: down")),
    (Code::UnsupportedDirective, || text(Sqlite, "-- bustard: no transaction\nSELECT 1")),
    (Code::InvalidCacheName, || text(Sqlite, "-- bustard: register cache a;")),
    (Code::InvalidTableName, || text(Sqlite, "-- bustard: register cache a on 1b")),
    (Code::UnknownApp, || text(Sqlite, "-- bustard: depends on nosuch\nSELECT 1")),
    (Code::UnknownDependency, || {
        load(Sqlite, &[app("a", &[("V1__a", table("t").depends_on("b", 9))]), App::new("b")])
    }),
    (Code::SelfDependency, || load(Sqlite, &[app("a", &[("V1__a", table("t").depends_on_app("a"))])])),
    (Code::DependencyCycle, || text(Sqlite, "-- bustard: depends on main V1\nSELECT 1")),
    (Code::DivergentMigration, || {
        plan(&[app("a", &[("V1__a", table("t"))])], "", &[app("a", &[("V1__a", table("u"))])])
    }),
    (Code::MissingMigration, || {
        let both = app("a", &[("V1__a", table("t")), ("V2__b", table("u"))]);
        plan(&[both], "", &[app("a", &[("V2__b", table("u"))])])
    }),
    (Code::NewerRelease, || {
        let both = app("a", &[("V1__a", table("t")), ("V2__b", table("u"))]);
        plan(&[both], "", &[app("a", &[("V1__a", table("t"))])])
    }),
    (Code::NewerBustard, || {
        plan(
            &[],
            "INSERT INTO refinery_schema_history_bustard VALUES (99, 'new', '2026-01-01T00:00:00Z', '1')",
            &[],
        )
    }),
    (Code::OutOfOrderMigration, || {
        let both = app("a", &[("V1__a", table("t")), ("V2__b", table("u"))]);
        plan(&[app("a", &[("V2__b", table("u"))])], "", &[both])
    }),
    (Code::SupersededMigration, superseded),
    (Code::UnwritableRecords, || {
        let apps = [source::own(), app("a", &[("R__view", table("t"))])];
        let mut installed = Installed::default();
        installed.repeatables.read_only = true;
        facts(Sqlite, &apps, &installed, |facts| of(facts.forward(None)))
    }),
    (Code::EditedFunction, edited),
    (Code::DisabledDependency, disabled),
    (Code::ChangedDependencies, || {
        let b = app("b", &[("V1__b", table("u"))]);
        let before = [b.clone(), app("a", &[("V1__a", table("t"))])];
        plan(&before, "", &[b, app("a", &[("V1__a", table("t").depends_on("b", 1))])])
    }),
    (Code::LateDependency, || {
        let a = app("a", &[("V1__a", table("t"))]);
        let late = app("b", &[("V1__b", table("u").required_by("a", 1))]);
        let applied = vec![a.clone()];
        plan(&applied, "", &[a, late])
    }),
    (Code::IrreversibleMigration, irreversible),
    (Code::UntrustedOwner, || of(refused(&["schema", "bustard", "evil", "deploy", ""]))),
    (Code::UntrustedCode, || of(refused(&["rule", "bustard.app", "", "deploy", "r"]))),
    (Code::CopiedDatabase, || {
        let mut installed = Installed::default();
        (installed.copied, installed.keeps_identity) = (true, true);
        facts(Postgres, &[source::own()], &installed, |facts| {
            facts.warnings().iter().map(super::Diagnostic::code).collect()
        })
    }),
    (Code::ForeignGrant, || {
        let row = ["bustard.app", "web", "UPDATE"].map(|column| Some(column.to_owned()));
        foreign_grants(vec![row.to_vec()]).iter().map(super::Diagnostic::code).collect()
    }),
    (Code::DuplicateCache, || {
        let twice = Migration::new().register_cache("x");
        run(&[app("a", &[("V1__a", twice.clone()), ("V2__b", twice)])])
    }),
    (Code::UnknownCache, || run(&[app("a", &[("V1__a", Migration::new().unregister_cache("x"))])])),
    (Code::ForeignCache, || {
        let change = Migration::new().sql("CREATE TABLE t (x)").change_cache_on("x", ["t"]);
        let a = app("a", &[("V1__a", Migration::new().register_cache("x"))]);
        run(&[a, app("b", &[("V1__b", change.depends_on("a", 1))])])
    }),
    (Code::FoldFailed, || {
        let rows = [vec![Some("10001".to_owned())]];
        crate::engine::postgres::overdue(&rows).iter().map(super::Diagnostic::code).collect()
    }),
    (Code::DependentApp, || {
        let a = app("a", &[("V1__a", table("t"))]);
        uninstall(&[a, app("b", &[("V1__b", table("u").depends_on("a", 1))])], "", &[])
    }),
    (Code::ReferencedTable, || {
        let change = "CREATE TABLE other (id INTEGER REFERENCES t (id))";
        uninstall(&[app("a", &[("V1__a", table("t"))])], change, &[])
    }),
    (Code::LostHistory, || {
        uninstall(&[app("a", &[("V1__a", table("t"))])], "DROP TABLE refinery_schema_history_a", &[])
    }),
    (Code::TrackedTableGone, || {
        let a = app("a", &[("V1__a", table("t").register_cache_on("c", ["t"]))]);
        let apps = [a];
        plan(&apps, "DROP TABLE t", &apps)
    }),
    (Code::HistoryElsewhere, || {
        let a = app("a", &[("V1__a", table("t"))]);
        plan(std::slice::from_ref(&a), "", &[a.clone().history("other")])
    }),
    (Code::ReplacedHistory, || {
        let a = app("a", &[("V1__a", table("t"))]);
        let apps = [a];
        plan(&apps, "DELETE FROM refinery_schema_history_a", &apps)
    }),
    (Code::UnconfiguredHistoryLost, || {
        let a = app("a", &[("V1__a", table("t"))]);
        plan(&[a], "DROP TABLE refinery_schema_history_a", &[])
    }),
    (Code::UnusableRecord, || {
        let down = Migration::new().run("drop", |_| Ok(()));
        uninstall(&[app("a", &[("V1__a", table("t").down(down))])], "", &[])
    }),
    (Code::AppStillConfigured, || {
        let apps = [app("a", &[("V1__a", table("t"))])];
        uninstall(&apps, "", &apps)
    }),
    (Code::HistoryOffSearchPath, || {
        vec![crate::migrator::off_search_path("a", "public.refinery_schema_history_a").code()]
    }),
    (Code::LaterMigrationStays, || {
        let b = app("b", &[("V1__b", table("u"))]);
        uninstall(&[b, app("a", &[("V1__a", table("t").required_by("b", 1))])], "", &[])
    }),
    (Code::DependentObject, || {
        uninstall(&[app("a", &[("V1__a", table("t"))])], "CREATE VIEW v AS SELECT id FROM t", &[])
    }),
    (Code::InvalidUsage, || of(Database::new("mysql://a"))),
    (Code::LockTimeout, locked),
    (Code::ConnectionFailed, || {
        let database = Database::new("sqlite:no/such/file.db").unwrap();
        of(migrator(&[]).run(&mut database.create_missing(false)))
    }),
    (Code::StatementFailed, || run(&[app("a", &[("V1__a", sql("SELECT * FROM nosuch"))])])),
    (Code::InvalidHistory, || {
        plan(&[], "CREATE TABLE refinery_schema_history_a (x)", &[app("a", &[("V1__a", table("t"))])])
    }),
    (Code::OutdatedPlan, outdated),
    (Code::FunctionFailed, || {
        run(&[app("a", &[("V1__a", Migration::new().run("fill", |_| Err("no luck".into())))])])
    }),
    (Code::StaleSnapshot, stale),
    (Code::StoreFailed, || {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let store = StoreSettings::memcached([free.to_string()]).open().unwrap();
        of(store.get("key"))
    }),
    (Code::Cancelled, cancelled),
    (Code::Failed, || of(Migrator::new().disable(&mut memory(), "main"))),
];

#[test]
fn every_code_has_an_input_that_is_found_with_it() {
    let wrong: Vec<String> = (INPUTS.iter())
        .map(|(code, input)| (code, input()))
        .filter(|(code, found)| !found.contains(code))
        .map(|(code, found)| format!("{code}: {found:?}"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(without_input(INPUTS), [] as [Code; 0]);
    println!("{} codes have an input", INPUTS.len());
}

/// Proves that the check notices a code without an input.
#[test]
fn a_code_without_an_input_is_noticed() {
    for (n, (code, _)) in INPUTS.iter().enumerate() {
        let mut inputs = INPUTS.to_vec();
        inputs.remove(n);
        assert_eq!(without_input(&inputs), [*code]);
    }
}

fn without_input(inputs: &[(Code, Input)]) -> Vec<Code> {
    let with: BTreeSet<Code> = inputs.iter().map(|(code, _)| *code).collect();
    Code::ALL.iter().copied().filter(|code| !with.contains(code)).collect()
}
