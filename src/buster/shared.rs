//! What the refresher and everybody else share: slots, the snapshot, and the
//! count of looks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use event_listener::{Event, EventListener, Listener};

use super::single_flight::Flights;
use super::snapshot::{Knowledge, Snapshot};
use crate::engine::observer::Bell;
use crate::store::Shelf;

/// A cache's place, which its handles read.
#[derive(Debug)]
pub(super) struct Slot {
    pub name: String,
    /// The version; 0 while it is not known or the cache is not registered.
    pub version: AtomicI64,
}

pub(super) struct Shared {
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
    knowledge: ArcSwap<Knowledge>,
    bell: Arc<dyn Bell>,
    /// How many looks have been asked for.
    asked: AtomicU64,
    /// Of those, how many a look has begun after and ended, whatever it found.
    answered: AtomicU64,
    ended: Event,
    /// There is other knowledge than before, or will be none any more.
    news: Event,
    closed: AtomicBool,
    /// Whether others are to be told with the next look.
    telling: AtomicBool,
    pub shelf: Arc<Shelf>,
    pub flights: Flights,
}

/// A look that has been asked for.
#[derive(Clone, Copy)]
pub(super) struct Ticket(u64);

impl Shared {
    pub(super) fn new(bell: Arc<dyn Bell>, shelf: Shelf) -> Self {
        let nothing = Knowledge::Unknown { since: None, why: "nobody has looked yet".to_owned() };
        Shared {
            slots: Mutex::default(),
            knowledge: ArcSwap::from_pointee(nothing),
            bell,
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            ended: Event::new(),
            news: Event::new(),
            closed: AtomicBool::new(false),
            telling: AtomicBool::new(false),
            shelf: Arc::new(shelf),
            flights: Flights::default(),
        }
    }

    pub(super) fn bell(&self) -> &dyn Bell {
        &*self.bell
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Slot>>> {
        // Whoever panicked did not do so half-way through a change.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn knowledge(&self) -> Arc<Knowledge> {
        self.knowledge.load_full()
    }

    /// Waits for other knowledge than this; `None` once nobody looks any more.
    pub(super) fn other_than(&self, last: &Arc<Knowledge>) -> Option<Arc<Knowledge>> {
        loop {
            let listener = self.news.listen();
            // Not half-way through a change: what is told is so in handles, too.
            let slots = self.slots();
            let now = self.knowledge();
            drop(slots);
            // In this order: what is known at the end is no news.
            if self.closed.load(Ordering::SeqCst) {
                return None;
            }
            if !Arc::ptr_eq(&now, last) {
                return Some(now);
            }
            listener.wait();
        }
    }

    /// The slot of a cache, and whether it is a new one.
    pub(super) fn want(&self, name: &str) -> (Arc<Slot>, bool) {
        let mut slots = self.slots();
        if let Some(slot) = slots.get(name) {
            return (slot.clone(), false);
        }
        // The snapshot may have it already, and then no look may fill it.
        let version = AtomicI64::new(self.knowledge().version(name));
        let slot = Arc::new(Slot { name: name.to_owned(), version });
        slots.insert(name.to_owned(), slot.clone());
        (slot, true)
    }

    /// Gives up a slot that nobody has a handle of but the caller.
    pub(super) fn forget(&self, name: &str) {
        let mut slots = self.slots();
        if slots.get(name).is_some_and(|slot| Arc::strong_count(slot) <= 2) {
            slots.remove(name);
        }
    }

    /// The names of all slots.
    pub(super) fn wanted(&self) -> Vec<String> {
        self.slots().keys().cloned().collect()
    }

    /// Asks for a look that begins after this call, and waits until it has ended.
    pub(super) fn look(&self) {
        self.wait(self.ask(false));
    }

    /// The same after a commit: others are told as well, and if the look fails
    /// nothing from before it counts any more.
    pub(super) fn tell(&self) {
        let ticket = self.ask(true);
        self.wait(ticket);
    }

    pub(super) fn ask(&self, tell: bool) -> Ticket {
        if tell {
            self.telling.store(true, Ordering::SeqCst);
        }
        let ticket = Ticket(self.asked.fetch_add(1, Ordering::SeqCst) + 1);
        self.bell.ring();
        ticket
    }

    fn wait(&self, ticket: Ticket) {
        while let Some(listener) = self.not_yet(ticket) {
            listener.wait();
        }
    }

    /// What to wait for, if the look has not ended.
    pub(super) fn not_yet(&self, ticket: Ticket) -> Option<EventListener> {
        let ended = || self.answered.load(Ordering::SeqCst) >= ticket.0;
        if ended() {
            return None;
        }
        let listener = self.ended.listen();
        // It may have ended before there was a listener.
        if ended() { None } else { Some(listener) }
    }

    /// What the look that begins now answers, and whether it is to tell others.
    pub(super) fn begin(&self) -> (Ticket, bool) {
        // In this order: whoever is answered by this look and has something to tell
        // has said so before.
        let ticket = Ticket(self.asked.load(Ordering::SeqCst));
        (ticket, self.telling.swap(false, Ordering::SeqCst))
    }

    /// The look that was to tell others has failed; the next one is to do it.
    pub(super) fn tell_later(&self) {
        self.telling.store(true, Ordering::SeqCst);
    }

    /// Lets those go on who have waited for the look.
    pub(super) fn end(&self, ticket: Ticket) {
        self.answered.fetch_max(ticket.0, Ordering::SeqCst);
        self.ended.notify(usize::MAX);
    }

    /// Nobody will look any more, nor is anything believed.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.expire(None, "the CacheBuster has ended");
        self.end(Ticket(u64::MAX));
    }

    /// Puts a new snapshot in place.
    pub(super) fn publish(&self, snapshot: Snapshot) {
        let mut slots = self.slots();
        // Names that turned out to be none, and that nobody holds on to.
        slots.retain(|name, slot| snapshot.caches.contains_key(name) || Arc::strong_count(slot) > 1);
        let now = Arc::new(Knowledge::Known(snapshot));
        // First: whoever finds a version in a slot finds it in the snapshot as well.
        self.knowledge.store(Arc::clone(&now));
        for slot in slots.values() {
            let version = now.version(&slot.name);
            slot.version.store(version, Ordering::Release);
        }
        self.news.notify(usize::MAX);
    }

    /// From here on nothing is known.
    pub(super) fn expire(&self, since: Option<Instant>, why: &str) {
        let slots = self.slots();
        let since = match &*self.knowledge() {
            Knowledge::Known(_) => since,
            Knowledge::Unknown { since, .. } => *since,
        };
        self.knowledge.store(Arc::new(Knowledge::Unknown { since, why: why.to_owned() }));
        for slot in slots.values() {
            slot.version.store(0, Ordering::Release);
        }
        self.news.notify(usize::MAX);
    }
}
