//! Tests the promises of cache versions on SQLite, on a small scale: with one file and
//! several connections. The tests call the library's functions, because SQLite has no SQL
//! API.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bustard::{CacheVersion, ErrorKind, Migrator, registry};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::ledger::{Fault, Ledger, State};
use crate::support::{PATIENCE, Random, wait_until};

const CACHES: [&str; 3] = ["a", "b", "c"];
const WRITERS: usize = 4;
const READERS: usize = 3;
/// The number of transactions of each writer.
const TRANSACTIONS: usize = 150;

fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("the file opens");
    connection.busy_timeout(PATIENCE).expect("it can be set");
    connection
}

fn set_up(path: &Path) -> Ledger {
    let mut connection = open(path);
    // In WAL mode, readers read during writes.
    connection.pragma_update(None, "journal_mode", "wal").expect("it can be set");
    Migrator::new().run(&mut connection).expect("Bustard's own tables are made");
    connection
        .execute_batch("CREATE TABLE data (writer INTEGER PRIMARY KEY, a INTEGER, b INTEGER, c INTEGER)")
        .expect("it is valid");
    for writer in 0..WRITERS {
        connection
            .execute_batch(&format!("INSERT INTO data VALUES ({writer}, 0, 0, 0)"))
            .expect("it is valid");
    }
    for cache in CACHES {
        registry::register(&mut connection, cache, None).expect("it is new");
    }
    let versions =
        CACHES.map(|cache| registry::get_version(&mut connection, cache).expect("it is registered").get());
    Ledger::new(&versions)
}

fn state(connection: &Connection, cache: usize) -> State {
    let sql = format!("SELECT {} FROM data ORDER BY writer", CACHES[cache]);
    let mut statement = connection.prepare(&sql).expect("it is valid");
    let rows = statement.query_map([], |row| row.get(0)).expect("it runs");
    rows.map(|count| count.expect("it is a number")).collect()
}

fn write(path: &Path, ledger: &Ledger, writer: usize) {
    let mut connection = open(path);
    let mut random = Random::new(writer as u64);
    for _ in 0..TRANSACTIONS {
        let mut transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .expect("the lock is waited for");
        let mut touched = Vec::new();
        for _ in 0..=random.below(3) {
            let roll_back = random.one_in(4);
            let caches = match random.below(6) {
                0 => vec![0, 1, 2],
                1 => vec![2, 1],
                _ => vec![random.below(CACHES.len())],
            };
            transaction.execute_batch("SAVEPOINT s").expect("savepoints nest");
            for cache in &caches {
                let name = CACHES[*cache];
                let change = format!("UPDATE data SET {name} = {name} + 1 WHERE writer = {writer}");
                transaction.execute_batch(&change).expect("it is valid");
            }
            invalidate(&mut transaction, &caches);
            if roll_back {
                transaction.execute_batch("ROLLBACK TO s").expect("it is open");
            } else {
                touched.extend(caches);
            }
            transaction.execute_batch("RELEASE s").expect("it is open");
        }
        let versions: Vec<(usize, i64)> = touched
            .iter()
            .map(|cache| {
                let version = registry::get_version(&mut transaction, CACHES[*cache]);
                (*cache, version.expect("it is registered").get())
            })
            .collect();
        if random.one_in(5) {
            transaction.rollback().expect("it is open");
            // Only few versions are recorded, because two histories of the same length have
            // the same version once in 2^23 times.
            for (cache, version) in versions {
                ledger.observe_rolled_back(cache, version);
            }
        } else {
            transaction.commit().expect("it is open");
            ledger.committed();
        }
    }
}

fn invalidate(transaction: &mut Transaction<'_>, caches: &[usize]) {
    let names: Vec<&str> = caches.iter().map(|cache| CACHES[*cache]).collect();
    match names.len() {
        all if all == CACHES.len() => registry::invalidate_all(transaction),
        _ => registry::invalidate(transaction, &names),
    }
    .expect("they are registered");
}

type Entries = Mutex<Vec<(CacheVersion, State)>>;

