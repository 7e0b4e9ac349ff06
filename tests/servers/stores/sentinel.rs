//! Tests Redis behind Sentinels: the master is found, and found again after a failover.

use bustard::{Store, StoreSettings};

use super::log;
use super::subject::PATIENT;
use crate::support::{Server, wait_until};

/// A master with a replica, and two Sentinels.
pub struct Sentinels {
    master: Server,
    replica: Server,
    sentinels: Vec<Server>,
}

impl Sentinels {
    pub fn start() -> Sentinels {
        let master = Server::redis();
        let port = master.port().to_string();
        let replica = Server::redis_with(&["--replicaof", "127.0.0.1", &port]);
        let sentinels: Vec<_> = (0..2).map(|_| Server::sentinel(master.port())).collect();
        let all = Sentinels { master, replica, sentinels };
        // A failover needs the other Sentinel and the replica.
        wait_until("the Sentinels know each other and the replica", || {
            all.sentinels.iter().all(|sentinel| {
                let known = sentinel.command_line("SENTINEL MASTER mymaster").replace("\r\n", " ");
                known.contains("num-slaves $1 1 ") && known.contains("num-other-sentinels $1 1 ")
            })
        });
        all
    }

    /// Returns the settings of a store whose first Sentinel does not exist.
    pub fn settings(&self) -> StoreSettings {
        self.settings_with("redis://mymaster")
    }

    fn settings_with(&self, location: &str) -> StoreSettings {
        let known = self.sentinels.iter().map(Server::location);
        StoreSettings::redis_sentinels(location, std::iter::once("127.0.0.1:1".to_owned()).chain(known))
    }

    pub fn servers(self) -> Vec<Server> {
        [self.master, self.replica].into_iter().chain(self.sentinels).collect()
    }
}

fn works(store: &dyn Store, key: &str) -> bool {
    store.set(key, b"new").is_ok() && store.get(key).ok().flatten().as_deref() == Some(b"new")
}

#[test]
fn the_store_follows_a_failover() {
    let all = Sentinels::start();
    let known = log::keep();
    let store = all.settings().timeout(PATIENT).open().unwrap();
    store.set("key", b"old").unwrap();
    all.master.kill9();
    wait_until("the replica is used", || works(&*store, "key"));
    assert!(all.replica.command_line("ROLE").contains("master"));
    let name = format!("`mymaster` of the store Redis is 127.0.0.1:{}", all.replica.port());
    assert_eq!(log::lines(known, &name).len(), 1, "{:#?}", log::lines(known, "mymaster"));
}

/// The former master goes on answering, as a replica that refuses writes.
#[test]
fn the_store_follows_a_master_that_was_demoted() {
    let all = Sentinels::start();
    let store = all.settings().timeout(PATIENT).open().unwrap();
    store.set("key", b"old").unwrap();
    wait_until("a failover begins", || {
        all.sentinels[0].command_line("SENTINEL FAILOVER mymaster").contains("OK")
    });
    wait_until("the master is a replica", || all.master.command_line("ROLE").contains("slave"));
    wait_until("the new master is used", || works(&*store, "key"));
    assert!(all.replica.command_line("GET key").contains("new"));
}

#[test]
fn logins_of_the_master_and_of_the_sentinels_are_separate() {
    let all = Sentinels::start();
    for sentinel in &all.sentinels {
        assert!(sentinel.command_line("SENTINEL SET mymaster auth-pass inner").contains("OK"));
        assert!(sentinel.command_line("ACL SETUSER default on >outer").contains("OK"));
    }
    assert!(all.master.command_line("CONFIG SET requirepass inner").contains("OK"));
    let open = |location: &str, sentinel: &str| {
        let sentinels =
            all.sentinels.iter().map(|one| sentinel.replace('@', &format!("@{}", one.location())));
        StoreSettings::redis_sentinels(location, sentinels).timeout(PATIENT).open().unwrap()
    };
    open("redis://:inner@mymaster/2", "redis://:outer@").set("key", b"value").unwrap();
    for (location, sentinel) in
        [("redis://mymaster", "redis://:outer@"), ("redis://:inner@mymaster", "redis://:inner@")]
    {
        let error = open(location, sentinel).get("key").unwrap_err().to_string();
        assert!(error.contains("NOAUTH") || error.contains("WRONGPASS"), "{error}");
        assert!(!error.contains("inner") && !error.contains("outer"), "{error}");
    }
}

#[test]
fn what_is_wrong_with_the_sentinels_is_said_once() {
    let all = Sentinels::start();
    let known = log::keep();
    let store = all.settings_with("redis://othermaster").timeout(PATIENT).open().unwrap();
    for _ in 0..20 {
        let error = store.get("key").unwrap_err().to_string();
        assert!(error.contains("the master `othermaster` of the store Redis is not known"), "{error}");
    }
    let warnings = log::lines(known, "othermaster");
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert!(warnings[0].contains("has no master of this name"), "{warnings:#?}");
}
