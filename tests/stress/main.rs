//! The crash, race and stress tests that `tests/long` runs with their full figures.

#[path = "../support/mod.rs"]
mod support;

mod atomic;
mod consistency;
mod once;
mod versions;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by a test while a crowd of its processes or threads loads the machine. Two
/// crowds at once would starve each other, and need more connections than the server
/// has.
fn alone() -> MutexGuard<'static, ()> {
    static CROWD: Mutex<()> = Mutex::new(());
    CROWD.lock().unwrap_or_else(PoisonError::into_inner)
}
