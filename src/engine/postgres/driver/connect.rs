//! Connects to a target. Tries its servers in turn, and explains a failure.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::config::Config;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::attempt::{AttemptFailure, Connection, tls_error};
use super::attributes::{Standing, Wanted};
use super::blocking::unless;
use super::failure::{chain, io_error, server_message};
use super::notices::Inbox;
use super::target::{Address, SOCKET_DIRECTORIES, Server, Target};
use super::tls;
use crate::engine::postgres::connecting;
use crate::error::{Error, ErrorKind, Result, ServerMessage};

/// Connects. Requires a Tokio runtime with time and I/O enabled.
pub(crate) async fn connect(target: &Target) -> Result<(Client, Connection)> {
    connect_by(target, None).await
}

/// Connects by the deadline, or fails. Each server gets a share of the remaining time, so
/// that a server that does not answer cannot use all of it.
pub(super) async fn connect_by(target: &Target, deadline: Option<Instant>) -> Result<(Client, Connection)> {
    first_that_answers(target, deadline, async |config, limit, ask| {
        let connecting = async {
            let (client, mut connection) =
                config.connect(target.tls.connector()).await.map_err(AttemptFailure::Driver)?;
            let standing = match ask {
                true => Some(Standing::ask(&client, &mut connection).await?),
                false => None,
            };
            Ok(((client, connection), standing))
        };
        within(limit, connecting).await?
    })
    .await
}

/// Connects with the synchronous driver. What the server says goes to the inbox. A
/// cancelled run stops waiting for a server that does not answer.
pub(crate) fn connect_sync(
    target: &Target,
    cancelled: &AtomicBool,
    inbox: &Inbox,
) -> Result<postgres::Client> {
    super::outside(|| connect_here(target, cancelled, inbox))
}

fn connect_here(target: &Target, cancelled: &AtomicBool, inbox: &Inbox) -> Result<postgres::Client> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Error::new(ErrorKind::Failed, "cannot start the network runtime").caused_by(error)
    })?;
    let connecting = first_that_answers(target, None, async |config, limit, ask| {
        let mut config = postgres::Config::from(config);
        let inbox = inbox.clone();
        config.notice_callback(move |message| inbox.put(&message));
        in_thread(config, target.tls.connector(), limit, ask).await
    });
    let client = runtime.block_on(unless(cancelled, connecting));
    // Neither a name lookup nor the driver can be cancelled. An ordinary shutdown of the
    // runtime would wait for them.
    runtime.shutdown_background();
    client
}

/// Connects in a thread of its own, which is abandoned at the limit. The driver's own limit
/// covers only opening the socket, so a server that then stays silent would block the
/// thread for ever.
async fn in_thread(
    config: postgres::Config,
    tls: MakeRustlsConnect,
    limit: Option<Duration>,
    ask: bool,
) -> Result<(postgres::Client, Option<Standing>), AttemptFailure> {
    let connecting = move || {
        let mut client = config.connect(tls)?;
        let standing = if ask { Some(Standing::ask_sync(&mut client)?) } else { None };
        Ok((client, standing))
    };
    match within(limit, tokio::task::spawn_blocking(connecting)).await? {
        Ok(connected) => connected.map_err(AttemptFailure::Driver),
        Err(panicked) => Err(AttemptFailure::Io(io::Error::other(panicked))),
    }
}

/// Waits no longer than the limit.
async fn within<F: Future>(limit: Option<Duration>, future: F) -> Result<F::Output, AttemptFailure> {
    match limit {
        Some(time) => tokio::time::timeout(time, future).await.map_err(|_| AttemptFailure::TimedOut(limit)),
        None => Ok(future.await),
    }
}

