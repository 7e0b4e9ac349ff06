//! Private Memcached and Redis servers: each on a free port of 127.0.0.1 or a Unix socket,
//! with a short temporary directory. They are removed when the test process ends, even if
//! the process is killed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::binaries::server_program;
use super::process::{send_signal, wait_until};
use super::watchdog::{Watchdog, free_port, give_to_server, make_directory};

/// The time that an answer may take before the request is repeated.
const ANSWER: Duration = Duration::from_secs(5);

/// What the answer of a server begins with that demands a login.
const NO_LOGIN: [&str; 2] = ["-NOAUTH", "CLIENT_ERROR unauthenticated"];

/// The name of the socket in the server's directory.
const SOCKET: &str = "socket";

/// The kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Memcached,
    Redis,
    Sentinel,
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Tcp,
    Socket,
    /// TLS on the port, and the socket for this module.
    Tls,
}

/// A server, running or killed. A restart loses all its data.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    directory: PathBuf,
    arguments: Vec<String>,
    port: u16,
    entry: Entry,
    child: Mutex<Option<Child>>,
    watchdog: Watchdog,
}

impl Server {
    /// Starts Memcached, with its usual limit of 1 MiB for a value.
    pub fn memcached() -> Server {
        Server::start(Kind::Memcached, &[], Entry::Tcp, &[])
    }

    /// Starts Memcached on a Unix socket only.
    pub fn memcached_on_socket() -> Server {
        Server::start(Kind::Memcached, &["-s", SOCKET], Entry::Socket, &[])
    }

    /// Starts Redis, which writes nothing to disk.
    pub fn redis() -> Server {
        Server::redis_with(&[])
    }

    /// Starts Redis with more arguments, such as `["--requirepass", "secret"]`.
    pub fn redis_with(arguments: &[&str]) -> Server {
        Server::start(Kind::Redis, arguments, Entry::Tcp, &[])
    }

    /// Starts Memcached with more arguments, such as `["-Y", "users"]`, and these files in its
    /// directory.
    pub fn memcached_with(arguments: &[&str], files: &[(&str, &str)]) -> Server {
        Server::start(Kind::Memcached, arguments, Entry::Tcp, files)
    }

    /// Starts Redis with more arguments and these files in its directory. It speaks TLS at its
    /// port, with the certificate in `cert.pem`, the key in `key.pem` and the CA in `ca.pem`.
    pub fn redis_tls(arguments: &[&str], files: &[(&str, &str)]) -> Server {
        let tls =
            ["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-ca-cert-file", "ca.pem"];
        Server::start(Kind::Redis, &[&tls, arguments].concat(), Entry::Tls, files)
    }

    /// Starts Redis as a part of a cluster, which has no other parts and no slots yet.
    pub fn redis_of_cluster(arguments: &[&str]) -> Server {
        let bus = free_port().to_string();
        let cluster = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", &bus];
        Server::redis_with(&[&cluster, arguments].concat())
    }

    /// Starts a Sentinel that watches the master at this port under the name `mymaster`.
    pub fn sentinel(master: u16) -> Server {
        let settings = format!(
            "sentinel monitor mymaster 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds mymaster 500\n\
             sentinel failover-timeout mymaster 2000\n"
        );
        Server::start(Kind::Sentinel, &[], Entry::Tcp, &[("sentinel.conf", &settings)])
    }

    /// Starts Redis with more arguments, on a Unix socket only.
    pub fn redis_on_socket(arguments: &[&str]) -> Server {
        Server::start(
            Kind::Redis,
            &[arguments, &["--unixsocket", SOCKET, "--port", "0"]].concat(),
            Entry::Socket,
            &[],
        )
    }

    fn start(kind: Kind, arguments: &[&str], entry: Entry, files: &[(&str, &str)]) -> Server {
        let directory = make_directory("bustard-store-");
        for (name, content) in files {
            std::fs::write(directory.join(name), content).expect("the file can be written");
            give_to_server(&directory.join(name));
        }
        let watchdog = Watchdog::over(&directory);
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let child = Mutex::new(None);
        let mut server = Server { kind, directory, arguments, port: 0, entry, child, watchdog };
        // Another process may take the free port before the server does, so this is tried
        // several times.
        for _ in 0..10 {
            server.port = free_port();
            if server.launch() {
                return server;
            }
        }
        panic!("{kind:?} does not start:\n{}", server.log())
    }

