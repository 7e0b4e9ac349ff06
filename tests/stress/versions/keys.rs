//! Stress test of keys: a process that lives on deltas, with writers that own keys, a thread
//! that folds, and one that changes the sources of the cache and renames the column of the key.
//! A value may never be older than a commit that the process has been told about.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;

use bustard::{CacheBuster, KeyedCache, Values};
use postgres::Client;

use super::run;
use crate::support::{Database, Random};

const WRITERS: usize = 4;
/// The keys of each writer. Their ids are beyond the number of buckets, and some share one.
const KEYS: usize = 12;
const FIRST: usize = 4090;
/// Keys of the same bucket are this far apart.
const BUCKETS: usize = 4093;

fn id(writer: usize, key: usize) -> i64 {
    (FIRST + key * 3 + writer * BUCKETS) as i64
}

struct World<'a> {
    database: &'a Database<'a>,
    buster: CacheBuster,
    keys: KeyedCache<i64>,
    values: Values<i64, i64>,
    /// What each key had in a commit that this process has been told about.
    told: Vec<[AtomicI64; KEYS]>,
    is_over: AtomicBool,
    hits: AtomicU64,
    reads: AtomicU64,
    findings: Mutex<BTreeSet<&'static str>>,
}

impl World<'_> {
    fn find(&self, finding: &'static str) {
        self.findings.lock().unwrap().insert(finding);
    }

    /// Reads the value of a key, which must not be older than `told`.
    fn read(&self, client: &mut Client, key: i64, told: i64) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let mut is_hit = true;
        let value = self.values.get_or_insert_with(&key, || {
            is_hit = false;
            client.query_one("SELECT n FROM m WHERE id = $1", &[&key]).expect("it has a row").get(0)
        });
        self.hits.fetch_add(u64::from(is_hit), Ordering::Relaxed);
        if *value < told {
            self.find("a value is stale");
        }
    }

    /// Writes to keys of its own, and tells the process.
    fn write(&self, writer: usize, rounds: usize) {
        let (mut random, mut client) = (Random::new(writer as u64), self.database.client());
        for _ in 0..rounds {
            let key = random.below(KEYS);
            let before = self.keys.version(&id(writer, key));
            if before.is_err() {
                self.find("the version of a key is unknown");
            }
            let whole = random.one_in(10);
            run(&mut client, "BEGIN");
            let sql = "UPDATE m SET n = n + 1 WHERE id = $1 RETURNING n";
            let n: i64 = client.query_one(sql, &[&id(writer, key)]).expect("it has a row").get(0);
            if whole {
                run(&mut client, "SELECT bustard.invalidate('granted')");
            }
            if random.one_in(5) {
                run(&mut client, "ROLLBACK");
                continue;
            }
            run(&mut client, "COMMIT");
            self.buster.notify().expect("it polls");
            if let Ok(before) = before
                && self.keys.is_valid(&id(writer, key), before)
            {
                self.find("a version stays after a write");
            }
            self.told[writer][key].store(n, Ordering::SeqCst);
            self.read(&mut client, id(writer, key), n);
        }
    }

    fn watch(&self) {
        let (mut random, mut client) = (Random::new(77), self.database.client());
        while !self.is_over.load(Ordering::SeqCst) {
            let (writer, key) = (random.below(WRITERS), random.below(KEYS));
            let told = self.told[writer][key].load(Ordering::SeqCst);
            self.read(&mut client, id(writer, key), told);
        }
    }

    fn fold(&self) {
        let mut client = self.database.client();
        while !self.is_over.load(Ordering::SeqCst) {
            super::fold(&mut client);
        }
    }

    /// Changes the sources of the cache, and renames the column of the key.
    fn change(&self) {
        let mut client = self.database.client();
        let changes = [
            "SELECT bustard.change_cache('granted', 'main', 'm by user_id', 'role')",
            "ALTER TABLE m RENAME user_id TO owner",
            "ALTER TABLE m RENAME owner TO user_id",
            "SELECT bustard.change_cache('granted', 'main', 'm by user_id')",
        ];
        for change in changes.iter().cycle() {
            if self.is_over.load(Ordering::SeqCst) {
                break;
            }
            run(&mut client, change);
            // Some writes come between two changes.
            for _ in 0..20 {
                run(&mut client, "SELECT bustard.invalidate_key('granted', 1)");
            }
        }
        // The column may have the other name.
        let _ = client.batch_execute("ALTER TABLE m RENAME owner TO user_id");
    }
}

