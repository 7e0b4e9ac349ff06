//! The stores of a `CacheBuster`, by alias, each opened once.
//!
//! In: settings, or a store of the caller. Out: checked stores.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::store::{CheckedStore, Store, Stores};

/// The alias of a store of the caller.
const DEFAULT: &str = "default";

/// The stores by alias.
#[derive(Debug)]
pub(super) struct AliasStores {
    settings: Stores,
    preferred: Arc<CheckedStore>,
    opened: Mutex<BTreeMap<String, Arc<CheckedStore>>>,
}

impl AliasStores {
    /// Opens the preferred store. Does not connect yet.
    pub(super) fn open(settings: &Stores) -> Result<Self> {
        let preferred = Arc::new(CheckedStore::open(&settings.preferred())?);
        let alias = settings.preferred_alias().unwrap_or(DEFAULT).to_owned();
        let opened = Mutex::new(BTreeMap::from([(alias, preferred.clone())]));
        Ok(AliasStores { settings: settings.clone(), preferred, opened })
    }

    /// Wraps a store of the caller.
    pub(super) fn of(store: impl Store + 'static) -> Self {
        let preferred = Arc::new(CheckedStore::new(Box::new(store)));
        let opened = Mutex::new(BTreeMap::from([(DEFAULT.to_owned(), preferred.clone())]));
        AliasStores { settings: Stores::new(), preferred, opened }
    }

    pub(super) fn preferred(&self) -> Arc<CheckedStore> {
        self.preferred.clone()
    }

    /// Returns the store with this alias, and opens it at the first call.
    pub(super) fn get(&self, alias: &str) -> Result<Arc<CheckedStore>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = opened.get(alias) {
            return Ok(store.clone());
        }
        let store = Arc::new(CheckedStore::open(self.settings.get(alias)?)?);
        opened.insert(alias.to_owned(), store.clone());
        Ok(store)
    }
}
