//! What happens in a run, told as it happens.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::report::Direction;

/// What happens in a run, as it happens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The plan is made; no lock has been taken yet.
    Planned {
        /// How many migrations it applies, reverts or repairs.
        steps: usize,
    },
    /// A step begins.
    Started {
        /// The app's label.
        app: String,
        /// The migration, as `V1__name`.
        migration: String,
        /// Applied or reverted.
        direction: Direction,
        /// The step's number, from 1.
        index: usize,
    },
    /// A step is done; with one transaction for each, it has committed.
    Finished {
        /// The step's number, from 1.
        index: usize,
    },
    /// Another session holds the migration lock; comes once for each wait.
    Waiting,
}

type Listener = Box<dyn FnMut(&Event) + Send>;

/// Those who want to know, in the order in which they came.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<Vec<Listener>>);

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").field("count", &self.lock().len()).finish()
    }
}

impl Listeners {
    pub(crate) fn add(&self, listener: impl FnMut(&Event) + Send + 'static) {
        self.lock().push(Box::new(listener));
    }

    pub(crate) fn tell(&self, event: Event) {
        for listener in &mut *self.lock() {
            listener(&event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Listener>> {
        // A listener that panicked is still a listener.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
