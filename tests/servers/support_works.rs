//! Tests the promises of the support code to the other tests.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, thread};

use crate::support::proxy::{Proxy, RoundTrips};
use crate::support::{
    Binaries, Certificates, Cluster, Database, Outcome, PATIENCE, PgBouncer, Project, Running, Server,
    wait_until,
};

#[test]
fn databases_are_separate() {
    let (one, other) = (Database::new(), Database::new());
    one.psql("CREATE TABLE only_here (id int)");
    let count = "SELECT count(*) FROM pg_class WHERE relname = 'only_here'";
    assert_eq!(one.value(count), "1");
    assert_eq!(other.value(count), "0");
}

/// `tests/matrix` asks for a version. Without it, the server's version is that of the
/// programs which were found.
#[test]
fn the_server_has_the_version_that_is_asked_for() {
    let number: u32 = Database::new().value("SHOW server_version_num").parse().unwrap();
    let mut command = Binaries::find().server_command("postgres");
    let printed = Outcome::of({
        command.arg("--version");
        command
    })
    .success()
    .stdout;
    let asked = env::var("BUSTARD_PG_MAJOR").unwrap_or_else(|_| {
        let version = printed.split_whitespace().nth(2).expect("postgres (PostgreSQL) 15.1");
        version.split('.').next().unwrap_or(version).to_owned()
    });
    assert_eq!((number / 10_000).to_string(), asked, "{printed}");
}

#[test]
fn a_dropped_database_takes_its_roles_and_connections_along() {
    let database = Database::new();
    let (name, role) = (database.name().to_owned(), database.create_role("reader", ""));
    let _still_connected = database.client_as(&role);
    drop(database);
    let mut client = Cluster::shared().client("postgres");
    let left = "SELECT datname::text FROM pg_database WHERE datname = $1
                UNION ALL SELECT rolname::text FROM pg_roles WHERE rolname = $2";
    assert!(client.query(left, &[&name, &role]).unwrap().is_empty());
}

#[test]
fn psql_returns_rows_and_errors_with_their_state() {
    let database = Database::new();
    assert_eq!(database.psql("VALUES (1, 'a b'), (2, NULL)"), [["1", "a b"], ["2", ""]]);
    let role = database.create_role("reader", "");
    let refused = database.psql_as(&role, "CREATE SCHEMA mine");
    refused.exits(1).complains("ERROR:  42501:");
}

#[test]
fn every_url_leads_to_the_database() {
    let database = Database::new();
    for url in [database.url(), database.socket_url()] {
        let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
        let name: String = client.query_one("SELECT current_database()::text", &[]).unwrap().get(0);
        assert_eq!(name, database.name());
    }
}

#[test]
fn texts_of_the_same_schema_are_equal() {
    let (one, other) = (Database::new(), Database::new());
    for database in [&one, &other] {
        database.psql("CREATE TABLE a (id int PRIMARY KEY); COMMENT ON TABLE a IS 'SET x'");
    }
    let text = one.schema(&[]);
    assert_eq!(text, other.schema(&[]));
    assert!(text.contains("relation r public.a") && text.contains("SET x"), "{text}");
    other.psql("CREATE INDEX ON a (id)");
    assert_ne!(text, other.schema(&[]));
    assert!(!other.schema(&["public.a"]).contains("public.a"));
}

#[test]
fn a_private_cluster_has_its_settings_and_rules() {
    let cluster = Cluster::start_with_hba(
        &[("default_transaction_isolation", "repeatable read")],
        "host all all 127.0.0.1/32 scram-sha-256\n",
    );
    let database = Database::on(&cluster);
    let mut client = database.client();
    let isolation: String = client.query_one("SHOW transaction_isolation", &[]).unwrap().get(0);
    assert_eq!(isolation, "repeatable read");
    let role = database.create_role("app", "PASSWORD 'right'");
    database
        .psql_as(&format!("{role}:wrong"), "SELECT 1")
        .exits(2)
        .complains("password authentication failed");
    database.psql_as(&format!("{role}:right"), "SELECT 1").success();
}

