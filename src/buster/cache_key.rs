//! The keys of caches that are registered `by` columns: their types, and how they fit the
//! columns.
//!
//! In: a key. Out: its bucket, and its values for the database.

#[cfg(feature = "uuid")]
use uuid::Uuid;

use self::sealed::Key;
use super::value_key::ValueKey;
use crate::error::Error;
use crate::model::{ColumnRule, KeyRule};

/// A key of a [`KeyedCache`](super::KeyedCache): `i64` (also `i32` and `i16`), `str` or
/// `String`, with the feature `uuid` `Uuid`, or `[String]` for a key of several columns.
/// Keys have the type of their columns, so that a key is never formatted in two ways.
pub trait CacheKey: ValueKey + Key {}

pub(super) mod sealed {
    use super::KeyRule;

    pub trait Key {
        /// What the type is called in messages.
        const TYPE: &'static str;

        /// Returns whether the type is that of keys of this rule.
        fn fits(rule: &KeyRule) -> bool;

        /// Returns the bucket; `None` if this is no key of the rule.
        fn bucket(&self, rule: &KeyRule) -> Option<usize>;

        /// Returns a text for each column.
        fn values(&self) -> Vec<String>;
    }
}

impl CacheKey for i16 {}
impl CacheKey for i32 {}
impl CacheKey for i64 {}
impl CacheKey for str {}
impl CacheKey for String {}
#[cfg(feature = "uuid")]
impl CacheKey for uuid::Uuid {}

/// Makes types that are keys of one column, with its rule and the bucket of a key.
macro_rules! keys_of_one_column {
    ($($kind:ident)*, $rule:ident, $bucket:expr) => {$(
        impl Key for $kind {
            const TYPE: &'static str = stringify!($kind);

            fn fits(rule: &KeyRule) -> bool {
                rule.is_one(ColumnRule::$rule)
            }

            fn bucket(&self, rule: &KeyRule) -> Option<usize> {
                let bucket: fn(&Self, &KeyRule) -> Option<usize> = $bucket;
                bucket(self, rule)
            }

            fn values(&self) -> Vec<String> {
                vec![self.to_string()]
            }
        }
    )*};
}

keys_of_one_column!(i16 i32 i64, Int, |key, rule| Some(rule.int_bucket(*key)));
keys_of_one_column!(str String, Text, |key, rule| rule.bucket(&[key]));

#[cfg(feature = "uuid")]
keys_of_one_column!(Uuid, Uuid, |key, rule| {
    rule.bucket(&[key.hyphenated().encode_lower(&mut Uuid::encode_buffer())])
});

/// A text for each column, in the order of the columns.
impl CacheKey for [String] {}

impl Key for [String] {
    const TYPE: &'static str = "[String]";

    /// The number and the form of the values are known only with a key.
    fn fits(_: &KeyRule) -> bool {
        true
    }

    fn bucket(&self, rule: &KeyRule) -> Option<usize> {
        rule.bucket(&self.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn values(&self) -> Vec<String> {
        self.to_vec()
    }
}

/// How the values of a cache by key find the version of their key.
pub(super) struct KeyOf<K: ?Sized> {
    pub bucket: fn(&K, &KeyRule) -> Option<usize>,
    pub values: fn(&K) -> Vec<String>,
}

impl<K: CacheKey + ?Sized> KeyOf<K> {
    pub(super) fn new() -> Self {
        KeyOf { bucket: K::bucket, values: K::values }
    }
}

impl<K: ?Sized> Clone for KeyOf<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: ?Sized> Copy for KeyOf<K> {}

/// Borrows the values of a key.
pub(super) fn texts(values: &[String]) -> Vec<&str> {
    values.iter().map(String::as_str).collect()
}

pub(super) fn no_key(cache: &str) -> Error {
    Error::usage(format!("this is no key of the cache {cache}"))
        .help("a key has a value for each of its columns, in their order, as the database writes it")
}
