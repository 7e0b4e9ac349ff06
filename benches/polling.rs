//! Measures the cost of polling in an idle system, and the time of one poll:
//! `cargo bench --bench polling`.
//!
//! The first part measures the CPU time of a process that polls at the default interval,
//! and of its server process, for half a minute. For comparison, another process sends
//! `SELECT 1` at the same interval. The second part measures the time of polls and of
//! `SELECT 1` on the same server. CPU times require Linux. No result fails the bench.

mod measure;
#[path = "../tests/support/mod.rs"]
mod support;

use std::thread;
use std::time::{Duration, Instant};

use bustard::{App, CacheBuster, DEFAULT_POLL_INTERVAL, Database as Connection, Migration, Migrator};
use measure::{Reporter, Sorted, computed, now, share, wait_for_parent};
use postgres::{Client, NoTls};
use support::{Cluster, Database};

const WATCHED: Duration = Duration::from_secs(30);

/// The goal: at most this percentage of one core.
const AIM: f64 = 1.0;

/// The number of caches that the process has handles for, and the number of registered
/// caches in the large database.
const HANDLES: usize = 10;
const MANY: usize = 100_000;

/// The number of timed polls, and the smaller number for polls that take long.
const LOOKS: usize = 100;
const LONG_LOOKS: usize = 10;

/// Creates a database with `count` caches, each invalidated once and folded.
fn database(cluster: &Cluster, caches: usize) -> Database<'_> {
    let database = Database::on(cluster);
    let mut connection = Connection::new(&database.url()).expect("the URL is good");
    let first = (0..HANDLES).fold(Migration::new(), |first, i| first.register_cache(format!("c{i}")));
    let app = App::new("bench").migration("V1__caches", first);
    Migrator::new().app(app).run(&mut connection).expect("it migrates");
    let fill = format!(
        "INSERT INTO bustard.cache (id, name, active)
             SELECT i, 'cache ' || i, true FROM generate_series(100, {}) AS i;
         INSERT INTO bustard.base (cell, n, nonce)
             SELECT id::bigint << 12, 1, id FROM bustard.cache ON CONFLICT DO NOTHING;",
        99 + caches - HANDLES
    );
    let mut client = database.client();
    client.batch_execute(&fill).expect("there is room");
    client.batch_execute("SELECT bustard.fold()").expect("it folds");
    client.batch_execute("VACUUM ANALYZE").expect("the tables are analyzed");
    database
}

fn named(url: &str, name: &str) -> String {
    format!("{url}?application_name={name}")
}

/// Returns the server process of the session with this application name.
fn server_process(database: &Database<'_>, name: &str) -> u32 {
    let sql = format!(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = '{name}'"
    );
    database.value(&sql).parse().expect("a process has a number")
}

fn buster(url: &str) -> CacheBuster {
    let buster = CacheBuster::connect(url).expect("it starts");
    for i in 0..HANDLES {
        buster.cache(&format!("c{i}")).expect("it is registered");
    }
    buster
}

/// Runs the process that is measured: a `CacheBuster` that polls.
fn poll(url: &str) {
    let _buster = buster(url);
    println!("ready");
    wait_for_parent();
}

/// Runs the process for comparison, which sends `SELECT 1`.
fn ask(url: &str) {
    let mut client = Client::connect(url, NoTls).expect("it connects");
    println!("ready");
    thread::spawn(|| {
        wait_for_parent();
        std::process::exit(0);
    });
    loop {
        client.batch_execute("SELECT 1").expect("the database answers");
        thread::sleep(DEFAULT_POLL_INTERVAL.mul_f64(0.9));
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["poll", url] => poll(url),
        ["ask", url] => ask(url),
        // Cargo passes the argument `--bench`.
        _ => measure(),
    }
}

fn measure() {
    let cluster = Cluster::start_with(&[]);
    let (few, many) = (database(&cluster, HANDLES), database(&cluster, MANY));
    idle(&few, &many);
    looks(&few, &many);
}

