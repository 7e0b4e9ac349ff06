//! A TCP proxy in front of a PostgreSQL server. It counts round trips, adds latency, and
//! cuts connections after a chosen amount of data. It uses only the standard library, so
//! that benches can include the file by its path.
//!
//! A round trip is counted when the server's reply reaches a client, if the client has sent
//! something since the previous reply reached it. Messages that a client sends without
//! waiting are therefore part of one round trip, and a final message without a reply is no
//! round trip. On a fast machine, a reply may reach the client before the client's next
//! message reaches the proxy, although the client did not wait. The proxy then counts two
//! round trips instead of one. A latency of a few milliseconds makes the count exact.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// Round trips of all connections since the proxy started or was reset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoundTrips {
    /// Round trips until the server was first ready for a query: TLS, start-up and
    /// password. On a connection with TLS, this number includes all round trips, because
    /// the proxy cannot read the messages.
    pub connecting: u64,
    /// Round trips after that.
    pub connected: u64,
}

/// A proxy that listens on a port of its own until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    upstream: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    trips: RoundTrips,
    connections: u64,
    latency: Duration,
    cut: Option<Cut>,
    silent: bool,
    held: bool,
    open: Vec<(TcpStream, TcpStream)>,
    closed: bool,
}

/// The amount that a client may still send before its connection is cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Messages(u64),
    Bytes(usize),
}

impl Proxy {
    /// Starts a proxy in front of the server on this port of 127.0.0.1.
    pub fn start(port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let proxy = Proxy {
            address: listener.local_addr().expect("it is bound"),
            upstream: SocketAddr::from(([127, 0, 0, 1], port)),
            shared: Arc::default(),
        };
        let (shared, upstream) = (Arc::clone(&proxy.shared), proxy.upstream);
        thread::spawn(move || {
            for client in listener.incoming() {
                if lock(&shared).closed {
                    return;
                }
                // If the server is down, the client sees its connection closed.
                if let (Ok(client), Ok(server)) = (client, TcpStream::connect(upstream)) {
                    connect(client, server, &shared);
                }
            }
        });
        proxy
    }

    /// Returns the port to connect to.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the URL with the port of the proxy.
    pub fn url(&self, url: &str) -> String {
        let (direct, through) = (self.upstream.to_string(), self.address.to_string());
        assert!(url.contains(&direct), "the URL does not name {direct}, where the proxy leads");
        url.replace(&direct, &through)
    }

    /// Returns the counts so far.
    pub fn round_trips(&self) -> RoundTrips {
        lock(&self.shared).trips
    }

    /// Returns the number of connections, including connections that cancel statements.
    pub fn connections(&self) -> u64 {
        lock(&self.shared).connections
    }

    /// Resets the counts to zero.
    pub fn reset(&self) {
        let mut shared = lock(&self.shared);
        shared.trips = RoundTrips::default();
        shared.connections = 0;
    }

    /// Delays all data by this long, in each direction.
    pub fn set_latency(&self, latency: Duration) {
        lock(&self.shared).latency = latency;
    }

    /// Lets this many more protocol messages of connected clients reach the server
    /// completely. Then the connection that has sent the last of them is cut, and the
    /// server's reply is lost.
    pub fn cut_after_messages(&self, count: u64) {
        assert!(count > 0, "to cut before anything is sent, use cut()");
        lock(&self.shared).cut = Some(Cut::Messages(count));
    }

    /// Lets this many more bytes of connected clients reach the server, so that the last
    /// message may be truncated. Then cuts the connection.
    pub fn cut_after_bytes(&self, count: usize) {
        lock(&self.shared).cut = Some(Cut::Bytes(count));
    }

    /// Makes the server seem silent: from now on, nothing that connected clients send
    /// reaches it, nor do requests to cancel without TLS, and the connections stay open.
    /// Connecting still works.
    pub fn go_silent(&self) {
        lock(&self.shared).silent = true;
    }

    /// Holds back everything that has not reached the server yet.
    pub fn hold(&self) {
        lock(&self.shared).held = true;
    }

    /// Lets what was held back pass.
    pub fn release(&self) {
        lock(&self.shared).held = false;
    }

