//! Tests of single flight on threads: callers share one computation, and one of them takes
//! over when the leader panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::super::{LoadError, Values};
use super::ends;
use super::world::{World, wait_until};

/// The callers that wait for the leader.
pub const HERD: usize = 300;

/// Counts computations, and how many run at once.
#[derive(Default)]
pub struct Computations {
    total: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
}

/// One computation, until it is dropped.
pub struct Running<'c>(&'c Computations);

impl Computations {
    pub fn begin(&self) -> Running<'_> {
        self.total.fetch_add(1, Ordering::SeqCst);
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        Running(self)
    }

    /// Returns the number of computations, and the most at once.
    pub fn counts(&self) -> (usize, usize) {
        (self.total.load(Ordering::SeqCst), self.most.load(Ordering::SeqCst))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a leader does after all others wait.
type End = fn(&Receiver<()>) -> Result<u64, &'static str>;

type Outcomes = Vec<Result<u64, &'static str>>;

/// Lets a herd wait for a leader. Returns the outcomes of the herd, and the counts.
fn herd(values: &Values<u64>, leader: End) -> (Outcomes, (usize, usize)) {
    let computations = Computations::default();
    let (release, released) = sync_channel::<()>(1);
    let (sender, leads) = sync_channel(1);
    let outcomes = thread::scope(|scope| {
        let computations = &computations;
        let leader = scope.spawn(move || {
            values.get_or_try_insert_with("k", || {
                let _running = computations.begin();
                sender.send(()).unwrap();
                leader(&released)
            })
        });
        leads.recv().unwrap();
        let others: Vec<_> = (0..HERD)
            .map(|_| {
                scope.spawn(move || {
                    values.get_or_try_insert_with("k", || {
                        let _running = computations.begin();
                        Ok::<_, &str>(7)
                    })
                })
            })
            .collect();
        wait_until("the herd waits", || values.levels().flights.seats() == HERD + 1);
        release.send(()).unwrap();
        let _ = leader.join();
        others.into_iter().map(|other| other.join().unwrap()).collect::<Vec<_>>()
    });
    let outcome = |outcome: Result<Arc<u64>, LoadError<&'static str>>| match outcome {
        Ok(value) => Ok(*value),
        Err(error) => Err(*error.failure().unwrap()),
    };
    (outcomes.into_iter().map(outcome).collect(), computations.counts())
}

#[test]
fn c3_a_herd_of_threads_computes_once_or_twice() {
    let leaders: [(End, Result<u64, &str>, usize); 3] = [
        (|released| Ok(released.recv().map(|()| 5).unwrap()), Ok(5), 1),
        (
            |released| {
                released.recv().unwrap();
                Err("the database is down")
            },
            Err("the database is down"),
            1,
        ),
        (
            |released| {
                released.recv().unwrap();
                panic!("on purpose")
            },
            Ok(7),
            2,
        ),
    ];
    for (leader, outcome, computations) in leaders {
        for entries in [100, 0] {
            let world = World::new(&["bans"]);
            let buster = world.idle();
            let values = buster.cache("bans").unwrap().values::<u64>("v", 1).unwrap().max_entries(entries);
            let (outcomes, counts) = ends("the herd", move || {
                let herd = herd(&values, leader);
                assert_eq!(values.levels().flights.seats(), 0, "nothing is left");
                herd
            });
            assert_eq!((outcomes, counts), (vec![outcome; HERD], (computations, 1)));
        }
    }
}

#[test]
fn c3_after_an_error_the_next_caller_computes_again() {
    let world = World::new(&["bans"]);
    let buster = world.idle();
    let values = buster.cache("bans").unwrap().values::<u64>("v", 1).unwrap();
    assert!(values.get_or_try_insert_with("k", || Err::<u64, _>("down")).is_err());
    assert_eq!(*values.get_or_try_insert_with("k", || Ok::<_, &str>(1)).unwrap(), 1);
}

/// An error of another type cannot be shared, so that caller computes itself.
#[test]
fn c3_callers_with_other_errors_compute_one_at_a_time() {
    let world = World::new(&["bans"]);
    let buster = world.idle();
    let values = buster.cache("bans").unwrap().values::<u64>("v", 1).unwrap();
    let (release, released) = sync_channel::<()>(1);
    let other = ends("both", move || {
        thread::scope(|scope| {
            let values = &values;
            let leader = scope.spawn(move || {
                values.get_or_try_insert_with("k", || {
                    released.recv().unwrap();
                    Err::<u64, _>("down")
                })
            });
            wait_until("it leads", || values.levels().flights.seats() == 1);
            let other = scope.spawn(move || values.get_or_try_insert_with("k", || Err::<u64, _>(7)));
            wait_until("it waits", || values.levels().flights.seats() == 2);
            release.send(()).unwrap();
            assert_eq!(leader.join().unwrap().unwrap_err().failure(), Some(&"down"));
            other.join().unwrap().unwrap_err()
        })
    });
    assert_eq!(other.failure(), Some(&7));
}

/// A computation that requests its own value must not wait for itself: directly, through
/// another value, for an earlier version, or while the versions are unknown.
#[test]
fn c3_a_computation_that_requests_its_own_value_is_an_error() {
    let world = World::new(&["bans"]);
    let buster = world.idle();
    let values = buster.cache("bans").unwrap().values::<u64>("v", 1).unwrap();
    ends("the computations", move || {
        let own =
            || values.get_or_try_insert_with("k", || Ok::<_, LoadError<&str>>(1)).map(|value| *value + 1);
        let other = || values.get_or_try_insert_with("l", || own().map_err(|_| "own")).map(|value| *value);
        let recursion = |error: Option<&LoadError<_>>| matches!(error, Some(LoadError::Recursion));
        let error = values.get_or_try_insert_with("k", own).unwrap_err();
        assert!(recursion(error.failure()), "{error:?}");
        let error = values.get_or_try_insert_with("k", other).unwrap_err();
        assert_eq!(error.failure().and_then(LoadError::failure), Some(&"own"));
        let error = values
            .get_or_try_insert_with("k", || {
                world.invalidate("bans");
                buster.notify().unwrap();
                own()
            })
            .unwrap_err();
        assert!(recursion(error.failure()), "{error:?}");
        // The infallible form has no error.
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            values.get_or_insert_with("k", || *values.get_or_insert_with("k", || 1))
        }));
        let panic = panic.unwrap_err().downcast::<String>().unwrap();
        assert!(panic.contains("requests the value itself"), "{panic}");
        drop(buster);
        let error = values.get_or_try_insert_with("k", own).unwrap_err();
        assert!(recursion(error.failure()), "{error:?}");
        assert_eq!(values.levels().flights.seats(), 0);
    });
}
