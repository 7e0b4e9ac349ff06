//! The keys of caches that a poller knows, and what polls change about them.
//!
//! In: the rows of `bustard.snapshot_keys()`, each of them all buckets of a cache, or those
//! that have changed. Out: all buckets of the cache, if their sum is the one that the row
//! says.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::Row;
use crate::engine::observer::SeenKeys;
use crate::engine::registry::not_a_version;
use crate::error::Result;
use crate::model::{BUCKETS, Identity, KeyRule};

/// What a poller knows about keys.
#[derive(Debug, Default)]
pub(super) struct KeySnapshot {
    /// The database snapshot as of which the buckets were read.
    mark: Option<String>,
    caches: BTreeMap<String, KnownBuckets>,
}

#[derive(Debug)]
struct KnownBuckets {
    /// The sources of the cache, as the registry writes them.
    sources: String,
    buckets: Arc<[Identity]>,
}

/// The keys of one cache, as a row says them.
#[derive(Debug)]
pub(super) enum Applied {
    /// The keys, and what all buckets come to.
    Keys(SeenKeys, Identity),
    /// A poll has missed a change, so all buckets must be read again.
    Missed,
}

impl KeySnapshot {
    /// Forgets the keys of other caches than these.
    pub(super) fn retain(&mut self, keyed: &[&str]) {
        self.caches.retain(|name, _| keyed.contains(&name.as_str()));
    }

    /// Returns the sources of a cache, if its buckets are known.
    pub(super) fn sources(&self, name: &str) -> Option<&str> {
        Some(&self.caches.get(name)?.sources)
    }

    pub(super) fn mark(&self) -> Option<&str> {
        self.mark.as_deref()
    }

    /// Applies a row of name, rule, count, nonce and the columns of the buckets, and returns
    /// the name and the keys of the cache.
    pub(super) fn apply(&mut self, row: &Row) -> Result<(String, Applied)> {
        let column = |i: usize| row.get(i).and_then(Option::as_deref);
        let number = |i| column(i)?.parse().ok();
        let [Some(name), Some(sources), Some(mark), Some(is_delta)] = [0, 10, 11, 12].map(column) else {
            return Err(not_a_version());
        };
        let (Some(n), Some(nonce)) = (number(2), number(3)) else { return Err(not_a_version()) };
        let sum = Identity { n, nonce };
        let changed = changed(column(13), column(14), column(15)).ok_or_else(not_a_version)?;
        self.mark = Some(mark.to_owned());
        let name = name.to_owned();
        let Some(rule) = column(1) else {
            self.caches.remove(&name);
            return Ok((name, Applied::Keys(SeenKeys::None, Identity::NONE)));
        };
        let rule = KeyRule::parse(rule).ok_or_else(not_a_version)?;
        let known = self.caches.remove(&name).filter(|_| is_delta == "t");
        let mut buckets =
            known.map_or_else(|| Arc::from(vec![Identity::NONE; BUCKETS]), |known| known.buckets);
        if !changed.is_empty() {
            let buckets = Arc::make_mut(&mut buckets);
            for (bucket, identity) in changed {
                *buckets.get_mut(bucket).ok_or_else(not_a_version)? = identity;
            }
        }
        if buckets.iter().fold(Identity::NONE, |sum, bucket| sum.and(*bucket)) != sum {
            return Ok((
                name,
                if is_delta == "t" { Applied::Missed } else { Applied::Keys(SeenKeys::Unproven, sum) },
            ));
        }
        let keys = SeenKeys::Read { rule, rest: Identity::NONE, buckets: buckets.clone() };
        self.caches.insert(name.clone(), KnownBuckets { sources: sources.to_owned(), buckets });
        Ok((name, Applied::Keys(keys, sum)))
    }
}

/// Parses the buckets that have changed, and what they have come to.
fn changed(buckets: Option<&str>, ns: Option<&str>, nonces: Option<&str>) -> Option<Vec<(usize, Identity)>> {
    let (buckets, ns, nonces) = (numbers(buckets?)?, numbers(ns?)?, numbers(nonces?)?);
    if ns.len() != buckets.len() || nonces.len() != buckets.len() {
        return None;
    }
    let bucket = |((bucket, n), nonce)| Some((usize::try_from(bucket).ok()?, Identity { n, nonce }));
    buckets.into_iter().zip(ns).zip(nonces).map(bucket).collect()
}

/// Parses an array of integers.
fn numbers(array: &str) -> Option<Vec<i64>> {
    match array.strip_prefix('{')?.strip_suffix('}')? {
        "" => Some(Vec::new()),
        numbers => numbers.split(',').map(|number| number.parse().ok()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(sum: (i64, i64), is_delta: &str, buckets: &str, ns: &str, nonces: &str) -> Row {
        let (n, nonce) = (sum.0.to_string(), sum.1.to_string());
        let mut row: Row =
            ["permissions", "int", &n, &nonce].iter().map(|text| Some((*text).to_owned())).collect();
        row.resize(10, None);
        row.extend(["{5,7}", "1:2:", is_delta, buckets, ns, nonces].map(|text| Some(text.to_owned())));
        row
    }

    fn buckets(applied: Applied) -> Arc<[Identity]> {
        match applied {
            Applied::Keys(SeenKeys::Read { buckets, .. }, _) => buckets,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_delta_replaces_buckets_and_is_proven() {
        let mut known = KeySnapshot::default();
        let (_, all) = known.apply(&row((3, 3), "f", "{0,4092}", "{1,2}", "{1,2}")).unwrap();
        assert_eq!(buckets(all)[4092], Identity { n: 2, nonce: 2 });
        assert_eq!((known.sources("permissions"), known.mark()), (Some("{5,7}"), Some("1:2:")));
        let (_, delta) = known.apply(&row((5, 4), "t", "{0}", "{3}", "{6}")).unwrap();
        let now = buckets(delta);
        assert_eq!((now[0], now[4092]), (Identity { n: 3, nonce: 6 }, Identity { n: 2, nonce: 2 }));
        // Nothing has changed: the buckets are the same, not a copy.
        assert!(Arc::ptr_eq(&now, &buckets(known.apply(&row((5, 4), "t", "{}", "{}", "{}")).unwrap().1)));
    }

    #[test]
    fn a_missed_change_is_noticed_and_a_contradiction_is_no_version() {
        for sum in [(4, 3), (3, 2)] {
            let mut known = KeySnapshot::default();
            known.apply(&row((3, 3), "f", "{0,4092}", "{1,2}", "{1,2}")).unwrap();
            let (_, applied) = known.apply(&row(sum, "t", "{}", "{}", "{}")).unwrap();
            assert!(matches!(applied, Applied::Missed), "{applied:?}");
            assert_eq!(known.sources("permissions"), None, "all buckets are read next");
            let (_, applied) = known.apply(&row(sum, "f", "{0,4092}", "{1,2}", "{1,2}")).unwrap();
            assert!(matches!(applied, Applied::Keys(SeenKeys::Unproven, _)), "{applied:?}");
        }
    }

    #[test]
    fn rows_that_bustard_has_not_written() {
        for (buckets, ns) in
            [("{4093}", "{1}"), ("{-1}", "{1}"), ("{0,1}", "{1}"), ("0", "{1}"), ("{x}", "{1}")]
        {
            let mut known = KeySnapshot::default();
            assert!(known.apply(&row((1, 0), "f", buckets, ns, "{0}")).is_err(), "{buckets} {ns}");
        }
    }
}
