//! Tests runs of the migrator inside Tokio, on both engines and on both kinds of runtime:
//! the asynchronous form, its cancellation, and the synchronous form on a thread that
//! drives a runtime.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::support::{Engine, LOCK, PATIENCE, Project, Subject, wait_until};
use bustard::{App, Event, Migration, Migrator, OpenTransaction, Report};
use tokio::runtime::{Builder, Runtime};

/// Runs a test on each engine and on each kind of runtime. Each run has a database of its
/// own.
fn everywhere(test: impl Fn(&Subject<'_>, Runtime)) {
    for engine in [Engine::Postgres, Engine::Sqlite] {
        for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            println!("{engine:?}, {builder:?}");
            let project = Project::new();
            let subject = Subject::new(engine, &project);
            test(&subject, builder.worker_threads(2).enable_all().build().expect("the runtime starts"));
        }
    }
}

fn database(subject: &Subject<'_>) -> bustard::Database {
    bustard::Database::new(&subject.url()).expect("the URL is good")
}

type Filled = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn fill(transaction: &mut OpenTransaction<'_, '_>) -> Filled {
    Ok(transaction.execute("INSERT INTO ban VALUES (1)")?)
}

/// Creates an app with a migration of SQL, and a migration with a function.
fn bans() -> App {
    App::new("forum")
        .migration("V1__bans", Migration::new().sql("CREATE TABLE ban (id int)").register_cache("bans"))
        .migration("V2__fill", Migration::new().run("fill", fill))
}

/// Returns a statement that runs for longer than any test waits.
fn endless(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "SELECT pg_sleep(3600)",
        Engine::Sqlite => {
            "INSERT INTO started WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
             WHERE i < 1000000000000) SELECT count(*) FROM n"
        }
    }
}

/// Creates three apps with a migration that commits, and a migration that does not end: in
/// SQL, in a function that waits for the database, or in SQL after a function.
fn endless_apps(engine: Engine) -> [App; 3] {
    let first = App::new("main").migration("V1__first", Migration::new().sql("CREATE TABLE first (id int)"));
    let start = Migration::new().sql("CREATE TABLE started (id int)");
    [
        first.clone().migration("V2__endless", start.clone().sql(endless(engine))),
        first.clone().migration(
            "V2__endless",
            start.clone().run("wait", move |transaction| Ok(transaction.execute(endless(engine))?)),
        ),
        first.migration("V2__endless", start.run("nothing", |_| Ok(())).sql(endless(engine))),
    ]
}

/// Creates a migrator, and a receiver that gets the name of each migration when it begins.
fn watched(app: App) -> (Migrator, Receiver<String>) {
    let (sender, begun) = channel();
    let migrator = Migrator::new().app(app).on_event(move |event| {
        if let Event::Started { migration, .. } = event {
            let _ = sender.send(migration.clone());
        }
    });
    (migrator, begun)
}

/// Waits until the statement runs on the server. On SQLite, the statement may not have
/// begun although the migration has begun. The cancellation must reach it anyway.
async fn until_endless(subject_url: String, begun: Receiver<String>) {
    tokio::task::spawn_blocking(move || {
        while begun.recv_timeout(PATIENCE).expect("the migration begins") != "V2__endless" {}
        if subject_url.starts_with("postgres") {
            let mut client = postgres::Client::connect(&subject_url, postgres::NoTls).expect("it is there");
            wait_until("the statement runs", || {
                let asleep = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' \
                              AND datname = current_database())";
                client.query_one(asleep, &[]).expect("the query runs").get(0)
            });
        }
    })
    .await
    .expect("it does not panic");
}

/// Asserts that committed migrations are present, that uncommitted migrations are not, and
/// that no session holds the lock.
fn assert_cancelled(subject: &Subject<'_>, runtime: &Runtime) {
    let short = App::new("main")
        .migration("V1__first", Migration::new().sql("CREATE TABLE first (id int)"))
        .migration("V2__endless", Migration::new().sql("CREATE TABLE started (id int)"));
    let report = runtime.block_on(Migrator::new().app(short).run_async(database(subject)));
    // If the cancelled run had continued, this run would fail because the table exists, or
    // would have nothing to do.
    let steps: Vec<String> = report.expect("it runs").steps.iter().map(|s| s.migration.to_string()).collect();
    assert_eq!(steps, ["V2__endless"]);
    subject.quiet();
}

fn applied(report: &Report) -> Vec<String> {
    report.steps.iter().map(|done| format!("{}:{}", done.app, done.migration)).collect()
}

