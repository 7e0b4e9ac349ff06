//! A `CacheBuster` without a database, for tests of code that caches values.
//!
//! In: names of caches, and versions that a test sets. Out: a `CacheBuster` that knows them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::or_panic;
use crate::buster::{CacheBuster, CacheBusterBuilder};
use crate::engine::observer::{Bell, Look, Poller, Seen, SeenKeys, Wanted, Woken};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{CacheVersion, DatabaseId, Identity};

/// Starts a [`CacheBuster`] without a database. It has these caches, and a test sets their
/// versions.
///
/// ```
/// use bustard::testing;
///
/// let test = testing::buster(["bans", "ranks"]);
/// let names = test.buster().cache("ranks")?.values::<Vec<String>>("names", 1)?;
/// assert_eq!(names.get_or_insert_with("all", || vec!["newbie".to_owned()]).len(), 1);
/// let never = || unreachable!("the value is kept");
/// assert_eq!(names.get_or_insert_with("all", never).len(), 1);
///
/// test.invalidate("ranks");
/// assert_eq!(names.get_or_insert_with("all", Vec::new).len(), 0);
/// # Ok::<(), bustard::Error>(())
/// ```
///
/// Methods of the `CacheBuster` that write, such as
/// [`invalidate`](CacheBuster::invalidate), need a database, and do not change the versions
/// of the test. Use a [`TestDatabase`](super::TestDatabase) for them, or a database in a file.
///
/// # Panics
///
/// Panics if the thread of the `CacheBuster` cannot be started, or if a name is not one of a
/// cache.
#[track_caller]
pub fn buster<N: Into<String>>(caches: impl IntoIterator<Item = N>) -> TestBuster {
    buster_with(caches, |builder| builder)
}

/// Does the same as [`buster`], with settings such as a store.
///
/// ```
/// use bustard::{StoreSettings, Stores, testing};
///
/// let stores = Stores::new().with("default", StoreSettings::memory());
/// let test = testing::buster_with(["bans"], |builder| builder.stores(&stores));
/// let bans = test.buster().cache("bans")?.values::<u64>("count", 1)?.shared();
/// assert_eq!(*bans.get_or_insert_with("all", || 3), 3);
/// # Ok::<(), bustard::Error>(())
/// ```
///
/// # Panics
///
/// Panics as [`buster`] does, and if the settings are invalid.
#[track_caller]
pub fn buster_with<N: Into<String>>(
    caches: impl IntoIterator<Item = N>,
    settings: impl FnOnce(CacheBusterBuilder) -> CacheBusterBuilder,
) -> TestBuster {
    let caches: BTreeMap<String, i64> = caches.into_iter().map(|name| (name.into(), FIRST)).collect();
    for name in caches.keys() {
        or_panic(format_args!("the cache {name:?}"), crate::registry::check_name(name));
    }
    let state = State { caches, is_connected: true, is_rung: false, is_stopped: false };
    let world = World(Arc::new((Mutex::new(state), Condvar::new())));
    let poller: Box<dyn Poller> = Box::new(TestPoller(world.clone()));
    let builder = settings(CacheBusterBuilder::of(Ok(poller)));
    TestBuster { buster: or_panic("the CacheBuster does not start", builder.start()), world }
}

/// The count of invalidations of a new cache.
const FIRST: i64 = 1;

/// A [`CacheBuster`] whose versions a test sets; see [`buster`]. Each change has taken effect
/// when its method returns.
#[derive(Clone)]
pub struct TestBuster {
    buster: CacheBuster,
    world: World,
}

impl fmt::Debug for TestBuster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.world.state();
        f.debug_struct("TestBuster")
            .field("caches", &state.caches)
            .field("is_connected", &state.is_connected)
            .finish_non_exhaustive()
    }
}

impl TestBuster {
    /// Returns the `CacheBuster`, for the code under test.
    pub fn buster(&self) -> &CacheBuster {
        &self.buster
    }

    /// Gives a cache a new version.
    ///
    /// # Panics
    ///
    /// Panics if there is no such cache.
    #[track_caller]
    pub fn invalidate(&self, cache: &str) {
        self.change(|caches| match caches.get_mut(cache) {
            Some(count) => *count += 1,
            None => panic!("there is no cache {cache}"),
        });
    }