#[test]
fn a_cluster_speaks_tls() {
    let certificates = Certificates::for_names(&["localhost", "127.0.0.1"]);
    let cluster = Cluster::start_with_tls(&certificates);
    let project = Project::new();
    project.file("root.pem", &certificates.authority);
    let root = project.path().join("root.pem");
    let query = |host: &str| {
        let mut psql = crate::support::Binaries::find().client_command("psql");
        psql.args(["-XAtc", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"]).arg(format!(
            "host={host} hostaddr=127.0.0.1 port={} user=postgres sslmode=verify-full sslrootcert={}",
            cluster.port(),
            root.display()
        ));
        Outcome::of(psql)
    };
    query("localhost").success().says("t");
    query("elsewhere").exits(2).complains("does not match host name");
}

#[test]
fn a_killed_server_restarts_with_its_commits() {
    let cluster = Cluster::start_with(&[]);
    let database = Database::on(&cluster);
    database.psql("CREATE TABLE kept (id int)");
    let mut client = database.client();
    let mut open = client.transaction().unwrap();
    open.execute("INSERT INTO kept VALUES (1)", &[]).unwrap();
    cluster.kill9();
    assert!(open.execute("INSERT INTO kept VALUES (2)", &[]).is_err());
    cluster.restart();
    assert_eq!(database.value("SELECT count(*) FROM kept"), "0");
}

#[test]
fn a_dropped_cluster_leaves_nothing() {
    let cluster = Cluster::start_with(&[]);
    let (directory, port) = (cluster.directory().to_path_buf(), cluster.port());
    drop(cluster);
    assert!(!directory.exists());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn servers_stop_when_their_process_is_killed() {
    // The test starts itself in another process, which it kills.
    const NOTE: &str = "BUSTARD_TEST_NOTE";
    if let Some(note) = env::var_os(NOTE) {
        let cluster = Cluster::shared();
        let stores = [Server::memcached(), Server::redis()];
        let pooler = PgBouncer::start(cluster, &["postgres"]);
        let mut text = format!("{} {}\n", cluster.port(), cluster.directory().display());
        text.extend(stores.iter().map(|store| format!("{} {}\n", store.port(), store.directory().display())));
        text.push_str(&format!("{} {}\n", pooler.port(), pooler.directory().display()));
        std::fs::write(note, text + "all").unwrap();
        thread::sleep(crate::support::PATIENCE);
        return;
    }
    let project = Project::new();
    let note = project.path().join("note");
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "support_works::servers_stop_when_their_process_is_killed"]).env(NOTE, &note);
    let victim = Running::start(command);
    let written = || std::fs::read_to_string(&note).unwrap_or_default();
    wait_until("the servers run", || written().ends_with("all"));
    let note = written();
    let servers: Vec<_> = note.lines().filter_map(|line| line.split_once(' ')).collect();
    assert_eq!(servers.len(), 4);
    assert!(servers.iter().all(|(_, directory)| Path::new(directory).exists()));
    victim.kill9();
    for (port, directory) in servers {
        wait_until("the directory is removed", || !Path::new(directory).exists());
        assert!(TcpStream::connect(("127.0.0.1", port.parse().unwrap())).is_err());
    }
}

#[test]
fn a_project_runs_the_command_in_its_directory() {
    let project = Project::new();
    project.file("a/b/V1__x.sql", "SELECT 1;").config("");
    assert_eq!(project.files("."), [Path::new("a/b/V1__x.sql"), Path::new("bustard.toml")]);
    assert_eq!(project.read("a/b/V1__x.sql"), "SELECT 1;");
    let seen = Outcome::of(project.command_of(Path::new("sh"), &["-c", "pwd; env; exit 7"])).exits(7);
    assert!(seen.stdout.contains("bustard-project-") && seen.stdout.contains("NO_COLOR=1"));
    assert!(!seen.stdout.contains("CARGO"), "{seen}");
}

