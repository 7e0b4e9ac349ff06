//! Collects log lines, so that a test can search for the lines about its server.

use std::sync::{Mutex, Once, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};

struct Keeper(Mutex<Vec<String>>);

static KEEPER: Keeper = Keeper(Mutex::new(Vec::new()));
static INSTALLED: Once = Once::new();

impl Log for Keeper {
    // Other tests of this process log about their databases.
    fn enabled(&self, metadata: &Metadata) -> bool {
        ["bustard", "redis"].iter().any(|library| metadata.target().starts_with(library))
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

/// Starts to collect the lines that stores log in this process, if nobody has. Returns how
/// many there are. Call it when the server has started: another test's server may have had
/// the same port before.
pub fn keep() -> usize {
    INSTALLED.call_once(|| {
        log::set_logger(&KEEPER).expect("no other logger is set");
        log::set_max_level(LevelFilter::Trace);
    });
    KEEPER.0.lock().unwrap_or_else(PoisonError::into_inner).len()
}

/// Returns the lines after the first `known` ones that contain this text.
pub fn lines(known: usize, text: &str) -> Vec<String> {
    let lines = KEEPER.0.lock().unwrap_or_else(PoisonError::into_inner);
    lines[known..].iter().filter(|line| line.contains(text)).cloned().collect()
}
