//! The key of an entry. The parts of the key in the store are readable if they are plain
//! ASCII, and hashed otherwise. The full key is part of the entry, and distinguishes
//! entries whose store keys collide.
//!
//! In: database, caches, name of the values, format, versions and the caller's key. Out: the store key and the
//! full key.

use std::fmt::Write;

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

use crate::error::{Error, Result};
use crate::model::{DatabaseId, Identity};

/// The longest key that Memcached accepts; all stores have this limit.
pub(super) const LONGEST_KEY: usize = 250;

/// The key of an entry: the database, the name of the values, their tracked caches, the format
/// number, the identities of the versions that were read before the value, and the caller's key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryKey<'a> {
    database: DatabaseId,
    name: &'a str,
    caches: &'a [String],
    format: u32,
    identities: &'a [Identity],
    key: &'a [u8],
}

/// An [`EntryKey`] for another thread.
#[cfg(feature = "tokio")]
pub(crate) struct OwnedEntryKey {
    database: DatabaseId,
    name: String,
    caches: Vec<String>,
    format: u32,
    identities: Vec<Identity>,
    key: Vec<u8>,
}

#[cfg(feature = "tokio")]
impl OwnedEntryKey {
    pub(crate) fn new(key: &EntryKey<'_>) -> Self {
        let EntryKey { database, name, caches, format, identities, key } = *key;
        let (name, caches, identities) = (name.to_owned(), caches.to_vec(), identities.to_vec());
        OwnedEntryKey { database, name, caches, format, identities, key: key.to_vec() }
    }

    pub(crate) fn borrowed(&self) -> EntryKey<'_> {
        let OwnedEntryKey { database, name, caches, format, identities, key } = self;
        EntryKey::new(*database, name, caches, *format, identities, key)
    }
}

impl<'a> EntryKey<'a> {
    /// Creates a key. Any part may have any value, including an empty one.
    pub(crate) fn new(
        database: DatabaseId,
        name: &'a str,
        caches: &'a [String],
        format: u32,
        identities: &'a [Identity],
        key: &'a [u8],
    ) -> Self {
        EntryKey { database, name, caches, format, identities, key }
    }

    /// Returns the full key. Different parts never produce the same bytes.
    pub(crate) fn full(&self) -> Vec<u8> {
        let mut full = Vec::with_capacity(128 + self.name.len() + self.key.len());
        full.extend_from_slice(&self.database.bytes());
        let mut push = |part: &[u8]| {
            full.extend_from_slice(&(part.len() as u64).to_le_bytes());
            full.extend_from_slice(part);
        };
        push(self.name.as_bytes());
        push(&(self.caches.len() as u64).to_le_bytes());
        self.caches.iter().for_each(|cache| push(cache.as_bytes()));
        full.extend_from_slice(&self.format.to_le_bytes());
        for identity in self.identities {
            full.extend_from_slice(&identity.n.to_le_bytes());
            full.extend_from_slice(&identity.nonce.to_le_bytes());
        }
        full.extend_from_slice(self.key);
        full
    }

    /// Returns the key for the store: the prefix and
    /// `database:name:cache:format:n.nonce:key`, with several caches `cache+cache` and
    /// `n.nonce+n.nonce`. The database is a hash. Another part that is
    /// not plain ASCII is replaced by `#` and its hash. If the result is still too long, the
    /// whole key is replaced by `#` and its hash.
    pub(super) fn stored(&self, prefix: &str) -> String {
        let mut stored = String::from(prefix);
        let mut hasher = SipHasher13::new();
        hasher.write(&self.database.bytes());
        // Writing to a string cannot fail.
        let _ = write!(stored, "{:016x}:", hasher.finish128().h1);
        push_part(&mut stored, self.name.as_bytes());
        for (at, cache) in self.caches.iter().enumerate() {
            stored.push(if at == 0 { ':' } else { '+' });
            push_part(&mut stored, cache.as_bytes());
        }
        let _ = write!(stored, ":{}", self.format);
        for (at, Identity { n, nonce }) in self.identities.iter().enumerate() {
            let _ = write!(stored, "{}{n}.{nonce:x}", if at == 0 { ':' } else { '+' });
        }
        stored.push(':');
        push_part(&mut stored, self.key);
        if stored.len() > LONGEST_KEY {
            stored.truncate(prefix.len());
            push_hash(&mut stored, &self.full());
        }
        stored
    }
}

fn push_part(to: &mut String, part: &[u8]) {
    let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b':';
    match std::str::from_utf8(part) {
        Ok(text) if part.len() <= 128 && !part.is_empty() && part[0] != b'#' && part.iter().all(plain) => {
            to.push_str(text);
        }
        _ => push_hash(to, part),
    }
}

fn push_hash(to: &mut String, bytes: &[u8]) {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    let hash = hasher.finish128().as_u128();
    let _ = write!(to, "#{hash:032x}");
}

