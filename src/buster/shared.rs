//! State shared by the refresher and all handles: slots, the snapshot, and the count
//! of polls.
//!
//! In: snapshots from the refresher, requests for a poll from callers. Out: versions in
//! slots, and the wake-up of waiting callers.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use event_listener::{Event, EventListener, Listener};

use super::alias_stores::AliasStores;
use super::key_cells::{BY_KEY, KeyCells, SlotKeys};
use super::snapshot::{Snapshot, SnapshotState, unknown_keys};
use super::stamp::{KnownIdentities, UNKNOWN};
use super::stats::{CacheStats, Counters};
use crate::engine::Executor;
use crate::engine::observer::{Bell, SeenKeys};
use crate::error::{Error, Result};
use crate::model::{DatabaseId, Identity};

/// The version of one cache, which its handles read.
#[derive(Debug)]
pub(super) struct Slot {
    pub name: String,
    /// The version; 0 while it is unknown or the cache is not registered.
    pub version: AtomicI64,
    /// The number of the complete identity of the version; `UNKNOWN` while `version` is 0.
    pub number: AtomicU64,
    known: Mutex<KnownIdentities>,
    /// The versions of its keys.
    pub keys: Arc<SlotKeys>,
    /// Lookups of values of this cache.
    pub counters: Counters,
    #[cfg(feature = "metrics")]
    pub recorded: super::metrics::Recorded,
}

impl Slot {
    fn new(name: &str, snapshot: &SnapshotState) -> Self {
        let (version, number) = (AtomicI64::new(0), AtomicU64::new(UNKNOWN));
        let slot = Slot {
            name: name.to_owned(),
            version,
            number,
            known: Mutex::default(),
            keys: Arc::default(),
            counters: Counters::default(),
            #[cfg(feature = "metrics")]
            recorded: super::metrics::Recorded::default(),
        };
        slot.publish(snapshot);
        slot
    }

    /// Returns the number of an identity, the same one each time.
    pub(super) fn number_of(&self, database: DatabaseId, identity: Identity) -> u64 {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.number(database, identity)
    }

    fn publish(&self, snapshot: &SnapshotState) {
        let origin = snapshot.origin(&self.name);
        let number = origin.map_or(UNKNOWN, |(database, identity)| self.number_of(database, identity));
        #[cfg(feature = "metrics")]
        if let Some((_, identity)) = origin {
            self.recorded.seen(&self.name, identity);
        }
        self.number.store(number, Ordering::Release);
        self.version.store(snapshot.version(&self.name), Ordering::Release);
        self.keys.publish(snapshot.keys(&self.name));
    }

    fn expire(&self) {
        self.number.store(UNKNOWN, Ordering::Release);
        self.version.store(0, Ordering::Release);
        self.keys.publish(None);
    }
}

pub(super) struct Shared {
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
    snapshot: ArcSwap<SnapshotState>,
    bell: Arc<dyn Bell>,
    /// The number of requested polls.
    requested: AtomicU64,
    /// The number of answered requests. A request is answered when a poll that began after
    /// it has ended, successfully or not.
    answered: AtomicU64,
    ended: Event,
    /// The event that is notified when the snapshot is replaced or expires, and on close.
    changed: Event,
    closed: AtomicBool,
    /// Whether the next poll notifies other processes.
    notify: AtomicBool,
    /// How long a caller waits for a poll that looks a cache up.
    pub lookup_timeout: Duration,
    pub stores: AliasStores,
    /// The type of the values of each set of caches and name, with its name for the message.
    types: Mutex<BTreeMap<(Vec<String>, String), ValueType>>,
}