/// Measures all processes at the same time.
fn idle(few: &Database<'_>, many: &Database<'_>) {
    let watched = [
        ("poll", few, format!("a CacheBuster, {HANDLES} caches")),
        ("poll", many, format!("a CacheBuster, {MANY} caches, {HANDLES} handles")),
        ("ask", few, "`SELECT 1` at the same interval".to_owned()),
    ];
    let processes = watched.map(|(role, database, what)| {
        let reporter = Reporter::start(&[role, &named(&database.url(), role)]);
        assert_eq!(reporter.next(), "ready");
        (what, [reporter.id(), server_process(database, role)], reporter)
    });
    // PostgreSQL plans the statements during the first polls.
    thread::sleep(3 * DEFAULT_POLL_INTERVAL);
    let used = || {
        let of = |process| computed(process).expect("the system reports CPU times");
        processes.each_ref().map(|(_, ids, _)| ids.map(of))
    };
    let (began, before) = (now(), used());
    thread::sleep(WATCHED);
    let (took, after) = (now() - began, used());
    println!(
        "{:<52}{:>12}{:>12}",
        format!("idle for {WATCHED:?}, per cent of one core"),
        "process",
        "server"
    );
    for (i, (what, ..)) in processes.iter().enumerate() {
        let [process, server] = [0, 1].map(|side| share(after[i][side] - before[i][side], took));
        let verdict = match (what.starts_with('`'), process.max(server) <= AIM) {
            (true, _) => "",
            (_, true) => "   at most 1 %: kept",
            (_, false) => "   at most 1 %: MISSED",
        };
        println!("{what:<52}{process:>10.3} %{server:>10.3} %{verdict}");
    }
}

/// A `CacheBuster` in this process, and a client that changes the database.
struct Scene<'d> {
    client: Client,
    buster: CacheBuster,
    server: u32,
    database: &'d Database<'d>,
}

impl<'d> Scene<'d> {
    fn new(database: &'d Database<'d>, buster: impl FnOnce(&str) -> CacheBuster) -> Scene<'d> {
        let buster = buster(&named(&database.url(), "look"));
        Scene { client: database.client(), buster, server: server_process(database, "look"), database }
    }

    fn row(&mut self, what: &str, looks: usize, change: &str) {
        let used = |process| computed(process).unwrap_or_default();
        let (mut times, mut yardsticks) = (Vec::new(), Vec::new());
        let (mut process, mut server) = (Duration::ZERO, Duration::ZERO);
        for turn in 0..looks + 6 {
            let began = Instant::now();
            self.client.batch_execute("SELECT 1").expect("the database answers");
            let yardstick = began.elapsed();
            self.client.batch_execute(change).expect("something changes");
            let before = [std::process::id(), self.server].map(used);
            let began = Instant::now();
            self.buster.notify().expect("the database answers");
            let took = began.elapsed();
            // PostgreSQL plans the statements during the first samples.
            if turn >= 6 {
                times.push(took);
                yardsticks.push(yardstick);
                let after = [std::process::id(), self.server].map(used);
                process += after[0].saturating_sub(before[0]);
                server += after[1].saturating_sub(before[1]);
            }
        }
        let (times, yardsticks) = (Sorted::new(times), Sorted::new(yardsticks));
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let each = |sum: Duration| micros(sum) / looks as f64;
        let ratio = micros(times.median()) / micros(yardsticks.median());
        println!(
            "{what:<52}{:>9.0} µs{:>9.0} µs{:>9.0} µs{ratio:>9.1} ×",
            micros(times.median()),
            each(process),
            each(server)
        );
    }
}

/// Measures polls that also send a notification, as after a commit.
fn looks(few: &Database<'_>, many: &Database<'_>) {
    println!(
        "\n{:<52}{:>12}{:>12}{:>12}{:>11}",
        "one poll with NOTIFY", "median", "process", "server", "SELECT 1"
    );
    let one = "SELECT bustard.invalidate('c0')";
    let mut scene = Scene::new(few, buster);
    scene.row(&format!("{HANDLES} caches, nothing changed"), LOOKS, "");
    scene.row("…, one changed", LOOKS, one);
    fold(scene.database);
    scene.client.batch_execute(&format!("{one} FROM generate_series(1, 800)")).expect("it is invalidated");
    scene.row("…, nothing changed, 800 events not folded", LOOKS, "");
    scene.row("…, one changed, 800 to 906 events not folded", LOOKS, one);
    drop(scene);
    let mut scene = Scene::new(many, buster);
    scene.row(&format!("{MANY} caches, {HANDLES} handles, nothing changed"), LOOKS, "");
    scene.row("…, one changed", LOOKS, one);
    scene.row("…, all changed", LOOKS, "SELECT bustard.invalidate_all()");
    drop(scene);
    let follow = |url: &str| CacheBuster::builder(url).on_change(|_| {}).start().expect("it starts");
    let mut scene = Scene::new(many, follow);
    scene.row(&format!("{MANY} caches with a listener, nothing changed"), LOOKS, "");
    scene.row("…, one changed", LONG_LOOKS, one);
    scene.row("…, all changed", LONG_LOOKS, "SELECT bustard.invalidate_all()");
}

fn fold(database: &Database<'_>) {
    database.psql("SELECT bustard.fold()");
}
