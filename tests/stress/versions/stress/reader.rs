//! The threads that read versions together with the data, in every available way, and keep
//! entries as an application does.

use postgres::types::FromSql;
use postgres::{Client, Error, Row, Statement};

use super::{CACHES, FLEETING, LEVELS, Work, select, states, versions};
use crate::support::Random;
use crate::versions::ledger::State;

pub struct Reader<'a> {
    work: Work<'a>,
    client: Client,
    random: Random,
    /// The versions that this reader saw last.
    last: [i64; CACHES.len()],
    by_function: Statement,
    by_view: Statement,
    versions: Statement,
    states: Statement,
    check: Statement,
}

impl<'a> Reader<'a> {
    pub fn new(work: Work<'a>, number: usize) -> Result<Self, Error> {
        let mut client = work.connect(work.role)?;
        let view = format!(
            "SELECT d.*, v.versions FROM ({}) AS d, (SELECT array_agg(version ORDER BY name) AS versions \
             FROM bustard.caches WHERE name <> '{FLEETING}') AS v",
            select(&[states()], "FROM data")
        );
        let valid =
            CACHES.iter().zip(1..).map(|(cache, place)| format!("bustard.is_valid('{cache}', ${place})"));
        Ok(Reader {
            work,
            random: Random::new(number as u64),
            last: [0; CACHES.len()],
            by_function: client.prepare(&select(&[states(), versions()], "FROM data"))?,
            by_view: client.prepare(&view)?,
            versions: client.prepare(&select(&[versions()], ""))?,
            states: client.prepare(&select(&[states()], "FROM data"))?,
            check: client.prepare(&select(&[states(), valid.collect()], "FROM data"))?,
            client,
        })
    }

    pub fn round(&mut self) -> Result<(), Error> {
        self.read_by_function()?;
        self.read_by_view()?;
        if self.random.one_in(4) {
            self.read_in_one_snapshot()?;
        }
        if self.random.one_in(2) {
            self.fill()?;
        }
        self.check()
    }

    fn observe(&mut self, versions: &[i64], states: &[State]) {
        for (cache, (version, state)) in versions.iter().zip(states).enumerate() {
            self.work.ledger.observe(cache, *version, state, &mut self.last[cache]);
        }
    }

    fn read_by_function(&mut self) -> Result<(), Error> {
        let row = self.client.query_one(&self.by_function, &[])?;
        self.observe(&columns::<i64>(&row, CACHES.len()), &columns(&row, 0));
        Ok(())
    }

    fn read_by_view(&mut self) -> Result<(), Error> {
        let row = self.client.query_one(&self.by_view, &[])?;
        self.observe(&row.get::<_, Vec<i64>>(CACHES.len()), &columns(&row, 0));
        Ok(())
    }

    fn read_in_one_snapshot(&mut self) -> Result<(), Error> {
        let level = LEVELS[1 + self.random.below(2)];
        self.client.batch_execute(&format!("BEGIN ISOLATION LEVEL {level} READ ONLY"))?;
        let row = self.client.query_one(&self.versions, &[])?;
        let versions = columns::<i64>(&row, 0);
        let row = self.client.query_one(&self.states, &[])?;
        self.observe(&versions, &columns(&row, 0));
        self.read_by_view()?;
        self.client.batch_execute("COMMIT")
    }

    /// Fills an entry in the order of an application: reads the version, and then the data.
    fn fill(&mut self) -> Result<(), Error> {
        let row = self.client.query_one(&self.versions, &[])?;
        let versions = columns::<i64>(&row, 0);
        for (cache, version) in versions.iter().enumerate() {
            self.work.ledger.observe_version(cache, *version, &mut self.last[cache]);
        }
        let row = self.client.query_one(&self.states, &[])?;
        let entries = versions.into_iter().zip(columns(&row, 0)).collect();
        *self.work.entries.lock().expect("the mutex is not poisoned") = entries;
        Ok(())
    }

    fn check(&mut self) -> Result<(), Error> {
        let entries = self.work.entries.lock().expect("the mutex is not poisoned").clone();
        let [(a, _), (b, _), (c, _), (d, _), (e, _)] = entries.as_slice() else { return Ok(()) };
        let row = self.client.query_one(&self.check, &[a, b, c, d, e])?;
        let states = columns::<State>(&row, 0);
        let valid = columns::<bool>(&row, CACHES.len());
        for (cache, (version, filed)) in entries.iter().enumerate() {
            self.work.ledger.check_entry(cache, *version, filed, valid[cache], &states[cache]);
        }
        Ok(())
    }
}

fn columns<T: for<'a> FromSql<'a>>(row: &Row, from: usize) -> Vec<T> {
    (from..from + CACHES.len()).map(|column| row.get(column)).collect()
}