fn read(path: &Path, ledger: &Ledger, entries: &Entries, done: impl Fn() -> bool) {
    let mut connection = open(path);
    let mut last = [0; CACHES.len()];
    while !done() {
        // The version and the data are read in one snapshot.
        let mut transaction = connection.transaction().expect("it begins");
        for (cache, name) in CACHES.iter().enumerate() {
            let version = registry::get_version(&mut transaction, name).expect("it is registered");
            ledger.observe(cache, version.get(), &state(&transaction, cache), &mut last[cache]);
        }
        transaction.commit().expect("it is open");
        // An application reads the version first, and then the data.
        let filled = CACHES.iter().enumerate().map(|(cache, name)| {
            let version = registry::get_version(&mut connection, name).expect("it is registered");
            ledger.observe_version(cache, version.get(), &mut last[cache]);
            (version, state(&connection, cache))
        });
        let filled = filled.collect();
        let old = std::mem::replace(&mut *entries.lock().expect("the mutex is not poisoned"), filled);
        let new = entries.lock().expect("the mutex is not poisoned").clone();
        let mut transaction = connection.transaction().expect("it begins");
        for (cache, (version, filed)) in old.iter().enumerate().chain(new.iter().enumerate()) {
            let valid = registry::is_valid(&mut transaction, CACHES[cache], *version);
            let now = state(&transaction, cache);
            ledger.check_entry(cache, version.get(), filed, valid.expect("it is registered"), &now);
        }
    }
}

/// Runs writers and readers until the writers are done.
fn stress(path: &Path) -> Ledger {
    let ledger = set_up(path);
    let entries = Entries::default();
    let writing = AtomicUsize::new(WRITERS);
    thread::scope(|scope| {
        let (ledger, entries, writing) = (&ledger, &entries, &writing);
        for writer in 0..WRITERS {
            scope.spawn(move || {
                write(path, ledger, writer);
                writing.fetch_sub(1, Ordering::Relaxed);
            });
        }
        for _ in 0..READERS {
            // Read once more after the last commit.
            let last = AtomicUsize::new(0);
            scope.spawn(move || {
                read(path, ledger, entries, || {
                    writing.load(Ordering::Relaxed) == 0 && last.fetch_add(1, Ordering::Relaxed) > 0
                });
            });
        }
    });
    ledger
}

#[test]
fn writers_and_readers() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let ledger = stress(&directory.path().join("test.sqlite"));
    assert_eq!(ledger.report(), "");
    assert!(ledger.commits() > 0 && ledger.hits() > 0 && ledger.rolled_back() > 0);
}

/// An invalidation of two caches waits until another session has unregistered one of them.
/// Then the name is unknown, so the invalidation fails, and the other cache is not
/// invalidated either.
#[test]
fn invalidating_waits_for_an_unregistration() {
    static WAITING: AtomicBool = AtomicBool::new(false);

    fn wait(_: i32) -> bool {
        WAITING.store(true, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(1));
        true
    }

    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("test.sqlite");
    set_up(&path);
    let mut connection = open(&path);
    let before = registry::get_version(&mut connection, "a").expect("it is registered");
    let mut transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .expect("no other session writes");
    registry::unregister(&mut transaction, "b").expect("it is registered");
    let invalidated = thread::scope(|scope| {
        let invalidating = scope.spawn(|| {
            let mut connection = open(&path);
            connection.busy_handler(Some(wait)).expect("it can be set");
            registry::invalidate(&mut connection, &["a", "b"])
        });
        wait_until("the other session waits", || WAITING.load(Ordering::SeqCst));
        transaction.commit().expect("it is open");
        invalidating.join().expect("it does not panic")
    });
    let error = invalidated.expect_err("b is not registered any more");
    assert_eq!(error.kind(), ErrorKind::Cache);
    assert!(error.to_string().contains("the cache b is not registered"), "{error}");
    assert!(registry::is_valid(&mut connection, "a", before).expect("it is registered"));
}

/// If the view ignores the invalidations of all caches, the ledger finds wrong versions.
#[test]
fn a_view_that_ignores_the_invalidations_of_all_caches() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("test.sqlite");
    // The database is created first, so that the start of the ledger is correct with either
    // view.
    let mut connection = open(&path);
    Migrator::new().run(&mut connection).expect("Bustard's own tables are made");
    connection
        .execute_batch(
            "DROP VIEW bustard_caches;
             CREATE VIEW bustard_caches (name, app, version, registered_at) AS
             SELECT c.name, c.app, (b.n << 23) | (b.nonce & 8388607), c.registered_at
             FROM bustard_cache AS c JOIN bustard_base AS b ON b.cell = c.id << 12 WHERE c.active = 1;
             -- A run would restore a view whose definition differs from the record.
             UPDATE bustard_repeatable SET definition =
                 (SELECT sql FROM sqlite_master WHERE name = 'bustard_caches') WHERE name = 'caches'",
        )
        .expect("it is valid");
    drop(connection);
    let ledger = stress(&path);
    for fault in [Fault::TwoStates, Fault::Stale, Fault::Miscounted] {
        assert!(!ledger.findings(fault).is_empty(), "no {fault:?}, but:\n{}", ledger.report());
    }
}
