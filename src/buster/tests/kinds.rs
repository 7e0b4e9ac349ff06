//! Tests what values have besides the first level: keys of other types, times to live of
//! their own, encodings of the application, and computations in the background.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::{CacheBuster, Codec, ValueKey};
use super::ends;
use super::world::{World, wait_until};
use crate::error::Result;
use crate::store::Store;

const HOUR: Duration = Duration::from_secs(3600);

/// A store that shows its keys.
#[derive(Clone, Debug, Default)]
struct Shown(Arc<Mutex<std::collections::BTreeMap<String, Vec<u8>>>>);

impl Store for Shown {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.0.lock().unwrap().insert(key.to_owned(), value.to_owned());
        Ok(())
    }
}

fn with_store() -> (World, CacheBuster, Shown) {
    let (world, store) = (World::new(&["bans", "ranks"]), Shown::default());
    let buster = world.builder(HOUR * 2).poll_interval(HOUR).store(store.clone()).start().unwrap();
    (world, buster, store)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct UserId(i64);

impl ValueKey for UserId {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
    }
}

/// Keys of different types under one name never share a value, in neither level.
#[test]
fn c4_keys_have_types() {
    let (_world, buster, store) = with_store();
    let cache = buster.cache("bans").unwrap();
    let numbers = cache.values_by::<i64, u64>("v", 1).unwrap().shared();
    let small = cache.values_by::<u8, u64>("v", 1).unwrap().shared();
    let texts = cache.values::<u64>("v", 1).unwrap().shared();
    let pairs = cache.values_by::<(String, i64), u64>("v", 1).unwrap().shared();
    let bytes = cache.values_by::<[u8], u64>("v", 1).unwrap().shared();
    assert_eq!(*numbers.get_or_insert_with(&42, || 1), 1);
    assert_eq!(*small.get_or_insert_with(&42, || 2), 2);
    assert_eq!(*texts.get_or_insert_with("42", || 3), 3);
    assert_eq!(*texts.get_or_insert_with("=i64.42", || 4), 4);
    assert_eq!(*pairs.get_or_insert_with(&("42".to_owned(), 42), || 5), 5);
    assert_eq!(*bytes.get_or_insert_with(b"42", || 6), 6);
    assert_eq!(*numbers.get_or_insert_with(&-42, || 7), 7);
    assert_eq!(store.0.lock().unwrap().len(), 7);
    assert_eq!(*numbers.peek(&42).unwrap(), 1);
    numbers.remove(&42);
    assert!(numbers.peek(&42).is_none() && numbers.peek(&-42).is_some());
    // Another process finds them in the store.
    let again = cache.values_by::<i64, u64>("v", 1).unwrap().shared();
    assert_eq!(*again.get_or_insert_with(&-42, || unreachable!("it is in the store")), 7);
    let texts = cache.values::<u64>("v", 1).unwrap().shared();
    assert_eq!(*texts.get_or_insert_with("=i64.42", || unreachable!("it is in the store")), 4);
    // A type of the application, several caches, and many at once.
    let users = buster.values_of_by::<UserId, u64>(&["bans", "ranks"], "users", 1).unwrap();
    let load = |keys: &[&UserId]| Ok::<_, ()>(keys.iter().map(|UserId(id)| id.unsigned_abs()).collect());
    let many = users.get_many(&[&UserId(1), &UserId(2)], load).unwrap();
    assert_eq!((*many[0], *many[1]), (1, 2));
    assert!(users.peek(&UserId(2)).is_some());
    // The functions get the key.
    let heavy = cache.values_by::<i64, u64>("heavy", 1).unwrap().weigher(1_000, |key, _| key.unsigned_abs());
    heavy.get_or_insert_with(&1_000_000, || 1);
    heavy.get_or_insert_with(&1, || 1);
    assert!(heavy.peek(&1_000_000).is_none() && heavy.peek(&1).is_some());
    let short = cache.values_by::<i64, u64>("short", 1).unwrap();
    let short = short.ttl_by(|key, _| (*key == 0).then_some(Duration::ZERO));
    short.get_or_insert_with(&0, || 1);
    assert!(short.peek(&0).is_none());
}

