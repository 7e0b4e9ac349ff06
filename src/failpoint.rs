//! Failpoints: points after a statement at which a test can stop a run. The engines call
//! them, because only an engine knows when a statement has been executed. Without the
//! feature `testing` they are compiled out.
//!
//! In: the environment variable `BUSTARD_FAILPOINT`. Out: an error or an abort at the
//! chosen point.

use crate::error::Result;

/// Counts the point after a statement, and stops the run if it is the chosen point.
///
/// `BUSTARD_FAILPOINT=7` aborts the process at the seventh point;
/// `BUSTARD_FAILPOINT=7:error` returns an error there.
#[cfg(feature = "testing")]
pub(crate) fn pass(statement: &str) -> Result<()> {
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
    let reached = format!("failpoint {number}, after {}", statement.lines().next().unwrap_or_default());
    if fails {
        return Err(Error::new(ErrorKind::Failed, reached));
    }
    eprintln!("{reached}");
    std::process::abort()
}

#[cfg(not(feature = "testing"))]
pub(crate) fn pass(_: &str) -> Result<()> {
    Ok(())
}

/// Returns whether to send statements one by one, so that there are points between them.
#[cfg(feature = "postgres")]
pub(crate) fn one_by_one() -> bool {
    cfg!(feature = "testing") && std::env::var_os("BUSTARD_FAILPOINT").is_some()
}
