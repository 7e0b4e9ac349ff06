//! Tests of the refresher with a fake database, which answers late or never. In every
//! case the versions are correct or unknown (P7).

mod bad_input;
mod first_level;
mod herds;
#[cfg(feature = "tokio")]
mod herds_async;
mod kinds;
mod lifetime;
mod listener;
#[cfg(feature = "metrics")]
mod metrics;
mod names;
mod standby;
mod world;

use std::sync::mpsc::{channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use self::world::{Manner, PATIENCE, World, wait_until};
use super::CacheBuster;
use super::snapshot::SnapshotState;
use crate::error::ErrorKind;

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(3600);

fn version(n: i64) -> i64 {
    n << 23
}

/// Checks at compile time that the public types can be used in statics, threads and tasks.
const _: () = {
    const fn goes_to_any_thread<T: Send + Sync + 'static>() {}
    goes_to_any_thread::<super::CacheBuster>();
    goes_to_any_thread::<super::Cache>();
    goes_to_any_thread::<super::Values<u8>>();
    goes_to_any_thread::<super::Memo<u8>>();
    goes_to_any_thread::<super::LoadError<u8>>();
    goes_to_any_thread::<super::Stamp>();
};

/// Runs `work` on a thread and panics if it does not end.
#[track_caller]
fn ends<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{what} does not end"))
}

#[test]
fn the_snapshot_expires_and_recovers_after_every_failure() {
    for (looking, connecting) in [
        (Manner::Hangs, Manner::Hangs),
        (Manner::Hangs, Manner::Well),
        (Manner::Fails, Manner::Fails),
        (Manner::Fails, Manner::Well),
    ] {
        let world = World::new(&["bans"]);
        let buster = world.builder(SHORT).start().unwrap();
        let bans = buster.cache("bans").unwrap();
        assert_eq!(bans.version().unwrap().get(), version(1));
        world.set(|state| (state.looking, state.connecting) = (looking, connecting));
        wait_until("the snapshot expires", || !bans.is_valid(version(1)));
        let error = bans.version().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stale);
        let text = error.report().to_string();
        let why = if looking == Manner::Hangs { "it hangs" } else { "it fails" };
        assert!(text.contains("have not been known for") && text.contains(why), "{text}");
        // A cache with a handle is still found. For another name, it is unknown whether it
        // is registered.
        assert!(buster.cache("bans").is_ok());
        assert_eq!(buster.cache("ranks").unwrap_err().kind(), ErrorKind::Stale);
        assert!(!buster.is_valid("bans", version(1)).unwrap());
        assert_eq!(buster.versions(&["bans"]).unwrap_err().kind(), ErrorKind::Stale);

        world.invalidate("bans");
        world.set(|state| (state.looking, state.connecting) = (Manner::Well, Manner::Well));
        wait_until("the version is known again", || bans.version().is_ok());
        assert_eq!(bans.version().unwrap().get(), version(2), "after {looking:?}, {connecting:?}");
    }
}

/// Any role can notify, as often as it wants.
#[test]
fn b4_a_flood_of_notifications_does_not_cause_a_flood_of_polls() {
    let world = World::new(&["bans"]);
    let _buster = world.idle();
    let (began, before) = (Instant::now(), world.state().looks);
    world.set(|state| state.notified = u32::MAX);
    world.wait("it has looked ten times", |state| state.looks >= before + 10);
    world.set(|state| state.notified = 0);
    assert!(began.elapsed() >= 9 * Duration::from_millis(25), "{:?}", began.elapsed());
}

#[test]
fn an_answer_that_comes_too_late_is_rejected() {
    let world = World::new(&["bans"]);
    let buster = world.builder(SHORT).start().unwrap();
    let bans = buster.cache("bans").unwrap();
    world.set(|state| state.looking = Manner::Held);
    let looks = world.state().looks;
    world.wait("the refresher polls", |state| state.looks > looks);
    world.invalidate("bans");
    // The network delays the answer for longer than `max_staleness`.
    thread::sleep(SHORT * 2);
    let changes = world.state().looks;
    world.set(|state| state.looking = Manner::Hangs);
    // The answer contained the first version, which is too old now.
    world.wait("the refresher polls again", |state| state.looks > changes);
    assert!(!bans.is_valid(version(1)) && !bans.is_valid(version(2)));
    world.set(|state| state.looking = Manner::Well);
    wait_until("the version is known", || bans.is_valid(version(2)));
}

