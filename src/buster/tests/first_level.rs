//! Tests of the first level: what it keeps, for how long, and under which versions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use super::super::{CacheBuster, LoadError, Values};
use super::world::{Manner, World, wait_until};
use super::{SHORT, ends};

/// A type that serde does not know.
#[derive(Debug, PartialEq)]
struct Plain(u64);

fn start(caches: &[&'static str]) -> (World, CacheBuster) {
    let world = World::new(caches);
    let buster = world.idle();
    (world, buster)
}

fn of(buster: &CacheBuster) -> Values<Plain> {
    buster.cache("bans").unwrap().values("v", 1).unwrap()
}

/// Returns whether the value under the key is kept.
fn is_kept(values: &Values<Plain>, key: &str) -> bool {
    values.peek(key).is_some()
}

#[test]
fn c2_a_hit_is_the_value_itself() {
    let (world, buster) = start(&["bans"]);
    let values = of(&buster);
    let value = values.get_or_insert_with("k", || Plain(1));
    let again = values.clone().get_or_insert_with("k", || unreachable!("it is kept"));
    assert!(Arc::ptr_eq(&value, &again) && Arc::ptr_eq(&value, &values.peek("k").unwrap()));
    assert!(values.peek("l").is_none());
    world.invalidate("bans");
    buster.notify().unwrap();
    assert!(values.peek("k").is_none());
    assert_eq!(*values.get_or_insert_with("k", || Plain(2)), Plain(2));
    assert_eq!(*value, Plain(1), "the caller's value remains");
}

/// The version is not current, or unknown: no form returns the value.
#[test]
fn c2_no_value_of_an_unknown_version() {
    let world = World::new(&["bans"]);
    let buster = world.builder(SHORT).start().unwrap();
    let cache = buster.cache("bans").unwrap();
    let values = of(&buster).stale_while_revalidate(Duration::from_secs(1000)).ttl(Duration::from_secs(1000));
    let memo = cache.memo(|| 1);
    values.get_or_insert_with("k", || Plain(1));
    memo.get();
    let stamp = values.stamp().unwrap();
    world.set(|state| state.looking = Manner::Hangs);
    wait_until("the snapshot expires", || cache.version().is_err());
    assert!(values.peek("k").is_none() && values.stamp().is_err());
    for n in 2..4 {
        assert_eq!(*values.get_or_insert_with("k", || Plain(n)), Plain(n));
    }
    let many = values.get_many(&["k"], |keys| Ok::<_, ()>(keys.iter().map(|_| Plain(9)).collect()));
    assert_eq!(*many.unwrap()[0], Plain(9));
    values.insert(&stamp, "k", Plain(5));
    assert!(values.peek("k").is_none());
    // The same version is known again, so what was filed under it is current.
    world.set(|state| state.looking = Manner::Well);
    wait_until("the version is known", || cache.version().is_ok());
    assert_eq!(*values.peek("k").unwrap(), Plain(5));
    world.set(|state| state.looking = Manner::Hangs);
    wait_until("the snapshot expires", || cache.version().is_err());
    drop(buster);
    assert!(values.peek("k").is_none());
}

#[test]
fn c2_limits() {
    let (_world, buster) = start(&["bans"]);
    let fill = |values: &Values<Plain>| {
        (0..1_000).for_each(|n| drop(values.get_or_insert_with(&n.to_string(), || Plain(n))));
        (0..1_000).filter(|n| is_kept(values, &n.to_string())).count()
    };
    assert_eq!(fill(&of(&buster)), 1_000);
    let kept = fill(&of(&buster).max_entries(100));
    assert!((1..=128).contains(&kept), "{kept}");
    assert_eq!(fill(&of(&buster).max_entries(0)), 0, "nothing is kept");
    assert_eq!(*of(&buster).max_entries(0).get_or_insert_with("k", || Plain(1)), Plain(1));
    // By weight: values of 10, and the weight 0 counts as 1.
    let kept = fill(&of(&buster).weigher(1_000, |_, _| 10));
    assert!((1..=128).contains(&kept), "{kept}");
    let kept = fill(&of(&buster).weigher(100, |_, _| 0));
    assert!((1..=128).contains(&kept), "{kept}");
    assert_eq!(fill(&of(&buster).weigher(0, |_, _| 1)), 0);
    assert_eq!(fill(&of(&buster).weigher(1_000, |_, _| u64::MAX)), 0, "each is too heavy");
}

#[test]
fn c2_times_to_live() {
    let (_world, buster) = start(&["bans"]);
    let long = Duration::from_secs(3600);
    let kept = |values: Values<Plain>| {
        values.get_or_insert_with("k", || Plain(1));
        is_kept(&values, "k")
    };
    assert!(kept(of(&buster).ttl(long)));
    assert!(!kept(of(&buster).ttl(Duration::ZERO)));
    assert!(kept(of(&buster).ttl(Duration::MAX).jitter(1.0)), "no overflow");
    assert!(kept(of(&buster).ttl(long).jitter(f64::NAN)));
    assert!(kept(of(&buster).ttl(long).jitter(-1.0)));
    assert!(kept(of(&buster).ttl(long).stale_while_revalidate(Duration::MAX)));
    // Per value: this is how a value that does not exist is kept for a shorter time.
    let values = of(&buster).ttl(long).ttl_by(|_, value| (value.0 == 0).then_some(Duration::ZERO));
    for (key, kept) in [(0, false), (1, true)] {
        values.get_or_insert_with(&key.to_string(), || Plain(key));
        assert_eq!(is_kept(&values, &key.to_string()), kept);
    }
    let values = of(&buster).ttl(Duration::from_millis(5));
    values.get_or_insert_with("k", || Plain(1));
    wait_until("it expires", || !is_kept(&values, "k"));
    assert_eq!(*values.get_or_insert_with("k", || Plain(2)), Plain(2));
}

/// One caller computes the value again; meanwhile others get the old one, until the version
/// changes.
#[test]
fn c2_stale_while_revalidate() {
    let (world, buster) = start(&["bans"]);
    let values = of(&buster).ttl(Duration::ZERO).stale_while_revalidate(Duration::from_secs(3600));
    values.get_or_insert_with("k", || Plain(1));
    assert!(values.peek("k").is_none(), "it is not fresh");
    let (release, released) = sync_channel::<()>(0);
    ends("the callers", move || {
        thread::scope(|scope| {
            let values = &values;
            let first = scope.spawn(move || {
                values.get_or_insert_with("k", || {
                    released.recv().unwrap();
                    Plain(2)
                })
            });
            wait_until("it computes", || values.levels().flights.seats() == 1);
            let stale = values.get_or_insert_with("k", || unreachable!("another caller computes"));
            assert_eq!(*stale, Plain(1));
            world.invalidate("bans");
            buster.notify().unwrap();
            assert_eq!(*values.get_or_insert_with("k", || Plain(3)), Plain(3), "a value of an old version");
            release.send(()).unwrap();
            assert_eq!(*first.join().unwrap(), Plain(2));
            // What was computed for the old version does not replace the new value.
            let (release, released) = sync_channel::<()>(0);
            let first = scope.spawn(move || {
                values.get_or_insert_with("k", || {
                    released.recv().unwrap();
                    Plain(4)
                })
            });
            wait_until("it computes", || values.levels().flights.seats() == 1);
            assert_eq!(*values.get_or_insert_with("k", || unreachable!()), Plain(3));
            release.send(()).unwrap();
            assert_eq!(*first.join().unwrap(), Plain(4));
        });
    });
}

#[test]
fn c2_values_are_inserted_and_removed() {
    let (world, buster) = start(&["bans"]);
    let values = of(&buster);
    let stamp = values.stamp().unwrap();
    values.insert(&stamp, "k", Plain(1));
    assert_eq!(*values.get_or_insert_with("k", || unreachable!()), Plain(1));
    values.remove("k");
    assert!(!is_kept(&values, "k"));
    // A value of an old version does not become current, and replaces no current one.
    world.invalidate("bans");
    buster.notify().unwrap();
    values.insert(&stamp, "k", Plain(2));
    assert!(!is_kept(&values, "k"));
    values.get_or_insert_with("k", || Plain(3));
    values.insert(&stamp, "k", Plain(4));
    assert_eq!(*values.peek("k").unwrap(), Plain(3));
    // The result of a computation that began before the removal is not kept.
    let value = values.get_or_insert_with("l", || {
        values.remove("l");
        Plain(5)
    });
    assert_eq!(*value, Plain(5));
    assert!(!is_kept(&values, "l"));
}

#[test]
fn c2_many_values_at_once() {
    let (_world, buster) = start(&["bans"]);
    let values = of(&buster);
    values.get_or_insert_with("1", || Plain(1));
    let load = |keys: &[&str]| {
        assert_eq!(keys, ["0", "2"]);
        Ok::<_, &str>(keys.iter().map(|key| Plain(key.parse().unwrap())).collect())
    };
    let all = values.get_many(&["0", "1", "2"], load).unwrap();
    assert_eq!(all.iter().map(|value| value.0).collect::<Vec<_>>(), [0, 1, 2]);
    let never = |_: &[&str]| -> Result<Vec<Plain>, &str> { unreachable!("all are kept") };
    assert_eq!(values.get_many(&["2", "0", "2"], never).unwrap().len(), 3);
    assert!(values.get_many(&[], never).unwrap().is_empty());
    let error = values.get_many(&["3", "4"], |_| Ok::<_, &str>(vec![Plain(3)])).unwrap_err();
    assert!(matches!(error, LoadError::Count { keys: 2, values: 1 }), "{error}");
    let error = values.get_many(&["3"], |_| Err("down")).unwrap_err();
    assert_eq!(error.failure(), Some(&"down"));
}

#[test]
fn c2_values_of_several_caches() {
    let (world, buster) = start(&["bans", "permissions", "ranks"]);
    let values = buster.values_of::<Plain>(&["permissions", "bans", "bans"], "v", 1).unwrap();
    let mut kept = 1;
    let mut changes = |cache: &'static str, is_changed: bool| {
        world.invalidate(cache);
        buster.notify().unwrap();
        assert_eq!(is_kept(&values, "k"), !is_changed && kept > 1, "{cache}");
        kept += 1;
        let value = values.get_or_insert_with("k", || Plain(kept));
        assert_eq!(value.0 == kept, is_changed || kept == 2, "{cache}");
    };
    changes("bans", true);
    changes("permissions", true);
    changes("ranks", false);
    changes("bans", true);
    // Equal sums of the versions are other versions.
    world.set(|state| {
        *state.caches.get_mut("bans").unwrap() += 1;
        *state.caches.get_mut("permissions").unwrap() -= 1;
        *state.caches.get_mut("ranks").unwrap() += 1;
    });
    buster.notify().unwrap();
    assert!(!is_kept(&values, "k"));
    assert!(buster.values_of::<Plain>(&[], "v", 1).is_err());
    assert!(buster.values_of::<Plain>(&["bans", "absent"], "v", 1).is_err());
    assert!(buster.values_of::<u64>(&["bans", "permissions"], "v", 1).is_err(), "another type");
    buster.values_of::<u64>(&["bans", "ranks"], "v", 1).unwrap();
}