/// A computation that requests its own key is recognized for keys of any type.
#[test]
fn c3_a_typed_computation_that_asks_for_itself() {
    let (_world, buster, _) = with_store();
    let values = buster.cache("bans").unwrap().values_by::<i64, u64>("v", 1).unwrap();
    let inner = values.clone();
    let asks_itself = move || match inner.get_or_try_insert_with(&1, || Ok::<_, ()>(2)) {
        Ok(_) => Err("no error"),
        Err(error) => {
            Err(if matches!(error, super::super::LoadError::Recursion) { "recursion" } else { "other" })
        }
    };
    let error = values.get_or_try_insert_with(&1, asks_itself).unwrap_err();
    assert_eq!(error.failure(), Some(&"recursion"));
    let inner = values.clone();
    assert_eq!(*values.get_or_insert_with(&1, move || *inner.get_or_insert_with(&2, || 5)), 5);
}

#[test]
fn c2_a_value_has_a_time_to_live_of_its_own() {
    let (_world, buster, _) = with_store();
    let values =
        buster.cache("bans").unwrap().values::<u64>("v", 1).unwrap().ttl(HOUR).ttl_by(|_, _| Some(HOUR));
    let stamp = values.stamp().unwrap();
    values.insert_for(&stamp, "short", 1, Duration::ZERO);
    values.insert_for(&stamp, "long", 1, HOUR);
    values.insert(&stamp, "usual", 1);
    assert!(
        values.peek("short").is_none() && values.peek("long").is_some() && values.peek("usual").is_some()
    );
    // Also without a time to live of the handle, and in the store.
    let handle = || buster.cache("bans").unwrap().values::<u64>("w", 1).unwrap().shared();
    let values = handle();
    values.insert_for(&stamp, "k", 1, Duration::from_millis(5));
    wait_until("it expires", || values.peek("k").is_none());
    assert_eq!(*handle().get_or_insert_with("k", || 2), 2, "the store does not return it either");
    values.insert_for(&stamp, "k", 3, Duration::MAX);
    assert_eq!(*values.peek("k").unwrap(), 3);
}

/// Encodes a number with a mark, and loses what a test tells it to lose.
struct Marked {
    name: &'static str,
    loses: bool,
}

/// A type that serde does not know.
#[derive(Debug, PartialEq)]
struct Plain(u64);

impl Codec<Plain> for Marked {
    fn name(&self) -> &str {
        self.name
    }

    fn encode(&self, value: &Plain) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        if value.0 == 99 {
            return Err("99 cannot be encoded".into());
        }
        Ok(value.0.to_string().into_bytes())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Plain, Box<dyn Error + Send + Sync>> {
        let number: u64 = std::str::from_utf8(bytes)?.parse()?;
        Ok(Plain(if self.loses { number / 2 } else { number }))
    }
}

#[test]
fn c1_an_encoding_of_the_application() {
    let (_world, buster, store) = with_store();
    let cache = buster.cache("bans").unwrap();
    let handle = |name, loses| cache.values::<Plain>("v", 1).unwrap().shared_with(Marked { name, loses });
    assert_eq!(*handle("one", false).get_or_insert_with("k", || Plain(7)), Plain(7));
    assert_eq!(*handle("one", false).get_or_insert_with("k", || unreachable!("it is stored")), Plain(7));
    // Bytes of another codec are a miss, and so are those that decode to another value.
    assert_eq!(*handle("two", false).get_or_insert_with("k", || Plain(8)), Plain(8));
    assert_eq!(*handle("two", true).get_or_insert_with("k", || Plain(9)), Plain(9));
    // What would come back different, or cannot be encoded, is not stored.
    for (name, loses, number) in [("lossy", true, 5), ("whole", false, 99)] {
        let before = store.0.lock().unwrap().len();
        assert_eq!(*handle(name, loses).get_or_insert_with("refused", || Plain(number)), Plain(number));
        assert_eq!(store.0.lock().unwrap().len(), before, "{name}");
    }
    // Bytes of numbers that are not canonical.
    let values = handle("one", false);
    values.get_or_insert_with("l", || Plain(1));
    store.0.lock().unwrap().values_mut().for_each(|bytes| bytes.push(b'0'));
    assert_eq!(*handle("one", false).get_or_insert_with("l", || Plain(2)), Plain(2));
    assert!(
        cache
            .values::<Plain>("v", 1)
            .unwrap()
            .store_with("absent", Marked { name: "x", loses: false })
            .is_err()
    );
}

