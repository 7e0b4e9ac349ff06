//! What is logged, kept so that a test can look for what concerns its server.

use std::sync::{Mutex, Once, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};

struct Keeper(Mutex<Vec<String>>);

static KEEPER: Keeper = Keeper(Mutex::new(Vec::new()));
static INSTALLED: Once = Once::new();

impl Log for Keeper {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

/// Keeps from now on what every test of this process logs.
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
