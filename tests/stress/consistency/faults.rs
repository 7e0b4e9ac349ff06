//! Injects faults during a consistency run. One thread injects faults of servers and
//! networks, and another thread injects faults of processes, so that faults of both kinds
//! coincide.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::MAX_STALENESS;
use super::sluice::Flow;
use super::worker::Role;
use super::world::World;
use crate::support::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    KilledDatabase,
    KilledMemcached,
    KilledRedis,
    KilledReader,
    KilledWriter,
    StoppedReader,
    StoppedWriter,
    /// Cuts all connections of one network.
    Cut,
    Delayed,
    Silent,
    Refused,
    /// Separates every refresher from the database for longer than `max_staleness`.
    Blind,
    /// Commits while refreshers have no connection. No later event makes them read again.
    Unseen,
}

pub const OF_SERVERS: &[Fault] = &[
    Fault::KilledDatabase,
    Fault::KilledMemcached,
    Fault::KilledRedis,
    Fault::Cut,
    Fault::Delayed,
    Fault::Silent,
    Fault::Refused,
    Fault::Blind,
    Fault::Unseen,
];

pub const OF_PROCESSES: &[Fault] =
    &[Fault::KilledReader, Fault::KilledWriter, Fault::StoppedReader, Fault::StoppedWriter];

/// The number of times that each fault occurred, and the number of reads during these
/// times.
pub type Tally = Mutex<BTreeMap<Fault, (u64, u64)>>;

/// A thread that injects faults.
pub struct Saboteur<'w> {
    pub world: &'w World<'w>,
    pub tally: &'w Tally,
    pub enough: &'w AtomicBool,
    pub random: Random,
}

impl Saboteur<'_> {
    /// Injects these faults repeatedly, in another order each time.
    pub fn work(mut self, faults: &[Fault]) {
        loop {
            let mut bag = faults.to_vec();
            while !bag.is_empty() {
                let pause = self.up_to(300);
                self.pass(pause);
                if self.enough.load(Ordering::SeqCst) {
                    return;
                }
                let fault = bag.swap_remove(self.random.below(bag.len()));
                let before = self.reads(fault);
                self.inject(fault);
                let meanwhile = self.reads(fault) - before;
                let mut tally = self.tally.lock().expect("no fault injector has panicked");
                let (count, reads) = tally.entry(fault).or_default();
                *count += 1;
                *reads += meanwhile;
            }
        }
    }

    /// Counts the reads by processes that the fault affects.
    fn reads(&self, fault: Fault) -> u64 {
        let counts = self.world.judge.counts();
        match fault {
            Fault::KilledMemcached => counts.by_store.get("memcached").copied().unwrap_or(0),
            Fault::KilledRedis => counts.by_store.get("redis").copied().unwrap_or(0),
            _ => counts.reads(),
        }
    }

    fn up_to(&mut self, milliseconds: u64) -> Duration {
        self.random.part_of(Duration::from_millis(milliseconds))
    }

    /// Waits for this time, or until the run is over.
    fn pass(&self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time && !self.enough.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(10).min(time));
        }
    }

    fn inject(&mut self, fault: Fault) {
        let world = self.world;
        let some = Duration::from_millis(200) + self.up_to(1000);
        match fault {
            Fault::KilledDatabase => {
                world.database.cluster().kill9();
                self.pass(some / 2);
                world.database.cluster().restart();
            }
            Fault::KilledMemcached | Fault::KilledRedis => {
                let server = if fault == Fault::KilledMemcached { &world.memcached } else { &world.redis };
                server.kill9();
                self.pass(some);
                server.restart();
            }
            Fault::KilledReader | Fault::KilledWriter => {
                let number = self.any(fault);
                world.workers()[number].replace(world.fault);
                self.pass(some / 4);
            }
            Fault::StoppedReader | Fault::StoppedWriter => {
                let number = self.any(fault);
                let mut stopper = world.workers()[number].stop_for(some + some / 2);
                stopper.wait().expect("it is our child");
            }
            Fault::Cut => {
                // Wait until requests are in progress, including commits.
                let sluices = [&world.written, world.any_sluice(&mut self.random)];
                sluices.iter().for_each(|sluice| sluice.set(Flow::Delayed(Duration::from_millis(30))));
                self.pass(some / 4);
                sluices.iter().for_each(|sluice| sluice.cut());
                sluices.iter().for_each(|sluice| sluice.set(Flow::Free));
            }
            Fault::Delayed => {
                let sluice = world.any_sluice(&mut self.random);
                sluice.set(Flow::Delayed(Duration::from_millis(20) + self.up_to(250)));
                self.pass(some);
                sluice.set(Flow::Free);
            }
            Fault::Silent => {
                let sluice = world.any_sluice(&mut self.random);
                sluice.set(Flow::Silent);
                self.pass(some + some / 2);
                if self.random.one_in(2) {
                    sluice.cut();
                }
                sluice.set(Flow::Free);
            }
            Fault::Refused => {
                let sluice = world.any_sluice(&mut self.random);
                sluice.set(Flow::Refused);
                sluice.cut();
                self.pass(some);
                sluice.set(Flow::Free);
            }
            Fault::Blind => {
                let flow = if self.random.one_in(2) { Flow::Silent } else { Flow::Refused };
                world.observed.set(flow);
                if flow == Flow::Refused {
                    world.observed.cut();
                }
                self.pass(MAX_STALENESS + some + some / 2);
                world.observed.set(Flow::Free);
            }
            Fault::Unseen => self.change_unseen(),
        }
    }

    fn change_unseen(&mut self) {
        let world = self.world;
        world.tell_writers("lull");
        // Most writers end their transactions in this time, and the others do not matter.
        self.pass(Duration::from_millis(400));
        world.observed.set(Flow::Refused);
        world.observed.cut();
        world.change_all();
        self.pass(Duration::from_millis(150));
        world.observed.set(Flow::Free);
        self.pass(MAX_STALENESS + Duration::from_millis(800));
        world.tell_writers("work");
    }

    fn any(&mut self, fault: Fault) -> usize {
        let role = match fault {
            Fault::KilledReader | Fault::StoppedReader => Role::Reader,
            _ => Role::Writer,
        };
        let workers = self.world.workers();
        let numbers: Vec<usize> =
            (0..workers.len()).filter(|number| workers[*number].role() == role).collect();
        numbers[self.random.below(numbers.len())]
    }
}
