//! An [`Observer`] of a PostgreSQL server: a client, and a runtime that drives its
//! connection while a call waits. Every wait has a deadline, and ends early when another
//! thread rings the [`Bell`].

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::{Either, OptionFuture, join, poll_fn, select};
use futures_util::task::AtomicWaker;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client, SimpleQueryMessage};

use super::attempt::Connection;
use super::connect::{connect_by, shown};
use super::simple_query::Answer;
use super::{Target, failure};
use crate::engine::observer::{Bell, Observer, Poller, Woken};
use crate::engine::postgres::PostgresPoller;
use crate::engine::{Failure, Row};
use crate::error::{Error, ErrorKind, Result};

/// The time that the server may take to cancel a statement that missed its deadline.
const CANCELLING: Duration = Duration::from_secs(5);

pub(crate) struct PostgresObserver {
    target: Target,
    /// The runtime; `None` only while `drop` runs.
    runtime: Option<Runtime>,
    bell: Arc<Ear>,
    line: Option<Line>,
}

/// The [`Bell`] of this observer. It wakes the waiting thread. There is only one such
/// thread, with one task on it.
#[derive(Default)]
struct Ear {
    rung: AtomicBool,
    stopped: AtomicBool,
    waker: AtomicWaker,
}

impl Bell for Ear {
    fn ring(&self) {
        self.rung.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.waker.wake();
    }
}

impl Ear {
    async fn stopped(&self) {
        poll_fn(|context| {
            self.waker.register(context.waker());
            if self.stopped.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// A connection: the client that sends, and what the receiving task has stored.
struct Line {
    client: Client,
    driver: JoinHandle<()>,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    notified: AtomicBool,
    /// The server process whose notifications are ignored.
    own: AtomicI32,
    /// The reason why the connection has ended.
    ended: Mutex<Option<Failure>>,
}

impl Heard {
    fn ended(&self) -> Option<Failure> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // Without `abort`, the driver would wait to send its last message over a network
        // that accepts nothing.
        self.driver.abort();
    }
}

/// Drives a connection until it ends.
async fn drive(mut connection: Connection, heard: Arc<Heard>, bell: Arc<Ear>) {
    let end = loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(notification))) => {
                if notification.process_id() != heard.own.load(Ordering::SeqCst) {
                    heard.notified.store(true, Ordering::SeqCst);
                    bell.waker.wake();
                }
            }
            Some(Ok(AsyncMessage::Notice(notice))) => log::debug!("the server: {}", notice.message()),
            Some(Ok(_)) => {}
            Some(Err(error)) => break failure(&error),
            None => break silence("the connection was closed"),
        }
    };
    *heard.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    bell.waker.wake();
}

/// Builds a failure of the connection without a server message, described by `what`.
fn silence(what: &str) -> Failure {
    Failure {
        kind: ErrorKind::Connection,
        server_message: Box::new(crate::error::ServerMessage {
            message: what.to_owned(),
            ..Default::default()
        }),
        offset: None,
        advice: None,
    }
}

/// The reason why a wait ended early.
enum Cut {
    Late,
    Stopped,
}

impl PostgresObserver {
    pub(crate) fn new(target: Target) -> Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
                Error::new(ErrorKind::Failed, "cannot start the network runtime").caused_by(error)
            })?;
        Ok(PostgresObserver { target, runtime: Some(runtime), bell: Arc::default(), line: None })
    }

    fn runtime(&self) -> Result<&Runtime> {
        self.runtime.as_ref().ok_or_else(cancelled)
    }

    /// Waits for `what` until the deadline, or until [`Bell::stop`] is called.
    fn by<T>(&self, deadline: Instant, what: impl Future<Output = T>) -> Result<Result<T, Cut>> {
        Ok(self.runtime()?.block_on(async {
            let (stopped, what) = (pin!(self.bell.stopped()), pin!(what));
            match tokio::time::timeout_at(deadline.into(), select(stopped, what)).await {
                Ok(Either::Left(_)) => Err(Cut::Stopped),
                Ok(Either::Right((done, _))) => Ok(done),
                Err(_) => Err(Cut::Late),
            }
        }))
    }

    /// Cancels the running statement. A server process that waits for a lock does not
    /// notice that its client has gone, and the next connection would also wait for the
    /// lock.
    fn cancel(&self, line: &Line) {
        let (token, connector) = (line.client.cancel_token(), self.target.connector());
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move {
                let asked = tokio::time::timeout(CANCELLING, token.cancel_query(connector)).await;
                if !matches!(asked, Ok(Ok(()))) {
                    log::debug!("the server could not be asked to cancel a query");
                }
            });
        }
    }
}

impl Observer for PostgresObserver {
    fn poller(self: Box<Self>) -> Box<dyn Poller> {
        Box::new(PostgresPoller::new(self))
    }

