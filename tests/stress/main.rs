//! Crash, race and stress tests, which `tests/long` runs with their full figures.

#[path = "../support/mod.rs"]
mod support;

mod atomic;
mod consistency;
mod once;
mod versions;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Returns the guard that a test holds while many of its processes or threads load the
/// machine. Two such tests at once would slow each other down, and need more connections
/// than the server has.
fn alone() -> MutexGuard<'static, ()> {
    static CROWD: Mutex<()> = Mutex::new(());
    CROWD.lock().unwrap_or_else(PoisonError::into_inner)
}
