//! One server of a store: its address, its idle connections and whether it is
//! worth asking. Everything that is done with it is one call, bounded in time.

use std::fmt;
use std::io::{self, ErrorKind::*};
use std::time::{Duration, Instant};

use super::address::Address;
use super::breaker::{Breaker, Change};
use super::deadline_stream::Wire;
use super::pool::Pool;
use crate::error::{Error, ErrorKind, Result};

/// A connection that speaks a server's language.
pub(super) trait Connection: Sized {
    /// Begins another exchange on a connection that has been idle.
    fn restart(&mut self, deadline: Instant);
}

/// One server.
pub(super) struct Server<C> {
    /// What it is, for messages: `Memcached`.
    kind: &'static str,
    address: Address,
    timeout: Duration,
    idle: Pool<C>,
    breaker: Breaker,
}

impl<C: Connection> Server<C> {
    pub(super) fn new(kind: &'static str, address: Address, timeout: Duration) -> Self {
        Server { kind, address, timeout, idle: Pool::new(), breaker: Breaker::default() }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Does `exchange` on a connection, on a new one of `greet` if need be. It
    /// may be done twice: the server may have closed what was idle.
    pub(super) fn call<T>(
        &self,
        greet: impl FnOnce(Wire) -> io::Result<C>,
        exchange: impl Fn(&mut C) -> io::Result<T>,
    ) -> Result<T> {
        let start = Instant::now();
        let Some(pass) = self.breaker.pass(start) else {
            return Err(self.error("has not answered, and is given a pause"));
        };
        let result = self.attempt(start + self.timeout, greet, exchange);
        let change = match &result {
            Ok(_) => pass.succeeded(),
            Err(_) => pass.failed(Instant::now()),
        };
        let result =
            result.map_err(|error| self.error(&format!("does not answer: {error}")).caused_by(error));
        match (change, &result) {
            (Some(Change::Recovered), _) => log::info!("{self} answers again"),
            (Some(Change::Failed), Err(error)) => {
                log::warn!("{}; values are computed until it does", error.message());
            }
            _ => {}
        }
        result
    }

    fn attempt<T>(
        &self,
        deadline: Instant,
        greet: impl FnOnce(Wire) -> io::Result<C>,
        exchange: impl Fn(&mut C) -> io::Result<T>,
    ) -> io::Result<T> {
        if let Some(mut connection) = self.idle.take() {
            connection.restart(deadline);
            match exchange(&mut connection) {
                Ok(value) => {
                    self.idle.put(connection);
                    return Ok(value);
                }
                // As a server that was restarted has, with all of them.
                Err(error) if was_closed(&error) => self.idle.clear(),
                Err(error) => return Err(error),
            }
        }
        let mut connection = greet(Wire::new(self.address.connect(deadline)?, deadline))?;
        let value = exchange(&mut connection)?;
        self.idle.put(connection);
        Ok(value)
    }

    fn error(&self, what: &str) -> Error {
        Error::new(ErrorKind::Store, format!("{self} {what}"))
    }
}

fn was_closed(error: &io::Error) -> bool {
    matches!(error.kind(), UnexpectedEof | BrokenPipe | ConnectionReset | ConnectionAborted | NotConnected)
}

impl<C> fmt::Display for Server<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store {} at {}", self.kind, self.address)
    }
}
