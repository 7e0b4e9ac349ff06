//! The wire: SQL text goes out as one message of the simple protocol, rows of
//! text come back. Three kinds of connection can do that: one that Bustard
//! opened, a `postgres::Client`, and a `postgres::Transaction`.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::runtime::Runtime;
use tokio_postgres::SimpleQueryMessage;

use super::blocking::unless;
use super::{Target, failure, outside};
use crate::engine::{Failure, Row};
use crate::error::{Error, ErrorKind, Result as Outcome};

/// What came back for a message.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The rows of each statement that completed.
    pub results: Vec<Vec<Row>>,
    /// How many statements completed.
    pub completed: usize,
    /// What ended the message early.
    pub failure: Option<Failure>,
}

impl Answer {
    /// What the driver has gathered itself.
    pub(super) fn of(sent: Result<Vec<SimpleQueryMessage>, tokio_postgres::Error>, keep: bool) -> Answer {
        let mut answer = Answer::default();
        match sent {
            Ok(messages) => {
                let mut rows = Vec::new();
                for message in messages {
                    answer.take(message, &mut rows, keep);
                }
            }
            Err(error) => answer.failure = Some(failure(&error)),
        }
        answer
    }

    /// The rows of each statement, if all completed.
    pub(crate) fn all(self) -> Result<Vec<Vec<Row>>, Failure> {
        match self.failure {
            None => Ok(self.results),
            Some(failure) => Err(failure),
        }
    }

    fn take(&mut self, message: SimpleQueryMessage, rows: &mut Vec<Row>, keep: bool) {
        match message {
            SimpleQueryMessage::Row(row) if keep => {
                rows.push((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect());
            }
            SimpleQueryMessage::CommandComplete(_) => {
                self.completed += 1;
                self.results.push(std::mem::take(rows));
            }
            _ => {}
        }
    }
}

/// A way to send SQL.
pub(crate) trait Link {
    /// Whether an answer to several statements tells how many of them completed.
    const COUNTS: bool;

    /// Whether the connection is Bustard's own, so that all its settings may be
    /// put back to what they were when it began.
    const OWN: bool;

    /// Sends one message. Rows are dropped unless they are to be kept.
    fn send(&mut self, sql: &str, keep: bool) -> Answer;
}

/// A connection that Bustard opened: a client and the runtime that drives it.
pub(crate) struct Own {
    pub runtime: Runtime,
    pub client: tokio_postgres::Client,
}

impl Own {
    /// Connects; the connection is driven whenever it is waited for. Nobody who
    /// has cancelled waits for a server that does not answer.
    pub(crate) fn connect(target: &Target, cancelled: &AtomicBool) -> Outcome<Self> {
        outside(|| Own::connect_here(target, cancelled))
    }

    fn connect_here(target: &Target, cancelled: &AtomicBool) -> Outcome<Self> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
                Error::new(ErrorKind::Failed, "cannot start what waits for the network").caused_by(error)
            })?;
        let connected = runtime.block_on(unless(cancelled, super::connect(target)));
        let (client, connection) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                // A look-up of a name cannot be cancelled, and would be waited for.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        runtime.spawn(async move {
            // Whoever waits for an answer is told; there is nobody else to tell.
            if let Err(error) = connection.await {
                log::debug!("the connection ended: {error}");
            }
        });
        Ok(Own { runtime, client })
    }
}

/// Asks the server to cancel what the connection of the token is doing.
pub(crate) fn cancel(token: &tokio_postgres::CancelToken, target: &Target) {
    const LIMIT: Duration = Duration::from_secs(5);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let asking = async { tokio::time::timeout(LIMIT, token.cancel_query(target.connector())).await };
    let asked = outside(|| {
        let asked = runtime.block_on(asking);
        runtime.shutdown_background();
        asked
    });
    if !matches!(asked, Ok(Ok(()))) {
        log::warn!("the server could not be asked to cancel the statement");
    }
}

impl Link for Own {
    const COUNTS: bool = true;
    const OWN: bool = true;

    fn send(&mut self, sql: &str, keep: bool) -> Answer {
        let sent = async {
            let mut answer = Answer::default();
            let stream = match self.client.simple_query_raw(sql).await {
                Ok(stream) => stream,
                Err(error) => {
                    answer.failure = Some(failure(&error));
                    return answer;
                }
            };
            let mut stream = std::pin::pin!(stream);
            let mut rows = Vec::new();
            while let Some(message) = stream.next().await {
                match message {
                    Ok(message) => answer.take(message, &mut rows, keep),
                    Err(error) => {
                        answer.failure = Some(failure(&error));
                        break;
                    }
                }
            }
            answer
        };
        outside(|| self.runtime.block_on(sent))
    }
}

impl Link for postgres::Client {
    const COUNTS: bool = false;
    const OWN: bool = false;

    fn send(&mut self, sql: &str, keep: bool) -> Answer {
        Answer::of(outside(|| self.simple_query(sql)), keep)
    }
}

impl Link for postgres::Transaction<'_> {
    const COUNTS: bool = false;
    const OWN: bool = false;

    fn send(&mut self, sql: &str, keep: bool) -> Answer {
        Answer::of(outside(|| self.simple_query(sql)), keep)
    }
}
