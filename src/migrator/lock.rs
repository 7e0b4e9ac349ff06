//! Waiting for the migration lock.
//!
//! In: a session and what its transaction does. Out: the transaction done, or the
//! error for a lock that another session kept for too long.

use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{Attempt, Opening, Session, Work};
use crate::error::Result;

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Runs a transaction under the lock: tries until the lock is free, with growing
/// pauses, or until the time for that has passed.
pub(super) fn transaction(session: &mut dyn Session, opening: &Opening<'_>, work: Work<'_>) -> Result<()> {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut opening = *opening;
    loop {
        match session.attempt(&opening, work)? {
            Attempt::Done => return Ok(()),
            // The query may be what asks for a table that does not exist: the work
            // gets no rows, and asks again where it knows that there are some.
            Attempt::Moved => opening.query = None,
            Attempt::Held => {
                let left = opening.lock_wait.saturating_sub(started.elapsed());
                if left.is_zero() {
                    return Err(session.lock_not_obtained(opening.lock_wait));
                }
                (opening.on_wait)();
                thread::sleep(pause.min(left));
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}
