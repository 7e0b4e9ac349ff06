//! What is logged, kept so that a test can look for what concerns its server.

use std::sync::{Mutex, Once, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};

struct Keeper(Mutex<Vec<String>>);

static KEEPER: Keeper = Keeper(Mutex::new(Vec::new()));
static INSTALLED: Once = Once::new();

impl Log for Keeper {
    // Not what other tests of this process have their databases log.
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

/// Keeps from now on what stores log in this process.
pub fn keep() {
    INSTALLED.call_once(|| {
        log::set_logger(&KEEPER).expect("nobody else sets one");
        log::set_max_level(LevelFilter::Trace);
    });
}

/// The lines that have this in them.
pub fn lines(text: &str) -> Vec<String> {
    let lines = KEEPER.0.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().filter(|line| line.contains(text)).cloned().collect()
}
