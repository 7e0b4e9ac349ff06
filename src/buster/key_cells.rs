//! The versions of the keys of one cache, one for each bucket.
//!
//! In: snapshots of buckets. Out: a version, and a number that stands for its complete
//! identity, with one load.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::stamp::{self, UNKNOWN};
use crate::engine::observer::SeenKeys;
use crate::model::{DatabaseId, Identity, KeyRule};

/// What follows the name of a cache in the names of the sources of values by key, so that they
/// have no key in common with values of the whole cache. No name of a cache has it.
pub(super) const BY_KEY: &str = "\u{1f}key";

/// The versions of keys, which polls read while a view of them exists.
#[derive(Clone, Debug)]
pub(super) struct KeyView {
    _interest: Arc<SlotKeys>,
    pub cells: Arc<KeyCells>,
}

impl KeyView {
    pub(super) fn new(interest: Arc<SlotKeys>, cells: Arc<KeyCells>) -> Self {
        KeyView { _interest: interest, cells }
    }
}

/// The keys of a cache that has handles of keys: one set of cells for each rule that its
/// keys have had while there were handles. A clone asks polls to read the keys.
#[derive(Debug, Default)]
pub(super) struct SlotKeys(Mutex<Vec<Arc<KeyCells>>>);

impl SlotKeys {
    fn all(&self) -> MutexGuard<'_, Vec<Arc<KeyCells>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the cells of a rule, with the versions of a snapshot if they are new.
    pub(super) fn cells(&self, rule: &KeyRule, database: DatabaseId, keys: &SeenKeys) -> Arc<KeyCells> {
        let mut all = self.all();
        if let Some(cells) = all.iter().find(|cells| cells.rule == *rule) {
            return cells.clone();
        }
        let cells = Arc::new(KeyCells::new(rule.clone()));
        cells.publish(database, keys);
        all.push(cells.clone());
        cells
    }

    /// Publishes the versions of a snapshot; `None` if they are unknown.
    pub(super) fn publish(&self, seen: Option<(DatabaseId, &SeenKeys)>) {
        let mut all = self.all();
        all.retain(|cells| Arc::strong_count(cells) > 1);
        for cells in &*all {
            match seen {
                Some((database, keys)) => cells.publish(database, keys),
                None => cells.expire(),
            }
        }
    }
}

/// The versions of the keys of one rule. Takes about 160 KB.
#[derive(Debug)]
pub(super) struct KeyCells {
    pub rule: KeyRule,
    cells: Box<[KeyCell]>,
    known: Mutex<KnownNumbers>,
}

#[derive(Debug, Default)]
struct KeyCell {
    /// The version; 0 while it is unknown.
    version: AtomicI64,
    /// The number of the complete identity of the version; `UNKNOWN` while `version` is 0.
    number: AtomicU64,
}

/// The identities of the buckets that have numbers. A number is never used for another
/// identity, nor for another bucket.
#[derive(Debug, Default)]
struct KnownNumbers {
    database: DatabaseId,
    rest: Option<Identity>,
    buckets: Arc<[Identity]>,
    /// The numbers of the buckets. They stay while the versions are unknown.
    numbers: Vec<u64>,
    /// Identities that transactions have read, and that were not those of the snapshot.
    others: VecDeque<(DatabaseId, usize, Identity, u64)>,
}

impl KnownNumbers {
    const MOST: usize = 256;

    fn identity(&self, bucket: usize) -> Option<Identity> {
        Some(self.rest?.and(*self.buckets.get(bucket)?))
    }

    /// Returns the number of an identity that is not that of the snapshot.
    fn other(&self, database: DatabaseId, bucket: usize, identity: Identity) -> Option<u64> {
        let is = |known: &&(DatabaseId, usize, Identity, u64)| {
            (known.0, known.1, known.2) == (database, bucket, identity)
        };
        self.others.iter().find(is).map(|known| known.3)
    }
}

