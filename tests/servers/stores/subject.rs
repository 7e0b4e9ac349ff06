//! The stores under test, each with private servers.

use std::fmt;
use std::time::Duration;

use bustard::{Store, StoreSettings};

use super::cluster;
use super::sentinel::Sentinels;
use super::tls::tls_server;
use crate::support::{Certificates, Server};

/// The time-out of calls that must succeed even on a loaded machine.
pub const PATIENT: Duration = Duration::from_secs(30);

pub const PASSWORD: &str = "hunter2 %:@/?#";
const ENCODED: &str = "hunter2%20%25%3A%40%2F%3F%23";

/// A store and its servers.
pub struct Subject {
    name: &'static str,
    pub servers: Vec<Server>,
    settings: StoreSettings,
    /// The size of a value that the store certainly accepts, and a size that it does not
    /// accept.
    pub border: Option<(usize, usize)>,
}

const MEMCACHED: Option<(usize, usize)> = Some((1_000_000, 1 << 20));
const REDIS: Option<(usize, usize)> = Some(((16 << 20) - 1, (16 << 20) + 1));

impl Subject {
    pub fn memory() -> Subject {
        // The size limit of this store is checked by its unit tests.
        Subject { name: "memory", servers: Vec::new(), settings: StoreSettings::memory(), border: None }
    }

    pub fn memcached() -> Subject {
        Subject::of_memcached("memcached", vec![Server::memcached()])
    }

    pub fn memcached_on_socket() -> Subject {
        Subject::of_memcached("memcached on a Unix socket", vec![Server::memcached_on_socket()])
    }

    pub fn two_memcached() -> Subject {
        Subject::of_memcached("two memcached servers", vec![Server::memcached(), Server::memcached()])
    }

    fn of_memcached(name: &'static str, servers: Vec<Server>) -> Subject {
        let settings = StoreSettings::memcached(servers.iter().map(Server::location)).timeout(PATIENT);
        Subject { name, servers, settings, border: MEMCACHED }
    }

    pub fn redis() -> Subject {
        let server = Server::redis();
        let settings = StoreSettings::redis(server.location()).timeout(PATIENT);
        Subject { name: "redis", servers: vec![server], settings, border: REDIS }
    }

    pub fn redis_with_password() -> Subject {
        let server = Server::redis_with(&["--requirepass", PASSWORD]);
        let url = format!("redis://default:{ENCODED}@{}/3", server.location());
        let settings = StoreSettings::redis(url).timeout(PATIENT);
        Subject { name: "redis with a password", servers: vec![server], settings, border: REDIS }
    }

    pub fn redis_on_socket() -> Subject {
        let server = Server::redis_on_socket(&["--requirepass", PASSWORD]);
        let url = format!("{}?pass={ENCODED}&db=2", server.location());
        let settings = StoreSettings::redis(url).timeout(PATIENT);
        Subject { name: "redis on a Unix socket", servers: vec![server], settings, border: REDIS }
    }

    pub fn redis_with_tls() -> Subject {
        let certificates = Certificates::for_names(&["127.0.0.1"]);
        let server = tls_server(&certificates, &["--tls-auth-clients", "no", "--requirepass", PASSWORD]);
        let url = format!("rediss://:{ENCODED}@{}", server.location());
        let settings = StoreSettings::redis(url).tls_ca(server.directory().join("ca.pem")).timeout(PATIENT);
        Subject { name: "redis with TLS", servers: vec![server], settings, border: REDIS }
    }

    /// Returns a master with a replica, and two Sentinels.
    pub fn redis_with_sentinels() -> Subject {
        let sentinels = Sentinels::start();
        let settings = sentinels.settings().timeout(PATIENT);
        Subject { name: "redis with Sentinels", servers: sentinels.servers(), settings, border: REDIS }
    }

    pub fn redis_cluster() -> Subject {
        let servers = cluster::start(&[]);
        let settings = StoreSettings::redis_cluster([servers[0].location()]).timeout(PATIENT);
        Subject { name: "a cluster of redis", servers, settings, border: REDIS }
    }

    /// Returns all stores whose servers can go down.
    pub fn remote() -> Vec<Subject> {
        vec![
            Subject::memcached(),
            Subject::memcached_on_socket(),
            Subject::two_memcached(),
            Subject::redis(),
            Subject::redis_with_password(),
            Subject::redis_on_socket(),
            Subject::redis_with_tls(),
        ]
    }

    pub fn open(&self) -> Box<dyn Store> {
        self.settings.open().expect("the settings are right")
    }

    pub fn open_with(&self, change: impl FnOnce(StoreSettings) -> StoreSettings) -> Box<dyn Store> {
        change(self.settings.clone()).open().expect("the settings are right")
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
