//! The levels that values are looked up in: the first level in this process, the shared
//! level behind it if there is one, and the computation, which callers share.
//!
//! In: a key and a function that loads its value. Out: the value.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::cache_key::{KeyOf, no_key, texts};
use super::first_level::{Age, Entry, FirstLevel, Limits};
use super::key_cells::KeyView;
use super::load_error::LoadError;
use super::park::Mode;
use super::shared_level::SharedLevel;
use super::single_flight::{Flights, Outcome, Seat, written};
use super::sources::{Sources, key_stamp_of};
use super::stamp::{Numbers, Stamp};
use super::stats::Counters;
use super::value_key::ValueKey;
use crate::engine::Executor;
use crate::error::Result;
use crate::registry::identity;

/// The levels of the values of a name.
pub(super) struct Levels<T, K: ValueKey + ?Sized> {
    pub sources: Sources,
    /// How a key finds its bucket, if each value has the version of its key.
    pub key_of: Option<KeyOf<K>>,
    pub limits: Limits<T, K>,
    pub first: FirstLevel<T, K>,
    pub behind: Option<SharedLevel<T>>,
    pub flights: Flights<T, K::Owned>,
    /// The number of values that are computed again in the background.
    pub refreshing: AtomicUsize,
}

pub(super) enum Found<T> {
    Fresh(Arc<T>),
    /// The time to live has ended. The versions are current.
    Stale(Arc<T>),
    Nothing,
}

impl<T, K: ValueKey + ?Sized> Levels<T, K> {
    /// Returns the view of the keys, the bucket of a key and its values, if each value has the
    /// version of its key.
    fn place(&self, key: &K) -> Result<Option<(&KeyView, usize, KeyOf<K>)>> {
        let (Some(keys), Some(of)) = (&self.sources.keys, self.key_of) else { return Ok(None) };
        let bucket = (of.bucket)(key, &keys.cells.rule);
        bucket.map(|bucket| Some((keys, bucket, of))).ok_or_else(|| no_key(&self.sources.slots[0].name))
    }

    /// Returns the versions that are current now.
    pub(super) fn stamp(&self, key: &K) -> Result<Stamp> {
        match self.place(key)? {
            Some((keys, bucket, _)) => self.sources.key_stamp(keys, bucket),
            None => self.sources.stamp(),
        }
    }

    /// Returns the versions that a transaction has read; `None` if it has invalidated one of
    /// the caches itself, or any key of it.
    pub(super) fn stamp_in(&self, executor: &mut impl Executor, key: &K) -> Result<Option<Stamp>> {
        let Some((keys, bucket, of)) = self.place(key)? else { return self.sources.stamp_in(executor) };
        let values = (of.values)(key);
        let sight = identity::sight(executor, &self.sources.slots[0].name, Some(&texts(&values)))?;
        Ok((!sight.own).then(|| key_stamp_of(keys, bucket, sight.database, sight.identity)))
    }

    /// Does the same as [`stamp_in`](Self::stamp_in), on a connection or transaction of
    /// tokio-postgres.
    #[cfg(feature = "tokio")]
    pub(super) async fn stamp_in_async(
        &self,
        executor: &impl crate::engine::AsyncExecutor,
        key: &K,
    ) -> Result<Option<Stamp>> {
        let Some((keys, bucket, of)) = self.place(key)? else {
            return self.sources.stamp_in_async(executor).await;
        };
        let (name, values) = (&self.sources.slots[0].name, (of.values)(key));
        let sight = crate::registry::asynchronous::sight(executor, name, Some(&texts(&values))).await?;
        Ok((!sight.own).then(|| key_stamp_of(keys, bucket, sight.database, sight.identity)))
    }

    /// Returns a value of the first level. Reads no snapshot.
    #[inline]
    pub(super) fn hit(&self, key: &K) -> Option<Arc<T>> {
        let value = self.first.get_if(key, |entry| self.is_usable(entry))?;
        self.count_hit();
        Some(value)
    }

    /// Calls a function with the only value, without counting a reference; returns the
    /// function if the value is not kept.
    #[inline]
    pub(super) fn with_only<R, F: FnOnce(&T) -> R>(&self, f: F) -> Result<R, F> {
        if let Some(only) = self.first.only()
            && let Some(entry) = &*only
            && self.is_usable(entry)
        {
            self.count_hit();
            return Ok(f(&entry.value));
        }
        Err(f)
    }

    /// Counts a hit for each cache.
    #[inline]
    pub(super) fn count_hit(&self) {
        self.sources.slots.iter().for_each(|slot| slot.counters.hit());
    }

