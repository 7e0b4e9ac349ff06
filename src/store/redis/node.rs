//! One Redis server.
//!
//! In: packed commands, and a deadline. Out: what the answers are read as.

use std::io;
use std::time::{Duration, Instant};

use redis::Value;

use super::connection::{Greeting, RedisConnection};
use crate::store::address::{Endpoint, StoreAddress};
use crate::store::server::{Failure, StoreServer};

pub(super) struct Node {
    server: StoreServer<RedisConnection>,
    greeting: Greeting,
    host: String,
}

impl Node {
    pub(super) fn new(endpoint: &Endpoint, greeting: Greeting, timeout: Duration) -> Self {
        let host = endpoint.host().to_owned();
        let server = StoreServer::new("Redis", StoreAddress::new(endpoint.clone()), timeout);
        Node { server, greeting, host }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        self.server.address().endpoint()
    }

    /// Sends a command, and reads its answer with `read`. Each command of `before` must be
    /// answered by `+OK`.
    pub(super) fn ask<T>(
        &self,
        deadline: Instant,
        before: &[&[u8]],
        request: &[u8],
        read: impl Fn(Value) -> io::Result<T>,
    ) -> Result<T, Failure> {
        let begin = |stream| self.greeting.begin(stream, &self.host);
        self.server.call_before(deadline, begin, |connection| {
            for command in before {
                connection.expect_ok(command)?;
            }
            read(connection.ask(request)?)
        })
    }
}

/// Returns whether too little of a call's time is left to ask other servers: their lack of time
/// would look like a failure.
pub(super) fn is_late(deadline: Instant, timeout: Duration) -> bool {
    deadline.saturating_duration_since(Instant::now()) < timeout / 4
}
