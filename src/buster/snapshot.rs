//! The snapshot of versions in this process, current or expired.
//!
//! In: the caches that a poll returned. Out: the version of a cache, or the error that
//! says why it is unknown.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::engine::observer::SeenKeys;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{CacheVersion, DatabaseId, Identity, KeyRule};
use crate::registry;

/// The current snapshot, or the reason why there is none.
#[derive(Debug)]
pub(super) enum SnapshotState {
    Current(Snapshot),
    Expired {
        /// The time as of which the last snapshot was current.
        since: Option<Instant>,
        why: String,
    },
}

/// The versions of the requested caches, read by one statement.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// The database that was read.
    pub database: DatabaseId,
    pub caches: BTreeMap<String, SnapshotEntry>,
    /// The requested names, sorted; `None` if all caches were requested.
    pub wanted: Option<Vec<String>>,
    /// The names of all registered caches, for the error message. They are read only if a
    /// requested cache is not registered. The list is empty if all caches were requested.
    pub registered: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SnapshotEntry {
    pub identity: Identity,
    pub version: CacheVersion,
    pub app: Option<String>,
    pub keys: SeenKeys,
}

impl SnapshotState {
    /// Returns an error if the snapshot has expired.
    pub(super) fn check(&self) -> Result<()> {
        self.current().map(drop)
    }

    pub(super) fn find(&self, name: &str) -> Result<&SnapshotEntry> {
        let snapshot = self.current()?;
        snapshot.caches.get(name).ok_or_else(|| match &snapshot.wanted {
            Some(wanted) if wanted.binary_search_by(|wanted| wanted.as_str().cmp(name)).is_err() => {
                Error::new(ErrorKind::Stale, format!("the version of the cache {name} is not known yet"))
                    .help("the database does not answer now")
            }
            _ => registry::unknown(name, snapshot.caches.keys().chain(&snapshot.registered)),
        })
    }

    /// Returns the entry of a cache; `None` where [`find`](Self::find) returns an error.
    pub(super) fn get(&self, name: &str) -> Option<&SnapshotEntry> {
        match self {
            SnapshotState::Current(snapshot) => snapshot.caches.get(name),
            SnapshotState::Expired { .. } => None,
        }
    }

    /// Returns the identity of the version of a bucket of keys.
    pub(super) fn key_identity(&self, name: &str, rule: &KeyRule, bucket: usize) -> Result<Identity> {
        match &self.find(name)?.keys {
            SeenKeys::Read { rule: now, rest, buckets } if now == rule => {
                Ok(rest.and(buckets.get(bucket).copied().unwrap_or(Identity::NONE)))
            }
            keys => Err(unknown_keys(name, keys)),
        }
    }

    /// Returns the database and the keys of a cache; `None` while they are unknown.
    pub(super) fn keys(&self, name: &str) -> Option<(DatabaseId, &SeenKeys)> {
        match self {
            SnapshotState::Current(snapshot) => Some((snapshot.database, &snapshot.caches.get(name)?.keys)),
            SnapshotState::Expired { .. } => None,
        }
    }

    /// Returns what values of a cache are computed from now: the database, and the identity
    /// of the version. Returns `None` while the version is unknown.
    pub(super) fn origin(&self, name: &str) -> Option<(DatabaseId, Identity)> {
        match self {
            SnapshotState::Current(snapshot) => {
                Some((snapshot.database, snapshot.caches.get(name)?.identity))
            }
            SnapshotState::Expired { .. } => None,
        }
    }

    /// Returns the database that was read; the default while the versions are unknown.
    pub(super) fn database(&self) -> DatabaseId {
        self.current().map_or_else(|_| DatabaseId::default(), |snapshot| snapshot.database)
    }

    /// Returns the names of all caches in the snapshot.
    pub(super) fn caches(&self) -> impl Iterator<Item = &String> {
        self.current().ok().into_iter().flat_map(|snapshot| snapshot.caches.keys())
    }

    /// Returns the number of a cache's version; 0 if it is unknown.
    pub(super) fn version(&self, name: &str) -> i64 {
        self.get(name).map_or(0, |entry| entry.version.get())
    }

    fn current(&self) -> Result<&Snapshot> {
        match self {
            SnapshotState::Current(snapshot) => Ok(snapshot),
            SnapshotState::Expired { since, why } => {
                let since = match since {
                    Some(since) => format!("have not been known for {:.1} s", since.elapsed().as_secs_f64()),
                    None => "are not known".to_owned(),
                };
                Err(Error::new(ErrorKind::Stale, format!("the versions of caches {since}: {why}"))
                    .help("cached values count as invalid until the database answers"))
            }
        }
    }
}

/// Builds the error for keys whose versions the snapshot does not have.
pub(super) fn unknown_keys(name: &str, keys: &SeenKeys) -> Error {
    match keys {
        SeenKeys::None => Error::new(ErrorKind::Cache, format!("the cache {name} has no keys"))
            .help("a migration registers it with `-- bustard: register cache NAME on TABLE by COLUMN`"),
        SeenKeys::NotRead => {
            Error::new(ErrorKind::Stale, format!("the versions of the keys of the cache {name} are not known yet"))
                .help("the database does not answer now")
        }
        SeenKeys::Unproven => Error::new(
            ErrorKind::Stale,
            format!("the buckets of the cache {name} do not come to their sum, so the versions of its keys are unknown"),
        )
        .help("the tables of the registry are Bustard's own: was a part of them restored?"),
        SeenKeys::Read { .. } => {
            Error::new(ErrorKind::Stale, format!("the keys of the cache {name} have another type now"))
                .help("call `keyed` again")
        }
    }
}
