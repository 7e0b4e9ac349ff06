//! Measures what many processes with a `CacheBuster` cost one PostgreSQL:
//! `cargo bench --bench fleet -- [COUNT]…`; 60, 250 and 500 if nothing is given.
//!
//! One process carries this number of `CacheBuster`s, each with a connection of its own and
//! with handles for 100 caches. Another process invalidates caches at a steady rate, one in
//! each transaction, with a notification after each commit or without. CPU times are those
//! of the process and of its server processes, for each `CacheBuster` in per cent of one core,
//! and require Linux. Five more `CacheBuster`s in a third process see an invalidation of a
//! cache of its own from time to time, under the same load; their times from COMMIT on are
//! the propagation. If the machine has too few cores for the fleet, the shares show it: they
//! add up to all cores. No result fails the bench.

mod measure;
#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use bustard::{App, CacheBuster, Change, Database as Connection, Migration, Migrator, registry};
use measure::{Reporter, Sorted, computed, milliseconds, now, report, share, wait_for_parent};
use postgres::{Client, NoTls};
use support::{Cluster, Database, PgBouncer, Random};

const CACHES: usize = 100;

/// How long each load is watched, and how long it runs before that.
const WATCHED: Duration = Duration::from_secs(10);
const WARM: Duration = Duration::from_secs(3);

/// The interval between two probes, on average.
const PROBED: Duration = Duration::from_millis(200);

const OBSERVERS: usize = 5;

/// Figures of the version before, with 100 invalidations a second and a notification after
/// each, in per cent of one core: of a process, and of its server process. The goal is a fifth.
const BEFORE: [f64; 2] = [1.3, 1.85];

/// Invalidations a second, and whether each is followed by a notification.
const LOADS: [(u32, bool); 5] = [(0, false), (1, false), (1, true), (100, false), (100, true)];

fn commit(client: &mut Client, buster: Option<&CacheBuster>, cache: &str) -> Duration {
    let mut transaction = client.transaction().expect("the database answers");
    registry::invalidate(&mut transaction, &[cache]).expect("it is invalidated");
    let began = now();
    match buster {
        Some(buster) => buster.commit(transaction).expect("it commits"),
        None => transaction.commit().expect("it commits"),
    }
    began
}

/// Runs the process that carries many `CacheBuster`s.
fn fleet(url: &str, count: usize) {
    let before = resident();
    let busters: Vec<_> = (0..count)
        .map(|_| {
            let buster = CacheBuster::connect(url).expect("it starts");
            let caches: Vec<_> =
                (0..CACHES).map(|i| buster.cache(&format!("c{i}")).expect("it is registered")).collect();
            (buster, caches)
        })
        .collect();
    assert!(busters.iter().flat_map(|(_, caches)| caches).all(|cache| cache.version().is_ok()));
    println!("{}", resident().saturating_sub(before) / count as u64);
    wait_for_parent();
}

/// Runs the process that reports when its `CacheBuster`s see a new version of the probe.
fn observe(url: &str) {
    let _busters: Vec<_> = (0..OBSERVERS)
        .map(|_| {
            let buster = CacheBuster::builder(url).on_change(|change| {
                let at = now();
                if let Change::Version { cache, before: Some(_), after: Some(after) } = change
                    && cache == "probe"
                {
                    report(at, after);
                }
            });
            buster.start().expect("it starts")
        })
        .collect();
    println!("ready");
    wait_for_parent();
}

/// Runs the process that invalidates caches.
fn load(url: &str, rate: u32, notify: bool) {
    let buster = notify.then(|| CacheBuster::connect(url).expect("it starts"));
    let mut client = Client::connect(url, NoTls).expect("it connects");
    let mut random = Random::new(rate.into());
    println!("ready");
    thread::spawn(|| {
        wait_for_parent();
        std::process::exit(0);
    });
    let interval = Duration::from_secs(1) / rate;
    let mut next = now();
    loop {
        commit(&mut client, buster.as_ref(), &format!("c{}", random.below(CACHES)));
        next += interval;
        thread::sleep(next.saturating_sub(now()));
    }
}

/// Returns the resident memory of this process in KiB; 0 except on Linux.
fn resident() -> u64 {
    kibibytes("/proc/self/status", "VmRSS:")
}

fn kibibytes(path: &str, field: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["fleet", url, count] => fleet(url, count.parse().expect("it is a number")),
        ["observe", url] => observe(url),
        ["load", url, rate, notify] => {
            load(url, rate.parse().expect("it is a number"), notify == "true");
        }
        // Cargo passes the argument `--bench`.
        ref other => {
            let counts: Vec<usize> = other.iter().filter_map(|count| count.parse().ok()).collect();
            measure(if counts.is_empty() { &[60, 250, 500] } else { &counts });
        }
    }
}