#[test]
fn the_schema_of_sqlite_is_read_whole() {
    let project = Project::new();
    let connection = project.sqlite("x.sqlite");
    connection.execute_batch("CREATE TABLE b (id int UNIQUE); CREATE VIEW a AS SELECT 1").unwrap();
    assert_eq!(
        project.sqlite_schema("x.sqlite"),
        "index sqlite_autoindex_b_1 on b: \ntable b on b: CREATE TABLE b (id int UNIQUE)\n\
         view a on a: CREATE VIEW a AS SELECT 1\n"
    );
}

#[test]
fn a_running_program_is_watched_and_signalled() {
    let project = Project::new();
    let shell = |script| Running::start(project.command_of(Path::new("sh"), &["-c", script]));
    // `exec` is used, so that no child of the shell keeps the pipes open.
    let mut asleep = shell("echo now >&2; exec sleep 100");
    asleep.wait_for_stderr("now");
    assert!(asleep.is_running());
    assert_eq!(asleep.kill9().signal, Some(9));
    // The signal is not INT, because a shell ignores INT if these tests run in the
    // background.
    let waiting = shell("trap 'echo caught; exit 143' TERM; echo now >&2; while :; do sleep 0.01; done");
    waiting.wait_for_stderr("now");
    waiting.signal("TERM");
    waiting.wait().exits(143).says("caught");
}

#[test]
fn the_proxy_counts_round_trips() {
    let database = Database::new();
    let proxy = Proxy::start(database.cluster().port());
    proxy.set_latency(Duration::from_millis(3));
    let mut client = postgres::Client::connect(&proxy.url(&database.url()), postgres::NoTls).unwrap();
    // `sslmode=prefer` without a TLS connector requests no encryption.
    assert_eq!(proxy.round_trips(), RoundTrips { connecting: 1, connected: 0 });
    client.batch_execute("SELECT 1; SELECT 2").unwrap();
    assert_eq!(proxy.round_trips().connected, 1);
    // Preparing and executing are two round trips, even with a reply of many packets.
    let rows = client.query("SELECT repeat('x', 1000) FROM generate_series(1, 1000)", &[]).unwrap();
    assert_eq!(rows.len(), 1000);
    assert_eq!(proxy.round_trips().connected, 3);
    drop(client);
    assert_eq!((proxy.round_trips().connected, proxy.connections()), (3, 1));
    proxy.reset();
    assert_eq!((proxy.round_trips(), proxy.connections()), (RoundTrips::default(), 0));
}

#[test]
fn the_proxy_sees_requests_for_encryption() {
    let database = Database::new();
    let proxy = Proxy::start(database.cluster().port());
    let mut psql = crate::support::Binaries::find().client_command("psql");
    psql.args(["-XAtc", "SELECT 1"]).arg(proxy.url(&database.url()) + "?sslmode=prefer&gssencmode=disable");
    Outcome::of(psql).success();
    assert_eq!(proxy.round_trips(), RoundTrips { connecting: 2, connected: 1 });
}

#[test]
fn the_proxy_cuts_the_connection_at_the_requested_message() {
    let database = Database::new();
    database.psql("CREATE TABLE arrived (id int)");
    let proxy = Proxy::start(database.cluster().port());
    let connect = || postgres::Client::connect(&proxy.url(&database.url()), postgres::NoTls).unwrap();
    let arrived = |id: i32| {
        // The client may notice the lost connection before the server does.
        database.wait_until(
            "SELECT NOT EXISTS (SELECT FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid())",
        );
        database.value(&format!("SELECT count(*) FROM arrived WHERE id = {id}"))
    };
    let mut client = connect();
    proxy.cut_after_messages(2);
    client.batch_execute("SELECT 1").unwrap();
    assert!(client.batch_execute("INSERT INTO arrived VALUES (1)").is_err());
    assert_eq!(arrived(1), "1", "the message arrives, its answer does not");

    let mut client = connect();
    proxy.cut_after_bytes(20);
    assert!(client.batch_execute("INSERT INTO arrived VALUES (2)").is_err());
    assert_eq!(arrived(2), "0", "the server does not execute a truncated message");

    let mut client = connect();
    proxy.cut();
    assert!(client.batch_execute("INSERT INTO arrived VALUES (3)").is_err());
    assert_eq!(arrived(3), "0");
    connect().batch_execute("SELECT 1").unwrap();
}

