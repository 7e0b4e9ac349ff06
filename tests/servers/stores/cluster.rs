//! Tests a cluster of Redis servers: keys go to their servers, also while slots move and after
//! a failover.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use bustard::{Store, StoreSettings};

use super::subject::PATIENT;
use crate::support::{Server, wait_until};

const SERVERS: u16 = 3;
const SLOTS: u16 = 16384;

/// Starts three servers, each with a third of the slots.
pub fn start(arguments: &[&str]) -> Vec<Server> {
    let servers: Vec<_> = (0..SERVERS).map(|_| Server::redis_of_cluster(arguments)).collect();
    for (at, server) in (0..SERVERS).zip(&servers) {
        let (first, last) =
            (at * (SLOTS / SERVERS), if at + 1 == SERVERS { SLOTS } else { (at + 1) * (SLOTS / SERVERS) });
        tell(server, &format!("CLUSTER ADDSLOTSRANGE {first} {}", last - 1));
    }
    join(&servers);
    servers
}

/// Makes the servers know each other.
fn join(servers: &[Server]) {
    for server in &servers[1..] {
        tell(server, &format!("CLUSTER MEET 127.0.0.1 {} {}", servers[0].port(), bus(&servers[0])));
    }
    wait_until("the cluster is up", || {
        servers.iter().all(|server| {
            let info = server.command_line("CLUSTER INFO");
            info.contains("cluster_state:ok")
                && info.contains(&format!("cluster_known_nodes:{}", servers.len()))
        })
    });
}

fn tell(server: &Server, command: &str) {
    let answer = server.command_line(command);
    assert!(answer.starts_with("+OK"), "{command}: {answer}");
}

/// Returns the port at which the other servers of the cluster reach this one.
fn bus(server: &Server) -> String {
    let answer = server.command_line("CONFIG GET cluster-port");
    answer.lines().last().expect("a server of a cluster has this port").to_owned()
}

fn id(server: &Server) -> String {
    server.command_line("CLUSTER MYID").lines().nth(1).expect("a server of a cluster has a name").to_owned()
}

fn key(at: usize) -> String {
    format!("key{at}")
}

fn count(server: &Server) -> usize {
    server.command_line("DBSIZE").trim().trim_start_matches(':').parse().expect("it is a number")
}

#[test]
fn keys_go_to_their_servers() {
    let servers = start(&[]);
    let store = StoreSettings::redis_cluster([servers[1].location()]).timeout(PATIENT).open().unwrap();
    for at in 0..300 {
        store.set(&key(at), key(at).as_bytes()).unwrap();
    }
    for at in 0..300 {
        assert_eq!(store.get(&key(at)).unwrap(), Some(key(at).into_bytes()));
    }
    let counts: Vec<_> = servers.iter().map(count).collect();
    assert_eq!(counts.iter().sum::<usize>(), 300);
    assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
}

/// While a slot moves, a key of it is either at the former server, or answered by `ASK`.
#[test]
fn a_slot_that_moves_loses_nothing() {
    let servers = start(&[]);
    let store = StoreSettings::redis_cluster([servers[0].location()]).timeout(PATIENT).open().unwrap();
    let store: &dyn Store = &*store;
    // Keys of one slot, which is that of the tag.
    let keys: Vec<_> = (0..50).map(|at| format!("{{tag}}{at}")).collect();
    for key in &keys {
        store.set(key, key.as_bytes()).unwrap();
    }
    let slot: u16 =
        servers[0].command_line("CLUSTER KEYSLOT tag").trim().trim_start_matches(':').parse().unwrap();
    let from = usize::from(slot / (SLOTS / SERVERS)).min(2);
    let (from, to) = (&servers[from], &servers[(from + 1) % 3]);
    let (moving, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                for key in &keys {
                    assert_eq!(store.get(key).unwrap().as_deref(), Some(key.as_bytes()));
                }
                moving.store(true, SeqCst);
            }
        });
        wait_until("keys are read", || moving.load(SeqCst));
        tell(to, &format!("CLUSTER SETSLOT {slot} IMPORTING {}", id(from)));
        tell(from, &format!("CLUSTER SETSLOT {slot} MIGRATING {}", id(to)));
        for (at, key) in keys.iter().enumerate() {
            tell(from, &format!("MIGRATE 127.0.0.1 {} {key} 0 5000", to.port()));
            // A new key of the slot is written where the slot goes.
            store.set(&format!("{{tag}}new{at}"), b"new").unwrap();
        }
        tell(to, &format!("CLUSTER SETSLOT {slot} NODE {}", id(to)));
        tell(from, &format!("CLUSTER SETSLOT {slot} NODE {}", id(to)));
        moving.store(false, SeqCst);
        wait_until("all keys are read again", || moving.load(SeqCst));
        stop.store(true, SeqCst);
    });
    assert_eq!(count(from), 0);
    for at in 0..50 {
        assert_eq!(store.get(&format!("{{tag}}new{at}")).unwrap().as_deref(), Some(&b"new"[..]));
    }
}

#[test]
fn a_replica_takes_the_place_of_its_master() {
    let mut servers = start(&[]);
    let store =
        StoreSettings::redis_cluster(servers.iter().map(Server::location)).timeout(PATIENT).open().unwrap();
    for at in 0..30 {
        store.set(&key(at), b"old").unwrap();
    }
    servers.push(Server::redis_of_cluster(&[]));
    join(&servers);
    wait_until("the new server knows its master", || {
        servers[3].command_line(&format!("CLUSTER REPLICATE {}", id(&servers[0]))).starts_with("+OK")
    });
    wait_until("the replica has a copy", || {
        servers[3].command_line("INFO replication").contains("master_link_status:up")
    });
    servers[0].kill9();
    wait_until("all keys are written again", || (0..30).all(|at| store.set(&key(at), b"new").is_ok()));
    for at in 0..30 {
        assert_eq!(store.get(&key(at)).unwrap().as_deref(), Some(&b"new"[..]));
    }
}

#[test]
fn a_login_and_a_key_prefix_with_a_tag() {
    let servers = start(&[]);
    for server in &servers {
        tell(server, "CONFIG SET requirepass hunter2");
    }
    let locations = [format!("redis://:hunter2@{}", servers[0].location()), servers[1].location()];
    let store = StoreSettings::redis_cluster(locations).timeout(PATIENT).open().unwrap();
    for at in 0..30 {
        store.set(&format!("{{forum}}:{}", key(at)), b"value").unwrap();
    }
}

#[test]
fn settings_that_contradict_each_other() {
    for (locations, expected) in [
        (&["redis://h/1"][..], "only the database 0"),
        (&["unix:/run/r.sock"], "reached by TCP"),
        (&["redis://:a@h", "redis://:b@i"], "different logins"),
    ] {
        let error = StoreSettings::redis_cluster(locations.iter().copied()).check().unwrap_err();
        assert!(error.message().contains(expected), "{error}");
    }
}
