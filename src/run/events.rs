//! The events of a run.
//!
//! In: events, as they happen. Out: calls of the listeners.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::report::{Direction, Notice, StepReport};

/// An event of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The plan is made. The run has not taken the lock yet.
    Planned {
        /// The number of migrations that it applies, reverts or repairs.
        steps: usize,
    },
    /// A step begins.
    Started {
        /// The app's label.
        app: String,
        /// The migration, as `V1__name`.
        migration: String,
        /// Whether it is applied or reverted.
        direction: Direction,
        /// The step's number, from 1.
        index: usize,
    },
    /// A step has committed. The steps of one transaction finish one after the other, when
    /// it has committed.
    Finished {
        /// The step's number, from 1.
        index: usize,
        /// What was done.
        step: StepReport,
    },
    /// The server sent a message while a migration ran. On a connection that Bustard opened,
    /// the event occurs when the message arrives; if the run has migrations with functions,
    /// when the statement or the function ends. A migration that is run again after a
    /// conflict with another session says the same again.
    ///
    /// The messages of a `postgres::Client` that the caller connected go to the
    /// `notice_callback` of its configuration, and there is no event. SQLite sends no
    /// messages.
    Notice(Notice),
    /// The database got a new identity, because it is a copy of another one or because a
    /// repair asked for it. This has committed.
    NewIdentity,
    /// Another session holds the migration lock. The event occurs once for each wait.
    Waiting,
}

type Listener = Box<dyn FnMut(&Event) + Send>;

/// The listeners of a run, in the order in which they were added.
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
        // A listener that has panicked is called again.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
