//! Writers, readers, a folder and somebody who registers and unregisters, all
//! at once on one database, with a [`Ledger`] that checks what they see.
//!
//! The data are made so that nobody's own statements can conflict: each writer
//! has a table with one row, in which it counts its invalidations of each cache.
//! What a cache depends on is its column in all of these rows. Hence no error
//! can come from anywhere but from Bustard, and the sum of a column is what the
//! version must have counted.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, Error, Row, Statement};

use super::ledger::{Fault, Ledger, State};
use crate::support::{Database, PATIENCE, Random};

const CACHES: [&str; 5] = ["a", "b", "c", "d", "e"];
/// The one that comes and goes.
const FLEETING: &str = "z";
const WRITERS: usize = 8;
const READERS: usize = 6;

const LEVELS: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

/// When to stop.
pub enum Until {
    /// After this time, and not before so many commits and checked reads; at
    /// once if something is wrong.
    Enough { time: Duration, commits: u64, reads: u64 },
    /// When this is found, or after [`PATIENCE`].
    Found(Fault),
}

#[test]
fn stress() {
    let seconds = std::env::var("BUSTARD_STRESS_SECONDS")
        .map_or(20, |text| text.parse().expect("BUSTARD_STRESS_SECONDS is a number"));
    let (database, _client) = super::with_caches(&CACHES);
    let until = Until::Enough { time: Duration::from_secs(seconds), commits: 5_000, reads: 50_000 };
    let started = Instant::now();
    let ledger = run(&database, &until);
    // Not `println!`, whose output the test harness keeps to itself.
    writeln!(
        std::io::stderr(),
        "stress: {} commits, {} checked reads ({} valid entries), {} folds, {} versions rolled back, {:.0?}",
        ledger.commits(),
        ledger.reads(),
        ledger.hits(),
        ledger.folds(),
        ledger.undone(),
        started.elapsed()
    )
    .expect("stderr is open");
    assert_eq!(ledger.report(), "");
    assert!(ledger.commits() >= 5_000 && ledger.reads() >= 50_000);
    // Otherwise these checks would have checked nothing.
    assert!(ledger.hits() > 0 && ledger.folds() > 0 && ledger.undone() > 0);
}

/// Runs everybody until then. The database has the registry and [`CACHES`].
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

/// The writers' tables, and a role for everybody who needs no more.
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

/// When all is quiet: everything folds, and then the sums still agree.
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

fn columns<T: for<'a> postgres::types::FromSql<'a>>(row: &Row, from: usize) -> Vec<T> {
    (from..from + CACHES.len()).map(|column| row.get(column)).collect()
}

/// What all threads share.
#[derive(Clone, Copy)]
struct Work<'a> {
    database: &'a Database<'a>,
    role: &'a str,
    ledger: &'a Ledger,
    entries: &'a Entries,
    stop: &'a AtomicBool,
}

/// The cached values: for each cache the data, and the version they are under.
type Entries = Mutex<Vec<(i64, State)>>;

impl<'a> Work<'a> {
    /// Does it again and again; an error is a finding, and the end of the connection.
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

    /// Who waits for so long waits for nothing: an error is better than a hang.
    fn connect(self, role: &str) -> Result<Client, Error> {
        let mut client = self.database.client_as(role);
        client.batch_execute("SET statement_timeout = '60s'")?;
        Ok(client)
    }
}

struct Writer<'a> {
    work: Work<'a>,
    client: Client,
    number: usize,
    random: Random,
    invalidate: Statement,
    /// Statements that have not been sent yet.
    ahead: String,
}

impl<'a> Writer<'a> {
    fn new(work: Work<'a>, number: usize) -> Result<Self, Error> {
        let mut client = work.connect(work.role)?;
        let invalidate = client.prepare("SELECT bustard.invalidate(VARIADIC $1)")?;
        // Another course on each connection.
        let seed = number as u64 + work.ledger.commits() * 1_000;
        Ok(Writer { work, client, number, random: Random::new(seed), invalidate, ahead: String::new() })
    }

    fn transaction(&mut self) -> Result<(), Error> {
        let level = LEVELS[self.random.below(LEVELS.len())];
        self.ahead = format!("BEGIN ISOLATION LEVEL {level};");
        let mut touched = Vec::new();
        for caches in self.course() {
            match self.random.below(6) {
                0 => {
                    self.ahead += "SAVEPOINT s;";
                    self.step(&caches)?;
                    self.ahead += "ROLLBACK TO s;";
                }
                1 => {
                    self.ahead += "SAVEPOINT s;";
                    self.step(&caches)?;
                    self.ahead += "RELEASE s;";
                    touched.extend(caches);
                }
                _ => {
                    self.step(&caches)?;
                    touched.extend(caches);
                }
            }
        }
        if !self.random.one_in(5) {
            self.execute("COMMIT")?;
            if !touched.is_empty() {
                self.work.ledger.committed();
            }
            return Ok(());
        }
        // What a transaction sees of itself is gone after a rollback. Reading and
        // invalidating in one SERIALIZABLE transaction is the one thing that may
        // fail. Rarely, since two histories of the same length do have the same
        // version once in 2^23 times.
        let mut undone = Vec::new();
        self.execute("")?;
        if level != "SERIALIZABLE" && self.random.one_in(32) {
            for cache in touched {
                let sql = format!("SELECT bustard.get_version('{}')", CACHES[cache]);
                undone.push((cache, self.client.query_one(&sql, &[])?.get(0)));
            }
        }
        if self.random.one_in(10) {
            // The server notices when it does.
            *self = Writer::new(self.work, self.number)?;
        } else {
            self.client.batch_execute("ROLLBACK")?;
        }
        for (cache, version) in undone {
            self.work.ledger.observe_undone(cache, version);
        }
        Ok(())
    }

