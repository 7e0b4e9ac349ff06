//! Redis behind Sentinels: they say which server is the master, and it may become another one
//! at any time.
//!
//! In: packed commands. Out: the answers of the master.
//!
//! The client's part is described in <https://redis.io/docs/latest/develop/reference/sentinel-clients/>.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::Value;

use super::connection::{Greeting, not_redis, unexpected};
use super::node::{Node, is_late};
use crate::error::{Error, ErrorKind, Result};
use crate::store::address::Endpoint;
use crate::store::breaker::{Breaker, Transition};
use crate::store::server::Failure;

pub(super) struct Sentinels {
    sentinels: Vec<Node>,
    /// The name of the master.
    name: String,
    /// How connections to the master begin.
    greeting: Greeting,
    timeout: Duration,
    master: Mutex<Option<Arc<Node>>>,
    /// Limits how often the Sentinels are asked in vain.
    breaker: Breaker,
}

impl Sentinels {
    pub(super) fn new(sentinels: Vec<Node>, name: String, greeting: Greeting, timeout: Duration) -> Self {
        let greeting = greeting.of_master();
        Sentinels {
            sentinels,
            name,
            greeting,
            timeout,
            master: Mutex::default(),
            breaker: Breaker::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn sentinels(&self) -> impl Iterator<Item = &Endpoint> {
        self.sentinels.iter().map(Node::endpoint)
    }

    /// Sends a command to the master. If it does not answer or is no master any more, and the
    /// Sentinels name another one, sends it to that one.
    pub(super) fn ask<T>(&self, request: &[u8], read: impl Fn(Value) -> io::Result<T>) -> Result<T> {
        let deadline = Instant::now() + self.timeout;
        let Some(master) = self.master() else {
            let master = self.find(deadline, None)?;
            return Ok(master.ask(deadline, &[], request, read)?);
        };
        let failure = match master.ask(deadline, &[], request, &read) {
            Ok(value) => return Ok(value),
            Err(Failure::Refused(kind, error)) if kind != "READONLY" => return Err(error),
            Err(failure) => failure,
        };
        if is_late(deadline, self.timeout) {
            return Err(failure.into());
        }
        match self.find(deadline, Some(&master)) {
            Ok(master) => Ok(master.ask(deadline, &[], request, read)?),
            Err(_) => Err(failure.into()),
        }
    }

    fn master(&self) -> Option<Arc<Node>> {
        self.master.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for the master; it must be another server than `former`.
    fn find(&self, deadline: Instant, former: Option<&Arc<Node>>) -> Result<Arc<Node>> {
        let error = |why: &str| {
            Error::new(
                ErrorKind::Store,
                format!("the master `{}` of the store Redis is not known: {why}", self.name),
            )
        };
        // Another caller may have found it meanwhile.
        if let Some(master) = self.master()
            && former.is_none_or(|former| !Arc::ptr_eq(former, &master))
        {
            return Ok(master);
        }
        let Some(pass) = self.breaker.pass(Instant::now()) else {
            return Err(error("the Sentinels are asked again after a pause"));
        };
        match self.ask_sentinels(deadline) {
            Ok(endpoint) if former.is_some_and(|former| *former.endpoint() == endpoint) => {
                // The failure of the server has been logged.
                let _ = pass.failed(Instant::now());
                Err(error("the Sentinels still name the server that failed"))
            }
            Ok(endpoint) => {
                let _ = pass.succeeded();
                log::info!("the master `{}` of the store Redis is {endpoint}", self.name);
                let master = Arc::new(Node::new(&endpoint, self.greeting.clone(), self.timeout));
                *self.master.lock().unwrap_or_else(PoisonError::into_inner) = Some(master.clone());
                Ok(master)
            }
            Err(why) => {
                let error = error(why.message());
                if pass.failed(Instant::now()) == Some(Transition::Failed) {
                    log::warn!("{}; values are computed until it is", error.message());
                }
                Err(error)
            }
        }
    }

    /// Returns what the first Sentinel says that knows the master, or the last error.
    fn ask_sentinels(&self, deadline: Instant) -> Result<Endpoint> {
        let mut request = redis::cmd("SENTINEL");
        request.arg("get-master-addr-by-name").arg(&self.name);
        let request = request.get_packed_command();
        let mut last = Error::new(ErrorKind::Store, "there is no Sentinel");
        let count = u32::try_from(self.sentinels.len()).unwrap_or(u32::MAX);
        // Each Sentinel gets an equal share of the remaining time.
        for (sentinel, left) in self.sentinels.iter().zip((1..=count).rev()) {
            let now = Instant::now();
            let share = now + deadline.saturating_duration_since(now) / left;
            match sentinel.ask(share, &[], &request, read_address) {
                Ok(Some(endpoint)) => return Ok(endpoint),
                Ok(None) => {
                    last = Error::new(
                        ErrorKind::Store,
                        format!("the Sentinel at {} has no master of this name", sentinel.endpoint()),
                    );
                }
                Err(failure) => last = failure.into(),
            }
        }
        Err(last)
    }
}

fn read_address(answer: Value) -> io::Result<Option<Endpoint>> {
    match &answer {
        Value::Nil => Ok(None),
        Value::Array(parts) => match parts.as_slice() {
            [Value::BulkString(host), Value::BulkString(port)] => {
                let host = String::from_utf8(host.clone()).map_err(|_| not_redis())?;
                let port = std::str::from_utf8(port).ok().and_then(|port| port.parse().ok());
                Ok(Some(Endpoint::Tcp(host, port.ok_or_else(not_redis)?)))
            }
            _ => Err(not_redis()),
        },
        _ => Err(unexpected(&answer)),
    }
}
