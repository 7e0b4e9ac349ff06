//! Refusals: errors with which a server that is healthy otherwise answers one request,
//! above all writes that it does not take. Reads go on.
//!
//! In: the error of a server. Out: whether the server is down, and what to log.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After this time without a refusal of its kind, a new one is a new incident.
const QUIET: Duration = Duration::from_secs(60);

/// A server's refusal of one request.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// The word that the server's message begins with, such as `READONLY`.
    kind: String,
    message: String,
}

impl Refusal {
    /// Builds an I/O error that [`of`](Refusal::of) recognises.
    pub(super) fn error(kind: &str, message: &io::Error) -> io::Error {
        io::Error::other(Refusal { kind: kind.to_owned(), message: message.to_string() })
    }

    /// Returns the refusal, if the error is one.
    pub(super) fn of(error: &io::Error) -> Option<&Refusal> {
        error.get_ref()?.downcast_ref()
    }

    /// Returns the word that the server's message begins with.
    pub(super) fn kind(&self) -> &str {
        &self.kind
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// When each kind of refusal was last seen.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<String, Instant>>);

impl Refusals {
    /// Records a refusal. Returns whether it is the first of an incident, which is worth
    /// a warning.
    pub(super) fn is_new(&self, refusal: &Refusal, now: Instant) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = seen.insert(refusal.kind.clone(), now);
        // A hostile server could invent kinds.
        if seen.len() > 100 {
            seen.clear();
        }
        last.is_none_or(|last| now.saturating_duration_since(last) > QUIET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c12_one_warning_for_each_kind_and_incident() {
        let refusals = Refusals::default();
        let refusal = |kind: &str| Refusal { kind: kind.to_owned(), message: String::new() };
        let mut now = Instant::now();
        assert!(refusals.is_new(&refusal("READONLY"), now));
        assert!(refusals.is_new(&refusal("OOM"), now));
        for _ in 0..10 {
            now += QUIET / 2;
            assert!(!refusals.is_new(&refusal("READONLY"), now));
        }
        assert!(refusals.is_new(&refusal("OOM"), now));
        assert!(refusals.is_new(&refusal("READONLY"), now + QUIET * 2));
        let error = Refusal::error("OOM", &io::Error::other("full"));
        assert_eq!(Refusal::of(&error).map(|refusal| refusal.kind.as_str()), Some("OOM"));
        assert_eq!(error.to_string(), "full");
        assert!(Refusal::of(&io::ErrorKind::TimedOut.into()).is_none());
    }
}
