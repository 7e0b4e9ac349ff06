//! Tests bad input of values: stores that lose or mix up entries, computations that do not end
//! or request themselves, and no room for values.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use super::super::{CacheBuster, LoadError, Memo};
use super::ends;
use super::world::{World, wait_until};
use crate::error::Result;
use crate::store::Store;

const HOUR: Duration = Duration::from_secs(3600);

/// What a store does with its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    LosesAll,
    LosesEverySecond,
    LosesOnceRead,
    ReturnsAnother,
    Truncates,
    FlipsABit,
}

#[derive(Clone, Debug)]
struct Faulty {
    fault: Fault,
    calls: Arc<AtomicU64>,
    entries: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Faulty {
    fn new(fault: Fault) -> Self {
        Faulty { fault, calls: Arc::default(), entries: Arc::default() }
    }
}

impl Store for Faulty {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let mut entries = self.entries.lock().unwrap();
        let mut found = match self.fault {
            Fault::LosesOnceRead => entries.remove(key),
            Fault::ReturnsAnother => {
                entries.iter().find(|(other, _)| *other != key).map(|(_, bytes)| bytes.clone())
            }
            _ => entries.get(key).cloned(),
        };
        if let Some(bytes) = &mut found {
            match self.fault {
                Fault::Truncates => bytes.truncate(bytes.len() - 1),
                Fault::FlipsABit => {
                    let at = bytes.len() / 2;
                    bytes[at] ^= 1;
                }
                _ => {}
            }
        }
        Ok(found)
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        // It says that it has stored the value.
        let loses =
            self.fault == Fault::LosesAll || self.fault == Fault::LosesEverySecond && call.is_multiple_of(2);
        if !loses {
            self.entries.lock().unwrap().insert(key.to_owned(), value.to_owned());
        }
        Ok(())
    }
}

fn with(store: Faulty) -> (World, CacheBuster) {
    let world = World::new(&["bans"]);
    let buster = world.builder(HOUR * 2).poll_interval(HOUR).store(store).start().unwrap();
    (world, buster)
}

/// Every value is right, whatever the store does; only the number of computations differs.
#[test]
fn i10_a_store_that_accepts_and_loses() {
    for (fault, loads) in [
        (Fault::None, 20..=20),
        (Fault::LosesAll, 80..=80),
        (Fault::LosesEverySecond, 20..=80),
        (Fault::LosesOnceRead, 40..=40),
        (Fault::ReturnsAnother, 80..=80),
        (Fault::Truncates, 80..=80),
        (Fault::FlipsABit, 80..=80),
    ] {
        let (world, buster) = with(Faulty::new(fault));
        let values = buster.cache("bans").unwrap().values_by::<u64, u64>("v", 1).unwrap();
        let values = values.max_entries(0).shared();
        for version in 0..4 {
            for _ in 0..4 {
                for key in 0..5 {
                    let expected = version * 100 + key;
                    assert_eq!(*values.get_or_insert_with(&key, || expected), expected, "{fault:?}");
                }
            }
            world.invalidate("bans");
            buster.notify().unwrap();
        }
        let stats = buster.stats();
        assert!(loads.contains(&stats.loads), "{fault:?}: {} computations", stats.loads);
        assert_eq!(stats.loads + stats.shared_hits, 80, "{fault:?}");
    }
}

/// The store is emptied between and during computations.
#[test]
fn i10_a_store_that_is_flushed_in_the_middle() {
    let store = Faulty::new(Fault::None);
    let (_world, buster) = with(store.clone());
    let cache = buster.cache("bans").unwrap();
    let flush = || store.entries.lock().unwrap().clear();
    let values = cache.values::<u64>("v", 1).unwrap().shared();
    values.get_or_insert_with("k", || 1);
    flush();
    assert_eq!(*values.get_or_insert_with("k", || unreachable!("the process has it")), 1);
    let other = cache.values::<u64>("v", 1).unwrap().shared();
    assert_eq!(*other.get_or_insert_with("k", || 2), 2, "another process computes it");
    let flushed = other.get_or_insert_with("l", || {
        flush();
        3
    });
    assert_eq!((*flushed, *other.get_or_insert_with("l", || unreachable!())), (3, 3));
    assert_eq!(*values.get_or_insert_with("l", || unreachable!("it was stored after the flush")), 3);
    flush();
    let many = cache.values::<u64>("v", 1).unwrap().shared();
    let loaded = many.get_many(&["k", "l"], |keys| {
        flush();
        Ok::<_, ()>(keys.iter().map(|_| 4).collect())
    });
    assert_eq!(loaded.unwrap().iter().map(|value| **value).sum::<u64>(), 8);
}

