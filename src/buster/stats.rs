//! Counts of what values have cost.
//!
//! In: hits, computations and failures. Out: their numbers.

use std::sync::atomic::{AtomicU64, Ordering};

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
        }
    }
}

/// The number of counters that threads share.
const STRIPES: usize = 4;

thread_local! {
    static STRIPE: usize = {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        usize::try_from(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or(0) % STRIPES
    };
}

/// A counter in a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Padded(AtomicU64);

/// The counters of one cache. Hits are counted apart for each thread, because they are too
/// frequent to share a counter.
#[derive(Debug, Default)]
pub(super) struct Counters {
    hits: [Padded; STRIPES],
    pub shared_hits: AtomicU64,
    pub joined: AtomicU64,
    pub loads: AtomicU64,
    pub failures: AtomicU64,
}

impl Counters {
    #[inline]
    pub(super) fn hit(&self) {
        let stripe = STRIPE.try_with(|stripe| *stripe).unwrap_or(0);
        self.hits[stripe].0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> CacheStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStats {
            hits: self.hits.iter().map(|Padded(hits)| read(hits)).sum(),
            shared_hits: read(&self.shared_hits),
            joined: read(&self.joined),
            loads: read(&self.loads),
            failures: read(&self.failures),
        }
    }
}
