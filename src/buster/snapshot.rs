//! What this process knows: the snapshot, or that there is none.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{CacheVersion, Identity};
use crate::registry;

/// The snapshot as it was seen last, or why there is none.
#[derive(Debug)]
pub(super) enum Knowledge {
    Known(Snapshot),
    Unknown {
        /// As of when something was known last.
        since: Option<Instant>,
        why: String,
    },
}

/// All cache versions that are wanted here, as one statement saw them.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub caches: BTreeMap<String, Known>,
    /// The names that were asked for, in order; `None` if all were.
    pub wanted: Option<Vec<String>>,
    /// The names of registered caches, read when a wanted one was not there. (Where
    /// all were asked for, those are all.)
    pub registered: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub identity: Identity,
    pub version: CacheVersion,
    pub app: Option<String>,
}

impl Knowledge {
    /// Whether anything is known.
    pub(super) fn check(&self) -> Result<()> {
        self.snapshot().map(drop)
    }

    pub(super) fn find(&self, name: &str) -> Result<&Known> {
        let snapshot = self.snapshot()?;
        snapshot.caches.get(name).ok_or_else(|| match &snapshot.wanted {
            Some(wanted) if wanted.binary_search_by(|wanted| wanted.as_str().cmp(name)).is_err() => {
                Error::new(ErrorKind::Stale, format!("the version of the cache {name} is not known yet"))
                    .help("the database could not be asked: it does not answer now")
            }
            _ => registry::unknown(name, snapshot.caches.keys().chain(&snapshot.registered)),
        })
    }

    /// The same for whoever does not ask why not.
    pub(super) fn get(&self, name: &str) -> Option<&Known> {
        match self {
            Knowledge::Known(snapshot) => snapshot.caches.get(name),
            Knowledge::Unknown { .. } => None,
        }
    }

    /// The names of all that is known.
    pub(super) fn caches(&self) -> impl Iterator<Item = &String> {
        self.snapshot().ok().into_iter().flat_map(|snapshot| snapshot.caches.keys())
    }

    /// The number of a cache's version; 0 where there is none.
    pub(super) fn version(&self, name: &str) -> i64 {
        self.get(name).map_or(0, |known| known.version.get())
    }

    fn snapshot(&self) -> Result<&Snapshot> {
        match self {
            Knowledge::Known(snapshot) => Ok(snapshot),
            Knowledge::Unknown { since, why } => {
                let since = match since {
                    Some(since) => format!("have not been known for {:.1} s", since.elapsed().as_secs_f64()),
                    None => "are not known".to_owned(),
                };
                Err(Error::new(ErrorKind::Stale, format!("the versions of caches {since}: {why}"))
                    .help("what is cached counts as invalid until the database answers"))
            }
        }
    }
}
