//! Tests Bustard inside Tokio: the registry on an application's own connections and
//! transactions, and Bustard's own synchronous connections on a thread that drives a
//! runtime.

use crate::support::{Database, PATIENCE};
use bustard::registry::{self, asynchronous};
use bustard::{App, ErrorKind, Migration, Migrator, Revert};
use tokio::runtime::Builder;
use tokio_postgres::{Client, NoTls};

/// Runs a test as a task of a runtime with one thread, and again as a task of a runtime
/// with two threads. Each of the two runs has a database of its own.
fn in_runtimes<F: Future<Output = ()> + Send + 'static>(
    prepare: impl Fn(&Database<'_>),
    test: impl Fn(String) -> F,
) {
    for (name, mut builder) in
        [("one thread", Builder::new_current_thread()), ("two threads", Builder::new_multi_thread())]
    {
        println!("a runtime of {name}");
        let database = Database::new();
        prepare(&database);
        let runtime = builder.worker_threads(2).enable_all().build().expect("the runtime starts");
        let test = runtime.spawn(test(database.url()));
        let ended = runtime.block_on(test);
        // Tasks that a failed test has left running end with the database.
        runtime.shutdown_background();
        ended.expect("the task does not panic");
    }
}

/// Creates the registry, with two caches in it.
fn two_caches(database: &Database<'_>) {
    let mut client = database.client();
    Migrator::new().run(&mut client).expect("Bustard's own tables are made");
    for cache in ["bans", "users"] {
        registry::register(&mut client, cache, Some("forum")).expect("it is new");
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the server is there");
    tokio::spawn(connection);
    client
}

#[test]
fn an_invalidation_takes_effect_at_its_commit() {
    in_runtimes(two_caches, async |url: String| {
        let (mut writer, reader) = (connect(&url).await, connect(&url).await);
        let version = asynchronous::get_version(&reader, "bans").await.unwrap();

        let transaction = writer.transaction().await.unwrap();
        asynchronous::invalidate(&transaction, &["bans"]).await.unwrap();
        assert!(!asynchronous::is_valid(&transaction, "bans", version).await.unwrap());
        assert!(asynchronous::is_valid(&reader, "bans", version).await.unwrap());
        transaction.rollback().await.unwrap();
        assert!(asynchronous::is_valid(&reader, "bans", version).await.unwrap());

        let transaction = writer.transaction().await.unwrap();
        asynchronous::invalidate(&transaction, &["bans"]).await.unwrap();
        transaction.commit().await.unwrap();
        assert!(!asynchronous::is_valid(&reader, "bans", version).await.unwrap());

        // Outside a transaction, each statement commits at once.
        let users = asynchronous::get_version(&reader, "users").await.unwrap();
        asynchronous::invalidate(&writer, &["bans"]).await.unwrap();
        assert!(asynchronous::is_valid(&reader, "users", users).await.unwrap());
        asynchronous::invalidate_all(&writer).await.unwrap();
        assert!(!asynchronous::is_valid(&reader, "users", users).await.unwrap());
    });
}

#[test]
fn a_savepoint_rolls_back_the_invalidations_in_it() {
    in_runtimes(two_caches, async |url: String| {
        let mut client = connect(&url).await;
        for (inner_commits, outer_commits) in [(true, true), (true, false), (false, true)] {
            let bans = asynchronous::get_version(&client, "bans").await.unwrap();
            let users = asynchronous::get_version(&client, "users").await.unwrap();
            let mut outer = client.transaction().await.unwrap();
            asynchronous::invalidate(&outer, &["users"]).await.unwrap();
            let inner = outer.transaction().await.unwrap();
            asynchronous::invalidate(&inner, &["bans"]).await.unwrap();
            if inner_commits { inner.commit().await } else { inner.rollback().await }.unwrap();
            let seen = !asynchronous::is_valid(&outer, "bans", bans).await.unwrap();
            assert_eq!(seen, inner_commits);
            if outer_commits { outer.commit().await } else { outer.rollback().await }.unwrap();

            let busted = !asynchronous::is_valid(&client, "bans", bans).await.unwrap();
            assert_eq!(busted, inner_commits && outer_commits);
            let busted = !asynchronous::is_valid(&client, "users", users).await.unwrap();
            assert_eq!(busted, outer_commits);
        }
    });
}

#[test]
fn a_transaction_continues_after_a_rollback_of_an_unknown_name() {
    in_runtimes(two_caches, async |url: String| {
        let mut client = connect(&url).await;
        let version = asynchronous::get_version(&client, "bans").await.unwrap();
        let mut transaction = client.transaction().await.unwrap();
        let savepoint = transaction.transaction().await.unwrap();
        let error = asynchronous::invalidate(&savepoint, &["bans", "bnas"]).await.unwrap_err();
        assert_eq!((error.kind(), error.sqlstate()), (ErrorKind::Cache, Some("42704")), "{error}");
        savepoint.rollback().await.unwrap();
        transaction.commit().await.unwrap();
        assert!(asynchronous::is_valid(&client, "bans", version).await.unwrap());
    });
}

#[test]
fn caches_are_registered_in_transactions() {
    in_runtimes(two_caches, async |url: String| {
        let mut client = connect(&url).await;
        let bans = asynchronous::get_version(&client, "bans").await.unwrap();
        for commits in [false, true] {
            let transaction = client.transaction().await.unwrap();
            asynchronous::register(&transaction, "threads", Some("forum")).await.unwrap();
            asynchronous::unregister(&transaction, "bans").await.unwrap();
            if commits { transaction.commit().await } else { transaction.rollback().await }.unwrap();
            assert_eq!(asynchronous::get_version(&client, "threads").await.is_ok(), commits);
            assert_eq!(asynchronous::get_version(&client, "bans").await.is_err(), commits);
        }
        asynchronous::register(&client, "bans", None).await.unwrap();
        assert!(!asynchronous::is_valid(&client, "bans", bans).await.unwrap());
    });
}

/// The synchronous and the asynchronous functions report the same errors.
#[test]
fn errors_equal_those_of_the_synchronous_functions() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("the runtime starts");
    let long = "n".repeat(registry::LONGEST_NAME + 1);
    for prepare in [two_caches, |_: &Database<'_>| {}] {
        let database = Database::new();
        prepare(&database);
        let mut sync = database.client();
        let client = runtime.block_on(connect(&database.url()));
        for name in ["bnas", "", "b\na", "'; SELECT 1 --", &long] {
            let pairs = [
                (
                    registry::get_version(&mut sync, name).map(drop),
                    runtime.block_on(asynchronous::get_version(&client, name)).map(drop),
                ),
                (
                    registry::invalidate(&mut sync, &["bans", name]),
                    runtime.block_on(asynchronous::invalidate(&client, &["bans", name])),
                ),
                (
                    registry::unregister(&mut sync, name),
                    runtime.block_on(asynchronous::unregister(&client, name)),
                ),
            ];
            for (one, other) in pairs {
                let (one, other) = (one.unwrap_err(), other.unwrap_err());
                assert_eq!(other.to_string(), one.to_string(), "{name}");
                assert_eq!(other.kind(), one.kind(), "{name}");
            }
        }
        let one = registry::register(&mut sync, "bans", Some("other")).unwrap_err();
        let other = runtime.block_on(asynchronous::register(&client, "bans", Some("other"))).unwrap_err();
        assert_eq!(other.to_string(), one.to_string());
        assert!(runtime.block_on(asynchronous::invalidate(&client, &[])).is_ok());
    }
}

