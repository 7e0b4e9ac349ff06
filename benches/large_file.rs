//! Applies a large file with Bustard and with `psql -1 -f`, in turns, each on a new database:
//! `cargo bench --all-features --bench large_file -- [MEGABYTES] [TURNS]`; 100 MB and 3 turns
//! if nothing is given.
//!
//! One file consists of INSERTs of one row each, the other of one COPY with its rows. The
//! ratio is that of the medians of the elapsed times. On Linux, the bench also reports the
//! most memory of the client (`VmHWM`), which for Bustard is compared with a run that has one
//! small migration, and the most private memory of the server process (`Anonymous` of
//! `smaps_rollup`). Both are read every few milliseconds. No result fails the bench.

mod measure;
#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use measure::{Sorted, milliseconds};
use support::{Binaries, Cluster, Database, Project};

/// The goals.
const RATIO: f64 = 1.0;
const CLIENT: u64 = 32 << 10;
const SERVER: u64 = 64 << 10;

/// The interval between two readings of the memory.
const INTERVAL: Duration = Duration::from_millis(10);

const SMALL: &str = "CREATE TABLE small (id bigint);\n";
const TABLE: &str = "CREATE TABLE big (id bigint, note text);\n";

/// A file, and the number of rows that it writes.
struct File {
    name: &'static str,
    text: String,
    rows: u64,
}

fn inserts(bytes: usize) -> File {
    let (mut text, mut rows) = (String::from(TABLE), 0);
    while text.len() < bytes {
        let _ = writeln!(
            text,
            "INSERT INTO big (id, note) VALUES ({rows}, 'a note about the row {rows}, of some length');"
        );
        rows += 1;
    }
    File { name: "INSERTs", text, rows }
}

fn copy(bytes: usize) -> File {
    let (mut text, mut rows) = (format!("{TABLE}COPY big (id, note) FROM stdin;\n"), 0);
    while text.len() < bytes {
        let _ = writeln!(text, "{rows}\ta note about the row {rows}, of some length");
        rows += 1;
    }
    text.push_str("\\.\n");
    File { name: "COPY", text, rows }
}

/// What a run needed. The memory is in KB, and `None` where the system does not report it.
#[derive(Clone, Copy, Default)]
struct Used {
    time: Duration,
    client: Option<u64>,
    server: Option<u64>,
}

/// Returns a field of a file in `/proc`, in KB.
fn kilobytes(process: &str, file: &str, field: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// Runs a command that works on this database.
fn run(mut command: Command, database: &Database<'_>) -> Used {
    const BACKEND: &str =
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()";
    let mut watching = database.client();
    let began = Instant::now();
    let mut child: Child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the command starts");
    let client = child.id().to_string();
    let (mut used, mut backend) = (Used::default(), None);
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is a child") {
            break status;
        }
        if cfg!(target_os = "linux") {
            used.client = used.client.max(kilobytes(&client, "status", "VmHWM:"));
            if backend.is_none() {
                let found = watching.query(BACKEND, &[]).expect("the database answers");
                backend = found.first().map(|row| row.get::<_, i32>(0).to_string());
            }
            // Shared memory is not anonymous.
            let private = backend.as_ref().and_then(|id| kilobytes(id, "smaps_rollup", "Anonymous:"));
            used.server = used.server.max(private);
        }
        thread::sleep(INTERVAL);
    };
    used.time = began.elapsed();
    assert!(status.success(), "the command fails: {status}");
    used
}

fn migrate(project: &Project, database: &Database<'_>) -> Used {
    run(project.command(&["--database-url", &database.url(), "migrate"]), database)
}

fn psql(project: &Project, database: &Database<'_>) -> Used {
    let mut command = Binaries::find().client_command("psql");
    command.args(["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", "migrations/V2__big.sql", "-d"]);
    command.arg(database.url()).current_dir(project.path());
    run(command, database)
}

/// The runs of one way.
struct Way {
    name: &'static str,
    runs: Vec<Used>,
}

impl Way {
    fn new(name: &'static str) -> Way {
        Way { name, runs: Vec::new() }
    }

    fn median(&self) -> Duration {
        Sorted::new(self.runs.iter().map(|run| run.time).collect()).median()
    }

    fn most(&self, of: impl Fn(&Used) -> Option<u64>) -> Option<u64> {
        self.runs.iter().filter_map(of).max()
    }

    fn row(&self, psql: Duration, empty: Option<u64>) {
        let megabytes = |kilobytes: Option<u64>| match kilobytes {
            Some(kilobytes) => format!("{:.1} MB", kilobytes as f64 / 1024.0),
            None => "-".to_owned(),
        };
        let client = self.most(|run| run.client);
        let above = client.zip(empty).map(|(client, empty)| client.saturating_sub(empty));
        println!(
            "{:<28}{:>14}{:>8.2}{:>12}{:>12}{:>12}",
            self.name,
            milliseconds(self.median()),
            self.median().as_secs_f64() / psql.as_secs_f64(),
            megabytes(client),
            megabytes(above),
            megabytes(self.most(|run| run.server)),
        );
    }
}

fn measure(cluster: &Cluster, file: &File, turns: usize) {
    println!("\n{}: {} bytes, {} rows, {turns} turns of each", file.name, file.text.len(), file.rows);
    let project = Project::new();
    project.file("migrations/V1__small.sql", SMALL);
    let mut empty = Way::new("Bustard, one small file");
    let mut theirs = Way::new("psql -1 -f");
    let mut ours = Way::new("Bustard");
    let mut applied = Way::new("Bustard, applied already");
    for _ in 0..turns {
        let database = Database::on(cluster);
        empty.runs.push(migrate(&project, &database));
        project.file("migrations/V2__big.sql", &file.text);
        ours.runs.push(migrate(&project, &database));
        applied.runs.push(migrate(&project, &database));
        check(&database, file);
        let database = Database::on(cluster);
        theirs.runs.push(psql(&project, &database));
        check(&database, file);
        fs::remove_file(project.path().join("migrations/V2__big.sql")).expect("it is there");
    }
    println!("{:<28}{:>14}{:>8}{:>12}{:>12}{:>12}", "", "median", "ratio", "client", "above", "server");
    let (psql, small) = (theirs.median(), empty.most(|run| run.client));
    theirs.row(psql, None);
    for way in [&ours, &applied, &empty] {
        way.row(psql, small);
    }
}

fn check(database: &Database<'_>, file: &File) {
    assert_eq!(database.value("SELECT count(*) FROM big"), file.rows.to_string(), "all rows are there");
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let (megabytes, turns) = (numbers.next().unwrap_or(100).max(1), numbers.next().unwrap_or(3).max(1));
    println!(
        "Goals for 100 MB: at most {RATIO:.1} x psql; at most {} MB above a run with a small file in the \
         client, and {} MB private in the server.",
        CLIENT >> 10,
        SERVER >> 10
    );
    let cluster = Cluster::start_with(&[]);
    for file in [inserts(megabytes << 20), copy(megabytes << 20)] {
        measure(&cluster, &file, turns);
    }
}
