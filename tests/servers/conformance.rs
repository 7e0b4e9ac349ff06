//! Tests the promises of the library with one suite, on every kind of connection that the
//! migrator accepts: connections that Bustard opens and connections of the caller, on each
//! engine.

use bustard::report::State;
use bustard::sea_query::{ColumnDef, Index, Table};
use bustard::{
    App, CacheVersion, Connection, Engine, Error, ErrorKind, Executor, Migration, Migrator, Revert,
    TransactionMode, registry,
};

/// A connection of some kind, and a view of its database.
trait Subject {
    type Connection: Connection + Executor;
    const ENGINE: Engine;
    fn connection(&mut self) -> &mut Self::Connection;
    fn engine(&self) -> Engine {
        Self::ENGINE
    }
    /// Returns the first column of the first row. NULL, or no row, is an empty text.
    fn value(&mut self, sql: &str) -> String;
    fn execute(&mut self, sql: &str);
}

struct OwnPostgres(crate::support::Database<'static>, bustard::Database);
struct CallersPostgres(crate::support::Database<'static>, postgres::Client);
struct OwnSqlite(tempfile::TempDir, bustard::Database);
struct CallersSqlite(rusqlite::Connection);

fn sqlite_value(connection: &rusqlite::Connection, sql: &str) -> String {
    let mut statement = connection.prepare(sql).expect("the query is right");
    let mut rows = statement.query([]).expect("the query runs");
    let Some(row) = rows.next().expect("the query runs") else { return String::new() };
    match row.get::<_, rusqlite::types::Value>(0).expect("there is a column") {
        rusqlite::types::Value::Null => String::new(),
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Text(text) => text,
        other => format!("{other:?}"),
    }
}

impl Subject for OwnPostgres {
    const ENGINE: Engine = Engine::Postgres;
    type Connection = bustard::Database;
    fn connection(&mut self) -> &mut bustard::Database {
        &mut self.1
    }
    fn value(&mut self, sql: &str) -> String {
        self.0.value(sql)
    }
    fn execute(&mut self, sql: &str) {
        self.0.psql(sql);
    }
}

impl Subject for CallersPostgres {
    const ENGINE: Engine = Engine::Postgres;
    type Connection = postgres::Client;
    fn connection(&mut self) -> &mut postgres::Client {
        &mut self.1
    }
    fn value(&mut self, sql: &str) -> String {
        self.0.value(sql)
    }
    fn execute(&mut self, sql: &str) {
        self.0.psql(sql);
    }
}

impl OwnSqlite {
    fn other(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.0.path().join("test.sqlite")).expect("the file opens")
    }
}

impl Subject for OwnSqlite {
    const ENGINE: Engine = Engine::Sqlite;
    type Connection = bustard::Database;
    fn connection(&mut self) -> &mut bustard::Database {
        &mut self.1
    }
    fn value(&mut self, sql: &str) -> String {
        sqlite_value(&self.other(), sql)
    }
    fn execute(&mut self, sql: &str) {
        self.other().execute_batch(sql).expect("the statements run");
    }
}

impl Subject for CallersSqlite {
    const ENGINE: Engine = Engine::Sqlite;
    type Connection = rusqlite::Connection;
    fn connection(&mut self) -> &mut rusqlite::Connection {
        &mut self.0
    }
    fn value(&mut self, sql: &str) -> String {
        sqlite_value(&self.0, sql)
    }
    fn execute(&mut self, sql: &str) {
        self.0.execute_batch(sql).expect("the statements run");
    }
}

fn own_postgres() -> OwnPostgres {
    let database = crate::support::Database::new();
    let own = bustard::Database::new(&database.url()).expect("a good URL");
    OwnPostgres(database, own)
}

fn callers_postgres() -> CallersPostgres {
    let database = crate::support::Database::new();
    let client = database.client();
    CallersPostgres(database, client)
}

fn own_sqlite() -> OwnSqlite {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = format!("sqlite:{}", directory.path().join("test.sqlite").display());
    OwnSqlite(directory, bustard::Database::new(&url).expect("a good URL"))
}

fn callers_sqlite() -> CallersSqlite {
    CallersSqlite(rusqlite::Connection::open_in_memory().expect("SQLite opens"))
}

/// Generates four tests from each function of the list.
macro_rules! on_every_connection {
    ($($name:ident),* $(,)?) => {
        mod own_postgres {
            $(#[test] fn $name() { super::$name(super::own_postgres()) })*
        }
        mod callers_postgres {
            $(#[test] fn $name() { super::$name(super::callers_postgres()) })*
        }
        mod own_sqlite {
            $(#[test] fn $name() { super::$name(super::own_sqlite()) })*
        }
        mod callers_sqlite {
            $(#[test] fn $name() { super::$name(super::callers_sqlite()) })*
        }
    };
}

on_every_connection! {
    applies_once,
    a_failure_leaves_nothing,
    a_failure_names_its_statement,
    one_transaction_for_all,
    a_function_commits_with_its_migration,
    a_function_that_ignores_an_error,
    schema_statements_are_reverted,
    dependencies_across_apps,
    targets,
    faking,
    reverting_takes_dependants_along,
    reverting_an_irreversible_migration,
    divergent_and_repaired,
    missing_files,
    out_of_order,
    an_applied_u_makes_nothing_missing,
    registry_operations,
    registry_in_a_migration,
    versions_never_become_current_again,
    caches_that_should_be_registered,
    another_history_table,
    nothing_to_do_writes_nothing,
    a_database_of_a_newer_bustard,
    the_registering_app_owns_the_cache,
    reverting_unregister_restores_the_owner,
    the_run_executes_the_plan,
    settings_end_with_their_migration,
}

fn table(name: &str) -> Migration {
    Migration::new()
        .sql(format!("CREATE TABLE {name} (id integer PRIMARY KEY)"))
        .down(Migration::new().sql(format!("DROP TABLE {name}")))
}

fn exists(subject: &mut impl Subject, table: &str) -> bool {
    let sql = match subject.engine() {
        Engine::Postgres => format!("SELECT count(*) FROM pg_class WHERE relname = '{table}'"),
        _ => format!("SELECT count(*) FROM sqlite_master WHERE name = '{table}'"),
    };
    subject.value(&sql) == "1"
}

fn versions(subject: &mut impl Subject) -> Vec<(String, CacheVersion)> {
    let caches = registry::list(subject.connection()).expect("there is a registry");
    caches.into_iter().map(|cache| (cache.name, cache.version)).collect()
}

fn names(steps: &[bustard::report::StepReport]) -> Vec<String> {
    steps
        .iter()
        .filter(|done| done.app != "bustard")
        .map(|done| format!("{} {}", done.app, done.migration))
        .collect()
}

fn applies_once(mut subject: impl Subject) {
    let app =
        App::new("main").migration("V1__a", table("a").register_cache("as")).migration("V2__b", table("b"));
    let migrator = Migrator::new().app(app);
    let report = migrator.run(subject.connection()).expect("it runs");
    assert_eq!(names(&report.steps), ["main V1__a", "main V2__b"]);
    let first = report.steps.iter().find(|done| done.app == "main").expect("it was applied");
    assert_eq!(first.registered, ["as"]);
    assert!(exists(&mut subject, "a") && exists(&mut subject, "b"));
    assert!(!migrator.run(subject.connection()).expect("it runs").changed());
    let status = migrator.status(subject.connection()).expect("there is a status");
    assert!(status.migrations.iter().all(|migration| migration.state == State::Applied));
    let own = |migration: &&bustard::report::MigrationStatus| {
        migration.app == "bustard" && !migration.migration.is_repeatable()
    };
    assert_eq!(status.migrations.iter().filter(own).count(), 1);
    assert_eq!(status.migrations.iter().filter(|migration| migration.app == "main").count(), 2);
}

fn a_failure_leaves_nothing(mut subject: impl Subject) {
    let broken =
        Migration::new().register_cache("bs").sql("CREATE TABLE b (x integer); CREATE TABLE a (x integer)");
    let app = App::new("main").migration("V1__a", table("a").register_cache("as")).migration("V2__b", broken);
    let before = Migrator::new().app(App::new("main").migration("V1__a", table("a").register_cache("as")));
    let error = Migrator::new().app(app).run(subject.connection()).expect_err("table a exists");
    assert_eq!(error.kind(), ErrorKind::Database);
    assert_eq!(error.migration(), Some("V2__b"));
    let applied = error.applied().expect("a run was under way");
    assert_eq!(applied, ["bustard:V1__registry", "main:V1__a"]);
    assert!(exists(&mut subject, "a") && !exists(&mut subject, "b"));
    let registered: Vec<String> = versions(&mut subject).into_iter().map(|(name, _)| name).collect();
    assert_eq!(registered, ["as"]);
    // The connection can be used after the failure.
    assert!(!before.run(subject.connection()).expect("it runs").changed());
}

fn a_failure_names_its_statement(mut subject: impl Subject) {
    let sql = "CREATE TABLE a (id integer PRIMARY KEY);\nINSERT INTO a VALUES (1);\n  INSERT INTO a VALUES (1);\n\
               INSERT INTO a VALUES (2);\nINSERT INTO a VALUES (3);";
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("V1__a.sql");
    let run = |subject: &mut _, sql: &str| -> Error {
        std::fs::write(&file, sql).expect("the file is written");
        let app = App::directory("main", directory.path());
        Migrator::new().app(app).run(Subject::connection(subject)).expect_err("the file is wrong")
    };
    let place = |error: &Error| {
        let place = error.place().unwrap_or_else(|| panic!("no place: {error}"));
        (place.line(), place.column(), place.line_text().map(str::to_owned))
    };
    // The engines report no position for a violated constraint.
    let error = run(&mut subject, sql);
    assert_eq!(place(&error), (Some(3), Some(3), Some("  INSERT INTO a VALUES (1);".into())), "{error}");
    // These errors have no position either, whether the first or the last statement causes
    // them.
    let error = run(&mut subject, "\nCREATE TABLE a (x integer);\nCREATE TABLE a (x integer);");
    assert_eq!(place(&error).0, Some(3), "{error}");
    // This error has a position.
    let error = run(&mut subject, "SELECT 1;\nSELECT 'é',\n  nonsense;\nSELECT 2;");
    assert_eq!(place(&error).0.map(|line| (2..=3).contains(&line)), Some(true), "{error}");
    // A syntax error is found before anything runs, wherever it is.
    let error = run(&mut subject, "SELECT 1;\nSELECT 2;\n\n  SELEC 3;\nSELECT 4;");
    assert_eq!(place(&error), (Some(4), Some(3), Some("  SELEC 3;".into())), "{error}");
    assert!(!exists(&mut subject, "a"));
}

fn one_transaction_for_all(mut subject: impl Subject) {
    let app = App::new("main")
        .migration("V1__a", table("a"))
        .migration("V2__b", table("b").register_cache("bs"))
        .migration("V3__c", Migration::new().sql("CREATE TABLE a (x integer)"));
    let migrator = Migrator::new().app(app).transaction(TransactionMode::All);
    let error = migrator.run(subject.connection()).expect_err("table a exists");
    assert_eq!(error.applied(), Some(&[][..]));
    assert_eq!(error.migration(), Some("V3__c"), "{error}");
    assert!(!exists(&mut subject, "a") && !exists(&mut subject, "b"));
    assert!(registry::list(subject.connection()).is_err(), "there is no registry");
    let app =
        App::new("main").migration("V1__a", table("a")).migration("V2__b", table("b").register_cache("bs"));
    let migrator = Migrator::new().app(app).transaction(TransactionMode::All);
    let report = migrator.run(subject.connection()).expect("it runs");
    assert_eq!(names(&report.steps), ["main V1__a", "main V2__b"]);
    let report = migrator
        .revert(subject.connection(), &Revert::To { app: "main".into(), version: 0 })
        .expect("it can be reverted");
    assert_eq!(names(&report.steps), ["main V2__b", "main V1__a"]);
    assert!(!exists(&mut subject, "a") && versions(&mut subject).is_empty());
}

fn a_function_commits_with_its_migration(mut subject: impl Subject) {
    let fill = |transaction: &mut bustard::OpenTransaction<'_, '_>| {
        transaction.execute("INSERT INTO a VALUES (7)")?;
        Ok(())
    };
    let fails = |transaction: &mut bustard::OpenTransaction<'_, '_>| {
        transaction.execute("INSERT INTO a VALUES (8)")?;
        Err("no luck".into())
    };
    let app = App::new("main").migration("V1__a", table("a").run("fill", fill));
    let with_failing = app.clone().migration("V2__fails", Migration::new().run("fail", fails));
    let error = Migrator::new().app(with_failing).run(subject.connection()).expect_err("the function fails");
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert!(
        error.report().to_string().contains("no luck")
            && error.report().to_string().contains("main:V2__fails"),
        "{error}"
    );
    assert_eq!(subject.value("SELECT sum(id) FROM a"), "7");
    assert!(!Migrator::new().app(app).run(subject.connection()).expect("it runs").changed());
}

fn a_function_that_ignores_an_error(mut subject: impl Subject) {
    let swallow = |transaction: &mut bustard::OpenTransaction<'_, '_>| {
        let _ = transaction.execute("INSERT INTO nowhere VALUES (1)");
        Ok(())
    };
    let app = App::new("main").migration("V1__a", table("a").run("swallow", swallow));
    let migrator = Migrator::new().app(app);
    // PostgreSQL aborts the transaction at the first error, SQLite does not.
    match migrator.run(subject.connection()) {
        Ok(_) => assert!(exists(&mut subject, "a")),
        Err(error) => {
            assert!(
                error.report().to_string().contains("continued after the database had refused"),
                "{error}"
            );
            assert!(!exists(&mut subject, "a"));
        }
    }
    let status = migrator.status(subject.connection()).expect("there is a status");
    let state = status.migrations.iter().find(|migration| migration.app == "main").map(|m| m.state);
    assert_eq!(state == Some(State::Applied), exists(&mut subject, "a"));
}

fn schema_statements_are_reverted(mut subject: impl Subject) {
    let migration = Migration::new()
        .schema(
            Table::create()
                .table("ban")
                .col(ColumnDef::new("id").big_integer().primary_key())
                .col(ColumnDef::new("pattern").text()),
        )
        .schema(Index::create().name("ban_pattern").table("ban").col("pattern"))
        .register_cache("bans");
    let migrator = Migrator::new().app(App::new("main").migration("V1__bans", migration));
    migrator.run(subject.connection()).expect("it runs");
    assert!(exists(&mut subject, "ban") && exists(&mut subject, "ban_pattern"));
    migrator.revert(subject.connection(), &Revert::Steps(1)).expect("it can be reverted");
    assert!(!exists(&mut subject, "ban") && versions(&mut subject).is_empty());
    assert!(migrator.run(subject.connection()).expect("it runs again").changed());
}

fn two_apps() -> Migrator {
    let host = App::new("host").migration("V1__users", table("users")).migration("V2__posts", table("posts"));
    let plugin = App::new("addon")
        .migration("V1__bans", table("bans").depends_on("host", 1).required_by("host", 2))
        .migration("V2__more", table("more").depends_on_app("host"));
    Migrator::new().app(host).app(plugin)
}

fn dependencies_across_apps(mut subject: impl Subject) {
    let report = two_apps().run(subject.connection()).expect("it runs");
    assert_eq!(
        names(&report.steps),
        ["host V1__users", "addon V1__bans", "host V2__posts", "addon V2__more"]
    );
}

fn targets(mut subject: impl Subject) {
    let report = two_apps().target("addon", 1).run(subject.connection()).expect("it runs");
    assert_eq!(names(&report.steps), ["host V1__users", "addon V1__bans"]);
    assert!(!two_apps().target("host", 1).run(subject.connection()).expect("it runs").changed());
    let error =
        two_apps().target("host", 9).run(subject.connection()).expect_err("there is no such migration");
    assert_eq!(error.kind(), ErrorKind::Usage);
    let report = two_apps().run(subject.connection()).expect("it runs");
    assert_eq!(names(&report.steps), ["host V2__posts", "addon V2__more"]);
}

fn faking(mut subject: impl Subject) {
    subject.execute("CREATE TABLE a (id integer PRIMARY KEY)");
    let app = || {
        let never = |_: &mut bustard::OpenTransaction<'_, '_>| Err("must not be called".into());
        App::new("main").migration("V1__a", table("a").register_cache("as").run("never", never))
    };
    let report = Migrator::new().app(app()).fake(true).run(subject.connection()).expect("nothing is run");
    assert!(report.steps.iter().all(|done| done.how == bustard::report::How::Faked || done.app == "bustard"));
    assert_eq!(versions(&mut subject).len(), 1);
    assert!(!Migrator::new().app(app()).run(subject.connection()).expect("it runs").changed());
}

fn reverting_takes_dependants_along(mut subject: impl Subject) {
    two_apps().run(subject.connection()).expect("it runs");
    let to = Revert::To { app: "host".into(), version: 1 };
    let plan = two_apps().plan_revert(subject.connection(), &to).expect("it can be reverted");
    let planned: Vec<String> =
        plan.steps.iter().map(|step| format!("{} {}", step.app, step.migration)).collect();
    assert_eq!(planned, ["addon V2__more", "host V2__posts"]);
    let report = two_apps().revert(subject.connection(), &to).expect("it can be reverted");
    assert_eq!(names(&report.steps), planned);
    let report = two_apps().revert(subject.connection(), &Revert::Steps(9)).expect("it can be reverted");
    assert_eq!(names(&report.steps), ["addon V1__bans", "host V1__users"]);
    assert!(!two_apps().revert(subject.connection(), &Revert::Steps(1)).expect("nothing is left").changed());
}

fn reverting_an_irreversible_migration(mut subject: impl Subject) {
    let app = App::new("main")
        .migration("V1__a", Migration::new().sql("CREATE TABLE a (x integer)"))
        .migration("V2__b", table("b"));
    let migrator = Migrator::new().app(app);
    migrator.run(subject.connection()).expect("it runs");
    let error = migrator.revert(subject.connection(), &Revert::Steps(2)).expect_err("V1 has no down");
    assert!(error.report().to_string().contains("main:V1__a: cannot be reverted"), "{error}");
    // The reversible migration is not reverted either.
    assert!(exists(&mut subject, "b"));
    let plan = migrator.plan(subject.connection()).expect("there is a plan");
    assert!(plan.steps.is_empty());
}

fn divergent_and_repaired(mut subject: impl Subject) {
    let app = |sql: &str| App::new("main").migration("V1__a", Migration::new().register_cache("as").sql(sql));
    let old = Migrator::new().app(app("CREATE TABLE a (x integer)"));
    let new = || Migrator::new().app(app("CREATE TABLE a (x bigint)"));
    old.run(subject.connection()).expect("it runs");
    let before = versions(&mut subject);
    let error = new().run(subject.connection()).expect_err("the file has changed");
    assert_eq!(error.kind(), ErrorKind::Divergent);
    assert!(!new().allow_divergent(true).run(subject.connection()).expect("allowed").changed());
    assert_eq!(versions(&mut subject), before);
    let report = new()
        .repair(subject.connection(), &bustard::Repair::migration("main", 1))
        .expect("it can be repaired");
    assert_eq!(report.steps[0].how, bustard::report::How::Repaired);
    assert!(versions(&mut subject)[0].1 > before[0].1, "repairing invalidates");
    assert!(!new().run(subject.connection()).expect("accepted").changed());
    assert!(
        !new()
            .repair(subject.connection(), &bustard::Repair::migration("main", 1))
            .expect("nothing to repair")
            .changed()
    );
    let error = new()
        .repair(subject.connection(), &bustard::Repair::migration("main", 2))
        .expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::Usage);
}

fn missing_files(mut subject: impl Subject) {
    let both = App::new("main").migration("V1__a", table("a")).migration("V2__b", table("b"));
    Migrator::new().app(both).run(subject.connection()).expect("it runs");
    let one = || Migrator::new().app(App::new("main").migration("V1__a", table("a")));
    let error = one().run(subject.connection()).expect_err("V2 is missing");
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(!one().allow_missing(true).run(subject.connection()).expect("allowed").changed());
    let status = one().status(subject.connection()).expect("there is a status");
    assert_eq!(status.in_state(State::Missing).count(), 1);
    let to = Revert::To { app: "main".into(), version: 0 };
    let error =
        one().allow_missing(true).revert(subject.connection(), &to).expect_err("V2 cannot be reverted");
    assert_eq!(error.kind(), ErrorKind::Missing);
}

fn out_of_order(mut subject: impl Subject) {
    Migrator::new()
        .app(App::new("main").migration("V2__b", table("b")))
        .run(subject.connection())
        .expect("it runs");
    let both = || {
        let app = App::new("main").migration("V1__a", table("a")).migration("V2__b", table("b"));
        Migrator::new().app(app)
    };
    let error = both().run(subject.connection()).expect_err("V1 comes late");
    assert_eq!(error.kind(), ErrorKind::OutOfOrder);
    let status = both().status(subject.connection()).expect("there is a status");
    assert_eq!(status.in_state(State::OutOfOrder).count(), 1);
    assert!(both().allow_out_of_order(true).run(subject.connection()).expect("allowed").changed());
    // A `U` migration may be added later than newer migrations.
    let late = App::new("main")
        .migration("U0__late", table("late"))
        .migration("V1__a", table("a"))
        .migration("V2__b", table("b"));
    assert!(Migrator::new().app(late).run(subject.connection()).expect("it runs").changed());
}

fn an_applied_u_makes_nothing_missing(mut subject: impl Subject) {
    let first = App::new("main").migration("V1__a", table("a")).migration("U9__u", table("u"));
    Migrator::new().app(first.clone()).run(subject.connection()).expect("it runs");
    let report = Migrator::new().app(first.migration("V2__b", table("b"))).run(subject.connection());
    assert_eq!(names(&report.expect("V2 is in order").steps), ["main V2__b"]);
}

fn registry_operations(mut subject: impl Subject) {
    assert!(registry::list(subject.connection()).is_err(), "there is no registry yet");
    Migrator::new().run(subject.connection()).expect("Bustard's own tables are made");
    let c = subject.connection();
    registry::register(c, "a", None).expect("it is new");
    registry::register(c, "b'\\\"; --", Some("forum")).expect("all characters are allowed");
    let (a, b) = ("a", "b'\\\"; --");
    let (version_a, version_b) = (registry::get_version(c, a), registry::get_version(c, b));
    let (version_a, version_b) = (version_a.expect("it is there"), version_b.expect("it is there"));
    registry::invalidate(c, &[a]).expect("it is there");
    assert!(!registry::is_valid(c, a, version_a).expect("it is there"));
    assert!(registry::is_valid(c, b, version_b).expect("it is there"));
    assert!(registry::get_version(c, a).expect("it is there") > version_a);
    registry::invalidate_all(c).expect("there is a registry");
    assert!(!registry::is_valid(c, b, version_b).expect("it is there"));
    let before = registry::list(c).expect("there is a registry");
    let error = registry::invalidate(c, &[a, "unknown"]).expect_err("it is not registered");
    assert_eq!(error.kind(), ErrorKind::Cache);
    assert_eq!(registry::list(c).expect("there is a registry"), before, "nothing was invalidated");
    let error = registry::register(c, b, None).expect_err("it is taken");
    assert_eq!(error.kind(), ErrorKind::Cache);
    assert!(error.report().to_string().contains("forum"), "{error}");
    for unknown in ["unknown", "A"] {
        let errors = [
            registry::get_version(c, unknown).expect_err("unknown"),
            registry::is_valid(c, unknown, version_a).map(drop).expect_err("unknown"),
            registry::unregister(c, unknown).expect_err("unknown"),
        ];
        assert!(errors.iter().all(|error| error.kind() == ErrorKind::Cache), "{errors:?}");
    }
    for bad in ["", "\n", &"x".repeat(129)] {
        assert_eq!(registry::register(c, bad, None).expect_err("a bad name").kind(), ErrorKind::Cache);
    }
    registry::register(c, &"é".repeat(128), None).expect("128 characters are allowed");
    registry::unregister(c, a).expect("it is there");
    assert!(registry::get_version(c, a).is_err());
}

fn registry_in_a_migration(mut subject: impl Subject) {
    let twice = App::new("main")
        .migration("V1__a", Migration::new().register_cache("as"))
        .migration("V2__b", Migration::new().register_cache("as"));
    let error =
        Migrator::new().app(twice).run(subject.connection()).expect_err("registered twice in one plan");
    assert_eq!(error.kind(), ErrorKind::Cache);
    assert!(
        error.report().to_string().contains("V2__b") && error.report().to_string().contains("main"),
        "{error}"
    );
    let unknown = App::new("main").migration("V1__a", Migration::new().unregister_cache("as"));
    let error = Migrator::new().app(unknown).run(subject.connection()).expect_err("unknown");
    assert_eq!(error.kind(), ErrorKind::Cache);
    let good = App::new("main")
        .migration("V1__a", Migration::new().register_cache("as"))
        .migration("V2__b", Migration::new().unregister_cache("as").register_cache("bs"));
    Migrator::new().app(good).run(subject.connection()).expect("it runs");
    assert_eq!(versions(&mut subject).len(), 1);
}

fn versions_never_become_current_again(mut subject: impl Subject) {
    Migrator::new().run(subject.connection()).expect("Bustard's own tables are made");
    let mut seen = std::collections::HashSet::new();
    let mut last = None;
    for round in 0..50 {
        let c = subject.connection();
        match round % 5 {
            0 => registry::register(c, "a", None),
            1 | 2 => registry::invalidate(c, &["a"]),
            3 => registry::invalidate_all(c),
            _ => registry::unregister(c, "a"),
        }
        .expect("it is there");
        if round % 5 < 4 {
            let version = registry::get_version(c, "a").expect("it is there");
            assert!(seen.insert(version), "{version} was returned before");
            assert!(Some(version) > last, "{version} is lower than an earlier version");
            last = Some(version);
        }
    }
}

fn caches_that_should_be_registered(mut subject: impl Subject) {
    let migrator =
        Migrator::new().app(App::new("main").migration("V1__a", Migration::new().register_cache("as")));
    migrator.run(subject.connection()).expect("it runs");
    assert!(migrator.status(subject.connection()).expect("there is a status").unregistered.is_empty());
    registry::unregister(subject.connection(), "as").expect("it is there");
    let status = migrator.status(subject.connection()).expect("there is a status");
    assert_eq!(status.unregistered[0].name, "as");
}

fn another_history_table(mut subject: impl Subject) {
    let app = App::new("main").migration("V1__a", table("a")).history("my_history");
    Migrator::new().app(app).run(subject.connection()).expect("it runs");
    assert!(exists(&mut subject, "my_history") && !exists(&mut subject, "refinery_schema_history"));
    assert_eq!(subject.value("SELECT name FROM my_history"), "a");
}

fn nothing_to_do_writes_nothing(mut subject: impl Subject) {
    let migrator = two_apps();
    migrator.run(subject.connection()).expect("it runs");
    registry::register(subject.connection(), "a", None).expect("it is new");
    let before = versions(&mut subject);
    for _ in 0..3 {
        let report = migrator.run(subject.connection()).expect("it runs");
        assert!(!report.changed() && report.granted.is_none());
    }
    assert_eq!(versions(&mut subject), before);
}

fn a_database_of_a_newer_bustard(mut subject: impl Subject) {
    let migrator = two_apps();
    migrator.run(subject.connection()).expect("it runs");
    let table = match subject.engine() {
        Engine::Postgres => "bustard.refinery_schema_history_bustard",
        _ => "refinery_schema_history_bustard",
    };
    subject.execute(&format!(
        "INSERT INTO {table} SELECT 99, 'future', applied_on, checksum FROM {table} LIMIT 1"
    ));
    for allowed in [false, true] {
        let error = two_apps().allow_missing(allowed).run(subject.connection()).expect_err("it is newer");
        assert!(error.report().to_string().contains("newer Bustard"), "{error}");
    }
}

fn the_registering_app_owns_the_cache(mut subject: impl Subject) {
    let app = App::new("forum").migration("V1__a", Migration::new().register_cache("as"));
    Migrator::new().app(app).run(subject.connection()).expect("it runs");
    let caches = registry::list(subject.connection()).expect("there is a registry");
    assert_eq!(caches[0].app.as_deref(), Some("forum"));
}

fn reverting_unregister_restores_the_owner(mut subject: impl Subject) {
    let odd = "b'\\\"; --";
    let forum =
        App::new("forum").migration("V1__a", Migration::new().register_cache("as").register_cache(odd));
    let others = ["as", odd, "other's"];
    let taking = others.iter().fold(Migration::new(), |migration, name| migration.unregister_cache(*name));
    let addon = App::new("addon").migration("V1__b", taking.depends_on_app("forum"));
    let migrator = Migrator::new().app(forum.clone());
    migrator.run(subject.connection()).expect("it runs");
    registry::register(subject.connection(), "other's", None).expect("it is new");
    let before = registry::list(subject.connection()).expect("there is a registry");
    let migrator = Migrator::new().app(forum).app(addon);
    migrator.run(subject.connection()).expect("it runs");
    assert!(versions(&mut subject).is_empty());
    migrator.revert(subject.connection(), &Revert::Steps(1)).expect("it can be reverted");
    let after = registry::list(subject.connection()).expect("there is a registry");
    assert_eq!(after.len(), others.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&before.name, &before.app), (&after.name, &after.app));
        assert!(before.version < after.version, "{after:?}");
    }
    // After another app has registered the cache, it belongs to that app.
    migrator.run(subject.connection()).expect("it runs again");
    let taker = App::new("taker").migration("V1__c", Migration::new().register_cache("as"));
    Migrator::new().app(taker).run(subject.connection()).expect("the name is free");
    let owned = registry::list(subject.connection()).expect("there is a registry");
    assert_eq!(owned[0].app.as_deref(), Some("taker"));
}

fn the_run_executes_the_plan(mut subject: impl Subject) {
    let plan = two_apps().plan(subject.connection()).expect("there is a plan");
    let planned: Vec<String> =
        plan.steps.iter().map(|step| format!("{} {}", step.app, step.migration)).collect();
    // All steps are reversible, and Bustard's own tables do not count.
    assert!(plan.steps.iter().all(|step| step.irreversible.is_none()));
    let report = two_apps().run(subject.connection()).expect("it runs");
    let done: Vec<String> =
        report.steps.iter().map(|done| format!("{} {}", done.app, done.migration)).collect();
    assert_eq!(planned, done);
    assert!(two_apps().plan(subject.connection()).expect("there is a plan").steps.is_empty());
}

/// One run and two runs must have the same result.
fn settings_end_with_their_migration(mut subject: impl Subject) {
    let (first, second) = match subject.engine() {
        Engine::Postgres => {
            ("SET search_path TO pg_catalog; SET statement_timeout TO 1", "SELECT pg_sleep(0.05)")
        }
        _ => ("PRAGMA ignore_check_constraints = ON", "INSERT INTO a VALUES (0)"),
    };
    let a = Migration::new().sql(format!("CREATE TABLE a (id integer CHECK (id > 0)); {first}"));
    let app = App::new("main").migration("V1__a", a).migration("V2__b", Migration::new().sql(second));
    for mode in [TransactionMode::Each, TransactionMode::All] {
        let ran = Migrator::new().app(app.clone()).transaction(mode).run(subject.connection());
        match subject.engine() {
            Engine::Postgres => drop(ran.expect("the second migration has the settings of old")),
            _ => {
                let error = ran.expect_err("the second migration has the settings of old");
                assert_eq!(error.migration(), Some("V2__b"), "{error}");
            }
        }
    }
}

/// On its own connection Bustard restores every setting.
#[test]
fn own_connections_begin_each_migration_afresh() {
    let mut subject = own_postgres();
    let app = App::new("main")
        .migration("V1__set", Migration::new().sql("SET transform_null_equals TO on"))
        .migration("V2__use", Migration::new().sql("CREATE TABLE t AS SELECT 1 AS x WHERE NULL = NULL"));
    Migrator::new().app(app).run(subject.connection()).expect("it runs");
    assert_eq!(subject.value("SELECT count(*) FROM t"), "0");
}

/// An application can migrate on a thread of its own.
#[test]
fn a_migrator_can_be_sent() {
    fn sent<T: Send>() {}
    sent::<Migrator>();
    sent::<bustard::Database>();
}
