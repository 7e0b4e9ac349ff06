//! The refresher before a database that does as it is told: it answers late or
//! never, and whatever happens, what is known is right or is not known (P7).

mod listener;
mod world;

use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use self::world::{Forgetful, Manner, PATIENCE, World, wait_until};
use super::knowledge::Knowledge;
use crate::error::ErrorKind;

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(3600);

fn version(n: i64) -> i64 {
    n << 23
}

/// It ends, and not because the test does.
#[track_caller]
fn ends<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{what} does not end"))
}

#[test]
fn whatever_hangs_or_fails_the_snapshot_expires_and_comes_back() {
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
        wait_until("it expires", || !bans.is_valid(version(1)));
        let error = bans.version().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stale);
        let text = error.to_string();
        let why = if looking == Manner::Hangs { "it hangs" } else { "it fails" };
        assert!(text.contains("have not been known for") && text.contains(why), "{text}");
        // A handle that there is stays one; nobody can say whether there are others.
        assert!(buster.cache("bans").is_ok());
        assert_eq!(buster.cache("ranks").unwrap_err().kind(), ErrorKind::Stale);
        assert!(!buster.is_valid("bans", version(1)).unwrap());
        assert_eq!(buster.get_versions(&["bans"]).unwrap_err().kind(), ErrorKind::Stale);

        world.invalidate("bans");
        world.set(|state| (state.looking, state.connecting) = (Manner::Well, Manner::Well));
        wait_until("it is known again", || bans.version().is_ok());
        assert_eq!(bans.version().unwrap().get(), version(2), "after {looking:?}, {connecting:?}");
    }
}

#[test]
fn an_answer_that_comes_too_late_is_not_believed() {
    let world = World::new(&["bans"]);
    let buster = world.builder(SHORT).start().unwrap();
    let bans = buster.cache("bans").unwrap();
    world.set(|state| state.looking = Manner::Held);
    let looks = world.state().looks;
    world.wait("it looks", |state| state.looks > looks);
    world.invalidate("bans");
    // The network holds the answer back for longer than it is good for.
    thread::sleep(SHORT * 2);
    let changes = world.state().looks;
    world.set(|state| state.looking = Manner::Hangs);
    // What it said was of the first invalidation; now that one is unknown, too.
    world.wait("it looks again", |state| state.looks > changes);
    assert!(!bans.is_valid(version(1)) && !bans.is_valid(version(2)));
    world.set(|state| state.looking = Manner::Well);
    wait_until("it is known", || bans.is_valid(version(2)));
}

/// What a look sees may be over before it ends.
#[test]
fn what_is_known_is_as_of_the_start_of_the_look() {
    let world = World::new(&["bans"]);
    let buster = world.idle();
    let looks = world.state().looks;
    world.set(|state| state.looking = Manner::Held);
    let before = Instant::now();
    let looking = thread::spawn({
        let buster = buster.clone();
        move || buster.notify()
    });
    world.wait("it looks", |state| state.looks > looks);
    let asked = Instant::now();
    wait_until("the look has taken some time", || Instant::now() > asked);
    world.set(|state| state.looking = Manner::Well);
    looking.join().unwrap().unwrap();

    world.set(|state| (state.looking, state.connecting) = (Manner::Fails, Manner::Fails));
    buster.notify().unwrap_err();
    let knowledge = buster.shared.knowledge();
    let Knowledge::Unknown { since: Some(since), .. } = &*knowledge else {
        panic!("it has known something, and does not now: {knowledge:?}")
    };
    assert!((before..=asked).contains(since), "{:?} too late", since.saturating_duration_since(asked));
}

