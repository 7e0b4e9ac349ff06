//! The simple protocol: SQL text is sent as one message, and the reply contains rows of
//! text. Three kinds of connection can do that: one that Bustard opened, a
//! `postgres::Client`, and a `postgres::Transaction`.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::runtime::Runtime;
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, SimpleQueryMessage};

use super::attempt::Connection;
use super::blocking::unless;
use super::{Target, copy, failure, outside};
use crate::engine::patience::Patience;
use crate::engine::{Failure, Row};
use crate::error::{Error, ErrorKind, Result as Outcome};

/// The reply to a message.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The rows of each statement that completed.
    pub results: Vec<Vec<Row>>,
    /// The number of statements that completed.
    pub completed: usize,
    /// The error that ended the message early.
    pub failure: Option<Failure>,
}

impl Answer {
    /// Reads a reply that the driver has collected.
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

    /// Returns the rows of each statement, if all completed.
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

/// Takes a message that the server sends beside its answer. The number is that of the
/// statements that had completed before.
pub(crate) type Hear<'h> = &'h mut (dyn FnMut(usize, &DbError) + Send);

/// A way to send SQL.
pub(crate) trait Link {
    /// Whether the reply to several statements tells how many of them completed.
    const COUNTS: bool;

    /// Sends one message. Rows are dropped unless `keep` is set.
    fn send(&mut self, sql: &str, keep: bool) -> Answer {
        self.send_and_hear(sql, keep, &mut |_, message| super::failure::log(message))
    }

    /// Sends one message, and calls `hear` for each message that arrives before the end of
    /// the answer. On a connection of the synchronous driver, `hear` is not called: the
    /// driver's own configuration decides.
    fn send_and_hear(&mut self, sql: &str, keep: bool, hear: Hear<'_>) -> Answer;

    /// Limits how long later messages wait for their answer. After a message without an
    /// answer the connection cannot be used. On a caller's connection it has no effect,
    /// because the driver's calls cannot be given up.
    fn limit(&mut self, _limit: Option<Duration>) {}
}

/// How long a server may take for an answer that waits for nothing.
const ANSWER: Duration = Duration::from_secs(5);

/// Returns how long to wait for the answer of a statement that waits for locks only.
pub(super) fn answer_within(patience: &Patience) -> Duration {
    patience.left().saturating_add(ANSWER)
}

/// A link for statements outside transactions that only look. Neither a lock nor a silent
/// server lets them wait for longer than the session's patience.
pub(crate) struct Looking<'l, L: Link> {
    link: &'l mut L,
    wait: u128,
    answer: Duration,
}

impl<'l, L: Link> Looking<'l, L> {
    pub(super) fn new(link: &'l mut L, patience: &Patience) -> Self {
        Looking { link, wait: patience.milliseconds(), answer: answer_within(patience) }
    }
}

impl<L: Link> Link for Looking<'_, L> {
    const COUNTS: bool = L::COUNTS;

    fn send_and_hear(&mut self, sql: &str, keep: bool, hear: Hear<'_>) -> Answer {
        self.link.limit(Some(self.answer));
        // Not a query, so that `sql` may begin with the transaction's settings.
        let sql = format!("SET LOCAL lock_timeout = {};{sql}", self.wait);
        let mut answer = self.link.send_and_hear(&sql, keep, hear);
        self.link.limit(None);
        if !answer.results.is_empty() {
            answer.results.remove(0);
            answer.completed -= 1;
        }
        answer
    }
}

/// A connection that Bustard opened: a client, its connection, and the runtime that drives
/// both.
pub(crate) struct Own {
    runtime: Runtime,
    pub client: tokio_postgres::Client,
    /// `None` after it has ended.
    connection: Option<Connection>,
    limit: Option<Duration>,
    /// The limit after which an answer is missing.
    silent: Option<Duration>,
}

impl Own {
    /// Connects. The connection makes progress only while a call waits on it. A
    /// cancelled run stops waiting for a server that does not answer.
    pub(crate) fn connect(target: &Target, cancelled: &AtomicBool) -> Outcome<Self> {
        outside(|| Own::connect_here(target, cancelled))
    }

