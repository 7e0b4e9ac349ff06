//! The records that processes send to the judge, one line of JSON each on standard
//! output, and the clock that all of them use.

use std::cell::Cell;
use std::io::Write;
use std::process::exit;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::pulse::Pulse;

/// The promise of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A read from a store under the version of the snapshot: at most `max_staleness` old.
    Values,
    /// A read of a value that the reader itself keeps and a handle reports as valid: at
    /// most `max_staleness` old.
    Handle,
    /// A read under a version from the database: current.
    Strict,
    /// A read under a version from a transaction's snapshot: as current as the snapshot.
    Snapshot,
    /// A read after a commit of the process itself: includes that commit.
    Own,
}

/// A read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Read {
    pub kind: Kind,
    pub item: usize,
    pub counter: i64,
    /// The smallest allowed counter, regardless of acknowledged commits of other processes.
    pub floor: i64,
    /// Whether the value was found in a store and not loaded.
    pub found: bool,
    /// The time when the read began.
    pub began: u64,
    /// The delay of the process around that time.
    pub late: u64,
}

/// A record, which is one line of output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Record {
    /// The process has started to work.
    Ready {},
    /// A writer is about to commit this counter of an item.
    Attempted {
        item: usize,
        counter: i64,
    },
    /// The commit is acknowledged to the writer.
    Acknowledged {
        item: usize,
        counter: i64,
        at: u64,
    },
    /// A transaction has ended.
    Committed {},
    /// The outcome of a transaction is unknown.
    Lost {},
    /// A transaction was rolled back.
    Aborted {},
    /// Events were folded.
    Folded {
        events: i64,
    },
    Read(Read),
    /// The items of a cache under a version, read in one snapshot.
    State {
        cache: usize,
        version: i64,
        counters: Vec<i64>,
    },
    /// A read or write failed in an expected way.
    Failed {},
    /// An error that must never occur.
    Wrong {
        what: String,
    },
}

/// Returns nanoseconds on the clock that all processes share.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970");
    since.as_nanos().try_into().expect("it is not yet the year 2554")
}

/// The output to which a process writes its records.
pub struct Post {
    number: usize,
    pulse: Pulse,
}

/// A read that has begun.
pub struct Begun {
    at: u64,
    instant: Instant,
    loads: Cell<bool>,
}

impl Begun {
    /// Begins a read. Must be called before its first request.
    pub fn now() -> Begun {
        Begun { at: now(), instant: Instant::now(), loads: Cell::new(false) }
    }

    /// Records that the value is absent and is loaded.
    pub fn loads(&self) {
        self.loads.set(true);
    }
}

impl Post {
    pub fn new(number: usize) -> Post {
        Post { number, pulse: Pulse::start() }
    }

    pub fn send(&self, record: &Record) {
        let mut line = serde_json::to_vec(record).expect("records have JSON");
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        if out.write_all(&line).and_then(|()| out.flush()).is_err() {
            // The test has closed the pipe.
            exit(1);
        }
    }

    pub fn wrong(&self, what: &str) {
        self.send(&Record::Wrong { what: format!("process {}: {what}", self.number) });
    }

    pub fn read(&self, kind: Kind, item: usize, counter: i64, floor: i64, begun: &Begun) {
        let late = self.pulse.late(begun.instant).as_nanos().try_into().unwrap_or(u64::MAX);
        let (found, began) = (!begun.loads.get(), begun.at);
        self.send(&Record::Read(Read { kind, item, counter, floor, found, began, late }));
    }
}
