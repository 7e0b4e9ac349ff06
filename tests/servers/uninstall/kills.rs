//! Tests an uninstall under `kill -9` at random moments, of its process and on PostgreSQL
//! also of its server process. The uninstall must be complete or have no effect.
//! `BUSTARD_KILLS` sets the number of kills for each engine, `BUSTARD_SEED` repeats a
//! sequence.

use std::process::Command;
use std::thread;
use std::time::Instant;

use super::victim::{Ends, Left, is_victim, migrate, start};
use crate::support::{Cluster, Engine, Project, Random, Running, Subject, server_noticed, working_backend};

#[derive(Debug, Default)]
struct Tally {
    process: usize,
    backend: usize,
    in_transaction: usize,
    untouched: usize,
    complete: usize,
    too_late: usize,
}

/// Kills the target and counts the kill, unless the run has ended.
fn strike(subject: &Subject<'_>, mut run: Running, of_server: bool, tally: &mut Tally) -> bool {
    if !run.is_running() {
        return false;
    }
    let (backend, open) = match subject.engine() {
        Engine::Postgres => {
            working_backend(&mut subject.client()).map_or((None, false), |(pid, open)| (Some(pid), open))
        }
        Engine::Sqlite => {
            run.signal("STOP");
            (None, subject.sqlite().execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err())
        }
    };
    match backend.filter(|_| of_server) {
        Some(pid) => {
            let mut client = subject.client();
            // The process may no longer exist, if it was about to exit.
            let kill = ["-c", "kill -s KILL \"$1\"", "kill", &pid.to_string()];
            let _ = Command::new("sh").args(kill).output();
            let noticed = server_noticed(&mut client, pid);
            run.wait();
            tally.backend += usize::from(noticed);
            tally.in_transaction += usize::from(noticed && open);
            noticed
        }
        None => {
            let killed = run.kill9().signal == Some(9);
            tally.process += usize::from(killed);
            tally.in_transaction += usize::from(killed && open);
            killed
        }
    }
}

fn kill(test: &str, subject: &Subject<'_>) {
    migrate(subject);
    let ends = Ends::of(subject, test);
    let whole = subject.copy();
    let started = Instant::now();
    start(&whole, test).wait().success();
    let lasts = started.elapsed();

    let wanted = std::env::var("BUSTARD_KILLS");
    let wanted = wanted.map_or(20, |kills| kills.parse().expect("BUSTARD_KILLS is a number"));
    let mut random = Random::seeded();
    let mut tally = Tally::default();
    // Where a kill lands is chance, so runs are killed until a tenth of the wanted number were
    // killed in an open transaction.
    while tally.process + tally.backend < wanted || tally.in_transaction * 10 < wanted {
        assert!(tally.too_late < 20 * wanted, "the runs end before the kill");
        let kills = tally.process + tally.backend;
        assert!(kills < 20 * wanted, "too few kills landed in a transaction: {tally:?}");
        let copy = subject.copy();
        let of_server = random.one_in(2);
        let moment = random.part_of(lasts);
        let run = match random.one_in(2) {
            true => start(&copy, test),
            false => copy.spawn(&["uninstall", "bans", "--cascade", "--yes"]),
        };
        thread::sleep(moment);
        if !strike(&copy, run, of_server, &mut tally) {
            tally.too_late += 1;
            continue;
        }
        let told = |problem: String| panic!("killed after {moment:?}: {problem}\n{tally:?}");
        if ends.check(&copy).unwrap_or_else(told) == Left::Complete {
            tally.complete += 1;
            continue;
        }
        tally.untouched += 1;
        // The next uninstall completes.
        start(&copy, test).wait().success();
        assert_eq!(ends.check(&copy), Ok(Left::Complete));
    }
    println!("{:?}: {tally:?}", subject.engine());
}

#[test]
fn killed_at_random_on_postgresql() {
    if is_victim() {
        return;
    }
    // If one process of a server is killed, the whole server restarts, so use a private
    // server.
    let cluster = Cluster::start_with(&[]);
    let project = Project::new();
    kill("uninstall::kills::killed_at_random_on_postgresql", &Subject::on(&cluster, &project));
}

#[test]
fn killed_at_random_on_sqlite() {
    if is_victim() {
        return;
    }
    let project = Project::new();
    kill("uninstall::kills::killed_at_random_on_sqlite", &Subject::new(Engine::Sqlite, &project));
}
