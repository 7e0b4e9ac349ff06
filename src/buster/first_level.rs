//! The first level of values: typed values in this process, without a copy and without
//! decoding.
//!
//! In: keys, and values with the versions that they are made from. Out: values, which the
//! caller compares with the current versions.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::stamp::Numbers;
use super::value_key::ValueKey;

/// The default of [`max_entries`](super::Values::max_entries).
pub(super) const DEFAULT_MAX_ENTRIES: usize = 10_000;

type Weigh<T, K> = dyn Fn(&K, &T) -> u64 + Send + Sync;
type TtlOf<T, K> = dyn Fn(&K, &T) -> Option<Duration> + Send + Sync;

/// What is kept, and for how long.
pub(super) struct Limits<T, K: ?Sized> {
    pub max_entries: usize,
    /// The capacity, and the weight of an entry.
    pub weigher: Option<(u64, Arc<Weigh<T, K>>)>,
    pub ttl: Option<Duration>,
    pub ttl_of: Option<Arc<TtlOf<T, K>>>,
    /// The largest part by which a time to live is shortened at random.
    pub jitter: f64,
    /// How long after its time to live a value may be returned while another caller
    /// computes it.
    pub stale: Duration,
}

impl<T, K: ?Sized> Default for Limits<T, K> {
    fn default() -> Self {
        Limits {
            max_entries: DEFAULT_MAX_ENTRIES,
            weigher: None,
            ttl: None,
            ttl_of: None,
            jitter: 0.0,
            stale: Duration::ZERO,
        }
    }
}

impl<T, K: ?Sized> Clone for Limits<T, K> {
    fn clone(&self) -> Self {
        let Limits { max_entries, weigher, ttl, ttl_of, jitter, stale } = self;
        let (max_entries, ttl, jitter, stale) = (*max_entries, *ttl, *jitter, *stale);
        Limits { max_entries, weigher: weigher.clone(), ttl, ttl_of: ttl_of.clone(), jitter, stale }
    }
}

impl<T, K: ?Sized> fmt::Debug for Limits<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("max_entries", &self.max_entries)
            .field("ttl", &self.ttl)
            .field("jitter", &self.jitter)
            .field("stale", &self.stale)
            .finish_non_exhaustive()
    }
}

impl<T, K: ?Sized> Limits<T, K> {
    fn weight(&self, key: &K, value: &T) -> u64 {
        // The cache never evicts an entry of the weight 0.
        self.weigher.as_ref().map_or(1, |(_, weigh)| weigh(key, value).max(1))
    }

    /// Returns the life of a value, with a time to live of its own if one is given.
    fn life(&self, key: &K, value: &T, own: Option<Duration>) -> Life {
        let of_value = || self.ttl_of.as_ref().and_then(|ttl_of| ttl_of(key, value));
        match own.or_else(of_value).or(self.ttl) {
            Some(ttl) => Life::new(self.shortened(ttl), self.stale),
            None => Life { fresh_until: NEVER, stale_until: NEVER },
        }
    }

    /// Shortens a time at random, so that values which were computed together do not expire
    /// together.
    fn shortened(&self, ttl: Duration) -> Duration {
        if self.jitter <= 0.0 {
            return ttl;
        }
        let random = RandomState::new().hash_one(()) % 1024;
        let part = f64::from(u32::try_from(random).unwrap_or(0)) / 1024.0;
        Duration::try_from_secs_f64(ttl.as_secs_f64() * (1.0 - self.jitter * part)).unwrap_or(ttl)
    }
}

/// A value with the versions that it is made from.
pub(super) struct Entry<T> {
    pub numbers: Numbers,
    life: Life,
    weight: u64,
    pub value: Arc<T>,
}

/// When an entry ends, in nanoseconds since [`start`]. Two numbers are copied with each hit.
#[derive(Clone, Copy)]
struct Life {
    fresh_until: u64,
    stale_until: u64,
}

/// A time that does not come.
const NEVER: u64 = u64::MAX;

/// Returns a time of the monotonic clock before the first time to live.
fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}

/// Returns the nanoseconds since the start.
fn now() -> u64 {
    nanoseconds(start().elapsed())
}

/// How old an entry is, apart from its versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Fresh,
    Stale,
    Expired,
}

impl<T> Clone for Entry<T> {
    #[inline]
    fn clone(&self) -> Self {
        let (life, weight) = (self.life, self.weight);
        Entry { numbers: self.numbers.clone(), life, weight, value: self.value.clone() }
    }
}

impl<T> Entry<T> {
    /// Creates an entry, with a time to live of its own if one is given.
    pub(super) fn new<K: ?Sized>(
        limits: &Limits<T, K>,
        key: &K,
        numbers: Numbers,
        value: Arc<T>,
        ttl: Option<Duration>,
    ) -> Self {
        let (life, weight) = (limits.life(key, &value, ttl), limits.weight(key, &value));
        Entry { numbers, life, weight, value }
    }

    /// Returns how long the entry remains fresh; `None` if there is no limit.
    pub(super) fn rest(&self) -> Option<Duration> {
        let until = self.life.fresh_until;
        (until != NEVER).then(|| Duration::from_nanos(until.saturating_sub(now())))
    }

