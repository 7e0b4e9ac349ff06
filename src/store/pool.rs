//! Idle connections to a server. Concurrent callers each use a connection of their own;
//! a few connections are kept for reuse.
//!
//! In: connections after a successful exchange. Out: connections to reuse.

use std::sync::{Mutex, MutexGuard, PoisonError};

const MOST: usize = 8;

/// A stack of idle connections, with the most recently used connection on top.
#[derive(Debug)]
pub(super) struct Pool<C>(Mutex<Vec<C>>);

impl<C> Pool<C> {
    pub(super) fn new() -> Self {
        Pool(Mutex::new(Vec::new()))
    }

    pub(super) fn take(&self) -> Option<C> {
        self.idle().pop()
    }

    /// Keeps a connection whose last exchange succeeded.
    pub(super) fn put(&self, connection: C) {
        let mut idle = self.idle();
        if idle.len() < MOST {
            idle.push(connection);
        }
    }

    /// Closes all idle connections.
    pub(super) fn clear(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_keeps_a_limited_number_of_connections() {
        let pool = Pool::new();
        for i in 0..MOST + 5 {
            pool.put(i);
        }
        assert_eq!(pool.take(), Some(MOST - 1));
        pool.clear();
        assert_eq!(pool.take(), None);
    }
}
