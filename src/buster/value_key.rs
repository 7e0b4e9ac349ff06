//! The keys of values: their types, and how they are written for a store.
//!
//! In: a key. Out: bytes, which no other key of any type has.

use std::hash::Hash;

/// A key of [`Values`](super::Values): a number, a text, a `char`, a `bool`, bytes, an
/// option or a tuple of them, or a type of the application.
///
/// A key of a type of its own says what it identifies, and costs nothing:
///
/// ```
/// use bustard::ValueKey;
///
/// #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
/// struct UserId(i64);
///
/// impl ValueKey for UserId {
///     fn write(&self, to: &mut Vec<u8>) {
///         self.0.write(to);
///     }
/// }
/// ```
pub trait ValueKey:
    Hash + Eq + Send + Sync + ToOwned<Owned: Clone + Hash + Eq + Send + Sync + 'static> + 'static
{
    /// Appends the key as it stands in the key of a store. Two different keys must not
    /// append the same bytes: they would have one value.
    fn write(&self, to: &mut Vec<u8>);
}

/// A text is written as it is, so that the keys of a store are readable. A text that begins
/// with `=`, as keys of other types do, begins with another one.
impl ValueKey for str {
    fn write(&self, to: &mut Vec<u8>) {
        if self.starts_with('=') {
            to.push(b'=');
        }
        to.extend_from_slice(self.as_bytes());
    }
}

impl ValueKey for String {
    fn write(&self, to: &mut Vec<u8>) {
        self.as_str().write(to);
    }
}

/// Appends a key that is not a text: its type, and what tells it apart from others of the
/// type. The type does not begin with `=`.
fn write_as(kind: &str, text: &[u8], to: &mut Vec<u8>) {
    to.push(b'=');
    to.extend_from_slice(kind.as_bytes());
    to.push(b'.');
    to.extend_from_slice(text);
}

macro_rules! numbers {
    ($($kind:ident)*) => {$(
        impl ValueKey for $kind {
            fn write(&self, to: &mut Vec<u8>) {
                write_as(stringify!($kind), self.to_string().as_bytes(), to);
            }
        }
    )*};
}

numbers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize bool);

impl ValueKey for char {
    fn write(&self, to: &mut Vec<u8>) {
        write_as("char", self.encode_utf8(&mut [0; 4]).as_bytes(), to);
    }
}

impl ValueKey for [u8] {
    fn write(&self, to: &mut Vec<u8>) {
        write_as("bytes", self, to);
    }
}

impl<const N: usize> ValueKey for [u8; N] {
    fn write(&self, to: &mut Vec<u8>) {
        write_as("bytes", self, to);
    }
}

impl ValueKey for [String] {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(b"=list.");
        self.iter().for_each(|part| write_part(part, to));
    }
}

#[cfg(feature = "uuid")]
impl ValueKey for uuid::Uuid {
    fn write(&self, to: &mut Vec<u8>) {
        write_as("uuid", self.to_string().as_bytes(), to);
    }
}

/// The key of the only value.
impl ValueKey for () {
    fn write(&self, _: &mut Vec<u8>) {}
}

/// Appends a part of a key with its length, so that parts cannot be mistaken for others.
fn write_part(part: &impl ValueKey, to: &mut Vec<u8>) {
    let mut written = Vec::new();
    part.write(&mut written);
    to.extend_from_slice(written.len().to_string().as_bytes());
    to.push(b'.');
    to.append(&mut written);
}

impl<K: ValueKey + Clone> ValueKey for Option<K> {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(b"=option");
        if let Some(key) = self {
            to.push(b'.');
            write_part(key, to);
        }
    }
}

macro_rules! tuples {
    ($(($($part:ident)+))*) => {$(
        impl<$($part: ValueKey + Clone),+> ValueKey for ($($part,)+) {
            fn write(&self, to: &mut Vec<u8>) {
                #[allow(non_snake_case, reason = "the name of the type is that of the part")]
                let ($($part,)+) = self;
                to.extend_from_slice(b"=tuple.");
                $(write_part($part, to);)+
            }
        }
    )*};
}

tuples!((A) (A B) (A B C) (A B C D));

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn written(key: &(impl ValueKey + ?Sized)) -> Vec<u8> {
        let mut bytes = Vec::new();
        key.write(&mut bytes);
        bytes
    }

    #[test]
    fn keys_are_readable() {
        for (bytes, readable) in [
            (written("user/17"), "user/17"),
            (written("=i64.42"), "==i64.42"),
            (written(&42i64), "=i64.42"),
            (written(&-1i8), "=i8.-1"),
            (written(&'é'), "=char.é"),
            (written(&("a".to_owned(), 42u32)), "=tuple.1.a7.=u32.42"),
            (written(&None::<bool>), "=option"),
            (written(&Some(true)), "=option.10.=bool.true"),
        ] {
            assert_eq!(String::from_utf8(bytes).unwrap(), readable);
        }
    }

    /// Keys that look alike, of all types.
    #[test]
    fn keys_of_different_types_are_different() {
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        let keys = [
            written("42"),
            written("=42"),
            written("=i64.42"),
            written("==i64.42"),
            written("=option"),
            written("=tuple.2.422.42"),
            written(&42i8),
            written(&42i16),
            written(&42i32),
            written(&42i64),
            written(&42i128),
            written(&42u8),
            written(&42u64),
            written(&42usize),
            written(&b"42"[..]),
            written(&'4'),
            written(&Some(42i64)),
            written(&None::<i64>),
            written(&Some(None::<i64>)),
            written(&Some("42".to_owned())),
            written(&(42i64,)),
            written(&(42i64, 42i64)),
            written(&(42i64, "42".to_owned())),
            written(&("42".to_owned(), 42i64)),
            written(&pair("42", "42")),
            written(&pair("4", "242")),
            written(&pair("4242", "")),
            written(&(("42".to_owned(),), "42".to_owned())),
            written(&("42".to_owned(), ("42".to_owned(),))),
            written(&["42".to_owned()][..]),
            written(&["42".to_owned(), "42".to_owned()][..]),
            written(&["4242".to_owned(), String::new()][..]),
        ];
        let mut all = BTreeMap::new();
        for (at, key) in keys.iter().enumerate() {
            let text = String::from_utf8_lossy(key).into_owned();
            assert_eq!(all.insert(key.clone(), at), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn different_keys_are_written_differently(
            one in ("[=.0-2a]{0,4}", any::<Option<u8>>(), "[=.0-2a]{0,4}"),
            other in ("[=.0-2a]{0,4}", any::<Option<u8>>(), "[=.0-2a]{0,4}"),
        ) {
            prop_assert_eq!(written(&one) == written(&other), one == other);
            prop_assert_eq!(written(&*one.0) == written(&*other.0), one.0 == other.0);
        }
    }
}