    fn connect_here(target: &Target, cancelled: &AtomicBool) -> Outcome<Self> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
                Error::new(ErrorKind::Failed, "cannot start the network runtime").caused_by(error)
            })?;
        let connected = runtime.block_on(unless(cancelled, super::connect(target)));
        let (client, connection) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                // An ordinary shutdown would wait for a name lookup, which cannot be
                // cancelled.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        Ok(Own { runtime, client, connection: Some(connection), limit: None, silent: None })
    }

    /// Runs `COPY … FROM stdin` with these rows.
    pub(super) fn copy_in(&mut self, sql: &str, rows: &str, hear: Hear<'_>) -> Option<Failure> {
        if let Some(limit) = self.silent {
            return Some(Failure::no_answer(limit));
        }
        let Own { runtime, client, connection, .. } = self;
        // Made here, because the work may run on another thread.
        let work = move || {
            let completed = Cell::new(0);
            runtime.block_on(drive(connection, copy::send(client, sql, rows), &completed, hear))
        };
        outside(work)
    }
}

/// Waits for an answer, and drives the connection that brings it. When a message beside the
/// answer arrives, the part of the answer that came before it is read first, so that
/// `completed` is exact.
async fn drive<A>(
    connection: &mut Option<Connection>,
    answer: impl Future<Output = A>,
    completed: &Cell<usize>,
    hear: Hear<'_>,
) -> A {
    let mut answer = pin!(answer);
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            let Some(open) = connection else { return Poll::Pending };
            match open.poll_message(cx) {
                Poll::Ready(Some(Ok(AsyncMessage::Notice(message)))) => {
                    let ended = answer.as_mut().poll(cx);
                    hear(completed.get(), &message);
                    if ended.is_ready() {
                        return ended;
                    }
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(ended) => {
                    // The waiting call reports the error, so here it is only logged.
                    if let Some(Err(error)) = ended {
                        log::debug!("the connection ended: {error}");
                    }
                    // Dropping it ends the answer.
                    *connection = None;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

/// Asks the server to cancel the running statement of the token's connection.
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

    fn limit(&mut self, limit: Option<Duration>) {
        self.limit = limit;
    }

    fn send_and_hear(&mut self, sql: &str, keep: bool, hear: Hear<'_>) -> Answer {
        let no_answer = |limit| Answer { failure: Some(Failure::no_answer(limit)), ..Answer::default() };
        if let Some(limit) = self.silent {
            return no_answer(limit);
        }
        let Own { runtime, client, connection, limit, .. } = self;
        let limit = *limit;
        // Made here, because the work may run on another thread.
        let work = move || {
            let completed = Cell::new(0);
            let sent = async {
                let mut answer = Answer::default();
                let stream = match client.simple_query_raw(sql).await {
                    Ok(stream) => stream,
                    Err(error) => {
                        answer.failure = Some(failure(&error));
                        return answer;
                    }
                };
                let mut stream = pin!(stream);
                let mut rows = Vec::new();
                while let Some(message) = stream.next().await {
                    match message {
                        Ok(message) => {
                            answer.take(message, &mut rows, keep);
                            completed.set(answer.completed);
                        }
                        Err(error) => {
                            answer.failure = Some(failure(&error));
                            break;
                        }
                    }
                }
                answer
            };
            let driven = drive(connection, sent, &completed, hear);
            let limited = async {
                match limit {
                    Some(limit) => tokio::time::timeout(limit, driven).await.map_err(|_| limit),
                    None => Ok(driven.await),
                }
            };
            runtime.block_on(limited)
        };
        outside(work).unwrap_or_else(|limit| {
            self.silent = Some(limit);
            no_answer(limit)
        })
    }
}

impl Link for postgres::Client {
    const COUNTS: bool = false;

    fn send_and_hear(&mut self, sql: &str, keep: bool, _hear: Hear<'_>) -> Answer {
        Answer::of(outside(|| self.simple_query(sql)), keep)
    }
}

impl Link for postgres::Transaction<'_> {
    const COUNTS: bool = false;

    fn send_and_hear(&mut self, sql: &str, keep: bool, _hear: Hear<'_>) -> Answer {
        Answer::of(outside(|| self.simple_query(sql)), keep)
    }
}
