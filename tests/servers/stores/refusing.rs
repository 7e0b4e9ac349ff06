//! Servers that refuse writes while they answer reads, and the other way round.

use std::io::{Read, Write};
use std::net::TcpStream;

use bustard::StoreSettings;

use super::log;
use super::peer::Peer;
use super::subject::Subject;

/// How a value is read from a server that answers each `GET` and each `SET` like this:
/// whether it is there each time, and the lines that are logged.
fn read_and_written(get: &'static str, set: &'static str) -> (Vec<bool>, Vec<String>) {
    let peer = Peer::start(move |stream| answer_each(stream, get, set));
    let known = log::keep();
    let store = StoreSettings::redis(peer.location()).open().unwrap();
    let found = (0..300).map(|_| {
        let found = matches!(store.get("key"), Ok(Some(_)));
        // What was computed is filed.
        let _ = store.set("key", b"value");
        found
    });
    (
        found.collect(),
        log::lines(known, &peer.location()).into_iter().filter(|line| line.starts_with("WARN")).collect(),
    )
}

fn answer_each(mut stream: TcpStream, get: &'static str, set: &'static str) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        let is_set = buffer[..length].windows(3).any(|word| word == b"SET");
        let answer = if is_set { set } else { get };
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

const VALUE: &str = "$5\r\nvalue\r\n";

#[test]
fn c12_refused_writes_leave_reads_alone() {
    for error in [
        "NOREPLICAS Not enough good replicas to write.",
        "READONLY You can't write against a read only replica.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "NOPERM User app has no permissions to run the 'set' command",
        "ERR unknown command 'SET', with args beginning with: 'key' 'hunter2'",
        "DENIED by a proxy",
    ] {
        let answer = format!("-{error}\r\n").leak();
        let (found, warnings) = read_and_written(VALUE, answer);
        assert!(found.iter().all(|found| *found), "{error}: {found:?}");
        assert_eq!(warnings.len(), 1, "{error}: {warnings:#?}");
        let kind = error.split(' ').next().unwrap();
        assert!(warnings[0].contains("refuses writes: ") && warnings[0].contains(kind), "{warnings:?}");
        assert!(!warnings[0].contains("hunter2"), "{warnings:?}");
    }
}

#[test]
fn c12_outages_are_outages() {
    for error in [
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "CLUSTERDOWN The cluster is down",
        "BUSY Redis is busy running a script.",
        "NOAUTH Authentication required.",
    ] {
        let answer = format!("-{error}\r\n").leak();
        let (found, warnings) = read_and_written(answer, answer);
        assert!(found.iter().all(|found| !*found), "{error}");
        assert_eq!(warnings.len(), 1, "{error}: {warnings:#?}");
    }
    // A replica that lost its master answers like this. The refused writes do not make
    // it look healthy again and again.
    let (found, warnings) =
        read_and_written("-MASTERDOWN Link with MASTER is down\r\n", "-READONLY You can't write\r\n");
    assert!(found.iter().all(|found| !*found));
    assert!(warnings.len() <= 2, "{warnings:#?}");
}

#[test]
fn c12_a_server_without_replicas_keeps_its_values() {
    let subject = Subject::redis();
    let known = log::keep();
    let store = subject.open();
    store.set("key", b"value").unwrap();
    let port = subject.servers[0].port();
    let mut admin = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut command = |text: &str| {
        admin.write_all(format!("{text}\r\n").as_bytes()).unwrap();
        let mut answer = [0; 512];
        let length = admin.read(&mut answer).unwrap();
        assert!(answer[..length].starts_with(b"+OK"), "{text}");
    };
    let location = format!("127.0.0.1:{port}");
    for (setting, back, kind) in [
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "NOREPLICAS"),
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "READONLY"),
    ] {
        command(setting);
        for _ in 0..100 {
            assert_eq!(store.get("key").unwrap().as_deref(), Some(&b"value"[..]), "{kind}");
            store.set("other", b"value").unwrap_err();
        }
        command(back);
        store.set("other", b"value").unwrap();
        let warnings: Vec<_> = (log::lines(known, &location).into_iter())
            .filter(|line| line.starts_with("WARN") && line.contains(kind))
            .collect();
        assert_eq!(warnings.len(), 1, "{warnings:#?}");
    }
}
