//! Tests the example `permissions`, an application on Tokio, over HTTP on loopback: two
//! instances that start together, the answers of one instance after the other has changed
//! data, and shutdown.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;

use crate::support::{Engine, LOCK, Outcome, PATIENCE, Project, Running, Subject, example, wait_until};

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| example("permissions"))
}

fn start(subject: &Subject<'_>) -> Running {
    let mut command = subject.project.command_of(program(), &["127.0.0.1:0"]);
    command.env("DATABASE_URL", subject.url());
    Running::start(command)
}

/// Returns the address of an instance, as soon as it listens.
fn address(instance: &Running) -> String {
    instance.wait_for_stdout("listening on http://");
    let said = instance.stdout_so_far();
    let line = said.lines().find_map(|line| line.strip_prefix("listening on http://"));
    line.expect("it was printed").to_owned()
}

/// Returns the number of migrations that an instance has applied.
fn applied(instance: &Running) -> usize {
    let said = instance.stdout_so_far();
    let count = said.lines().find_map(|line| line.strip_suffix(" migrations applied"));
    count.expect("it was printed").parse().expect("it is a number")
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Sends a request, and reads until the connection is closed.
fn ask(address: &str, method: &str, path: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("it has a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn permissions(address: &str, user: &str) -> Vec<String> {
    let answer = ask(address, "GET", &format!("/users/{user}/permissions"));
    assert_eq!(answer.status, 200, "{}", answer.head);
    answer.body.lines().map(str::to_owned).collect()
}

fn change(address: &str, method: &str, user: &str, permission: &str) {
    let answer = ask(address, method, &format!("/users/{user}/permissions/{permission}"));
    assert_eq!(answer.status, 204, "{}", answer.head);
}

/// Repeats the request until the answer comes from the cache.
fn until_cached(address: &str, user: &str) {
    wait_until("the answer is in the cache", || {
        let answer = ask(address, "GET", &format!("/users/{user}/permissions"));
        answer.head.contains("x-cache: hit")
    });
}

#[test]
fn two_instances_started_together() {
    let project = Project::new();
    let subject = Subject::new(Engine::Postgres, &project);
    let instances = [start(&subject), start(&subject)];
    let [one, other] = [&instances[0], &instances[1]].map(address);

    // Each migration was applied once, by one of the two instances.
    let rows = "SELECT count(*) FROM refinery_schema_history_permissions";
    let count = subject.database().value(rows).parse::<usize>().expect("it is a number");
    assert_eq!(applied(&instances[0]) + applied(&instances[1]), count);
    assert!(count >= 1, "{count}");
    assert_eq!(subject.number("SELECT count(*) FROM permission"), 4);

    // The other instance sees the change, although it has cached the answer.
    let mut expected = vec!["ban-users", "edit-posts"];
    for (at, asked, method) in [(&one, &other, "PUT"), (&other, &one, "DELETE"), (&one, &other, "PUT")] {
        for address in [at, asked] {
            assert_eq!(permissions(address, "ann"), expected);
            until_cached(address, "ann");
        }
        change(at, method, "ann", "close-threads");
        match method {
            "PUT" => expected.insert(1, "close-threads"),
            _ => _ = expected.remove(1),
        }
        // The instance that made the change sees it at once.
        assert_eq!(permissions(at, "ann"), expected);
        wait_until("the other instance sees it", || permissions(asked, "ann") == expected);
        assert_eq!(permissions(asked, "bob"), ["ban-users", "edit-posts"]);
    }
    // A change without an invalidation is not noticed, because answers come from the cache.
    until_cached(&other, "bob");
    subject.execute("DELETE FROM permission WHERE user_name = 'bob'");
    assert_eq!(permissions(&other, "bob").len(), 2);

    // One instance is killed, and the other continues.
    let [first, second] = instances;
    first.kill9();
    change(&other, "PUT", "bob", "edit-posts");
    assert_eq!(permissions(&other, "bob"), ["edit-posts"]);

    // A third instance finds nothing pending. Then both instances end on a signal.
    let third = start(&subject);
    assert_eq!(permissions(&address(&third), "bob"), ["edit-posts"]);
    assert_eq!(applied(&third), 0);
    for (instance, signal) in [(second, "TERM"), (third, "INT")] {
        instance.signal(signal);
        instance.wait().success().says("stopped");
    }
    // No session is connected any more.
    subject.quiet();
}

#[test]
fn requests_in_progress_are_finished() {
    let project = Project::new();
    let subject = Subject::new(Engine::Postgres, &project);
    let instance = start(&subject);
    let address = address(&instance);
    let mut blocking = subject.client();
    let mut transaction = blocking.transaction().expect("it begins");
    transaction.batch_execute("LOCK TABLE permission").expect("no other session holds it");
    let request = thread::spawn({
        let address = address.clone();
        move || change(&address, "PUT", "eve", "edit-posts")
    });
    subject.database().wait_until(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
         AND datname = current_database())",
    );
    instance.signal("TERM");
    instance.wait_for_stdout("terminated: finishing requests in progress");
    // The instance accepts no more requests, and finishes the requests that it has
    // accepted.
    wait_until("the port is closed", || TcpStream::connect(&address).is_err());
    transaction.commit().expect("it commits");
    request.join().expect("the request is answered");
    instance.wait().success().says("stopped");
    assert_eq!(subject.number("SELECT count(*) FROM permission WHERE user_name = 'eve'"), 1);
}

#[test]
fn an_instance_can_be_stopped_while_it_waits_to_migrate() {
    let project = Project::new();
    let subject = Subject::new(Engine::Postgres, &project);
    let mut holder = subject.client();
    holder.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).expect("no other session holds it");
    let waiting = start(&subject);
    waiting.wait_for_stdout("another instance is migrating");
    waiting.signal("TERM");
    waiting.wait().exits(1).complains("terminated before there was anything to serve");
    drop(holder);
    subject.quiet();
    assert_eq!(subject.database().value("SELECT to_regclass('permission') IS NULL"), "t");
}

/// Without the table, a request gets an error as its answer, and the log gets a line.
/// Neither contains a secret.
#[test]
fn without_the_table_an_instance_still_answers() {
    let project = Project::new();
    let subject = Subject::new(Engine::Postgres, &project);
    let instance = start(&subject);
    let address = address(&instance);
    subject.execute("ALTER TABLE permission RENAME TO gone");
    let answer = ask(&address, "GET", "/users/ann/permissions");
    assert_eq!((answer.status, answer.body.as_str()), (500, ""));
    instance.wait_for_stderr("permission");
    subject.execute("ALTER TABLE gone RENAME TO permission");
    assert_eq!(permissions(&address, "ann"), ["ban-users", "edit-posts"]);
    assert_eq!(ask(&address, "GET", "/nowhere").status, 404);
    instance.kill9();
}

/// A service that cannot start prints the reason, and changes nothing.
#[test]
fn another_database_is_left_alone() {
    let project = Project::new();
    for (url, said) in [
        (project.sqlite_url("app.sqlite"), "the service requires PostgreSQL"),
        ("postgres://me@127.0.0.1:1/none".to_owned(), "connection refused"),
    ] {
        let mut command = project.command_of(program(), &["127.0.0.1:0"]);
        command.env("DATABASE_URL", url);
        Outcome::of(command).exits(1).complains(said);
    }
    assert!(!project.path().join("app.sqlite").exists());
}