/// The state that a poll reads may be outdated before the poll ends.
#[test]
fn a_snapshot_is_as_of_the_start_of_its_poll() {
    let world = World::new(&["bans"]);
    let buster = world.idle();
    let looks = world.state().looks;
    world.set(|state| state.looking = Manner::Held);
    let before = Instant::now();
    let looking = thread::spawn({
        let buster = buster.clone();
        move || buster.notify()
    });
    world.wait("the refresher polls", |state| state.looks > looks);
    let asked = Instant::now();
    wait_until("the poll has taken some time", || Instant::now() > asked);
    world.set(|state| state.looking = Manner::Well);
    looking.join().unwrap().unwrap();

    world.set(|state| (state.looking, state.connecting) = (Manner::Fails, Manner::Fails));
    buster.notify().unwrap_err();
    let snapshot = buster.shared.snapshot();
    let SnapshotState::Expired { since: Some(since), .. } = &*snapshot else {
        panic!("the snapshot has not expired: {snapshot:?}")
    };
    assert!((before..=asked).contains(since), "{:?} too late", since.saturating_duration_since(asked));
}

/// The poll that is in progress at the commit has read the state from before the commit.
#[test]
fn a_poll_that_began_before_a_commit_does_not_hide_it() {
    let world = World::new(&["bans"]);
    let buster = world.idle();
    let bans = buster.cache("bans").unwrap();
    let looks = world.state().looks;
    world.set(|state| state.looking = Manner::Held);
    let early = thread::spawn({
        let buster = buster.clone();
        move || buster.notify()
    });
    world.wait("the refresher polls", |state| state.looks == looks + 1);
    world.invalidate("bans");
    let (sender, told) = sync_channel(1);
    let late = thread::spawn({
        let (buster, bans) = (buster.clone(), bans.clone());
        move || {
            sender.send(()).unwrap();
            buster.notify().unwrap();
            assert!(!bans.is_valid(version(1)));
            assert_eq!(bans.version().unwrap().get(), version(2));
        }
    });
    told.recv().unwrap();
    world.set(|state| state.looking = Manner::Well);
    early.join().unwrap().unwrap();
    late.join().unwrap();
}

#[test]
fn no_version_is_valid_if_the_poll_after_a_commit_fails() {
    let world = World::new(&["bans"]);
    let buster = world.idle();
    let bans = buster.cache("bans").unwrap();
    world.invalidate("bans");
    world.set(|state| (state.looking, state.connecting) = (Manner::Fails, Manner::Fails));
    let told = world.state().told;
    let error = buster.notify().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert!(error.report().to_string().contains("it fails"), "{error}");
    assert!(!bans.is_valid(version(1)));
    world.set(|state| (state.looking, state.connecting) = (Manner::Well, Manner::Well));
    wait_until("the version is known", || bans.is_valid(version(2)));
    assert!(world.state().told > told + 1, "other processes are notified once a poll succeeds");
}

/// Reading the versions succeeds, and reading the registered names fails.
#[test]
fn no_version_is_valid_if_the_poll_after_a_commit_fails_half_way() {
    let world = World::new(&["bans", "ranks"]);
    let buster = world.idle();
    let (bans, ranks) = (buster.cache("bans").unwrap(), buster.cache("ranks").unwrap());
    world.set(|state| {
        state.caches.remove("ranks");
        (state.naming, state.connecting) = (Manner::Fails, Manner::Fails);
    });
    world.invalidate("bans");
    assert_eq!(buster.notify().unwrap_err().kind(), ErrorKind::Stale);
    assert!(!bans.is_valid(version(1)) && !ranks.is_valid(version(1)));
}