#[test]
fn c2_a_memo_is_computed_once_for_each_version() {
    let (world, buster) = start(&["bans"]);
    let computed = Arc::new(AtomicU64::new(0));
    let memo = buster.cache("bans").unwrap().memo({
        let computed = computed.clone();
        move || Plain(computed.fetch_add(1, Ordering::SeqCst))
    });
    for version in 0..3 {
        assert_eq!(*memo.get(), Plain(version));
        assert!(Arc::ptr_eq(&memo.get(), &memo.clone().get()));
        assert_eq!(memo.with(|value| value.0), version);
        world.invalidate("bans");
        buster.notify().unwrap();
    }
    assert_eq!(computed.load(Ordering::SeqCst), 3);
    let failing = buster.cache("bans").unwrap().try_memo(|| Err::<u64, _>("down"));
    assert_eq!(failing.try_with(|_| ()).unwrap_err().failure(), Some(&"down"));
}

/// A value whose time has ended does not come back from the store.
#[test]
fn c2_times_to_live_apply_to_the_store() {
    let (_world, buster) = start(&["bans"]);
    let cache = buster.cache("bans").unwrap();
    let handle = |ttl| cache.values::<u64>("number", 1).unwrap().ttl(ttl).shared();
    let mut next = 0;
    let mut get = |values: &Values<u64>| {
        next += 1;
        *values.get_or_insert_with("k", || next)
    };
    let short = handle(Duration::from_millis(20));
    assert_eq!(get(&short), 1);
    wait_until("it expires", || short.peek("k").is_none());
    assert_eq!(get(&short), 2);
    // A handle with a longer time does not prolong the life of the value.
    let long = handle(Duration::from_secs(3600));
    if get(&long) == 2 {
        wait_until("it expires", || long.peek("k").is_none());
    }
}