    fn connect(&mut self, deadline: Instant) -> Result<()> {
        self.line = None;
        let began = Instant::now();
        let (client, connection) = match self.by(deadline, connect_by(&self.target, Some(deadline)))? {
            Ok(connected) => connected?,
            Err(Cut::Stopped) => return Err(cancelled()),
            Err(Cut::Late) => {
                let (target, limit) =
                    (self.target.redacted(), shown(deadline.saturating_duration_since(began)));
                return Err(Error::new(
                    ErrorKind::Connection,
                    format!("cannot connect to {target}: no answer within {limit}"),
                )
                .help("is the server running, and does a firewall let it through?"));
            }
        };
        let heard = Arc::<Heard>::default();
        let driver = drive(connection, Arc::clone(&heard), Arc::clone(&self.bell));
        let driver = self.runtime()?.spawn(driver);
        self.line = Some(Line { client, driver, heard });
        Ok(())
    }

    fn rows(&mut self, ahead: Option<&str>, sql: &str, deadline: Instant) -> Result<Vec<Row>> {
        // The connection is taken out, and put back only if it can still be used.
        let Some(line) = self.line.take() else {
            return Err(Error::new(ErrorKind::Connection, "there is no connection to the database"));
        };
        let began = Instant::now();
        // `join` sends both messages in this order, before either is answered.
        let asked = join(
            OptionFuture::from(ahead.map(|ahead| line.client.simple_query(ahead))),
            line.client.simple_query(sql),
        );
        let (ahead, answer) = match self.by(deadline, asked)? {
            Ok(answered) => answered,
            Err(Cut::Stopped) => return Err(cancelled()),
            Err(Cut::Late) => {
                self.cancel(&line);
                return Err(late(deadline.saturating_duration_since(began)));
            }
        };
        if let Some(Err(error)) = ahead {
            log::debug!("the message sent before a query failed: {error}");
        }
        match collected(answer) {
            Ok(rows) => {
                self.line = Some(line);
                Ok(rows)
            }
            Err(failure) if failure.kind == ErrorKind::Connection => {
                // The server's last message may have arrived before the query was sent.
                let said = line.heard.ended().filter(|_| failure.is_silence());
                Err(said.unwrap_or(failure).into_error())
            }
            Err(failure) => {
                self.line = Some(line);
                Err(failure.into_error())
            }
        }
    }

    fn wait(&mut self, until: Instant) -> Result<Woken> {
        let heard = self.line.as_ref().map(|line| Arc::clone(&line.heard));
        let woken = poll_fn(|context| {
            self.bell.waker.register(context.waker());
            if let Some(heard) = &heard {
                if let Some(end) = heard.ended() {
                    return Poll::Ready(Err(end.into_error()));
                }
                if heard.notified.swap(false, Ordering::SeqCst) {
                    return Poll::Ready(Ok(Woken::Notified));
                }
            }
            if self.bell.rung.swap(false, Ordering::SeqCst) {
                return Poll::Ready(Ok(Woken::Rung));
            }
            Poll::Pending
        });
        match self.by(until, woken)? {
            Ok(Ok(woken)) => Ok(woken),
            Ok(Err(error)) => {
                self.line = None;
                Err(error)
            }
            Err(Cut::Stopped) => Err(cancelled()),
            Err(Cut::Late) => Ok(Woken::Time),
        }
    }

    fn served_by(&mut self, process: i32) {
        if let Some(line) = &self.line {
            line.heard.own.store(process, Ordering::SeqCst);
        }
    }

    fn bell(&self) -> Arc<dyn Bell> {
        Arc::clone(&self.bell) as Arc<dyn Bell>
    }
}

impl Drop for PostgresObserver {
    fn drop(&mut self) {
        self.line = None;
        if let Some(runtime) = self.runtime.take() {
            // An ordinary shutdown would wait for a name lookup, which cannot be cancelled.
            // It would also panic if the observer is dropped inside a runtime, where
            // blocking is not allowed.
            runtime.shutdown_background();
        }
    }
}

fn collected(answer: Result<Vec<SimpleQueryMessage>, tokio_postgres::Error>) -> Result<Vec<Row>, Failure> {
    let results = Answer::of(answer, true).all()?;
    Ok(results.into_iter().next_back().unwrap_or_default())
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "cancelled")
}

