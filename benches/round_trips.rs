//! Compares the round trips and times of Bustard with those of refinery's own runner on the
//! same migrations: `cargo bench --bench round_trips [-- MIGRATIONS]`.
//!
//! A proxy counts the round trips after authentication. If a count exceeds its bound, the
//! exit code is 1. Times are measured without the proxy, and are only printed. "CPU" is the
//! CPU time of the client's thread.
//!
//! By default, refinery commits a migration and its history row in two transactions. In
//! the rows "in one transaction", it runs with `set_grouped(true)`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::error::Error;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bustard::{App, Database as Connection, Migrator, TransactionMode};
use postgres::{Client, NoTls};
use refinery::{Runner, load_sql_migrations};
use support::proxy::Proxy;
use support::{Cluster, Database, Project};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The delay that the proxy adds. It is long enough that messages count as one round trip
/// if the client sends them without waiting for a reply.
const LATENCY: Duration = Duration::from_millis(1);

const PENDING_IN_SMALL: usize = 10;

/// The number of timed runs without pending migrations.
const REPETITIONS: usize = 41;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tool {
    Bustard,
    Refinery,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if *self == Tool::Bustard { "Bustard" } else { "refinery" })
    }
}

const TOOLS: [Tool; 2] = [Tool::Bustard, Tool::Refinery];

/// Writes migrations as files.
struct Work {
    project: Project,
    count: usize,
}

impl Work {
    fn new(count: usize) -> Work {
        let project = Project::new();
        project.numbered_migrations(count);
        Work { project, count }
    }

    fn directory(&self) -> PathBuf {
        self.project.path().join("migrations")
    }

    /// Reads the files and applies pending migrations, on a new connection of the tool.
    fn run(&self, tool: Tool, url: &str, mode: TransactionMode) -> Result<()> {
        match tool {
            Tool::Bustard => self.bustard(&mut Connection::new(url)?, mode),
            Tool::Refinery => self.refinery(&mut Client::connect(url, NoTls)?, mode),
        }
    }

    fn bustard(&self, connection: &mut impl bustard::Connection, mode: TransactionMode) -> Result<()> {
        Migrator::new().app(App::directory("main", self.directory())).transaction(mode).run(connection)?;
        Ok(())
    }

    fn refinery(&self, client: &mut Client, mode: TransactionMode) -> Result<()> {
        let runner = Runner::new(&load_sql_migrations(self.directory())?);
        runner.set_grouped(mode == TransactionMode::All).run(client)?;
        Ok(())
    }

    /// Returns the round trips of a run on `database`.
    fn trips(&self, tool: Tool, database: &Database<'_>, mode: TransactionMode) -> Result<u64> {
        let proxy = Proxy::start(database.cluster().port());
        proxy.set_latency(LATENCY);
        self.run(tool, &proxy.url(&database.url()), mode)?;
        Ok(proxy.round_trips().connected)
    }
}

/// The elapsed time of a call, and the CPU time of the calling thread.
struct Cost {
    wall: Duration,
    /// The CPU time; `None` if the system does not report it.
    cpu: Option<Duration>,
}

impl Cost {
    fn of(work: impl FnOnce() -> Result<()>) -> Result<Cost> {
        let (start, before) = (Instant::now(), thread_cpu());
        work()?;
        let wall = start.elapsed();
        Ok(Cost { wall, cpu: thread_cpu().zip(before).map(|(after, before)| after.saturating_sub(before)) })
    }

    /// Returns the median.
    fn median(mut work: impl FnMut() -> Result<()>) -> Result<Cost> {
        let mut costs = (0..REPETITIONS).map(|_| Cost::of(&mut work)).collect::<Result<Vec<_>>>()?;
        costs.sort_by_key(|cost| cost.wall);
        Ok(costs.swap_remove(REPETITIONS / 2))
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpu = self.cpu.map_or_else(|| "-".to_owned(), milliseconds);
        write!(f, "{:>12}{cpu:>12}", milliseconds(self.wall))
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}

/// Returns the CPU time of this thread; `None` except on Linux.
fn thread_cpu() -> Option<Duration> {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(statistics.split(' ').next()?.parse().ok()?))
}

/// Prints the rows of the table and records exceeded bounds.
struct Table {
    broken: bool,
}

impl Table {
    fn head() -> Table {
        println!("{:<44}{:<10}{:>8}{:>8}{:>12}{:>12}", "", "", "trips", "bound", "time", "CPU");
        Table { broken: false }
    }

