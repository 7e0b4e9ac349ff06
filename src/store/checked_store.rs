//! A store as the rest of Bustard sees it: it never fails, and it never returns
//! anything but what was filed under the very same key.

use super::{EntryKey, Store, StoreSettings, entry};
use crate::error::{Error, Result};

/// Values in their envelopes, in a store.
#[derive(Debug)]
pub(crate) struct Shelf {
    store: Box<dyn Store>,
    prefix: String,
}

impl Shelf {
    /// A shelf in the store that is configured. Connects to nothing yet.
    pub(crate) fn open(settings: &StoreSettings) -> Result<Self> {
        Ok(Shelf { store: settings.open()?, prefix: settings.prefix().to_owned() })
    }

    /// A shelf in a store of the caller's own.
    pub(crate) fn new(store: Box<dyn Store>) -> Self {
        Shelf { store, prefix: String::new() }
    }

    /// The value, if the store has it. A store that fails has nothing.
    pub(crate) fn get(&self, key: &EntryKey) -> Option<Vec<u8>> {
        let stored = key.stored(&self.prefix);
        let entry = self.store.get(&stored).unwrap_or_else(|error| {
            failed(&error);
            None
        })?;
        let value = entry::open(entry, &key.full());
        if value.is_none() {
            log::debug!("what the store has under {stored} is no entry of this key: computing it anew");
        }
        value
    }

    /// Keeps the value, if the store takes it.
    pub(crate) fn set(&self, key: &EntryKey, value: &[u8]) {
        let Some(entry) = entry::seal(&key.full(), value) else { return };
        if let Err(error) = self.store.set(&key.stored(&self.prefix), &entry) {
            failed(&error);
        }
    }

    /// Whether both calls return without waiting for anybody.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_local(&self) -> bool {
        self.store.is_local()
    }
}

/// Stores say once when they begin to fail; each failure is only for who digs.
fn failed(error: &Error) {
    log::debug!("{}", error.message());
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::error::ErrorKind;
    use crate::model::Identity;

    type Entries = HashMap<String, Vec<u8>>;

    /// Bytes that a test can get at; `None` fails.
    #[derive(Clone, Debug)]
    struct Open(Arc<Mutex<Option<Entries>>>);

    impl Store for Open {
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

    fn shelf() -> (Shelf, Open) {
        let store = Open(Arc::new(Mutex::new(Some(HashMap::new()))));
        (Shelf { store: Box::new(store.clone()), prefix: "p:".to_owned() }, store)
    }

    fn key(n: i64, key: &[u8]) -> EntryKey<'_> {
        EntryKey::new("forum", "bans", 1, Identity { n, nonce: 5 }, key)
    }

    /// Whether a value is found under its own key only, with keys that are made so.
    fn tells_apart(key: fn(i64, &'static [u8]) -> EntryKey<'static>) -> bool {
        let (shelf, _) = shelf();
        shelf.set(&key(1, b"a"), b"value");
        let found = shelf.get(&key(1, b"a"));
        let others = [key(2, b"a"), key(1, b"b")].map(|other| shelf.get(&other));
        found.as_deref() == Some(b"value") && others == [None, None]
    }

    #[test]
    fn a_value_is_found_under_its_version_only() {
        assert!(tells_apart(key));
        // That check sees what it is there for.
        assert!(!tells_apart(|_, name| key(1, name)), "keys without the version");
        assert!(!tells_apart(|n, _| key(n, b"a")), "keys without the name");
    }

    #[test]
    fn an_entry_under_another_key_is_a_miss() {
        let (shelf, store) = shelf();
        shelf.set(&key(1, b"a"), b"value");
        // As if the hashes of two keys were the same, or the server confused.
        let entry = store.0.lock().unwrap().as_mut().unwrap().drain().next().unwrap().1;
        store.set(&key(2, b"a").stored("p:"), &entry).unwrap();
        assert_eq!(shelf.get(&key(2, b"a")), None);
    }

    #[test]
    fn a_store_that_fails_has_nothing() {
        let (shelf, store) = shelf();
        *store.0.lock().unwrap() = None;
        shelf.set(&key(1, b"a"), b"value");
        assert_eq!(shelf.get(&key(1, b"a")), None);
    }

    #[test]
    fn a_shelf_opens_in_memory() {
        let shelf = Shelf::open(&StoreSettings::memory()).unwrap();
        shelf.set(&key(1, b"a"), b"");
        assert_eq!(shelf.get(&key(1, b"a")), Some(Vec::new()));
        #[cfg(feature = "tokio")]
        assert!(shelf.is_local() && !Shelf::new(Box::new(self::shelf().1)).is_local());
    }
}
