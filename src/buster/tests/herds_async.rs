//! Tests of single flight in tasks: a leader that is cancelled is replaced by one other
//! caller, and no caller hangs.

use std::future::{Future, pending};
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::super::Values;
use super::herds::{Computations, HERD};
use super::world::{PATIENCE, World};

type Outcome = Result<u64, &'static str>;
type Computation = Pin<Box<dyn Future<Output = Outcome> + Send>>;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn values() -> (super::CacheBuster, Values<u64>) {
    let buster = World::new(&["bans"]).idle();
    let values = buster.cache("bans").unwrap().values("v", 1).unwrap();
    (buster, values)
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

#[test]
fn c3_a_herd_of_tasks_computes_once_or_twice() {
    // What the leader does when it is released; `None` is aborted.
    type End = Option<fn() -> Outcome>;
    let leaders: [(End, Outcome, usize); 4] = [
        (Some(|| Ok(5)), Ok(5), 1),
        (Some(|| Err("the database is down")), Err("the database is down"), 1),
        (Some(|| panic!("on purpose")), Ok(7), 2),
        (None, Ok(7), 2),
    ];
    for (end, outcome, expected) in leaders {
        let (_buster, values) = values();
        let computations = Arc::new(Computations::default());
        runtime().block_on(async {
            let (release, released) = oneshot::channel::<()>();
            let leader = tokio::spawn({
                let (values, computations) = (values.clone(), computations.clone());
                async move {
                    let load = async || {
                        let _running = computations.begin();
                        released.await.unwrap();
                        match end {
                            Some(end) => end(),
                            None => pending().await,
                        }
                    };
                    values.get_or_try_insert_with_async("k", load).await
                }
            });
            until("it leads", || values.levels().flights.seats() == 1).await;
            let others: Vec<_> = (0..HERD)
                .map(|_| {
                    let (values, computations) = (values.clone(), computations.clone());
                    tokio::spawn(async move {
                        let load = async || {
                            let _running = computations.begin();
                            tokio::task::yield_now().await;
                            Ok::<_, &str>(7)
                        };
                        values.get_or_try_insert_with_async("k", load).await
                    })
                })
                .collect();
            until("the herd waits", || values.levels().flights.seats() == HERD + 1).await;
            match end {
                Some(_) => release.send(()).unwrap(),
                None => leader.abort(),
            }
            let _ = leader.await;
            for other in others {
                let got = tokio::time::timeout(PATIENCE, other).await.expect("no caller hangs").unwrap();
                assert_eq!(got.map(|value| *value).map_err(|error| *error.failure().unwrap()), outcome);
            }
        });
        assert_eq!(computations.counts(), (expected, 1));
        assert_eq!(values.levels().flights.seats(), 0);
    }
}

/// Callers give up at random times, some while they compute. Every caller ends, and those
/// that remain get the value.
#[test]
fn c3_callers_with_random_time_outs_do_not_hang() {
    const CALLERS: usize = 8_000;
    let (_buster, values) = values();
    let values = values.max_entries(0);
    let computations = Arc::new(Computations::default());
    runtime().block_on(async {
        let random = RandomState::new();
        let callers: Vec<_> = (0..CALLERS)
            .map(|at| {
                let (values, computations) = (values.clone(), computations.clone());
                let random = random.hash_one(at);
                tokio::spawn(async move {
                    let key = ["a", "b", "c"][at % 3];
                    let load = async || {
                        let _running = computations.begin();
                        tokio::time::sleep(Duration::from_micros(random % 5_000)).await;
                        match random % 7 {
                            0 => Err("fails"),
                            _ => Ok(7),
                        }
                    };
                    let call = values.get_or_try_insert_with_async(key, load);
                    match random % 5 {
                        0 => call.await.is_ok(),
                        _ => tokio::time::timeout(Duration::from_micros(random / 7 % 20_000), call)
                            .await
                            .is_ok(),
                    }
                })
            })
            .collect();
        for caller in callers {
            tokio::time::timeout(PATIENCE, caller).await.expect("no caller hangs").unwrap();
        }
    });
    assert!(computations.counts().1 <= 3, "one at a time for each key");
    assert_eq!(values.levels().flights.seats(), 0);
}

/// With `load_in`, the computation of a cancelled caller goes on.
#[test]
fn c3_load_in_goes_on_after_a_cancellation() {
    let (_buster, values) = values();
    let runtime = runtime();
    let in_tasks = values.load_in(runtime.handle());
    runtime.block_on(async {
        let (release, released) = oneshot::channel::<()>();
        let load = async move || {
            released.await.unwrap();
            Ok::<u64, &str>(5)
        };
        let caller = tokio::spawn({
            let in_tasks = in_tasks.clone();
            async move { in_tasks.get_or_try_insert_with("k", load).await }
        });
        until("it leads", || values.levels().flights.seats() == 1).await;
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        release.send(()).unwrap();
        until("the value is kept", || values.peek("k").is_some()).await;
        let never = async || -> Outcome { unreachable!("the value is kept") };
        assert_eq!(*in_tasks.get_or_try_insert_with("k", never).await.unwrap(), 5);

        let panics = tokio::spawn({
            let in_tasks = in_tasks.clone();
            async move { in_tasks.get_or_try_insert_with("p", async || -> Outcome { panic!("on purpose") }).await }
        });
        assert!(panics.await.unwrap_err().is_panic());
    });
    let ended = Builder::new_multi_thread().build().unwrap();
    let in_ended = values.load_in(ended.handle());
    drop(ended);
    let load: fn() -> Computation = || Box::pin(async { Ok(1) });
    let error = runtime.block_on(in_ended.get_or_try_insert_with("l", load)).unwrap_err();
    assert!(error.failure().is_none(), "{error:?}");
}

#[test]
fn c3_an_asynchronous_computation_that_requests_its_own_value_is_an_error() {
    let (_buster, values) = values();
    let current = Builder::new_current_thread().enable_all().build().unwrap();
    let own = async || match values.get_or_try_insert_with_async("k", async || Ok::<_, &str>(1)).await {
        Ok(value) => Ok(*value),
        Err(error) => Err(error.to_string()),
    };
    let blocking = async || match values.get_or_try_insert_with("k", || Ok::<_, &str>(1)) {
        Ok(value) => Ok(*value),
        Err(error) => Err(error.to_string()),
    };
    current.block_on(async {
        for error in [
            values.get_or_try_insert_with_async("k", own).await.unwrap_err(),
            values.get_or_try_insert_with_async("k", blocking).await.unwrap_err(),
        ] {
            assert!(error.to_string().contains("requests the value itself"), "{error}");
        }
        // Two callers in one task are no recursion.
        let slow = async || {
            tokio::task::yield_now().await;
            Ok::<_, &str>(3)
        };
        let both = futures_util::future::join(
            values.get_or_try_insert_with_async("e", slow),
            values.get_or_try_insert_with_async("e", slow),
        );
        let (one, other) = both.await;
        assert!(Arc::ptr_eq(&one.unwrap(), &other.unwrap()));
    });
}