/// Tries each address of each server, each for as long as the limit allows, until one
/// answers that is of the kind that is asked for.
async fn first_that_answers<T>(
    target: &Target,
    deadline: Option<Instant>,
    attempt: impl AsyncFn(Config, Option<Duration>, bool) -> Result<(T, Option<Standing>), AttemptFailure>,
) -> Result<T> {
    let mut servers: Vec<&Server> = target.servers.iter().collect();
    if target.shuffled {
        shuffle(&mut servers);
    }
    let share = |attempts: usize| {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let fair = left.map(|left| left / u32::try_from(attempts).unwrap_or(u32::MAX));
        [target.limit, fair].into_iter().flatten().min()
    };
    let passes = target.wanted.passes();
    let mut failed: Vec<(&Server, AttemptFailure)> = Vec::new();
    for (pass, wanted) in passes.iter().enumerate() {
        // Those of an earlier pass are tried again.
        failed.clear();
        for (i, server) in servers.iter().enumerate() {
            let after = servers.len() * (passes.len() - pass) - i - 1;
            let mut addresses = match within(share(after + 2), addresses(server)).await {
                Ok(Ok(addresses)) => addresses,
                Ok(Err(error)) => {
                    failed.push((server, AttemptFailure::Lookup(error)));
                    continue;
                }
                Err(failure) => {
                    failed.push((server, failure));
                    continue;
                }
            };
            if target.shuffled {
                shuffle(&mut addresses);
            }
            let mut last = None;
            for (i, address) in addresses.iter().enumerate() {
                let limit = share(after + addresses.len() - i);
                let ask = *wanted != Wanted::Any;
                match attempt(target.config_for(server, *address), limit, ask).await {
                    Ok((connected, standing)) => match wanted.mismatch(standing) {
                        None => return Ok(connected),
                        // Its other addresses lead to the same server.
                        Some(why) => {
                            last = Some(AttemptFailure::Mismatch(why));
                            break;
                        }
                    },
                    Err(failure) if failure.try_next() => last = Some(failure),
                    Err(failure) => {
                        failed.push((server, failure));
                        return Err(error(target, failed));
                    }
                }
            }
            failed.extend(last.map(|failure| (*server, failure)));
        }
    }
    Err(error(target, failed))
}

/// Puts items into a random order.
fn shuffle<T>(items: &mut Vec<T>) {
    let mut keyed: Vec<(u64, T)> =
        items.drain(..).map(|item| (RandomState::new().hash_one(()), item)).collect();
    keyed.sort_by_key(|(key, _)| *key);
    items.extend(keyed.into_iter().map(|(_, item)| item));
}

/// Returns the addresses of a server; for a Unix socket, one attempt without an address.
async fn addresses(server: &Server) -> io::Result<Vec<Option<IpAddr>>> {
    match &server.address {
        Address::Unix(_) | Address::Local => Ok(vec![None]),
        Address::Tcp(_, Some(ip)) => Ok(vec![Some(*ip)]),
        Address::Tcp(host, None) => {
            let found: Vec<_> = tokio::net::lookup_host((host.as_str(), server.port))
                .await?
                .map(|address| Some(address.ip()))
                .collect();
            match found.is_empty() {
                true => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
                false => Ok(found),
            }
        }
    }
}

/// The explanation of one attempt's failure.
struct Reason {
    what: String,
    server_message: Option<ServerMessage>,
    help: String,
}

impl Reason {
    fn new(what: impl Into<String>, help: impl Into<String>) -> Reason {
        Reason { what: what.into(), server_message: None, help: help.into() }
    }
}

/// Builds the error of all attempts, with the advice for the last attempt, because its
/// failure ended the search.
fn error(target: &Target, mut failed: Vec<(&Server, AttemptFailure)>) -> Error {
    let who = format!("as user \"{}\" to database \"{}\"", target.user, target.database);
    let Some((server, failure)) = failed.pop() else {
        return Error::new(ErrorKind::Connection, format!("cannot connect {who}: no server"));
    };
    let last = reason(target, server, &failure);
    let mut message = format!("cannot connect {who} at {server}: {}", last.what);
    for (server, failure) in &failed {
        message += &format!("; at {server}: {}", reason(target, server, failure).what);
    }
    let mut error = Error::new(ErrorKind::Connection, message).help(last.help);
    if let Some(message) = last.server_message {
        error = error.with_server_message(message);
    }
    match failure {
        AttemptFailure::Lookup(cause) | AttemptFailure::Io(cause) => error.caused_by(cause),
        AttemptFailure::Driver(cause) => error.caused_by(cause),
        AttemptFailure::TimedOut(_) | AttemptFailure::Mismatch(_) => error,
    }
}

