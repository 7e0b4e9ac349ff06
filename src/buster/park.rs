//! Polls a future on the thread of the caller, and parks the thread while it waits.
//!
//! In: a future. Out: its value.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

/// Whether a caller may block its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Blocking,
    #[cfg(feature = "tokio")]
    Async,
}

/// Wakes a parked thread. The flag remains set if the future itself parks the thread and
/// consumes the wake-up.
struct Parked {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// Polls the future to its end.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let parked = Arc::new(Parked { thread: thread::current(), woken: AtomicBool::new(false) });
    let waker = parked.clone().into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        while !parked.woken.swap(false, Ordering::SeqCst) {
            thread::park();
        }
    }
}
