//! Handles SIGINT and SIGTERM. The first signal cancels the running statement, so that
//! the run rolls back and reports the cancellation. A second signal ends the process at
//! once, and the database rolls back when the connection is lost.

use std::sync::atomic::{AtomicU8, Ordering};

use bustard::Canceller;

/// The time to wait before cancelling again.
#[cfg(unix)]
const RETRY_INTERVAL: std::time::Duration = std::time::Duration::from_millis(200);

/// The first signal that was received, or 0.
static RECEIVED: AtomicU8 = AtomicU8::new(0);

/// Returns the first signal that was received.
pub fn received() -> Option<u8> {
    match RECEIVED.load(Ordering::SeqCst) {
        0 => None,
        number => Some(number),
    }
}

/// Handles signals from now until the process ends.
#[cfg(unix)]
pub fn watch(canceller: Canceller) {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;
    use signal_hook::iterator::Signals;

    use super::exit::Exit;

    let armed = Arc::new(AtomicBool::new(false));
    let installed = [SIGINT, SIGTERM].into_iter().try_for_each(|signal| {
        // The order of the two registrations matters: the first signal must find the flag
        // unset. The second signal ends the process in the handler, because the thread
        // below may be busy cancelling.
        let code = Exit::Signal(number(signal)).code();
        flag::register_conditional_shutdown(signal, code.into(), Arc::clone(&armed))?;
        flag::register(signal, Arc::clone(&armed)).map(drop)
    });
    let signals = installed.and_then(|()| Signals::new([SIGINT, SIGTERM]));
    let started = signals.and_then(|mut signals| {
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let Some(signal) = signals.forever().next() else { return };
            RECEIVED.store(number(signal), Ordering::SeqCst);
            log::warn!("interrupted: cancelling the running statement");
            // A cancel request that arrives between two statements has no effect, and
            // a request may be lost. So it is repeated until the process ends.
            loop {
                canceller.cancel();
                std::thread::sleep(RETRY_INTERVAL);
            }
        })
    });
    if let Err(error) = started {
        log::warn!("cannot handle signals, which will end the process at once: {error}");
    }
}

/// Does nothing. On other systems a signal ends the process at once.
#[cfg(not(unix))]
pub fn watch(_canceller: Canceller) {}

#[cfg(unix)]
fn number(signal: i32) -> u8 {
    // The two watched signals have the numbers 2 and 15.
    u8::try_from(signal).unwrap_or(0)
}