    /// Gives every cache a new version, as a migration does.
    pub fn invalidate_all(&self) {
        self.change(|caches| caches.values_mut().for_each(|count| *count += 1));
    }

    /// Registers a cache, or gives it a new version if it is registered.
    ///
    /// # Panics
    ///
    /// Panics if the name is not one of a cache.
    #[track_caller]
    pub fn register(&self, cache: &str) {
        or_panic(format_args!("the cache {cache:?}"), crate::registry::check_name(cache));
        self.change(|caches| {
            caches.entry(cache.to_owned()).and_modify(|count| *count += 1).or_insert(FIRST);
        });
    }

    /// Unregisters a cache: its version is an error from now on.
    ///
    /// # Panics
    ///
    /// Panics if there is no such cache.
    #[track_caller]
    pub fn unregister(&self, cache: &str) {
        self.change(|caches| {
            if caches.remove(cache).is_none() {
                panic!("there is no cache {cache}")
            }
        });
    }

    /// Sets the version of a cache, for tests that compare versions with those that are stored
    /// beside data.
    ///
    /// ```
    /// let test = bustard::testing::buster(["bans"]);
    /// let version = test.set_version("bans", 5);
    /// assert_eq!(test.buster().version("bans")?, version);
    /// test.set_version("bans", 4);
    /// assert!(!test.buster().is_valid("bans", version)?);
    /// # Ok::<(), bustard::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if there is no such cache, or if the number of invalidations is not positive or
    /// too large for a version.
    #[track_caller]
    pub fn set_version(&self, cache: &str, invalidations: i64) -> CacheVersion {
        let version = identity(invalidations).version();
        let Some(version) = version.filter(|_| invalidations > 0) else {
            panic!("no version has {invalidations} invalidations")
        };
        self.change(|caches| match caches.get_mut(cache) {
            Some(count) => *count = invalidations,
            None => panic!("there is no cache {cache}"),
        });
        version
    }

    /// Makes the versions unknown, as they are after `max_staleness` without a database.
    /// Values are computed and not kept until [`reconnect`](TestBuster::reconnect).
    pub fn disconnect(&self) {
        self.world.set(|state| state.is_connected = false);
        // It fails, and so the snapshot expires.
        let _ = self.buster.notify();
    }

    /// Makes the versions known again.
    pub fn reconnect(&self) {
        self.world.set(|state| state.is_connected = true);
        // A poll that has begun before still fails.
        while self.buster.notify().is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[track_caller]
    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, i64>)) {
        let mut state = self.world.state();
        change(&mut state.caches);
        let is_connected = state.is_connected;
        drop(state);
        // Without a connection, the change is seen later.
        if is_connected {
            or_panic("the versions are not read", self.buster.notify());
        }
    }
}

struct State {
    /// The number of invalidations of each cache.
    caches: BTreeMap<String, i64>,
    is_connected: bool,
    is_rung: bool,
    is_stopped: bool,
}

/// What the test changes and the poller reads.
#[derive(Clone)]
struct World(Arc<(Mutex<State>, Condvar)>);

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panics for an unknown cache has changed nothing.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.1.notify_all();
    }
}

impl Bell for World {
    fn ring(&self) {
        self.set(|state| state.is_rung = true);
    }

    fn stop(&self) {
        self.set(|state| state.is_stopped = true);
    }
}

struct TestPoller(World);

impl TestPoller {
    fn connected(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.0.state();
        match (state.is_stopped, state.is_connected) {
            (true, _) => Err(stopped()),
            (false, false) => {
                Err(Error::new(ErrorKind::Connection, "the test has disconnected the database"))
            }
            (false, true) => Ok(state),
        }
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Cancelled, "the CacheBuster has ended")
}

fn identity(n: i64) -> Identity {
    Identity { n, nonce: 0 }
}

impl Poller for TestPoller {
    fn bell(&self) -> Arc<dyn Bell> {
        Arc::new(self.0.clone())
    }