#[test]
fn a_run_applies_pending_migrations() {
    everywhere(|subject, runtime| {
        let run = |app| runtime.block_on(Migrator::new().app(app).run_async(database(subject)));
        let report = run(bans()).expect("it runs");
        assert!(applied(&report).ends_with(&["forum:V1__bans".into(), "forum:V2__fill".into()]));
        assert_eq!(subject.number("SELECT count(*) FROM ban"), 1);
        assert!(!run(bans()).expect("it runs").changed());

        let error = run(App::new("bad").migration("V1__bad", Migration::new().sql("SELEC 1")));
        let error = error.expect_err("that is no SQL");
        assert_eq!((error.app(), error.migration()), (Some("bad"), Some("V1__bad")), "{error}");
        subject.quiet();
    });
}

/// The runtime runs other tasks while the run waits for the database.
#[test]
fn a_run_blocks_no_thread_of_the_runtime() {
    everywhere(|subject, runtime| {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let receiver = std::sync::Mutex::new(Some(receiver));
        let app = App::new("main").migration(
            "V1__wait",
            Migration::new().run("wait", move |_| {
                let receiver =
                    receiver.lock().expect("the mutex is not poisoned").take().expect("it is called once");
                Ok(receiver.blocking_recv()?)
            }),
        );
        let url = subject.url();
        runtime.block_on(async {
            let database = bustard::Database::new(&url).expect("the URL is good");
            let run = Migrator::new().app(app).run_async(database);
            let (report, ()) = tokio::join!(run, async {
                tokio::task::yield_now().await;
                sender.send(()).expect("the run waits for it");
            });
            assert!(report.expect("it runs").changed());
        });
    });
}

#[test]
fn many_concurrent_runs_apply_each_migration_once() {
    everywhere(|subject, runtime| {
        let calls = Arc::new(AtomicUsize::new(0));
        let counting = calls.clone();
        let app = bans().migration(
            "V3__count",
            Migration::new().run("count", move |_| {
                counting.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }),
        );
        let runs: Vec<_> = (0..8)
            .map(|_| runtime.spawn(Migrator::new().app(app.clone()).run_async(database(subject))))
            .collect();
        let mut steps = 0;
        for run in runs {
            let report = runtime.block_on(run).expect("it does not panic").expect("it runs");
            steps += applied(&report).iter().filter(|name| name.starts_with("forum:")).count();
        }
        assert_eq!((steps, calls.load(Ordering::SeqCst)), (3, 1));
        assert_eq!(subject.number("SELECT count(*) FROM ban"), 1);
    });
}

#[test]
fn dropping_the_future_cancels_and_rolls_back() {
    for which in 0..3 {
        everywhere(|subject, runtime| {
            let (migrator, begun) = watched(endless_apps(subject.engine())[which].clone());
            let run = migrator.run_async(database(subject));
            runtime.block_on(async {
                tokio::select! {
                    ended = run => panic!("a run without an end has ended: {ended:?}"),
                    () = until_endless(subject.url(), begun) => {}
                }
            });
            assert_cancelled(subject, &runtime);
        });
    }
}

#[test]
fn aborting_the_task_cancels_the_run() {
    everywhere(|subject, runtime| {
        let (migrator, begun) = watched(endless_apps(subject.engine())[0].clone());
        let run = runtime.spawn(migrator.run_async(database(subject)));
        runtime.block_on(until_endless(subject.url(), begun));
        run.abort();
        assert!(runtime.block_on(run).expect_err("it was aborted").is_cancelled());
        assert_cancelled(subject, &runtime);
    });
}

/// A runtime waits for the work on its blocking threads. Unless the run is cancelled, the
/// runtime waits for ever.
#[test]
fn the_end_of_the_runtime_cancels_the_run() {
    everywhere(|subject, runtime| {
        let (migrator, begun) = watched(endless_apps(subject.engine())[0].clone());
        runtime.spawn(migrator.run_async(database(subject)));
        runtime.block_on(until_endless(subject.url(), begun));
        drop(runtime);
        assert_cancelled(subject, &Builder::new_current_thread().build().expect("the runtime starts"));
    });
}

/// Adds an `Arc` to a migrator. When the migrator is dropped, the count of the `Arc` shows
/// that the run has ended.
fn observed(migrator: Migrator) -> (Migrator, Arc<()>) {
    let alive = Arc::new(());
    let kept = alive.clone();
    (migrator.on_event(move |_| _ = &kept), alive)
}

fn until_gone(alive: &Arc<()>) {
    wait_until("the run has ended", || Arc::strong_count(alive) == 1);
}

