//! One server of a store: its address, its idle connections and its circuit breaker. Each
//! call has one time limit, which includes connecting.
//!
//! In: an exchange, as a function on a connection. Out: its result, or an error of the
//! store.

use std::fmt;
use std::io::{self, ErrorKind::*};
use std::time::{Duration, Instant};

use super::address::StoreAddress;
use super::breaker::{Breaker, Transition};
use super::deadline_stream::DeadlineStream;
use super::pool::Pool;
use super::refusal::{Refusal, Refusals};
use crate::error::{Error, ErrorKind, Result};

/// A connection that speaks the protocol of a server.
pub(super) trait ServerConnection: Sized {
    /// Begins another exchange on a connection that has been idle.
    fn restart(&mut self, deadline: Instant);
}

/// Why a call failed.
pub(super) enum Failure {
    /// The server answered that it does not do this; the word that its answer begins with.
    Refused(String, Error),
    /// The server does not answer, or is not called during a pause.
    Down(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(_, error) | Failure::Down(error) => error,
        }
    }
}

/// A server of a store.
pub(super) struct StoreServer<C> {
    /// The name of the product for messages, such as `Memcached`.
    kind: &'static str,
    address: StoreAddress,
    timeout: Duration,
    idle: Pool<C>,
    breaker: Breaker,
    refusals: Refusals,
}

impl<C: ServerConnection> StoreServer<C> {
    pub(super) fn new(kind: &'static str, address: StoreAddress, timeout: Duration) -> Self {
        StoreServer {
            kind,
            address,
            timeout,
            idle: Pool::new(),
            breaker: Breaker::default(),
            refusals: Refusals::default(),
        }
    }

    pub(super) fn address(&self) -> &StoreAddress {
        &self.address
    }

    /// Runs `exchange` on an idle connection, or on a new one prepared by `greet`. If the
    /// server has closed the idle connection, `exchange` runs again on a new one. A
    /// [`Refusal`] says nothing about whether the server is up.
    pub(super) fn call<T>(
        &self,
        greet: impl FnOnce(DeadlineStream) -> io::Result<C>,
        exchange: impl Fn(&mut C) -> io::Result<T>,
    ) -> Result<T> {
        Ok(self.call_before(Instant::now() + self.timeout, greet, exchange)?)
    }

    /// Does the same as [`call`](Self::call) with another time limit.
    pub(super) fn call_before<T>(
        &self,
        deadline: Instant,
        greet: impl FnOnce(DeadlineStream) -> io::Result<C>,
        exchange: impl Fn(&mut C) -> io::Result<T>,
    ) -> std::result::Result<T, Failure> {
        let Some(pass) = self.breaker.pass(Instant::now()) else {
            return Err(Failure::Down(self.error("has failed recently and is not called during a pause")));
        };
        let result = self.attempt(deadline, greet, exchange);
        if let Err(error) = &result
            && let Some(refusal) = Refusal::of(error)
        {
            pass.undecided();
            let message = format!("{self} refuses writes: {refusal}");
            match self.refusals.is_new(refusal, Instant::now()) {
                true => log::warn!("{message}; values that it has are still read"),
                false => log::debug!("{message}"),
            }
            return Err(Failure::Refused(refusal.kind().to_owned(), Error::new(ErrorKind::Store, message)));
        }
        let change = match &result {
            Ok(_) => pass.succeeded(),
            Err(_) => pass.failed(Instant::now()),
        };
        let result =
            result.map_err(|error| self.error(&format!("does not answer: {error}")).caused_by(error));
        match (change, &result) {
            (Some(Transition::Recovered), _) => log::info!("{self} answers again"),
            (Some(Transition::Failed), Err(error)) => {
                log::warn!("{}; values are computed until it does", error.message());
            }
            _ => {}
        }
        result.map_err(Failure::Down)
    }

    fn attempt<T>(
        &self,
        deadline: Instant,
        greet: impl FnOnce(DeadlineStream) -> io::Result<C>,
        exchange: impl Fn(&mut C) -> io::Result<T>,
    ) -> io::Result<T> {
        if let Some(mut connection) = self.idle.take() {
            connection.restart(deadline);
            match exchange(&mut connection) {
                Ok(value) => {
                    self.idle.put(connection);
                    return Ok(value);
                }
                // A restarted server has closed all connections, so all idle connections
                // are discarded.
                Err(error) if was_closed(&error) => self.idle.clear(),
                Err(error) => {
                    if Refusal::of(&error).is_some() {
                        self.idle.put(connection);
                    }
                    return Err(error);
                }
            }
        }
        let mut connection = greet(DeadlineStream::new(self.address.connect(deadline)?, deadline))?;
        let result = exchange(&mut connection);
        if result.as_ref().err().is_none_or(|error| Refusal::of(error).is_some()) {
            self.idle.put(connection);
        }
        result
    }

    fn error(&self, predicate: &str) -> Error {
        Error::new(ErrorKind::Store, format!("{self} {predicate}"))
    }
}

fn was_closed(error: &io::Error) -> bool {
    matches!(error.kind(), UnexpectedEof | BrokenPipe | ConnectionReset | ConnectionAborted | NotConnected)
}

impl<C> fmt::Display for StoreServer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store {} at {}", self.kind, self.address)
    }
}