    fn connect(&mut self, _: Instant) -> Result<()> {
        self.connected().map(drop)
    }

    /// A key has the version of the whole cache.
    fn look(&mut self, _: Wanted<'_>, _: bool, _: Instant) -> Result<Look> {
        let state = self.connected()?;
        let seen = state.caches.iter().map(|(name, n)| {
            let (name, identity) = (name.clone(), identity(*n));
            Seen { name, app: None, identity, keys: SeenKeys::whole(identity) }
        });
        let caches = Some(seen.collect());
        Ok(Look { caches, database: DatabaseId::default(), age: Duration::ZERO })
    }

    /// There are no events.
    fn fold(&mut self, _: Instant) {}

    fn names(&mut self, _: Instant) -> Result<Vec<String>> {
        Ok(self.connected()?.caches.keys().cloned().collect())
    }

    fn is_direct(&self) -> bool {
        true
    }

    /// Each poll reads everything.
    fn forget(&mut self) {}

    fn wait(&mut self, until: Instant) -> Result<Woken> {
        let mut state = self.0.state();
        loop {
            if state.is_stopped {
                return Err(stopped());
            }
            if std::mem::take(&mut state.is_rung) {
                return Ok(Woken::Rung);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Woken::Time);
            }
            state = self.0.0.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_sets_versions() {
        let test = buster(["bans", "ranks"]);
        let (bans, ranks) = (test.buster().cache("bans").unwrap(), test.buster().cache("ranks").unwrap());
        let versions = || (bans.version().unwrap(), ranks.version().unwrap());
        let before = versions();
        test.invalidate("bans");
        assert!(versions().0 > before.0 && versions().1 == before.1);
        test.invalidate_all();
        assert!(versions().1 > before.1);
        let version = test.set_version("bans", 1_000);
        assert_eq!(versions().0, version);
        assert!(test.set_version("bans", 999) < version && !bans.is_valid(version));
        test.register("posts");
        test.buster().cache("posts").unwrap().version().unwrap();
        test.unregister("bans");
        assert_eq!(bans.version().unwrap_err().kind(), ErrorKind::Cache);
        assert_eq!(test.buster().cache("bnas").unwrap_err().kind(), ErrorKind::Cache);
        let other = buster::<String>([]);
        assert_eq!(other.buster().cache("bans").unwrap_err().kind(), ErrorKind::Cache);
    }

    #[test]
    fn a_test_disconnects() {
        let test = buster(["bans"]);
        let bans = test.buster().cache("bans").unwrap();
        let values = bans.values::<u64>("v", 1).unwrap();
        values.get_or_insert_with("k", || 1);
        for n in 2..5 {
            test.disconnect();
            assert_eq!(bans.version().unwrap_err().kind(), ErrorKind::Stale);
            assert_eq!(*values.get_or_insert_with("k", || n), n);
            test.invalidate("bans");
            assert!(bans.version().is_err());
            test.reconnect();
            assert!(bans.version().is_ok() && values.peek("k").is_none(), "it was invalidated meanwhile");
            values.get_or_insert_with("k", || 1);
            test.disconnect();
            test.reconnect();
            assert_eq!(*values.peek("k").unwrap(), 1, "the version is the same one");
        }
    }

    #[test]
    fn a_test_learns_of_its_mistakes() {
        let test = buster(["bans"]);
        let fails = |work: &dyn Fn()| {
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_err();
            panic.downcast_ref::<String>().unwrap().clone()
        };
        assert!(fails(&|| test.invalidate("bnas")).contains("no cache bnas"));
        assert!(fails(&|| test.unregister("bnas")).contains("no cache bnas"));
        assert!(fails(&|| _ = test.set_version("bans", 0)).contains("0 invalidations"));
        assert!(fails(&|| _ = test.set_version("bans", i64::MAX)).contains("invalidations"));
        assert!(fails(&|| drop(buster([""]))).contains("empty"));
        // Nothing was changed.
        assert_eq!(test.buster().version("bans").unwrap().get(), 1 << 23);
        assert!(format!("{test:?}").contains("bans"));
    }
}
