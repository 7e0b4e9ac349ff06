//! A TCP proxy that simulates a bad network before a server: it delays data, stops
//! forwarding, refuses connections and cuts them.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The way in which bytes pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Free,
    /// Each piece of data takes this long, in each direction.
    Delayed(Duration),
    /// Nothing passes. Data that are sent meanwhile arrive later.
    Silent,
    /// New connections are closed at once.
    Refused,
}

/// A proxy that listens on a port of its own until it is dropped.
pub struct Sluice {
    address: SocketAddr,
    gate: Arc<Gate>,
}

struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    flow: Flow,
    open: HashMap<u64, [TcpStream; 2]>,
    count: u64,
    closed: bool,
}

impl Sluice {
    /// Starts a proxy before the server at 127.0.0.1 and this port.
    pub fn before(port: u16) -> Sluice {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = State { flow: Flow::Free, open: HashMap::new(), count: 0, closed: false };
        let gate = Arc::new(Gate { state: Mutex::new(state), changed: Condvar::new() });
        let sluice = Sluice { address, gate: Arc::clone(&gate) };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let State { flow, closed, .. } = *gate.state();
                if closed {
                    return;
                }
                if flow != Flow::Refused
                    && let Ok(server) = TcpStream::connect(("127.0.0.1", port))
                {
                    join(&gate, client, server);
                }
            }
        });
        sluice
    }

    /// Returns `127.0.0.1:PORT`, the address to connect to.
    pub fn location(&self) -> String {
        self.address.to_string()
    }

    pub fn set(&self, flow: Flow) {
        self.gate.state().flow = flow;
        self.gate.changed.notify_all();
    }

    /// Cuts all open connections.
    pub fn cut(&self) {
        let open = std::mem::take(&mut self.gate.state().open);
        open.values().for_each(hang_up);
    }
}

impl Drop for Sluice {
    fn drop(&mut self) {
        self.gate.state().closed = true;
        self.set(Flow::Free);
        self.cut();
        // The connection wakes the listener, so that it notices the end.
        let _ = TcpStream::connect(self.address);
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until bytes that have just arrived may pass.
    fn pass(&self) {
        let state = self.changed.wait_while(self.state(), |state| state.flow == Flow::Silent);
        let flow = state.unwrap_or_else(PoisonError::into_inner).flow;
        if let Flow::Delayed(time) = flow {
            thread::sleep(time);
        }
    }
}

fn join(gate: &Arc<Gate>, client: TcpStream, server: TcpStream) {
    let again = |stream: &TcpStream| stream.try_clone().expect("sockets can be shared");
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("TCP_NODELAY can be set");
    }
    let mut state = gate.state();
    state.count += 1;
    let number = state.count;
    state.open.insert(number, [again(&client), again(&server)]);
    drop(state);
    for (from, to) in [(again(&client), again(&server)), (server, client)] {
        let gate = Arc::clone(gate);
        thread::spawn(move || {
            pump(&gate, from, to);
            if let Some(streams) = gate.state().open.remove(&number) {
                hang_up(&streams);
            }
        });
    }
}

fn pump(gate: &Gate, mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = from.read(&mut buffer);
        // The end of a connection is delayed and held back like its data.
        gate.pass();
        match read {
            Ok(count @ 1..) if to.write_all(&buffer[..count]).is_ok() => {}
            _ => return,
        }
    }
}

fn hang_up(streams: &[TcpStream; 2]) {
    for stream in streams {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