/// All callers get the stale value at once, and one thread computes it.
#[test]
fn c2_stale_values_are_computed_in_the_background() {
    let (world, buster, _) = with_store();
    let values = buster.cache("bans").unwrap().values_by::<u64, u64>("v", 1).unwrap();
    let values =
        values.ttl_by(|_, value| (*value < 100).then_some(Duration::ZERO)).stale_while_revalidate(HOUR);
    let never = || -> Result<u64, ()> { unreachable!("another thread computes it") };
    assert_eq!(*values.get_or_try_refresh_with(&1, || Ok::<_, ()>(1)).unwrap(), 1, "a miss is computed");
    let (release, released) = sync_channel::<u64>(0);
    let stale = values.get_or_try_refresh_with(&1, move || Ok::<_, ()>(released.recv().unwrap())).unwrap();
    assert_eq!(*stale, 1);
    for _ in 0..100 {
        assert_eq!(*values.get_or_try_refresh_with(&1, never).unwrap(), 1);
        assert_eq!(*values.get_or_insert_with(&1, || unreachable!("another thread computes it")), 1);
    }
    release.send(100).unwrap();
    wait_until("it is filed", || values.peek(&1).is_some());
    assert_eq!(*values.get_or_try_refresh_with(&1, never).unwrap(), 100);
    // An error is counted, and a panic is survived; the next caller tries again.
    values.remove(&1);
    values.get_or_try_refresh_with(&1, || Ok::<_, ()>(1)).unwrap();
    let failures = buster.stats().failures;
    assert_eq!(*values.get_or_try_refresh_with(&1, || Err(())).unwrap(), 1);
    wait_until("it fails", || buster.stats().failures > failures && values.levels().flights.seats() == 0);
    assert_eq!(*values.get_or_try_refresh_with(&1, || -> Result<u64, ()> { panic!("seeded") }).unwrap(), 1);
    wait_until("the thread ends", || values.levels().flights.seats() == 0);
    assert_eq!(*values.get_or_try_refresh_with(&1, || Ok::<_, ()>(101)).unwrap(), 1);
    wait_until("it is filed", || values.peek(&1).is_some());
    // A value of an old version is not returned, and one that was computed for it is not kept.
    values.remove(&1);
    values.get_or_try_refresh_with(&1, || Ok::<_, ()>(1)).unwrap();
    let (release, released) = sync_channel::<u64>(0);
    values.get_or_try_refresh_with(&1, move || Ok::<_, ()>(released.recv().unwrap())).unwrap();
    world.invalidate("bans");
    buster.notify().unwrap();
    assert_eq!(*values.get_or_try_refresh_with(&1, || Ok::<_, ()>(102)).unwrap(), 102);
    release.send(103).unwrap();
    wait_until("the thread ends", || values.levels().flights.seats() == 0);
    assert_eq!(*values.peek(&1).unwrap(), 102);
}

/// No more than 16 threads compute values of a handle; a further caller computes itself.
#[test]
fn c3_the_background_is_bounded() {
    let (_world, buster, _) = with_store();
    let values = buster.cache("bans").unwrap().values_by::<u64, u64>("v", 1).unwrap();
    let values = values.ttl(Duration::ZERO).stale_while_revalidate(HOUR);
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), 16);
    let gate = Arc::new(Mutex::new(()));
    let held = gate.lock().unwrap();
    for key in 0..most + 5 {
        values.get_or_insert_with(&key, || 0);
    }
    for key in 0..most {
        let (inside, gate) = (inside.clone(), gate.clone());
        let load = move || {
            inside.fetch_add(1, Ordering::SeqCst);
            drop(gate.lock());
            Ok::<_, ()>(1)
        };
        assert_eq!(*values.get_or_try_refresh_with(&key, load).unwrap(), 0);
    }
    wait_until("all compute", || inside.load(Ordering::SeqCst) == most as usize);
    for key in most..most + 5 {
        let caller = std::thread::current().id();
        let load = move || Ok::<_, ()>(if std::thread::current().id() == caller { 2 } else { 3 });
        assert_eq!(*values.get_or_try_refresh_with(&key, load).unwrap(), 2, "the caller computes");
    }
    drop(held);
    let waiting = values.clone();
    ends("the threads", move || {
        wait_until("no place is lost", || waiting.levels().refreshing.load(Ordering::SeqCst) == 0)
    });
    assert_eq!(values.levels().flights.seats(), 0);
}

