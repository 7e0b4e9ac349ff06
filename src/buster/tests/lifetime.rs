//! Tests of the start, the retries and the end of a `CacheBuster`, and of its times.

use std::time::Duration;

use super::world::{Manner, World, wait_until};
use super::{LONG, SHORT, ends, version};
use crate::error::ErrorKind;

#[test]
fn after_the_last_clone_is_dropped_the_thread_ends_and_versions_are_unknown() {
    for looking in [Manner::Well, Manner::Hangs, Manner::Held] {
        let world = World::new(&["bans"]);
        let buster = world.builder(LONG).start().unwrap();
        let bans = buster.cache("bans").unwrap();
        let values = bans.values::<i64>("forum", 1).unwrap().shared();
        let clone = buster.clone();
        drop(buster);
        assert!(!world.state().dropped && bans.is_valid(version(1)));
        world.set(|state| state.looking = looking);
        if looking != Manner::Well {
            let looks = world.state().looks;
            world.wait("the refresher polls", |state| state.looks > looks);
        }
        ends("dropping it", move || drop(clone));
        assert!(world.state().dropped, "the thread has ended");
        assert!(!bans.is_valid(version(1)));
        let error = bans.version().unwrap_err();
        assert!(error.report().to_string().contains("has ended"), "{error}");
        let mut computed = 0;
        for _ in 0..2 {
            values.get_or_insert_with("k", || {
                computed += 1;
                computed
            });
        }
        assert_eq!(computed, 2, "no value is stored");
    }
}

#[test]
fn a_failed_first_poll_is_an_error_and_leaves_no_thread() {
    for (connecting, looking) in [(Manner::Fails, Manner::Well), (Manner::Well, Manner::Fails)] {
        let world = World::new(&["bans"]);
        world.set(|state| (state.connecting, state.looking) = (connecting, looking));
        let error = world.builder(SHORT).start().unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Connection, "it fails"));
        assert!(world.state().dropped);
    }
}

#[test]
fn pauses_grow_to_a_limit_and_start_again() {
    let world = World::new(&["bans"]);
    let buster = world.idle();
    let bans = buster.cache("bans").unwrap();
    world.cut_off();
    world.wait("the refresher has tried six times", |state| state.pauses.len() >= 6);
    let pauses = std::mem::take(&mut world.state().pauses);
    assert!(pauses.windows(3).take(4).all(|pair| pair[0] < pair[2]), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(2)), "{pauses:?}");
    world.invalidate("bans");
    world.set(|state| state.connecting = Manner::Well);
    wait_until("the version is known again", || bans.is_valid(version(2)));
    world.set(|state| {
        state.connecting = Manner::Fails;
        state.pauses.clear();
        state.cut = true;
    });
    world.wait("the refresher has tried once", |state| !state.pauses.is_empty());
    assert!(world.state().pauses[0] < pauses[5], "the first pause is short again");
}

#[test]
fn invalid_times_are_refused_and_long_times_are_accepted() {
    let world = World::new(&["bans"]);
    for (interval, staleness) in
        [(Duration::ZERO, LONG), (LONG, LONG), (Duration::MAX, LONG), (Duration::MAX, Duration::from_secs(1))]
    {
        let error = world.builder(staleness).poll_interval(interval).start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    }
    let buster = world.builder(Duration::MAX).poll_interval(Duration::MAX / 2).start().unwrap();
    assert!(buster.is_valid("bans", version(1)).unwrap());
    buster.notify().unwrap();
}
