//! What values are made from, and the stamps of it.
//!
//! In: caches, or the keys of one. Out: their current versions, or those that a transaction
//! reads.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::key_cells::{BY_KEY, KeyView};
use super::shared::{Shared, Slot};
use super::stamp::{Numbers, Stamp, UNKNOWN};
use crate::engine::Executor;
use crate::error::Result;
use crate::model::{DatabaseId, Identity};
use crate::registry::identity::{self, Sight};
use crate::store::EntryKey;

/// What the values of a name are made from: caches, one or more.
#[derive(Clone)]
pub(super) struct Sources {
    pub shared: Arc<Shared>,
    /// In the order of the names, each once.
    pub slots: Arc<[Arc<Slot>]>,
    /// The names of the slots.
    pub caches: Arc<[String]>,
    /// The name of the values.
    pub name: Arc<str>,
    pub format: u32,
    /// The versions of keys, if each value has that of its key. Then there is one slot.
    pub keys: Option<KeyView>,
}

impl Sources {
    pub(super) fn new(shared: &Arc<Shared>, mut slots: Vec<Arc<Slot>>, name: &str, format: u32) -> Self {
        slots.sort_by(|one, other| one.name.cmp(&other.name));
        slots.dedup_by(|one, other| one.name == other.name);
        let caches = slots.iter().map(|slot| slot.name.clone()).collect();
        Sources { shared: shared.clone(), slots: slots.into(), caches, name: name.into(), format, keys: None }
    }

    pub(super) fn of_keys(
        shared: &Arc<Shared>,
        slot: Arc<Slot>,
        keys: KeyView,
        name: &str,
        format: u32,
    ) -> Self {
        let sources = Sources::new(shared, vec![slot], name, format);
        let caches = sources.caches.iter().map(|cache| format!("{cache}{BY_KEY}")).collect();
        Sources { caches, keys: Some(keys), ..sources }
    }

    /// Returns whether the versions are current, with one load for each cache. No version
    /// is current while it is unknown.
    #[inline]
    pub(super) fn is_current(&self, numbers: &Numbers) -> bool {
        let is = |slot: &Slot, number: u64| {
            // With `Acquire`, a caller that sees a version as current sees all writes from
            // before the version was published.
            number != UNKNOWN && slot.number.load(Ordering::Acquire) == number
        };
        match numbers {
            Numbers::One(number) => matches!(&*self.slots, [slot] if is(slot, *number)),
            Numbers::Several(numbers) => {
                numbers.len() == self.slots.len()
                    && self.slots.iter().zip(numbers.iter()).all(|(slot, number)| is(slot, *number))
            }
            Numbers::Key(number, bucket) => {
                self.keys.as_ref().is_some_and(|keys| keys.cells.is_current(usize::from(*bucket), *number))
            }
        }
    }

    /// Returns the versions that are current now.
    pub(super) fn stamp(&self) -> Result<Stamp> {
        let snapshot = self.shared.snapshot();
        let identities: Vec<_> =
            self.slots.iter().map(|slot| Ok(snapshot.find(&slot.name)?.identity)).collect::<Result<_>>()?;
        let database = snapshot.database();
        let numbers =
            self.slots.iter().zip(&identities).map(|(slot, identity)| slot.number_of(database, *identity));
        let numbers = Numbers::new(&numbers.collect::<Vec<_>>());
        Ok(Stamp { database, identities: identities.into(), numbers })
    }

    /// Returns the version of a bucket of keys that is current now.
    pub(super) fn key_stamp(&self, keys: &KeyView, bucket: usize) -> Result<Stamp> {
        let snapshot = self.shared.snapshot();
        let identity = snapshot.key_identity(&self.slots[0].name, &keys.cells.rule, bucket)?;
        Ok(key_stamp_of(keys, bucket, snapshot.database(), identity))
    }

    /// Returns the versions that a transaction has read, one for each cache; `None` if it
    /// has invalidated one of the caches itself.
    fn stamp_of(&self, sights: &[Sight]) -> Option<Stamp> {
        let first = sights.first()?;
        if sights.iter().any(|sight| sight.own || sight.database != first.database) {
            return None;
        }
        let numbers =
            self.slots.iter().zip(sights).map(|(slot, sight)| slot.number_of(sight.database, sight.identity));
        let numbers = Numbers::new(&numbers.collect::<Vec<_>>());
        let identities = sights.iter().map(|sight| sight.identity).collect();
        Some(Stamp { database: first.database, identities, numbers })
    }

    pub(super) fn stamp_in(&self, executor: &mut impl Executor) -> Result<Option<Stamp>> {
        let sights: Vec<Sight> = self
            .slots
            .iter()
            .map(|slot| identity::sight(executor, &slot.name, None))
            .collect::<Result<_>>()?;
        Ok(self.stamp_of(&sights))
    }

    #[cfg(feature = "tokio")]
    pub(super) async fn stamp_in_async(
        &self,
        executor: &impl crate::engine::AsyncExecutor,
    ) -> Result<Option<Stamp>> {
        let mut sights = Vec::with_capacity(self.slots.len());
        for slot in &*self.slots {
            sights.push(crate::registry::asynchronous::sight(executor, &slot.name, None).await?);
        }
        Ok(self.stamp_of(&sights))
    }

    /// Returns the key of an entry of a store, for a key as it was written.
    pub(super) fn entry_key<'a>(&'a self, key: &'a [u8], stamp: &'a Stamp) -> EntryKey<'a> {
        EntryKey::new(stamp.database, &self.name, &self.caches, self.format, &stamp.identities, key)
    }
}

/// Returns the stamp of a version of a bucket of keys.
pub(super) fn key_stamp_of(keys: &KeyView, bucket: usize, database: DatabaseId, identity: Identity) -> Stamp {
    let number = keys.cells.number_of(database, bucket, identity);
    // There are 4,093 buckets.
    let numbers = Numbers::Key(number, u16::try_from(bucket).unwrap_or(u16::MAX));
    Stamp { database, identities: Box::new([identity]), numbers }
}
