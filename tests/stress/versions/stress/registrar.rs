//! The thread that registers and unregisters a cache.

use postgres::{Client, Error};

use super::{CACHES, FLEETING, Work};
use crate::support::Random;
use crate::versions::ledger::Fault;

/// Registers a cache and unregisters it, and sometimes rolls back.
pub struct Registrar<'a> {
    work: Work<'a>,
    client: Client,
    random: Random,
    last: i64,
}

impl<'a> Registrar<'a> {
    pub fn new(work: Work<'a>, number: usize) -> Result<Self, Error> {
        let mut client = work.connect("postgres")?;
        // After an error, the cache may still be registered.
        client.batch_execute(&format!(
            "SELECT bustard.unregister_cache(name) FROM bustard.caches WHERE name = '{FLEETING}'"
        ))?;
        Ok(Registrar { work, client, random: Random::new(number as u64), last: 0 })
    }

    pub fn round(&mut self) -> Result<(), Error> {
        let rolled_back = self.random.one_in(32);
        self.client.batch_execute(&format!("BEGIN; SELECT bustard.register_cache('{FLEETING}')"))?;
        let version = self.version()?;
        self.client.batch_execute(if rolled_back { "ROLLBACK" } else { "COMMIT" })?;
        if rolled_back {
            self.work.ledger.observe_rolled_back(CACHES.len(), version);
            return Ok(());
        }
        self.later(version);
        self.client.batch_execute(&format!("SELECT bustard.invalidate('{FLEETING}')"))?;
        let version = self.version()?;
        self.later(version);
        self.client.batch_execute(&format!("SELECT bustard.unregister_cache('{FLEETING}')"))
    }

    fn version(&mut self) -> Result<i64, Error> {
        let sql = format!("SELECT bustard.get_version('{FLEETING}')");
        Ok(self.client.query_one(&sql, &[])?.get(0))
    }

    /// Asserts that the version is higher than the last version.
    fn later(&mut self, version: i64) {
        if version == self.last {
            let text = format!("version {version} of {FLEETING} belongs to two registrations");
            self.work.ledger.find(Fault::TwoStates, text);
        }
        self.work.ledger.observe_version(CACHES.len(), version, &mut self.last);
    }
}
