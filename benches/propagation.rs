//! Measures the time from a commit in one process until another process sees it:
//! `cargo bench --bench propagation`.
//!
//! The clock, which all processes share, starts just before COMMIT is sent. It stops in the
//! other process when a handle reports its version as invalid. For the baselines, it stops
//! when a notification has been received. The baselines are the same transaction followed
//! by a NOTIFY on the same connection, and a transaction that contains NOTIFY. The three
//! ways take turns. Each way has a database of its own, because a listener is woken by
//! every notification in its database. No result fails the bench.

mod measure;
#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use bustard::{
    App, Cache, CacheBuster, Change, DEFAULT_POLL_INTERVAL, Database as Connection, Migration, Migrator,
    registry,
};
use measure::{Reporter, Sorted, computed, now, report, share, wait_for_parent};
use postgres::fallible_iterator::FallibleIterator;
use postgres::{Client, NoTls};
use support::{Cluster, Database, Random};

/// The number of samples of each way of committing in an idle system.
const IDLE: usize = 400;

/// The number of turns of each way under load, and the duration of a turn.
const TURNS: usize = 3;
const TURN: Duration = Duration::from_secs(3);

const CLIENTS: usize = 16;

/// The number of commits without notification, and their average interval.
const SILENT: usize = 150;
const APART: Duration = Duration::from_millis(80);

/// The way in which other processes are notified of a commit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `CacheBuster::commit`.
    Buster,
    /// COMMIT, and then NOTIFY on the same connection.
    After,
    /// NOTIFY, and then COMMIT.
    Inside,
}

const WAYS: [Way; 3] = [Way::Buster, Way::After, Way::Inside];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Buster => "buster.commit",
            Way::After => "COMMIT, then NOTIFY",
            Way::Inside => "NOTIFY, then COMMIT",
        }
    }
}

/// Commits a transaction that invalidates a cache, notifies other processes, and returns
/// the time at which the commit began.
fn commit(
    way: Way,
    client: &mut Client,
    buster: Option<&CacheBuster>,
    cache: &str,
    random: &mut Random,
) -> Duration {
    let mut transaction = client.transaction().expect("the database answers");
    let account = random.below(10_000) + 1;
    let update = format!("UPDATE account SET balance = balance + 1 WHERE id = {account}");
    transaction.batch_execute(&update).expect("it is written");
    let notify = format!("NOTIFY changes, '{cache}'");
    match way {
        Way::Buster | Way::After => {
            registry::invalidate(&mut transaction, &[cache]).expect("it is invalidated");
        }
        Way::Inside => transaction.batch_execute(&notify).expect("it notifies"),
    }
    let began = now();
    match buster {
        Some(buster) => buster.commit(transaction).expect("it commits"),
        None => transaction.commit().expect("it commits"),
    }
    if way == Way::After {
        client.batch_execute(&notify).expect("it notifies");
    }
    began
}

/// The committing client, the other process, and the database. The database is dropped
/// last.
struct Ground<'c> {
    way: Way,
    reader: Reporter,
    client: Client,
    /// The `CacheBuster` that commits, and its handle.
    buster: Option<(CacheBuster, Cache)>,
    database: Database<'c>,
    /// The server process of the reader.
    backend: u32,
}

