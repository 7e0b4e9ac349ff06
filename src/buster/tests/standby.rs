//! Tests with hot standbys, whose lag varies.

use std::time::Duration;

use super::world::{World, wait_until};
use super::{LONG, version};
use crate::error::ErrorKind;

#[test]
fn a_lagging_standby_changes_nothing_until_the_snapshot_expires() {
    let world = World::new(&["bans"]);
    let buster = world.builder(Duration::from_millis(500)).start().unwrap();
    let bans = buster.cache("bans").unwrap();
    // The test behaves as if the next connection led to a standby with an older state.
    world.invalidate("bans");
    buster.notify().unwrap();
    assert!(bans.is_valid(version(2)));
    world.set(|state| {
        state.caches.insert("bans", 1);
        state.behind = Some(LONG);
        state.cut = true;
    });
    let mut seen = vec![version(2)];
    wait_until("the snapshot expires", || match bans.version() {
        Ok(version) => {
            seen.push(version.get());
            false
        }
        Err(error) => {
            assert!(error.report().to_string().contains("a standby that is 3600.0 s behind"), "{error}");
            true
        }
    });
    seen.dedup();
    assert_eq!(seen, [version(2)], "no version decreases");
    world.set(|state| state.behind = Some(Duration::from_millis(1)));
    wait_until("the standby has caught up", || bans.is_valid(version(1)));
}

/// The standby's state is recent enough, but the snapshot is newer.
#[test]
fn a_standby_with_a_small_lag_does_not_replace_a_newer_snapshot() {
    let world = World::new(&["bans"]);
    let buster = world.builder(LONG).start().unwrap();
    let bans = buster.cache("bans").unwrap();
    world.invalidate("bans");
    buster.notify().unwrap();
    world.set(|state| {
        state.register("bans", Some(1));
        state.behind = Some(Duration::from_secs(60));
        state.cut = true;
    });
    let looks = world.state().looks;
    world.wait("the refresher has polled a few times", |state| state.looks > looks + 5);
    assert!(bans.is_valid(version(2)));
    world.set(|state| {
        state.register("bans", Some(3));
        state.behind = Some(Duration::ZERO);
    });
    wait_until("the standby has newer state", || bans.is_valid(version(3)));
}

/// Every poll reports the lag, which can jump: while the standby has not yet replayed a new
/// commit, its last replayed commit may be old.
#[test]
fn the_lag_of_a_standby_may_change_at_any_time() {
    let world = World::new(&["bans", "ranks"]);
    world.set(|state| state.behind = Some(Duration::ZERO));
    let minute = Duration::from_secs(60);
    let buster = world.builder(minute).poll_interval(minute / 2).start().unwrap();
    let bans = buster.cache("bans").unwrap();
    world.set(|state| state.behind = Some(minute * 60));
    assert!(buster.cache("ranks").is_ok(), "the state is no older than at the previous poll");
    assert!(bans.is_valid(version(1)));
}

/// A commit is reported while the standby lags slightly behind.
#[test]
fn a_standby_that_has_not_replayed_a_commit_does_not_hide_the_commit() {
    let world = World::new(&["bans"]);
    world.set(|state| state.behind = Some(Duration::from_secs(2)));
    let buster = world.builder(Duration::from_secs(3000)).start().unwrap();
    let bans = buster.cache("bans").unwrap();
    assert!(bans.is_valid(version(1)));
    assert_eq!(buster.notify().unwrap_err().kind(), ErrorKind::Stale);
    assert!(!bans.is_valid(version(1)));
    world.invalidate("bans");
    world.set(|state| state.behind = Some(Duration::ZERO));
    wait_until("the standby has replayed the commit", || bans.is_valid(version(2)));
}

/// Through a pooler each poll may reach another standby. A standby with a large lag is
/// rejected, even if a previous poll reached a standby with a small lag.
#[test]
fn each_standby_behind_a_pooler_counts_with_its_own_lag() {
    let world = World::new(&["bans"]);
    world.set(|state| state.behind = Some(Duration::ZERO));
    let buster = world.builder(Duration::from_millis(500)).start().unwrap();
    let bans = buster.cache("bans").unwrap();
    world.set(|state| {
        state.register("bans", Some(3));
        (state.process, state.behind) = (8, Some(LONG));
    });
    let mut seen = Vec::new();
    wait_until("the snapshot expires", || bans.version().map(|version| seen.push(version.get())).is_err());
    assert!(seen.iter().all(|seen| *seen == version(1)), "state that is an hour old was accepted");
}
