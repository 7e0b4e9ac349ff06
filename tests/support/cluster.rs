//! A private PostgreSQL cluster: created by `initdb` in a short temporary directory, and
//! run on a Unix socket and a free port. It is removed when the test process ends, even if
//! the process is killed.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use postgres::{Client, NoTls};

use super::binaries::Binaries;
use super::process::{PATIENCE, send_signal, wait_until};
use super::tls::Certificates;
use super::watchdog::{Watchdog, free_port, give_to_server, make_directory};

/// The default contents of `pg_hba.conf`: no passwords.
const LOCAL_TRUST: &str = "local all all trust\nhost all all 127.0.0.1/32 trust\n";

/// The first lines of `pg_hba.conf`, which admit tests and standbys.
const FOR_US: &str = "local all postgres trust\nlocal replication postgres trust\nhost replication postgres 127.0.0.1/32 trust\n";

/// The settings of a cluster. Commits need not survive a crash of the machine, but they
/// survive `kill -9` of the server, because `synchronous_commit` stays on. Shared memory is
/// in the cluster's directory, so that a killed server leaves nothing in `/dev/shm`.
const SETTINGS: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("listen_addresses", "127.0.0.1"),
    ("max_connections", "200"),
    ("max_prepared_transactions", "20"),
    ("dynamic_shared_memory_type", "mmap"),
    ("timezone", "UTC"),
    ("log_line_prefix", "%m [%p] %d %a "),
];

/// A server, running or killed, and its data.
#[derive(Debug)]
pub struct Cluster {
    directory: PathBuf,
    port: u16,
    server: Mutex<Option<Child>>,
    watchdog: Watchdog,
    /// The language of its messages, if it is not English.
    language: Option<&'static str>,
}

