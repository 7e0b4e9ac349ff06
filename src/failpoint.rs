//! Points between two statements at which a test can stop a run. The engines pass
//! the points, since only they know when a statement has been run. Without the
//! feature `testing` nothing of it is compiled in.

use crate::error::Result;

/// Passes the point after a statement.
///
/// `BUSTARD_FAILPOINT=7` aborts the process at the seventh point that it
/// passes, `BUSTARD_FAILPOINT=7:error` fails there.
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

/// Whether statements are to be sent one by one, so that there is something
/// between them.
#[cfg(feature = "postgres")]
pub(crate) fn one_by_one() -> bool {
    cfg!(feature = "testing") && std::env::var_os("BUSTARD_FAILPOINT").is_some()
}
