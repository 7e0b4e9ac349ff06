//! Waiting for the network in a synchronous call. Both drivers wait on a runtime
//! of their own, which Tokio forbids (by a panic) on a thread that already drives
//! one; so there another thread waits, and the calling one for it.

use std::panic::resume_unwind;
use std::thread;

use tokio::runtime::Handle;

/// Does what may wait on a runtime, be it only because it is dropped.
pub(crate) fn outside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if Handle::try_current().is_err() {
        return work();
    }
    thread::scope(|scope| scope.spawn(work).join()).unwrap_or_else(|panic| resume_unwind(panic))
}