/// A type, and its name.
type ValueType = (TypeId, &'static str);

/// A request for a poll.
#[derive(Clone, Copy)]
pub(super) struct Ticket(u64);

impl Shared {
    pub(super) fn new(bell: Arc<dyn Bell>, stores: AliasStores, lookup_timeout: Duration) -> Self {
        let expired =
            SnapshotState::Expired { since: None, why: "the database has not been polled yet".to_owned() };
        Shared {
            slots: Mutex::default(),
            snapshot: ArcSwap::from_pointee(expired),
            bell,
            requested: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            ended: Event::new(),
            changed: Event::new(),
            closed: AtomicBool::new(false),
            notify: AtomicBool::new(false),
            lookup_timeout,
            stores,
            types: Mutex::default(),
        }
    }

    pub(super) fn bell(&self) -> &dyn Bell {
        &*self.bell
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Slot>>> {
        // No code that can panic runs in the middle of a change.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn snapshot(&self) -> Arc<SnapshotState> {
        self.snapshot.load_full()
    }

    /// Waits until the snapshot differs from `last`, and returns it. Returns `None` once
    /// the refresher has ended.
    pub(super) fn next_snapshot(&self, last: &Arc<SnapshotState>) -> Option<Arc<SnapshotState>> {
        loop {
            let listener = self.changed.listen();
            // The snapshot is read under the lock, so that the slots agree with it.
            let slots = self.slots();
            let now = self.snapshot();
            drop(slots);
            // `closed` is checked first, because the expiry at the close is not a change.
            if self.closed.load(Ordering::SeqCst) {
                return None;
            }
            if !Arc::ptr_eq(&now, last) {
                return Some(now);
            }
            listener.wait();
        }
    }

    /// Returns the slot of a cache, and whether this call has created the slot.
    pub(super) fn slot(&self, name: &str) -> (Arc<Slot>, bool) {
        let mut slots = self.slots();
        if let Some(slot) = slots.get(name) {
            return (slot.clone(), false);
        }
        // If the snapshot already contains the cache, the next polls may return no change
        // and leave the slot empty.
        let slot = Arc::new(Slot::new(name, &self.snapshot()));
        slots.insert(name.to_owned(), slot.clone());
        (slot, true)
    }

    /// Removes a slot if no handle except the caller's uses it.
    pub(super) fn forget(&self, name: &str) {
        let mut slots = self.slots();
        if slots.get(name).is_some_and(|slot| Arc::strong_count(slot) <= 2) {
            slots.remove(name);
        }
    }

    /// Reserves the name of the values of a cache for one type, because two types under one
    /// name would share keys.
    pub(super) fn reserve<T: 'static>(&self, caches: &[String], name: &str) -> Result<()> {
        let cache = caches.join(", ").replace(BY_KEY, " by key");
        if name.is_empty() {
            return Err(Error::usage(format!("the values of the cache {cache} need a name"))
                .help("for example `permissions.values::<Vec<String>>(\"granted\", 1)`"));
        }
        let (id, type_name) = (TypeId::of::<T>(), std::any::type_name::<T>());
        let mut types = self.types.lock().unwrap_or_else(PoisonError::into_inner);
        match types.entry((caches.to_vec(), name.to_owned())) {
            Entry::Vacant(vacant) => drop(vacant.insert((id, type_name))),
            Entry::Occupied(taken) if taken.get().0 != id => {
                let other = taken.get().1;
                return Err(Error::usage(format!(
                    "the values {name} of the cache {cache} have two types: {other} and {type_name}"
                ))
                .help("give the values of each type a name of their own"));
            }
            Entry::Occupied(_) => {}
        }
        Ok(())
    }

    /// Returns the sum of the counters of all slots.
    pub(super) fn stats(&self) -> CacheStats {
        let add = |sum, slot: &Arc<Slot>| sum + slot.counters.stats();
        self.slots().values().fold(CacheStats::default(), add)
    }

    /// Records what was counted since the last call.
    #[cfg(feature = "metrics")]
    pub(super) fn record(&self) {
        let slots: Vec<Arc<Slot>> = self.slots().values().cloned().collect();
        slots.iter().for_each(|slot| slot.recorded.record(&slot.name, slot.counters.stats()));
        super::metrics::caches(slots.len());
    }

    /// Returns the names of all slots.
    pub(super) fn wanted(&self) -> Vec<String> {
        self.slots().keys().cloned().collect()
    }

    /// Returns the names of the slots whose keys have handles.
    pub(super) fn wanted_keys(&self) -> Vec<String> {
        let has_keys = |slot: &&Arc<Slot>| Arc::strong_count(&slot.keys) > 1;
        self.slots().values().filter(has_keys).map(|slot| slot.name.clone()).collect()
    }

    /// Returns the cells of the keys of a cache.
    pub(super) fn key_cells(&self, slot: &Slot) -> Result<Arc<KeyCells>> {
        // Under the lock, so that no snapshot is published between the read and the cells.
        let _slots = self.slots();
        let snapshot = self.snapshot();
        match &snapshot.find(&slot.name)?.keys {
            keys @ SeenKeys::Read { rule, .. } => Ok(slot.keys.cells(rule, snapshot.database(), keys)),
            keys => Err(unknown_keys(&slot.name, keys)),
        }
    }

    /// Polls after a write that has been committed.
    pub(super) fn after_write(&self, executor: &impl Executor) {
        if executor.commits() {
            self.poll_after_commit();
        }
    }

    /// Returns until when a lookup that begins now waits.
    pub(super) fn lookup_deadline(&self) -> Instant {
        Instant::now() + self.lookup_timeout
    }

    /// Requests a poll that begins after this call, and waits until it has ended, but not
    /// beyond the deadline. Returns whether it has ended.
    pub(super) fn poll_by(&self, deadline: Instant) -> bool {
        let ticket = self.request(false);
        while let Some(listener) = self.pending(ticket) {
            if listener.wait_deadline(deadline).is_none() {
                return self.pending(ticket).is_none();
            }
        }
        true
    }

    /// Requests a poll after a commit, and waits until it has ended. The poll notifies
    /// other processes. If it fails, the snapshot expires.
    pub(super) fn poll_after_commit(&self) {
        let ticket = self.request(true);
        self.wait(ticket);
    }

    pub(super) fn request(&self, notify: bool) -> Ticket {
        if notify {
            self.notify.store(true, Ordering::SeqCst);
        }
        let ticket = Ticket(self.requested.fetch_add(1, Ordering::SeqCst) + 1);
        self.bell.ring();
        ticket
    }

    fn wait(&self, ticket: Ticket) {
        while let Some(listener) = self.pending(ticket) {
            listener.wait();
        }
    }

    /// Returns a listener to wait on; `None` if the poll has ended.
    pub(super) fn pending(&self, ticket: Ticket) -> Option<EventListener> {
        let ended = || self.answered.load(Ordering::SeqCst) >= ticket.0;
        if ended() {
            return None;
        }
        let listener = self.ended.listen();
        // The poll may have ended before the listener was registered.
        if ended() { None } else { Some(listener) }
    }

    /// Begins a poll: returns the last request that it answers, and whether it notifies
    /// other processes.
    pub(super) fn begin_poll(&self) -> (Ticket, bool) {
        // The order matters. `request` sets `notify` before it counts the request, so
        // `notify` is set for every request that this poll answers.
        let ticket = Ticket(self.requested.load(Ordering::SeqCst));
        (ticket, self.notify.swap(false, Ordering::SeqCst))
    }

    /// Makes the next poll notify other processes, because the current poll has failed to
    /// do it.
    pub(super) fn notify_with_next(&self) {
        self.notify.store(true, Ordering::SeqCst);
    }

    /// Ends a poll: wakes the callers that have waited for it.
    pub(super) fn end_poll(&self, ticket: Ticket) {
        self.answered.fetch_max(ticket.0, Ordering::SeqCst);
        self.ended.notify(usize::MAX);
    }

    /// Expires the snapshot and wakes all callers, because the refresher has ended.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.expire(None, "the CacheBuster has ended");
        self.end_poll(Ticket(u64::MAX));
    }

    /// Replaces the snapshot and the versions in the slots.
    pub(super) fn publish(&self, snapshot: Snapshot) {
        let mut slots = self.slots();
        // Drop the slots of unregistered caches that have no handle.
        slots.retain(|name, slot| snapshot.caches.contains_key(name) || Arc::strong_count(slot) > 1);
        let now = Arc::new(SnapshotState::Current(snapshot));
        // The snapshot is stored before the slots, so every version in a slot is also in
        // the snapshot.
        self.snapshot.store(Arc::clone(&now));
        for slot in slots.values() {
            slot.publish(&now);
        }
        self.changed.notify(usize::MAX);
    }

    /// Expires the snapshot. `since` is the last time at which it was known to be current.
    pub(super) fn expire(&self, since: Option<Instant>, why: &str) {
        let slots = self.slots();
        let since = match &*self.snapshot() {
            SnapshotState::Current(_) => since,
            SnapshotState::Expired { since, .. } => *since,
        };
        self.snapshot.store(Arc::new(SnapshotState::Expired { since, why: why.to_owned() }));
        for slot in slots.values() {
            slot.expire();
        }
        self.changed.notify(usize::MAX);
    }
}
