//! The refresher: one thread that looks at the database and publishes what it
//! sees, on notifications, when it is asked to, and by polling.
//!
//! Every call that may wait for the network has a deadline, and the thread looks
//! at its clock in between: when what was seen last is older than `max_staleness`
//! it says so, whatever the network does.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::listener::{Listener, Teller};
use super::shared::Shared;
use super::snapshot::{Known, Snapshot};
use crate::engine::observer::{Look, Observer, Poller, Woken};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Shelf;

#[derive(Clone, Copy)]
pub(super) struct Times {
    pub max_staleness: Duration,
    pub poll_interval: Duration,
}

impl Times {
    /// How long one call may take. Several fit between the moment that a look is
    /// due and the one at which the snapshot expires.
    fn limit(self) -> Duration {
        ((self.max_staleness - self.poll_interval) / 3).min(LONGEST_CALL)
    }
}

const LONGEST_CALL: Duration = Duration::from_secs(5);
/// How far apart looks begin when notifications come thick and fast. The first one
/// is heeded at once; so is whoever asks in this process, and waits.
const SHORTEST_DISTANCE: Duration = Duration::from_millis(2);

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why a snapshot expires, unless somebody knows better.
const LATE: &str = "it was not looked at in time";

/// The running threads, the refresher and perhaps a teller; dropping this stops and
/// joins them.
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
        // A listener may hold the last clone: a thread cannot wait for itself.
        let this = std::thread::current().id();
        for handle in self.handles.drain(..).filter(|handle| handle.thread().id() != this) {
            let name = handle.thread().name().unwrap_or_default().to_owned();
            if handle.join().is_err() {
                log::error!("the thread {name} panicked");
            }
        }
    }
}

/// Starts the refresher and waits for its first look.
pub(super) fn start(
    observer: Box<dyn Observer>,
    times: Times,
    shelf: Shelf,
    listener: Option<Listener>,
) -> Result<(Arc<Shared>, Threads)> {
    let looker = observer.poller();
    let shared = Arc::new(Shared::new(looker.bell(), shelf));
    let (sender, first) = sync_channel(1);
    let refresher = Refresher {
        shared: shared.clone(),
        looker,
        times,
        as_of: None,
        seen: None,
        told: None,
        reason: LATE.to_owned(),
        all: listener.is_some(),
        first: Some(sender),
        failures: 0,
    };
    let mut threads = Threads { shared: shared.clone(), handles: Vec::new() };
    threads.spawn("bustard-refresher", move || refresher.run())?;
    match first.recv() {
        Ok(looked) => looked?,
        Err(_) => {
            return Err(Error::new(ErrorKind::Failed, "the thread that reads cache versions has ended"));
        }
    }
    if let Some(listener) = listener {
        let teller = Teller::new(shared.clone(), listener);
        threads.spawn("bustard-teller", move || teller.run())?;
    }
    Ok((shared, threads))
}

struct Refresher {
    shared: Arc<Shared>,
    looker: Box<dyn Poller>,
    times: Times,
    /// As of when the snapshot is known; `None` once it has expired.
    as_of: Option<Instant>,
    /// As of when something was seen over this connection last.
    seen: Option<Instant>,
    /// When a commit was told of that has not been seen. Nothing from before it counts.
    told: Option<Instant>,
    /// Why the snapshot is going to expire, if it does.
    reason: String,
    /// Whether all caches are wanted, not only those that there are handles of.
    all: bool,
    /// Who waits for the first look.
    first: Option<SyncSender<Result<()>>>,
    /// How often connecting or looking has failed since the last look.
    failures: u32,
}

