//! The threads that change data and invalidate: at every isolation level, with
//! savepoints, rollbacks and lost connections.

use postgres::{Client, Error, Statement};

use super::{CACHES, LEVELS, Work};
use crate::support::Random;

pub struct Writer<'a> {
    work: Work<'a>,
    client: Client,
    number: usize,
    random: Random,
    invalidate: Statement,
    /// Statements that have not been sent yet.
    ahead: String,
}

impl<'a> Writer<'a> {
    pub fn new(work: Work<'a>, number: usize) -> Result<Self, Error> {
        let mut client = work.connect(work.role)?;
        let invalidate = client.prepare("SELECT bustard.invalidate(VARIADIC $1)")?;
        // Each connection has a random sequence of its own.
        let seed = number as u64 + work.ledger.commits() * 1_000;
        Ok(Writer { work, client, number, random: Random::new(seed), invalidate, ahead: String::new() })
    }

    pub fn transaction(&mut self) -> Result<(), Error> {
        let level = LEVELS[self.random.below(LEVELS.len())];
        self.ahead = format!("BEGIN ISOLATION LEVEL {level};");
        let mut touched = Vec::new();
        for caches in self.course() {
            match self.random.below(6) {
                0 => {
                    self.ahead += "SAVEPOINT s;";
                    self.step(&caches)?;
                    self.ahead += "ROLLBACK TO s;";
                }
                1 => {
                    self.ahead += "SAVEPOINT s;";
                    self.step(&caches)?;
                    self.ahead += "RELEASE s;";
                    touched.extend(caches);
                }
                _ => {
                    self.step(&caches)?;
                    touched.extend(caches);
                }
            }
        }
        if !self.random.one_in(5) {
            self.execute("COMMIT")?;
            if !touched.is_empty() {
                self.work.ledger.committed();
            }
            return Ok(());
        }
        // A transaction sometimes records the versions that it sees before its rollback. A
        // SERIALIZABLE transaction does not record any, because reading and invalidating in
        // one SERIALIZABLE transaction may fail. Only few versions are recorded, because
        // two histories of the same length have the same version once in 2^23 times.
        let mut rolled_back = Vec::new();
        self.execute("")?;
        if level != "SERIALIZABLE" && self.random.one_in(32) {
            for cache in touched {
                let sql = format!("SELECT bustard.get_version('{}')", CACHES[cache]);
                rolled_back.push((cache, self.client.query_one(&sql, &[])?.get(0)));
            }
        }
        if self.random.one_in(10) {
            // The server notices the lost connection later.
            *self = Writer::new(self.work, self.number)?;
        } else {
            self.client.batch_execute("ROLLBACK")?;
        }
        for (cache, version) in rolled_back {
            self.work.ledger.observe_rolled_back(cache, version);
        }
        Ok(())
    }

    /// Returns the caches that a transaction invalidates, in one list for each call.
    /// Neighbouring writers invalidate them in opposite orders.
    fn course(&mut self) -> Vec<Vec<usize>> {
        let calls = 1 + self.random.below(3);
        let mut course: Vec<Vec<usize>> = (0..calls)
            .map(|_| match self.random.below(12) {
                0 => (0..CACHES.len()).collect(),
                1 | 2 => {
                    let first = self.random.below(CACHES.len() - 1);
                    vec![first, first + 1]
                }
                // Some caches change all the time and some seldom, so that entries
                // stay valid for a while.
                _ => vec![self.random.below(CACHES.len()).min(self.random.below(CACHES.len()))],
            })
            .collect();
        course.sort();
        if self.number % 2 == 1 {
            course.reverse();
            course.iter_mut().for_each(|caches| caches.reverse());
        }
        course
    }

    /// Changes the data of the caches and invalidates the caches, in either order, with one
    /// message or with a prepared statement.
    fn step(&mut self, caches: &[usize]) -> Result<(), Error> {
        let names: Vec<&str> = caches.iter().map(|cache| CACHES[*cache]).collect();
        let changes: Vec<String> = names.iter().map(|name| format!("{name} = {name} + 1")).collect();
        let change = format!("UPDATE data_{} SET {}", self.number, changes.join(", "));
        if names.len() < CACHES.len() && self.random.one_in(2) {
            if self.random.one_in(2) {
                self.execute(&change)?;
                self.client.query(&self.invalidate, &[&names])?;
            } else {
                self.execute("")?;
                self.client.query(&self.invalidate, &[&names])?;
                self.ahead = change + ";";
            }
            return Ok(());
        }
        let invalidate = match names.len() {
            all if all == CACHES.len() => "SELECT bustard.invalidate_all()".to_owned(),
            _ => format!("SELECT bustard.invalidate('{}')", names.join("', '")),
        };
        let statements = match self.random.one_in(2) {
            true => [change, invalidate],
            false => [invalidate, change],
        };
        self.execute(&statements.join(";"))
    }

    /// Sends a statement together with the queued statements, because fewer messages allow
    /// more transactions.
    fn execute(&mut self, sql: &str) -> Result<(), Error> {
        let ahead = std::mem::take(&mut self.ahead);
        self.client.batch_execute(&(ahead + sql))
    }
}
