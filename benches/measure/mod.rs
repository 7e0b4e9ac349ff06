//! Code that several benches share: a clock for all processes, CPU times, processes that
//! report lines, and quantiles.

// Each bench compiles this module and uses a part of it.
#![allow(dead_code)]

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::support::PATIENCE;

/// Returns the time of a clock that all processes of a machine share.
pub fn now() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Returns the CPU time of a process; `None` except on Linux.
pub fn computed(process: u32) -> Option<Duration> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task")).ok()? {
        let statistics = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        sum += statistics.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(sum))
}

/// Returns CPU time as a percentage of one core.
pub fn share(computed: Duration, of: Duration) -> f64 {
    100.0 * computed.as_secs_f64() / of.as_secs_f64()
}

pub fn milliseconds(duration: Duration) -> String {
    format!("{:.3} ms", duration.as_secs_f64() * 1e3)
}

/// Durations in ascending order.
pub struct Sorted(Vec<Duration>);

impl Sorted {
    pub fn new(mut durations: Vec<Duration>) -> Sorted {
        assert!(!durations.is_empty(), "something was measured");
        durations.sort();
        Sorted(durations)
    }

    pub fn median(&self) -> Duration {
        self.hundredth(50)
    }

    pub fn hundredth(&self, hundredth: usize) -> Duration {
        self.0[((self.0.len() - 1) * hundredth).div_ceil(100)]
    }

    pub fn longest(&self) -> Duration {
        self.hundredth(100)
    }
}

impl fmt::Display for Sorted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, high, longest] = [self.median(), self.hundredth(99), self.longest()].map(milliseconds);
        write!(f, "{:>7}{median:>14}{high:>14}{longest:>14}", self.0.len())
    }
}

/// Another process of this program, which reports lines.
pub struct Reporter {
    child: Child,
    lines: Receiver<String>,
}

impl Reporter {
    /// Starts the process with these arguments.
    pub fn start(arguments: &[&str]) -> Reporter {
        let program = std::env::current_exe().expect("the program has a path");
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Reporter { child, lines }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the next line.
    pub fn next(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the other process reports")
    }

    /// Returns the times and the texts of all lines that have arrived.
    pub fn all_seen(&self) -> Vec<(Duration, String)> {
        self.lines.try_iter().map(|line| parse(&line)).collect()
    }

    /// Returns the time and the text of the next line.
    pub fn seen(&self) -> (Duration, String) {
        parse(&self.next())
    }
}

/// Parses what [`report`] writes.
fn parse(line: &str) -> (Duration, String) {
    let (time, what) = line.split_once(' ').expect("a report has two parts");
    (Duration::from_nanos(time.parse().expect("a report has a time")), what.to_owned())
}

impl Drop for Reporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reports an event with its time.
pub fn report(at: Duration, what: impl fmt::Display) {
    println!("{} {what}", at.as_nanos());
}

/// Waits until the parent process closes its pipe or ends.
pub fn wait_for_parent() {
    // The parent process never writes to the pipe.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}
