//! Listeners: what they are told, when, and what they may do meanwhile.

use std::sync::mpsc::channel;
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
fn a_listener_hears_of_everything_in_order() {
    let world = World::new(&["bans"]);
    let (buster, changes) = listening(&world);
    let heard = || std::mem::take(&mut *changes.lock().unwrap());
    assert_eq!(heard(), []);
    world.invalidate("bans");
    buster.notify().unwrap();
    let number = |n| crate::CacheVersion::new(version(n));
    let changed = |before, after| Change::Version { cache: "bans".to_owned(), before, after };
    assert_eq!(heard(), [changed(number(1), number(2))]);
    world.set(|state| state.register("bans", None));
    buster.notify().unwrap();
    assert_eq!(heard(), [changed(number(2), None)]);
    world.set(|state| (state.looking, state.connecting) = (Manner::Fails, Manner::Fails));
    wait_until("it is lost", || !changes.lock().unwrap().is_empty());
    assert_eq!(heard(), [Change::Lost { why: "it fails".to_owned() }]);
    // What changes meanwhile is told after that.
    world.set(|state| {
        state.register("bans", Some(7));
        (state.looking, state.connecting) = (Manner::Well, Manner::Well);
    });
    wait_until("it is found", || changes.lock().unwrap().len() == 2);
    assert_eq!(heard(), [Change::Found, changed(None, number(7))]);
}

/// When the listener is told that versions are lost, they are.
#[test]
fn what_is_lost_is_lost_before_it_is_told() {
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
    assert!(!lost.recv_timeout(PATIENCE).unwrap(), "it was still valid");
}

#[test]
fn a_listener_may_ask_and_does_not_wait_for_itself() {
    let world = World::new(&["bans", "ranks"]);
    let slot = Arc::<OnceLock<CacheBuster>>::default();
    let (sender, asked) = channel();
    let listener = {
        let slot = slot.clone();
        move |_: &Change| {
            if let Some(buster) = slot.get() {
                let versions = buster.get_versions(&["bans", "ranks"]);
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
fn it_may_be_dropped_by_its_own_listener() {
    let world = World::new(&["bans"]);
    let slot = Arc::<Mutex<Option<CacheBuster>>>::default();
    let listener = {
        let slot = slot.clone();
        move |_: &Change| drop(slot.lock().unwrap().take())
    };
    let buster = world.builder(LONG).on_change(listener).start().unwrap();
    *slot.lock().unwrap() = Some(buster);
    world.invalidate("bans");
    world.wait("its thread ends", |state| state.dropped);
}

/// Looked at are all caches then, not only those that were asked for.
#[test]
fn beside_a_listener_unknown_names_are_errors_with_the_nearest_known_one() {
    let world = World::new(&["bans", "ranks"]);
    let buster = world.builder(LONG).on_change(|_| {}).start().unwrap();
    let error = buster.cache("bnas").unwrap_err();
    assert_eq!(error.help_text(), Some("did you mean bans?"));
}