#[test]
fn a_wait_for_the_lock_is_cancelled() {
    everywhere(|subject, runtime| {
        runtime.block_on(Migrator::new().run_async(database(subject))).expect("it runs");
        let mut held = subject.project.sqlite("lock.sqlite");
        let mut client = None;
        if subject.engine() == Engine::Postgres {
            let client = client.insert(subject.client());
            client
                .batch_execute(&format!("SELECT pg_advisory_lock({LOCK})"))
                .expect("no other session holds it");
        } else {
            held = subject.sqlite();
        }
        let writing = held.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate);
        let writing = writing.expect("no other session writes");

        let alive = Arc::new(());
        let (kept, (sender, waits)) = (alive.clone(), channel());
        let migrator = Migrator::new().app(bans()).on_event(move |event| {
            let _kept = &kept;
            if matches!(event, Event::Waiting) {
                let _ = sender.send(());
            }
        });
        let run = migrator.run_async(database(subject));
        runtime.block_on(async {
            let waiting = tokio::task::spawn_blocking(move || waits.recv_timeout(PATIENCE));
            tokio::select! {
                ended = run => panic!("another session holds the lock: {ended:?}"),
                waiting = waiting => waiting.expect("it does not panic").expect("it waits"),
            }
        });
        until_gone(&alive);
        drop(writing);
        drop(client);
        let report = runtime.block_on(Migrator::new().app(bans()).run_async(database(subject)));
        assert_eq!(report.expect("it runs").steps.len(), 2);
    });
}

/// Tests a cancellation before the first connection, and while the server does not
/// answer.
#[test]
fn a_run_is_cancelled_before_there_is_a_connection() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = silent.local_addr().expect("it is bound");
    let silence = || {
        bustard::Database::new(&format!("postgres://me@{address}/x?connect_timeout=0"))
            .expect("the URL is good")
    };
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = builder.worker_threads(2).enable_all().build().expect("the runtime starts");
        let (migrator, alive) = observed(Migrator::new());
        drop(migrator.run_async(silence()));
        assert_eq!(Arc::strong_count(&alive), 1, "a future that was never polled has done something");

        // Migrations with functions connect through another driver.
        for app in [App::new("empty"), bans()] {
            let (migrator, alive) = observed(Migrator::new().app(app));
            let run = migrator.run_async(silence());
            // The connection is kept open, so that only the cancellation ends the run.
            let open = runtime.block_on(async {
                tokio::select! {
                    biased;
                    ended = run => panic!("the server does not answer: {ended:?}"),
                    open = async { silent.accept().expect("it connects") } => open,
                }
            });
            until_gone(&alive);
            drop(open);
        }
    }
}

#[test]
fn a_panic_reaches_the_caller() {
    everywhere(|subject, runtime| {
        let app = App::new("main").migration(
            "V1__panics",
            Migration::new().sql("CREATE TABLE started (id int)").run("panics", |_| panic!("not today")),
        );
        let run = runtime.spawn(Migrator::new().app(app).run_async(database(subject)));
        let panic = runtime.block_on(run).expect_err("it panics").into_panic();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"not today"));
        let app =
            App::new("main").migration("V1__panics", Migration::new().sql("CREATE TABLE started (id int)"));
        runtime.block_on(Migrator::new().app(app).run_async(database(subject))).expect("it was rolled back");
    });
}

/// The synchronous form is called on a thread that drives a runtime, on Bustard's own
/// connections and on connections of the application.
#[test]
fn the_synchronous_form_works_within_a_runtime() {
    everywhere(|subject, runtime| {
        let mut own = database(subject);
        let engine = subject.engine();
        let mut client = (engine == Engine::Postgres).then(|| subject.client());
        let mut sqlite = (engine == Engine::Sqlite).then(|| subject.sqlite());
        let test = async move {
            let first =
                App::new("first").migration("V1__first", Migration::new().sql("CREATE TABLE first (id int)"));
            let report = Migrator::new().app(first.clone()).run(&mut own).expect("it runs");
            assert_eq!(report.steps.last().expect("it did something").app, "first");
            let migrator = || Migrator::new().app(bans()).app(first.clone());
            let report = match (&mut client, &mut sqlite) {
                (Some(client), _) => migrator().run(client),
                (_, Some(connection)) => migrator().run(connection),
                _ => unreachable!("one of them is there"),
            };
            assert_eq!(applied(&report.expect("it runs")), ["forum:V1__bans", "forum:V2__fill"]);
            assert!(!migrator().run(&mut own).expect("it runs").changed());
            assert!(migrator().status(&mut own).expect("it is read").unregistered.is_empty());
            // The runtime still works.
            tokio::time::sleep(Duration::from_millis(1)).await;
            // The application decides where a synchronous client is dropped.
            (client, own)
        };
        let (client, own) = runtime.block_on(runtime.spawn(test)).expect("it does not panic");
        drop((client, own));
        subject.quiet();
        assert_eq!(subject.number("SELECT count(*) FROM ban"), 1);
    });
}
