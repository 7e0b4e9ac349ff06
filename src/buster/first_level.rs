//! The first level of values: typed values in this process, without a copy and without
//! decoding.
//!
//! In: keys, and values with the versions that they are made from. Out: values, which the
//! caller compares with the current versions.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::stamp::Numbers;

/// The default of [`max_entries`](super::Values::max_entries).
pub(super) const DEFAULT_MAX_ENTRIES: usize = 10_000;

type Weigh<T> = dyn Fn(&str, &T) -> u64 + Send + Sync;
type TtlOf<T> = dyn Fn(&str, &T) -> Option<Duration> + Send + Sync;

/// What is kept, and for how long.
pub(super) struct Limits<T> {
    pub max_entries: usize,
    /// The capacity, and the weight of an entry.
    pub weigher: Option<(u64, Arc<Weigh<T>>)>,
    pub ttl: Option<Duration>,
    pub ttl_of: Option<Arc<TtlOf<T>>>,
    /// The largest part by which a time to live is shortened at random.
    pub jitter: f64,
    /// How long after its time to live a value may be returned while another caller
    /// computes it.
    pub stale: Duration,
}

impl<T> Default for Limits<T> {
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

impl<T> Clone for Limits<T> {
    fn clone(&self) -> Self {
        let Limits { max_entries, weigher, ttl, ttl_of, jitter, stale } = self;
        let (max_entries, ttl, jitter, stale) = (*max_entries, *ttl, *jitter, *stale);
        Limits { max_entries, weigher: weigher.clone(), ttl, ttl_of: ttl_of.clone(), jitter, stale }
    }
}

impl<T> fmt::Debug for Limits<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("max_entries", &self.max_entries)
            .field("ttl", &self.ttl)
            .field("jitter", &self.jitter)
            .field("stale", &self.stale)
            .finish_non_exhaustive()
    }
}

impl<T> Limits<T> {
    fn weight(&self, key: &str, value: &T) -> u64 {
        // The cache never evicts an entry of the weight 0.
        self.weigher.as_ref().map_or(1, |(_, weigh)| weigh(key, value).max(1))
    }

    fn life(&self, key: &str, value: &T) -> Option<Life> {
        let of_value = self.ttl_of.as_ref().and_then(|ttl_of| ttl_of(key, value));
        let ttl = of_value.or(self.ttl)?;
        let fresh_until = Instant::now().checked_add(self.shortened(ttl))?;
        // A time that cannot be represented never comes.
        let stale_until = fresh_until.checked_add(self.stale);
        Some(Life { fresh_until, stale_until })
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
    life: Option<Life>,
    weight: u64,
    pub value: Arc<T>,
}

#[derive(Clone, Copy)]
struct Life {
    fresh_until: Instant,
    stale_until: Option<Instant>,
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
    pub(super) fn new(limits: &Limits<T>, key: &str, numbers: Numbers, value: Arc<T>) -> Self {
        let (life, weight) = (limits.life(key, &value), limits.weight(key, &value));
        Entry { numbers, life, weight, value }
    }

    /// Returns how long the entry remains fresh; `None` if there is no limit.
    pub(super) fn rest(&self) -> Option<Duration> {
        let life = self.life.as_ref()?;
        Some(life.fresh_until.saturating_duration_since(Instant::now()))
    }

    /// Shortens the time to live to what is left of it, for a value that was computed
    /// earlier.
    pub(super) fn at_most(mut self, rest: Option<Duration>) -> Self {
        let until = rest.and_then(|rest| Instant::now().checked_add(rest));
        if let (Some(life), Some(until)) = (&mut self.life, until)
            && until < life.fresh_until
        {
            let shorter = life.fresh_until - until;
            life.stale_until = life.stale_until.and_then(|stale| stale.checked_sub(shorter));
            life.fresh_until = until;
        }
        self
    }

    /// Reads the clock only if the entry has a time to live.
    #[inline]
    pub(super) fn age(&self) -> Age {
        self.life.as_ref().map_or(Age::Fresh, Life::age)
    }
}

impl Life {
    fn age(&self) -> Age {
        let now = Instant::now();
        if now < self.fresh_until {
            Age::Fresh
        } else if self.stale_until.is_none_or(|until| now < until) {
            Age::Stale
        } else {
            Age::Expired
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct ByWeight;

impl<T> Weighter<Box<str>, Entry<T>> for ByWeight {
    fn weight(&self, _: &Box<str>, entry: &Entry<T>) -> u64 {
        entry.weight
    }
}

/// The place of the entries.
pub(super) enum FirstLevel<T> {
    Nothing,
    /// One value, which has no key.
    One(ArcSwapOption<Entry<T>>),
    Keyed(Box<Cache<Box<str>, Entry<T>, ByWeight>>),
}

impl<T> FirstLevel<T> {
    pub(super) fn keyed(limits: &Limits<T>) -> Self {
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
    pub(super) fn get(&self, key: &str) -> Option<Entry<T>> {
        match self {
            FirstLevel::Nothing => None,
            FirstLevel::One(entry) => entry.load().as_deref().cloned(),
            FirstLevel::Keyed(cache) => cache.get(key),
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
    pub(super) fn peek(&self, key: &str) -> Option<Entry<T>> {
        match self {
            FirstLevel::Keyed(cache) => cache.peek(key),
            FirstLevel::Nothing | FirstLevel::One(_) => self.get(key),
        }
    }

    pub(super) fn insert(&self, key: &str, entry: Entry<T>) {
        match self {
            FirstLevel::Nothing => {}
            FirstLevel::One(place) => place.store(Some(Arc::new(entry))),
            FirstLevel::Keyed(cache) => cache.insert(key.into(), entry),
        }
    }

    pub(super) fn remove(&self, key: &str) {
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