    /// Returns the port on 127.0.0.1. It stays the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns `127.0.0.1:PORT` or `unix:PATH`.
    pub fn location(&self) -> String {
        match self.entry {
            Entry::Socket => format!("unix:{}", self.directory.join(SOCKET).display()),
            Entry::Tcp | Entry::Tls => self.address().to_string(),
        }
    }

    /// Returns the directory of the log.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns everything that the server has logged so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Kills the server at once. Its port refuses connections from then on.
    pub fn kill9(&self) {
        let mut child = self.child().take().expect("the server runs");
        // The watchdog forgets the pid before the process is reaped, because another
        // process may get this pid afterwards.
        self.watchdog.watch(0);
        child.kill().expect("the server can be killed");
        child.wait().expect("the server can be reaped");
    }

    /// Starts the server again after [`Server::kill9`], on the same port and without data.
    /// A running server is killed first.
    pub fn restart(&self) {
        if self.child().is_some() {
            self.kill9();
        }
        wait_until("the server starts again", || self.launch());
    }

    /// Sends the server a signal. After `STOP`, its port accepts connections but the server
    /// does not answer, until it gets `CONT`.
    pub fn signal(&self, signal: &str) {
        send_signal(self.child().as_ref().expect("the server runs").id(), signal);
    }

    /// Sends a command of Redis, as one would type it, and returns the beginning of the answer
    /// or an empty text.
    pub fn command_line(&self, command: &str) -> String {
        let Ok(mut stream) = self.connect() else { return String::new() };
        let mut answer = vec![0; 64 << 10];
        let length =
            (stream.write_all(format!("{command}\r\n").as_bytes())).and_then(|()| stream.read(&mut answer));
        String::from_utf8_lossy(&answer[..length.unwrap_or(0)]).into_owned()
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn command(&self) -> Command {
        let port = self.port.to_string();
        let mut command = match self.kind {
            Kind::Memcached => server_program(&["memcached"]),
            Kind::Redis | Kind::Sentinel => server_program(&["redis-server", "valkey-server"]),
        };
        match self.kind {
            Kind::Memcached => command.args(["-l", "127.0.0.1", "-U", "0", "-t", "2", "-p", &port]),
            Kind::Redis => command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]).args([
                "--daemonize",
                "no",
                "--port",
                &port,
            ]),
            Kind::Sentinel => {
                command.args(["sentinel.conf", "--sentinel", "--bind", "127.0.0.1", "--port", &port])
            }
        };
        command.args(&self.arguments);
        if self.entry == Entry::Tls {
            command.args(["--port", "0", "--tls-port", &port, "--unixsocket", SOCKET]);
        }
        command
    }

    /// Starts the server and waits until it answers. Returns `false` if it exits.
    fn launch(&self) -> bool {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.directory.join("log"))
            .expect("the log can be written");
        let mut child = self
            .command()
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log can be shared"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} does not start: {error}", self.kind));
        self.watchdog.watch(child.id());
        let mut exited = false;
        wait_until("the server answers", || {
            exited = child.try_wait().expect("the server is our child").is_some();
            exited || self.answers(child.id())
        });
        if exited {
            self.watchdog.watch(0);
            return false;
        }
        *self.child() = Some(child);
        true
    }

    /// Reports whether this process answers at the port, because another process may have
    /// taken it. A server that demands a password does not return its pid, so any answer is
    /// accepted from it.
    fn answers(&self, pid: u32) -> bool {
        let Ok(mut stream) = self.connect() else { return false };
        let (question, answer) = match self.kind {
            Kind::Memcached => ("stats\r\nquit\r\n", format!("STAT pid {pid}")),
            Kind::Redis | Kind::Sentinel => ("INFO server\r\nQUIT\r\n", format!("process_id:{pid}")),
        };
        let asked = stream.write_all(question.as_bytes());
        asked.is_ok()
            && BufReader::new(stream)
                .lines()
                .map_while(Result::ok)
                .any(|line| line == answer || NO_LOGIN.iter().any(|error| line.starts_with(error)))
    }

    fn connect(&self) -> std::io::Result<Box<dyn ReadWrite>> {
        if self.entry != Entry::Tcp {
            let stream = UnixStream::connect(self.directory.join(SOCKET))?;
            stream.set_read_timeout(Some(ANSWER))?;
            return Ok(Box::new(stream));
        }
        let stream = TcpStream::connect_timeout(&self.address(), ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        Ok(Box::new(stream))
    }
}

trait ReadWrite: Read + Write {}

impl<T: Read + Write> ReadWrite for T {}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child().is_some() {
            self.kill9();
        }
    }
}
