//! One computation per process for a value that many ask for at once: the first
//! one leads, the others wait for what it lands with.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
#[cfg(feature = "tokio")]
use std::{future::poll_fn, pin::pin};

use event_listener::{Event, EventListener, Listener};

use crate::store::EntryKey;

thread_local! {
    /// The computations that this thread is in the middle of, the innermost last.
    static INSIDE: RefCell<Vec<Arc<Flight>>> = const { RefCell::new(Vec::new()) };
}

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
}

/// The part that one has in a computation.
pub(super) enum Part<'f> {
    Lead(Lead<'f>),
    Follow(Arc<Flight>),
    /// This is asked for by the very computation: waiting would never end.
    Recursion,
}

impl Flights {
    /// Joins the computation of `key`.
    pub(super) fn join(&self, key: &EntryKey<'_>) -> Part<'_> {
        self.join_whole(key.full())
    }

    fn join_whole(&self, key: Vec<u8>) -> Part<'_> {
        let mut open = self.open();
        if let Some(flight) = open.get(&key) {
            return match flight.is_around() {
                true => Part::Recursion,
                false => Part::Follow(flight.clone()),
            };
        }
        let flight = Arc::new(Flight { landed: OnceLock::new(), ended: Event::new() });
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
    /// Whether it is what this thread computes now.
    fn is_around(self: &Arc<Self>) -> bool {
        let is_inside =
            |inside: &RefCell<Vec<_>>| inside.borrow().iter().any(|flight| Arc::ptr_eq(flight, self));
        INSIDE.try_with(is_inside).unwrap_or(false)
    }

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

/// As long as there is one, this thread computes for a flight.
struct Inside;

impl Inside {
    fn of(flight: &Arc<Flight>) -> Self {
        // A thread that is ending keeps no account any more.
        let _ = INSIDE.try_with(|inside| inside.borrow_mut().push(flight.clone()));
        Inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = INSIDE.try_with(|inside| inside.borrow_mut().pop());
    }
}

impl Lead<'_> {
    /// Computes. What it asks for itself is found to be a recursion.
    pub(super) fn compute<R>(&self, computation: impl FnOnce() -> R) -> R {
        let _inside = Inside::of(&self.flight);
        computation()
    }

    /// The same for a computation that goes on whenever it is polled.
    #[cfg(feature = "tokio")]
    pub(super) async fn compute_async<F: Future>(&self, computation: F) -> F::Output {
        let mut computation = pin!(computation);
        poll_fn(|context| self.compute(|| computation.as_mut().poll(context))).await
    }

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
        let Part::Lead(lead) = flights.join_whole(b"k".to_vec()) else { panic!("nobody leads yet") };
        assert!(matches!(flights.join_whole(b"other".to_vec()), Part::Lead(_)));
        std::thread::scope(|scope| {
            let followers: Vec<_> = (0..4)
                .map(|_| {
                    let Part::Follow(flight) =
                        scope.spawn(|| flights.join_whole(b"k".to_vec())).join().unwrap()
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
        assert!(matches!(flights.join_whole(b"k".to_vec()), Part::Lead(_)), "the next one computes anew");
    }

    #[test]
    fn a_leader_that_panics_lets_the_others_go_on() {
        let flights = Flights::default();
        std::thread::scope(|scope| {
            let Part::Lead(lead) = flights.join_whole(b"k".to_vec()) else { panic!("nobody leads yet") };
            let Part::Follow(flight) = flights.join_whole(b"k".to_vec()) else { panic!("somebody leads") };
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
        let Part::Lead(lead) = flights.join_whole(b"k".to_vec()) else { panic!("nobody leads yet") };
        let Part::Lead(other) = flights.join_whole(b"other".to_vec()) else { panic!("nobody leads yet") };
        let asked = || flights.join_whole(b"k".to_vec());
        assert!(matches!(lead.compute(asked), Part::Recursion));
        assert!(matches!(lead.compute(|| other.compute(asked)), Part::Recursion));
        assert!(matches!(other.compute(asked), Part::Follow(_)));
        assert!(matches!(asked(), Part::Follow(_)), "it has stopped computing, and not landed");
    }
}
