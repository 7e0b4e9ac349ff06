//! The refresher: a thread that reads the versions from the database and publishes them.
//! It polls periodically, on notifications and on request.
//!
//! Every call that may wait for the network has a deadline, and the thread checks the clock
//! between calls. The snapshot therefore expires when it is older than `max_staleness`,
//! even if the network fails.
//!
//! In: a poller and the requests of callers. Out: snapshots, published in `Shared`.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::alias_stores::AliasStores;
use super::listener::{ChangeListener, ListenerThread};
use super::shared::Shared;
use super::snapshot::{Snapshot, SnapshotEntry};
use crate::engine::observer::{Look, Poller, Seen, Wanted, Woken};
use crate::error::{Error, ErrorKind, Result};

#[derive(Clone, Copy)]
pub(super) struct Times {
    pub max_staleness: Duration,
    pub poll_interval: Duration,
    pub lookup_timeout: Duration,
}

impl Times {
    /// Returns the time limit of one call. The limit is short enough for several calls
    /// between the time when a poll is due and the time when the snapshot expires.
    fn limit(self) -> Duration {
        ((self.max_staleness - self.poll_interval) / 3).min(LONGEST_CALL)
    }
}

const LONGEST_CALL: Duration = Duration::from_secs(5);
/// The shortest interval between polls, however many notifications arrive, because any role
/// can notify. The interval does not delay the first notification, nor a request in this
/// process.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(25);

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The reason that is reported for an expired snapshot if no more specific one is known.
const TOO_LATE: &str = "the last poll did not end in time";

/// The running threads: the refresher, and the listener's thread if there is a listener.
/// Dropping `Threads` stops and joins them.
pub(super) struct Threads {
    shared: Arc<Shared>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| {
            Error::new(ErrorKind::Failed, "cannot start the thread that reads cache versions")
                .caused_by(error)
        })?;
        self.handles.push(thread);
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.bell().stop();
        // The listener may drop the last clone of the `CacheBuster`. In that case, this is
        // the listener's thread, which cannot join itself.
        let this = std::thread::current().id();
        for handle in self.handles.drain(..).filter(|handle| handle.thread().id() != this) {
            let name = handle.thread().name().unwrap_or_default().to_owned();
            if handle.join().is_err() {
                log::error!("the thread {name} panicked");
            }
        }
    }
}

/// Starts the refresher and waits for its first poll.
pub(super) fn start(
    poller: Box<dyn Poller>,
    times: Times,
    stores: AliasStores,
    listener: Option<ChangeListener>,
) -> Result<(Arc<Shared>, Threads)> {
    let shared = Arc::new(Shared::new(poller.bell(), stores, times.lookup_timeout));
    let (sender, first) = sync_channel(1);
    let refresher = Refresher {
        shared: shared.clone(),
        poller,
        times,
        as_of: None,
        last_poll: None,
        reported_commit: None,
        reason: TOO_LATE.to_owned(),
        all: listener.is_some(),
        first: Some(sender),
        failures: 0,
    };
    let mut threads = Threads { shared: shared.clone(), handles: Vec::new() };
    threads.spawn("bustard-refresher", move || refresher.run())?;
    match first.recv() {
        Ok(polled) => polled?,
        Err(_) => {
            return Err(Error::new(ErrorKind::Failed, "the thread that reads cache versions has ended"));
        }
    }
    if let Some(listener) = listener {
        let thread = ListenerThread::new(shared.clone(), listener);
        threads.spawn("bustard-listener", move || thread.run())?;
    }
    Ok((shared, threads))
}

struct Refresher {
    shared: Arc<Shared>,
    poller: Box<dyn Poller>,
    times: Times,
    /// The time as of which the snapshot is current; `None` once it has expired.
    as_of: Option<Instant>,
    /// The time as of which the result of the last poll over this connection was current.
    last_poll: Option<Instant>,
    /// The time when a poll was requested after a commit that no snapshot contains yet. A
    /// poll that returns state from before this time is rejected.
    reported_commit: Option<Instant>,
    /// The reason that is reported if the snapshot expires.
    reason: String,
    /// Whether to read all caches, not only those that have handles.
    all: bool,
    /// Receives the result of the first poll.
    first: Option<SyncSender<Result<()>>>,
    /// The number of failed connections and polls since the last successful poll.
    failures: u32,
}