/// A lookup ends when its time is up, whatever the database does, and a later one finds
/// the cache.
#[test]
fn c14_a_lookup_waits_no_longer_than_it_may() {
    for manner in [Manner::Hangs, Manner::Held] {
        let world = World::new(&["bans", "ranks", "posts"]);
        let hour = Duration::from_secs(3600);
        let limit = Duration::from_millis(50);
        let buster = world.builder(hour * 2).poll_interval(hour).lookup_timeout(limit).start().unwrap();
        wait_until("it is looked up", || buster.cache("bans").is_ok());
        let bans = buster.cache("bans").unwrap();
        world.set(|state| state.looking = manner);
        for lookup in [
            |buster: &CacheBuster| buster.cache("ranks").map(drop),
            |buster: &CacheBuster| buster.version("ranks").map(drop),
            |buster: &CacheBuster| buster.is_valid("ranks", 1).map(drop),
            |buster: &CacheBuster| buster.versions(&["bans", "ranks", "posts", "x", "y", "z"]).map(drop),
        ] {
            let (error, took) = ends("looking a cache up", {
                let buster = buster.clone();
                move || {
                    let began = Instant::now();
                    (lookup(&buster).unwrap_err(), began.elapsed())
                }
            });
            assert_eq!(error.kind(), ErrorKind::Stale, "{error}");
            assert!(error.message().contains("is not known yet"), "{error}");
            // The held poll does not end before the test lets it.
            assert!(manner != Manner::Held || took >= limit, "{took:?}");
        }
        if manner == Manner::Held {
            let error = buster.cache("fresh").unwrap_err();
            assert!(error.message().contains("did not answer within 50ms"), "{error}");
        }
        // A handle needs no answer.
        assert!(bans.is_valid(version(1)));
        assert!(buster.cache("bans").is_ok());
        world.set(|state| state.looking = Manner::Well);
        wait_until("the other is found", || buster.cache("ranks").is_ok());
    }
}

#[cfg(feature = "tokio")]
#[test]
fn c14_a_lookup_does_not_block_a_task() {
    let world = World::new(&["bans", "ranks"]);
    let hour = Duration::from_secs(3600);
    let limit = Duration::from_secs(1);
    let buster = world.builder(hour * 2).poll_interval(hour).lookup_timeout(limit).start().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        assert_eq!(buster.cache_async("bans").await.unwrap().version().unwrap().get(), version(1));
        assert_eq!(buster.versions_async(&["bans", "ranks"]).await.unwrap().len(), 2);
        assert!(buster.is_valid_async("bans", version(1)).await.unwrap());
        assert_eq!(buster.cache_async("bnas").await.unwrap_err().kind(), ErrorKind::Cache);
        world.set(|state| state.looking = Manner::Held);
        // Both tasks of this one thread go on.
        let (lookup, ticks) = futures_util::future::join(buster.version_async("posts"), async {
            let mut ticks = 0;
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_millis(1)).await;
                ticks += 1;
            }
            ticks
        })
        .await;
        assert_eq!((lookup.unwrap_err().kind(), ticks), (ErrorKind::Stale, 20));
        world.set(|state| state.looking = Manner::Well);
    });
}

/// A caller does not wait for a database that cannot be reached.
#[test]
fn no_caller_waits_while_there_is_no_connection() {
    let world = World::new(&["bans"]);
    let buster = world.idle();
    let bans = buster.cache("bans").unwrap();
    world.cut_off();
    world.wait("the refresher tries repeatedly", |state| state.connects > 3);
    // Without a commit, the snapshot stays until it expires.
    assert!(bans.is_valid(version(1)));
    let other = ends("asking for a cache", {
        let buster = buster.clone();
        move || buster.cache("ranks").unwrap_err()
    });
    assert_eq!(other.kind(), ErrorKind::Stale, "{other}");
    let told = ends("notify", {
        let buster = buster.clone();
        move || buster.notify().unwrap_err()
    });
    assert_eq!(told.kind(), ErrorKind::Stale);
    assert!(!bans.is_valid(version(1)));
}
