//! Tests hot standbys: the age of their state, and the versions after a failover that lost
//! the last commits.

use bustard::registry;

use super::{bans, forum, invalidate, lazy, quick, wait_for, wait_until_unknown};
use crate::support::proxy::Proxy;
use crate::support::{Cluster, Project, wait_until};

#[test]
fn a_lagging_standby_is_unknown() {
    let primary = Cluster::start_with(&[]);
    let mut database = forum(&primary);
    let standby = primary.standby(&[("wal_receiver_timeout", "2s")]);
    // Only the second role may read the time of the last message from the primary.
    for role in ["web", "postgres"] {
        let buster = quick(&standby.url(role, "forum")).start().unwrap();
        let bans = bans(&buster);
        invalidate(&mut database);
        let before = wait_for(&bans, &mut database);

        standby.set("recovery_min_apply_delay", "1h");
        invalidate(&mut database);
        wait_until_unknown(&bans);
        assert!(!bans.is_valid(before));

        standby.set("recovery_min_apply_delay", "0");
        assert_ne!(wait_for(&bans, &mut database), before);
    }
}

#[test]
fn a_disconnected_standby_is_unknown() {
    let primary = Cluster::start_with(&[]);
    let mut database = forum(&primary);
    let proxy = Proxy::start(primary.port());
    let standby = primary.standby_through(proxy.port(), &[]);
    let buster = quick(&standby.url("web", "forum")).start().unwrap();
    let bans = bans(&buster);
    let before = wait_for(&bans, &mut database);
    drop(proxy);
    invalidate(&mut database);
    wait_until_unknown(&bans);
    assert!(!bans.is_valid(before));
}

#[test]
fn the_refresher_logs_once_that_a_standby_is_polled() {
    let primary = Cluster::start_with(&[]);
    let mut database = forum(&primary);
    let standby = primary.standby(&[]);
    let project = Project::new();
    let url = standby.url("web", "forum");
    let watch = project.spawn(&["caches", "watch", "-v", "--database-url", &url]);
    watch.wait_for_stdout("watching");
    for count in 1..=3 {
        // There are no notifications, and each change takes at least one poll.
        invalidate(&mut database);
        let changes = || watch.stdout_so_far().matches("  bans  +1  ").count();
        wait_until("the change is seen", || changes() == count);
    }
    watch.signal("TERM");
    let outcome = watch.wait().exits(143);
    assert_eq!(outcome.stderr.matches("hot standby, which sends no notifications").count(), 1, "{outcome}");
}

#[test]
fn a_promoted_standby_notifies_connected_processes() {
    let primary = Cluster::start_with(&[]);
    forum(&primary);
    let standby = primary.standby(&[]);
    standby.wait_for_replay(&primary);
    let buster = lazy(&standby.url("web", "forum")).start().unwrap();
    let bans = bans(&buster);
    standby.promote();
    // A poll notices the promotion.
    buster.notify().unwrap();
    let mut database = standby.client("forum");
    for _ in 0..2 {
        invalidate(&mut database);
        database.batch_execute("SELECT bustard.notify()").unwrap();
        wait_for(&bans, &mut database);
    }
}

/// Commits that a standby has not received are lost after its promotion. The versions of
/// these commits must never become valid again, even when the count is the same again.
#[test]
fn versions_lost_in_a_failover_never_become_current_again() {
    let primary = Cluster::start_with(&[]);
    let mut database = forum(&primary);
    let proxy = Proxy::start(primary.port());
    let standby = primary.standby_through(proxy.port(), &[]);
    let both = format!(
        "postgres://web@127.0.0.1:{},127.0.0.1:{}/forum?target_session_attrs=read-write",
        primary.port(),
        standby.port()
    );
    let buster = quick(&both).start().unwrap();
    let bans = bans(&buster);
    standby.wait_for_replay(&primary);

    drop(proxy);
    let mut other = standby.client("forum");
    wait_until("the standby receives nothing any more", || {
        let gone = "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)";
        other.query_one(gone, &[]).unwrap().get(0)
    });
    let mut lost = Vec::new();
    for _ in 0..3 {
        invalidate(&mut database);
        lost.push(wait_for(&bans, &mut database));
    }
    primary.kill9();
    wait_until_unknown(&bans);
    standby.promote();
    for _ in 0..4 {
        let now = wait_for(&bans, &mut other);
        assert!(!lost.contains(&now) && !lost.iter().any(|version| bans.is_valid(*version)));
        for version in &lost {
            assert!(!registry::is_valid(&mut other, "bans", *version).unwrap());
        }
        invalidate(&mut other);
    }
}
