//! Compares `Cache::is_valid` and `Cache::version` with alternatives, on one thread and on
//! two threads at once: `cargo bench --bench is_valid`.
//!
//! The baseline is one atomic load behind an `Arc`. It is measured together with every
//! sample, so that changes of the machine's speed affect both. The last table has the
//! medians of the ratios. No result fails the bench.

#[path = "../tests/support/mod.rs"]
mod support;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bustard::{App, CacheBuster, Migration, Migrator};
use criterion::Criterion;
use dashmap::DashMap;
use support::Server;

const NAME: &str = "bans";

/// A valid version. It contains the number of invalidations, which is 1, and a nonce.
const VERSION: i64 = 1 << 23 | 4711;

const THREADS: [usize; 2] = [1, 2];

/// The smallest number of loads that are measured with a sample. They take about half a
/// millisecond.
const LOADS: u64 = 1_000_000;

/// The duration of the shortest sample. Shorter samples would measure the clock more than
/// the subject.
const SHORTEST: Duration = Duration::from_micros(50);

/// The goal: a call takes at most this multiple of the time of one load.
const AIM: f64 = 1.5;

/// Returns the time of the slowest of several threads that each make `questions` calls at the
/// same time. Each thread calls a subject of its own.
fn timed<C>(
    questions: u64,
    threads: usize,
    open: &(impl Fn() -> C + Sync),
    ask: &(impl Fn(&mut C) -> bool + Sync),
) -> Duration {
    let start = Barrier::new(threads);
    let work = || {
        let mut subject = open();
        start.wait();
        let began = Instant::now();
        for _ in 0..questions {
            black_box(ask(&mut subject));
        }
        let took = began.elapsed();
        assert!(ask(&mut subject), "it is valid");
        took
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mine = work();
        let theirs = others.into_iter().map(|other| other.join().expect("no thread panics"));
        theirs.fold(mine, Duration::max)
    })
}

fn load(atomic: &Arc<AtomicI64>) -> bool {
    black_box(atomic).load(Ordering::Acquire) == black_box(VERSION)
}

/// The time of one call in nanoseconds, and its ratio to the load.
type Samples = Vec<(f64, f64)>;

struct Bench {
    criterion: Criterion,
    atomic: Arc<AtomicI64>,
    /// The lines of the table, one for each subject.
    table: String,
}

impl Bench {
    fn subject<C>(&mut self, name: &str, open: impl Fn() -> C + Sync, ask: impl Fn(&mut C) -> bool + Sync) {
        let mut line = format!("{name:<30}");
        for threads in THREADS {
            let samples = RefCell::new(Samples::new());
            let id = format!("{name}, {threads} thread{}", if threads == 1 { "" } else { "s" });
            self.criterion.bench_function(&id, |bencher| {
                bencher.iter_custom(|questions| {
                    let loads = questions.max(LOADS);
                    let yardstick = timed(loads, threads, &|| self.atomic.clone(), &|atomic| load(atomic));
                    let took = timed(questions, threads, &open, &ask);
                    if took >= SHORTEST {
                        let one = |time: Duration, count: u64| time.as_nanos() as f64 / count as f64;
                        let (took, yardstick) = (one(took, questions), one(yardstick, loads));
                        samples.borrow_mut().push((took, took / yardstick));
                    }
                    took
                });
            });
            let samples = samples.into_inner();
            let median = |of: fn(&(f64, f64)) -> f64| {
                let mut values: Vec<f64> = samples.iter().map(of).collect();
                values.sort_by(f64::total_cmp);
                values.get(values.len() / 2).copied()
            };
            // There are no samples if the subject was filtered out, or was only run once as
            // a test.
            let (Some(took), Some(ratio)) = (median(|s| s.0), median(|s| s.1)) else { continue };
            let _ = write!(line, "{took:>12.2} ns{ratio:>10.2} ×");
            if name == "Cache::is_valid" {
                line += if ratio <= AIM { "   kept" } else { " MISSED" };
            } else {
                line += "       ";
            }
        }
        self.table += line.trim_end();
        self.table.push('\n');
    }
}

/// A connection that sends the same request to a store again and again.
struct Line {
    stream: BufReader<TcpStream>,
    question: &'static str,
    /// The last line of an answer.
    last: String,
    answer: String,
}

