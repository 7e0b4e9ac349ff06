//! Values whose time to live has ended, which are computed again in the background.
//!
//! In: a key. Out: the stale value, and its computation for a thread or a task.

use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::levels::{Found, Levels};
use super::load_error::LoadError;
use super::park::Mode;
use super::single_flight::Seat;
use super::stamp::Stamp;
use super::value_key::ValueKey;

/// The number of values of one handle that are computed in the background at most.
const MOST_REFRESHES: usize = 16;

/// A stale value of the current versions.
pub(super) enum Stale<T, K: ValueKey + ?Sized> {
    /// Another caller computes the value.
    Led(Arc<T>),
    /// This caller computes the value.
    Leads(Arc<T>, Refresh<T, K>),
}

/// A computation in the background. If it is dropped, another caller computes the value.
pub(super) struct Refresh<T, K: ValueKey + ?Sized> {
    place: BackgroundPlace<T, K>,
    key: K::Owned,
    stamp: Stamp,
    seat: Seat<T, K::Owned>,
}

impl<T: Send + Sync + 'static, K: ValueKey + ?Sized> Refresh<T, K> {
    /// Takes the lead to compute a stale value again in the background. Returns `None` if
    /// there is no stale value, or if too many values are computed in the background.
    pub(super) fn begin(levels: &Arc<Levels<T, K>>, key: &K) -> Option<Stale<T, K>> {
        let stamp = levels.stamp(key).ok()?;
        let Found::Stale(value) = levels.find(key, &stamp) else { return None };
        let mut seat = levels.flights.sit(key.to_owned(), &stamp.numbers);
        if !seat.lead() {
            levels.count_hit();
            return Some(Stale::Led(value));
        }
        let place = BackgroundPlace::take(levels)?;
        levels.count_hit();
        Some(Stale::Leads(value, Refresh { place, key: key.to_owned(), stamp, seat }))
    }

    /// Computes the value.
    pub(super) async fn run<E, F>(self, mode: Mode, load: impl FnOnce() -> F) -> Result<Arc<T>, LoadError<E>>
    where
        E: Send + Sync + 'static,
        F: Future<Output = Result<T, E>>,
    {
        let Refresh { place, key, stamp, seat } = self;
        place.0.lead(mode, key.borrow(), &stamp, seat, load).await
    }
}

/// One of the places for computations in the background, until it is dropped.
struct BackgroundPlace<T, K: ValueKey + ?Sized>(Arc<Levels<T, K>>);

impl<T, K: ValueKey + ?Sized> BackgroundPlace<T, K> {
    fn take(levels: &Arc<Levels<T, K>>) -> Option<Self> {
        // The place is counted before the comparison, and given back by its drop.
        let taken = levels.refreshing.fetch_add(1, Ordering::Relaxed);
        let place = BackgroundPlace(levels.clone());
        (taken < MOST_REFRESHES).then_some(place)
    }
}

impl<T, K: ValueKey + ?Sized> Drop for BackgroundPlace<T, K> {
    fn drop(&mut self) {
        self.0.refreshing.fetch_sub(1, Ordering::Relaxed);
    }
}
