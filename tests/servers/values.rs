//! Tests values on threads and on Tokio: a value is computed once, is stored under the
//! version that was read before, and is shared by all callers in the process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};

use crate::races::place::Shared;
use crate::support::{Database, Project};
use bustard::{App, CacheBuster, Error, ErrorKind, Migration, Migrator, Result};

fn migrate(connection: &mut impl bustard::Connection) {
    let migration = Migration::new()
        .sql("CREATE TABLE item (name varchar(10) PRIMARY KEY, number bigint NOT NULL)")
        .sql("INSERT INTO item VALUES ('a', 1)")
        .register_cache("items")
        .register_cache("others");
    Migrator::new().app(App::new("main").migration("V1__items", migration)).run(connection).unwrap();
}

/// Creates a database in a file, and starts a `CacheBuster` on it.
fn on_sqlite(project: &Project) -> (rusqlite::Connection, CacheBuster) {
    let mut connection = project.sqlite("app.db");
    migrate(&mut connection);
    (connection, CacheBuster::connect(&project.sqlite_url("app.db")).unwrap())
}

#[test]
fn many_callers_at_once_wait_for_one_computation() {
    let project = Project::new();
    let (_connection, buster) = on_sqlite(&project);
    let values = buster.cache("items").unwrap().values::<u64>("main", 1).unwrap().shared();
    let computed = AtomicUsize::new(0);
    let (started, has_started) = mpsc::channel();
    let (finish, may_finish) = mpsc::channel::<()>();
    let asking = Barrier::new(9);
    std::thread::scope(|scope| {
        let (values, computed) = (&values, &computed);
        let leader = scope.spawn(move || {
            values.get_or_insert_with("k", || {
                started.send(()).unwrap();
                may_finish.recv().unwrap();
                computed.fetch_add(1, Ordering::SeqCst) as u64 + 7
            })
        });
        has_started.recv().unwrap();
        let followers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    asking.wait();
                    values.get_or_insert_with("k", || computed.fetch_add(1, Ordering::SeqCst) as u64)
                })
            })
            .collect();
        // A value under another key does not wait for this computation.
        assert_eq!(*values.get_or_insert_with("other", || 3), 3);
        asking.wait();
        finish.send(()).unwrap();
        assert_eq!(*leader.join().unwrap(), 7);
        for follower in followers {
            assert_eq!(*follower.join().unwrap(), 7);
        }
    });
    assert_eq!(computed.into_inner(), 1);
}

#[test]
fn name_cache_format_and_key_tell_values_apart() {
    let project = Project::new();
    let (_connection, buster) = on_sqlite(&project);
    let (items, others) = (buster.cache("items").unwrap(), buster.cache("others").unwrap());
    let all = [
        items.values::<u64>("main", 1).unwrap().shared(),
        items.values("main", 2).unwrap().shared(),
        items.values("plugin", 1).unwrap().shared(),
        others.values("main", 1).unwrap().shared(),
    ];
    for (number, values) in all.iter().enumerate() {
        assert_eq!(*values.get_or_insert_with("k", || number as u64), number as u64);
    }
    for (number, values) in all.iter().enumerate() {
        assert_eq!(*values.get_or_insert_with("k", || unreachable!()), number as u64);
        assert_eq!(*values.get_or_insert_with("other", || 9), 9);
    }
}

#[test]
fn an_undecodable_value_is_a_miss() {
    let project = Project::new();
    let (_connection, buster) = on_sqlite(&project);
    let stores = Shared::default();
    let another = || {
        let builder = CacheBuster::builder(&project.sqlite_url("app.db")).store(stores.clone());
        let buster = builder.start().unwrap();
        (buster.cache("items").unwrap(), buster)
    };
    drop(buster);
    let ((text, _one), (number, _other)) = (another(), another());
    let text = text.values::<String>("main", 1).unwrap().shared();
    let number = number.values::<u64>("main", 1).unwrap().shared();
    assert_eq!(*text.get_or_insert_with("k", || "text".into()), "text");
    assert_eq!(*number.get_or_insert_with("k", || 4), 4);
    assert_eq!(*number.get_or_insert_with("k", || unreachable!()), 4);
}

/// Decoding gives another variant, so the value is not stored.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum Ambiguous {
    Small(u8),
    Large(u64),
}

