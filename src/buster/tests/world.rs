//! A fake database: an [`Observer`] of a few numbers in memory, which can answer, fail,
//! hang, and delay an answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::super::{CacheBuster, CacheBusterBuilder};
use crate::engine::Row;
use crate::engine::observer::{Bell, Observer, Poller, Woken};
use crate::engine::postgres::PostgresPoller;
use crate::error::{Error, ErrorKind, Result};

/// The time that any operation may take before a test reports a hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The behaviour of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Well,
    Fails,
    /// Hangs until its deadline.
    Hangs,
    /// Answers with the state at the time of the call, but only after the test has chosen
    /// another behaviour. Ignores the deadline.
    Held,
}

#[derive(Debug)]
pub struct State {
    pub caches: BTreeMap<&'static str, i64>,
    pub connecting: Manner,
    pub looking: Manner,
    pub naming: Manner,
    /// The lag, if the database is a hot standby.
    pub behind: Option<Duration>,
    /// The process of the server that serves the connection.
    pub process: i64,
    /// Whether to end the connection.
    pub cut: bool,
    pub connects: u32,
    pub looks: u32,
    /// The notifications that have not been received yet.
    pub notified: u32,
    /// The number of polls that notified other processes.
    pub told: u32,
    /// The pause after each failed attempt to connect.
    pub pauses: Vec<Duration>,
    pub dropped: bool,
    failed: bool,
    rung: bool,
    stopped: bool,
}

impl State {
    /// Registers a cache with this number of invalidations, or unregisters it.
    pub fn register(&mut self, name: &'static str, count: Option<i64>) {
        self.caches.remove(name);
        self.caches.extend(count.map(|count| (name, count)));
    }
}

/// The fake database, which tests inspect and change.
#[derive(Clone)]
pub struct World(Arc<(Mutex<State>, Condvar)>);

impl World {
    /// Creates a database with these caches, each with one invalidation.
    pub fn new(caches: &[&'static str]) -> World {
        let state = State {
            caches: caches.iter().map(|name| (*name, 1)).collect(),
            connecting: Manner::Well,
            looking: Manner::Well,
            naming: Manner::Well,
            behind: None,
            process: 7,
            cut: false,
            connects: 0,
            looks: 0,
            notified: 0,
            told: 0,
            pauses: Vec::new(),
            dropped: false,
            failed: false,
            rung: false,
            stopped: false,
        };
        World(Arc::new((Mutex::new(state), Condvar::new())))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    /// Changes the state and wakes waiting calls.
    pub fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.1.notify_all();
    }

    /// Ends the connection, and makes new connections fail.
    pub fn cut_off(&self) {
        self.set(|state| (state.connecting, state.cut) = (Manner::Fails, true));
    }

    pub fn invalidate(&self, name: &'static str) {
        self.set(|state| *state.caches.get_mut(name).unwrap() += 1);
    }

    /// Waits for a condition on the state.
    #[track_caller]
    pub fn wait(&self, what: &str, mut condition: impl FnMut(&mut State) -> bool) {
        let waited = self.0.1.wait_timeout_while(self.state(), PATIENCE, |state| !condition(state)).unwrap();
        assert!(!waited.1.timed_out(), "waited in vain until {what}");
    }

    fn observer(&self) -> Box<dyn Observer> {
        Box::new(Fake { world: self.clone(), connected: false })
    }

    /// Returns a builder of a `CacheBuster` that polls often.
    pub fn builder(&self, max_staleness: Duration) -> CacheBusterBuilder {
        CacheBusterBuilder::new(Ok(self.observer()))
            .poll_interval(Duration::from_millis(20))
            .max_staleness(max_staleness)
    }

    /// Starts a `CacheBuster` that polls only on request.
    pub fn idle(&self) -> CacheBuster {
        let hour = Duration::from_secs(3600);
        self.builder(hour * 2).poll_interval(hour).start().unwrap()
    }
}

/// Waits for a condition by polling it.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

struct Fake {
    world: World,
    connected: bool,
}

impl Fake {
    /// Computes the answer now and returns it according to the chosen behaviour.
    fn come_to<T>(
        &self,
        deadline: Instant,
        manner: fn(&State) -> Manner,
        answer: impl FnOnce(&mut State) -> T,
    ) -> Result<T> {
        let changed = &self.world.0.1;
        let mut state = self.world.state();
        let answer = answer(&mut state);
        changed.notify_all();
        let chosen = manner(&state);
        loop {
            if state.stopped {
                return Err(Error::new(ErrorKind::Cancelled, "cancelled"));
            }
            match manner(&state) {
                Manner::Fails if chosen == Manner::Fails => {
                    return Err(Error::new(ErrorKind::Connection, "it fails"));
                }
                Manner::Hangs if Instant::now() >= deadline => {
                    return Err(Error::new(ErrorKind::Connection, "it hangs"));
                }
                now if now == chosen && now != Manner::Well => {
                    let left = match now {
                        Manner::Held => PATIENCE,
                        _ => deadline.saturating_duration_since(Instant::now()),
                    };
                    state = changed.wait_timeout(state, left).unwrap().0;
                }
                _ => return Ok(answer),
            }
        }
    }
}

impl Observer for Fake {
    fn poller(self: Box<Self>) -> Box<dyn Poller> {
        Box::new(PostgresPoller::new(self))
    }