    /// Counts an event for each cache.
    fn count(&self, counter: fn(&Counters) -> &AtomicU64) {
        for slot in &*self.sources.slots {
            counter(&slot.counters).fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a computation that has begun at this time.
    pub(super) fn counted<R, E>(&self, began: Instant, computed: Result<R, E>) -> Result<R, E> {
        let took = began.elapsed();
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        for slot in &*self.sources.slots {
            slot.counters.loads.fetch_add(1, Ordering::Relaxed);
            slot.counters.load_time.fetch_add(nanoseconds, Ordering::Relaxed);
            #[cfg(feature = "metrics")]
            super::metrics::loaded(&slot.name, took);
        }
        if computed.is_err() {
            self.count(|counters| &counters.failures);
        }
        computed
    }

    /// Does the same as [`hit`](Self::hit), without counting as a use.
    pub(super) fn peek(&self, key: &K) -> Option<Arc<T>> {
        let entry = self.first.peek(key)?;
        self.is_usable(&entry).then_some(entry.value)
    }

    /// Returns whether an entry is current and fresh.
    #[inline]
    pub(super) fn is_usable(&self, entry: &Entry<T>) -> bool {
        self.sources.is_current(&entry.numbers) && entry.age() == Age::Fresh
    }

    /// Looks up a value of these versions in the first level.
    pub(super) fn find(&self, key: &K, stamp: &Stamp) -> Found<T> {
        match self.first.get(key) {
            Some(entry) if entry.numbers == stamp.numbers => match entry.age() {
                Age::Fresh => Found::Fresh(entry.value),
                Age::Stale => Found::Stale(entry.value),
                Age::Expired => Found::Nothing,
            },
            _ => Found::Nothing,
        }
    }

    /// Files a value in the first level. An entry of the current versions is not replaced by
    /// one of other versions, which an old transaction has read.
    fn file_first(&self, key: &K, entry: Entry<T>) {
        let is_current = |numbers: &Numbers| self.sources.is_current(numbers);
        if !is_current(&entry.numbers) && self.first.peek(key).is_some_and(|entry| is_current(&entry.numbers))
        {
            return;
        }
        self.first.insert(key, entry);
    }

    fn entry(&self, key: &K, stamp: &Stamp, value: &Arc<T>, ttl: Option<Duration>) -> Entry<T> {
        Entry::new(&self.limits, key, stamp.numbers.clone(), value.clone(), ttl)
    }
}

impl<T: Send + Sync + 'static, K: ValueKey + ?Sized> Levels<T, K> {
    async fn find_behind(&self, mode: Mode, key: &K, stamp: &Stamp) -> Option<Arc<T>> {
        let behind = self.behind.as_ref()?;
        let (value, rest) = behind.get(mode, self.sources.entry_key(&written(key), stamp)).await?;
        self.count(|counters| &counters.shared_hits);
        let value = Arc::new(value);
        self.file_first(key, self.entry(key, stamp, &value, None).at_most(rest));
        Some(value)
    }

    /// Files a value in both levels.
    pub(super) async fn file(&self, mode: Mode, key: &K, stamp: &Stamp, value: &Arc<T>) {
        self.file_for(mode, key, stamp, value, None).await;
    }

    /// Files a value in both levels, with a time to live of its own if one is given.
    async fn file_for(&self, mode: Mode, key: &K, stamp: &Stamp, value: &Arc<T>, ttl: Option<Duration>) {
        let entry = self.entry(key, stamp, value, ttl);
        let rest = entry.rest();
        self.file_first(key, entry);
        if let Some(behind) = &self.behind {
            behind.set(mode, self.sources.entry_key(&written(key), stamp), value, rest).await;
        }
    }

    /// Returns the value, computing it with `load` on a miss in all levels.
    pub(super) async fn get<E, F>(
        &self,
        mode: Mode,
        key: &K,
        load: impl FnOnce() -> F,
    ) -> Result<Arc<T>, LoadError<E>>
    where
        E: Send + Sync + 'static,
        F: Future<Output = Result<T, E>>,
    {
        if let Some(value) = self.hit(key) {
            return Ok(value);
        }
        if self.flights.is_computed_here(key) {
            return Err(LoadError::Recursion);
        }
        // The versions must be read before the data.
        let Ok(stamp) = self.stamp(key) else {
            let began = Instant::now();
            let computed = self.flights.compute(key, async { load().await }).await;
            return self.counted(began, computed).map(Arc::new).map_err(LoadError::failed);
        };
        let stale = match self.find(key, &stamp) {
            Found::Fresh(value) => {
                self.count_hit();
                return Ok(value);
            }
            Found::Stale(value) => Some(value),
            Found::Nothing => None,
        };
        let seat = loop {
            let mut seat = self.flights.sit(key.to_owned(), &stamp.numbers);
            match stale {
                Some(stale) if !seat.lead() => {
                    self.count_hit();
                    return Ok(stale);
                }
                _ => {}
            }
            match seat.wait().await {
                None => break seat,
                Some(Outcome::Value(value)) => {
                    self.count(|counters| &counters.joined);
                    return Ok(value);
                }
                Some(Outcome::Failed(error)) => {
                    // The error of a caller with another type of errors cannot be shared.
                    if let Ok(error) = error.downcast::<E>() {
                        self.count(|counters| &counters.joined);
                        return Err(LoadError::Failed(error));
                    }
                }
            }
        };
        self.lead(mode, key, &stamp, seat, load).await
    }

    /// Computes a value for all callers that wait for it.
    pub(super) async fn lead<E, F>(
        &self,
        mode: Mode,
        key: &K,
        stamp: &Stamp,
        seat: Seat<T, K::Owned>,
        load: impl FnOnce() -> F,
    ) -> Result<Arc<T>, LoadError<E>>
    where
        E: Send + Sync + 'static,
        F: Future<Output = Result<T, E>>,
    {
        // Another caller may have filed the value between the lookup and the lead.
        let found = match self.find(key, stamp) {
            Found::Fresh(value) => Some(value),
            Found::Stale(_) => None,
            Found::Nothing => self.find_behind(mode, key, stamp).await,
        };
        if let Some(value) = found {
            seat.land(Outcome::Value(value.clone()));
            return Ok(value);
        }
        let began = Instant::now();
        match self.counted(began, self.flights.compute(key, async { load().await }).await) {
            Ok(value) => {
                let value = Arc::new(value);
                if seat.is_attached() {
                    // File the value before ending the flight, so that a later caller finds
                    // the value or joins the flight.
                    self.file(mode, key, stamp, &value).await;
                    if !seat.is_attached() {
                        self.first.remove(key);
                    }
                }
                seat.land(Outcome::Value(value.clone()));
                Ok(value)
            }
            Err(error) => {
                let error = Arc::new(error);
                seat.land(Outcome::Failed(error.clone()));
                Err(LoadError::Failed(error))
            }
        }
    }

    /// Returns the value of the versions that a transaction has read.
    pub(super) async fn find_stamped(&self, mode: Mode, key: &K, stamp: &Stamp) -> Option<Arc<T>> {
        match self.find(key, stamp) {
            Found::Fresh(value) => Some(value),
            Found::Stale(_) | Found::Nothing => self.find_behind(mode, key, stamp).await,
        }
    }

    /// Returns the values of several keys, computing the missing ones together. Does not
    /// join computations of single keys.
    pub(super) async fn get_many<E, F: Future<Output = Result<Vec<T>, E>>>(
        &self,
        mode: Mode,
        keys: &[&K],
        load: impl FnOnce(Vec<K::Owned>) -> F,
    ) -> Result<Vec<Arc<T>>, LoadError<E>> {
        let mut found: Vec<_> = keys.iter().map(|key| self.hit(key)).collect();
        let missing = |found: &[Option<Arc<T>>]| -> Vec<usize> {
            (0..keys.len()).filter(|at| found[*at].is_none()).collect()
        };
        // The versions must be read before the data.
        let of_all = self.key_of.is_none().then(|| self.sources.stamp().ok());
        let mut stamps: Vec<Option<Stamp>> = vec![None; keys.len()];
        for at in missing(&found) {
            stamps[at] = of_all.clone().unwrap_or_else(|| self.stamp(keys[at]).ok());
            if let Some(stamp) = &stamps[at] {
                found[at] = match self.find(keys[at], stamp) {
                    Found::Fresh(value) => Some(value),
                    Found::Stale(_) => None,
                    Found::Nothing => self.find_behind(mode, keys[at], stamp).await,
                };
            }
        }
        let missing = missing(&found);
        if !missing.is_empty() {
            let wanted: Vec<K::Owned> = missing.iter().map(|at| keys[*at].to_owned()).collect();
            let began = Instant::now();
            let values = self.counted(began, load(wanted).await).map_err(LoadError::failed)?;
            if values.len() != missing.len() {
                return Err(LoadError::Count { keys: missing.len(), values: values.len() });
            }
            for (at, value) in missing.into_iter().zip(values) {
                let value = Arc::new(value);
                if let Some(stamp) = &stamps[at] {
                    self.file(mode, keys[at], stamp, &value).await;
                }
                found[at] = Some(value);
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    pub(super) async fn insert(
        &self,
        mode: Mode,
        key: &K,
        stamp: &Stamp,
        value: &Arc<T>,
        ttl: Option<Duration>,
    ) {
        self.flights.detach(key);
        // The stamp of another key says nothing about this one.
        let bucket = self.place(key).ok().flatten().map(|(_, bucket, _)| bucket);
        if matches!(stamp.numbers, Numbers::Key(_, of) if Some(usize::from(of)) != bucket) {
            return;
        }
        self.file_for(mode, key, stamp, value, ttl).await;
    }

    pub(super) async fn remove(&self, mode: Mode, key: &K) {
        // Computations in progress have begun before the removal.
        self.flights.detach(key);
        self.first.remove(key);
        if let (Some(behind), Ok(stamp)) = (&self.behind, self.stamp(key)) {
            behind.remove(mode, self.sources.entry_key(&written(key), &stamp)).await;
        }
    }
}