/// Rejects a key that a store does not accept.
pub(super) fn check(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > LONGEST_KEY || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::usage(format!(
            "the key of a store must be 1 to {LONGEST_KEY} bytes of printable ASCII without spaces"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const IDENTITY: Identity = Identity { n: 7, nonce: -2 };

    /// The database of this number.
    fn database(number: u128) -> DatabaseId {
        DatabaseId::read(&[Some(format!("{number:032x}")), Some("7".to_owned())]).unwrap()
    }

    /// The start of the keys of database 1.
    const START: &str = "b:2edb48ce6bd8e40b:";

    fn caches(names: &str) -> &'static [String] {
        Vec::leak(names.split(',').map(str::to_owned).collect())
    }

    fn key<'a>(name: &'a str, cache: &'a str, key: &'a [u8]) -> EntryKey<'a> {
        EntryKey::new(database(1), name, caches(cache), 1, &[IDENTITY], key)
    }

    #[test]
    fn plain_parts_are_readable() {
        let stored = key("forum", "bans", b"user/17").stored("b:");
        assert_eq!(stored, format!("{START}forum:bans:1:7.fffffffffffffffe:user/17"));
    }

    #[test]
    fn other_parts_are_hashed() {
        let long = [b'k'; 300];
        for odd in [&b"a b"[..], b"", b"a:b", b"#a", b"\r\nset x", "ü".as_bytes(), b"\xff", &long] {
            let stored = key("forum", "bans", odd).stored("b:");
            let hash = stored
                .strip_prefix(START)
                .and_then(|key| key.strip_prefix("forum:bans:1:7.fffffffffffffffe:#"));
            assert_eq!(hash.map(str::len), Some(32), "{stored}");
        }
        let cache = "c".repeat(128);
        let stored = key("forum", &cache, &[b'k'; 100]).stored("b:");
        assert_eq!(stored.len(), "b:#".len() + 32, "{stored}");
    }

    #[test]
    fn every_part_tells_keys_apart() {
        let identity = |n, nonce| Identity { n, nonce };
        let one = |database, name, cache, format, identity, key| {
            EntryKey::new(database, name, caches(cache), format, Vec::leak(vec![identity]), key)
        };
        let two = |names, first, second| {
            EntryKey::new(database(1), "a", caches(names), 1, Vec::leak(vec![first, second]), b"k")
        };
        let keys = [
            one(database(1), "a", "bc", 1, identity(1, 2), b"k"),
            one(database(2), "a", "bc", 1, identity(1, 2), b"k"),
            one(DatabaseId::default(), "a", "bc", 1, identity(1, 2), b"k"),
            one(database(1), "ab", "c", 1, identity(1, 2), b"k"),
            one(database(1), "a", "bc", 2, identity(1, 2), b"k"),
            one(database(1), "a", "bc", 1, identity(2, 2), b"k"),
            one(database(1), "a", "bc", 1, identity(1, 3), b"k"),
            one(database(1), "a", "bc", 1, identity(1, 2), b"l"),
            one(database(1), "", "abc", 1, identity(1, 2), b"k"),
            // The sums of the identities are equal.
            two("b,c", identity(1, 2), identity(2, 4)),
            two("b,c", identity(2, 4), identity(1, 2)),
            two("b,c", identity(1, 4), identity(2, 2)),
            two("b,d", identity(1, 2), identity(2, 4)),
        ];
        let full: BTreeSet<_> = keys.iter().map(EntryKey::full).collect();
        let stored: BTreeSet<_> = keys.iter().map(|key| key.stored("")).collect();
        assert_eq!((full.len(), stored.len()), (keys.len(), keys.len()));
    }

    proptest! {
        #[test]
        fn any_parts_make_a_key(
            app in ".{0,50}", cache in ".{0,140}", format: u32, n: i64, nonce: i64,
            name in prop::collection::vec(any::<u8>(), 0..400), prefix in "[!-~]{0,100}",
        ) {
            let (caches, identities) = ([cache], [Identity { n, nonce }]);
            let key = EntryKey::new(database(1), &app, &caches, format, &identities, &name);
            let stored = key.stored(&prefix);
            prop_assert!(check(&stored).is_ok(), "{stored:?}");
            prop_assert!(stored.starts_with(&prefix));
        }

        #[test]
        fn different_parts_have_different_full_keys(
            one in ("[a:]{0,3}", "[a:]{0,3}", 0..2u32, 0..2i64, "[a:]{0,3}"),
            other in ("[a:]{0,3}", "[a:]{0,3}", 0..2u32, 0..2i64, "[a:]{0,3}"),
        ) {
            let full = |(app, cache, format, n, key): &(String, String, u32, i64, String)| {
                let (caches, identities) = ([cache.clone()], [Identity { n: *n, nonce: 0 }]);
                EntryKey::new(database(1), app, &caches, *format, &identities, key.as_bytes()).full()
            };
            prop_assert_eq!(full(&one) == full(&other), one == other);
        }
    }
}