#[test]
fn a_database_without_a_registry_is_an_error_with_advice() {
    in_runtimes(
        |_| {},
        async |url: String| {
            let client = connect(&url).await;
            let error = asynchronous::invalidate_all(&client).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Database);
            assert_eq!(
                error.advice().map(|advice| advice.for_command("bustard")).as_deref(),
                Some("this database has no registry yet: run `bustard migrate`")
            );
        },
    );
}

#[test]
fn a_lost_connection_is_an_error() {
    in_runtimes(two_caches, async |url: String| {
        let (client, other) = (connect(&url).await, connect(&url).await);
        let row = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap();
        other.execute("SELECT pg_terminate_backend($1, 10000)", &[&row.get::<_, i32>(0)]).await.unwrap();
        let error = asynchronous::get_version(&client, "bans").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connection, "{error}");
    });
}

/// Creates an app with a migration of SQL, and a migration whose function receives the
/// driver's transaction.
fn app(function: impl Fn(&mut bustard::OpenTransaction<'_, '_>) -> Filled + Send + Sync + 'static) -> App {
    let create = "CREATE TABLE ban (id int)";
    App::new("forum")
        .migration("V1__bans", Migration::new().sql(create).register_cache("bans"))
        .migration("V2__fill", Migration::new().run("fill", function).down(Migration::new()))
}

