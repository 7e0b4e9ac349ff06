//! Cached values: computed when they are not there, filed under the version that
//! was read before the data.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::shared::Shared;
use super::single_flight::Part;
use crate::engine::Executor;
use crate::error::{Error, Result};
use crate::model::Identity;
use crate::registry::identity;
use crate::store::{EntryKey, Shelf};

/// Values of one type that are kept under a cache's version, as JSON.
///
/// Each is filed under app, cache, format number, the version that was current
/// before its data was read, and a key. What is computed for an earlier version
/// is never found under a later one. Where the version is not known, or the store
/// does not answer, values are computed and not kept.
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
/// let ranks = buster.cache("ranks")?.values::<Vec<String>>("forum", 1);
///
/// let load = || vec!["newbie".to_owned(), "regular".to_owned()]; // SELECT name FROM rank
/// assert_eq!(ranks.get_or_insert_with("all", load).len(), 2);
/// let never = || unreachable!("it is in the store");
/// assert_eq!(ranks.get_or_insert_with("all", never).len(), 2);
///
/// buster.invalidate(&mut connection, &["ranks"])?;
/// assert_eq!(ranks.get_or_insert_with("all", || Vec::new()).len(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Values<T> {
    shared: Arc<Shared>,
    cache: Arc<str>,
    app: Arc<str>,
    format: u32,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Values<T> {
    fn clone(&self) -> Self {
        let Values { shared, cache, app, format, kind } = self;
        let (shared, cache, app) = (shared.clone(), cache.clone(), app.clone());
        Values { shared, cache, app, format: *format, kind: *kind }
    }
}

impl<T> fmt::Debug for Values<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values")
            .field("cache", &self.cache)
            .field("app", &self.app)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl<T> Values<T> {
    pub(super) fn new(shared: Arc<Shared>, cache: &str, app: &str, format: u32) -> Self {
        Values { shared, cache: cache.into(), app: app.into(), format, kind: PhantomData }
    }

    #[cfg(feature = "tokio")]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    #[cfg(feature = "tokio")]
    pub(super) fn cache(&self) -> &str {
        &self.cache
    }

    pub(super) fn shelf(&self) -> &Arc<Shelf> {
        &self.shared.shelf
    }

    /// Where a value belongs now; `None` while the version is not known.
    pub(super) fn filing_now(&self, key: &str) -> Option<Filing> {
        let knowledge = self.shared.knowledge();
        Some(self.filing(knowledge.get(&self.cache)?.identity, key))
    }

    pub(super) fn filing(&self, identity: Identity, key: &str) -> Filing {
        let (app, cache) = (self.app.clone(), self.cache.clone());
        Filing { app, cache, format: self.format, identity, key: key.to_owned() }
    }
}

/// Where a value belongs.
#[derive(Clone)]
pub(super) struct Filing {
    app: Arc<str>,
    cache: Arc<str>,
    format: u32,
    identity: Identity,
    key: String,
}

impl Filing {
    pub(super) fn key(&self) -> EntryKey<'_> {
        EntryKey::new(&self.app, &self.cache, self.format, self.identity, self.key.as_bytes())
    }

    pub(super) fn find<T: DeserializeOwned>(&self, shelf: &Shelf) -> Option<T> {
        decode(&shelf.get(&self.key())?)
    }

    pub(super) fn file(&self, shelf: &Shelf, bytes: &[u8]) {
        shelf.set(&self.key(), bytes);
    }
}

impl<T: Serialize + DeserializeOwned> Values<T> {
    /// The value under the key, computed by `load` if it is not there. Many who
    /// ask at once in this process wait for one computation.
    ///
    /// `load` must see at least what the versions are read from: the same database,
    /// not a replica of it, and no transaction whose snapshot is from before this
    /// call, or that has invalidated the cache and is not committed.
    /// [`get_or_try_insert_in`](Values::get_or_try_insert_in) is for those.
    ///
    /// A computation may ask for other values, as long as these do not ask for its
    /// own in turn: on two threads, each would wait for the other. And it must not
    /// need what those who wait for it hold, such as the last connection of a pool.
    pub fn get_or_insert_with(&self, key: &str, load: impl FnOnce() -> T) -> T {
        let loaded = self.get_or_try_insert_with(key, || Ok::<T, std::convert::Infallible>(load()));
        match loaded {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// The same with a computation that can fail. Whoever waited for one that
    /// failed computes for itself.
    ///
    /// # Errors
    ///
    /// Those of `load`.
    pub fn get_or_try_insert_with<E>(&self, key: &str, load: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        // The version first, then the data.
        let Some(filing) = self.filing_now(key) else { return load() };
        if let Some(value) = filing.find(self.shelf()) {
            return Ok(value);
        }
        let lead = match self.shared.flights.join(&filing.key()) {
            Part::Lead(lead) => Some(lead),
            Part::Recursion => return load(),
            Part::Follow(flight) => match flight.wait().and_then(|bytes| decode(&bytes)) {
                Some(value) => return Ok(value),
                // Not one after the other, each waiting for a database that is down.
                None => None,
            },
        };
        // Another leader may have landed between the look and the take-off.
        if let Some(value) = filing.find(self.shelf()) {
            return Ok(value);
        }
        let value = match &lead {
            Some(lead) => lead.compute(load)?,
            None => load()?,
        };
        if let Some(bytes) = encode(&value) {
            // Filed before it lands: then nobody finds neither.
            filing.file(self.shelf(), &bytes);
            if let Some(lead) = lead {
                lead.land(bytes);
            }
        }
        Ok(value)
    }

    /// The same on a connection or in an open transaction, which `load` gets back:
    /// the version is read there first, in the transaction's snapshot. So what an
    /// old snapshot reads is filed under an old version, and nothing is kept that
    /// a transaction reads after having invalidated the cache itself. (On SQLite,
    /// which does not tell, after having written anything.) So invalidate before
    /// you read back what you have written.
    ///
    /// On a connection this is the strict form: what it returns was current when
    /// it was called, whatever the refresher knows.
    ///
    /// # Errors
    ///
    /// Those of `load`, and those of reading the version.
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
        let filing = self.filing(sight.identity, key);
        if let Some(value) = filing.find(self.shelf()) {
            return Ok(value);
        }
        let value = load(executor)?;
        if let Some(bytes) = encode(&value) {
            filing.file(self.shelf(), &bytes);
        }
        Ok(value)
    }
}

/// A value that has no JSON is not kept.
pub(super) fn encode<T: Serialize>(value: &T) -> Option<Arc<[u8]>> {
    serde_json::to_vec(value)
        .map(Into::into)
        .inspect_err(|error| log::warn!("a value cannot be written as JSON, and is not cached: {error}"))
        .ok()
}

/// What is not JSON of the type is a miss.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}
