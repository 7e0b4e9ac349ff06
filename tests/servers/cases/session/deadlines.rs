//! A19 and A23: one deadline for all that a command waits for.

use std::time::{Duration, Instant};

use bustard::{App, ErrorKind, Migration, Migrator};

use crate::support::proxy::Proxy;
use crate::support::{Database, Project, Scene};

const WAIT: Duration = Duration::from_secs(3);

/// Runs `work`, which must wait for about as long as `WAIT`, and not twice.
#[track_caller]
fn once<T>(work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    let took = started.elapsed();
    assert!(took >= WAIT && took < 2 * WAIT, "it took {took:?}");
    result
}

#[test]
fn a19_a_busy_sqlite_file_is_waited_for_once() {
    for (begin, first) in
        [("BEGIN EXCLUSIVE", false), ("BEGIN IMMEDIATE", false), ("BEGIN; SELECT * FROM other", true)]
    {
        let scene = Scene::sqlite();
        scene.execute("CREATE TABLE other (id INTEGER)");
        scene
            .file("V1__a.sql", "CREATE TABLE a (id INTEGER);\n")
            .file("V2__b.sql", "CREATE TABLE b (id INTEGER);\n");
        let other = scene.project.sqlite("app.db");
        match first {
            // A reader prevents commits.
            true => {
                other.execute_batch("BEGIN").expect("it begins");
                other.query_row("SELECT count(*) FROM other", [], |_| Ok(())).expect("it reads");
            }
            false => other.execute_batch(begin).expect("nobody else writes"),
        }
        let outcome = once(|| scene.migrate(&["--lock-wait", "3s"])).exits(5);
        outcome.complains("still locked after 3s");
        other.execute_batch("ROLLBACK").expect("it ends");
        scene.migrate(&["--lock-wait", "3s"]).success();
    }
}

/// The locks of registrations, of a tracked table, and of a history that is read.
#[test]
fn a19_locks_on_a_server_have_the_same_deadline() {
    for (locks, names) in [
        ("BEGIN; SELECT bustard.register_cache('mine')", "registers or unregisters a cache: pid "),
        ("BEGIN; LOCK TABLE bans", "end its transaction"),
        ("BEGIN; LOCK TABLE refinery_schema_history", "lock timeout"),
    ] {
        let scene = Scene::postgres();
        scene.file("V1__bans.sql", "CREATE TABLE bans (id INTEGER);\n").migrate(&[]).success();
        scene.file(
            "V2__cache.sql",
            "-- bustard: register cache bans on bans\nALTER TABLE bans ADD COLUMN n INTEGER;\n",
        );
        let mut other = scene.database().client();
        other.batch_execute(locks).expect("it is free");
        once(|| scene.migrate(&["--lock-wait", "3s"])).exits(5).complains(names).complains("within 3s");
        other.batch_execute("ROLLBACK").expect("it ends");
        assert_eq!(scene.applied(), "1");
        scene.migrate(&["--lock-wait", "3s"]).success();
    }
}

/// A limit of the role or of the migration is shorter, and stays.
#[test]
fn a19_other_limits_stay() {
    let scene = Scene::postgres();
    scene.execute("CREATE TABLE t (id INTEGER)");
    let mut other = scene.database().client();
    other.batch_execute("BEGIN; LOCK TABLE t").expect("it is free");
    scene.file("V1__t.sql", "SET lock_timeout = '10ms';\nALTER TABLE t ADD COLUMN n INTEGER;\n");
    scene.migrate(&[]).exits(1).complains("lock timeout");
    scene.file("V1__t.sql", "ALTER TABLE t ADD COLUMN n INTEGER;\n");
    scene.database().set("lock_timeout", "'10ms'");
    scene.migrate(&[]).exits(1).complains("lock timeout");
    other.batch_execute("ROLLBACK").expect("it ends");
    scene.file("V1__t.sql", "CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS t;\n");
    scene.migrate(&[]).success();
    assert_eq!(scene.value("SELECT t FROM seen"), "10ms");
    let fresh = Scene::postgres();
    fresh.file("V1__t.sql", "CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS t;\n");
    fresh.migrate(&["--lock-wait", "7s"]).success();
    assert_eq!(fresh.value("SELECT t FROM seen"), "7s");
}

/// Neither a limit stays on the caller's connection.
#[test]
fn a19_a_callers_connection_keeps_no_limit() {
    let database = Database::new();
    let mut client = database.client();
    let app = App::new("main").migration("V1__a", Migration::new().sql("CREATE TABLE a (id INTEGER)"));
    Migrator::new().app(app.clone()).run(&mut client).expect("nothing prevents it");
    let limit = |client: &mut postgres::Client| -> String {
        client.query_one("SELECT current_setting('lock_timeout')", &[]).expect("it answers").get(0)
    };
    assert_eq!(limit(&mut client), "0");
    database.client().batch_execute("SELECT 1").expect("it answers");
    let mut other = database.client();
    other.batch_execute("BEGIN; LOCK TABLE a").expect("it is free");
    let app = app.migration("V2__a", Migration::new().sql("ALTER TABLE a ADD COLUMN n INTEGER"));
    let migrator = Migrator::new().app(app).lock_wait(Duration::from_millis(100));
    let error = migrator.run(&mut client).expect_err("the table is locked");
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    assert_eq!(limit(&mut client), "0");
}

#[test]
fn a23_a_server_that_goes_silent_is_given_up() {
    let database = Database::new();
    let project = Project::new();
    project.numbered_migrations(1);
    let proxy = Proxy::start(database.cluster().port());
    let url = proxy.url(&database.url());
    project.bustard(&["migrate", "--database-url", &url]).success();
    project.numbered_migrations(2);
    proxy.go_silent();
    let commands: &[&[&str]] = &[
        &["check"],
        &["status"],
        &["plan"],
        &["apps"],
        &["caches", "list"],
        &["caches", "invalidate-all"],
        &["migrate", "--lock-wait", "1s"],
    ];
    let running =
        commands.iter().map(|command| project.spawn(&[command, &["--database-url", &url][..]].concat()));
    for (running, command) in running.collect::<Vec<_>>().into_iter().zip(commands) {
        let outcome = running.wait().exits(1);
        assert!(outcome.stderr.contains("no answer within"), "{command:?}: {outcome}");
    }
}

#[test]
fn a23_a_long_message_is_cut() {
    let message = "CREATE TABLE a (id INTEGER);\n\
        DO $$ BEGIN RAISE EXCEPTION '%', repeat('x', 5000000)\n\
        USING DETAIL = repeat('y', 5000000), HINT = repeat('z', 5000000); END $$;\n";
    let scene = Scene::postgres();
    scene.file("V1__long.sql", message);
    for arguments in [&[][..], &["--json"]] {
        let outcome = scene.migrate(arguments).exits(1);
        let text = outcome.stdout + &outcome.stderr;
        assert!(text.len() < 30_000, "{} bytes", text.len());
        assert!(text.contains("xxx… 4995904 bytes more"));
    }
    let function = Migration::new().run("fail", |_| Err("w".repeat(5_000_000).into()));
    let app = App::new("main").migration("V1__long", function);
    let error = Migrator::new().app(app).run(&mut scene.database().client()).expect_err("it fails");
    assert!(error.to_string().len() < 10_000 && error.to_string().contains("bytes more"));
}