    /// Which caches this transaction invalidates, call by call: each writer goes
    /// through them in the opposite direction of its neighbours.
    fn course(&mut self) -> Vec<Vec<usize>> {
        let calls = 1 + self.random.below(3);
        let mut course: Vec<Vec<usize>> = (0..calls)
            .map(|_| match self.random.below(12) {
                0 => (0..CACHES.len()).collect(),
                1 | 2 => {
                    let first = self.random.below(CACHES.len() - 1);
                    vec![first, first + 1]
                }
                // Some caches change all the time, and some seldom, so that
                // entries stay valid for a while.
                _ => vec![self.random.below(CACHES.len()).min(self.random.below(CACHES.len()))],
            })
            .collect();
        course.sort();
        if self.number % 2 == 1 {
            course.reverse();
            course.iter_mut().for_each(|caches| caches.reverse());
        }
        course
    }

    /// Changes what the caches depend on and invalidates them, in either order,
    /// with one message or with a prepared statement.
    fn step(&mut self, caches: &[usize]) -> Result<(), Error> {
        let names: Vec<&str> = caches.iter().map(|cache| CACHES[*cache]).collect();
        let changes: Vec<String> = names.iter().map(|name| format!("{name} = {name} + 1")).collect();
        let change = format!("UPDATE data_{} SET {}", self.number, changes.join(", "));
        if names.len() < CACHES.len() && self.random.one_in(2) {
            if self.random.one_in(2) {
                self.execute(&change)?;
                self.client.query(&self.invalidate, &[&names])?;
            } else {
                self.execute("")?;
                self.client.query(&self.invalidate, &[&names])?;
                self.ahead = change + ";";
            }
            return Ok(());
        }
        let invalidate = match names.len() {
            all if all == CACHES.len() => "SELECT bustard.invalidate_all()".to_owned(),
            _ => format!("SELECT bustard.invalidate('{}')", names.join("', '")),
        };
        let statements = match self.random.one_in(2) {
            true => [change, invalidate],
            false => [invalidate, change],
        };
        self.execute(&statements.join(";"))
    }

    /// Sends a statement, after what may travel with it: the fewer messages,
    /// the more transactions.
    fn execute(&mut self, sql: &str) -> Result<(), Error> {
        let ahead = std::mem::take(&mut self.ahead);
        self.client.batch_execute(&(ahead + sql))
    }
}

struct Reader<'a> {
    work: Work<'a>,
    client: Client,
    random: Random,
    /// The versions that this reader has seen last.
    last: [i64; CACHES.len()],
    by_function: Statement,
    by_view: Statement,
    versions: Statement,
    states: Statement,
    check: Statement,
}

impl<'a> Reader<'a> {
    fn new(work: Work<'a>, number: usize) -> Result<Self, Error> {
        let mut client = work.connect(work.role)?;
        let view = format!(
            "SELECT d.*, v.versions FROM ({}) AS d, (SELECT array_agg(version ORDER BY name) AS versions \
             FROM bustard.caches WHERE name <> '{FLEETING}') AS v",
            select(&[states()], "FROM data")
        );
        let valid =
            CACHES.iter().zip(1..).map(|(cache, place)| format!("bustard.is_valid('{cache}', ${place})"));
        Ok(Reader {
            work,
            random: Random::new(number as u64),
            last: [0; CACHES.len()],
            by_function: client.prepare(&select(&[states(), versions()], "FROM data"))?,
            by_view: client.prepare(&view)?,
            versions: client.prepare(&select(&[versions()], ""))?,
            states: client.prepare(&select(&[states()], "FROM data"))?,
            check: client.prepare(&select(&[states(), valid.collect()], "FROM data"))?,
            client,
        })
    }

    fn round(&mut self) -> Result<(), Error> {
        self.read_by_function()?;
        self.read_by_view()?;
        if self.random.one_in(4) {
            self.read_in_one_snapshot()?;
        }
        if self.random.one_in(2) {
            self.fill()?;
        }
        self.check()
    }

