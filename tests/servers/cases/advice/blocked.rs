//! Statements that wait for too long, are cancelled, or meet a server without room.

use std::sync::{Mutex, mpsc};
use std::thread;

use bustard::{App, Error, Migration, Migrator, TransactionMode};

use super::{Place, app_of, german, help_of};
use crate::support::{Cluster, Database, Project, wait_until};

fn project(sql: &str) -> Project {
    let project = Project::new();
    project.file("migrations/V1__only.sql", format!("{sql};\n"));
    project
}

fn migrator(project: &Project) -> Migrator {
    Migrator::new().app(App::directory("main", project.path().join("migrations")))
}

/// Runs the migration on each kind of connection, and in one transaction.
fn fails(database: &Database<'_>, project: &Project) -> Vec<Error> {
    [
        database.run(migrator(project)),
        database.run(migrator(project).transaction(TransactionMode::All)),
        database.run_on_callers(migrator(project)),
    ]
    .map(|outcome| outcome.expect_err("it fails"))
    .into()
}

#[track_caller]
fn assert_advice(error: &Error, code: &str, parts: &[&str]) {
    assert_eq!(error.sqlstate(), Some(code), "{error:#}");
    for part in parts {
        assert!(help_of(error).contains(part), "{part:?} is not in {error:#}");
    }
}

#[test]
fn kind10_a_lock_timeout_is_told_by_the_setting_that_set_it() {
    for cluster in [Cluster::shared(), german()] {
        for (setting, statement, parts) in [
            (
                "role",
                "LOCK TABLE t",
                &["lock_timeout = 40ms", "ALTER ROLE", "end that session's transaction"][..],
            ),
            ("database", "LOCK TABLE t", &["lock_timeout = 40ms", "ALTER DATABASE"]),
            ("", "SET LOCAL lock_timeout = '30ms'; LOCK TABLE t", &["the migration sets lock_timeout"]),
            ("", "LOCK TABLE t NOWAIT", &["NOWAIT"]),
            ("", "SELECT * FROM t FOR UPDATE NOWAIT", &["NOWAIT"]),
        ] {
            let database = Database::on(cluster);
            database.by_hand("CREATE TABLE t (i int); INSERT INTO t VALUES (1)");
            let role = database.create_role("waits", "SUPERUSER");
            match setting {
                "role" => database.by_hand(&format!("ALTER ROLE {role} SET lock_timeout = '40ms'")),
                "database" => database.set("lock_timeout", "'40ms'"),
                _ => {}
            }
            let project = project(statement);
            let mut holder = database.client();
            let mut held = holder.transaction().expect("it begins");
            let of_rows = statement.contains("FOR UPDATE");
            held.batch_execute(if of_rows { "SELECT * FROM t FOR UPDATE" } else { "LOCK TABLE t" })
                .expect("it is free");
            let url = database.url_as(&role);
            let run = || migrator(&project).run(&mut bustard::Database::new(&url).expect("the URL is good"));
            let error = run().expect_err("it is locked");
            assert_advice(&error, "55P03", parts);
            let all = migrator(&project).transaction(TransactionMode::All);
            assert_advice(
                &all.run(&mut database.client_as(&role)).expect_err("it is locked"),
                "55P03",
                parts,
            );
            held.rollback().expect("it rolls back");
            run().expect("the session's transaction has ended");
        }
    }
}

#[test]
fn kind10_the_limit_of_the_run_is_named() {
    let database = Database::new();
    database.by_hand("CREATE TABLE t (i int)");
    let project = project("LOCK TABLE t");
    let mut holder = database.client();
    let mut held = holder.transaction().expect("it begins");
    held.batch_execute("LOCK TABLE t").expect("it is free");
    let outcome = project.bustard(&["migrate", "--database-url", &database.url(), "--lock-wait", "100ms"]);
    outcome.exits(5).complains("wait longer with `--lock-wait`");
    held.rollback().expect("it rolls back");
    project.bustard(&["migrate", "--database-url", &database.url()]).success();
}