#[test]
fn c2_lookups_are_counted() {
    let (world, buster) = start(&["bans", "ranks"]);
    let (values, cache) = (of(&buster), buster.cache("bans").unwrap());
    let counts = || {
        let stats = cache.stats();
        [stats.hits, stats.shared_hits, stats.joined, stats.loads, stats.failures]
    };
    values.get_or_insert_with("k", || Plain(1));
    assert_eq!(counts(), [0, 0, 0, 1, 0]);
    (0..3).for_each(|_| drop(values.get_or_insert_with("k", || unreachable!())));
    assert!(values.get_or_try_insert_with("l", || Err("down")).is_err());
    assert_eq!(counts(), [3, 0, 0, 2, 1]);
    let memo = cache.memo(|| 1);
    assert_eq!((*memo.get(), *memo.get(), memo.with(|one| *one)), (1, 1, 1));
    assert_eq!(counts(), [5, 0, 0, 3, 1]);
    let number = cache.values::<u64>("number", 1).unwrap().max_entries(0).shared();
    (0..2).for_each(|_| drop(number.get_or_insert_with("k", || 1)));
    world.invalidate("bans");
    buster.notify().unwrap();
    assert_eq!(counts(), [5, 1, 0, 4, 1]);
    let both = buster.values_of::<u64>(&["bans", "ranks"], "both", 1).unwrap();
    (0..2).for_each(|_| drop(both.get_or_insert_with("k", || 1)));
    assert_eq!(counts(), [6, 1, 0, 5, 1]);
    let all = buster.stats();
    assert_eq!((all.hits, all.loads), (7, 6));
}
