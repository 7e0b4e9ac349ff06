//! Reads the versions of caches in a SQLite file, and reads them again only if the file has
//! changed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::registry_sql::{DATA_VERSION, SqliteRegistrySql, snapshot};
use crate::engine::observer::{Bell, Interest, Look, Observer, Poller, SeenKeys, Wanted, Woken, seen};
use crate::engine::registry::{not_a_version, single};
use crate::error::Result;
use crate::model::DatabaseId;
use crate::sql::RegistrySql;

/// Reads versions in a file.
pub(crate) struct SqlitePoller {
    observer: Box<dyn Observer>,
    /// The last value of `data_version`, which changes when another connection has
    /// committed.
    interest: Interest<String>,
    /// The database of the last read.
    database: DatabaseId,
}

impl SqlitePoller {
    pub(crate) fn new(observer: Box<dyn Observer>) -> Self {
        SqlitePoller { observer, interest: Interest::default(), database: DatabaseId::default() }
    }
}

impl Poller for SqlitePoller {
    fn bell(&self) -> Arc<dyn Bell> {
        self.observer.bell()
    }

    fn connect(&mut self, deadline: Instant) -> Result<()> {
        self.interest.known = None;
        self.observer.connect(deadline)
    }

    fn look(&mut self, wanted: Wanted<'_>, _notify: bool, deadline: Instant) -> Result<Look> {
        let wanted = self.interest.want(wanted);
        // `data_version` is read before the caches, so that the next poll notices a change
        // between the two reads.
        let version = self.observer.rows(None, DATA_VERSION, deadline)?;
        let version = single(&version).ok_or_else(not_a_version)?.to_owned();
        if self.interest.known.as_ref() == Some(&version) {
            return Ok(Look { caches: None, database: self.database, age: Duration::ZERO });
        }
        let rows = self.observer.rows(None, &snapshot(wanted.caches), deadline)?;
        // Each row has the identity. Without a cache there is no value to name a database for.
        if let Some(row) = rows.first() {
            let identity = row.get(4..).unwrap_or_default();
            self.database = DatabaseId::read(identity).ok_or_else(not_a_version)?;
        }
        let mut caches = rows.into_iter().map(seen).collect::<Result<Vec<_>>>()?;
        // A write to a table invalidates all keys here.
        for seen in caches.iter_mut().filter(|seen| wanted.keyed.contains(&seen.name.as_str())) {
            seen.keys = SeenKeys::whole(seen.identity);
        }
        self.interest.known = Some(version);
        Ok(Look { caches: Some(caches), database: self.database, age: Duration::ZERO })
    }

    /// Does nothing, because SQLite increments a count and has no events to fold.
    fn fold(&mut self, _deadline: Instant) {}

    fn names(&mut self, deadline: Instant) -> Result<Vec<String>> {
        let rows = self.observer.rows(None, SqliteRegistrySql.names(), deadline)?;
        Ok(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    fn is_direct(&self) -> bool {
        true
    }

    fn forget(&mut self) {
        self.interest.known = None;
    }

    fn wait(&mut self, until: Instant) -> Result<Woken> {
        self.observer.wait(until)
    }
}

#[cfg(test)]
mod tests;