type Filled = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn fill(transaction: &mut bustard::OpenTransaction<'_, '_>) -> Filled {
    let transaction = transaction.postgres().ok_or("this is for PostgreSQL")?;
    transaction.execute("INSERT INTO ban VALUES (1)", &[])?;
    Ok(())
}

/// A [`bustard::Database`] connects, works and is dropped on a thread that drives a
/// runtime.
#[test]
fn a_database_works_within_a_runtime() {
    in_runtimes(
        |_| {},
        async |url: String| {
            let mut database = bustard::Database::new(&url).unwrap();
            // The first app uses the connection for SQL. The second app uses the connection
            // for functions.
            let first = App::new("other").migration("V1__one", Migration::new().sql("CREATE TABLE one ()"));
            let report = Migrator::new().app(first).run(&mut database).unwrap();
            assert_eq!(report.steps.last().unwrap().app, "other");
            let report = Migrator::new().app(app(fill)).run(&mut database).unwrap();
            assert_eq!(report.steps.len(), 2);
            let version = registry::get_version(&mut database, "bans").unwrap();
            registry::invalidate(&mut database, &["bans"]).unwrap();
            assert!(!registry::is_valid(&mut database, "bans", version).unwrap());
            let error = registry::invalidate(&mut database, &["bnas"]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cache);
            Migrator::new().app(app(fill)).revert(&mut database, &Revert::Steps(1)).unwrap();
            drop(database);

            // The runtime and its tasks continue.
            let client = connect(&url).await;
            let rows = client.query_one("SELECT count(*) FROM ban", &[]).await.unwrap();
            assert_eq!(rows.get::<_, i64>(0), 1);
        },
    );
}

#[test]
fn a_failure_within_a_runtime_is_rolled_back() {
    in_runtimes(
        |_| {},
        async |url: String| {
            let mut database = bustard::Database::new(&url).unwrap();
            let failing = app(|transaction| {
                fill(transaction)?;
                Err("not today".into())
            });
            let error = Migrator::new().app(failing).run(&mut database).unwrap_err();
            assert!(error.message().contains("not today"), "{error}");
            let broken = app(|transaction| Ok(transaction.execute("SELECT nothing FROM ban")?));
            let error = Migrator::new().app(broken).run(&mut database).unwrap_err();
            assert_eq!(error.sqlstate(), Some("42703"), "{error}");
            drop(database);
            let client = connect(&url).await;
            let rows = client.query_one("SELECT count(*) FROM ban", &[]).await.unwrap();
            assert_eq!(rows.get::<_, i64>(0), 0);

            let mut nowhere = bustard::Database::new("postgres://me@127.0.0.1:1/forum").unwrap();
            let error = Migrator::new().run(&mut nowhere).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Connection, "{error}");
            let error = Migrator::new().app(app(fill)).run(&mut nowhere).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Connection, "{error}");
        },
    );
}

/// The run is on a thread for blocking work, and a task cancels it, as the documentation
/// advises.
#[test]
fn a_run_is_cancelled_from_a_task() {
    const ASLEEP: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' \
                          AND datname = current_database())";
    let with_function = app(|transaction| Ok(transaction.execute("SELECT pg_sleep(600)")?));
    let without =
        App::new("main").migration("V1__sleep", Migration::new().sql("SELECT count(*) FROM pg_sleep(600)"));
    for app in [with_function, without] {
        in_runtimes(
            |_| {},
            |url: String| {
                let app = app.clone();
                async move {
                    let mut database = bustard::Database::new(&url).unwrap();
                    let canceller = database.canceller();
                    let run =
                        tokio::task::spawn_blocking(move || Migrator::new().app(app).run(&mut database));
                    let client = connect(&url).await;
                    let asleep = async {
                        while !client.query_one(ASLEEP, &[]).await.unwrap().get::<_, bool>(0) {
                            tokio::task::yield_now().await;
                        }
                    };
                    tokio::time::timeout(PATIENCE, asleep).await.expect("the migration runs");
                    canceller.cancel();
                    let error = run.await.unwrap().unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
                }
            },
        );
    }
}
