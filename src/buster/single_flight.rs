//! Single flight: concurrent callers in a process share one computation of a value.
//! The first caller is the leader and computes; the others wait for its result.
//!
//! In: the key of a value. Out: the role of the caller, leader or waiter, and the encoded
//! value for waiters.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
#[cfg(feature = "tokio")]
use std::{future::poll_fn, pin::pin};

use event_listener::{Event, EventListener, Listener};

use crate::store::EntryKey;

thread_local! {
    /// The flights that this thread is computing, the innermost last.
    static COMPUTING: RefCell<Vec<Arc<Flight>>> = const { RefCell::new(Vec::new()) };
}

/// The computations in progress.
#[derive(Default)]
pub(super) struct Flights {
    /// The computations by the full key of the value, which includes the version.
    open: Mutex<HashMap<Vec<u8>, Arc<Flight>>>,
}

/// One computation in progress.
pub(super) struct Flight {
    /// The encoded value; `None` if the computation failed.
    landed: OnceLock<Option<Arc<[u8]>>>,
    ended: Event,
}

/// The caller's role in a computation.
pub(super) enum FlightPart<'f> {
    Lead(Lead<'f>),
    Follow(Arc<Flight>),
    /// The computation requests its own value. Waiting for it would never end.
    Recursion,
}

impl Flights {
    /// Joins the computation of `key`.
    pub(super) fn join(&self, key: &EntryKey<'_>) -> FlightPart<'_> {
        self.join_whole(key.full())
    }

    fn join_whole(&self, key: Vec<u8>) -> FlightPart<'_> {
        let mut open = self.open();
        if let Some(flight) = open.get(&key) {
            return match flight.is_computed_here() {
                true => FlightPart::Recursion,
                false => FlightPart::Follow(flight.clone()),
            };
        }
        let flight = Arc::new(Flight { landed: OnceLock::new(), ended: Event::new() });
        open.insert(key.clone(), flight.clone());
        FlightPart::Lead(Lead { flights: self, key, flight })
    }

    /// Returns the number of waiters.
    #[cfg(test)]
    pub(super) fn followers(&self) -> usize {
        self.open().values().map(|flight| flight.ended.total_listeners()).sum()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Arc<Flight>>> {
        // No caller's code runs under this lock.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Returns whether this thread is computing this flight.
    fn is_computed_here(self: &Arc<Self>) -> bool {
        let is_inside =
            |inside: &RefCell<Vec<_>>| inside.borrow().iter().any(|flight| Arc::ptr_eq(flight, self));
        COMPUTING.try_with(is_inside).unwrap_or(false)
    }

    /// Waits for the leader, and returns the encoded value; `None` if the computation
    /// failed.
    pub(super) fn wait(&self) -> Option<Arc<[u8]>> {
        while let Some(listener) = self.pending() {
            listener.wait();
        }
        self.landed.get().cloned().flatten()
    }

    /// Does the same as [`wait`](Self::wait), without blocking the thread.
    #[cfg(feature = "tokio")]
    pub(super) async fn wait_async(&self) -> Option<Arc<[u8]>> {
        while let Some(listener) = self.pending() {
            listener.await;
        }
        self.landed.get().cloned().flatten()
    }

    fn pending(&self) -> Option<EventListener> {
        if self.landed.get().is_some() {
            return None;
        }
        let listener = self.ended.listen();
        if self.landed.get().is_some() { None } else { Some(listener) }
    }
}

/// The role of the leader. Dropping it ends the flight, even after an error or a panic, so
/// that the waiters continue.
pub(super) struct Lead<'f> {
    flights: &'f Flights,
    key: Vec<u8>,
    flight: Arc<Flight>,
}

/// Marks this thread as computing a flight until it is dropped.
struct Computing;

impl Computing {
    fn of(flight: &Arc<Flight>) -> Self {
        // This fails only while the thread ends, when its thread-local variables no longer
        // exist.
        let _ = COMPUTING.try_with(|inside| inside.borrow_mut().push(flight.clone()));
        Computing
    }
}

impl Drop for Computing {
    fn drop(&mut self) {
        let _ = COMPUTING.try_with(|inside| inside.borrow_mut().pop());
    }
}

impl Lead<'_> {
    /// Runs the computation. If the computation requests its own value, the request returns
    /// `FlightPart::Recursion`.
    pub(super) fn compute<R>(&self, computation: impl FnOnce() -> R) -> R {
        let _inside = Computing::of(&self.flight);
        computation()
    }

    /// Does the same as [`compute`](Self::compute), for an asynchronous computation.
    #[cfg(feature = "tokio")]
    pub(super) async fn compute_async<F: Future>(&self, computation: F) -> F::Output {
        let mut computation = pin!(computation);
        poll_fn(|context| self.compute(|| computation.as_mut().poll(context))).await
    }

    /// Ends the flight and passes the encoded value to the waiters.
    pub(super) fn land(self, encoded: Arc<[u8]>) {
        let _ = self.flight.landed.set(Some(encoded));
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.flights.open().remove(&self.key);
        // Setting the value has no effect after `land`.
        let _ = self.flight.landed.set(None);
        self.flight.ended.notify(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_get_the_value_of_the_leader() {
        let flights = Flights::default();
        let FlightPart::Lead(lead) = flights.join_whole(b"k".to_vec()) else {
            panic!("there is no leader yet")
        };
        assert!(matches!(flights.join_whole(b"other".to_vec()), FlightPart::Lead(_)));
        std::thread::scope(|scope| {
            let followers: Vec<_> = (0..4)
                .map(|_| {
                    let FlightPart::Follow(flight) =
                        scope.spawn(|| flights.join_whole(b"k".to_vec())).join().unwrap()
                    else {
                        panic!("there is a leader")
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
            matches!(flights.join_whole(b"k".to_vec()), FlightPart::Lead(_)),
            "the next caller computes again"
        );
    }

    #[test]
    fn waiters_continue_after_a_leader_panics() {
        let flights = Flights::default();
        std::thread::scope(|scope| {
            let FlightPart::Lead(lead) = flights.join_whole(b"k".to_vec()) else {
                panic!("there is no leader yet")
            };
            let FlightPart::Follow(flight) = flights.join_whole(b"k".to_vec()) else {
                panic!("there is a leader")
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
        let FlightPart::Lead(lead) = flights.join_whole(b"k".to_vec()) else {
            panic!("there is no leader yet")
        };
        let FlightPart::Lead(other) = flights.join_whole(b"other".to_vec()) else {
            panic!("there is no leader yet")
        };
        let asked = || flights.join_whole(b"k".to_vec());
        assert!(matches!(lead.compute(asked), FlightPart::Recursion));
        assert!(matches!(lead.compute(|| other.compute(asked)), FlightPart::Recursion));
        assert!(matches!(other.compute(asked), FlightPart::Follow(_)));
        assert!(
            matches!(asked(), FlightPart::Follow(_)),
            "the leader has stopped computing, but the flight has not ended"
        );
    }
}
