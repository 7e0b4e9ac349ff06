//! The parts of a run: a database with its items, two servers of stores, a faulty network
//! in front of each server, and the processes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bustard::{Migrator, registry};
use postgres::Client;

use super::judge::Judge;
use super::record::{Record, now};
use super::sluice::{Flow, Sluice};
use super::worker::{Role, Settings, Worker, store};
use super::{CACHES, ITEMS};
use crate::support::{Database, Random, Server, wait_until};

pub struct World<'d> {
    pub database: &'d Database<'d>,
    pub memcached: Server,
    pub redis: Server,
    /// The network between refreshers and the database.
    pub observed: Sluice,
    /// The network between readers and the database.
    asked: Sluice,
    pub written: Sluice,
    to_memcached: Sluice,
    to_redis: Sluice,
    pub judge: Arc<Judge>,
    pub fault: Option<&'static str>,
    workers: Mutex<Vec<Worker>>,
}

/// The processes.
pub struct Crowd {
    /// One reader for each of these stores.
    pub readers: &'static [&'static str],
    pub writers: usize,
}

impl<'d> World<'d> {
    /// Starts all processes and waits until they work.
    pub fn new(
        database: &'d Database<'d>,
        crowd: &Crowd,
        fault: Option<&'static str>,
        random: &mut Random,
    ) -> World<'d> {
        let mut client = database.client();
        Migrator::new().run(&mut client).expect("Bustard's own tables are made");
        for cache in CACHES {
            registry::register(&mut client, cache, None).expect("it is new");
        }
        client
            .batch_execute(&format!(
                "CREATE TABLE item (id int PRIMARY KEY, counter bigint NOT NULL) WITH (fillfactor = 10);
                 INSERT INTO item SELECT i, 0 FROM generate_series(0, {ITEMS} - 1) AS i"
            ))
            .expect("the items are made");
        let (memcached, redis) = (Server::memcached(), Server::redis());
        let port = database.cluster().port();
        let world = World {
            database,
            observed: Sluice::before(port),
            asked: Sluice::before(port),
            written: Sluice::before(port),
            to_memcached: Sluice::before(memcached.port()),
            to_redis: Sluice::before(redis.port()),
            memcached,
            redis,
            judge: Arc::new(Judge::new()),
            fault,
            workers: Mutex::default(),
        };
        for (number, backend) in crowd.readers.iter().enumerate() {
            world.start(Role::Reader, number, backend, random);
        }
        // Writers use stores that other processes read.
        for (number, backend) in ["memcached", "redis"].into_iter().cycle().take(crowd.writers).enumerate() {
            world.start(Role::Writer, number, backend, random);
        }
        let all = (crowd.readers.len() + crowd.writers) as u64;
        wait_until("everybody works", || {
            world.check();
            assert_eq!(world.judge.findings(), [""; 0], "at the start");
            world.judge.counts().ready >= all
        });
        world
    }

    fn start(&self, role: Role, number: usize, backend: &str, random: &mut Random) {
        let location = match backend {
            "memcached" => Some(self.to_memcached.location()),
            "redis" => Some(self.to_redis.location()),
            _ => None,
        };
        let direct = format!("127.0.0.1:{}", self.database.cluster().port());
        let through = |sluice: &Sluice| {
            let url = self.database.url();
            assert!(url.contains(&direct), "the URL names {direct}");
            url.replace(&direct, &sluice.location())
        };
        let settings = Settings {
            role,
            number,
            observed: through(&self.observed),
            asked: through(if role == Role::Reader { &self.asked } else { &self.written }),
            store: store(backend, location),
            seed: random.next(),
            lull: false,
        };
        self.workers().push(Worker::start(settings, self.fault, &self.judge));
    }

    pub fn workers(&self) -> MutexGuard<'_, Vec<Worker>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns one of the networks.
    pub fn any_sluice(&self, random: &mut Random) -> &Sluice {
        let all = [&self.observed, &self.asked, &self.written, &self.to_memcached, &self.to_redis];
        all[random.below(all.len())]
    }

    /// Makes writers begin or end a pause.
    pub fn tell_writers(&self, word: &str) {
        for worker in self.workers().iter_mut().filter(|worker| worker.role() == Role::Writer) {
            worker.tell(word);
        }
    }

    /// Changes every item without a notification, and tells only the judge.
    pub fn change_all(&self) {
        let mut client: Client = self.database.client();
        let mut transaction = client.transaction().expect("the database is there");
        let rows = transaction
            .query("UPDATE item SET counter = counter + 1 RETURNING id, counter", &[])
            .expect("the items are there");
        registry::invalidate(&mut transaction, &CACHES).expect("they are registered");
        let items = || rows.iter().map(|row| (row.get::<_, i32>(0) as usize, row.get(1)));
        let tell = |record| self.judge.hear("the test", "none", record);
        items().for_each(|(item, counter)| tell(Record::Attempted { item, counter }));
        transaction.commit().expect("nothing prevents it");
        let at = now();
        items().for_each(|(item, counter)| tell(Record::Acknowledged { item, counter, at }));
        tell(Record::Committed {});
    }

    /// Reports processes that have ended without the command `end`.
    pub fn check(&self) {
        self.workers().iter_mut().for_each(Worker::check);
    }

    /// Ends all processes, and judges their last records.
    pub fn end(&self) {
        for sluice in [&self.observed, &self.asked, &self.written, &self.to_memcached, &self.to_redis] {
            sluice.set(Flow::Free);
        }
        let workers = std::mem::take(&mut *self.workers());
        workers.into_iter().for_each(Worker::end);
        self.judge.close();
    }
}
