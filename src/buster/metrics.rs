//! The metrics of the reading side, for the recorder that the application has installed.
//!
//! In: counters, and the events of the refresher. Out: calls of the facade `metrics`. Hits
//! are not recorded one by one: the refresher adds what has been counted since its last poll.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::stats::CacheStats;
use crate::model::Identity;

const LOOKUPS: &str = "bustard.cache.lookups";
const LOADS: &str = "bustard.cache.loads";
const LOAD_DURATION: &str = "bustard.cache.load.duration";
const INVALIDATIONS: &str = "bustard.invalidations";
const REFRESH_AGE: &str = "bustard.refresh.age";
const REFRESH_ERRORS: &str = "bustard.refresh.errors";
const CACHES: &str = "bustard.refresh.caches";

/// What has been recorded of a cache.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    stats: Mutex<CacheStats>,
    identity: Mutex<Option<Identity>>,
}

/// Describes the metrics.
pub(super) fn describe() {
    describe_counter!(LOOKUPS, Unit::Count, "Lookups of cached values, by cache and result");
    describe_counter!(LOADS, Unit::Count, "Computations of cached values, by cache and result");
    describe_histogram!(LOAD_DURATION, Unit::Seconds, "The time of each computation of a cached value");
    describe_counter!(INVALIDATIONS, Unit::Count, "Invalidations of a cache that this process has seen");
    describe_gauge!(REFRESH_AGE, Unit::Seconds, "How old the versions that this process knows are");
    describe_counter!(REFRESH_ERRORS, Unit::Count, "Failed attempts to read the versions");
    describe_gauge!(CACHES, Unit::Count, "Caches whose versions this process reads");
}

impl Recorded {
    /// Records what was counted of a cache since the last call.
    pub(super) fn record(&self, cache: &str, now: CacheStats) {
        let mut last = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, result, now, last) in [
            (LOOKUPS, "hit", now.hits, last.hits),
            (LOOKUPS, "shared_hit", now.shared_hits, last.shared_hits),
            (LOOKUPS, "joined", now.joined, last.joined),
            (LOOKUPS, "miss", now.loads, last.loads),
            (LOADS, "ok", now.loads - now.failures, last.loads - last.failures),
            (LOADS, "error", now.failures, last.failures),
        ] {
            // Counters are read one after another, so a difference may come a poll later.
            if let Some(more @ 1..) = now.checked_sub(last) {
                counter!(name, "cache" => cache.to_owned(), "result" => result).increment(more);
            }
        }
        *last = now;
    }

    /// Records the invalidations between two versions of a cache that this process has read.
    pub(super) fn seen(&self, cache: &str, now: Identity) {
        let mut last = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = *last
            && last != now
        {
            // Of another database, the count says nothing.
            let more = u64::try_from(now.n.saturating_sub(last.n)).unwrap_or(1).max(1);
            counter!(INVALIDATIONS, "cache" => cache.to_owned()).increment(more);
        }
        *last = Some(now);
    }
}

/// Records the number of caches.
pub(super) fn caches(count: usize) {
    gauge!(CACHES).set(count as f64);
}

/// Records one computation.
pub(super) fn loaded(cache: &str, took: Duration) {
    histogram!(LOAD_DURATION, "cache" => cache.to_owned()).record(took);
}

/// Records how old the versions are; `None` if they are unknown.
pub(super) fn refreshed(age: Option<Duration>) {
    gauge!(REFRESH_AGE).set(age.map_or(f64::INFINITY, |age| age.as_secs_f64()));
}

/// Records a failure to read the versions.
pub(super) fn refresh_failed() {
    counter!(REFRESH_ERRORS).increment(1);
}
