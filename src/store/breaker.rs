//! A circuit breaker, so that not every caller waits for the time-out of a server that is
//! down. After a failure, no call is made during a pause. Then one caller tries again,
//! while all others still get an error. The pause grows with every failed trial.
//!
//! In: the outcome of each call, and the time. Out: whether to call the server, and the
//! transitions to log.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// The circuit breaker of one server. The caller passes the time, on the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<BreakerState>);

#[derive(Clone, Copy, Debug, Default)]
enum BreakerState {
    /// The server answers.
    #[default]
    Closed,
    /// The server does not answer. `until` is the time of the next trial, `next` the pause
    /// if the trial fails.
    Open { until: Instant, next: Duration },
    /// One caller is trying. `next` is the pause if the trial fails.
    Trying { next: Duration },
}

/// A change of state that is worth a log message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transition {
    Failed,
    Recovered,
}

/// Permission for one call. Dropping it without an outcome counts as a failure.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    trial: bool,
}

impl Breaker {
    /// Returns a pass; `None` if the server is down and this caller may not try it.
    pub(super) fn pass(&self, now: Instant) -> Option<Pass<'_>> {
        let mut state = self.state();
        let trial = match *state {
            BreakerState::Closed => false,
            BreakerState::Open { until, next } if until <= now => {
                *state = BreakerState::Trying { next };
                true
            }
            BreakerState::Open { .. } | BreakerState::Trying { .. } => return None,
        };
        Some(Pass { breaker: self, trial })
    }

    fn state(&self) -> MutexGuard<'_, BreakerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Records that the server answered.
    pub(super) fn succeeded(mut self) -> Option<Transition> {
        if !std::mem::take(&mut self.trial) {
            // A late answer does not end a pause that another call's failure began.
            return None;
        }
        *self.breaker.state() = BreakerState::Closed;
        Some(Transition::Recovered)
    }

    /// Records an answer that does not tell whether the server is up. If this was the
    /// trial, the next caller tries.
    pub(super) fn undecided(mut self) {
        if std::mem::take(&mut self.trial) {
            let mut state = self.breaker.state();
            if let BreakerState::Trying { next } = *state {
                *state = BreakerState::Open { until: Instant::now(), next };
            }
        }
    }

    /// Records that the server did not answer.
    pub(super) fn failed(mut self, now: Instant) -> Option<Transition> {
        let trial = std::mem::take(&mut self.trial);
        self.breaker.fail(trial, now)
    }
}

impl Breaker {
    fn fail(&self, trial: bool, now: Instant) -> Option<Transition> {
        let mut state = self.state();
        let (pause, change) = match *state {
            BreakerState::Closed => (SHORTEST, Some(Transition::Failed)),
            BreakerState::Trying { next } if trial => (next, None),
            // The failure of another call has already been counted.
            BreakerState::Open { .. } | BreakerState::Trying { .. } => return None,
        };
        *state = BreakerState::Open { until: now + jittered(pause), next: (pause * 2).min(LONGEST) };
        change
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        // A trial is dropped without an outcome only by a panic. Unless it counts as a
        // failure, no other caller could ever try again.
        if self.trial {
            self.breaker.fail(true, Instant::now());
        }
    }
}

/// Returns between 75 and 100 % of `pause`, so that many processes do not try at once.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) % 1024;
    pause - pause / 4 * u32::try_from(random).unwrap_or(0) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_opens_the_breaker_and_one_caller_tries() {
        let breaker = Breaker::default();
        let now = Instant::now();
        let (first, second) = (breaker.pass(now).unwrap(), breaker.pass(now).unwrap());
        let late = breaker.pass(now).unwrap();
        assert_eq!(first.failed(now), Some(Transition::Failed));
        assert_eq!(second.failed(now), None);
        assert!(breaker.pass(now + SHORTEST / 2).is_none());
        // A late answer does not close the breaker.
        assert_eq!(late.succeeded(), None);
        assert!(breaker.pass(now + SHORTEST / 2).is_none());

        let trial = breaker.pass(now + SHORTEST).unwrap();
        assert!(breaker.pass(now + LONGEST).is_none());
        assert_eq!(trial.succeeded(), Some(Transition::Recovered));
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
        // The next failure starts with the shortest pause.
        breaker.pass(now).unwrap().failed(now);
        assert!(breaker.pass(now + SHORTEST).is_some());
    }

    #[test]
    fn an_undecided_trial_changes_nothing() {
        let breaker = Breaker::default();
        let now = Instant::now();
        breaker.pass(now).unwrap().undecided();
        assert_eq!(breaker.pass(now).unwrap().failed(now), Some(Transition::Failed));
        let trial = breaker.pass(now + SHORTEST).unwrap();
        trial.undecided();
        // The next caller tries at once, and its outcome counts.
        let trial = breaker.pass(now + LONGEST).unwrap();
        assert!(breaker.pass(now + LONGEST).is_none());
        assert_eq!(trial.succeeded(), Some(Transition::Recovered));
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
