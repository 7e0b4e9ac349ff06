//! The thread that calls a listener with changes of the snapshot.
//!
//! The listener has a thread of its own so that a slow listener does not delay the
//! refresher. Changes that happen while the listener is busy are merged into one change.
//!
//! In: snapshots, as the refresher publishes them. Out: calls of the listener.

use std::sync::Arc;

use super::Change;
use super::shared::Shared;
use super::snapshot::SnapshotState;

pub(super) type ChangeListener = Box<dyn FnMut(&Change) + Send>;

pub(super) struct ListenerThread {
    shared: Arc<Shared>,
    listener: ChangeListener,
    /// The state that was handled last, current or expired.
    last: Arc<SnapshotState>,
    /// The snapshot that the listener was called for last; `None` before the first call.
    reported: Option<Arc<SnapshotState>>,
    /// Whether the listener has been called with `Change::Lost` and not yet with
    /// `Change::Found`.
    lost: bool,
}

impl ListenerThread {
    /// Returns a thread that is not started yet. The thread reports the changes since the
    /// snapshot that is current now. If no snapshot is current, it reports the changes
    /// since the first snapshot that becomes current.
    pub(super) fn new(shared: Arc<Shared>, listener: ChangeListener) -> Self {
        let last = shared.snapshot();
        let reported = matches!(*last, SnapshotState::Current(_)).then(|| last.clone());
        ListenerThread { shared, listener, last, reported, lost: false }
    }

    pub(super) fn run(mut self) {
        while let Some(now) = self.shared.next_snapshot(&self.last) {
            self.report(&now);
            self.last = now;
        }
    }

    fn report(&mut self, now: &Arc<SnapshotState>) {
        if let SnapshotState::Expired { why, .. } = &**now {
            if self.reported.is_some() && !self.lost {
                self.lost = true;
                (self.listener)(&Change::Lost { why: why.clone() });
            }
            return;
        }
        if std::mem::take(&mut self.lost) {
            (self.listener)(&Change::Found);
        }
        let Some(before) = self.reported.replace(now.clone()) else { return };
        let version = |snapshot: &SnapshotState, name| snapshot.get(name).map(|entry| entry.version);
        let gone = before.caches().filter(|name| now.get(name).is_none());
        for name in now.caches().chain(gone) {
            let (before, after) = (version(&before, name), version(now, name));
            if before != after {
                (self.listener)(&Change::Version { cache: name.clone(), before, after });
            }
        }
    }
}