/// Runs with this text in one of Bustard's functions, and returns the findings.
fn stress(rounds: usize, fault: Option<(&str, &str, &str)>) -> BTreeSet<&'static str> {
    let (database, mut client) = super::with_caches(&[]);
    if let Some((file, find, instead)) = fault {
        assert_eq!(file.matches(find).count(), 1, "{find}");
        run(&mut client, &file.replace(find, instead));
    }
    run(
        &mut client,
        "CREATE TABLE m (id bigint PRIMARY KEY, user_id bigint, n bigint NOT NULL); CREATE TABLE role (n bigint)",
    );
    run(&mut client, "SELECT bustard.register_cache_on('granted', 'main', 'm by user_id')");
    for (writer, key) in (0..WRITERS).flat_map(|writer| (0..KEYS).map(move |key| (writer, key))) {
        let id = id(writer, key);
        run(&mut client, &format!("INSERT INTO m VALUES ({id}, {id}, 0)"));
    }
    let buster = CacheBuster::connect(&database.url()).expect("it connects");
    let keys =
        buster.cache("granted").expect("it is registered").keyed::<i64>().expect("its keys are integers");
    let values = keys.values("n", 1).expect("one type");
    let told = (0..WRITERS).map(|_| Default::default()).collect();
    let world = World {
        database: &database,
        buster,
        keys,
        values,
        told,
        is_over: AtomicBool::new(false),
        hits: AtomicU64::new(0),
        reads: AtomicU64::new(0),
        findings: Mutex::default(),
    };
    thread::scope(|scope| {
        let others =
            [scope.spawn(|| world.watch()), scope.spawn(|| world.fold()), scope.spawn(|| world.change())];
        let world = &world;
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || world.write(writer, rounds))).collect();
        let ended: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        world.is_over.store(true, Ordering::SeqCst);
        for end in ended.into_iter().chain(others.map(thread::ScopedJoinHandle::join)) {
            end.expect("no thread panics");
        }
    });
    let (reads, hits) = (world.reads.into_inner(), world.hits.into_inner());
    println!("{} commits, {reads} reads, {hits} hits", WRITERS * rounds);
    let findings = world.findings.into_inner().unwrap();
    // With a fault, the versions of all keys may be unknown, which is a finding.
    assert!(hits > 0 || !findings.is_empty(), "no value is found, so none could be stale");
    findings
}

#[test]
fn a_value_of_a_key_is_never_stale() {
    let _alone = crate::alone();
    let rounds =
        std::env::var("BUSTARD_KEY_ROUNDS").map_or(100, |rounds| rounds.parse().expect("it is a number"));
    assert_eq!(stress(rounds, None), BTreeSet::new());
}

const BODY: &str = include_str!("../../../migrations/R__function_body.postgres.sql");
const FOLD: &str = include_str!("../../../migrations/R__fold.postgres.sql");
const SNAPSHOT: &str = include_str!("../../../migrations/R__snapshot_keys.postgres.sql");

/// Faults that a look cannot notice, and that the test must find.
#[test]
fn the_test_finds_seeded_faults() {
    let _alone = crate::alone();
    let faults = [
        (
            "a trigger names the bucket of another key",
            BODY,
            "'OPERATOR(pg_catalog.+) 4093::bigint) OPERATOR(pg_catalog.%) 4093::bigint'",
            "'OPERATOR(pg_catalog.+) 4094::bigint) OPERATOR(pg_catalog.%) 4093::bigint'",
        ),
        (
            "a look names the bucket of another key",
            SNAPSHOT,
            "u.slot OPERATOR(pg_catalog.-) 2",
            "(u.slot OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog.%) 4093",
        ),
        (
            "a fold drops slot 1",
            FOLD,
            "OPERATOR(pg_catalog.>=) 2::bigint GROUP BY 1",
            "OPERATOR(pg_catalog.>=) 4096::bigint GROUP BY 1",
        ),
    ];
    for (what, file, find, instead) in faults {
        let findings = stress(40, Some((file, find, instead)));
        println!("{what}: {findings:?}");
        assert!(!findings.is_empty(), "{what}");
    }
}

/// Faults that a look notices by the sum of the buckets, and so does no harm by.
#[test]
fn a_look_that_misses_a_change_does_no_harm() {
    let _alone = crate::alone();
    let faults = [
        (
            FOLD,
            "4095::bigint) OPERATOR(pg_catalog.>=) 2::bigint\n        HAVING",
            "4095::bigint) OPERATOR(pg_catalog.>=) 4096::bigint\n        HAVING",
        ),
        (SNAPSHOT, "WHERE NOT pg_catalog.pg_visible_in_snapshot(f.xid, since)", "WHERE false"),
        (SNAPSHOT, "pg_catalog.unnest(f.cells) AS c (cell)", "pg_catalog.unnest(f.cells[2:]) AS c (cell)"),
    ];
    for fault in faults {
        assert_eq!(stress(40, Some(fault)), BTreeSet::new(), "{}", fault.1);
    }
}
