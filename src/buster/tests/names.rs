//! Tests of names that are registered, unregistered, or unknown because the database cannot
//! be reached.

use std::thread;
use std::time::Duration;

use super::world::{Manner, World, wait_until};
use super::{LONG, version};
use crate::error::ErrorKind;

/// A name that could not be looked up is not reported as unregistered.
#[test]
fn a_name_that_could_not_be_looked_up_is_stale() {
    let world = World::new(&["bans", "ranks"]);
    let buster = world.idle();
    buster.cache("bans").unwrap();
    world.set(|state| (state.looking, state.connecting) = (Manner::Fails, Manner::Fails));
    let error = buster.cache("ranks").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale, "{error}");
    world.set(|state| (state.looking, state.connecting) = (Manner::Well, Manner::Well));
    wait_until("the cache is found", || buster.cache("ranks").is_ok());
}

#[test]
fn the_error_for_an_unknown_name_suggests_the_nearest_name() {
    let world = World::new(&["bans", "ranks"]);
    let buster = world.idle();
    let error = buster.cache("bnas").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cache);
    assert_eq!(error.advice().map(ToString::to_string).as_deref(), Some("did you mean bans?"));
    let error = buster.version("something else").unwrap_err();
    assert!(error.advice().unwrap().to_string().contains("register cache"), "{error}");
    for (name, words) in [("", "empty"), ("a\nb", "control"), (&*"x".repeat(129), "128")] {
        let error = buster.is_valid(name, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cache);
        assert!(error.message().contains(words), "{error}");
    }
    // Later polls do not request these names.
    buster.cache("bans").unwrap();
    buster.notify().unwrap();
    assert_eq!(buster.shared.wanted(), ["bans"]);
}

#[test]
fn a_cache_that_is_registered_again_keeps_its_handles() {
    let world = World::new(&["bans", "ranks"]);
    let buster = world.idle();
    let bans = buster.cache("bans").unwrap();
    world.set(|state| state.register("bans", None));
    buster.notify().unwrap();
    assert!(!bans.is_valid(version(1)));
    assert_eq!(bans.version().unwrap_err().kind(), ErrorKind::Cache);
    assert_eq!(buster.cache("bans").unwrap_err().kind(), ErrorKind::Cache);
    assert_eq!(buster.versions(&["ranks", "bans"]).unwrap_err().kind(), ErrorKind::Cache);
    world.set(|state| state.register("bans", Some(3)));
    buster.notify().unwrap();
    assert_eq!(bans.version().unwrap().get(), version(3));
    assert!(bans.is_valid(version(3)) && !bans.is_valid(0) && !bans.is_valid(-version(3)));
}

#[test]
fn several_versions_come_from_one_snapshot() {
    let world = World::new(&["bans", "ranks"]);
    let buster = world.builder(LONG).poll_interval(Duration::from_millis(1)).start().unwrap();
    assert_eq!(buster.versions(&[]).unwrap(), []);
    let writer = thread::spawn({
        let world = world.clone();
        move || {
            for n in 2..200 {
                world.set(|state| state.caches.values_mut().for_each(|count| *count = n));
                thread::yield_now();
            }
        }
    });
    let mut last = 0;
    while last < version(199) {
        let versions = buster.versions(&["ranks", "bans"]).unwrap();
        assert_eq!(versions[0], versions[1]);
        assert!(versions[0].get() >= last);
        last = versions[0].get();
    }
    writer.join().unwrap();
}

#[test]
fn many_caches_are_read_by_one_poll() {
    let world = World::new(&["bans", "groups", "ranks"]);
    let buster = world.idle();
    let names = ["ranks", "bans", "groups"];
    let looks = world.state().looks;
    assert_eq!(buster.versions(&names).unwrap().len(), 3);
    for name in names {
        assert!(buster.cache(name).unwrap().is_valid(version(1)));
    }
    assert_eq!(world.state().looks, looks + 1);
    // An unregistered name is an error, and later polls do not request it.
    assert_eq!(
        buster.versions(&["bans", "bnas"]).unwrap_err().advice().map(ToString::to_string).as_deref(),
        Some("did you mean bans?")
    );
    assert_eq!(buster.versions(&["bans", ""]).unwrap_err().kind(), ErrorKind::Cache);
    world.invalidate("bans");
    buster.notify().unwrap();
    assert_eq!(buster.shared.wanted(), ["bans", "groups", "ranks"]);
}