#[cfg(feature = "tokio")]
mod on_tokio {
    use super::*;

    fn run<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), work).await.unwrap() })
    }

    #[test]
    fn c2_an_asynchronous_memo() {
        let (world, buster, _) = with_store();
        let loads = Arc::new(AtomicUsize::new(0));
        let cache = buster.cache("bans").unwrap();
        let memo = cache.memo_async({
            let loads = loads.clone();
            move || {
                let loads = loads.clone();
                async move {
                    tokio::task::yield_now().await;
                    loads.fetch_add(1, Ordering::SeqCst)
                }
            }
        });
        run(async {
            for version in 0..3 {
                let tasks: Vec<_> = (0..8)
                    .map(|_| {
                        let memo = memo.clone();
                        tokio::spawn(async move { *memo.get().await })
                    })
                    .collect();
                for task in tasks {
                    assert_eq!(task.await.unwrap(), version);
                }
                assert_eq!(memo.with(|value| *value).await, version);
                world.invalidate("bans");
                buster.notify_async().await.unwrap();
            }
            assert_eq!(loads.load(Ordering::SeqCst), 3);
            let failing = cache.try_memo_async(|| async { Err::<u64, _>("down") });
            assert_eq!(failing.try_get().await.unwrap_err().failure(), Some(&"down"));
            assert_eq!(failing.try_with(|_| ()).await.unwrap_err().failure(), Some(&"down"));
        });
    }

    #[test]
    fn c2_values_are_inserted_and_removed_on_tokio() {
        let (_world, buster, store) = with_store();
        let values = buster.cache("bans").unwrap().values::<u64>("v", 1).unwrap().shared();
        run(async {
            let stamp = values.stamp().unwrap();
            values.insert_async(&stamp, "k", 1).await;
            assert_eq!((*values.peek("k").unwrap(), store.0.lock().unwrap().len()), (1, 1));
            values.insert_for_async(&stamp, "k", 2, Duration::ZERO).await;
            assert!(values.peek("k").is_none());
            values.insert_async(&stamp, "k", 3).await;
            values.remove_async("k").await;
            assert!(values.peek("k").is_none());
            assert_eq!(*values.get_or_insert_with_async("k", || async { 4 }).await, 4);
        });
    }

    #[test]
    fn c2_stale_values_are_computed_in_tasks() {
        let (_world, buster, _) = with_store();
        let values = buster.cache("bans").unwrap().values_by::<u64, u64>("v", 1).unwrap();
        let values =
            values.ttl_by(|_, value| (*value < 100).then_some(Duration::ZERO)).stale_while_revalidate(HOUR);
        run(async {
            let background = values.load_in(&tokio::runtime::Handle::current());
            let get = async |load: Option<u64>, gate: Arc<tokio::sync::Semaphore>| {
                let load = move || async move {
                    let _passed = gate.acquire().await;
                    load.ok_or("down")
                };
                *background.get_or_try_insert_with(&1, load).await.unwrap()
            };
            let (open, gate) =
                (Arc::new(tokio::sync::Semaphore::new(9)), Arc::new(tokio::sync::Semaphore::new(0)));
            assert_eq!(get(Some(1), open.clone()).await, 1);
            for _ in 0..100 {
                assert_eq!(get(Some(100), gate.clone()).await, 1, "the first is held, others find it stale");
            }
            gate.add_permits(1);
            while values.peek(&1).is_none() {
                tokio::task::yield_now().await;
            }
            assert_eq!(get(None, open.clone()).await, 100);
            assert_eq!(buster.stats().loads, 2, "one computation in the background");
            // An error in the background is counted.
            values.remove(&1);
            assert_eq!(get(Some(1), open.clone()).await, 1);
            assert_eq!(get(None, open.clone()).await, 1);
            while buster.stats().failures == 0 || values.levels().flights.seats() > 0 {
                tokio::task::yield_now().await;
            }
            // A task that is aborted with its runtime gives up the lead.
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
            let other = values.load_in(runtime.handle());
            let pending = || std::future::pending::<Result<u64, ()>>();
            assert_eq!(*other.get_or_try_insert_with(&1, pending).await.unwrap(), 1);
            runtime.shutdown_background();
            while values.levels().flights.seats() > 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(get(Some(101), open.clone()).await, 1);
            while values.peek(&1).is_none() {
                tokio::task::yield_now().await;
            }
        });
    }
}