/// The look under way has seen the state from before the commit.
#[test]
fn a_look_that_began_before_a_commit_does_not_hide_it() {
    let world = World::new(&["bans"]);
    let buster = world.idle();
    let bans = buster.cache("bans").unwrap();
    let looks = world.state().looks;
    world.set(|state| state.looking = Manner::Held);
    let early = thread::spawn({
        let buster = buster.clone();
        move || buster.notify()
    });
    world.wait("it looks", |state| state.looks == looks + 1);
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
fn after_a_commit_a_look_that_fails_leaves_nothing_valid() {
    let world = World::new(&["bans"]);
    let buster = world.idle();
    let bans = buster.cache("bans").unwrap();
    world.invalidate("bans");
    world.set(|state| (state.looking, state.connecting) = (Manner::Fails, Manner::Fails));
    let told = world.state().told;
    let error = buster.notify().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert!(error.to_string().contains("it fails"), "{error}");
    assert!(!bans.is_valid(version(1)));
    world.set(|state| (state.looking, state.connecting) = (Manner::Well, Manner::Well));
    wait_until("it is known", || bans.is_valid(version(2)));
    assert!(world.state().told > told + 1, "others are told once it works");
}

/// The versions come, and then the names of those that are registered do not.
#[test]
fn after_a_commit_a_look_that_fails_half_way_leaves_nothing_valid() {
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

/// Whoever has committed is not kept waiting for a database that is away.
#[test]
fn nobody_waits_while_there_is_no_connection() {
    let world = World::new(&["bans"]);
    let buster = world.idle();
    let bans = buster.cache("bans").unwrap();
    world.set(|state| {
        state.connecting = Manner::Fails;
        state.cut = true;
    });
    world.wait("it tries again and again", |state| state.connects > 3);
    // Nobody has committed anything: what is known is good for its time.
    assert!(bans.is_valid(version(1)));
    let other = ends("asking for a cache", {
        let buster = buster.clone();
        move || buster.cache("ranks").unwrap_err()
    });
    assert_eq!(other.kind(), ErrorKind::Stale, "{other}");
    let told = ends("telling of a commit", {
        let buster = buster.clone();
        move || buster.notify().unwrap_err()
    });
    assert_eq!(told.kind(), ErrorKind::Stale);
    assert!(!bans.is_valid(version(1)));
}

/// A name that nobody has asked the database about is not an unregistered one.
#[test]
fn what_could_not_be_asked_is_not_called_unregistered() {
    let world = World::new(&["bans", "ranks"]);
    let buster = world.idle();
    buster.cache("bans").unwrap();
    world.set(|state| (state.looking, state.connecting) = (Manner::Fails, Manner::Fails));
    let error = buster.cache("ranks").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale, "{error}");
    world.set(|state| (state.looking, state.connecting) = (Manner::Well, Manner::Well));
    wait_until("it can be asked", || buster.cache("ranks").is_ok());
}

#[test]
fn unknown_names_are_errors_with_the_nearest_known_one() {
    let world = World::new(&["bans", "ranks"]);
    let buster = world.idle();
    let error = buster.cache("bnas").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cache);
    assert_eq!(error.help_text(), Some("did you mean bans?"));
    let error = buster.get_version("something else").unwrap_err();
    assert!(error.help_text().unwrap().contains("register cache"), "{error}");
    for (name, words) in [("", "empty"), ("a\nb", "control"), (&*"x".repeat(129), "128")] {
        let error = buster.is_valid(name, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cache);
        assert!(error.message().contains(words), "{error}");
    }
    // And none of them is looked for ever after.
    buster.cache("bans").unwrap();
    buster.notify().unwrap();
    assert_eq!(buster.shared.wanted(), ["bans"]);
}

#[test]
fn a_cache_that_goes_and_comes_keeps_its_handles() {
    let world = World::new(&["bans", "ranks"]);
    let buster = world.idle();
    let bans = buster.cache("bans").unwrap();
    world.set(|state| state.register("bans", None));
    buster.notify().unwrap();
    assert!(!bans.is_valid(version(1)));
    assert_eq!(bans.version().unwrap_err().kind(), ErrorKind::Cache);
    assert_eq!(buster.cache("bans").unwrap_err().kind(), ErrorKind::Cache);
    assert_eq!(buster.get_versions(&["ranks", "bans"]).unwrap_err().kind(), ErrorKind::Cache);
    world.set(|state| state.register("bans", Some(3)));
    buster.notify().unwrap();
    assert_eq!(bans.version().unwrap().get(), version(3));
    assert!(bans.is_valid(version(3)) && !bans.is_valid(0) && !bans.is_valid(-version(3)));
}

#[test]
fn several_versions_are_of_one_snapshot() {
    let world = World::new(&["bans", "ranks"]);
    let buster = world.builder(LONG).poll_interval(Duration::from_millis(1)).start().unwrap();
    assert_eq!(buster.get_versions(&[]).unwrap(), []);
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
        let versions = buster.get_versions(&["ranks", "bans"]).unwrap();
        assert_eq!(versions[0], versions[1]);
        assert!(versions[0].get() >= last);
        last = versions[0].get();
    }
    writer.join().unwrap();
}

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
    });
    let mut seen = vec![version(2)];
    wait_until("it expires", || match bans.version() {
        Ok(version) => {
            seen.push(version.get());
            false
        }
        Err(error) => {
            assert!(error.to_string().contains("a standby that is 3600.0 s behind"), "{error}");
            true
        }
    });
    seen.dedup();
    assert_eq!(seen, [version(2)], "nothing goes back");
    world.set(|state| state.behind = Some(Duration::from_millis(1)));
    wait_until("it has caught up", || bans.is_valid(version(1)));
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

