//! A private PgBouncer in front of a cluster, in transaction pooling. It is removed when
//! the test process ends, even if the process is killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::binaries::server_program;
use super::cluster::Cluster;
use super::process::wait_until;
use super::watchdog::{Watchdog, free_port, give_to_server, make_directory};

/// PgBouncer's `pool_mode`: the time for which a client keeps its connection to the server.
#[derive(Debug, Clone, Copy)]
pub enum Pooling {
    Session,
    Transaction,
    Statement,
}

/// A running PgBouncer.
#[derive(Debug)]
pub struct PgBouncer {
    directory: PathBuf,
    port: u16,
    child: Child,
    watchdog: Watchdog,
}

impl PgBouncer {
    /// Starts a PgBouncer that admits these roles. If PgBouncer has several connections to
    /// the server, each transaction gets a different connection than the previous
    /// transaction.
    pub fn start(cluster: &Cluster, roles: &[&str]) -> PgBouncer {
        PgBouncer::start_pooling(cluster, roles, Pooling::Transaction, 20)
    }

    /// Starts a PgBouncer with this mode, and at most this many connections to the
    /// server for each role and database.
    pub fn start_pooling(cluster: &Cluster, roles: &[&str], pooling: Pooling, size: u32) -> PgBouncer {
        let mode = format!("{pooling:?}").to_lowercase();
        let directory = make_directory("bustard-pool-");
        let watchdog = Watchdog::over(&directory);
        let users: String = roles.iter().map(|role| format!("\"{role}\" \"\"\n")).collect();
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::write(&path, text).expect("it can be written");
            give_to_server(&path);
        };
        write("users", &users);
        // Another process may take the free port before PgBouncer does, so this is tried
        // several times.
        for _ in 0..10 {
            let port = free_port();
            let users = directory.join("users");
            write(
                "pgbouncer.ini",
                &format!(
                    "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                     listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
                     pool_mode = {mode}\nserver_round_robin = 1\n\
                     max_client_conn = 1000\ndefault_pool_size = {size}\n",
                    cluster.port(),
                    users.display()
                ),
            );
            let log = fs::File::create(directory.join("log")).expect("the log can be written");
            let mut child = server_program(&["pgbouncer"])
                .arg("pgbouncer.ini")
                .current_dir(&directory)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .expect("pgbouncer starts");
            watchdog.watch(child.id());
            let mut exited = false;
            wait_until("PgBouncer is up", || {
                exited = child.try_wait().expect("it is our child").is_some();
                exited || read_log(&directory).contains("process up: PgBouncer")
            });
            if !exited {
                return PgBouncer { directory, port, child, watchdog };
            }
            watchdog.watch(0);
        }
        panic!("PgBouncer does not start:\n{}", read_log(&directory))
    }

    /// Returns the URL of a database of the cluster, through this pooler.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Returns the port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the directory of the configuration and the log.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns everything that the pooler has logged so far.
    pub fn log(&self) -> String {
        read_log(&self.directory)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // The watchdog forgets the pid before it is reaped, because afterwards it may
        // belong to another process.
        self.watchdog.watch(0);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_log(directory: &Path) -> String {
    let bytes = fs::read(directory.join("log")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
