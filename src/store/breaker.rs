//! Keeps a server that is down from costing every caller a time-out: after a
//! failure nobody asks it for a pause, then one caller tries while the others go
//! without, and the pause grows for as long as that fails.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Whether a server may be asked. Time is what the caller says it is, on the
/// monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// The server answers.
    #[default]
    Closed,
    /// It does not; when to try again, and the pause after that.
    Open { until: Instant, next: Duration },
    /// One caller is trying; the pause if that fails.
    Trying { next: Duration },
}

/// What a change of state is to be told as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Failed,
    Recovered,
}

/// Leave to ask the server once. Dropped without an outcome, it failed.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    trial: bool,
}

impl Breaker {
    /// Leave to ask, unless the server is down and it is not this caller's turn.
    pub(super) fn pass(&self, now: Instant) -> Option<Pass<'_>> {
        let mut state = self.state();
        let trial = match *state {
            State::Closed => false,
            State::Open { until, next } if until <= now => {
                *state = State::Trying { next };
                true
            }
            State::Open { .. } | State::Trying { .. } => return None,
        };
        Some(Pass { breaker: self, trial })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The server answered.
    pub(super) fn succeeded(mut self) -> Option<Change> {
        if !std::mem::take(&mut self.trial) {
            // Nor does a late answer end a pause that another call's failure began.
            return None;
        }
        *self.breaker.state() = State::Closed;
        Some(Change::Recovered)
    }

    /// It did not.
    pub(super) fn failed(mut self, now: Instant) -> Option<Change> {
        let trial = std::mem::take(&mut self.trial);
        self.breaker.fail(trial, now)
    }
}

impl Breaker {
    fn fail(&self, trial: bool, now: Instant) -> Option<Change> {
        let mut state = self.state();
        let (pause, change) = match *state {
            State::Closed => (SHORTEST, Some(Change::Failed)),
            State::Trying { next } if trial => (next, None),
            // Another call's failure has been counted.
            State::Open { .. } | State::Trying { .. } => return None,
        };
        *state = State::Open { until: now + jittered(pause), next: (pause * 2).min(LONGEST) };
        change
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        // Only a panic gets here with a trial: nobody else could ever try again.
        if self.trial {
            self.breaker.fail(true, Instant::now());
        }
    }
}

/// Between three quarters of the pause and all of it, so that many processes do
/// not all try at once.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) % 1024;
    pause - pause / 4 * u32::try_from(random).unwrap_or(0) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_opens_it_and_one_caller_tries() {
        let breaker = Breaker::default();
        let now = Instant::now();
        let (first, second) = (breaker.pass(now).unwrap(), breaker.pass(now).unwrap());
        let late = breaker.pass(now).unwrap();
        assert_eq!(first.failed(now), Some(Change::Failed));
        assert_eq!(second.failed(now), None);
        assert!(breaker.pass(now + SHORTEST / 2).is_none());
        // An answer from before says nothing about now.
        assert_eq!(late.succeeded(), None);
        assert!(breaker.pass(now + SHORTEST / 2).is_none());

        let trial = breaker.pass(now + SHORTEST).unwrap();
        assert!(breaker.pass(now + LONGEST).is_none());
        assert_eq!(trial.succeeded(), Some(Change::Recovered));
        let (one, other) = (breaker.pass(now).unwrap(), breaker.pass(now).unwrap());
        assert_eq!((one.succeeded(), other.succeeded()), (None, None));
    }

    #[test]
    fn the_pause_grows_to_its_longest() {
        let breaker = Breaker::default();
        let mut now = Instant::now();
        breaker.pass(now).unwrap().failed(now);
        let mut pause = SHORTEST;
        for _ in 0..10 {
            assert!(breaker.pass(now + pause * 3 / 4 - Duration::from_millis(1)).is_none());
            now += pause;
            assert_eq!(breaker.pass(now).unwrap().failed(now), None);
            pause = (pause * 2).min(LONGEST);
        }
        assert_eq!(pause, LONGEST);
        breaker.pass(now + LONGEST).unwrap().succeeded();
        // A failure after that starts over.
        breaker.pass(now).unwrap().failed(now);
        assert!(breaker.pass(now + SHORTEST).is_some());
    }

    #[test]
    fn a_trial_that_panics_is_a_failure() {
        let breaker = Breaker::default();
        let now = Instant::now();
        breaker.pass(now).unwrap().failed(now);
        drop(breaker.pass(now + SHORTEST).unwrap());
        assert!(breaker.pass(Instant::now() + LONGEST).is_some());
    }
}
