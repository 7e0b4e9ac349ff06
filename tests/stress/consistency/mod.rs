//! Tests P4 and P7 with processes that read and write, in memory and through real stores.
//! Meanwhile the database, the stores and the processes are killed and stopped, and the
//! network cuts, delays, loses and refuses connections and data. The test counts stale
//! answers. A handle may be stale by at most `max_staleness` (P7), and a strict read must
//! never be stale. No version may have two meanings (P4).
//!
//! Items are counters that increase with every commit. A writer records when a commit was
//! acknowledged, a reader records when the read began, and the judge compares. Seeded
//! faults prove that the judge finds stale answers. `BUSTARD_CONSISTENCY_SECONDS` sets the
//! duration; `BUSTARD_SEED` repeats a sequence of faults.

mod faults;
mod judge;
mod pulse;
mod reader;
mod record;
mod site;
mod sluice;
mod worker;
mod world;
mod writer;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Cluster, Database, PATIENCE, Random};
use faults::{Fault, OF_PROCESSES, OF_SERVERS, Saboteur, Tally};
use judge::Counts;
use world::{Crowd, World};

/// The limit is short, so that snapshots expire often.
const MAX_STALENESS: Duration = Duration::from_secs(1);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

const CACHES: [&str; 4] = ["a", "b", "c", "d"];
const ITEMS_EACH: usize = 2;
const ITEMS: usize = CACHES.len() * ITEMS_EACH;

/// The test that worker processes run.
const TEST: &str = "consistency::nothing_is_stale";

/// The result of a run.
struct Outcome {
    counts: Counts,
    faults: BTreeMap<Fault, (u64, u64)>,
    findings: Vec<String>,
}

