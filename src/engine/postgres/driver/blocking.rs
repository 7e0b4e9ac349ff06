//! Waits for the network in a synchronous call. Both drivers block on a runtime of their
//! own. Tokio panics if that happens on a thread that already drives a runtime. On such a
//! thread, another thread does the work, and the calling thread waits for it.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::runtime::Handle;

use crate::error::{Error, ErrorKind, Result};

/// Runs `work` on another thread when called inside a Tokio runtime, because blocking
/// there panics. Dropping a client can block too.
pub(crate) fn outside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if Handle::try_current().is_err() {
        return work();
    }
    thread::scope(|scope| scope.spawn(work).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

/// Waits for a connection, but only until the run is cancelled.
pub(super) async fn unless<T>(
    cancelled: &AtomicBool,
    connecting: impl Future<Output = Result<T>>,
) -> Result<T> {
    match select(std::pin::pin!(connecting), std::pin::pin!(until(cancelled))).await {
        Either::Left((connected, _)) => connected,
        Either::Right(_) => Err(Error::new(ErrorKind::Cancelled, "cancelled")),
    }
}

async fn until(flag: &AtomicBool) {
    while !flag.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
