//! The asynchronous form of a run, for applications on Tokio.
//!
//! In: a migrator and a `Database`. Out: a future of the report. The run itself is a
//! synchronous run, on a thread for blocking work. Dropping the future cancels the run.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use super::Migrator;
use crate::engine::database::{Canceller, Database};
use crate::error::{Error, ErrorKind, Result};
use crate::report::Report;

impl Migrator {
    /// Runs like [`run`](Migrator::run), without blocking the thread. The runtime may have
    /// one thread or several.
    ///
    /// Dropping the future cancels the run: the database ends the current statement and
    /// rolls its transaction back. Earlier commits stay, and the next run continues from
    /// there.
    ///
    /// ```
    /// use bustard::{App, Database, Migration, Migrator};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let database = Database::new("sqlite::memory:")?;
    /// let app = App::new("main").migration("V1__bans", Migration::new().register_cache("bans"));
    /// let report = Migrator::new().app(app).run_async(database).await?;
    /// assert!(report.changed());
    /// # Ok::<(), bustard::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of `run`.
    ///
    /// # Panics
    ///
    /// Panics outside a Tokio runtime, and if a function of a migration panics.
    pub async fn run_async(self, mut database: Database) -> Result<Report> {
        let (running, ended) = channel::<()>();
        let _guard = CancelOnDrop { canceller: database.canceller(), ended: Some(ended) };
        let run = move || {
            let _running = running;
            self.run(&mut database)
        };
        tokio::task::spawn_blocking(run).await.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => {
                Err(Error::new(ErrorKind::Cancelled, "the runtime was shut down before the run")
                    .caused_by(error))
            }
        })
    }
}

/// Cancels a run, unless it has ended.
struct CancelOnDrop {
    canceller: Canceller,
    /// The channel is disconnected when the run has ended.
    ended: Option<Receiver<()>>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let Some(ended) = self.ended.take().filter(|ended| ended.try_recv() == Err(TryRecvError::Empty))
        else {
            return;
        };
        let canceller = self.canceller.clone();
        // Cancelling may wait for a server, and the thread that drops a future must not
        // block.
        let spawned = thread::Builder::new().name("bustard-cancel".to_owned()).spawn(move || {
            // A request that arrives between two statements has no effect, so repeat it.
            const PAUSE: Duration = Duration::from_millis(200);
            loop {
                canceller.cancel();
                if ended.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        if let Err(error) = spawned {
            log::warn!("no thread to cancel the run with ({error}): it is cancelled here");
            self.canceller.cancel();
        }
    }
}
