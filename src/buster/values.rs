//! Cached values: computed on a miss and stored under the version that was read
//! before the data.
//!
//! In: a key and a function that loads its value. Out: the value, from the store if
//! it has one for the current version.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::shared::Shared;
use super::single_flight::FlightPart;
use crate::engine::Executor;
use crate::error::{Error, Result};
use crate::model::{DatabaseId, Identity};
use crate::registry::identity;
use crate::store::{CheckedStore, EntryKey};

/// Values of one type, stored as JSON under the version of a cache.
///
/// The key of an entry consists of the database, the cache, the name, the format number, the
/// version that was current before the data was read, and the caller's key. A value that was
/// computed for an earlier version is therefore never returned for a later one. If the
/// version is unknown or the store does not answer, values are computed and not stored.
///
/// ```
/// use bustard::{App, CacheBuster, Migration, Migrator};
///
/// # let directory = tempfile::tempdir()?;
/// # let url = format!("sqlite:{}", directory.path().join("forum.sqlite").display());
/// # let mut connection = rusqlite::Connection::open(directory.path().join("forum.sqlite"))?;
/// # let app = App::new("forum").migration("V1__ranks", Migration::new().register_cache("ranks"));
/// # Migrator::new().app(app).run(&mut connection)?;
/// let buster = CacheBuster::connect(&url)?;
/// let ranks = buster.cache("ranks")?.values::<Vec<String>>("names", 1)?;
///
/// let load = || vec!["newbie".to_owned(), "regular".to_owned()]; // SELECT name FROM rank
/// assert_eq!(ranks.get_or_insert_with("all", load).len(), 2);
/// let never = || unreachable!("the value is in the store");
/// assert_eq!(ranks.get_or_insert_with("all", never).len(), 2);
///
/// buster.invalidate(&mut connection, &["ranks"])?;
/// assert_eq!(ranks.get_or_insert_with("all", || Vec::new()).len(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Values<T> {
    shared: Arc<Shared>,
    cache: Arc<str>,
    name: Arc<str>,
    format: u32,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Values<T> {
    fn clone(&self) -> Self {
        let Values { shared, cache, name, format, kind } = self;
        let (shared, cache, name) = (shared.clone(), cache.clone(), name.clone());
        Values { shared, cache, name, format: *format, kind: *kind }
    }
}

impl<T> fmt::Debug for Values<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values")
            .field("cache", &self.cache)
            .field("name", &self.name)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl<T> Values<T> {
    pub(super) fn new(shared: Arc<Shared>, cache: &str, name: &str, format: u32) -> Self {
        Values { shared, cache: cache.into(), name: name.into(), format, kind: PhantomData }
    }

    #[cfg(feature = "tokio")]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    #[cfg(feature = "tokio")]
    pub(super) fn cache(&self) -> &str {
        &self.cache
    }

    pub(super) fn store(&self) -> &Arc<CheckedStore> {
        &self.shared.store
    }

    /// Returns the entry of `key` under the current version; `None` while the version is
    /// unknown.
    pub(super) fn filing_now(&self, key: &str) -> Option<Filing> {
        let snapshot = self.shared.snapshot();
        let (database, identity) = snapshot.origin(&self.cache)?;
        Some(self.filing(database, identity, key))
    }

    pub(super) fn filing(&self, database: DatabaseId, identity: Identity, key: &str) -> Filing {
        let (name, cache) = (self.name.clone(), self.cache.clone());
        Filing { database, name, cache, format: self.format, identity, key: key.to_owned() }
    }
}

/// The owned parts of an entry's key.
#[derive(Clone)]
pub(super) struct Filing {
    database: DatabaseId,
    name: Arc<str>,
    cache: Arc<str>,
    format: u32,
    identity: Identity,
    key: String,
}

impl Filing {
    pub(super) fn key(&self) -> EntryKey<'_> {
        let Filing { database, name, cache, format, identity, key } = self;
        EntryKey::new(*database, name, cache, *format, *identity, key.as_bytes())
    }

    pub(super) fn find<T: DeserializeOwned>(&self, store: &CheckedStore) -> Option<T> {
        decode(&store.get(&self.key())?)
    }

    pub(super) fn file(&self, store: &CheckedStore, bytes: &[u8]) {
        store.set(&self.key(), bytes);
    }
}

