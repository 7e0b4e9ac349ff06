//! Hot standbys, which are behind by now more and now less.

use std::time::Duration;

use super::world::{World, wait_until};
use super::{LONG, version};
use crate::error::ErrorKind;

#[test]
fn a_standby_that_lags_changes_nothing_until_what_is_known_expires() {
    let world = World::new(&["bans"]);
    let buster = world.builder(Duration::from_millis(500)).start().unwrap();
    let bans = buster.cache("bans").unwrap();
    // As if the next connection led to one, with a state from before the other.
    world.invalidate("bans");
    buster.notify().unwrap();
    assert!(bans.is_valid(version(2)));
    world.set(|state| {
        state.caches.insert("bans", 1);
        state.behind = Some(LONG);
        state.cut = true;
    });
    let mut seen = vec![version(2)];
    wait_until("it expires", || match bans.version() {
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
    assert_eq!(seen, [version(2)], "nothing goes back");
    world.set(|state| state.behind = Some(Duration::from_millis(1)));
    wait_until("it has caught up", || bans.is_valid(version(1)));
}

/// It would be believed, if nothing newer were known.
#[test]
fn a_standby_that_is_a_little_behind_turns_nothing_back() {
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
    world.wait("it has looked a few times", |state| state.looks > looks + 5);
    assert!(bans.is_valid(version(2)));
    world.set(|state| {
        state.register("bans", Some(3));
        state.behind = Some(Duration::ZERO);
    });
    wait_until("it has come further", || bans.is_valid(version(3)));
}

/// How far it is behind is told anew with every look, now more and now less: before
/// it has replayed a commit that has just come, it may be long since the last one.
#[test]
fn how_far_a_standby_is_behind_may_change_at_any_time() {
    let world = World::new(&["bans", "ranks"]);
    world.set(|state| state.behind = Some(Duration::ZERO));
    let minute = Duration::from_secs(60);
    let buster = world.builder(minute).poll_interval(minute / 2).start().unwrap();
    let bans = buster.cache("bans").unwrap();
    world.set(|state| state.behind = Some(minute * 60));
    assert!(buster.cache("ranks").is_ok(), "what is seen is no older than what was seen before");
    assert!(bans.is_valid(version(1)));
}

/// A standby is a moment behind, and a commit was told of in that moment.
#[test]
fn what_a_standby_has_replayed_before_a_commit_does_not_hide_it() {
    let world = World::new(&["bans"]);
    world.set(|state| state.behind = Some(Duration::from_secs(2)));
    let buster = world.builder(Duration::from_secs(3000)).start().unwrap();
    let bans = buster.cache("bans").unwrap();
    assert!(bans.is_valid(version(1)));
    assert_eq!(buster.notify().unwrap_err().kind(), ErrorKind::Stale);
    assert!(!bans.is_valid(version(1)));
    world.invalidate("bans");
    world.set(|state| state.behind = Some(Duration::ZERO));
    wait_until("it has replayed it", || bans.is_valid(version(2)));
}

/// Through a pooler each look may be at another standby: one that is far behind is
/// not believed because of another one that was not.
#[test]
fn standbys_behind_a_pooler_are_as_old_as_each_says() {
    let world = World::new(&["bans"]);
    world.set(|state| state.behind = Some(Duration::ZERO));
    let buster = world.builder(Duration::from_millis(500)).start().unwrap();
    let bans = buster.cache("bans").unwrap();
    world.set(|state| {
        state.register("bans", Some(3));
        (state.process, state.behind) = (8, Some(LONG));
    });
    let mut seen = Vec::new();
    wait_until("it expires", || bans.version().map(|version| seen.push(version.get())).is_err());
    assert!(seen.iter().all(|seen| *seen == version(1)), "what is an hour old was believed");
}