impl Line {
    fn new(server: &Server, question: &'static str, last: &str) -> Line {
        let stream =
            TcpStream::connect(("127.0.0.1", server.port())).expect("the server accepts the connection");
        stream.set_nodelay(true).expect("the delay can be switched off");
        Line { stream: BufReader::new(stream), question, last: last.to_owned(), answer: String::new() }
    }

    fn say(&mut self, words: &str) {
        self.stream.get_mut().write_all(words.as_bytes()).expect("the server listens");
    }

    fn answer(&mut self) -> bool {
        let version = VERSION.to_string();
        let mut found = false;
        loop {
            self.answer.clear();
            self.stream.read_line(&mut self.answer).expect("the server answers");
            found |= self.answer.trim_end() == version;
            if self.answer.trim_end() == self.last || self.answer.is_empty() {
                return found;
            }
        }
    }

    fn get(&mut self) -> bool {
        self.say(self.question);
        self.answer()
    }
}

/// Starts a `CacheBuster` with one cache. The engine does not affect the measured calls.
fn buster(directory: &std::path::Path) -> CacheBuster {
    let path = directory.join("forum.sqlite");
    let mut connection = rusqlite::Connection::open(&path).expect("the file can be made");
    let app = App::new("forum").migration("V1__bans", Migration::new().register_cache(NAME));
    Migrator::new().app(app).run(&mut connection).expect("it migrates");
    CacheBuster::connect(&format!("sqlite:{}", path.display())).expect("it starts")
}

fn main() {
    let criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1200))
        .configure_from_args();
    let atomic = Arc::new(AtomicI64::new(VERSION));
    let mut bench = Bench { criterion, atomic: atomic.clone(), table: String::new() };
    bench.subject("one atomic load", || atomic.clone(), |atomic| load(atomic));

    let directory = tempfile::tempdir().expect("there is room");
    let buster = buster(directory.path());
    let cache = buster.cache(NAME).expect("it is registered");
    let version = cache.version().expect("it is known");
    bench.subject("Cache::is_valid", || cache.clone(), |cache| black_box(cache).is_valid(black_box(version)));
    bench.subject(
        "Cache::version",
        || cache.clone(),
        |cache| matches!(black_box(cache).version(), Ok(now) if now == black_box(version)),
    );

    let number = Arc::new(ArcSwap::from_pointee(VERSION));
    bench.subject(
        "arc-swap of a number",
        || number.clone(),
        |number| **black_box(number).load() == black_box(VERSION),
    );
    let map = Arc::new(ArcSwap::from_pointee(HashMap::from([(NAME.to_owned(), VERSION)])));
    bench.subject(
        "arc-swap of a HashMap",
        || map.clone(),
        |map| black_box(map).load().get(black_box(NAME)) == Some(&black_box(VERSION)),
    );
    let map = Arc::new(DashMap::new());
    map.insert(NAME.to_owned(), VERSION);
    bench.subject(
        "dashmap",
        || map.clone(),
        |map| black_box(map).get(black_box(NAME)).is_some_and(|version| *version == black_box(VERSION)),
    );
    let map = moka::sync::Cache::new(100);
    map.insert(NAME.to_owned(), VERSION);
    bench.subject(
        "moka",
        || map.clone(),
        |map| black_box(map).get(black_box(NAME)) == Some(black_box(VERSION)),
    );

    let version = VERSION.to_string();
    let memcached = Server::memcached();
    let mut line = Line::new(&memcached, "", "STORED");
    line.say(&format!("set {NAME} 0 0 {}\r\n{version}\r\n", version.len()));
    line.answer();
    bench.subject("Memcached GET on loopback", || Line::new(&memcached, "get bans\r\n", "END"), Line::get);
    let redis = Server::redis();
    let mut line = Line::new(&redis, "", "+OK");
    line.say(&format!("SET {NAME} {version}\r\n"));
    line.answer();
    bench.subject("Redis GET on loopback", || Line::new(&redis, "GET bans\r\n", &version), Line::get);

    bench.criterion.final_summary();
    println!("{:<30}{:>15}{:>12}{:>22}{:>12}", "", "one thread", "of a load", "two threads", "of a load");
    print!("{}", bench.table);
    println!("aim: Cache::is_valid at most {AIM} × one atomic load");
}
