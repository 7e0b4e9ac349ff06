//! A connection to a Redis server: commands, answers, and how a connection begins.
//!
//! In: packed commands. Out: answers.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use redis::{Parser, ServerError, Value};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::location::Login;
use crate::store::deadline_stream::{DeadlineStream, server_message};
use crate::store::server::ServerConnection;

/// A connection and the parser of its answers.
pub(super) struct RedisConnection {
    stream: DeadlineStream,
    parser: Parser,
}

/// How connections to a server begin.
#[derive(Clone, Default)]
pub(super) struct Greeting {
    /// The packed commands, which are answered by `+OK`.
    commands: Vec<Vec<u8>>,
    tls: Option<Arc<ClientConfig>>,
    /// Whether the server must be a master: what a Sentinel says may be out of date.
    is_master: bool,
}

impl Greeting {
    pub(super) fn new(login: &Login, tls: Option<Arc<ClientConfig>>) -> Self {
        let mut commands = Vec::new();
        if let Some(password) = &login.password {
            let mut auth = redis::cmd("AUTH");
            if let Some(user) = &login.user {
                auth.arg(user);
            }
            commands.push(auth.arg(password).get_packed_command());
        }
        if login.database != 0 {
            commands.push(redis::cmd("SELECT").arg(login.database).get_packed_command());
        }
        Greeting { commands, tls, is_master: false }
    }

    pub(super) fn of_master(self) -> Self {
        Greeting { is_master: true, ..self }
    }

    /// Begins a connection. `host` is the name in the server's certificate.
    pub(super) fn begin(&self, stream: DeadlineStream, host: &str) -> io::Result<RedisConnection> {
        let stream = match &self.tls {
            Some(config) => secured(stream, config, host)?,
            None => stream,
        };
        let mut connection = RedisConnection::new(stream);
        for command in &self.commands {
            connection.expect_ok(command)?;
        }
        if self.is_master {
            connection.check_role()?;
        }
        Ok(connection)
    }

    #[cfg(test)]
    pub(super) fn sent(&self) -> String {
        String::from_utf8_lossy(&self.commands.concat()).into_owned()
    }
}

fn secured(stream: DeadlineStream, config: &Arc<ClientConfig>, host: &str) -> io::Result<DeadlineStream> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    stream.secured(config.clone(), name)
}

impl RedisConnection {
    pub(super) fn new(stream: DeadlineStream) -> Self {
        RedisConnection { stream, parser: Parser::new() }
    }

    /// Sends a packed command and reads its answer.
    pub(super) fn ask(&mut self, request: &[u8]) -> io::Result<Value> {
        self.stream.write_all(request)?;
        self.stream.flush()?;
        self.parser.parse_value(&mut self.stream).map_err(|error| {
            if error.is_connection_dropped() {
                io::ErrorKind::UnexpectedEof.into()
            } else if error.is_io_error() {
                io::Error::other(error.to_string())
            } else {
                not_redis()
            }
        })
    }

    /// Sends a packed command that is answered by `+OK`.
    pub(super) fn expect_ok(&mut self, request: &[u8]) -> io::Result<()> {
        match self.ask(request)? {
            Value::Okay => Ok(()),
            // The error contains only the code, because the message may quote the command
            // with the password.
            Value::ServerError(error) => Err(server_message(error.code())),
            _ => Err(not_redis()),
        }
    }

    fn check_role(&mut self) -> io::Result<()> {
        match self.ask(&redis::cmd("ROLE").get_packed_command())? {
            Value::Array(role) => match role.first() {
                Some(Value::BulkString(role)) if role == b"master" => Ok(()),
                _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the server is not a master")),
            },
            // A user without the right to ask can still find out by writing.
            Value::ServerError(error) if error.code() == "NOPERM" => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}

impl ServerConnection for RedisConnection {
    fn restart(&mut self, deadline: Instant) {
        self.stream.restart(deadline);
    }
}

/// Returns the error for an answer that a command does not have.
pub(super) fn unexpected(answer: &Value) -> io::Error {
    let Value::ServerError(error) = answer else { return not_redis() };
    match error.code() {
        "MOVED" | "ASK" => io::Error::new(
            io::ErrorKind::InvalidData,
            "the server belongs to a cluster: set `cluster = true`",
        ),
        _ => server_message(&shown(error)),
    }
}

fn shown(error: &ServerError) -> String {
    // A server that does not know a command quotes its arguments, including the value.
    let details = error.details().unwrap_or_default().split(", with args").next().unwrap_or_default();
    format!("{} {details}", error.code())
}

pub(super) fn not_redis() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the server does not speak Redis's protocol")
}
