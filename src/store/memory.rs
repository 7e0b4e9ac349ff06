//! The store in this process. It is bounded by bytes and evicts the least used entries.
//!
//! In: keys and values. Out: the values that have not been evicted.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::{Store, key};
use crate::error::Result;

/// An estimate of moka's bookkeeping for each entry, in bytes.
const OVERHEAD: usize = 128;

/// A store in the memory of this process.
pub(super) struct MemoryStore {
    entries: Cache<Arc<str>, Arc<[u8]>>,
}

impl MemoryStore {
    /// Creates a store that holds at most `max_bytes`, including keys and bookkeeping. Each
    /// entry is kept for `ttl`.
    pub(super) fn new(max_bytes: u64, ttl: Duration) -> Self {
        let entries = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|key: &Arc<str>, value: &Arc<[u8]>| {
                u32::try_from(key.len() + value.len() + OVERHEAD).unwrap_or(u32::MAX)
            })
            .time_to_live(ttl)
            .build();
        MemoryStore { entries }
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").field("entries", &self.entries.entry_count()).finish()
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        key::check(key)?;
        Ok(self.entries.get(key).map(|value| value.to_vec()))
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        key::check(key)?;
        self.entries.insert(key.into(), value.into());
        Ok(())
    }

    fn is_local(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_bounded_by_bytes() {
        let store = MemoryStore::new(1 << 20, Duration::from_secs(60));
        for i in 0..1000 {
            store.set(&format!("key{i}"), &[7; 10_000]).unwrap();
        }
        store.entries.run_pending_tasks();
        let bytes = store.entries.weighted_size();
        assert!((500_000..=1 << 20).contains(&bytes), "{bytes}");
        // The value is larger than the capacity of the store.
        store.set("large", &vec![7; 2 << 20]).unwrap();
        store.entries.run_pending_tasks();
        assert_eq!(store.get("large").unwrap(), None);
        assert!(store.entries.weighted_size() <= 1 << 20);
    }
}