    /// Shortens the time to live to what is left of it, for a value that was computed
    /// earlier.
    pub(super) fn at_most(mut self, rest: Option<Duration>) -> Self {
        if let (Some(rest), Life { fresh_until, stale_until }) = (rest, &mut self.life)
            && *fresh_until != NEVER
        {
            let until = now().saturating_add(nanoseconds(rest));
            let shorter = fresh_until.saturating_sub(until);
            if *stale_until != NEVER {
                *stale_until -= shorter;
            }
            *fresh_until -= shorter;
        }
        self
    }

    /// Reads the clock only if the entry has a time to live.
    #[inline]
    pub(super) fn age(&self) -> Age {
        if self.life.fresh_until == NEVER { Age::Fresh } else { self.life.age() }
    }
}

impl Life {
    fn new(ttl: Duration, stale: Duration) -> Self {
        // A time that cannot be represented does not come.
        let fresh_until = now().saturating_add(nanoseconds(ttl));
        Life { fresh_until, stale_until: fresh_until.saturating_add(nanoseconds(stale)) }
    }

    fn age(&self) -> Age {
        let now = now();
        if now < self.fresh_until {
            Age::Fresh
        } else if now < self.stale_until {
            Age::Stale
        } else {
            Age::Expired
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct ByWeight;

impl<T, O> Weighter<O, Entry<T>> for ByWeight {
    fn weight(&self, _: &O, entry: &Entry<T>) -> u64 {
        entry.weight
    }
}

/// The place of the entries.
pub(super) enum FirstLevel<T, K: ValueKey + ?Sized> {
    Nothing,
    /// One value, which has no key.
    One(ArcSwapOption<Entry<T>>),
    Keyed(Box<Cache<K::Owned, Entry<T>, ByWeight>>),
}

impl<T, K: ValueKey + ?Sized> FirstLevel<T, K> {
    pub(super) fn keyed(limits: &Limits<T, K>) -> Self {
        let capacity = limits.weigher.as_ref().map_or(limits.max_entries as u64, |(capacity, _)| *capacity);
        if limits.max_entries == 0 || capacity == 0 {
            return FirstLevel::Nothing;
        }
        let options = OptionsBuilder::new()
            .estimated_items_capacity(limits.max_entries)
            .weight_capacity(capacity)
            .build();
        // The options are complete, which is the only condition.
        let Ok(options) = options else { return FirstLevel::Nothing };
        let hasher = DefaultHashBuilder::default();
        FirstLevel::Keyed(Box::new(Cache::with_options(
            options,
            ByWeight,
            hasher,
            DefaultLifecycle::default(),
        )))
    }

    pub(super) fn one() -> Self {
        FirstLevel::One(ArcSwapOption::empty())
    }

    #[inline]
    pub(super) fn get(&self, key: &K) -> Option<Entry<T>> {
        match self {
            FirstLevel::Nothing => None,
            FirstLevel::One(entry) => entry.load().as_deref().cloned(),
            FirstLevel::Keyed(cache) => cache.get(key),
        }
    }

    /// Returns the value of an entry that satisfies a condition.
    #[inline]
    pub(super) fn get_if(&self, key: &K, condition: impl Fn(&Entry<T>) -> bool) -> Option<Arc<T>> {
        match self {
            FirstLevel::Nothing => None,
            FirstLevel::One(entry) => {
                let entry = entry.load();
                entry.as_deref().filter(|entry| condition(entry)).map(|entry| entry.value.clone())
            }
            FirstLevel::Keyed(cache) => {
                let found = cache.get(key);
                // The entry is not moved. The processor would wait for the parts of the copy,
                // which takes a fifth of the time of a hit.
                match &found {
                    Some(entry) if condition(entry) => {}
                    _ => return None,
                }
                found.map(|entry| entry.value)
            }
        }
    }

    /// Returns the only entry, without counting a reference.
    #[inline]
    pub(super) fn only(&self) -> Option<Guard<Option<Arc<Entry<T>>>>> {
        match self {
            FirstLevel::One(entry) => Some(entry.load()),
            FirstLevel::Nothing | FirstLevel::Keyed(_) => None,
        }
    }

    /// Returns the entry without counting as a use of it.
    pub(super) fn peek(&self, key: &K) -> Option<Entry<T>> {
        match self {
            FirstLevel::Keyed(cache) => cache.peek(key),
            FirstLevel::Nothing | FirstLevel::One(_) => self.get(key),
        }
    }

    pub(super) fn insert(&self, key: &K, entry: Entry<T>) {
        match self {
            FirstLevel::Nothing => {}
            FirstLevel::One(place) => place.store(Some(Arc::new(entry))),
            FirstLevel::Keyed(cache) => cache.insert(key.to_owned(), entry),
        }
    }

    pub(super) fn remove(&self, key: &K) {
        match self {
            FirstLevel::Nothing => {}
            FirstLevel::One(place) => place.store(None),
            FirstLevel::Keyed(cache) => drop(cache.remove(key)),
        }
    }

    /// Returns the number of entries, including those of versions that are not current.
    pub(super) fn len(&self) -> usize {
        match self {
            FirstLevel::Nothing => 0,
            FirstLevel::One(entry) => usize::from(entry.load().is_some()),
            FirstLevel::Keyed(cache) => cache.len(),
        }
    }
}