    fn row(&mut self, what: &str, tool: Tool, trips: u64, bound: u64, cost: &Cost) {
        // The bounds apply to Bustard only.
        let bound = (tool == Tool::Bustard).then_some(bound);
        let kept = bound.is_none_or(|bound| trips <= bound);
        self.broken |= !kept;
        let bound = bound.map_or_else(String::new, |bound| format!("≤ {bound}"));
        let verdict = if kept { "" } else { "  BROKEN" };
        println!("{what:<44}{tool:<10}{trips:>8}{bound:>8}{cost}{verdict}");
    }
}

fn main() -> ExitCode {
    // Cargo passes `--bench` and the arguments after `--`.
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1000);
    match measure(count) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("a bound on round trips is exceeded");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether no bound was exceeded.
fn measure(count: usize) -> Result<bool> {
    // A private server ends with this process. The watchdog of the shared server would
    // outlive it.
    let cluster = Cluster::start_with(&[]);
    let (small, large) = (Work::new(PENDING_IN_SMALL), Work::new(count));
    let mut table = Table::head();

    let mut constant = Vec::new();
    for (work, mode) in [
        (&small, TransactionMode::All),
        (&large, TransactionMode::All),
        (&small, TransactionMode::Each),
        (&large, TransactionMode::Each),
    ] {
        let (cut, bound) = match mode {
            TransactionMode::All => ("in one transaction", 8),
            _ => ("one transaction each", 3 * work.count as u64),
        };
        for tool in TOOLS {
            let trips = work.trips(tool, &Database::on(&cluster), mode)?;
            let database = Database::on(&cluster);
            let cost = Cost::of(|| work.run(tool, &database.url(), mode))?;
            table.row(&format!("{} pending, {cut}", work.count), tool, trips, bound, &cost);
            if (tool, mode) == (Tool::Bustard, TransactionMode::All) {
                constant.push(trips);
            }
        }
    }
    if constant.iter().any(|trips| *trips != constant[0]) {
        println!("in one transaction the number of round trips is not constant: {constant:?}");
        table.broken = true;
    }
    nothing_pending(&cluster, &large, &mut table)?;
    Ok(!table.broken)
}

/// Measures a run without pending migrations.
fn nothing_pending(cluster: &Cluster, work: &Work, table: &mut Table) -> Result<()> {
    let mode = TransactionMode::Each;
    let what = format!("nothing pending, {} applied", work.count);
    let mut ratios = Vec::new();
    for tool in TOOLS {
        let database = Database::on(cluster);
        work.run(tool, &database.url(), TransactionMode::All)?;
        let trips = work.trips(tool, &database, mode)?;
        // The times are measured on open connections, and compared with `SELECT 1` on the
        // same connection.
        let mut client = Client::connect(&database.url(), NoTls)?;
        let one = Cost::median(|| Ok(client.batch_execute("SELECT 1")?))?;
        let cost = match tool {
            Tool::Bustard => Cost::median(|| work.bustard(&mut client, mode))?,
            Tool::Refinery => Cost::median(|| work.refinery(&mut client, mode))?,
        };
        ratios.push(ratio(&format!("{tool}, files read anew"), &cost, &one));
        if tool == Tool::Bustard {
            let mut own = Connection::new(&database.url())?;
            own.connect()?;
            let cost = Cost::median(|| work.bustard(&mut own, mode))?;
            table.row(&what, tool, trips, 1, &cost);
            ratios.push(ratio("Bustard, its own connection", &cost, &one));
            let read = Cost::median(|| {
                Ok(Migrator::new()
                    .app(App::directory("main", work.directory()))
                    .check_sources(bustard::Engine::Postgres)?)
            })?;
            ratios.push(ratio("Bustard, reading the files alone", &read, &one));
        } else {
            table.row(&what, tool, trips, 1, &cost);
            let read = Cost::median(|| {
                load_sql_migrations(work.directory())?;
                Ok(())
            })?;
            ratios.push(ratio("refinery, reading the files alone", &read, &one));
        }
    }
    println!("\n{what}: times `SELECT 1` on the same connection");
    ratios.iter().for_each(|line| println!("  {line}"));
    Ok(())
}

fn ratio(what: &str, cost: &Cost, one: &Cost) -> String {
    let times = cost.wall.as_secs_f64() / one.wall.as_secs_f64();
    format!("{what:<40}{times:>8.1} × {} = {}", milliseconds(one.wall), milliseconds(cost.wall))
}