fn reason(target: &Target, server: &Server, failure: &AttemptFailure) -> Reason {
    match failure {
        AttemptFailure::Lookup(error) => Reason::new(
            format!("the host name cannot be looked up ({error})"),
            "correct the host in the database URL, or this machine's name resolution",
        ),
        AttemptFailure::TimedOut(limit) => {
            let help = "is it the right host and port, and does a firewall let it through?";
            let longer = if *limit == target.limit { " connect_timeout=SECONDS waits longer" } else { "" };
            let limit = shown(limit.unwrap_or_default());
            Reason::new(format!("no answer within {limit}"), format!("{help}{longer}"))
        }
        AttemptFailure::Io(error) => refused_by_system(server, error),
        AttemptFailure::Mismatch(why) => Reason::new(
            format!("target_session_attrs asks for another server: {why}"),
            "name the server that target_session_attrs asks for, or several, with commas between them",
        ),
        AttemptFailure::Driver(error) => {
            if let Some(db) = error.as_db_error() {
                let mut reason = refused_by_server(target, server, db);
                reason.server_message = Some(server_message(db));
                reason
            } else if let Some(error) = tls_error(error) {
                let host = match &server.address {
                    Address::Tcp(host, _) => host.as_str(),
                    Address::Unix(_) | Address::Local => "this socket",
                };
                let (what, help) = tls::explain(error, host);
                Reason::new(what, help)
            } else if let Some(error) = io_error(error) {
                refused_by_system(server, error)
            } else {
                refused_by_driver(error)
            }
        }
    }
}

/// Formats a time limit for display.
pub(super) fn shown(limit: Duration) -> String {
    match limit.subsec_millis() {
        0 => format!("{} s", limit.as_secs()),
        _ => format!("{} ms", limit.as_millis()),
    }
}

fn refused_by_system(server: &Server, error: &io::Error) -> Reason {
    let running = "is a PostgreSQL server running and listening there?";
    match (error.kind(), &server.address) {
        (io::ErrorKind::ConnectionRefused, _) => Reason::new("connection refused", running),
        (io::ErrorKind::NotFound, Address::Local) => Reason::new(
            format!("there is no such socket in {}", SOCKET_DIRECTORIES.join(" or ")),
            "the database URL names no host: write postgres://USER@HOST/DATABASE, or postgres://USER@/DATABASE?host=DIRECTORY \
             with the directory of the server's socket",
        ),
        (io::ErrorKind::NotFound, Address::Unix(_)) => Reason::new("there is no such socket", running),
        (io::ErrorKind::PermissionDenied, Address::Unix(_) | Address::Local) => Reason::new(
            "the socket may not be used",
            "give this process' user access to it, or connect over TCP",
        ),
        (io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset, _) => Reason::new(
            "the server closed the connection without an error message",
            "is it a PostgreSQL server? its log says why",
        ),
        _ => Reason::new(error.to_string(), running),
    }
}

fn refused_by_server(target: &Target, server: &Server, error: &DbError) -> Reason {
    if *error.code() == SqlState::INVALID_PASSWORD {
        return Reason::new(
            "wrong password, or no such user",
            match &server.password {
                Some(password) => format!("correct the password, which comes from {}", password.origin),
                None => GIVE_PASSWORD.to_owned(),
            },
        );
    }
    let routine = error.routine().unwrap_or_default();
    let help = connecting(error.code().code(), routine, &target.user, &target.database);
    Reason::new("the server refused", help)
}

const GIVE_PASSWORD: &str =
    "give it in PGPASSWORD, in ~/.pgpass or in the database URL (postgres://USER:PASSWORD@HOST/DATABASE)";

/// Explains errors that the driver itself raises. The driver has no predicates for these
/// errors, so the text of the error selects the advice.
fn refused_by_driver(error: &tokio_postgres::Error) -> Reason {
    let text = chain(error);
    if text.contains("server does not support TLS") {
        Reason::new(
            "the server has no TLS, and sslmode asks for it",
            "switch it on there (ssl = on in postgresql.conf); sslmode=prefer would send everything in plaintext",
        )
    } else if text.contains("password missing") {
        Reason::new("the server asks for a password, and none was given", GIVE_PASSWORD)
    } else if text.contains("server did not use channel binding") {
        Reason::new(
            "the server did not use channel binding",
            "channel_binding=require needs TLS and a password stored as scram-sha-256",
        )
    } else if error.is_closed() {
        Reason::new("the server closed the connection", "its log says why")
    } else {
        Reason::new(text, "the server's log may say more")
    }
}
