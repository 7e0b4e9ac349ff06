//! Tests PgBouncer in transaction pooling, where a LISTEN would stay on a connection that
//! other clients use later.

use postgres::{Client, NoTls, SimpleQueryMessage};

use super::{forum, invalidate};
use crate::support::{Cluster, PgBouncer, Project, wait_until};

/// Returns the first column of the first row, by the simple protocol, which PgBouncer
/// supports.
fn value(client: &mut Client, sql: &str) -> String {
    let rows = client.simple_query(sql).unwrap();
    let row = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    row.unwrap().to_owned()
}

#[test]
fn a_refresher_behind_a_pooler_polls_and_leaves_no_listen() {
    let cluster = Cluster::start_with(&[]);
    let mut database = forum(&cluster);
    let pooler = PgBouncer::start(&cluster, &["web"]);
    let url = pooler.url("web", "forum");
    let connect = || Client::connect(&url, NoTls).unwrap();
    let (mut one, mut other) = (connect(), connect());

    let project = Project::new();
    let watch = project.spawn(&["caches", "watch", "-v", "--database-url", &url]);
    watch.wait_for_stdout("watching");
    // There are two connections to the server, so that transactions can switch between
    // them.
    one.batch_execute("BEGIN").unwrap();
    assert_ne!(value(&mut one, "SELECT pg_backend_pid()"), value(&mut other, "SELECT pg_backend_pid()"));
    one.batch_execute("COMMIT").unwrap();
    watch.wait_for_stderr("a pooler that changes connections");
    for count in 1..=2 {
        invalidate(&mut database);
        wait_until("the change is seen", || watch.stdout_so_far().matches("  bans  +1  ").count() == count);
    }
    wait_until("no connection of the pooler listens", || {
        (0..4).all(|_| value(&mut one, "SELECT count(*) FROM pg_listening_channels()") == "0")
    });
    watch.signal("TERM");
    let outcome = watch.wait().exits(143);
    assert_eq!(outcome.stderr.matches("caches are polled").count(), 1, "{outcome}");
}