impl<T: Serialize + DeserializeOwned> Values<T> {
    /// Returns the value under `key`, computing it with `load` on a miss. Concurrent
    /// callers in this process share one computation (single flight).
    ///
    /// `load` must read data that is at least as recent as the version. It must read from
    /// the same database and not from a replica. It must not read in a transaction whose
    /// snapshot is older than this call, nor in an open transaction that has invalidated
    /// the cache. Use [`get_or_try_insert_in`](Values::get_or_try_insert_in) in such a
    /// transaction.
    ///
    /// `load` may request other values, but two values must not request each other:
    /// on two threads, each computation would wait for the other. `load` must not need
    /// a resource that waiting callers hold, such as the last connection of a pool.
    pub fn get_or_insert_with(&self, key: &str, load: impl FnOnce() -> T) -> T {
        let loaded = self.get_or_try_insert_with(key, || Ok::<T, std::convert::Infallible>(load()));
        match loaded {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// Returns the value under `key`, computing it with a fallible `load` on a miss. If the
    /// shared computation fails, each waiting caller computes the value itself.
    ///
    /// # Errors
    ///
    /// Returns the error of `load`.
    pub fn get_or_try_insert_with<E>(&self, key: &str, load: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        // The version must be read before the data.
        let Some(filing) = self.filing_now(key) else { return load() };
        if let Some(value) = filing.find(self.store()) {
            return Ok(value);
        }
        let lead = match self.shared.flights.join(&filing.key()) {
            FlightPart::Lead(lead) => Some(lead),
            FlightPart::Recursion => return load(),
            FlightPart::Follow(flight) => match flight.wait().and_then(|bytes| decode(&bytes)) {
                Some(value) => return Ok(value),
                // The leader failed. The waiters now compute concurrently. If they took
                // turns, each would wait for a database that is down.
                None => None,
            },
        };
        // Another thread may have computed and stored the value between the lookup and
        // `join`.
        if let Some(value) = filing.find(self.store()) {
            return Ok(value);
        }
        let value = match &lead {
            Some(lead) => lead.compute(load)?,
            None => load()?,
        };
        if let Some(bytes) = encode(&value) {
            // Store the value before ending the flight, so that a later caller finds the
            // value or joins the flight.
            filing.file(self.store(), &bytes);
            if let Some(lead) = lead {
                lead.land(bytes);
            }
        }
        Ok(value)
    }

    /// Returns the value under `key`, reading the version on `executor` first and passing
    /// `executor` to `load` on a miss.
    ///
    /// In a transaction the version is read in the transaction's snapshot, so a value that
    /// was read in an old snapshot is stored under an old version. If the transaction has
    /// invalidated the cache itself, the value is not stored. SQLite does not report
    /// invalidations, so there the value is not stored if the transaction has written
    /// anything. Invalidate the cache before reading back what the transaction has written.
    ///
    /// On a connection this is the strict form: the value was current at the time of the
    /// call, even if the snapshot of the refresher is older.
    ///
    /// # Errors
    ///
    /// Returns the error of `load`, or of reading the version.
    pub fn get_or_try_insert_in<X: Executor, E: From<Error>>(
        &self,
        executor: &mut X,
        key: &str,
        load: impl FnOnce(&mut X) -> Result<T, E>,
    ) -> Result<T, E> {
        let sight = identity::sight(executor, &self.cache)?;
        if sight.own {
            return load(executor);
        }
        let filing = self.filing(sight.database, sight.identity, key);
        if let Some(value) = filing.find(self.store()) {
            return Ok(value);
        }
        let value = load(executor)?;
        if let Some(bytes) = encode(&value) {
            filing.file(self.store(), &bytes);
        }
        Ok(value)
    }
}

/// Serializes a value. Returns `None` if the value has no JSON form; it is then not stored.
pub(super) fn encode<T: Serialize>(value: &T) -> Option<Arc<[u8]>> {
    serde_json::to_vec(value)
        .map(Into::into)
        .inspect_err(|error| log::warn!("cannot serialize a value as JSON; it is not cached: {error}"))
        .ok()
}

/// Deserializes a value. JSON that does not fit the type is a miss.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}
