//! A wrapper of a store that checks every entry. It never fails, and it returns a value
//! only for the key that the value was stored under.
//!
//! In: keys and values. Out: entries in the store, and the values of valid entries.

use super::{EntryKey, Store, StoreSettings, entry};
use crate::error::{Error, Result};

/// A store whose entries are sealed with their key and a checksum.
#[derive(Debug)]
pub(crate) struct CheckedStore {
    store: Box<dyn Store>,
    prefix: String,
}

impl CheckedStore {
    /// Opens the configured store. Does not connect yet.
    pub(crate) fn open(settings: &StoreSettings) -> Result<Self> {
        Ok(CheckedStore { store: settings.open()?, prefix: settings.prefix().to_owned() })
    }

    /// Wraps a store of the caller.
    pub(crate) fn new(store: Box<dyn Store>) -> Self {
        CheckedStore { store, prefix: String::new() }
    }

    /// Returns the value of `key`, if the store has it. A failure counts as a miss.
    pub(crate) fn get(&self, key: &EntryKey) -> Option<Vec<u8>> {
        let stored = key.stored(&self.prefix);
        let entry = self.store.get(&stored).unwrap_or_else(|error| {
            failed(&error);
            None
        })?;
        let value = entry::open(entry, &key.full());
        if value.is_none() {
            log::debug!("the store has no valid entry under {stored}: computing the value again");
        }
        value
    }

    /// Stores the value. A failure is only logged.
    pub(crate) fn set(&self, key: &EntryKey, value: &[u8]) {
        let Some(entry) = entry::seal(&key.full(), value) else { return };
        if let Err(error) = self.store.set(&key.stored(&self.prefix), &entry) {
            failed(&error);
        }
    }

    /// Replaces the value by an entry that is no value. A failure is only logged.
    pub(crate) fn remove(&self, key: &EntryKey) {
        if let Err(error) = self.store.set(&key.stored(&self.prefix), &[]) {
            failed(&error);
        }
    }

    /// Returns whether `get` and `set` return without waiting for the network.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_local(&self) -> bool {
        self.store.is_local()
    }
}

/// Logs a failure at the level debug, because stores log a warning when they begin to fail.
fn failed(error: &Error) {
    log::debug!("{}", error.message());
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::{Arc, LazyLock, Mutex};

    use super::*;
    use crate::error::ErrorKind;
    use crate::model::{DatabaseId, Identity};

    type Entries = HashMap<String, Vec<u8>>;

    /// A store that a test can inspect. Its calls fail while the field is `None`.
    #[derive(Clone, Debug)]
    struct OpenStore(Arc<Mutex<Option<Entries>>>);

    impl Store for OpenStore {
        fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
            match &*self.0.lock().unwrap() {
                Some(entries) => Ok(entries.get(key).cloned()),
                None => Err(Error::new(ErrorKind::Store, "down")),
            }
        }

        fn set(&self, key: &str, value: &[u8]) -> Result<()> {
            match &mut *self.0.lock().unwrap() {
                Some(entries) => drop(entries.insert(key.to_owned(), value.to_owned())),
                None => return Err(Error::new(ErrorKind::Store, "down")),
            }
            Ok(())
        }
    }

    fn checked_store() -> (CheckedStore, OpenStore) {
        let store = OpenStore(Arc::new(Mutex::new(Some(HashMap::new()))));
        (CheckedStore { store: Box::new(store.clone()), prefix: "p:".to_owned() }, store)
    }

    fn key(n: i64, key: &[u8]) -> EntryKey<'_> {
        static BANS: LazyLock<[String; 1]> = LazyLock::new(|| ["bans".to_owned()]);
        let identity = Box::leak(Box::new([Identity { n, nonce: 5 }]));
        EntryKey::new(DatabaseId::default(), "forum", &*BANS, 1, identity, key)
    }

    /// Returns whether a value is found only under its own key, with keys made by `key`.
    fn tells_apart(key: fn(i64, &'static [u8]) -> EntryKey<'static>) -> bool {
        let (store, _) = checked_store();
        store.set(&key(1, b"a"), b"value");
        let found = store.get(&key(1, b"a"));
        let others = [key(2, b"a"), key(1, b"b")].map(|other| store.get(&other));
        store.remove(&key(1, b"a"));
        assert_eq!(store.get(&key(1, b"a")), None);
        found.as_deref() == Some(b"value") && others == [None, None]
    }

    #[test]
    fn a_value_is_found_under_its_version_only() {
        assert!(tells_apart(key));
        // The check must find these seeded faults.
        assert!(!tells_apart(|_, name| key(1, name)), "keys without the version");
        assert!(!tells_apart(|n, _| key(n, b"a")), "keys without the name");
    }

    #[test]
    fn an_entry_under_another_key_is_a_miss() {
        let (checked, store) = checked_store();
        checked.set(&key(1, b"a"), b"value");
        // The entry gets another key, as after a hash collision or a wrong answer of the
        // server.
        let entry = store.0.lock().unwrap().as_mut().unwrap().drain().next().unwrap().1;
        store.set(&key(2, b"a").stored("p:"), &entry).unwrap();
        assert_eq!(checked.get(&key(2, b"a")), None);
    }

    #[test]
    fn a_store_that_fails_returns_no_value() {
        let (checked, store) = checked_store();
        *store.0.lock().unwrap() = None;
        checked.set(&key(1, b"a"), b"value");
        assert_eq!(checked.get(&key(1, b"a")), None);
    }

    #[test]
    fn a_memory_store_opens() {
        let store = CheckedStore::open(&StoreSettings::memory()).unwrap();
        store.set(&key(1, b"a"), b"");
        assert_eq!(store.get(&key(1, b"a")), Some(Vec::new()));
        #[cfg(feature = "tokio")]
        assert!(store.is_local() && !CheckedStore::new(Box::new(checked_store().1)).is_local());
    }
}
