//! Tests networks that break and databases that do not answer.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{bans, forum, invalidate, lazy, quick, wait_for, wait_until_unknown};
use crate::support::proxy::Proxy;
use crate::support::{Cluster, Project, wait_until};

/// After a reconnection, all versions are read, so lost notifications do not matter.
#[test]
fn all_versions_are_read_after_a_reconnection() {
    let cluster = Cluster::start_with(&[]);
    let mut database = forum(&cluster);
    let proxy = Proxy::start(cluster.port());
    let buster = lazy(&proxy.url(&cluster.url("web", "forum"))).start().unwrap();
    let bans = bans(&buster);
    for _ in 0..3 {
        proxy.cut();
        invalidate(&mut database);
        wait_for(&bans, &mut database);
    }
}

#[test]
fn notifications_wake_the_refresher() {
    let cluster = Cluster::start_with(&[]);
    let mut database = forum(&cluster);
    let url = cluster.url("web", "forum");
    let (teller, hearer) = (lazy(&url).start().unwrap(), lazy(&url).start().unwrap());
    let (told, heard) = (bans(&teller), bans(&hearer));
    for _ in 0..3 {
        let before = wait_for(&told, &mut database);
        let mut transaction = database.transaction().unwrap();
        teller.invalidate(&mut transaction, &["bans"]).unwrap();
        assert!(told.is_valid(before));
        teller.commit(transaction).unwrap();
        assert!(!told.is_valid(before));
        wait_for(&heard, &mut database);
    }
}

#[test]
fn versions_are_unknown_while_the_network_is_silent() {
    let cluster = Cluster::start_with(&[]);
    let mut database = forum(&cluster);
    let proxy = Proxy::start(cluster.port());
    let buster = quick(&proxy.url(&cluster.url("web", "forum"))).start().unwrap();
    let bans = bans(&buster);
    let before = wait_for(&bans, &mut database);
    // The latency is longer than the test takes.
    proxy.set_latency(Duration::from_secs(600));
    wait_until_unknown(&bans);
    assert!(!bans.is_valid(before));
    proxy.set_latency(Duration::ZERO);
    assert_eq!(wait_for(&bans, &mut database), before);
}

/// A poll that times out also cancels its query on the server. Otherwise each new
/// connection would wait in addition to the earlier connections.
#[test]
fn polls_that_wait_for_a_lock_do_not_pile_up() {
    let cluster = Cluster::start_with(&[]);
    let mut database = forum(&cluster);
    let buster = quick(&cluster.url("web", "forum")).start().unwrap();
    let bans = bans(&buster);
    let mut vacuum = database.transaction().unwrap();
    vacuum.batch_execute("LOCK TABLE bustard.event").unwrap();
    let mut looker = cluster.client("postgres");
    let mut seen = BTreeSet::new();
    wait_until("several polls have been tried, and at most one waits", || {
        let waiting = "SELECT pid FROM pg_stat_activity WHERE usename = 'web' AND wait_event_type = 'Lock'";
        let waiting: Vec<i32> = looker.query(waiting, &[]).unwrap().iter().map(|row| row.get(0)).collect();
        seen.extend(waiting.iter().copied());
        seen.len() >= 4 && waiting.len() <= 1
    });
    let why = wait_until_unknown(&bans);
    assert!(why.contains("no answer within"), "{why}");
    vacuum.rollback().unwrap();
    wait_for(&bans, &mut database);
}

#[test]
fn the_refresher_folds_many_events_if_its_role_may() {
    let cluster = Cluster::start_with(&[]);
    let mut database = forum(&cluster);
    let project = Project::new();
    let url = cluster.url("web", "forum");
    let watch = project.spawn(&["caches", "watch", "--database-url", &url]);
    watch.wait_for_stdout("watching");
    database.batch_execute("REVOKE EXECUTE ON FUNCTION bustard.fold() FROM PUBLIC").unwrap();
    let many = "DO $$ BEGIN FOR i IN 1..10001 LOOP PERFORM bustard.invalidate('bans'); END LOOP; END $$";
    database.batch_execute(many).unwrap();
    watch.wait_for_stderr("GRANT EXECUTE ON FUNCTION bustard.fold() TO web");
    let unfolded = "SELECT count(*) FROM bustard.event";
    assert!(database.query_one(unfolded, &[]).unwrap().get::<_, i64>(0) > 10_000);

    let buster = quick(&cluster.url("postgres", "forum")).start().unwrap();
    let bans = bans(&buster);
    wait_until("a process has folded", || database.query_one(unfolded, &[]).unwrap().get::<_, i64>(0) < 1000);
    wait_for(&bans, &mut database);
    watch.signal("TERM");
    let outcome = watch.wait().exits(143);
    assert_eq!(outcome.stderr.matches("bustard.fold()").count(), 2, "once, in one message: {outcome}");
}
