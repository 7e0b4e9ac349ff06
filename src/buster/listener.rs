//! Tells a listener what the refresher has seen. It has a thread of its own, so that
//! nobody who looks waits for a listener: what changes while one is busy, it hears of
//! afterwards, as one change.

use std::sync::Arc;

use super::Change;
use super::shared::Shared;
use super::snapshot::Knowledge;

pub(super) type Listener = Box<dyn FnMut(&Change) + Send>;

pub(super) struct Teller {
    shared: Arc<Shared>,
    listener: Listener,
    /// What it has seen last, snapshot or not.
    last: Arc<Knowledge>,
    /// The snapshot that the listener knows; `None` before there was any.
    told: Option<Arc<Knowledge>>,
    /// Whether the listener has been told that it is lost.
    lost: bool,
}

impl Teller {
    /// Tells of everything that is not known already.
    pub(super) fn new(shared: Arc<Shared>, listener: Listener) -> Self {
        let last = shared.knowledge();
        let told = matches!(*last, Knowledge::Known(_)).then(|| last.clone());
        Teller { shared, listener, last, told, lost: false }
    }

    pub(super) fn run(mut self) {
        while let Some(now) = self.shared.other_than(&self.last) {
            self.tell(&now);
            self.last = now;
        }
    }

    fn tell(&mut self, now: &Arc<Knowledge>) {
        if let Knowledge::Unknown { why, .. } = &**now {
            if self.told.is_some() && !self.lost {
                self.lost = true;
                (self.listener)(&Change::Lost { why: why.clone() });
            }
            return;
        }
        if std::mem::take(&mut self.lost) {
            (self.listener)(&Change::Found);
        }
        let Some(before) = self.told.replace(now.clone()) else { return };
        let version = |knowledge: &Knowledge, name| knowledge.get(name).map(|known| known.version);
        let gone = before.caches().filter(|name| now.get(name).is_none());
        for name in now.caches().chain(gone) {
            let (before, after) = (version(&before, name), version(now, name));
            if before != after {
                (self.listener)(&Change::Version { cache: name.clone(), before, after });
            }
        }
    }
}
