//! One computation per process for a value that many ask for at once: the first
//! one leads, the others wait for what it lands with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;

use event_listener::{Event, EventListener, Listener};

use crate::store::EntryKey;

/// The computations under way.
#[derive(Default)]
pub(super) struct Flights {
    /// By the whole key of the value, version included.
    open: Mutex<HashMap<Vec<u8>, Arc<Flight>>>,
}

/// One of them.
pub(super) struct Flight {
    /// What it landed with, encoded; `None` if it came to nothing.
    landed: OnceLock<Option<Arc<[u8]>>>,
    ended: Event,
    /// Whose thread it occupies, if it does.
    leader: Option<ThreadId>,
}

/// The part that one has in a computation.
pub(super) enum Part<'f> {
    Lead(Lead<'f>),
    Follow(Arc<Flight>),
    /// The leader is this very thread, further up: waiting would never end.
    Recursion,
}

impl Flights {
    /// Joins the computation of `key`. A leader that `blocks` computes on this
    /// thread.
    pub(super) fn join(&self, key: &EntryKey<'_>, blocks: bool) -> Part<'_> {
        self.join_whole(key.full(), blocks)
    }

    fn join_whole(&self, key: Vec<u8>, blocks: bool) -> Part<'_> {
        let this = std::thread::current().id();
        let mut open = self.open();
        if let Some(flight) = open.get(&key) {
            return match flight.leader == Some(this) {
                true => Part::Recursion,
                false => Part::Follow(flight.clone()),
            };
        }
        let leader = blocks.then_some(this);
        let flight = Arc::new(Flight { landed: OnceLock::new(), ended: Event::new(), leader });
        open.insert(key.clone(), flight.clone());
        Part::Lead(Lead { flights: self, key, flight })
    }

    /// How many wait for others now.
    #[cfg(test)]
    pub(super) fn followers(&self) -> usize {
        self.open().values().map(|flight| flight.ended.total_listeners()).sum()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Arc<Flight>>> {
        // No code of others runs under this lock.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Waits for the leader.
    pub(super) fn wait(&self) -> Option<Arc<[u8]>> {
        while let Some(listener) = self.not_yet() {
            listener.wait();
        }
        self.landed.get().cloned().flatten()
    }

    /// The same without blocking the thread.
    #[cfg(feature = "tokio")]
    pub(super) async fn wait_async(&self) -> Option<Arc<[u8]>> {
        while let Some(listener) = self.not_yet() {
            listener.await;
        }
        self.landed.get().cloned().flatten()
    }

    fn not_yet(&self) -> Option<EventListener> {
        if self.landed.get().is_some() {
            return None;
        }
        let listener = self.ended.listen();
        if self.landed.get().is_some() { None } else { Some(listener) }
    }
}

/// Whoever computes. However this ends, by an error or a panic too, the others go on.
pub(super) struct Lead<'f> {
    flights: &'f Flights,
    key: Vec<u8>,
    flight: Arc<Flight>,
}

impl Lead<'_> {
    /// Hands the others what has been computed.
    pub(super) fn land(self, encoded: Arc<[u8]>) {
        let _ = self.flight.landed.set(Some(encoded));
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.flights.open().remove(&self.key);
        // Already set if it has landed.
        let _ = self.flight.landed.set(None);
        self.flight.ended.notify(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_get_what_the_leader_lands_with() {
        let flights = Flights::default();
        let Part::Lead(lead) = flights.join_whole(b"k".to_vec(), true) else { panic!("nobody leads yet") };
        assert!(matches!(flights.join_whole(b"other".to_vec(), true), Part::Lead(_)));
        std::thread::scope(|scope| {
            let followers: Vec<_> = (0..4)
                .map(|_| {
                    let Part::Follow(flight) =
                        scope.spawn(|| flights.join_whole(b"k".to_vec(), true)).join().unwrap()
                    else {
                        panic!("somebody leads")
                    };
                    scope.spawn(move || flight.wait())
                })
                .collect();
            lead.land(b"value"[..].into());
            for follower in followers {
                assert_eq!(follower.join().unwrap().as_deref(), Some(&b"value"[..]));
            }
        });
        assert!(
            matches!(flights.join_whole(b"k".to_vec(), true), Part::Lead(_)),
            "the next one computes anew"
        );
    }

    #[test]
    fn a_leader_that_panics_lets_the_others_go_on() {
        let flights = Flights::default();
        std::thread::scope(|scope| {
            let Part::Lead(lead) = flights.join_whole(b"k".to_vec(), false) else {
                panic!("nobody leads yet")
            };
            let Part::Follow(flight) = flights.join_whole(b"k".to_vec(), true) else {
                panic!("somebody leads")
            };
            let leader = scope.spawn(move || {
                let _lead = lead;
                panic!("the computation fails");
            });
            assert_eq!(flight.wait(), None);
            assert!(leader.join().is_err());
        });
    }

    #[test]
    fn a_leader_does_not_wait_for_itself() {
        let flights = Flights::default();
        let Part::Lead(_lead) = flights.join_whole(b"k".to_vec(), true) else { panic!("nobody leads yet") };
        assert!(matches!(flights.join_whole(b"k".to_vec(), true), Part::Recursion));
    }
}
