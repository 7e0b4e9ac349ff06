//! Stress test of cache versions: threads that write, read, fold and register caches at
//! once on one database. A [`Ledger`] checks every observation.
//!
//! The statements of the threads cannot conflict: each writer has a table with one row, in
//! which it counts its invalidations of each cache. The data of a cache is its column in
//! all of these rows. So every error comes from Bustard, and the sum of a column must equal
//! the count of the cache's version.

mod folder;
mod reader;
mod registrar;
mod writer;

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, Error};

use self::folder::Folder;
use self::reader::Reader;
use self::registrar::Registrar;
use self::writer::Writer;
use super::ledger::{Fault, Ledger, State};
use crate::support::{Database, PATIENCE};

const CACHES: [&str; 5] = ["a", "b", "c", "d", "e"];
/// The cache that is registered and unregistered.
const FLEETING: &str = "z";
const WRITERS: usize = 8;
const READERS: usize = 6;

const LEVELS: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

/// The condition to stop.
pub enum Until {
    /// Stop after this time and at least this many commits and checked reads, or at once
    /// after a finding.
    Enough { time: Duration, commits: u64, reads: u64 },
    /// Stop when this fault is found, or after [`PATIENCE`].
    Found(Fault),
}

#[test]
fn stress() {
    let seconds = std::env::var("BUSTARD_STRESS_SECONDS")
        .map_or(20, |text| text.parse().expect("BUSTARD_STRESS_SECONDS is a number"));
    let _alone = crate::alone();
    let (database, _client) = super::with_caches(&CACHES);
    let until = Until::Enough { time: Duration::from_secs(seconds), commits: 5_000, reads: 50_000 };
    let started = Instant::now();
    let ledger = run(&database, &until);
    // `println!` is not used, because the test harness hides its output.
    writeln!(
        std::io::stderr(),
        "stress: {} commits, {} checked reads ({} valid entries), {} folds, {} versions rolled back, {:.0?}",
        ledger.commits(),
        ledger.reads(),
        ledger.hits(),
        ledger.folds(),
        ledger.rolled_back(),
        started.elapsed()
    )
    .expect("stderr is open");
    assert_eq!(ledger.report(), "");
    assert!(ledger.commits() >= 5_000 && ledger.reads() >= 50_000);
    // If one of these counts is zero, the corresponding check has checked nothing.
    assert!(ledger.hits() > 0 && ledger.folds() > 0 && ledger.rolled_back() > 0);
}

/// Runs all threads until the condition is met. The database has the registry and
/// [`CACHES`].
pub fn run(database: &Database<'_>, until: &Until) -> Ledger {
    let role = set_up(database);
    let mut client = database.client();
    let versions = client.query_one(&select(&[versions()], ""), &[]).expect("all caches are registered");
    let start: Vec<i64> = (0..CACHES.len()).map(|column| versions.get(column)).collect();
    let ledger = Ledger::new(&start);
    let stop = AtomicBool::new(false);
    let entries = Entries::default();
    thread::scope(|scope| {
        let work = Work { database, role: &role, ledger: &ledger, entries: &entries, stop: &stop };
        for number in 0..WRITERS {
            scope.spawn(move || work.repeat(number, Writer::new, Writer::transaction));
        }
        for number in 0..READERS {
            scope.spawn(move || work.repeat(100 + number, Reader::new, Reader::round));
        }
        scope.spawn(move || work.repeat(200, Folder::new, Folder::fold));
        scope.spawn(move || work.repeat(201, Registrar::new, Registrar::round));
        wait(&ledger, until);
        stop.store(true, Ordering::Relaxed);
    });
    if let Until::Enough { .. } = until {
        settle(database, &ledger);
    }
    ledger
}

/// Creates the tables of the writers, and a role that may only read and update them.
fn set_up(database: &Database<'_>) -> String {
    let mut client = database.client();
    let columns = CACHES.map(|cache| format!("{cache} bigint NOT NULL DEFAULT 0")).join(", ");
    super::run(
        &mut client,
        &format!("CREATE TABLE data (writer integer NOT NULL, {columns}) PARTITION BY LIST (writer)"),
    );
    let role = database.create_role("app", "");
    for writer in 0..WRITERS {
        super::run(
            &mut client,
            &format!(
                "CREATE TABLE data_{writer} PARTITION OF data FOR VALUES IN ({writer}) WITH (fillfactor = 10);
                 INSERT INTO data (writer) VALUES ({writer})"
            ),
        );
    }
    super::run(&mut client, &format!("GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}"));
    role
}

fn wait(ledger: &Ledger, until: &Until) {
    let started = Instant::now();
    let done = || match until {
        Until::Enough { time, commits, reads } => {
            let enough =
                started.elapsed() >= *time && ledger.commits() >= *commits && ledger.reads() >= *reads;
            enough || !ledger.report().is_empty()
        }
        Until::Found(fault) => !ledger.findings(*fault).is_empty() || started.elapsed() > PATIENCE,
    };
    while !done() {
        thread::sleep(Duration::from_millis(20));
    }
}

/// Folds everything at the end, and asserts that the sums still agree.
fn settle(database: &Database<'_>, ledger: &Ledger) {
    let mut client = database.client();
    while super::fold(&mut client) > 0 {}
    let left: i64 = client.query_one("SELECT count(*) FROM bustard.event", &[]).expect("it is there").get(0);
    if left > 0 {
        ledger.find(Fault::Miscounted, format!("{left} events never fold"));
    }
    let row = client.query_one(&select(&[states(), versions()], "FROM data"), &[]).expect("it is valid");
    for cache in 0..CACHES.len() {
        ledger.observe(cache, row.get(CACHES.len() + cache), &row.get(cache), &mut 0);
    }
}

fn select(columns: &[Vec<String>], from: &str) -> String {
    format!("SELECT {} {from}", columns.concat().join(", "))
}

fn states() -> Vec<String> {
    CACHES.map(|cache| format!("array_agg({cache} ORDER BY writer)")).to_vec()
}

fn versions() -> Vec<String> {
    CACHES.map(|cache| format!("bustard.get_version('{cache}')")).to_vec()
}

/// The state that all threads share.
#[derive(Clone, Copy)]
struct Work<'a> {
    database: &'a Database<'a>,
    role: &'a str,
    ledger: &'a Ledger,
    entries: &'a Entries,
    stop: &'a AtomicBool,
}

/// The cached values: for each cache the data and its version.
type Entries = Mutex<Vec<(i64, State)>>;

impl<'a> Work<'a> {
    /// Repeats the work. An error is a finding, and the thread connects again.
    fn repeat<T>(
        self,
        number: usize,
        new: impl Fn(Work<'a>, usize) -> Result<T, Error>,
        act: impl Fn(&mut T) -> Result<(), Error>,
    ) {
        let mut actor = None;
        while !self.stop.load(Ordering::Relaxed) {
            let done = match &mut actor {
                Some(actor) => act(actor),
                None => new(self, number).map(|new| actor = Some(new)),
            };
            if let Err(error) = done {
                let code = error.code().map_or("no SQLSTATE", |state| state.code());
                self.ledger.find(Fault::Refused, format!("number {number}: {code}: {error:?}"));
                actor = None;
            }
        }
    }

    /// Connects with a time-out for statements. A wait of this length counts as a deadlock,
    /// and an error is better than a hang.
    fn connect(self, role: &str) -> Result<Client, Error> {
        let mut client = self.database.client_as(role);
        client.batch_execute("SET statement_timeout = '60s'")?;
        Ok(client)
    }
}