fn late(limit: Duration) -> Error {
    Error::new(ErrorKind::Connection, format!("the database gave no answer within {}", shown(limit)))
        .help("is the server overloaded, or does a session hold a lock on the tables of the schema bustard?")
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::super::fake::{Fake, Manner, NO_DATABASE, error_response};
    use super::*;

    /// A deadline that no test reaches.
    const LONG: Duration = Duration::from_secs(120);
    const SHORT: Duration = Duration::from_millis(50);

    fn observer(manner: Manner) -> PostgresObserver {
        let port = Fake::start(manner, NO_DATABASE).port;
        let url = format!("postgres://u:secret@127.0.0.1:{port}/d");
        PostgresObserver::new(Target::parse_with(&url, &|_| None).unwrap()).unwrap()
    }

    fn connected(manner: Manner) -> PostgresObserver {
        let mut observer = observer(manner);
        observer.connect(Instant::now() + LONG).unwrap();
        observer
    }

    #[track_caller]
    fn assert_fails<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind, words: &str) {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn a_silent_server_is_given_up_at_the_deadline() {
        let mut silent = observer(Manner::Silent);
        let began = Instant::now();
        assert_fails(silent.connect(Instant::now() + SHORT), ErrorKind::Connection, "no answer within");
        let mut mute = connected(Manner::Saying(b""));
        for ahead in [None, Some("SELECT 1")] {
            let rows = mute.rows(ahead, "SELECT 2", Instant::now() + SHORT);
            assert_fails(rows, ErrorKind::Connection, "no answer within");
            // The connection has ended.
            let rows = mute.rows(None, "SELECT 2", Instant::now() + LONG);
            assert_fails(rows, ErrorKind::Connection, "there is no connection");
            mute = connected(Manner::Saying(b""));
        }
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn each_of_several_servers_has_a_share_of_the_time() {
        let silent = Fake::start(Manner::Silent, NO_DATABASE).port;
        let good = Fake::start(Manner::Saying(b""), NO_DATABASE).port;
        let url = format!("postgres://u@127.0.0.1:{silent},127.0.0.1:{good}/d?connect_timeout=0");
        let mut observer = PostgresObserver::new(Target::parse_with(&url, &|_| None).unwrap()).unwrap();
        observer.connect(Instant::now() + Duration::from_secs(2)).unwrap();
    }

    #[test]
    fn a_closed_connection_is_noticed() {
        assert_fails(
            observer(Manner::Closing).connect(Instant::now() + LONG),
            ErrorKind::Connection,
            "closed the connection",
        );
        let rows = connected(Manner::Dying).rows(None, "SELECT 1", Instant::now() + LONG);
        assert_fails(rows, ErrorKind::Connection, "connection");

        let farewell = error_response(&[('S', "FATAL"), ('V', "FATAL"), ('C', "57P01"), ('M', "going down")]);
        let farewell: &'static [u8] = farewell.leak();
        assert_fails(
            connected(Manner::Saying(farewell)).wait(Instant::now() + LONG),
            ErrorKind::Connection,
            "going down",
        );
        let mut left = connected(Manner::Saying(farewell));
        let rows = left.rows(None, "SELECT 1", Instant::now() + LONG);
        assert_fails(rows, ErrorKind::Connection, "going down");
        // Without a connection, the time and the bell still end a wait.
        assert_eq!(left.wait(Instant::now() + SHORT).unwrap(), Woken::Time);
        left.bell().ring();
        assert_eq!(left.wait(Instant::now() + LONG).unwrap(), Woken::Rung);
    }

    #[test]
    fn notifications_of_other_processes_wake_once() {
        // These are two notifications from process 7 on the channel "b".
        let words = b"A\0\0\0\x0b\0\0\0\x07b\0\0A\0\0\0\x0b\0\0\0\x07b\0\0";
        let mut observer = connected(Manner::Saying(words));
        assert_eq!(observer.wait(Instant::now() + LONG).unwrap(), Woken::Notified);
        assert_eq!(observer.wait(Instant::now() + SHORT).unwrap(), Woken::Time);

        let mut own = connected(Manner::Saying(words));
        own.served_by(7);
        assert_eq!(own.wait(Instant::now() + SHORT).unwrap(), Woken::Time);
    }

    #[test]
    fn the_bell_ends_a_wait_even_if_it_was_rung_before() {
        let mut observer = connected(Manner::Saying(b""));
        observer.bell().ring();
        observer.bell().ring();
        assert_eq!(observer.wait(Instant::now() + LONG).unwrap(), Woken::Rung);
        assert_eq!(observer.wait(Instant::now() + SHORT).unwrap(), Woken::Time);
        let bell = observer.bell();
        let ringer = thread::spawn(move || bell.ring());
        assert_eq!(observer.wait(Instant::now() + LONG).unwrap(), Woken::Rung);
        ringer.join().unwrap();
    }

    #[test]
    fn stopping_ends_every_call() {
        type Act = fn(&mut PostgresObserver) -> Result<()>;
        let connect: Act = |observer| observer.connect(Instant::now() + LONG);
        let ask: Act = |observer| observer.rows(None, "SELECT 1", Instant::now() + LONG).map(drop);
        let wait: Act = |observer| observer.wait(Instant::now() + LONG).map(drop);
        let acts = [(observer(Manner::Silent), connect), (connected(Manner::Saying(b"")), ask)];
        for (mut observer, act) in acts.into_iter().chain([(connected(Manner::Saying(b"")), wait)]) {
            let bell = observer.bell();
            let began = Instant::now();
            let stopper = thread::spawn(move || {
                thread::sleep(SHORT);
                bell.stop();
            });
            assert_fails(act(&mut observer), ErrorKind::Cancelled, "cancelled");
            // Every later call fails too.
            assert_fails(connect(&mut observer), ErrorKind::Cancelled, "cancelled");
            assert_fails(wait(&mut observer), ErrorKind::Cancelled, "cancelled");
            assert!(began.elapsed() < LONG);
            stopper.join().unwrap();
        }
    }

    #[test]
    fn an_observer_may_be_created_and_dropped_on_a_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let connected = connected(Manner::Saying(b""));
        runtime.block_on(async move {
            drop(connected);
            drop(observer(Manner::Silent));
        });
    }
}