impl Cluster {
    /// Returns the cluster that all tests of this process share. Each test has a database
    /// of its own.
    pub fn shared() -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Cluster::start_with(&[]))
    }

    /// Starts a private cluster with these settings. It is stopped and removed on drop.
    pub fn start_with(settings: &[(&str, &str)]) -> Cluster {
        Cluster::start(settings, LOCAL_TRUST, None)
    }

    /// Starts a private cluster with messages in this language. They are in English if the
    /// server was installed without the catalogue of that language.
    pub fn start_in_language(language: &'static str, settings: &[(&str, &str)]) -> Cluster {
        let settings = [&[("lc_messages", "C.UTF-8")], settings].concat();
        let mut cluster = Cluster::start(&settings, LOCAL_TRUST, None);
        cluster.language = Some(language);
        cluster.restart();
        cluster
    }

    /// Does the same as [`Cluster::start_with`], with this `pg_hba.conf`. The
    /// superuser `postgres` is always admitted over the Unix socket.
    pub fn start_with_hba(settings: &[(&str, &str)], hba: &str) -> Cluster {
        Cluster::start(settings, hba, None)
    }

    /// Starts a cluster that speaks TLS with this certificate.
    pub fn start_with_tls(certificates: &Certificates) -> Cluster {
        Cluster::start(&[("ssl", "on")], LOCAL_TRUST, Some(certificates))
    }

    fn start(settings: &[(&str, &str)], hba: &str, tls: Option<&Certificates>) -> Cluster {
        let directory = make_directory("bustard-pg-");
        let watchdog = Watchdog::over(&directory);
        let data = directory.join("data");
        let made = Binaries::find()
            .server_command("initdb")
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"])
            .args(["--no-sync", "--no-instructions", "--pgdata"])
            .arg(&data)
            .current_dir(&directory)
            .output()
            .expect("initdb starts");
        assert!(
            made.status.success(),
            "initdb failed:\n{}{}",
            String::from_utf8_lossy(&made.stdout),
            String::from_utf8_lossy(&made.stderr)
        );
        fs::write(data.join("pg_hba.conf"), format!("{FOR_US}{hba}")).expect("pg_hba.conf is written");
        if let Some(certificates) = tls {
            install_certificates(&data, certificates);
        }
        write_configuration(&data, SETTINGS.iter().chain(settings));
        Cluster::run(directory, watchdog)
    }

    /// Starts a server on the directory's contents.
    pub(super) fn run(directory: PathBuf, watchdog: Watchdog) -> Cluster {
        let mut cluster = Cluster { directory, port: 0, server: Mutex::new(None), watchdog, language: None };
        // Another process may take the free port before the server does, so this is tried
        // several times.
        for _ in 0..10 {
            cluster.port = free_port();
            match cluster.launch() {
                Ok(()) => return cluster,
                Err(log) if log.contains("could not create any TCP/IP sockets") => {}
                Err(log) => panic!("the server does not start:\n{log}"),
            }
        }
        panic!("no free port was found for the server")
    }

    /// Returns the port on 127.0.0.1, which is also part of the name of the Unix socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the directory of the Unix socket, the log and the data.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns everything that the server has logged so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns the URL of a database of the cluster, over TCP.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Returns the URL of a database of the cluster, over the Unix socket.
    pub fn socket_url(&self, user: &str, database: &str) -> String {
        let host = self.directory.display().to_string().replace('/', "%2F");
        format!("postgres://{user}@{host}:{}/{database}", self.port)
    }

    /// Connects to a database of the cluster as the superuser, over the Unix socket.
    pub fn client(&self, database: &str) -> Client {
        self.try_client(database).expect("the superuser connects")
    }

    fn try_client(&self, database: &str) -> Result<Client, postgres::Error> {
        postgres::Config::new()
            .host_path(&self.directory)
            .port(self.port)
            .user("postgres")
            .dbname(database)
            .connect_timeout(PATIENCE)
            .connect(NoTls)
    }

    /// Kills the server at once with all its processes, as a crash would.
    pub fn kill9(&self) {
        let mut server = self.server.lock().unwrap_or_else(|poison| poison.into_inner());
        let mut server = server.take().expect("the server runs");
        // The child processes of a killed postmaster exit, but only when they next wait, so
        // one of them may still answer a query. They are killed too, if the system lists
        // them.
        let pid = server.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        // The watchdog forgets the pid before it is reaped, because afterwards it may
        // belong to another process.
        self.watchdog.watch(0);
        server.kill().expect("the server can be killed");
        for child in children.unwrap_or_default().split_whitespace() {
            // The process may have ended already.
            let _ = Command::new("sh")
                .args(["-c", "kill -s KILL \"$1\"", "kill", child])
                .stderr(Stdio::null())
                .status();
        }
        server.wait().expect("the server can be reaped");
    }

    /// Stops the server if it runs. `mode` is the signal: `TERM` waits for clients, `INT`
    /// disconnects them, and after `QUIT` the next start needs crash recovery.
    pub fn stop(&self, mode: &str) {
        let mut server = self.server.lock().unwrap_or_else(|poison| poison.into_inner());
        if let Some(mut server) = server.take() {
            send_signal(server.id(), mode);
            server.wait().expect("the server can be reaped");
            self.watchdog.watch(0);
        }
    }

    /// Changes a setting that needs no restart.
    pub fn set(&self, setting: &str, value: &str) {
        let mut client = self.client("postgres");
        // These are two messages, because one message would be one transaction.
        client.batch_execute(&format!("ALTER SYSTEM SET {setting} = '{value}'")).expect("it can be set");
        client.batch_execute("SELECT pg_reload_conf()").expect("it can be reloaded");
        // When a new session has the setting, all other processes have been sent the signal
        // too.
        wait_until("the setting is in force", || {
            let mut client = self.client("postgres");
            let pending = "SELECT count(*) FROM pg_file_settings AS f, pg_settings AS s
                           WHERE f.name = $1 AND f.applied AND s.name = f.name AND s.sourceline = f.sourceline";
            client.query_one(pending, &[&setting]).expect("the server answers").get::<_, i64>(0) == 1
        });
    }

    /// Starts the server again after [`Cluster::kill9`] or [`Cluster::stop`],
    /// or stops it quickly first.
    pub fn restart(&self) {
        self.stop("INT");
        // Child processes of a killed server use its shared memory for a moment, so this is
        // tried several times.
        let mut last = String::new();
        wait_until("the server starts again", || match self.launch() {
            Ok(()) => true,
            Err(log) => {
                let again =
                    log.contains("pre-existing shared memory") || log.contains("is another postmaster");
                assert!(again, "the server does not start again:\n{log}");
                last = log;
                false
            }
        });
    }

    /// Starts the server and waits until it answers. If it exits, returns its log.
    fn launch(&self) -> Result<(), String> {
        let old_log = self.log().len();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.directory.join("log"))
            .expect("the log can be written");
        let mut server = Binaries::find()
            .server_command("postgres")
            .arg("-D")
            .arg(self.directory.join("data"))
            .arg("-k")
            .arg(&self.directory)
            .args(["-p", &self.port.to_string()])
            .current_dir(&self.directory)
            .envs(self.language.map(|language| ("LANGUAGE", language)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log can be shared"))
            .stderr(log)
            // The server has a process group of its own, so that Ctrl-C at the terminal
            // ends only the tests. The watchdog then stops the server.
            .process_group(0)
            .spawn()
            .expect("postgres starts");
        self.watchdog.watch(server.id());
        let mut exited = false;
        wait_until("the server answers", || {
            exited = server.try_wait().expect("the server is our child").is_some();
            exited || self.try_client("postgres").is_ok()
        });
        if exited {
            self.watchdog.watch(0);
            return Err(self.log().split_off(old_log));
        }
        *self.server.lock().unwrap_or_else(|poison| poison.into_inner()) = Some(server);
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop("QUIT");
    }
}

/// Appends settings to the configuration. The last value of a setting is used, and `ALTER
/// SYSTEM` still works.
pub(super) fn write_configuration<'s>(
    data: &Path,
    settings: impl IntoIterator<Item = &'s (&'s str, &'s str)>,
) {
    let mut file = fs::File::options()
        .append(true)
        .open(data.join("postgresql.conf"))
        .expect("initdb has written postgresql.conf");
    for (name, value) in settings {
        writeln!(file, "{name} = '{}'", value.replace('\'', "''")).expect("it can be appended to");
    }
}

fn install_certificates(data: &Path, certificates: &Certificates) {
    for (name, text) in [("server.crt", &certificates.certificate), ("server.key", &certificates.key)] {
        let path = data.join(name);
        fs::write(&path, text).expect("the certificate is written");
        // The server refuses a key that other users may read.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        give_to_server(&path);
    }
}