#[test]
fn kind10_a_statement_timeout_is_told_from_a_cancellation() {
    for cluster in [Cluster::shared(), german()] {
        let database = Database::on(cluster);
        database.set("statement_timeout", "'50ms'");
        let slow = project("SELECT pg_sleep(0.4)");
        for error in fails(&database, &slow) {
            let parts = ["statement_timeout = 50ms", "ALTER DATABASE", "`SET LOCAL statement_timeout = 0`"];
            assert_advice(&error, "57014", &parts);
        }
        slow.file("migrations/V1__only.sql", "SET LOCAL statement_timeout = 0;\nSELECT pg_sleep(0.4);\n");
        database.run(migrator(&slow)).expect("the limit is lifted");

        let database = Database::on(cluster);
        let own = project("SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(5)");
        for error in fails(&database, &own) {
            assert_advice(&error, "57014", &["the migration sets statement_timeout"]);
        }

        // Another session cancels it, also where there is a limit.
        for limit in ["0", "'10min'"] {
            let database = Database::on(cluster);
            database.set("statement_timeout", limit);
            let long = project("SELECT pg_sleep(100)");
            let error = thread::scope(|scope| {
                let running = scope.spawn(|| database.run(migrator(&long)));
                let mut client = database.client();
                wait_until("it is cancelled", || {
                    let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity \
                                  WHERE wait_event = 'PgSleep' AND datname = current_database()";
                    !client.query(cancel, &[]).expect("it may").is_empty()
                });
                running.join().expect("it returns").expect_err("it was cancelled")
            });
            assert_advice(&error, "57014", &["another session cancelled the statement"]);
            assert!(!help_of(&error).contains("timeout"), "{error:#}");
        }
    }
}

#[test]
fn kind10_a_connection_that_an_administrator_ends() {
    for cluster in [Cluster::shared(), german()] {
        let database = Database::on(cluster);
        let ended = project("SELECT pg_terminate_backend(pg_backend_pid())");
        let [own, all, callers] = &fails(&database, &ended)[..] else { panic!("there are three") };
        for error in [own, all] {
            assert_advice(error, "57P01", &["an administrator ended", "running again is safe"]);
        }
        // The synchronous driver drops the server's message if it reads the end of the
        // connection together with the message.
        if callers.sqlstate().is_some() {
            assert_advice(callers, "57P01", &["an administrator ended", "running again is safe"]);
        } else {
            assert!(
                help_of(callers).contains("the server still there? running again is safe"),
                "{callers:#}"
            );
        }
    }
}

/// Each of two sessions waits for a lock of the other one. The migration is the victim,
/// because the other session waits for its own check for deadlocks for longer. A run with a
/// function is not repeated.
#[test]
fn kind10_a_deadlock() {
    for cluster in [Cluster::shared(), german()] {
        let database = Database::on(cluster);
        database.by_hand("CREATE TABLE one (i int); CREATE TABLE two (i int)");
        let mut other = database.client();
        other.batch_execute("SET deadlock_timeout = '1h'").expect("it may");
        let (begin, begun) = mpsc::channel();
        let (locked, go) = mpsc::channel();
        let other = thread::spawn(move || {
            let mut held = other.transaction().expect("it begins");
            held.batch_execute("LOCK TABLE two").expect("it is free");
            begin.send(()).expect("the migration waits for it");
            go.recv().expect("the migration has its lock");
            held.batch_execute("LOCK TABLE one").expect("the other one is the victim");
        });
        begun.recv().expect("it has its lock");
        let mut watching = database.client();
        let watching = Mutex::new(move || {
            locked.send(()).expect("the other session waits for it");
            let waiting =
                "SELECT count(*) FROM pg_locks AS l WHERE NOT l.granted AND l.relation = 'one'::regclass";
            wait_until("the other session waits", || {
                watching.query_one(waiting, &[]).expect("it is valid").get::<_, i64>(0) == 1
            });
        });
        let migration = Migration::new().run("lock both", move |transaction| {
            transaction.execute("SET LOCAL deadlock_timeout = '10ms'")?;
            transaction.execute("LOCK TABLE one")?;
            watching.lock().map(|mut wait| wait()).expect("it is free");
            Ok(transaction.execute("LOCK TABLE two")?)
        });
        let error = database.run(Migrator::new().app(app_of(migration))).expect_err("it is the victim");
        assert_advice(&error, "40P01", &["each other", "run again"]);
        other.join().expect("it got both locks");
    }
}

#[test]
fn kind10_a_server_without_room_for_locks() {
    let cluster = Cluster::start_with(&[("max_locks_per_transaction", "10"), ("max_connections", "20")]);
    let database = Database::on(&cluster);
    let many = project("SELECT count(pg_advisory_xact_lock(i)) FROM generate_series(1, 100000) AS i");
    for error in fails(&database, &many) {
        assert_advice(&error, "53200", &["max_locks_per_transaction", "`--transaction each`"]);
    }
}