fn measure(counts: &[usize]) {
    let connections = (counts.iter().max().copied().unwrap_or_default() + 100).to_string();
    let cluster = Cluster::start_with(&[("max_connections", &connections)]);
    let pooler = PgBouncer::start(&cluster, &["postgres"]);
    for count in counts {
        let database = database(&cluster);
        let direct = format!("{}?application_name=fleet", database.url());
        watch(&database, &direct, *count, "each with a session, LISTEN");
    }
    let count = counts[0];
    let database = database(&cluster);
    let url = pooler.url("postgres", database.name());
    watch(&database, &format!("{url}?application_name=fleet"), count, "through PgBouncer, transactions");
}

fn database(cluster: &Cluster) -> Database<'_> {
    let database = Database::on(cluster);
    let mut connection = Connection::new(&database.url()).expect("the URL is good");
    let caches = (0..CACHES)
        .fold(Migration::new().register_cache("probe"), |caches, i| caches.register_cache(format!("c{i}")));
    let app = App::new("bench").migration("V1__caches", caches);
    Migrator::new().app(app).run(&mut connection).expect("it migrates");
    database
}

/// Watches a fleet under each load.
fn watch(database: &Database<'_>, url: &str, count: usize, how: &str) {
    let fleet = Reporter::start(&["fleet", url, &count.to_string()]);
    let memory: u64 = fleet.next().parse().expect("it is a number");
    let servers = server_processes(database);
    let private = servers.iter().map(|id| kibibytes(&format!("/proc/{id}/smaps_rollup"), "Anonymous:"));
    println!(
        "\n{count} CacheBusters with {CACHES} caches, {how}: {memory} KiB each; {} server processes, {} KiB each",
        servers.len(),
        private.sum::<u64>() / servers.len() as u64
    );
    println!(
        "{:<46}{:>11}{:>11}{:>14}{:>14}{:>8}",
        "invalidations, for each CacheBuster", "process", "server", "median", "99 %", "seen"
    );
    let observers = Reporter::start(&["observe", &url.replace("=fleet", "=observer")]);
    assert_eq!(observers.next(), "ready");
    for (rate, notify) in LOADS {
        let load = (rate > 0).then(|| {
            let load = Reporter::start(&["load", &database.url(), &rate.to_string(), &notify.to_string()]);
            assert_eq!(load.next(), "ready");
            load
        });
        thread::sleep(WARM);
        row(database, count, (rate, notify), (&fleet, &observers));
        drop(load);
    }
}

/// Returns the server processes of the fleet. Behind a pooler, these are all of the pool.
fn server_processes(database: &Database<'_>) -> Vec<u32> {
    let sql = "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'fleet'";
    database.value(sql).split(' ').map(|pid| pid.parse().expect("a process has a number")).collect()
}

fn row(
    database: &Database<'_>,
    count: usize,
    (rate, notify): (u32, bool),
    (fleet, observers): (&Reporter, &Reporter),
) {
    let mut random = Random::new(std::process::id().into());
    let mut client = database.client();
    let buster = notify.then(|| CacheBuster::connect(&database.url()).expect("it starts"));
    let probe = buster.as_ref().map(|buster| buster.cache("probe").expect("it is registered"));
    let servers = server_processes(database);
    // A pooler may have closed a session meanwhile.
    let used = || {
        let of = |id: u32| computed(id).unwrap_or_default();
        [of(fleet.id()), servers.iter().map(|id| of(*id)).sum()]
    };
    let (began, before) = (now(), used());
    let mut commits = BTreeMap::new();
    while now() < began + WATCHED {
        // Idle means that nothing changes.
        if rate > 0 {
            let at = commit(&mut client, buster.as_ref(), "probe");
            let version: i64 = match &probe {
                Some(probe) => probe.version().expect("it is known").to_string(),
                None => database.value("SELECT bustard.get_version('probe')"),
            }
            .parse()
            .expect("a version is a number");
            commits.insert(version, at);
        }
        thread::sleep(random.part_of(2 * PROBED));
    }
    let (took, after) = (now() - began, used());
    let shares: [f64; 2] =
        [0, 1].map(|side| share(after[side].saturating_sub(before[side]), took) / count as f64);
    let what = match (rate, notify) {
        (0, _) => "none".to_owned(),
        (_, true) => format!("{rate} a second, each notified"),
        (_, false) => format!("{rate} a second, without notifications"),
    };
    print!("{what:<46}{:>9.3} %{:>9.3} %", shares[0], shares[1]);
    // A version that was replaced before a poll is seen with its successor.
    let seen: Vec<_> = observers
        .all_seen()
        .into_iter()
        .filter_map(|(at, version)| {
            let version: i64 = version.parse().ok()?;
            Some(at.saturating_sub(*commits.get(&version)?))
        })
        .collect();
    if seen.is_empty() {
        println!();
        return;
    }
    let times = seen.len();
    let seen = Sorted::new(seen);
    println!("{:>14}{:>14}{:>8}", milliseconds(seen.median()), milliseconds(seen.hundredth(99)), times);
    if (rate, notify) == (100, true) {
        for (what, share, before) in [("process", shares[0], BEFORE[0]), ("server", shares[1], BEFORE[1])] {
            let verdict = if share <= before / 5.0 { "kept" } else { "MISSED" };
            println!("  {what}: at most a fifth of {before} % before: {verdict}");
        }
    }
}
