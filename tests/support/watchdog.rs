//! Stops the server of a test and removes its directory when the test process ends, even if
//! the process is killed.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::binaries::unprivileged;

/// Reads pids of servers, one on each line, until the test process has ended. Then stops
/// the last server and removes the directory. The script notices the end of the test
/// process by the end of a pipe, so it also works after `kill -9`. The script must survive
/// signals that a terminal sends to the process group.
///
/// A server with a directory `data` is PostgreSQL. The script waits until its
/// `postmaster.pid` is removed, and not until the process ends, because the process may
/// remain as a zombie that no process reaps. If the file remains, the server was killed,
/// and the script must remove the shared memory segment named on the seventh line.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
server=0
while read -r line; do server=$line; done
lock=$1/data/postmaster.pid
if [ "$server" -gt 0 ] && [ -d "$1/data" ]; then
    kill -QUIT "$server"
    tries=0
    while [ -e "$lock" ] && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
    [ -e "$lock" ] && kill -KILL "$server"
elif [ "$server" -gt 0 ]; then
    kill -KILL "$server"
fi
[ -e "$lock" ] && ipcrm -m "$(sed -n 7p "$lock" | { read -r key id; echo "$id"; })"
rm -rf "$1"
"#;

/// A watchdog. Dropping it stops the server that it watches and removes the directory.
#[derive(Debug)]
pub struct Watchdog(Mutex<Child>);

impl Watchdog {
    /// Creates a watchdog that removes this directory at the end.
    pub fn over(directory: &Path) -> Watchdog {
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog"])
            .arg(directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh starts");
        Watchdog(Mutex::new(child))
    }

    /// Tells the watchdog the pid of the server; 0 if the server no longer runs.
    pub fn watch(&self, pid: u32) {
        let mut watchdog = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = watchdog.stdin.as_mut().expect("the pipe is open until drop");
        writeln!(pipe, "{pid}").expect("the watchdog listens");
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let watchdog = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(watchdog.stdin.take());
        let _ = watchdog.wait();
    }
}

/// Creates a directory that belongs to the server's user. The directory is in `/tmp`,
/// because the path of a Unix socket is limited to about 100 bytes.
pub fn make_directory(prefix: &str) -> PathBuf {
    let short = Path::new("/tmp");
    let parent = if short.is_dir() { short.to_path_buf() } else { std::env::temp_dir() };
    let directory = tempfile::Builder::new()
        .prefix(prefix)
        .tempdir_in(parent)
        .expect("a temporary directory can be made")
        .keep();
    give_to_server(&directory);
    directory
}

pub fn give_to_server(path: &Path) {
    if let Some((uid, gid)) = unprivileged() {
        chown(path, Some(uid), Some(gid)).expect("root may give files away");
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("there is a free port")
        .port()
}
