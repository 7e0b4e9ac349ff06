//! What a value is made from: the versions of one or more caches, read before the data.
//!
//! In: the identities of caches. Out: a stamp, whose numbers are compared with one load for
//! each cache.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::{DatabaseId, Identity};

/// The versions of the caches that a value is made from. Take it before the data is read,
/// and file the value under it.
#[derive(Clone, Debug)]
pub struct Stamp {
    pub(super) database: DatabaseId,
    pub(super) identities: Box<[Identity]>,
    pub(super) numbers: Numbers,
}

/// One number for each cache. A number stands for the complete identity of a cache of a
/// database, and is never used for another one in this process. Several caches are compared
/// one by one, because a sum of identities would not tell them apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Numbers {
    One(u64),
    // A thin pointer, which keeps entries small.
    Several(Arc<Box<[u64]>>),
    /// The number of a key's bucket. With the bucket, a hit computes nothing from the key.
    Key(u64, u16),
}

impl Numbers {
    pub(super) fn new(numbers: &[u64]) -> Self {
        match numbers {
            [number] => Numbers::One(*number),
            several => Numbers::Several(Arc::new(several.into())),
        }
    }
}

/// The number that stands for no identity.
pub(super) const UNKNOWN: u64 = 0;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Returns a number that was never used in this process.
pub(super) fn next_number() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The identities of one cache that have numbers. An identity that is forgotten gets
/// another number later, so that values under its old number are misses.
#[derive(Debug, Default)]
pub(super) struct KnownIdentities(VecDeque<(DatabaseId, Identity, u64)>);

impl KnownIdentities {
    /// Identities other than the current one come from old transactions.
    const MOST: usize = 64;

    /// Returns the number of an identity.
    pub(super) fn number(&mut self, database: DatabaseId, identity: Identity) -> u64 {
        let is_wanted = |known: &(DatabaseId, Identity, u64)| (known.0, known.1) == (database, identity);
        // The identities that are in use are at the end.
        let known = match self.0.iter().rposition(is_wanted) {
            Some(at) if at + 1 == self.0.len() => return self.0[at].2,
            Some(at) => self.0.remove(at),
            None => None,
        };
        let known = known.unwrap_or_else(|| (database, identity, next_number()));
        if self.0.len() >= Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back(known);
        known.2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(n: i64) -> Identity {
        Identity { n, nonce: -n }
    }

    #[test]
    fn an_identity_keeps_its_number_and_shares_it_with_no_other() {
        let mut known = KnownIdentities::default();
        let other = DatabaseId::read(&[None, Some("7".to_owned())]).unwrap();
        let first = known.number(DatabaseId::default(), identity(1));
        assert_ne!(first, UNKNOWN);
        assert_ne!(known.number(other, identity(1)), first);
        assert_ne!(known.number(DatabaseId::default(), Identity { n: 1, nonce: 1 }), first);
        // An identity in use is not forgotten; one that is forgotten gets another number.
        let old = known.number(DatabaseId::default(), identity(2));
        for n in 3..200 {
            assert_ne!(known.number(DatabaseId::default(), identity(n)), first);
            assert_eq!(known.number(DatabaseId::default(), identity(1)), first);
        }
        assert_ne!(known.number(DatabaseId::default(), identity(2)), old);
        assert!(known.0.len() <= KnownIdentities::MOST);
    }
}
