//! Single flight: concurrent callers in a process share one computation of a value. The
//! first caller leads and computes; the others wait. If the leader is cancelled or panics,
//! one of the others takes over.
//!
//! In: the key of a value and the versions that the caller has read. Out: the role of the
//! caller, or the outcome of another caller's computation.

use std::any::Any;
use std::borrow::Borrow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::Hash;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use event_listener::{Event, EventListener};

use super::stamp::Numbers;
use super::value_key::ValueKey;

/// The computations of a thread: the handle and the key as it is written.
type Inside = RefCell<Vec<(usize, Box<[u8]>)>>;

thread_local! {
    /// What this thread is computing, the innermost last.
    static COMPUTING: Inside = const { RefCell::new(Vec::new()) };
}

/// The computations in progress of the values of one handle. Clones share them.
pub(super) struct Flights<T, O>(Arc<Mutex<Open<T, O>>>);

type Open<T, O> = HashMap<FlightKey<O>, Arc<Flight<T>>>;

/// A caller joins a computation only if it has read the same versions itself.
#[derive(Clone, PartialEq, Eq, Hash)]
struct FlightKey<O> {
    key: O,
    numbers: Numbers,
}

/// One computation in progress.
struct Flight<T> {
    state: Mutex<FlightState>,
    outcome: OnceLock<Outcome<T>>,
    changed: Event,
}

struct FlightState {
    /// Whether a caller is computing.
    led: bool,
    /// The number of callers, waiting or computing.
    seats: usize,
}

/// The end of a computation, which the callers share that have waited for it. A panic or a
/// cancellation is not shared.
pub(super) enum Outcome<T> {
    Value(Arc<T>),
    Failed(Arc<dyn Any + Send + Sync>),
}

impl<T> Clone for Outcome<T> {
    fn clone(&self) -> Self {
        match self {
            Outcome::Value(value) => Outcome::Value(value.clone()),
            Outcome::Failed(error) => Outcome::Failed(error.clone()),
        }
    }
}

/// The place of one caller in a computation. Dropping it gives up the lead, if the caller
/// has it, and wakes one other caller.
pub(super) struct Seat<T, O: Clone + Eq + Hash> {
    flights: Flights<T, O>,
    key: FlightKey<O>,
    flight: Arc<Flight<T>>,
    leads: bool,
}

impl<T, O> Default for Flights<T, O> {
    fn default() -> Self {
        Flights(Arc::default())
    }
}

impl<T, O> Clone for Flights<T, O> {
    fn clone(&self) -> Self {
        Flights(self.0.clone())
    }
}

impl<T, O: Clone + Eq + Hash> Flights<T, O> {
    fn open(&self) -> MutexGuard<'_, Open<T, O>> {
        // No caller's code runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place in the computation of a value, which begins with the first place.
    pub(super) fn sit(&self, key: O, numbers: &Numbers) -> Seat<T, O> {
        let key = FlightKey { key, numbers: numbers.clone() };
        let mut open = self.open();
        let flight = open.entry(key.clone()).or_insert_with(|| {
            let state = Mutex::new(FlightState { led: false, seats: 0 });
            Arc::new(Flight { state, outcome: OnceLock::new(), changed: Event::new() })
        });
        flight.state().seats += 1;
        let flight = flight.clone();
        drop(open);
        Seat { flights: self.clone(), key, flight, leads: false }
    }

    /// Detaches the computations of a key in progress: their values reach the callers that
    /// wait for them, and are not kept.
    pub(super) fn detach<K: Eq + ?Sized>(&self, key: &K)
    where
        O: Borrow<K>,
    {
        let mut open = self.open();
        open.retain(|flight, _| flight.key.borrow() != key);
    }

    /// Returns whether this thread is computing the value, so that waiting for it would
    /// never end.
    pub(super) fn is_computed_here<K: ValueKey + ?Sized>(&self, key: &K) -> bool {
        let place = self.place();
        let is_inside = |inside: &Inside| {
            let inside = inside.borrow();
            // Most threads compute nothing.
            inside.iter().any(|(other, _)| *other == place) && {
                let key = written(key);
                inside.iter().any(|(other, computed)| *other == place && *computed == key)
            }
        };
        COMPUTING.try_with(is_inside).unwrap_or(false)
    }