#[test]
fn the_thread_ends_with_the_last_clone_and_handles_know_nothing_then() {
    for looking in [Manner::Well, Manner::Hangs, Manner::Held] {
        let world = World::new(&["bans"]);
        let buster = world.builder(LONG).start().unwrap();
        let bans = buster.cache("bans").unwrap();
        let values = bans.values::<i64>("forum", 1);
        let clone = buster.clone();
        drop(buster);
        assert!(!world.state().dropped && bans.is_valid(version(1)));
        world.set(|state| state.looking = looking);
        if looking != Manner::Well {
            let looks = world.state().looks;
            world.wait("it looks", |state| state.looks > looks);
        }
        ends("dropping it", move || drop(clone));
        assert!(world.state().dropped, "the thread is gone with its owner");
        assert!(!bans.is_valid(version(1)));
        let error = bans.version().unwrap_err();
        assert!(error.to_string().contains("has ended"), "{error}");
        let mut computed = 0;
        for _ in 0..2 {
            values.get_or_insert_with("k", || {
                computed += 1;
                computed
            });
        }
        assert_eq!(computed, 2, "nothing is kept");
    }
}

#[test]
fn a_first_look_that_fails_is_an_error_and_leaves_no_thread() {
    for (connecting, looking) in [(Manner::Fails, Manner::Well), (Manner::Well, Manner::Fails)] {
        let world = World::new(&["bans"]);
        world.set(|state| (state.connecting, state.looking) = (connecting, looking));
        let error = world.builder(SHORT).start().unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Connection, "it fails"));
        assert!(world.state().dropped);
    }
}

#[test]
fn pauses_grow_to_a_limit_and_begin_anew() {
    let world = World::new(&["bans"]);
    let buster = world.idle();
    let bans = buster.cache("bans").unwrap();
    world.set(|state| {
        state.connecting = Manner::Fails;
        state.cut = true;
    });
    world.wait("it has tried", |state| state.pauses.len() >= 6);
    let pauses = std::mem::take(&mut world.state().pauses);
    assert!(pauses.windows(3).take(4).all(|pair| pair[0] < pair[2]), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(2)), "{pauses:?}");
    world.invalidate("bans");
    world.set(|state| state.connecting = Manner::Well);
    wait_until("it is there again", || bans.is_valid(version(2)));
    world.set(|state| {
        state.connecting = Manner::Fails;
        state.pauses.clear();
        state.cut = true;
    });
    world.wait("it has tried", |state| !state.pauses.is_empty());
    assert!(world.state().pauses[0] < pauses[5], "it was short at first");
}

#[test]
fn times_that_make_no_sense_are_refused_and_long_ones_taken() {
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

/// One computes for many; if it fails they do not queue up behind one another.
#[test]
fn those_who_waited_for_a_failure_compute_side_by_side() {
    const FOLLOWERS: usize = 4;
    let world = World::new(&["bans"]);
    let hour = Duration::from_secs(3600);
    let builder = world.builder(hour * 2).poll_interval(hour).store(Forgetful);
    let buster = builder.start().unwrap();
    let values = buster.cache("bans").unwrap().values::<i64>("forum", 1);
    let (sender, leading) = sync_channel(1);
    let (release, released) = sync_channel::<()>(1);
    let leader = thread::spawn({
        let values = values.clone();
        move || {
            values.get_or_try_insert_with("k", || {
                sender.send(()).unwrap();
                released.recv().unwrap();
                Err::<i64, _>("the leader fails")
            })
        }
    });
    leading.recv().unwrap();
    let together = Arc::new(Barrier::new(FOLLOWERS));
    let followers: Vec<_> = (0..FOLLOWERS)
        .map(|_| {
            let (values, together) = (values.clone(), together.clone());
            thread::spawn(move || {
                values.get_or_insert_with("k", || {
                    together.wait();
                    5
                })
            })
        })
        .collect();
    wait_until("they wait", || buster.shared.flights.followers() == FOLLOWERS);
    release.send(()).unwrap();
    assert_eq!(leader.join().unwrap(), Err("the leader fails"));
    for follower in followers {
        assert_eq!(ends("a follower", move || follower.join().unwrap()), 5);
    }
}
