//! Worker processes. A worker is this test's own executable, which the test starts with
//! settings in the environment. A worker ends when its standard input ends, so no worker
//! outlives the test.

use std::io::{BufRead, BufReader, Write, stdin};
use std::process::{Child, ChildStdin, Command, Stdio, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bustard::StoreSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::judge::Judge;
use super::record::{Post, Record};
use super::{reader, writer};
use crate::support::{faulty_test, wait_until};

const SETTINGS: &str = "BUSTARD_CONSISTENCY_PROCESS";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    Reader,
    Writer,
}

/// The settings of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    pub role: Role,
    pub number: usize,
    /// The URL of the database for the refresher.
    pub observed: String,
    pub asked: String,
    pub store: Value,
    pub seed: u64,
    /// Whether writers begin with a pause.
    pub lull: bool,
}

impl Settings {
    pub fn store(&self) -> StoreSettings {
        serde_json::from_value(self.store.clone()).expect("the store is configured")
    }

    fn backend(&self) -> &'static str {
        match self.store["backend"].as_str() {
            Some("memcached") => "memcached",
            Some("redis") => "redis",
            _ => "memory",
        }
    }
}

/// The commands to a running process.
#[derive(Default)]
pub struct Orders {
    /// Whether writers pause.
    pub lull: AtomicBool,
    /// Whether all threads must end.
    pub end: AtomicBool,
}

impl Orders {
    pub fn ended(&self) -> bool {
        self.end.load(Ordering::SeqCst)
    }

    /// Reads commands until `end`. If the input ends, the test has ended.
    fn obey(&self) {
        for line in stdin().lock().lines().map_while(Result::ok) {
            match line.as_str() {
                "end" => return self.end.store(true, Ordering::SeqCst),
                word => self.lull.store(word == "lull", Ordering::SeqCst),
            }
        }
        exit(1);
    }
}

/// Returns the settings of a store.
pub fn store(backend: &str, location: Option<String>) -> Value {
    match location {
        Some(location) => json!({"backend": backend, "location": location}),
        None => json!({"backend": backend}),
    }
}

/// If this process was started as a worker, works until it receives the command `end`.
pub fn work_if_told() {
    let Ok(settings) = std::env::var(SETTINGS) else { return };
    let settings: Settings = serde_json::from_str(&settings).expect("the settings are those of a worker");
    let hook = std::panic::take_hook();
    // A panic in any thread must be noticed.
    std::panic::set_hook(Box::new(move |panic| {
        hook(panic);
        exit(101);
    }));
    // The test harness may have written an incomplete line.
    println!();
    let post = Post::new(settings.number);
    let orders = Arc::new(Orders { lull: AtomicBool::new(settings.lull), ..Orders::default() });
    let obeying = Arc::clone(&orders);
    thread::spawn(move || obeying.obey());
    match settings.role {
        Role::Reader => reader::work(&settings, &post, &orders),
        Role::Writer => writer::work(&settings, &post, &orders),
    }
    exit(0);
}

/// A worker process as the test sees it. Dropping it kills it.
pub struct Worker {
    settings: Settings,
    judge: Arc<Judge>,
    child: Child,
    stdin: ChildStdin,
    pump: Option<JoinHandle<()>>,
}

impl Worker {
    pub fn start(settings: Settings, fault: Option<&str>, judge: &Arc<Judge>) -> Worker {
        let mut command = match fault {
            Some(fault) => faulty_test(fault),
            None => Command::new(std::env::current_exe().expect("a process knows its program")),
        };
        // Any test of this program can be named here, because each test begins with
        // `work_if_told`.
        command.args(["--exact", super::TEST, "--nocapture", "--test-threads", "1"]);
        command.env(SETTINGS, serde_json::to_string(&settings).expect("settings have JSON"));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("a worker does not start: {error}"));
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (name, backend) = (format!("{:?} {}", settings.role, settings.number), settings.backend());
        let heard = Arc::clone(judge);
        let pump = thread::spawn(move || {
            let mut line = Vec::new();
            // A killed process may leave an incomplete line.
            while matches!(out.read_until(b'\n', &mut line), Ok(1..)) && line.ends_with(b"\n") {
                if line.starts_with(b"{") {
                    match serde_json::from_slice::<Record>(&line) {
                        Ok(record) => heard.hear(&name, backend, record),
                        Err(error) => heard.find(format!("{name} wrote an invalid record: {error}")),
                    }
                }
                line.clear();
            }
        });
        let stdin = child.stdin.take().expect("it is piped");
        Worker { settings, judge: Arc::clone(judge), child, stdin, pump: Some(pump) }
    }

    pub fn role(&self) -> Role {
        self.settings.role
    }

    /// Sends `lull`, `work` or `end`.
    pub fn tell(&mut self, word: &str) {
        self.settings.lull = word == "lull";
        // `check` notices a process that has ended.
        let _ = writeln!(self.stdin, "{word}");
    }

    /// Kills the process with `kill -9` and starts another one.
    pub fn replace(&mut self, fault: Option<&str>) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it can be reaped");
        *self = Worker::start(self.settings.clone(), fault, &self.judge);
    }

    /// Stops the process for a while. The process continues even if the test ends.
    pub fn stop_for(&self, time: Duration) -> Child {
        Command::new("sh")
            .args(["-c", "kill -s STOP \"$1\"; sleep \"$2\"; kill -s CONT \"$1\"", "stop"])
            .args([self.child.id().to_string(), time.as_secs_f64().to_string()])
            .spawn()
            .expect("sh starts")
    }

    /// Reports a process that has ended without the command `end`.
    pub fn check(&mut self) {
        if let Some(status) = self.child.try_wait().expect("it is our child") {
            let Settings { role, number, .. } = self.settings;
            self.judge.find(format!("{role:?} {number} has ended without the command `end`: {status}"));
        }
    }

    /// Ends the process with all its threads, and waits until all its records are read.
    pub fn end(mut self) {
        self.tell("end");
        let mut status = None;
        wait_until("a worker ends", || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        if !status.is_some_and(|status| status.success()) {
            self.judge.find(format!(
                "{:?} {} did not end successfully: {status:?}",
                self.role(),
                self.settings.number
            ));
        }
        self.pump
            .take()
            .map(JoinHandle::join)
            .and_then(Result::ok)
            .expect("all lines of the worker are read");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // This works even if the process is stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