    /// Runs a computation. Requests for its own value are recognized meanwhile on the threads
    /// that poll it.
    pub(super) async fn compute<K, F>(&self, key: &K, computation: F) -> F::Output
    where
        K: ValueKey + ?Sized,
        F: Future,
    {
        let key = written(key);
        let mut computation = pin!(computation);
        poll_fn(|context| {
            let _inside = Computing::of(self.place(), &key);
            computation.as_mut().poll(context)
        })
        .await
    }

    fn place(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Returns the number of callers, waiting or computing.
    #[cfg(test)]
    pub(super) fn seats(&self) -> usize {
        self.open().values().map(|flight| flight.state().seats).sum()
    }
}

impl<T> Flight<T> {
    fn state(&self) -> MutexGuard<'_, FlightState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, O: Clone + Eq + Hash> Seat<T, O> {
    /// Waits until another caller has computed the value; `None` if this caller leads now.
    pub(super) async fn wait(&mut self) -> Option<Outcome<T>> {
        loop {
            if let Some(outcome) = self.flight.outcome.get() {
                return Some(outcome.clone());
            }
            if self.lead() {
                return None;
            }
            if let Some(listener) = self.listener() {
                listener.await;
            }
        }
    }

    /// Takes the lead, if the value is not computed and no other caller computes it.
    pub(super) fn lead(&mut self) -> bool {
        let mut state = self.flight.state();
        if !state.led && self.flight.outcome.get().is_none() {
            state.led = true;
            self.leads = true;
        }
        self.leads
    }

    /// Returns a listener; `None` if there is something to do at once.
    fn listener(&self) -> Option<EventListener> {
        let listener = self.flight.changed.listen();
        let waits = self.flight.state().led && self.flight.outcome.get().is_none();
        waits.then_some(listener)
    }

    /// Returns whether the value of this computation is still wanted, and was not removed
    /// meanwhile.
    pub(super) fn is_attached(&self) -> bool {
        self.flights.open().get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight))
    }

    /// Ends the computation and passes the outcome to the callers that wait.
    pub(super) fn land(self, outcome: Outcome<T>) {
        let _ = self.flight.outcome.set(outcome);
        self.end();
        self.flight.changed.notify(usize::MAX);
    }

    /// Removes the computation, so that later callers begin another one.
    fn end(&self) {
        let mut open = self.flights.open();
        if open.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            open.remove(&self.key);
        }
    }
}

impl<T, O: Clone + Eq + Hash> Drop for Seat<T, O> {
    fn drop(&mut self) {
        let is_last = {
            // Callers sit down under the same lock, so no caller joins a computation that has
            // no seats any more.
            let mut open = self.flights.open();
            let mut state = self.flight.state();
            state.seats -= 1;
            state.led &= !self.leads;
            let is_last = state.seats == 0;
            if is_last && open.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
                open.remove(&self.key);
            }
            is_last
        };
        if self.leads && !is_last {
            self.flight.changed.notify(1);
        }
    }
}

/// Returns a key as it is written.
pub(super) fn written<K: ValueKey + ?Sized>(key: &K) -> Box<[u8]> {
    let mut bytes = Vec::new();
    key.write(&mut bytes);
    bytes.into()
}

/// Marks this thread as computing a value until it is dropped.
struct Computing;

impl Computing {
    fn of(place: usize, key: &[u8]) -> Self {
        // This fails only while the thread ends, when its thread-local variables no longer
        // exist.
        let _ = COMPUTING.try_with(|inside| inside.borrow_mut().push((place, key.into())));
        Computing
    }
}

impl Drop for Computing {
    fn drop(&mut self) {
        let _ = COMPUTING.try_with(|inside| inside.borrow_mut().pop());
    }
}
