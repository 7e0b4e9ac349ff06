//! Stress test of sources: threads that write to tables, read, fold, and change the tables of
//! a cache at once. A version must belong to one set of tables and one state of them, and must
//! never go back.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, Error};

use super::ledger::{Fault, Ledger, State};
use crate::support::{Database, PATIENCE, Random};

const TABLES: usize = 3;
const WRITERS: usize = 4;
const READERS: usize = 3;

/// Reads the tables of the cache, its version in both ways, and the data of all tables, in one
/// snapshot.
const LOOK: &str = "SELECT c.tables, c.version, bustard.get_version('moving'), \
    (SELECT sum(n)::bigint FROM m0), (SELECT sum(n)::bigint FROM m1), (SELECT sum(n)::bigint FROM m2) \
    FROM bustard.caches AS c WHERE c.name = 'moving'";

struct World<'a> {
    database: &'a Database<'a>,
    ledger: Ledger,
    stop: AtomicBool,
    changes: AtomicU64,
    /// A cached value and its version, as an application keeps it.
    entry: Mutex<(i64, State)>,
}

impl World<'_> {
    fn repeat(
        &self,
        number: usize,
        act: impl Fn(&Self, &mut Client, &mut Random, &mut i64) -> Result<(), Error>,
    ) {
        let (mut random, mut last) = (Random::new(number as u64), 0);
        let mut client = self.database.client();
        super::run(&mut client, "SET statement_timeout = '60s'");
        while !self.stop.load(Ordering::Relaxed) {
            if let Err(error) = act(self, &mut client, &mut random, &mut last) {
                self.ledger.find(Fault::Refused, format!("number {number}: {error:?}"));
                client = self.database.client();
            }
        }
    }
}

/// Writes to one table, in several statements, and sometimes rolls back. One transaction that
/// wrote to two tables could deadlock with a change that removes one and adds the other.
fn write(world: &World<'_>, client: &mut Client, random: &mut Random, number: usize) -> Result<(), Error> {
    let level = ["READ COMMITTED", "REPEATABLE READ"][random.below(2)];
    let table = random.below(TABLES);
    let mut sql = format!("BEGIN ISOLATION LEVEL {level};");
    for _ in 0..=random.below(3) {
        let update = format!("UPDATE m{table} SET n = n + 1 WHERE writer = {number};");
        sql += &match random.below(4) {
            0 => format!("SAVEPOINT s; {update} ROLLBACK TO s;"),
            1 => format!("SAVEPOINT s; {update} RELEASE s;"),
            _ => update,
        };
    }
    client.batch_execute(&sql)?;
    // The transaction stays open while others work.
    thread::yield_now();
    let rolled_back = random.one_in(6);
    client.batch_execute(if rolled_back { "ROLLBACK" } else { "COMMIT" })?;
    if !rolled_back {
        world.ledger.committed();
    }
    Ok(())
}

/// Returns the versions of the view and of the function, and the state that they belong to: the
/// sum of each table of the cache, and -1 for the others.
fn look(client: &mut Client) -> Result<(i64, i64, State), Error> {
    let row = client.query_one(LOOK, &[])?;
    let tables: Vec<String> = row.get(0);
    let state = |i: usize| match tables.contains(&format!("public.m{i}")) {
        true => row.get::<_, i64>(3 + i),
        false => -1,
    };
    Ok((row.get(1), row.get(2), (0..TABLES).map(state).collect()))
}

fn read(world: &World<'_>, client: &mut Client, random: &mut Random, last: &mut i64) -> Result<(), Error> {
    if random.one_in(4) {
        client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        let (version, ..) = look(client)?;
        let again = look(client)?;
        client.batch_execute("COMMIT")?;
        if again.0 != version {
            world.ledger.find(Fault::TwoVersions, format!("{version} and {} in one snapshot", again.0));
        }
    }
    // The entry is found before the snapshot, so its data are not newer.
    let entry = world.entry.lock().expect("the mutex is not poisoned").clone();
    let (version, function, state) = look(client)?;
    if version != function {
        world.ledger.find(Fault::TwoVersions, format!("the view has {version}, the function {function}"));
    }
    world.ledger.observe_state(0, version, &state, last);
    if entry.0 > 0 {
        world.ledger.check_entry(0, entry.0, &entry.1, entry.0 == version, &state);
    }
    if random.one_in(3) {
        // The version is read before the data.
        let version = client.query_one("SELECT bustard.get_version('moving')", &[])?.get(0);
        let (_, _, state) = look(client)?;
        *world.entry.lock().expect("the mutex is not poisoned") = (version, state);
    }
    Ok(())
}