#[test]
fn a_value_that_would_come_back_different_is_not_stored() {
    let project = Project::new();
    let (_connection, buster) = on_sqlite(&project);
    let values = buster.cache("items").unwrap().values("main", 1).unwrap().shared().max_entries(0);
    for _ in 0..2 {
        let mut computed = false;
        let value = values.get_or_insert_with("k", || {
            computed = true;
            Ambiguous::Large(1)
        });
        assert_eq!((&*value, computed), (&Ambiguous::Large(1), true));
    }
    assert_eq!(*values.get_or_insert_with("l", || Ambiguous::Large(300)), Ambiguous::Large(300));
    assert_eq!(*values.get_or_insert_with("l", || unreachable!()), Ambiguous::Large(300));
}

#[test]
fn a_value_read_in_a_transaction_that_has_written_is_not_kept() {
    let project = Project::new();
    let (mut connection, buster) = on_sqlite(&project);
    let values = buster.cache("items").unwrap().values::<i64>("main", 1).unwrap().shared();
    let number = |t: &mut rusqlite::Transaction<'_>| -> Result<i64, Error> {
        Ok(t.query_row("SELECT number FROM item", [], |row| row.get(0)).unwrap())
    };
    let mut transaction = connection.transaction().unwrap();
    assert_eq!(*values.get_or_try_insert_in(&mut transaction, "a", number).unwrap(), 1);
    transaction.execute("UPDATE item SET number = 2", []).unwrap();
    buster.invalidate(&mut transaction, &["items"]).unwrap();
    assert_eq!(*values.get_or_try_insert_in(&mut transaction, "a", number).unwrap(), 2);
    transaction.rollback().unwrap();
    assert_eq!(*values.get_or_insert_with("a", || unreachable!("the first value is in the store")), 1);
}

/// The asynchronous forms work on a runtime that moves tasks between threads.
#[test]
fn on_tokio() {
    let database = Database::new();
    migrate(&mut database.client());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let url = database.url();
    runtime.block_on(async move {
        let buster = CacheBuster::builder(&url).start_async().await.unwrap();
        let (mut client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let items = buster.cache("items").unwrap();
        let values = items.values::<i64>("main", 1).unwrap().shared();

        // All callers share one computation.
        let computed = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (values, computed) = (values.clone(), computed.clone());
                tokio::spawn(async move {
                    let compute = || async {
                        tokio::task::yield_now().await;
                        computed.fetch_add(1, Ordering::SeqCst);
                        1
                    };
                    values.get_or_insert_with_async("a", compute).await
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(*task.await.unwrap(), 1);
        }
        assert_eq!(computed.load(Ordering::SeqCst), 1);

        // A leader that is dropped half-way does not block the next leader.
        let endless = values.get_or_insert_with_async("b", std::future::pending::<i64>);
        let endless = tokio::time::timeout(std::time::Duration::from_millis(10), endless);
        endless.await.unwrap_err();
        assert_eq!(*values.get_or_insert_with_async("b", || async { 2 }).await, 2);

        // After an invalidation in a transaction, the cache is bypassed. The invalidation
        // takes effect at the commit.
        let version = items.version().unwrap();
        let transaction = client.transaction().await.unwrap();
        let number = async || {
            let row = transaction.query_one("SELECT number FROM item", &[]).await.unwrap();
            Ok::<i64, Error>(row.get(0))
        };
        assert_eq!(*values.get_or_try_insert_in_async(&transaction, "c", number).await.unwrap(), 1);
        transaction.execute("UPDATE item SET number = 5", &[]).await.unwrap();
        buster.invalidate_async(&transaction, &["items"]).await.unwrap();
        assert_eq!(*values.get_or_try_insert_in_async(&transaction, "c", number).await.unwrap(), 5);
        assert!(items.is_valid(version));
        buster.commit_async(transaction).await.unwrap();
        assert!(!items.is_valid(version));
        assert!(!items.is_valid_in_async(&client, version).await.unwrap());
        assert_eq!(items.version_in_async(&client).await.unwrap(), items.version().unwrap());
        let kept = values.get_or_try_insert_with_async("c", || async { Err::<i64, _>("not kept") });
        assert_eq!(kept.await.unwrap_err().failure(), Some(&"not kept"));

        // On a connection, each statement commits at once.
        buster.register_async(&client, "new", Some("main")).await.unwrap();
        let new = buster.cache("new").unwrap();
        let version = new.version().unwrap();
        buster.invalidate_all_async(&client).await.unwrap();
        assert!(!new.is_valid(version));
        buster.unregister_async(&client, "new").await.unwrap();
        assert_eq!(new.version().unwrap_err().kind(), ErrorKind::Cache);
        buster.notify_async().await.unwrap();
    });
}
