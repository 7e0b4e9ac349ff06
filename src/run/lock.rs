//! The migration lock: one run at a time changes a database.
//!
//! In: a session, and the work of its transaction. Out: the committed transaction, or the
//! error for a lock that was not obtained in time.

use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{Attempt, Opening, Session, Work};
use crate::error::{Notice, Result};
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
    /// The function to call each time another session holds the lock.
    pub on_wait: &'l dyn Fn(),
    /// The function to call for each message of the server.
    pub on_notice: &'l (dyn Fn(Notice) + Sync),
}

impl Lock<'_> {
    /// Runs a transaction under the lock. Retries with growing pauses until the lock is free
    /// or the session's patience is spent.
    pub(super) fn transaction(
        &self,
        session: &mut dyn Session,
        tables: &[HistoryTable],
        query: Option<&str>,
        work: Work<'_>,
    ) -> Result<()> {
        let Level::Transaction = self.level;
        let mut pause = FIRST_PAUSE;
        let mut opening = Opening { tables, query, on_wait: self.on_wait, on_notice: self.on_notice };
        loop {
            let started = Instant::now();
            match session.attempt(&opening, work)? {
                Attempt::Done => return Ok(()),
                // A table was created or dropped, or the query names one that does not
                // exist. The next attempt omits the query; the work repeats it if needed.
                Attempt::Moved => opening.query = None,
                Attempt::Held => {
                    let left = session.patience().left();
                    if left.is_zero() {
                        return Err(session.lock_not_obtained());
                    }
                    (self.on_wait)();
                    thread::sleep(pause.min(left));
                    session.patience().spend_since(started);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}