impl<'c> Ground<'c> {
    /// Creates a database with this number of caches that are changed without notification.
    fn new(cluster: &'c Cluster, way: Way, silent: usize) -> Ground<'c> {
        let database = Database::on(cluster);
        let mut caches = Migration::new().register_cache("probe").register_cache("load").sql(
            "CREATE TABLE account (id integer PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50);
             INSERT INTO account SELECT i, 0 FROM generate_series(1, 10000) AS i;",
        );
        for i in 0..silent {
            caches = caches.register_cache(format!("silent {i}"));
        }
        let mut connection = Connection::new(&database.url()).expect("the URL is good");
        let app = App::new("bench").migration("V1__caches", caches);
        Migrator::new().app(app).run(&mut connection).expect("it migrates");
        // A `CacheBuster` would be woken by every notification, so this process has none
        // for the baselines.
        let buster = (way == Way::Buster).then(|| {
            let buster = CacheBuster::connect(&database.url()).expect("it starts");
            let probe = buster.cache("probe").expect("it is registered");
            (buster, probe)
        });
        let role = if way == Way::Buster { "follow" } else { "listen" };
        let reader = Reporter::start(&[role, &format!("{}?application_name=reader", database.url())]);
        assert_eq!(reader.next(), "ready");
        let mut client = database.client();
        let backend = client
            .query_one(
                "SELECT pid FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name = 'reader'",
                &[],
            )
            .expect("the reader is connected")
            .get::<_, i32>(0)
            .unsigned_abs();
        Ground { way, reader, client, buster, database, backend }
    }

    /// Commits once and waits until the other process reports the change.
    fn sample(&mut self, random: &mut Random) -> Duration {
        let buster = self.buster.as_ref().map(|(buster, _)| buster);
        let began = commit(self.way, &mut self.client, buster, "probe", random);
        let (at, seen) = self.reader.seen();
        if let Some((_, probe)) = &self.buster {
            let version = probe.version().expect("it is known");
            assert_eq!(seen, version.to_string(), "the other process has the committed version");
        }
        at.saturating_sub(began)
    }

    /// Takes samples while another process commits as fast as possible.
    fn turn(&mut self, random: &mut Random) -> Turn {
        let load = Reporter::start(&["load", self.way.name(), &self.database.url()]);
        assert_eq!(load.next(), "ready");
        let processes = [self.reader.id(), self.backend];
        let used = || processes.map(|process| computed(process).unwrap_or_default());
        let (began, before) = (now(), used());
        let mut samples = Vec::new();
        // The load runs longer than the samples.
        while now() < began + TURN.mul_f64(0.9) {
            samples.push(self.sample(random));
            pause(random, Duration::from_millis(2));
        }
        let (took, after) = (now() - began, used());
        let [reader, backend] = [0, 1].map(|i| share(after[i].saturating_sub(before[i]), took));
        let commits: u32 = load.next().parse().expect("it counts");
        Turn { samples, rate: f64::from(commits) / TURN.as_secs_f64(), reader, backend }
    }
}

/// The results of one turn under load.
struct Turn {
    samples: Vec<Duration>,
    /// Transactions per second of the load.
    rate: f64,
    /// CPU time of the other process and of its server process, in per cent of a core.
    reader: f64,
    backend: f64,
}

/// Waits for a random time, so that samples are not synchronised with polls or flushes.
fn pause(random: &mut Random, average: Duration) {
    thread::sleep(random.part_of(2 * average));
}

/// Runs the other process with a `CacheBuster`: reports every version of its handle of
/// `probe`, and every change of other caches.
fn follow(url: &str) {
    let handle = Arc::new(OnceLock::<Cache>::new());
    let probe = handle.clone();
    let buster = CacheBuster::builder(url).on_change(move |change| {
        let at = now();
        let Change::Version { cache, before: Some(before), after: Some(after) } = change else { return };
        if cache == "probe" {
            let probe = probe.get().expect("nothing has changed before it was ready");
            assert!(
                !probe.is_valid(*before) && probe.is_valid(*after),
                "the handle already has the new version"
            );
            report(at, after);
        } else if cache.starts_with("silent") {
            report(at, cache);
        }
    });
    let buster = buster.start().expect("it starts");
    let probe = buster.cache("probe").expect("it is registered");
    assert!(handle.set(probe).is_ok(), "it is set once");
    println!("ready");
    wait_for_parent();
}

/// Runs the other process with LISTEN only: reports every notification about `probe`.
fn listen(url: &str) {
    let mut client = Client::connect(url, NoTls).expect("it connects");
    client.batch_execute("LISTEN changes").expect("it listens");
    println!("ready");
    thread::spawn(|| {
        wait_for_parent();
        std::process::exit(0);
    });
    let mut notifications = client.notifications();
    let mut notifications = notifications.blocking_iter();
    while let Some(notification) = notifications.next().expect("the connection is open") {
        let at = now();
        if notification.payload().starts_with("probe") {
            report(at, notification.payload());
        }
    }
}

/// Runs the process that commits as fast as possible on several threads, and reports the
/// number of commits.
fn load(way: Way, url: &str) {
    let buster = (way == Way::Buster).then(|| CacheBuster::connect(url).expect("it starts"));
    let connect = |_| Client::connect(url, NoTls).expect("it connects");
    let clients: Vec<Client> = (0..CLIENTS).map(connect).collect();
    println!("ready");
    let end = now() + TURN;
    let committing = |(seed, mut client): (u64, Client)| {
        let mut random = Random::new(seed);
        let mut commits = 0;
        while now() < end {
            commit(way, &mut client, buster.as_ref(), "load", &mut random);
            commits += 1;
        }
        commits
    };
    let commits: u32 = thread::scope(|scope| {
        let threads: Vec<_> = (0..).zip(clients).map(|client| scope.spawn(|| committing(client))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    });
    println!("{commits}");
    wait_for_parent();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["follow", url] => follow(url),
        ["listen", url] => listen(url),
        ["load", way, url] => {
            let way = WAYS.into_iter().find(|known| known.name() == way);
            load(way.expect("it is one of these"), url);
        }
        // Cargo passes the argument `--bench`.
        _ => measure(),
    }
}

fn measure() {
    // These are the default settings of a server. The servers of tests have other settings.
    let durable = [("fsync", "on"), ("full_page_writes", "on")];
    let slow = [("commit_delay", "1000"), ("commit_siblings", "0")];
    let flushing = Cluster::start_with(&durable);
    let mut random = Random::new(std::process::id().into());
    println!(
        "{:<52}{:>7}{:>14}{:>14}{:>14}",
        "from COMMIT until another process knows", "", "median", "99 %", "longest"
    );
    idle(&Cluster::start_with(&[]), "idle, without flushes", &mut random);
    idle(&flushing, "idle", &mut random);
    let cluster = Cluster::start_with(&[durable, slow].concat());
    idle(&cluster, "idle, each flush 1 ms longer", &mut random);
    loaded(&flushing, "16 clients", &mut random);
    loaded(&cluster, "16 clients, each flush 1 ms longer", &mut random);
    silent(&flushing, &mut random);
}

fn row(what: &str, samples: &Sorted) {
    println!("{what:<52}{samples}");
}

fn aim(what: &str, ratio: f64, most: f64) {
    let verdict = if ratio <= most { "kept" } else { "MISSED" };
    println!("  {what:<58}{ratio:>8.2} ×   at most {most} ×: {verdict}");
}

/// Measures in an idle system.
fn idle(cluster: &Cluster, what: &str, random: &mut Random) {
    let mut grounds = WAYS.map(|way| Ground::new(cluster, way, 0));
    let mut samples = WAYS.map(|_| Vec::new());
    for turn in 0..IDLE + 20 {
        for (ground, samples) in grounds.iter_mut().zip(&mut samples) {
            let sample = ground.sample(random);
            // The first samples are skipped, because plans and caches are not warm yet.
            if turn >= 20 {
                samples.push(sample);
            }
            pause(random, Duration::from_millis(2));
        }
    }
    let samples = samples.map(Sorted::new);
    for (way, samples) in WAYS.iter().zip(&samples) {
        row(&format!("{what}: {}", way.name()), samples);
    }
    aim("the median, of COMMIT, then NOTIFY", times(samples[0].median(), samples[1].median()), 2.0);
}

fn times(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

/// Measures while sixteen clients commit as fast as possible and notify in the same way.
fn loaded(cluster: &Cluster, what: &str, random: &mut Random) {
    let ways = [Way::Buster, Way::Inside];
    let mut grounds = ways.map(|way| Ground::new(cluster, way, 0));
    let mut turns = ways.map(|_| Vec::new());
    for _ in 0..TURNS {
        for (ground, turns) in grounds.iter_mut().zip(&mut turns) {
            turns.push(ground.turn(random));
        }
    }
    let mut high = Vec::new();
    for (way, turns) in ways.iter().zip(turns) {
        let mean = |of: fn(&Turn) -> f64| turns.iter().map(of).sum::<f64>() / turns.len() as f64;
        let (rate, reader, backend) = (mean(|t| t.rate), mean(|t| t.reader), mean(|t| t.backend));
        let samples = Sorted::new(turns.into_iter().flat_map(|turn| turn.samples).collect());
        row(&format!("{what}: {}", way.name()), &samples);
        println!(
            "  the load {rate:.0} transactions/s; the other process {reader:.1} % of a core, its server process {backend:.1} %"
        );
        high.push(samples.hundredth(99));
    }
    aim("the 99th percentile, of NOTIFY, then COMMIT", times(high[0], high[1]), 1.0);
}

/// Measures commits without notification.
fn silent(cluster: &Cluster, random: &mut Random) {
    let mut ground = Ground::new(cluster, Way::Buster, SILENT);
    let mut began = Vec::new();
    for i in 0..SILENT {
        pause(random, APART);
        began.push(now());
        let sql = format!(
            "BEGIN; UPDATE account SET balance = 1 WHERE id = 1; SELECT bustard.invalidate('silent {i}'); COMMIT"
        );
        ground.client.batch_execute(&sql).expect("it commits");
    }
    let mut samples = Vec::new();
    for _ in 0..SILENT {
        let (at, cache) = ground.reader.seen();
        let i: usize = cache["silent ".len()..].parse().expect("it has a number");
        samples.push(at.saturating_sub(began[i]));
    }
    let samples = Sorted::new(samples);
    row("any other commit, polled every 1 s", &samples);
    aim("the longest, of the interval", times(samples.longest(), DEFAULT_POLL_INTERVAL), 1.0);
}