    fn connect(&mut self, deadline: Instant) -> Result<()> {
        self.connected = false;
        let connected = self.come_to(deadline, |state| state.connecting, |state| state.connects += 1);
        self.world.set(|state| state.failed = connected.is_err());
        self.connected = connected.is_ok();
        connected
    }

    fn rows(&mut self, ahead: Option<&str>, sql: &str, deadline: Instant) -> Result<Vec<Row>> {
        if !self.connected {
            return Err(Error::new(ErrorKind::Connection, "there is no connection"));
        }
        if sql.contains("pg_stat_wal_receiver") {
            return Ok(vec![standby(&self.world.state())]);
        }
        if sql.contains("LISTEN") {
            return Ok(vec![vec![Some("7".to_owned())]]);
        }
        let rows = if sql.contains("bustard.snapshot") {
            let told = ahead.is_some_and(|ahead| ahead.to_lowercase().contains("notify"));
            self.come_to(
                deadline,
                |state| state.looking,
                |state| {
                    state.looks += 1;
                    state.told += u32::from(told);
                    seen(state, sql)
                },
            )
        } else {
            self.come_to(
                deadline,
                |state| state.naming,
                |state| state.caches.keys().map(|name| vec![Some((*name).to_owned())]).collect(),
            )
        };
        self.connected = rows.is_ok();
        rows
    }

    fn wait(&mut self, until: Instant) -> Result<Woken> {
        let mut state = self.world.state();
        if std::mem::take(&mut state.failed) {
            state.pauses.push(until.saturating_duration_since(Instant::now()));
        }
        loop {
            if state.stopped {
                return Err(Error::new(ErrorKind::Cancelled, "cancelled"));
            }
            if self.connected && std::mem::take(&mut state.cut) {
                self.connected = false;
                return Err(Error::new(ErrorKind::Connection, "it was cut"));
            }
            if std::mem::take(&mut state.rung) {
                return Ok(Woken::Rung);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Woken::Time);
            }
            if state.notified > 0 {
                state.notified -= 1;
                return Ok(Woken::Notified);
            }
            state = self.world.0.1.wait_timeout(state, left).unwrap().0;
        }
    }

    fn bell(&self) -> Arc<dyn Bell> {
        Arc::new(self.world.clone())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.world.set(|state| state.dropped = true);
    }
}

impl Bell for World {
    fn ring(&self) {
        self.set(|state| state.rung = true);
    }

    fn stop(&self) {
        self.set(|state| state.stopped = true);
    }
}

/// Returns the rows of a poll: a row with the total and the server, then the requested
/// caches.
fn seen(state: &State, sql: &str) -> Vec<Row> {
    let wanted = |name: &str| sql.contains(", NULL) AS s") || sql.contains(&format!("\"{name}\""));
    let text = |number: i64| Some(number.to_string());
    let total: i64 = state.caches.values().sum::<i64>() + state.caches.len() as i64;
    let standby = Some(if state.behind.is_some() { "t" } else { "f" }.to_owned());
    let first = vec![None, None, text(total), text(total), text(0), text(state.process), standby];
    let caches = (state.caches.iter())
        .filter(|(name, _)| wanted(name))
        .map(|(name, n)| vec![Some((*name).to_owned()), None, text(*n), text(0)]);
    std::iter::once(first).chain(caches).collect()
}

/// Returns the row with the lag of a standby.
fn standby(state: &State) -> Row {
    let Some(behind) = state.behind else { return vec![Some("f".to_owned()), None, None, None, None] };
    let behind = Some(behind.as_micros().to_string());
    vec![Some("t".to_owned()), Some("8".to_owned()), Some("t".to_owned()), behind.clone(), behind]
}
