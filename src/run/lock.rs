//! The migration lock: one run at a time changes a database.
//!
//! In: a session, and the work of its transaction. Out: the committed transaction, or the
//! error for a lock that was not obtained in time.

use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{Attempt, Opening, Session, Work};
use crate::error::Result;
use crate::model::HistoryTable;

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The time for which a lock is held after it was obtained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Level {
    /// Until the transaction ends.
    #[default]
    Transaction,
}

/// The lock of a run.
pub(super) struct Lock<'l> {
    pub level: Level,
    /// The time that each transaction waits for the lock.
    pub wait: Duration,
    /// The function to call each time another session holds the lock.
    pub on_wait: &'l dyn Fn(),
}

impl Lock<'_> {
    /// Runs a transaction under the lock. Retries with growing pauses until the lock is free
    /// or the time limit has passed.
    pub(super) fn transaction(
        &self,
        session: &mut dyn Session,
        tables: &[HistoryTable],
        query: Option<&str>,
        work: Work<'_>,
    ) -> Result<()> {
        let Level::Transaction = self.level;
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut opening = Opening { tables, query, lock_wait: self.wait, on_wait: self.on_wait };
        loop {
            match session.attempt(&opening, work)? {
                Attempt::Done => return Ok(()),
                // A table was created or dropped, or the query names one that does not
                // exist. The next attempt omits the query; the work repeats it if needed.
                Attempt::Moved => opening.query = None,
                Attempt::Held => {
                    let left = self.wait.saturating_sub(started.elapsed());
                    if left.is_zero() {
                        return Err(session.lock_not_obtained(self.wait));
                    }
                    (self.on_wait)();
                    thread::sleep(pause.min(left));
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}
