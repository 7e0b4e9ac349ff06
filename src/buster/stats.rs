//! Counts of what values have cost.
//!
//! In: hits, computations and failures. Out: their numbers.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The numbers of lookups of the values of a cache since the start of the `CacheBuster`,
/// including [`Memo`](super::Memo). Lookups in transactions
/// ([`get_or_try_insert_in`](super::Values::get_or_try_insert_in)) and of
/// [`get_many`](super::Values::get_many) count only their computations and hits in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Values that were found in this process.
    pub hits: u64,
    /// Values that were found in a store.
    pub shared_hits: u64,
    /// Callers that waited for the computation of another caller.
    pub joined: u64,
    /// Computations, including those that failed.
    pub loads: u64,
    /// Computations that failed.
    pub failures: u64,
    /// The time of all computations.
    pub load_time: Duration,
}

impl std::ops::Add for CacheStats {
    type Output = CacheStats;

    fn add(self, other: CacheStats) -> CacheStats {
        CacheStats {
            hits: self.hits + other.hits,
            shared_hits: self.shared_hits + other.shared_hits,
            joined: self.joined + other.joined,
            loads: self.loads + other.loads,
            failures: self.failures + other.failures,
            load_time: self.load_time.saturating_add(other.load_time),
        }
    }
}

/// The number of counters that belong to one thread each. Their thread adds without a locked
/// instruction, which would be the largest part of the time of a hit.
const OWNED: usize = 8;

/// The number of counters that further threads share.
const SHARED: usize = 4;

/// The stripes of [`OWNED`] that no thread has. The lock orders the additions of one owner
/// before those of the next.
static FREE: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// The number of stripes that threads have had.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Stands for a thread that has no stripe yet.
const NO_STRIPE: usize = usize::MAX;

thread_local! {
    /// The stripe of this thread.
    static STRIPE: Cell<usize> = const { Cell::new(NO_STRIPE) };
    /// Gives the stripe back when the thread ends.
    static LEASE: Cell<Option<Lease>> = const { Cell::new(None) };
}

/// The ownership of a stripe.
struct Lease(usize);

impl Drop for Lease {
    fn drop(&mut self) {
        // What this thread counts from now on goes to a counter that threads share.
        STRIPE.set(OWNED);
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self.0);
    }
}

/// Chooses the stripe of this thread: one of its own, if there is one left.
#[cold]
fn choose_stripe() -> usize {
    let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let stripe = free.unwrap_or_else(|| TAKEN.fetch_add(1, Ordering::Relaxed));
    let stripe = match stripe {
        // While the thread ends, it gets no lease any more, and must not own a stripe.
        owned if owned < OWNED => match LEASE.try_with(|lease| lease.set(Some(Lease(owned)))) {
            Ok(()) => owned,
            Err(_) => OWNED,
        },
        further => OWNED + further % SHARED,
    };
    STRIPE.set(stripe);
    stripe
}

/// A counter in a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Padded(AtomicU64);

/// The counters of one cache. Hits are counted apart for each thread, because they are too
/// frequent to share a counter.
#[derive(Debug, Default)]
pub(super) struct Counters {
    hits: [Padded; OWNED + SHARED],
    pub shared_hits: AtomicU64,
    pub joined: AtomicU64,
    pub loads: AtomicU64,
    pub failures: AtomicU64,
    /// Nanoseconds.
    pub load_time: AtomicU64,
}

impl Counters {
    #[inline]
    pub(super) fn hit(&self) {
        let stripe = match STRIPE.get() {
            NO_STRIPE => choose_stripe(),
            stripe => stripe,
        };
        let Padded(hits) = &self.hits[stripe];
        if stripe < OWNED {
            // Only this thread writes to it.
            hits.store(hits.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        } else {
            hits.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn stats(&self) -> CacheStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStats {
            hits: self.hits.iter().map(|Padded(hits)| read(hits)).sum(),
            shared_hits: read(&self.shared_hits),
            joined: read(&self.joined),
            loads: read(&self.loads),
            failures: read(&self.failures),
            load_time: Duration::from_nanos(read(&self.load_time)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// No hit is lost or counted twice: with few threads, with more threads than stripes, and
    /// when threads pass stripes on.
    #[test]
    fn c2_every_hit_is_counted() {
        let counters = Counters::default();
        let mut counted = 0;
        for threads in [1, 2, OWNED, 3 * (OWNED + SHARED)] {
            for _ in 0..5 {
                thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| (0..10_000).for_each(|_| counters.hit()));
                    }
                });
                counted += threads as u64 * 10_000;
                assert_eq!(counters.stats().hits, counted);
            }
        }
    }
}
