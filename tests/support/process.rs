//! Runs programs with a deadline and with signals, and keeps all their output for the
//! message of a failing test.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{self, Mode, OFlags};
use rustix::pty::{self, OpenptFlags};

/// The time that any operation may take before a test reports a hang. It is long enough for
/// loaded machines. A passing test never waits this long.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Polls until `condition` holds.
///
/// # Panics
///
/// Panics after [`PATIENCE`], with `what` in the message.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a signal (`INT`, `TERM`, `STOP`, …) to one process.
#[track_caller]
pub fn send_signal(pid: u32, signal: &str) {
    // This is the built-in `kill` of the shell, because small systems have no program
    // `kill`.
    let sent = Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "kill", signal, &pid.to_string()])
        .status()
        .expect("sh starts");
    assert!(sent.success(), "SIG{signal} could not be sent to process {pid}");
}

/// The exit code and the output of a program.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    command: String,
}

impl Outcome {
    /// Runs a program to its end. After [`PATIENCE`], kills the program and panics.
    pub fn of(command: Command) -> Outcome {
        let shown = shown(&command);
        let output = assert_cmd::Command::from_std(command)
            .timeout(PATIENCE)
            .output()
            .unwrap_or_else(|error| panic!("{shown} does not start: {error}"));
        Outcome::new(output.status, &output.stdout, &output.stderr, shown)
    }

    /// Runs a program to its end without a deadline, for cold builds by Cargo.
    pub fn of_build(mut command: Command) -> Outcome {
        let shown = shown(&command);
        let output = command.stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|error| panic!("{shown} does not start: {error}"));
        Outcome::new(output.status, &output.stdout, &output.stderr, shown)
    }

    fn new(status: ExitStatus, stdout: &[u8], stderr: &[u8], command: String) -> Outcome {
        Outcome {
            code: status.code(),
            signal: status.signal(),
            stdout: String::from_utf8_lossy(stdout).into_owned(),
            stderr: String::from_utf8_lossy(stderr).into_owned(),
            command,
        }
    }

    /// Asserts exit code 0.
    #[track_caller]
    pub fn success(self) -> Outcome {
        self.exits(0)
    }

    /// Asserts this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Outcome {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Asserts that standard output contains this.
    #[track_caller]
    pub fn says(self, text: &str) -> Outcome {
        assert!(self.stdout.contains(text), "{text:?} is not on stdout of {self}");
        self
    }

    /// Asserts that standard error contains this.
    #[track_caller]
    pub fn complains(self, text: &str) -> Outcome {
        assert!(self.stderr.contains(text), "{text:?} is not on stderr of {self}");
        self
    }

    /// Returns standard error from the first error on, without the lines of migrations that
    /// had committed before.
    pub fn error(&self) -> &str {
        let start = match self.stderr.starts_with("error: ") {
            true => Some(0),
            false => self.stderr.find("\nerror: ").map(|at| at + 1),
        };
        &self.stderr[start.unwrap_or_default()..]
    }

    /// Parses standard output, which must be exactly one JSON document.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self}"))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { code, signal, stdout, stderr, command } = self;
        writeln!(to, "{command}: code {code:?}, signal {signal:?}")?;
        writeln!(to, "--- stdout\n{stdout}--- stderr\n{stderr}---")
    }
}

/// A program that runs concurrently. Dropping `Running` kills the program.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Stream,
    stderr: Stream,
    /// The controlling end of the program's terminal, if it has one.
    terminal: Option<File>,
    command: String,
}

impl Running {
    /// Starts a program and captures both outputs.
    pub fn start(mut command: Command) -> Running {
        let shown = shown(&command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{shown} does not start: {error}"));
        let stdout = Stream::read(child.stdout.take().expect("it is piped"));
        let stderr = Stream::read(child.stderr.take().expect("it is piped"));
        Running { child, stdout, stderr, terminal: None, command: shown }
    }

    /// Starts a program on a terminal of its own. `stdout` then contains everything that
    /// appears on the terminal, including typed text.
    pub fn on_terminal(mut command: Command) -> Running {
        let shown = shown(&command);
        let terminal = pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
        pty::grantpt(&terminal).and_then(|()| pty::unlockpt(&terminal)).expect("the terminal is ours");
        let path = pty::ptsname(&terminal, Vec::new()).expect("it has a name");
        // The terminal must not become the controlling terminal of the tests.
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let theirs = || fs::open(&path, flags, Mode::empty()).expect("the terminal opens");
        let child = command
            .stdin(theirs())
            .stdout(theirs())
            .stderr(theirs())
            .spawn()
            .unwrap_or_else(|error| panic!("{shown} does not start: {error}"));
        // Dropping `command` closes our copies of the child's end of the terminal. So
        // reading ends when the child closes its end.
        drop(command);
        let terminal = File::from(terminal);
        let stdout = Stream::read(terminal.try_clone().expect("files can be shared"));
        Running { child, stdout, stderr: Stream::read(io::empty()), terminal: Some(terminal), command: shown }
    }

    /// Types text on the program's terminal. `\x04` at the start of a line ends the input.
    pub fn types(&mut self, text: &str) {
        let terminal = self.terminal.as_mut().expect("it is on a terminal");
        terminal.write_all(text.as_bytes()).expect("terminals accept input");
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reports whether the program is still running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// Sends a signal, `INT` for Ctrl-C.
    #[track_caller]
    pub fn signal(&self, signal: &str) {
        send_signal(self.id(), signal);
    }

    /// Kills the program with `kill -9` and returns the outcome. The program may have ended
    /// before.
    #[track_caller]
    pub fn kill9(mut self) -> Outcome {
        // A process that has ended but is not reaped can still be signalled.
        self.child.kill().expect("it is our child");
        self.wait()
    }

    /// Waits until standard error contains `text`.
    #[track_caller]
    pub fn wait_for_stderr(&self, text: &str) {
        wait_until(&format!("{} says {text:?} on stderr", self.command), || {
            String::from_utf8_lossy(&self.stderr.so_far()).contains(text)
        });
    }

    /// Returns the standard output so far.
    pub fn stdout_so_far(&self) -> String {
        String::from_utf8_lossy(&self.stdout.so_far()).into_owned()
    }

    /// Waits until standard output contains `text`.
    #[track_caller]
    pub fn wait_for_stdout(&self, text: &str) {
        wait_until(&format!("{} says {text:?} on stdout", self.command), || {
            self.stdout_so_far().contains(text)
        });
    }

    /// Waits for the end of the program.
    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        let mut status = None;
        wait_until(&format!("{} ends", self.command), || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        let status = status.expect("it has ended");
        let (stdout, stderr) = (self.stdout.finish(), self.stderr.finish());
        Outcome::new(status, &stdout, &stderr, std::mem::take(&mut self.command))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An output of a program. It is read as it arrives, so that the program never blocks on a
/// full pipe.
#[derive(Debug)]
struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Stream {
    fn read(mut from: impl Read + Send + 'static) -> Stream {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                to.lock().expect("no reader panics").extend_from_slice(&buffer[..count]);
            }
        });
        Stream { bytes, reader: Some(reader) }
    }

    fn so_far(&self) -> Vec<u8> {
        self.bytes.lock().expect("no reader panics").clone()
    }

    fn finish(&mut self) -> Vec<u8> {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("no reader panics");
        }
        self.so_far()
    }
}

/// Formats the command line without its environment, which may contain passwords.
fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