fn change(world: &World<'_>, client: &mut Client, random: &mut Random) -> Result<(), Error> {
    let tables: Vec<String> = (0..TABLES).filter(|_| random.one_in(2)).map(|i| format!("'m{i}'")).collect();
    let call = match random.below(4) {
        0 => "change_cache_back('moving')".to_owned(),
        _ => format!("change_cache('moving', NULL, VARIADIC ARRAY[{}]::text[])", tables.join(", ")),
    };
    let end = if random.one_in(8) { "ROLLBACK" } else { "COMMIT" };
    client.batch_execute(&format!("BEGIN; SELECT bustard.{call}; {end}"))?;
    world.changes.fetch_add(1, Ordering::Relaxed);
    // Readers must see each set of tables for a while.
    thread::sleep(Duration::from_millis(10));
    Ok(())
}

/// Runs all threads for this time, or until there is a finding.
fn run(database: &Database<'_>, time: Duration, until: Option<Fault>) -> (Ledger, u64) {
    let world = World {
        database,
        ledger: Ledger::new(&[]),
        stop: AtomicBool::new(false),
        changes: AtomicU64::new(0),
        entry: Mutex::default(),
    };
    let started = Instant::now();
    thread::scope(|scope| {
        let world = &world;
        for number in 0..WRITERS {
            scope.spawn(move || {
                world.repeat(number, |world, client, random, _| write(world, client, random, number));
            });
        }
        for number in 0..READERS {
            scope.spawn(move || world.repeat(100 + number, read));
        }
        scope.spawn(move || world.repeat(200, |world, client, random, _| change(world, client, random)));
        scope.spawn(move || {
            world.repeat(201, |world, client, _, _| {
                if client.query_one("SELECT bustard.fold()", &[])?.get::<_, i64>(0) > 0 {
                    world.ledger.folded();
                }
                Ok(())
            });
        });
        let done = || match until {
            Some(fault) => !world.ledger.findings(fault).is_empty(),
            None => !world.ledger.report().is_empty(),
        };
        while started.elapsed() < time && !done() {
            thread::sleep(Duration::from_millis(20));
        }
        world.stop.store(true, Ordering::Relaxed);
    });
    let changes = world.changes.load(Ordering::Relaxed);
    (world.ledger, changes)
}

fn set_up(database: &Database<'_>) {
    let mut client = super::fill(database, &["moving", "fixed"]);
    for table in 0..TABLES {
        let create = format!(
            "CREATE TABLE m{table} (writer integer PRIMARY KEY, n bigint NOT NULL DEFAULT 0) WITH (fillfactor = 10);
             INSERT INTO m{table} (writer) SELECT generate_series(0, {})",
            WRITERS - 1
        );
        super::run(&mut client, &create);
    }
    // One of the tables has another cache, so its triggers stay when `moving` leaves it.
    super::run(&mut client, "SELECT bustard.register_cache_on('beside', NULL, 'm0')");
}

#[test]
fn sources_that_change_under_load() {
    let seconds = std::env::var("BUSTARD_STRESS_SECONDS")
        .map_or(10, |text| text.parse().expect("BUSTARD_STRESS_SECONDS is a number"));
    let _alone = crate::alone();
    let database = Database::new();
    set_up(&database);
    let (ledger, changes) = run(&database, Duration::from_secs(seconds), None);
    writeln!(
        std::io::stderr(),
        "sources: {} commits, {} checked reads ({} valid entries), {} folds, {changes} changes, {seconds} s",
        ledger.commits(),
        ledger.reads(),
        ledger.hits(),
        ledger.folds(),
    )
    .expect("stderr is open");
    assert_eq!(ledger.report(), "");
    assert!(ledger.commits() > 100 && ledger.hits() > 0 && ledger.folds() > 0 && changes > 3 * seconds);
}

/// Puts a fault into a function, and returns whether the stress finds it.
#[track_caller]
fn finds(fault: Fault, file: &str, find: &str, instead: &str) {
    let _alone = crate::alone();
    let database = Database::new();
    set_up(&database);
    assert_eq!(file.matches(find).count(), 1, "{find}");
    database.psql(&file.replace(find, instead));
    let (ledger, _) = run(&database, PATIENCE, Some(fault));
    assert!(!ledger.findings(fault).is_empty(), "no {fault:?}, but:\n{}", ledger.report());
}

#[test]
fn a_removal_without_a_carry() {
    let file = include_str!("../../../migrations/R__set_sources.postgres.sql");
    finds(Fault::WentBack, file, "c.carry_n OPERATOR(pg_catalog.+) r.n", "c.carry_n");
}

#[test]
fn a_removal_without_the_lock() {
    let file = include_str!("../../../migrations/R__set_sources.postgres.sql");
    finds(Fault::WentBack, file, "PERFORM bustard.lock_writers(removed);", "");
}

#[test]
fn a_change_without_an_event() {
    let file = include_str!("../../../migrations/R__change_cache.postgres.sql");
    let event =
        "    INSERT INTO bustard.event (cell) VALUES (found_id::bigint OPERATOR(pg_catalog.<<) 12);\n";
    finds(Fault::TwoStates, file, event, "");
}