    /// Cuts all open connections.
    pub fn cut(&self) {
        for (client, server) in lock(&self.shared).open.drain(..) {
            hang_up(&client, &server);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        lock(&self.shared).closed = true;
        self.cut();
        // The connection wakes the listener, so that it notices the end.
        let _ = TcpStream::connect(self.address);
    }
}

/// The state that both directions of one connection share.
#[derive(Debug, Default)]
struct Conversation {
    /// Whether the client has sent something that the server has not answered.
    asked: bool,
    /// Whether the server has been ready for a query.
    ready: bool,
    /// Whether the client has requested encryption, so that the reply is one byte.
    byte_expected: bool,
    /// Whether the connection is encrypted.
    opaque: bool,
    /// Whether the connection is cut, so that nothing reaches the client any more.
    cut: bool,
}

fn connect(client: TcpStream, server: TcpStream, shared: &Arc<Mutex<Shared>>) {
    let again = |stream: &TcpStream| stream.try_clone().expect("sockets can be shared");
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("the delay can be switched off");
    }
    let conversation = Arc::new(Mutex::new(Conversation::default()));
    let (to_server, from_client) = mpsc::channel();
    let (to_client, from_server) = mpsc::channel();
    {
        let mut shared = lock(shared);
        shared.connections += 1;
        shared.open.push((again(&client), again(&server)));
    }
    let (talk, all, socket) = (Arc::clone(&conversation), Arc::clone(shared), again(&client));
    thread::spawn(move || listen_to_client(socket, &to_server, &talk, &all));
    let (socket, other) = (again(&server), again(&client));
    let all = Arc::clone(shared);
    thread::spawn(move || deliver(&from_client, socket, &other, |_| is_released(&all)));
    let socket = again(&server);
    let all = Arc::clone(shared);
    thread::spawn(move || listen_to_server(socket, &to_client, &all));
    let all = Arc::clone(shared);
    let mut framer = Framer::typed();
    thread::spawn(move || {
        deliver(&from_server, client, &server, |bytes| reach_client(bytes, &mut framer, &conversation, &all));
    });
}

/// Bytes that are delayed, and the time when they may arrive.
struct Parcel {
    due: Instant,
    bytes: Vec<u8>,
}

fn listen_to_client(
    mut client: TcpStream,
    to_server: &Sender<Parcel>,
    conversation: &Mutex<Conversation>,
    shared: &Mutex<Shared>,
) {
    let mut framer = Framer::untyped();
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let mut bytes = buffer[..count].to_vec();
        let mut talk = lock(conversation);
        talk.asked = true;
        let mut ends = Vec::new();
        let mut cancels = false;
        if !talk.opaque {
            framer.feed(&bytes, |message| {
                talk.byte_expected |= message.code.is_some_and(asks_for_encryption);
                cancels |= message.code == Some(CANCEL_REQUEST);
                ends.push(message.end);
            });
            if talk.byte_expected {
                // The start-up message follows, which has no type either.
                framer = Framer::untyped();
            }
        }
        let mut shared = lock(shared);
        let due = Instant::now() + shared.latency;
        if (talk.ready || cancels) && shared.silent {
            continue;
        }
        let keep = if talk.ready { place_of_cut(&mut shared.cut, &ends, bytes.len()) } else { None };
        drop(shared);
        if let Some(keep) = keep {
            talk.cut = true;
            bytes.truncate(keep);
        }
        drop(talk);
        // Dropping the sender closes the connection after everything is delivered.
        if to_server.send(Parcel { due, bytes }).is_err() || keep.is_some() {
            return;
        }
    }
}

/// Returns how many of these bytes may still pass, if the connection is cut within them.
fn place_of_cut(cut: &mut Option<Cut>, ends: &[usize], length: usize) -> Option<usize> {
    let place = match cut {
        None => return None,
        Some(Cut::Messages(left)) => match ends.get(*left as usize - 1) {
            None => {
                *left -= ends.len() as u64;
                return None;
            }
            Some(&end) => end,
        },
        Some(Cut::Bytes(left)) if *left >= length => {
            *left -= length;
            return None;
        }
        Some(Cut::Bytes(left)) => *left,
    };
    *cut = None;
    Some(place)
}

