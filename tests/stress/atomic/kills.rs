//! Tests P1 and P2 under `kill -9` at random moments, of the command, and on PostgreSQL
//! also of its server process and of the whole server. `BUSTARD_KILLS` sets the number of
//! kills for each engine, `BUSTARD_SEED` repeats a sequence.

use std::thread;
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;

use super::ladder::{Ladder, OWN, Watch};
use crate::support::{
    Cluster, Engine, Outcome, Project, Random, Running, Subject, send_signal, server_noticed, working_backend,
};

/// The number of kills on one database. Then a new database is used, because the step
/// from an empty database to Bustard's own tables happens only once in each.
const KILLS_EACH: usize = 10;

fn wanted() -> usize {
    std::env::var("BUSTARD_KILLS").map_or(20, |kills| kills.parse().expect("BUSTARD_KILLS is a number"))
}

/// Creates four migrations that are slow to apply and to revert. On SQLite, the third one
/// writes more than the page cache holds, so that the file itself must be rolled back.
fn slow() -> (Project, &'static [&'static str]) {
    let project = Project::new();
    for (number, cache) in [(1, "first"), (2, "second"), (3, "third"), (4, "fourth")] {
        let (rows, width) = if number == 3 { (8000, 400) } else { (1000, 10) };
        project.file(
            format!("migrations/V{number}__{cache}.postgres.sql"),
            format!(
                "CREATE TABLE t{number} (id int PRIMARY KEY, text text);\n\
                 SELECT pg_sleep(0.02);\n\
                 INSERT INTO t{number} SELECT i, 'x' FROM generate_series(1, {rows}) i;\n\
                 -- bustard: register cache {cache}\n\
                 SELECT pg_sleep(0.02);\n\
                 UPDATE t{number} SET text = 'y';\n\
                 -- bustard: down\n\
                 UPDATE t{number} SET text = 'z';\n\
                 SELECT pg_sleep(0.03);\n\
                 DROP TABLE t{number};\n"
            ),
        );
        project.file(
            format!("migrations/V{number}__{cache}.sqlite.sql"),
            format!(
                "CREATE TABLE t{number} (id int PRIMARY KEY, text text);\n\
                 INSERT INTO t{number} WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})\n\
                 SELECT i, printf('%{width}d', i) FROM n;\n\
                 -- bustard: register cache {cache}\n\
                 UPDATE t{number} SET text = text || 'y';\n\
                 -- bustard: down\n\
                 UPDATE t{number} SET text = text || 'z';\n\
                 DROP TABLE t{number};\n"
            ),
        );
    }
    (project, &["main:1", "main:2", "main:3", "main:4"])
}

/// The process that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Command,
    /// The server process of the connection. The whole server then restarts.
    Backend,
    Server,
}

#[derive(Debug, Default)]
struct Tally {
    command: usize,
    backend: usize,
    server: usize,
    in_transaction: usize,
    /// Counts the runs that ended before the kill.
    too_late: usize,
}

impl Tally {
    fn kills(&self) -> usize {
        self.command + self.backend + self.server
    }

    fn report(&self, engine: &str) {
        println!(
            "{engine}: {} kills ({} of the command, {} of its backend, {} of the server), {} of them in an open transaction",
            self.kills(),
            self.command,
            self.backend,
            self.server,
            self.in_transaction
        );
    }

    /// Where a kill lands is chance, so runs are killed until half of the wanted number
    /// were killed in an open transaction.
    fn is_enough(&self) -> bool {
        self.kills() >= wanted() && self.in_transaction * 2 >= wanted()
    }
}

/// Kills the target. Returns `None` if the run ended before the kill.
fn strike(subject: &Subject<'_>, mut run: Running, victim: Victim, tally: &mut Tally) -> Option<Outcome> {
    if !run.is_running() {
        return None;
    }
    match (subject.engine(), victim) {
        (Engine::Sqlite, _) => {
            // The process is stopped first, so that the observed state still holds at the
            // kill.
            run.signal("STOP");
            let other = subject.sqlite();
            let open = match other.execute_batch("BEGIN IMMEDIATE; ROLLBACK") {
                Ok(()) => false,
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => true,
                Err(error) => panic!("the state of the transaction cannot be read: {error}"),
            };
            let outcome = killed(run)?;
            tally.command += 1;
            tally.in_transaction += usize::from(open);
            Some(outcome)
        }
        (Engine::Postgres, Victim::Command) => {
            let mut client = subject.client();
            run.signal("STOP");
            let (_, open) = working_backend(&mut client).unwrap_or_default();
            let outcome = killed(run)?;
            tally.command += 1;
            tally.in_transaction += usize::from(open);
            Some(outcome)
        }
        (Engine::Postgres, Victim::Backend) => {
            let mut client = subject.client();
            let (pid, open) = working_backend(&mut client)?;
            send_signal(pid.unsigned_abs(), "KILL");
            if !server_noticed(&mut client, pid) {
                return None;
            }
            tally.backend += 1;
            tally.in_transaction += usize::from(open);
            Some(run.wait())
        }
        (Engine::Postgres, Victim::Server) => {
            let cluster = subject.database().cluster();
            let mut client = subject.client();
            let open = working_backend(&mut client).is_some_and(|(_, open)| open);
            cluster.kill9();
            cluster.restart();
            tally.server += 1;
            tally.in_transaction += usize::from(open);
            Some(run.wait())
        }
    }
}

