//! Tests of listeners: the changes that they receive, and what they may do in a call.

use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};

use super::world::{Manner, PATIENCE, World, wait_until};
use super::{LONG, SHORT, version};
use crate::buster::{Cache, CacheBuster, Change};

fn listening(world: &World) -> (CacheBuster, Arc<Mutex<Vec<Change>>>) {
    let changes = Arc::<Mutex<Vec<Change>>>::default();
    let listener = {
        let changes = changes.clone();
        move |change: &Change| changes.lock().unwrap().push(change.clone())
    };
    (world.builder(SHORT).on_change(listener).start().unwrap(), changes)
}

#[test]
fn a_listener_receives_all_changes_in_order() {
    let world = World::new(&["bans"]);
    let (buster, changes) = listening(&world);
    let heard = |count| {
        wait_until("the listener is called", || changes.lock().unwrap().len() >= count);
        std::mem::take(&mut *changes.lock().unwrap())
    };
    assert_eq!(heard(0), []);
    world.invalidate("bans");
    buster.notify().unwrap();
    let number = |n| crate::CacheVersion::new(version(n));
    let changed = |before, after| Change::Version { cache: "bans".to_owned(), before, after };
    assert_eq!(heard(1), [changed(number(1), number(2))]);
    world.set(|state| state.register("bans", None));
    buster.notify().unwrap();
    assert_eq!(heard(1), [changed(number(2), None)]);
    world.set(|state| (state.looking, state.connecting) = (Manner::Fails, Manner::Fails));
    assert_eq!(heard(1), [Change::Lost { why: "it fails".to_owned() }]);
    // A change that happened while contact was lost is reported after `Found`.
    world.set(|state| {
        state.register("bans", Some(7));
        (state.looking, state.connecting) = (Manner::Well, Manner::Well);
    });
    assert_eq!(heard(2), [Change::Found, changed(None, number(7))]);
}

/// When the listener is called with `Lost`, handles already return errors.
#[test]
fn versions_are_unknown_before_the_loss_is_reported() {
    let world = World::new(&["bans"]);
    let handle = Arc::<OnceLock<Cache>>::default();
    let (sender, lost) = channel();
    let listener = {
        let handle = handle.clone();
        move |change: &Change| {
            if let (Change::Lost { .. }, Some(bans)) = (change, handle.get()) {
                let _ = sender.send(bans.is_valid(version(1)));
            }
        }
    };
    let buster = world.builder(SHORT).on_change(listener).start().unwrap();
    handle.set(buster.cache("bans").unwrap()).unwrap();
    world.set(|state| (state.looking, state.connecting) = (Manner::Fails, Manner::Fails));
    assert!(!lost.recv_timeout(PATIENCE).unwrap(), "the version was still valid");
}

#[test]
fn a_listener_may_use_the_cache_buster_and_does_not_wait_for_itself() {
    let world = World::new(&["bans", "ranks"]);
    let slot = Arc::<OnceLock<CacheBuster>>::default();
    let (sender, asked) = channel();
    let listener = {
        let slot = slot.clone();
        move |_: &Change| {
            if let Some(buster) = slot.get() {
                let versions = buster.versions(&["bans", "ranks"]);
                let _ = (buster.notify(), sender.send(versions.map(|versions| versions[0].get())));
            }
        }
    };
    let buster = world.builder(LONG).on_change(listener).start().unwrap();
    assert!(slot.set(buster).is_ok());
    world.invalidate("bans");
    assert_eq!(asked.recv_timeout(PATIENCE).unwrap().unwrap(), version(2));
}

#[test]
fn a_cache_buster_may_be_dropped_by_its_own_listener() {
    let world = World::new(&["bans"]);
    let slot = Arc::<Mutex<Option<CacheBuster>>>::default();
    let listener = {
        let slot = slot.clone();
        move |_: &Change| drop(slot.lock().unwrap().take())
    };
    let buster = world.builder(LONG).on_change(listener).start().unwrap();
    *slot.lock().unwrap() = Some(buster);
    world.invalidate("bans");
    world.wait("the refresher ends", |state| state.dropped);
}

/// A slow listener delays neither polls nor the expiry of the snapshot (P7), and receives
/// the merged changes afterwards.
#[test]
fn a_slow_listener_delays_nothing() {
    let world = World::new(&["bans"]);
    let (sender, changes) = channel();
    let (release, released) = sync_channel::<()>(0);
    let listener = move |change: &Change| {
        let _ = sender.send(change.clone());
        let _ = released.recv_timeout(PATIENCE);
    };
    let buster = world.builder(SHORT).on_change(listener).start().unwrap();
    let bans = buster.cache("bans").unwrap();
    world.invalidate("bans");
    let number = |n| crate::CacheVersion::new(version(n));
    let changed = |before, after| Change::Version { cache: "bans".to_owned(), before, after };
    assert_eq!(changes.recv_timeout(PATIENCE).unwrap(), changed(number(1), number(2)));

    world.set(|state| (state.looking, state.connecting) = (Manner::Fails, Manner::Fails));
    wait_until("the snapshot expires", || !bans.is_valid(version(2)));
    world.set(|state| (state.looking, state.connecting) = (Manner::Well, Manner::Well));
    world.invalidate("bans");
    wait_until("the version is known again", || bans.is_valid(version(3)));
    world.invalidate("bans");
    wait_until("the next version is known", || bans.is_valid(version(4)));
    assert!(changes.try_recv().is_err(), "the first call has not returned");
    release.send(()).unwrap();
    assert_eq!(changes.recv_timeout(PATIENCE).unwrap(), changed(number(2), number(4)));
    drop(release);
}

/// A panic of the listener affects only the listener.
#[test]
fn a_listener_that_panics_is_not_called_again() {
    let world = World::new(&["bans"]);
    let (sender, changes) = channel();
    let listener = move |change: &Change| {
        let _ = sender.send(change.clone());
        panic!("on purpose");
    };
    let buster = world.builder(LONG).on_change(listener).start().unwrap();
    let bans = buster.cache("bans").unwrap();
    for n in 2..4 {
        world.invalidate("bans");
        wait_until("the version is known", || bans.is_valid(version(n)));
    }
    changes.recv_timeout(PATIENCE).unwrap();
    assert!(changes.recv_timeout(PATIENCE).is_err(), "the listener was called again");
}

/// With a listener, all caches are read, not only requested caches.
#[test]
fn with_a_listener_the_error_for_an_unknown_name_suggests_the_nearest_name() {
    let world = World::new(&["bans", "ranks"]);
    let buster = world.builder(LONG).on_change(|_| {}).start().unwrap();
    let error = buster.cache("bnas").unwrap_err();
    assert_eq!(error.advice().map(ToString::to_string).as_deref(), Some("did you mean bans?"));
}

/// A new handle gets its version from the snapshot, because no poll returns a change.
#[test]
fn with_a_listener_a_new_handle_has_the_version_of_the_snapshot() {
    let world = World::new(&["bans"]);
    let hour = std::time::Duration::from_secs(3600);
    let builder = world.builder(hour * 2).poll_interval(hour);
    let buster = builder.on_change(|_| {}).start().unwrap();
    let bans = buster.cache("bans").unwrap();
    assert_eq!(bans.version().unwrap().get(), version(1));
    assert!(bans.is_valid(version(1)));
    assert!(buster.is_valid("bans", version(1)).unwrap());
    assert_eq!(buster.versions(&["bans"]).unwrap()[0].get(), version(1));
}