    fn observe(&mut self, versions: &[i64], states: &[State]) {
        for (cache, (version, state)) in versions.iter().zip(states).enumerate() {
            self.work.ledger.observe(cache, *version, state, &mut self.last[cache]);
        }
    }

    fn read_by_function(&mut self) -> Result<(), Error> {
        let row = self.client.query_one(&self.by_function, &[])?;
        self.observe(&columns::<i64>(&row, CACHES.len()), &columns(&row, 0));
        Ok(())
    }

    fn read_by_view(&mut self) -> Result<(), Error> {
        let row = self.client.query_one(&self.by_view, &[])?;
        self.observe(&row.get::<_, Vec<i64>>(CACHES.len()), &columns(&row, 0));
        Ok(())
    }

    fn read_in_one_snapshot(&mut self) -> Result<(), Error> {
        let level = LEVELS[1 + self.random.below(2)];
        self.client.batch_execute(&format!("BEGIN ISOLATION LEVEL {level} READ ONLY"))?;
        let row = self.client.query_one(&self.versions, &[])?;
        let versions = columns::<i64>(&row, 0);
        let row = self.client.query_one(&self.states, &[])?;
        self.observe(&versions, &columns(&row, 0));
        self.read_by_view()?;
        self.client.batch_execute("COMMIT")
    }

    /// As an application does it: the version, then the data.
    fn fill(&mut self) -> Result<(), Error> {
        let row = self.client.query_one(&self.versions, &[])?;
        let versions = columns::<i64>(&row, 0);
        for (cache, version) in versions.iter().enumerate() {
            self.work.ledger.observe_version(cache, *version, &mut self.last[cache]);
        }
        let row = self.client.query_one(&self.states, &[])?;
        let entries = versions.into_iter().zip(columns(&row, 0)).collect();
        *self.work.entries.lock().expect("nobody panics with it") = entries;
        Ok(())
    }

    fn check(&mut self) -> Result<(), Error> {
        let entries = self.work.entries.lock().expect("nobody panics with it").clone();
        let [(a, _), (b, _), (c, _), (d, _), (e, _)] = entries.as_slice() else { return Ok(()) };
        let row = self.client.query_one(&self.check, &[a, b, c, d, e])?;
        let states = columns::<State>(&row, 0);
        let valid = columns::<bool>(&row, CACHES.len());
        for (cache, (version, filed)) in entries.iter().enumerate() {
            self.work.ledger.check_entry(cache, *version, filed, valid[cache], &states[cache]);
        }
        Ok(())
    }
}

struct Folder<'a> {
    work: Work<'a>,
    client: Client,
}

impl<'a> Folder<'a> {
    fn new(work: Work<'a>, _number: usize) -> Result<Self, Error> {
        Ok(Folder { work, client: work.connect("postgres")? })
    }

    fn fold(&mut self) -> Result<(), Error> {
        let folded: i64 = self.client.query_one("SELECT bustard.fold()", &[])?.get(0);
        if folded > 0 {
            self.work.ledger.folded();
        }
        Ok(())
    }
}

/// Registers a cache and unregisters it, and sometimes thinks better of it.
struct Registrar<'a> {
    work: Work<'a>,
    client: Client,
    random: Random,
    last: i64,
}

impl<'a> Registrar<'a> {
    fn new(work: Work<'a>, number: usize) -> Result<Self, Error> {
        let mut client = work.connect("postgres")?;
        // An error may have left it registered.
        client.batch_execute(&format!(
            "SELECT bustard.unregister_cache(name) FROM bustard.caches WHERE name = '{FLEETING}'"
        ))?;
        Ok(Registrar { work, client, random: Random::new(number as u64), last: 0 })
    }

    fn round(&mut self) -> Result<(), Error> {
        let rolled_back = self.random.one_in(32);
        self.client.batch_execute(&format!("BEGIN; SELECT bustard.register_cache('{FLEETING}')"))?;
        let version = self.version()?;
        self.client.batch_execute(if rolled_back { "ROLLBACK" } else { "COMMIT" })?;
        if rolled_back {
            self.work.ledger.observe_undone(CACHES.len(), version);
            return Ok(());
        }
        self.later(version);
        self.client.batch_execute(&format!("SELECT bustard.invalidate('{FLEETING}')"))?;
        let version = self.version()?;
        self.later(version);
        self.client.batch_execute(&format!("SELECT bustard.unregister_cache('{FLEETING}')"))
    }

    fn version(&mut self) -> Result<i64, Error> {
        let sql = format!("SELECT bustard.get_version('{FLEETING}')");
        Ok(self.client.query_one(&sql, &[])?.get(0))
    }

    /// Not only no lower version than before, but a higher one.
    fn later(&mut self, version: i64) {
        if version == self.last {
            let text = format!("version {version} of {FLEETING} is of two registrations");
            self.work.ledger.find(Fault::TwoStates, text);
        }
        self.work.ledger.observe_version(CACHES.len(), version, &mut self.last);
    }
}