/// Kills the command. Returns `None` if it had already ended.
fn killed(run: Running) -> Option<Outcome> {
    let outcome = run.kill9();
    (outcome.signal == Some(9)).then_some(outcome)
}

/// Asserts that a killed server is reported as an ordinary error, which lists
/// everything that had committed before it. If the error says that the outcome of the
/// last transaction is unknown, up to this many steps may be missing from the list.
fn is_honest(outcome: &Outcome, steps: usize, most: usize) -> Result<(), String> {
    if outcome.code == Some(0) {
        return Ok(());
    }
    let error = &outcome.json()["error"];
    if outcome.code != Some(1) || error["kind"] != "connection" {
        return Err("the command did not say that it lost the server".to_owned());
    }
    let listed = error["applied"].as_array().map_or(0, Vec::len);
    let unknown = error["help"].as_str().is_some_and(|help| help.contains("it is unknown whether"));
    let honest = if unknown { (listed..=listed + most).contains(&steps) } else { listed == steps };
    if honest { Ok(()) } else { Err(format!("{steps} steps are done, {listed} were reported as committed")) }
}

/// Kills runs on one database until it has had its share of kills, or there are enough. The
/// runs alternately apply and revert.
fn kill_on(
    subject: &Subject<'_>,
    ladder: &Ladder,
    random: &mut Random,
    tally: &mut Tally,
) -> Result<(), String> {
    let mut watch = Watch::new(ladder, subject)?;
    let end_here = tally.kills() + KILLS_EACH;
    let attempts = tally.too_late + 20 * KILLS_EACH;
    let mut forward = true;
    // The duration of a run in each direction. The first estimate is low, because the first
    // kill may come early.
    let mut lasts = [Duration::from_millis(200); 2];
    while tally.kills() < end_here && !tally.is_enough() {
        let all = random.one_in(4);
        let run: &[&str] = match (forward, all) {
            (true, false) => &["migrate", "--json"],
            (true, true) => &["migrate", "--transaction", "all", "--json"],
            (false, _) => &["revert", "--to", "main:0", "--json"],
        };
        let victim = match random.below(20) {
            0 => Victim::Server,
            1..10 => Victim::Backend,
            _ => Victim::Command,
        };
        let moment = random.part_of(lasts[usize::from(forward)]);
        let running = subject.spawn(run);
        thread::sleep(moment);
        let outcome = strike(subject, running, victim, tally);
        subject.quiet();
        let told = |problem: String| {
            format!("{problem}\nafter {run:?}, {victim:?} killed at {moment:?}: {outcome:?}")
        };
        let stood = watch.rung;
        watch.look(subject).map_err(told)?;
        match &outcome {
            Some(outcome) if outcome.signal.is_none() => {
                let steps = watch.rung.abs_diff(stood);
                let most = if all && forward { ladder.top() } else { 1 };
                is_honest(outcome, steps, most).map_err(told)?;
            }
            Some(_) => {}
            None => tally.too_late += 1,
        }
        if tally.too_late > attempts {
            return Err("the runs end before the kill".to_owned());
        }
        // The next run completes.
        let started = Instant::now();
        let end = if forward { ladder.top() } else { OWN };
        let from = watch.rung;
        let completed = subject.bustard(run);
        let lasted = started.elapsed();
        if completed.code != Some(0) {
            return Err(told(format!("the next run fails: {completed}")));
        }
        subject.quiet();
        watch.look(subject).map_err(told)?;
        if watch.rung != end {
            return Err(told(format!("the next run ends after {} steps", watch.rung)));
        }
        // Measure a whole run: the remainder of an interrupted run is too short.
        let whole = if forward { OWN } else { ladder.top() };
        if from == whole {
            lasts[usize::from(forward)] = lasted;
        }
        forward = !forward;
    }
    Ok(())
}

fn kill<'s>(engine: &str, mut subjects: impl FnMut(usize) -> Subject<'s>, targets: &[&str]) {
    let ladder = Ladder::climb(&subjects(0), targets);
    let mut random = Random::seeded();
    let mut tally = Tally::default();
    let mut number = 1;
    while !tally.is_enough() {
        assert!(tally.kills() < 4 * wanted(), "too few kills land in a transaction: {tally:?}");
        let subject = subjects(number);
        if let Err(problem) = kill_on(&subject, &ladder, &mut random, &mut tally) {
            panic!("{engine}, kill {}: {problem}", tally.kills());
        }
        number += 1;
    }
    tally.report(engine);
}

#[test]
fn killed_at_random_on_postgresql() {
    // If one process of a server is killed, the whole server restarts, so use a private
    // server.
    let cluster = Cluster::start_with(&[]);
    let (project, targets) = slow();
    kill("PostgreSQL", |_| Subject::on(&cluster, &project), targets);
}

/// The databases are alternately in WAL mode and in the default mode.
#[test]
fn killed_at_random_on_sqlite() {
    let (project, targets) = slow();
    let subject = |number: usize| {
        let subject = Subject::new(Engine::Sqlite, &project);
        if number % 2 == 1 {
            subject.execute("PRAGMA journal_mode = WAL");
        }
        subject
    };
    kill("SQLite", subject, targets);
}