fn listen_to_server(mut server: TcpStream, to_client: &Sender<Parcel>, shared: &Mutex<Shared>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = server.read(&mut buffer) {
        let due = Instant::now() + lock(shared).latency;
        let bytes = buffer[..count].to_vec();
        if to_client.send(Parcel { due, bytes }).is_err() {
            return;
        }
    }
}

/// Delivers each parcel when it is due, while `allow` returns true. Then closes the
/// connection.
fn deliver(
    parcels: &Receiver<Parcel>,
    mut to: TcpStream,
    other: &TcpStream,
    mut allow: impl FnMut(&[u8]) -> bool,
) {
    for Parcel { due, bytes } in parcels {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if !allow(&bytes) || to.write_all(&bytes).is_err() {
            break;
        }
    }
    hang_up(&to, other);
}

/// Waits while data are held back. Returns `false` if the proxy ends meanwhile.
fn is_released(shared: &Mutex<Shared>) -> bool {
    loop {
        let Shared { held, closed, .. } = *lock(shared);
        if !held || closed {
            return !closed;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Counts a round trip, if these bytes complete one. Returns `false` if the connection is
/// cut, so that the bytes must not reach the client.
fn reach_client(
    bytes: &[u8],
    framer: &mut Framer,
    conversation: &Mutex<Conversation>,
    shared: &Mutex<Shared>,
) -> bool {
    let mut talk = lock(conversation);
    if talk.cut {
        return false;
    }
    if std::mem::take(&mut talk.asked) {
        let trips = &mut lock(shared).trips;
        *(if talk.ready { &mut trips.connected } else { &mut trips.connecting }) += 1;
    }
    let mut bytes = bytes;
    if std::mem::take(&mut talk.byte_expected) {
        talk.opaque = bytes[0] != b'N';
        bytes = &bytes[1..];
    }
    if !talk.opaque && !talk.ready {
        framer.feed(bytes, |message| talk.ready |= message.kind == b'Z');
    }
    true
}

/// The code of CancelRequest.
const CANCEL_REQUEST: u32 = 80_877_102;

/// Whether this is the code of SSLRequest or GSSENCRequest.
fn asks_for_encryption(code: u32) -> bool {
    matches!(code, 80_877_103 | 80_877_104)
}

/// Finds the ends of messages in a stream.
#[derive(Debug)]
struct Framer {
    /// The first message of a client has a length and a code, but no type.
    typed: bool,
    header: Vec<u8>,
    /// The number of missing bytes of the body, after the header is complete.
    missing: Option<usize>,
}

struct Message {
    /// The type of the message; 0 for a message without a type.
    kind: u8,
    /// The code of a message without a type.
    code: Option<u32>,
    /// The position after the last byte of the message, in the given data.
    end: usize,
}

impl Framer {
    fn typed() -> Framer {
        Framer { typed: true, header: Vec::new(), missing: None }
    }

    fn untyped() -> Framer {
        Framer { typed: false, ..Framer::typed() }
    }

    fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(Message)) {
        let mut place = 0;
        loop {
            let want = if self.typed { 5 } else { 8 };
            let take = (want - self.header.len()).min(bytes.len() - place);
            self.header.extend_from_slice(&bytes[place..place + take]);
            place += take;
            if self.header.len() < want {
                return;
            }
            let number =
                |at: usize| u32::from_be_bytes(self.header[at..at + 4].try_into().expect("it is four bytes"));
            let (length, code) =
                if self.typed { (number(1) + 1, None) } else { (number(0), Some(number(4))) };
            let missing = self.missing.get_or_insert((length as usize).saturating_sub(want));
            let take = (*missing).min(bytes.len() - place);
            *missing -= take;
            place += take;
            if *missing > 0 {
                return;
            }
            found(Message { kind: if self.typed { self.header[0] } else { 0 }, code, end: place });
            *self = Framer::typed();
        }
    }
}

fn hang_up(client: &TcpStream, server: &TcpStream) {
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poison| poison.into_inner())
}
