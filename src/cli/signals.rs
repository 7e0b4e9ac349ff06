//! Handles SIGHUP, SIGINT and SIGTERM. The first signal cancels the running statement, so
//! that the run rolls back and reports the cancellation. A second signal ends the process
//! at once, and so does a database that does not answer; then the database rolls back when
//! it notices that the connection is lost. A signal that was ignored when the process
//! started, as SIGHUP is under nohup, stays ignored.

use std::sync::atomic::{AtomicU8, Ordering};

use bustard::Canceller;

/// The time to wait before cancelling again.
#[cfg(unix)]
const RETRY_INTERVAL: std::time::Duration = std::time::Duration::from_millis(200);

/// How long a run may take to end after a signal.
#[cfg(unix)]
const GIVE_UP: std::time::Duration = std::time::Duration::from_secs(10);

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

    use signal_hook::flag;
    use signal_hook::iterator::Signals;

    use super::exit::Exit;

    let watched = watched(ignored());
    let armed = Arc::new(AtomicBool::new(false));
    let installed = watched.iter().try_for_each(|signal| {
        // The order matters: the flag must still be unset when the first signal
        // arrives. The handler ends the process itself, because the thread below
        // may be busy cancelling.
        let code = Exit::Signal(number(*signal)).code();
        flag::register_conditional_shutdown(*signal, code.into(), Arc::clone(&armed))?;
        flag::register(*signal, Arc::clone(&armed)).map(drop)
    });
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let signals = installed.and_then(|()| Signals::new(watched));
    let started = signals.and_then(|mut signals| {
        thread("signals").spawn(move || {
            let Some(signal) = signals.forever().next() else { return };
            RECEIVED.store(number(signal), Ordering::SeqCst);
            log::warn!("interrupted: cancelling the running statement");
            // A request to cancel can itself wait for the server.
            let gives_up = thread("give up").spawn(move || {
                std::thread::sleep(GIVE_UP);
                log::error!(
                    "the database does not answer: it rolls back when it notices that the connection is lost"
                );
                std::process::exit(Exit::Signal(number(signal)).code().into());
            });
            if let Err(error) = gives_up {
                log::debug!("a database that does not answer is waited for: {error}");
            }
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

/// Returns the signals to handle: those that are not ignored. Handling a signal would end
/// that.
#[cfg(unix)]
fn watched(ignored: u64) -> Vec<i32> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    let is_ignored = |signal: &i32| ignored & (1 << (signal - 1)) != 0;
    [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| !is_ignored(signal)).collect()
}

/// Returns the set of ignored signals. Where the system does not tell it without unsafe
/// code, SIGHUP counts as ignored, and keeps its disposition.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    parse_ignored(&status).unwrap_or(1 << (signal_hook::consts::SIGHUP - 1))
}

#[cfg(unix)]
fn parse_ignored(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(unix)]
fn number(signal: i32) -> u8 {
    // Those that are watched are 1, 2 and 15.
    u8::try_from(signal).unwrap_or(0)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a13_ignored_signals_stay_ignored() {
        for (status, signals) in [
            ("Name:\tbustard\nSigIgn:\t0000000000000000\n", vec![1, 2, 15]),
            ("SigIgn:\t0000000000000001\n", vec![2, 15]),
            ("SigIgn:\t0000000000001006\n", vec![1, 15]),
            ("SigIgn:\t0000000000004003\n", vec![]),
        ] {
            assert_eq!(watched(parse_ignored(status).expect("it has the line")), signals, "{status}");
        }
        assert_eq!(parse_ignored("Name:\tbustard\n"), None);
    }
}