/// The options of a run.
struct Plan {
    crowd: Crowd,
    /// The faults of servers and networks, and of processes.
    faults: [&'static [Fault]; 2],
    seeded: Option<&'static str>,
    /// The shortest duration. The run ends after this time, as soon as every check has
    /// occurred often enough. It ends at once when a matching finding occurs.
    time: Duration,
    looked_for: fn(&str) -> bool,
}

fn run(database: &Database<'_>, plan: &Plan) -> Outcome {
    let _alone = crate::alone();
    let mut random = Random::seeded();
    let world = World::new(database, &plan.crowd, plan.seeded, &mut random);
    let (tally, enough) = (Tally::default(), AtomicBool::new(false));
    let tallied = || tally.lock().expect("no fault injector has panicked").clone();
    let started = Instant::now();
    thread::scope(|scope| {
        let saboteurs: Vec<_> = plan
            .faults
            .into_iter()
            .filter(|faults| !faults.is_empty())
            .map(|faults| {
                let random = Random::new(random.next());
                let saboteur = Saboteur { world: &world, tally: &tally, enough: &enough, random };
                scope.spawn(|| saboteur.work(faults))
            })
            .collect();
        let done = || {
            // An injector that has panicked injects nothing more.
            let ended = saboteurs.iter().any(|saboteur| saboteur.is_finished());
            let enough = || missing(&world.judge.counts(), &tallied()).is_empty();
            let found = world.judge.findings().iter().any(|found| (plan.looked_for)(found));
            let time = started.elapsed();
            ended || found || time >= plan.time + PATIENCE || time >= plan.time && enough()
        };
        while !done() {
            thread::sleep(Duration::from_millis(50));
            world.check();
            world.judge.settle();
        }
        enough.store(true, Ordering::SeqCst);
    });
    world.end();
    Outcome { counts: world.judge.counts(), faults: tallied(), findings: world.judge.findings() }
}

#[test]
fn nothing_is_stale() {
    worker::work_if_told();
    let seconds = std::env::var("BUSTARD_CONSISTENCY_SECONDS")
        .map_or(20, |text| text.parse().expect("BUSTARD_CONSISTENCY_SECONDS is a number"));
    let cluster = Cluster::start_with(&[]);
    let outcome = run(
        &Database::on(&cluster),
        &Plan {
            crowd: Crowd { readers: &["memory", "memcached", "memcached", "redis", "redis"], writers: 2 },
            faults: [OF_SERVERS, OF_PROCESSES],
            seeded: None,
            time: Duration::from_secs(seconds),
            looked_for: |_| true,
        },
    );
    let Outcome { counts, faults, findings } = outcome;
    let injected: u64 = faults.values().map(|(count, _)| count).sum();
    let kinds: Vec<String> = faults.iter().map(|(fault, (count, _))| format!("{count} {fault:?}")).collect();
    // `println!` is not used, because the test harness hides its output.
    writeln!(
        std::io::stderr(),
        "consistency: {} commits, {} checked reads ({} by handle, {} strict, {} after one's own commit; {} of \
         them found), {} versions compared, {injected} faults ({}), {} lost acknowledgements, {} rolled back, \
         {} events folded, {} attempts failed, {} reads while late by up to {:.1?}, {} stale",
        counts.commits,
        counts.reads(),
        counts.by_handle(),
        counts.strictly(),
        counts.own,
        counts.found,
        counts.states,
        kinds.join(", "),
        counts.lost,
        counts.aborted,
        counts.folded,
        counts.failed,
        counts.excused,
        counts.latest,
        findings.len()
    )
    .expect("stderr is open");
    let some: Vec<String> = findings.into_iter().take(20).collect();
    assert_eq!(some.join("\n"), "");
    assert_eq!(missing(&counts, &faults), [""; 0], "these checks did not occur often enough");
}

/// Lists the checks that did not occur often enough.
fn missing(counts: &Counts, faults: &BTreeMap<Fault, (u64, u64)>) -> Vec<String> {
    let fault = |fault| match faults.get(fault) {
        None => Some(format!("{fault:?}")),
        // Readers must not be blocked while stores and databases are down.
        Some((_, 0)) => Some(format!("reads while {fault:?}")),
        Some(_) => None,
    };
    let count = |(what, count, least): (&str, u64, u64)| (count < least).then(|| what.to_owned());
    let counts = [
        ("commits", counts.commits, 100),
        ("values", counts.values, 100),
        ("values by handle", counts.handle, 100),
        ("strict reads", counts.strict, 100),
        ("reads in transactions", counts.snapshot, 100),
        ("reads after one's own commit", counts.own, 10),
        ("found values", counts.found, 100),
        ("versions compared", counts.states, 100),
        ("lost acknowledgements", counts.lost, 1),
        ("rollbacks", counts.aborted, 1),
        ("folded events", counts.folded.unsigned_abs(), 1),
        ("failed attempts", counts.failed, 1),
    ];
    let faults = [OF_SERVERS, OF_PROCESSES].into_iter().flatten().filter_map(fault);
    faults.chain(counts.into_iter().filter_map(count)).collect()
}

/// Asserts that a matching finding occurs in a library with the fault `seeded`, while these
/// faults are injected.
#[track_caller]
fn is_found(seeded: &'static str, faults: &'static [Fault], looked_for: fn(&str) -> bool) {
    let outcome = run(
        &Database::new(),
        &Plan {
            crowd: Crowd { readers: &["memory", "memcached"], writers: 1 },
            faults: [faults, &[]],
            seeded: Some(seeded),
            time: PATIENCE,
            looked_for,
        },
    );
    let Outcome { counts, findings, .. } = outcome;
    let found = findings.iter().any(|found| looked_for(found));
    assert!(found, "not found, but {:?} in {counts:?}", findings.first());
}

fn anything_stale(found: &str) -> bool {
    found.contains("stale by ")
}

fn stale_by_handle(found: &str) -> bool {
    found.contains("stale by Values") || found.contains("stale by Handle")
}

#[test]
fn a_version_read_after_the_data_is_stale() {
    is_found("version-after-data", &[], anything_stale);
}

#[test]
fn a_store_that_ignores_versions_is_stale() {
    is_found("store-ignores-version", &[], anything_stale);
}

#[test]
fn no_full_read_after_reconnecting_is_stale() {
    is_found("no-read-after-reconnect", &[Fault::Unseen], stale_by_handle);
}

#[test]
fn a_snapshot_that_never_expires_is_stale() {
    is_found("no-expiry", &[Fault::Blind], stale_by_handle);
}
