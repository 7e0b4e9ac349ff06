//! SIGINT and SIGTERM. The first one cancels the statement that is running, so
//! that the run rolls back and ends in an orderly way; a second one ends the
//! process at once, and the database rolls back when it misses us.

use std::sync::atomic::{AtomicU8, Ordering};

use bustard::Canceller;

/// How long a cancelled statement is given to end before it is cancelled again.
#[cfg(unix)]
const AGAIN: std::time::Duration = std::time::Duration::from_millis(200);

/// The signal that asked for the end; 0 before there was one.
static RECEIVED: AtomicU8 = AtomicU8::new(0);

/// The first signal that was received.
pub fn received() -> Option<u8> {
    match RECEIVED.load(Ordering::SeqCst) {
        0 => None,
        number => Some(number),
    }
}

/// Watches for signals from here to the end of the process.
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
        // The order matters: the first signal finds the flag down. This is done
        // in the handler, since the thread below may be busy cancelling.
        let code = Exit::Signal(number(signal)).code();
        flag::register_conditional_shutdown(signal, code.into(), Arc::clone(&armed))?;
        flag::register(signal, Arc::clone(&armed)).map(drop)
    });
    let signals = installed.and_then(|()| Signals::new([SIGINT, SIGTERM]));
    let started = signals.and_then(|mut signals| {
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let Some(signal) = signals.forever().next() else { return };
            RECEIVED.store(number(signal), Ordering::SeqCst);
            log::warn!("interrupted: ending what is under way");
            // What comes between two statements stops neither, and may get lost on
            // its way: ask again until the process has ended.
            loop {
                canceller.cancel();
                std::thread::sleep(AGAIN);
            }
        })
    });
    if let Err(error) = started {
        log::warn!("signals end the process without ceremony: {error}");
    }
}

/// Elsewhere a signal just ends the process.
#[cfg(not(unix))]
pub fn watch(_canceller: Canceller) {}

#[cfg(unix)]
fn number(signal: i32) -> u8 {
    // The two that are watched are 2 and 15.
    u8::try_from(signal).unwrap_or(0)
}
