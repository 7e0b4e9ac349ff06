//! Places between two statements at which a test can stop a run, and faults
//! that a test can seed to see a checker fail. Without the feature `testing`
//! nothing of it is compiled in.

use crate::error::Result;

/// Passes a point between two statements.
///
/// `BUSTARD_FAILPOINT=7` aborts the process at the seventh point that it
/// passes, `BUSTARD_FAILPOINT=7:error` fails there.
#[cfg(feature = "testing")]
pub(super) fn pass(name: &str) -> Result<()> {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crate::error::{Error, ErrorKind};

    static PASSED: AtomicUsize = AtomicUsize::new(0);
    let Ok(wanted) = std::env::var("BUSTARD_FAILPOINT") else { return Ok(()) };
    let (number, fails) = match wanted.strip_suffix(":error") {
        Some(number) => (number, true),
        None => (wanted.as_str(), false),
    };
    if number.parse() != Ok(PASSED.fetch_add(1, Ordering::SeqCst) + 1) {
        return Ok(());
    }
    if fails {
        return Err(Error::new(ErrorKind::Failed, format!("failpoint {number}, {name}")));
    }
    eprintln!("failpoint {number}, {name}");
    std::process::abort()
}

#[cfg(not(feature = "testing"))]
pub(super) fn pass(_: &str) -> Result<()> {
    Ok(())
}

/// Whether `BUSTARD_FAULT` seeds this fault.
#[cfg(feature = "testing")]
pub(crate) fn fault(name: &str) -> bool {
    std::env::var("BUSTARD_FAULT").is_ok_and(|seeded| seeded == name)
}

#[cfg(not(feature = "testing"))]
pub(crate) fn fault(_: &str) -> bool {
    false
}