#[test]
fn snapshots_hide_the_differences_between_runs() {
    let project = Project::new();
    crate::support::snapshot_settings(&project).bind(|| {
        let text = format!(
            "{}/x.sql at 2026-01-02T03:04:05.678Z on postgres://t12_app@127.0.0.1:4711/t12, pid 815, in 1.5 ms",
            project.path().display()
        );
        insta::assert_snapshot!(
            text,
            @"[project]/x.sql at [time] on postgres://[role]@127.0.0.1:[port]/[database], pid [pid], in [duration]"
        );
    });
}

#[test]
fn a_standby_follows_lags_and_is_promoted() {
    let primary = Cluster::start_with(&[]);
    let proxy = Proxy::start(primary.port());
    let standby = primary.standby_through(proxy.port(), &[]);
    let count = |cluster: &Cluster| -> i64 {
        cluster.client("postgres").query_one("SELECT count(*) FROM t", &[]).unwrap().get(0)
    };
    let insert = || primary.client("postgres").batch_execute("INSERT INTO t VALUES (1)").unwrap();
    primary.client("postgres").batch_execute("CREATE TABLE t (v int)").unwrap();
    insert();
    standby.wait_for_replay(&primary);
    assert_eq!(count(&standby), 1);

    standby.set("recovery_min_apply_delay", "1h");
    insert();
    let received = "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()";
    wait_until("the commit is received", || {
        standby.client("postgres").query_one(received, &[]).unwrap().get(0)
    });
    assert_eq!(count(&standby), 1);
    standby.set("recovery_min_apply_delay", "0");
    standby.wait_for_replay(&primary);
    assert_eq!(count(&standby), 2);

    // Commits after the cut are lost.
    drop(proxy);
    let gone = "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)";
    wait_until("the standby receives nothing any more", || {
        standby.client("postgres").query_one(gone, &[]).unwrap().get(0)
    });
    insert();
    standby.promote();
    assert_eq!((count(&primary), count(&standby)), (3, 2));
    standby.client("postgres").batch_execute("INSERT INTO t VALUES (1)").unwrap();
}

#[test]
fn a_pooler_changes_connections() {
    let database = Database::new();
    let role = database.create_role("web", "");
    let pooler = PgBouncer::start(database.cluster(), &["postgres", &role]);
    let connect =
        |user: &str| postgres::Client::connect(&pooler.url(user, database.name()), postgres::NoTls).unwrap();
    let process = |client: &mut postgres::Client| -> String {
        let rows = client.simple_query("SELECT pg_backend_pid()").unwrap();
        rows.iter()
            .find_map(|row| match row {
                postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .unwrap()
    };
    let (mut one, mut other) = (connect("postgres"), connect("postgres"));
    one.batch_execute("BEGIN").unwrap();
    let (first, second) = (process(&mut one), process(&mut other));
    assert_ne!(first, second);
    one.batch_execute("COMMIT").unwrap();
    let served: BTreeSet<_> = (0..4).map(|_| process(&mut one)).collect();
    assert_eq!(served, BTreeSet::from([first, second]));
    connect(&role);
    assert!(pooler.log().contains(&role));
}

/// Sends a command to a store, and returns the first line of the answer.
fn ask(store: &Server, question: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(store.location())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(question.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}

#[test]
fn stores_restart_empty_on_the_same_port() {
    for (store, set, get, stored, kept, gone) in [
        (Server::memcached(), "set a 0 0 1\r\nx\r\n", "get a\r\n", "STORED", "VALUE a 0 1", "END"),
        (Server::redis(), "SET a x\r\n", "GET a\r\n", "+OK", "$1", "$-1"),
    ] {
        let port = store.port();
        assert_eq!(ask(&store, set).unwrap().trim(), stored);
        assert_eq!(ask(&store, get).unwrap().trim(), kept);
        store.kill9();
        assert_eq!(ask(&store, get).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        store.restart();
        assert_eq!(ask(&store, get).unwrap().trim(), gone);
        assert_eq!(store.port(), port);
    }
}