/// Closes `Shared` when the thread ends, even by a panic, so that waiting callers continue
/// and the snapshot expires.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Refresher {
    fn run(mut self) {
        let _closing = Closing(self.shared.clone());
        #[cfg(feature = "metrics")]
        super::metrics::describe();
        loop {
            self.last_poll = None;
            let error = match self.poller.connect(self.deadline()) {
                Ok(()) => self.poll_until_error(),
                Err(error) => error,
            };
            if error.kind() == ErrorKind::Cancelled {
                return;
            }
            if let Some(first) = self.first.take() {
                // The caller of `start` is waiting for the result of the first poll.
                let _ = first.send(Err(error));
                return;
            }
            if self.pause(&error).is_err() {
                return;
            }
        }
    }

    /// Polls until a poll fails.
    fn poll_until_error(&mut self) -> Error {
        loop {
            if let Err(error) = self.round() {
                return error;
            }
        }
    }

    /// Polls once, and waits until the next poll is due.
    fn round(&mut self) -> Result<()> {
        self.expire_if_due();
        let (ticket, notify) = self.shared.begin_poll();
        let began = Instant::now();
        let polled = self.poll(began, notify);
        if let Err(error) = &polled {
            self.poll_failed(notify, error);
        }
        self.shared.end_poll(ticket);
        self.record();
        polled?;
        if let Some(first) = self.first.take() {
            let _ = first.send(Ok(()));
        }
        self.poller.fold(self.deadline());
        // Spend at most half of the time on polls, however long a poll takes.
        let earliest = began + SHORTEST_INTERVAL.max(2 * began.elapsed());
        self.wait(began + jittered(self.times.poll_interval), earliest)
    }

    /// Records metrics, if the feature is enabled.
    #[cfg_attr(not(feature = "metrics"), allow(clippy::unused_self, reason = "there is nothing to record"))]
    fn record(&self) {
        #[cfg(feature = "metrics")]
        {
            super::metrics::refreshed(self.as_of.map(|as_of| as_of.elapsed()));
            self.shared.record();
        }
    }

    fn poll(&mut self, began: Instant, notify: bool) -> Result<()> {
        if notify {
            self.reported_commit = Some(began);
        }
        let names = if self.all { None } else { Some(self.shared.wanted()) };
        let wanted: Option<Vec<&str>> =
            names.as_ref().map(|names| names.iter().map(String::as_str).collect());
        let deadline = self.deadline();
        let keyed = self.shared.wanted_keys();
        let keyed: Vec<&str> = keyed.iter().map(String::as_str).collect();
        let wanted = Wanted { caches: wanted.as_deref(), keyed: &keyed };
        let look = self.poller.look(wanted, notify, deadline)?;
        self.accept(look, began, names)
    }

    fn accept(&mut self, look: Look, began: Instant, wanted: Option<Vec<String>>) -> Result<()> {
        self.reason = match look.age {
            Duration::ZERO => TOO_LATE.to_owned(),
            Duration::MAX => "the database is a standby that has not replayed anything yet".to_owned(),
            age => format!("the database is a standby that is {:.1} s behind", age.as_secs_f64()),
        };
        // The state of one server never becomes older. After a reconnect, the server may be
        // a hot standby that lags behind the snapshot, or behind a commit that a caller
        // waits for. Behind a pooler, each poll may reach another server, so this code uses
        // only the age that the server reports.
        let (seen, newest) = match self.poller.is_direct() {
            true => (self.last_poll, self.as_of.max(self.reported_commit)),
            false => (None, self.reported_commit),
        };
        let fresh = (began.checked_sub(look.age).max(seen))
            .filter(|as_of| Some(*as_of) >= newest && *as_of + self.times.max_staleness > Instant::now());
        let Some(as_of) = fresh else {
            self.reject(look.caches.is_some());
            return Ok(());
        };
        if let Some(seen) = look.caches {
            let caches: BTreeMap<String, SnapshotEntry> = (seen.into_iter())
                .filter_map(|seen| {
                    let Seen { name, app, identity, keys } = seen;
                    Some((name, SnapshotEntry { identity, version: identity.version()?, app, keys }))
                })
                .collect();
            let absent = wanted.iter().flatten().any(|name| !caches.contains_key(name));
            let registered = if absent { self.poller.names(self.deadline())? } else { Vec::new() };
            self.shared.publish(Snapshot { database: look.database, caches, wanted, registered });
        }
        (self.as_of, self.last_poll, self.reported_commit) = (Some(as_of), Some(as_of), None);
        if self.failures > 0 {
            log::info!("cache versions are read again");
            self.failures = 0;
        }
        Ok(())
    }

    /// Rejects the result of a poll because it is too old. The previous snapshot stays in
    /// use until it expires.
    fn reject(&mut self, changed: bool) {
        if changed {
            // The next poll must return these changes again.
            self.poller.forget();
        }
        match self.as_of < self.reported_commit {
            true => self.expire(),
            false => self.expire_if_due(),
        }
    }

    /// Waits until the next poll is due. A request ends the wait at once, a notification
    /// ends it at `earliest` or later, and the wait ends at `next` in any case.
    fn wait(&mut self, mut next: Instant, earliest: Instant) -> Result<()> {
        loop {
            let until = self.expires_at().map_or(next, |expires| next.min(expires));
            match self.poller.wait(until)? {
                Woken::Rung => return Ok(()),
                Woken::Notified => next = next.min(earliest),
                Woken::Time => {}
            }
            self.expire_if_due();
            if Instant::now() >= next {
                return Ok(());
            }
        }
    }

    /// Pauses after a failure. Logs the first failure of a series. Requests during the
    /// pause are answered at once, without a poll.
    fn pause(&mut self, error: &Error) -> Result<()> {
        if self.failures == 0 {
            log::warn!("cache versions cannot be read: {}", error.message());
        }
        let pause = (SHORTEST_PAUSE * 2u32.saturating_pow(self.failures.min(16))).min(LONGEST_PAUSE);
        self.failures += 1;
        #[cfg(feature = "metrics")]
        super::metrics::refresh_failed();
        self.record();
        error.message().clone_into(&mut self.reason);
        let next = Instant::now() + jittered(pause);
        loop {
            let (ticket, notify) = self.shared.begin_poll();
            self.poll_failed(notify, error);
            self.shared.end_poll(ticket);
            self.expire_if_due();
            if Instant::now() >= next {
                return Ok(());
            }
            let until = self.expires_at().map_or(next, |expires| next.min(expires));
            // Without a connection there are no notifications, so only a request or the
            // time ends the wait.
            if let Err(error) = self.poller.wait(until)
                && error.kind() == ErrorKind::Cancelled
            {
                return Err(error);
            }
        }
    }

    /// Handles a poll that failed. If it was requested after a commit, the snapshot
    /// expires, and the next poll notifies other processes.
    fn poll_failed(&mut self, notify: bool, error: &Error) {
        if notify {
            error.message().clone_into(&mut self.reason);
            self.shared.notify_with_next();
            self.expire();
        }
    }

    fn expires_at(&self) -> Option<Instant> {
        Some(self.as_of? + self.times.max_staleness)
    }

    /// Returns the deadline of the next call. If the snapshot has expired, the call gets
    /// more time, because a late answer is better than no answer.
    fn deadline(&self) -> Instant {
        match self.expires_at() {
            Some(expires) => expires.min(Instant::now() + self.times.limit()),
            None => Instant::now() + (self.times.max_staleness * 9 / 10).min(LONGEST_CALL),
        }
    }

    /// Expires the snapshot if it is too old. If it has expired already, updates the reason.
    fn expire_if_due(&mut self) {
        if self.expires_at().is_none_or(|expires| Instant::now() >= expires) {
            self.expire();
        }
    }

    fn expire(&mut self) {
        // The next poll must return all versions, not only changed versions.
        self.poller.forget();
        let since = self.as_of.take();
        self.shared.expire(since, &self.reason);
    }
}

/// Returns between 80 and 100 % of `time`, so that many processes do not poll at once.
fn jittered(time: Duration) -> Duration {
    let random = RandomState::new().hash_one(0u8) % 1000;
    time.mul_f64(0.8 + random as f64 / 5000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_processes_do_not_poll_at_once() {
        let interval = Duration::from_secs(1);
        let times: std::collections::BTreeSet<_> = (0..100).map(|_| jittered(interval)).collect();
        assert!(times.len() > 50, "{times:?}");
        assert!(times.iter().all(|time| (interval.mul_f64(0.8)..=interval).contains(time)), "{times:?}");
    }
}