impl KeyCells {
    fn new(rule: KeyRule) -> Self {
        let cells = (0..rule.buckets()).map(|_| KeyCell::default()).collect();
        KeyCells { rule, cells, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, KnownNumbers> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the version of a bucket; 0 while it is unknown.
    #[inline]
    pub(super) fn version(&self, bucket: usize) -> i64 {
        // With `Acquire`, a thread that reads a version sees all writes from before the
        // version was published.
        self.cells.get(bucket).map_or(0, |cell| cell.version.load(Ordering::Acquire))
    }

    /// Returns whether the version of a bucket has this number. No version is current while
    /// it is unknown.
    #[inline]
    pub(super) fn is_current(&self, bucket: usize, number: u64) -> bool {
        let is = |cell: &KeyCell| cell.number.load(Ordering::Acquire) == number;
        number != UNKNOWN && self.cells.get(bucket).is_some_and(is)
    }

    /// Returns the number of an identity of a bucket, the same one each time.
    pub(super) fn number_of(&self, database: DatabaseId, bucket: usize, identity: Identity) -> u64 {
        let mut known = self.known();
        if known.database == database && known.identity(bucket) == Some(identity) {
            return known.numbers[bucket];
        }
        if let Some(number) = known.other(database, bucket, identity) {
            return number;
        }
        let number = stamp::next_number();
        if known.others.len() >= KnownNumbers::MOST {
            known.others.pop_front();
        }
        known.others.push_back((database, bucket, identity, number));
        number
    }

    fn publish(&self, database: DatabaseId, keys: &SeenKeys) {
        let SeenKeys::Read { rule, rest, buckets } = keys else { return self.expire() };
        if *rule != self.rule || buckets.len() != self.cells.len() {
            return self.expire();
        }
        let known = &mut *self.known();
        let had = known.database == database;
        let mut numbers = std::mem::take(&mut known.numbers);
        numbers.resize(buckets.len(), UNKNOWN);
        for (bucket, (own, number)) in buckets.iter().zip(&mut numbers).enumerate() {
            let identity = rest.and(*own);
            if !had || known.identity(bucket) != Some(identity) {
                *number = known.other(database, bucket, identity).unwrap_or_else(stamp::next_number);
            }
            let version = identity.version().map_or(0, |version| version.get());
            let cell = &self.cells[bucket];
            cell.number.store(if version == 0 { UNKNOWN } else { *number }, Ordering::Release);
            cell.version.store(version, Ordering::Release);
        }
        known.numbers = numbers;
        (known.database, known.rest, known.buckets) = (database, Some(*rest), buckets.clone());
    }

    fn expire(&self) {
        // Not between the stores of a publication.
        let _known = self.known();
        for cell in &self.cells {
            cell.number.store(UNKNOWN, Ordering::Release);
            cell.version.store(0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rest: i64, bucket: usize, n: i64) -> SeenKeys {
        let rule = KeyRule::parse("int").unwrap();
        let mut buckets = vec![Identity::NONE; rule.buckets()];
        buckets[bucket] = Identity { n, nonce: n };
        SeenKeys::Read { rule, rest: Identity { n: rest, nonce: 0 }, buckets: buckets.into() }
    }

    #[test]
    fn a_number_stands_for_one_identity_of_one_bucket() {
        let database = DatabaseId::default();
        let cells = KeyCells::new(KeyRule::parse("int").unwrap());
        let identity = |n| Identity { n, nonce: 0 };
        assert!(!cells.is_current(7, UNKNOWN));
        cells.publish(database, &read(1, 5, 3));
        let (five, seven) = (
            cells.number_of(database, 5, Identity { n: 4, nonce: 3 }),
            cells.number_of(database, 7, identity(1)),
        );
        assert!(cells.is_current(5, five) && cells.is_current(7, seven) && five != seven);
        assert!(!cells.is_current(6, seven));
        // Only the bucket that has changed has another number.
        cells.publish(database, &read(1, 5, 4));
        assert!(!cells.is_current(5, five) && cells.is_current(7, seven));
        // While the versions are unknown, no number is current. Later the same ones are.
        cells.expire();
        assert!(!cells.is_current(7, seven) && cells.version(7) == 0);
        cells.publish(database, &read(1, 5, 4));
        assert!(cells.is_current(7, seven));
        // A transaction has read what the snapshot has later.
        let early = cells.number_of(database, 7, identity(2));
        assert!(early != seven && !cells.is_current(7, early));
        cells.publish(database, &read(2, 5, 4));
        assert!(cells.is_current(7, early) && !cells.is_current(7, seven));
        // Another database has other numbers, and keys of another rule are unknown.
        let other = DatabaseId::read(&[None, Some("7".to_owned())]).unwrap();
        cells.publish(other, &read(2, 5, 4));
        assert!(!cells.is_current(7, early));
        let SeenKeys::Read { rest, buckets, .. } = read(2, 5, 4) else { unreachable!() };
        let rule = KeyRule::parse("text").unwrap();
        cells.publish(other, &SeenKeys::Read { rule, rest, buckets });
        assert_eq!(cells.version(7), 0);
    }
}