/// Only callers of the same key and version wait for a computation that does not end.
#[test]
fn i10_a_computation_that_never_ends() {
    let (world, buster) = with(Faulty::new(Fault::None));
    let cache = buster.cache("bans").unwrap();
    let values = cache.values::<u64>("v", 1).unwrap();
    let (release, released) = sync_channel::<()>(0);
    ends("the callers", move || {
        thread::scope(|scope| {
            let values = &values;
            let endless = scope.spawn(move || {
                values.get_or_insert_with("k", || {
                    released.recv().unwrap();
                    1
                })
            });
            wait_until("it computes", || values.levels().flights.seats() == 1);
            let waiting = scope.spawn(move || values.get_or_insert_with("k", || unreachable!("it waits")));
            wait_until("it waits", || values.levels().flights.seats() == 2);
            // Other keys, other handles, several keys and a memo do not wait.
            assert_eq!(*values.get_or_insert_with("l", || 2), 2);
            assert_eq!(*cache.values::<u64>("v", 1).unwrap().get_or_insert_with("k", || 3), 3);
            let many = values.get_many(&["k"], |_| Ok::<_, ()>(vec![4])).unwrap();
            assert_eq!(*many[0], 4);
            values.remove("k");
            assert_eq!(*cache.memo(|| 5).get(), 5);
            // After `remove`, and after an invalidation, no caller joins it.
            assert_eq!(*values.get_or_insert_with("k", || 6), 6);
            world.invalidate("bans");
            buster.notify().unwrap();
            assert_eq!(*values.get_or_insert_with("k", || 7), 7);
            release.send(()).unwrap();
            assert_eq!((*endless.join().unwrap(), *waiting.join().unwrap()), (1, 1));
            assert_eq!(*values.peek("k").unwrap(), 7, "an old value replaces no new one");
        });
    });
}

#[test]
fn i10_a_memo_that_asks_for_itself() {
    let (_world, buster) = with(Faulty::new(Fault::None));
    let cache = buster.cache("bans").unwrap();
    let this: Arc<OnceLock<Memo<u64, &'static str>>> = Arc::default();
    let memo = cache.try_memo({
        let this = this.clone();
        move || match this.get().unwrap().try_get() {
            Err(LoadError::Recursion) => Err("recursion"),
            _ => Err("something else"),
        }
    });
    assert!(this.set(memo.clone()).is_ok());
    for _ in 0..2 {
        let error = ends("the memo", {
            let memo = memo.clone();
            move || memo.try_get().unwrap_err()
        });
        assert_eq!(error.failure(), Some(&"recursion"));
    }
    let this: Arc<OnceLock<Memo<u64>>> = Arc::default();
    let memo = cache.memo({
        let this = this.clone();
        move || *this.get().unwrap().get()
    });
    assert!(this.set(memo.clone()).is_ok());
    let panics = ends("the memo", move || thread::spawn(move || memo.get()).join());
    let panic = *panics.unwrap_err().downcast::<String>().unwrap();
    assert!(panic.contains("requests the value itself"), "{panic}");
}

/// With no room for values, everything else works.
#[test]
fn i10_no_entries() {
    let (_world, buster) = with(Faulty::new(Fault::None));
    let cache = buster.cache("bans").unwrap();
    let values = cache.values::<u64>("v", 1).unwrap().max_entries(0).ttl(HOUR).stale_while_revalidate(HOUR);
    let mut loads = 0;
    for _ in 0..3 {
        values.get_or_insert_with("k", || {
            loads += 1;
            1
        });
        assert_eq!(*values.get_or_try_refresh_with("k", || Ok::<_, ()>(2)).unwrap(), 2);
    }
    assert_eq!(loads, 3);
    let stamp = values.stamp().unwrap();
    assert_eq!(*values.insert(&stamp, "k", 3), 3);
    assert!(values.peek("k").is_none());
    values.remove("k");
    assert!(format!("{values:?}").contains("entries: 0"));
}
