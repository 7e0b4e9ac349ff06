//! What this process knows: the snapshot, or that there is none.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::registry;
use crate::version::{CacheVersion, Identity};

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
    /// The names of registered caches, read when a wanted one was not there.
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
        snapshot.caches.get(name).ok_or_else(|| registry::unknown(name, &snapshot.registered))
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