/// However the thread ends, nobody waits for it and nothing is believed any more.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Refresher {
    fn run(mut self) {
        let _closing = Closing(self.shared.clone());
        loop {
            self.seen = None;
            let error = match self.looker.connect(self.deadline()) {
                Ok(()) => self.attend(),
                Err(error) => error,
            };
            if error.kind() == ErrorKind::Cancelled {
                return;
            }
            if let Some(first) = self.first.take() {
                // Whoever starts it is there to hear of it.
                let _ = first.send(Err(error));
                return;
            }
            if self.trouble(&error).is_err() {
                return;
            }
        }
    }

    /// Looks again and again, until that fails.
    fn attend(&mut self) -> Error {
        loop {
            if let Err(error) = self.round() {
                return error;
            }
        }
    }

    /// One look, and the wait for the next.
    fn round(&mut self) -> Result<()> {
        self.expire_if_due();
        let (ticket, telling) = self.shared.begin();
        let began = Instant::now();
        let looked = self.look(began, telling);
        if let Err(error) = &looked {
            self.unseen(telling, error);
        }
        self.shared.end(ticket);
        looked?;
        if let Some(first) = self.first.take() {
            let _ = first.send(Ok(()));
        }
        self.looker.fold(self.deadline());
        // Looks that take long leave as much time to others.
        let earliest = began + SHORTEST_DISTANCE.max(2 * began.elapsed());
        self.rest(began + jittered(self.times.poll_interval), earliest)
    }

    fn look(&mut self, began: Instant, telling: bool) -> Result<()> {
        if telling {
            self.told = Some(began);
        }
        let names = if self.all { None } else { Some(self.shared.wanted()) };
        let wanted: Option<Vec<&str>> =
            names.as_ref().map(|names| names.iter().map(String::as_str).collect());
        let deadline = self.deadline();
        let look = self.looker.look(wanted.as_deref(), telling, deadline)?;
        self.see(look, began, names)
    }

    fn see(&mut self, look: Look, began: Instant, wanted: Option<Vec<String>>) -> Result<()> {
        self.reason = match look.age {
            Duration::ZERO => LATE.to_owned(),
            Duration::MAX => "the database is a standby that has not replayed anything yet".to_owned(),
            age => format!("the database is a standby that is {:.1} s behind", age.as_secs_f64()),
        };
        // One server never goes back. But the next one, a hot standby, may be behind
        // what is known, or behind a commit that somebody was promised to see. (A pooler
        // may lead to another one each time, which is as old as it says.)
        let (seen, newest) = match self.looker.is_direct() {
            true => (self.seen, self.as_of.max(self.told)),
            false => (None, self.told),
        };
        let fresh = (began.checked_sub(look.age).max(seen))
            .filter(|as_of| Some(*as_of) >= newest && *as_of + self.times.max_staleness > Instant::now());
        let Some(as_of) = fresh else {
            self.too_old(look.caches.is_some());
            return Ok(());
        };
        if let Some(seen) = look.caches {
            let caches: BTreeMap<String, Known> = (seen.into_iter())
                .filter_map(|seen| {
                    let version = seen.identity.version()?;
                    Some((seen.name, Known { identity: seen.identity, version, app: seen.app }))
                })
                .collect();
            let absent = wanted.iter().flatten().any(|name| !caches.contains_key(name));
            let registered = if absent { self.looker.names(self.deadline())? } else { Vec::new() };
            self.shared.publish(Snapshot { caches, wanted, registered });
        }
        (self.as_of, self.seen, self.told) = (Some(as_of), Some(as_of), None);
        if self.failures > 0 {
            log::info!("cache versions are read again");
            self.failures = 0;
        }
        Ok(())
    }

    /// What has been seen is from too long ago. What is known stays until its time
    /// is over.
    fn too_old(&mut self, changed: bool) {
        if changed {
            // The next look is to take in what this one has seen in vain.
            self.looker.forget();
        }
        match self.as_of < self.told {
            true => self.expire(),
            false => self.expire_if_due(),
        }
    }

    /// Waits until there may be something to see, at the latest until `next`.
    /// Notifications are heeded from `earliest` on.
    fn rest(&mut self, mut next: Instant, earliest: Instant) -> Result<()> {
        loop {
            let until = self.expires_at().map_or(next, |expires| next.min(expires));
            match self.looker.wait(until)? {
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

    /// After a failure: says so once, and pauses before the next attempt. Whoever
    /// asks for a look meanwhile does not have to wait for one that succeeds.
    fn trouble(&mut self, error: &Error) -> Result<()> {
        if self.failures == 0 {
            log::warn!("cache versions cannot be read: {}", error.message());
        }
        let pause = (SHORTEST_PAUSE * 2u32.saturating_pow(self.failures.min(16))).min(LONGEST_PAUSE);
        self.failures += 1;
        error.message().clone_into(&mut self.reason);
        let next = Instant::now() + jittered(pause);
        loop {
            let (ticket, telling) = self.shared.begin();
            self.unseen(telling, error);
            self.shared.end(ticket);
            self.expire_if_due();
            if Instant::now() >= next {
                return Ok(());
            }
            let until = self.expires_at().map_or(next, |expires| next.min(expires));
            // Without a connection there is the bell, and the time.
            if let Err(error) = self.looker.wait(until)
                && error.kind() == ErrorKind::Cancelled
            {
                return Err(error);
            }
        }
    }

    /// There was no look. If it was to see a commit, nothing from before it counts
    /// any more, and the next one is to tell others.
    fn unseen(&mut self, telling: bool, error: &Error) {
        if telling {
            error.message().clone_into(&mut self.reason);
            self.shared.tell_later();
            self.expire();
        }
    }

    fn expires_at(&self) -> Option<Instant> {
        Some(self.as_of? + self.times.max_staleness)
    }

    /// When the next call must have ended. While nothing is known that could expire,
    /// it may take longer: a server that is slow to reach is better than none.
    fn deadline(&self) -> Instant {
        match self.expires_at() {
            Some(expires) => expires.min(Instant::now() + self.times.limit()),
            None => Instant::now() + (self.times.max_staleness * 9 / 10).min(LONGEST_CALL),
        }
    }

    /// Also says anew why it has.
    fn expire_if_due(&mut self) {
        if self.expires_at().is_none_or(|expires| Instant::now() >= expires) {
            self.expire();
        }
    }

    fn expire(&mut self) {
        // What is seen next must be taken in whole.
        self.looker.forget();
        let known = self.as_of.take();
        self.shared.expire(known, &self.reason);
    }
}

/// Between 80 and 100 hundredths of it, so that many processes do not look at once.
fn jittered(time: Duration) -> Duration {
    let random = RandomState::new().hash_one(0u8) % 1000;
    time.mul_f64(0.8 + random as f64 / 5000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_processes_do_not_look_at_once() {
        let interval = Duration::from_secs(1);
        let times: std::collections::BTreeSet<_> = (0..100).map(|_| jittered(interval)).collect();
        assert!(times.len() > 50, "{times:?}");
        assert!(times.iter().all(|time| (interval.mul_f64(0.8)..=interval).contains(time)), "{times:?}");
    }
}
