//! Servers that demand what a store does not have, and users with few rights: the errors say
//! what is missing.

use std::io::Read;

use bustard::StoreSettings;

use super::log;
use super::peer::Peer;
use super::subject::PATIENT;
use crate::support::Server;

#[test]
fn memcached_that_demands_a_login() {
    let server = Server::memcached_with(&["-Y", "users"], &[("users", "app:hunter2\n")]);
    let store = StoreSettings::memcached([server.location()]).timeout(PATIENT).open().unwrap();
    let error = store.get("key").unwrap_err().to_string();
    assert!(error.contains("demands a login, which this store does not support"), "{error}");
}

/// With SASL, a server speaks the binary protocol only.
#[test]
fn memcached_that_demands_sasl() {
    // Debian's Memcached starts with SASL only if users are set up. It closes a connection
    // whose first byte is none of the binary protocol.
    let server = Peer::start(|mut stream| {
        let mut first = [0];
        let _ = stream.read_exact(&mut first);
        assert_ne!(first[0], 0x80);
    });
    let store = StoreSettings::memcached([server.location()]).timeout(PATIENT).open().unwrap();
    let error = store.get("key").unwrap_err().to_string();
    assert!(error.contains("SASL"), "{error}");
}

#[test]
fn locations_of_memcached_that_demand_what_it_does_not_have() {
    for (location, expected) in [
        ("app:hunter2@127.0.0.1", "supports no logins (SASL)"),
        ("memcached://app:hunter2@127.0.0.1", "supports no logins (SASL)"),
        ("memcacheds://127.0.0.1", "no TLS"),
        ("tls://127.0.0.1", "no TLS"),
    ] {
        let error = StoreSettings::memcached([location]).check().unwrap_err();
        assert!(error.message().contains(expected) && !error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn a_user_of_redis_with_few_rights() {
    let server = Server::redis();
    let set = |rights: &str| {
        let answer = server.command_line(&format!("ACL SETUSER app reset on >hunter2 {rights}"));
        assert!(answer.starts_with("+OK"), "{answer}");
    };
    let open = || {
        let location = format!("redis://app:hunter2@{}", server.location());
        StoreSettings::redis(location).timeout(PATIENT).open().unwrap()
    };
    set("~bustard:* +get +set");
    let store = open();
    store.set("bustard:key", b"value").unwrap();
    assert_eq!(store.get("bustard:key").unwrap().as_deref(), Some(&b"value"[..]));

    // A user who may only read.
    set("~bustard:* +get");
    let known = log::keep();
    let store = open();
    for _ in 0..50 {
        assert_eq!(store.get("bustard:key").unwrap().as_deref(), Some(&b"value"[..]));
        assert!(store.set("bustard:key", b"other").is_err());
    }
    let mut warnings = log::lines(known, &server.location());
    warnings.retain(|line| line.starts_with("WARN"));
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert!(warnings[0].contains("NOPERM"), "{warnings:#?}");

    // A user without the right to the keys, and a wrong password.
    set("~other:* +get +set");
    let error = open().get("bustard:key").unwrap_err().to_string();
    assert!(error.contains("NOPERM"), "{error}");
    let location = format!("redis://app:wrong@{}", server.location());
    let error =
        StoreSettings::redis(location).timeout(PATIENT).open().unwrap().get("key").unwrap_err().to_string();
    assert!(error.contains("WRONGPASS") && !error.contains("wrong@"), "{error}");
}

#[test]
fn a_server_of_a_cluster_is_not_a_single_server() {
    let servers = super::cluster::start(&[]);
    let store = StoreSettings::redis(servers[0].location()).timeout(PATIENT).open().unwrap();
    let errors = (0..50).filter_map(|at| store.get(&format!("key{at}")).err());
    let error = errors.map(|error| error.to_string()).next().expect("a key belongs to another server");
    assert!(error.contains("cluster = true"), "{error}");
    let single = Server::redis();
    let store = StoreSettings::redis_cluster([single.location()]).timeout(PATIENT).open().unwrap();
    let error = store.get("key").unwrap_err().to_string();
    assert!(error.contains("cluster support disabled"), "{error}");
}
