//! Tests of the encoding: each kind of value comes back equal or is refused.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Debug;
use std::sync::Arc;

use proptest::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{decode, encode};
use crate::fuzz::{drive_on, finds};

/// Asserts that a value comes back, compared by its `Debug` form, which tells NaN and -0
/// apart from others.
#[track_caller]
pub fn kept<T: Serialize + serde::de::DeserializeOwned + Debug>(value: T) {
    let bytes = encode(&value).unwrap_or_else(|error| panic!("{value:?}: {error}"));
    let back = decode::<T>(&bytes).unwrap_or_else(|| panic!("{value:?} does not come back"));
    assert_eq!(format!("{back:?}"), format!("{value:?}"));
    let (_, cut) = bytes.split_last().unwrap();
    assert!(decode::<T>(cut).is_none() && decode::<T>(&[&bytes[..], &[0]].concat()).is_none());
}

#[track_caller]
fn refused<T: Serialize + serde::de::DeserializeOwned>(value: &T) {
    assert!(encode(value).is_err());
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Unit;

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Newtype(Option<u8>);

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Pair(u8, String);

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Named {
    a: Option<Option<()>>,
    b: Vec<Pair>,
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
enum External {
    Unit,
    Newtype(Option<()>),
    Tuple(u8, f64),
    Struct { a: Option<u8>, b: char },
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(tag = "type")]
enum Internal {
    Unit,
    Newtype(Named),
    Struct { a: f32, c: char, external: External },
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    Unit,
    Newtype(External),
    Tuple(u8, Option<()>),
    Struct { a: i64 },
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
    Text(String),
    Pair(u8, bool),
    Struct { x: External },
    Maybe(Option<bool>),
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(untagged)]
enum Ambiguous {
    Small(u8),
    Large(u64),
    Named(Named),
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Flat {
    id: u32,
    #[serde(flatten)]
    named: Named,
    #[serde(flatten)]
    rest: BTreeMap<String, Untagged>,
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Skips {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    with_default: Option<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without: Vec<u8>,
}

/// As many types serialize times and identifiers: as a text or as bytes.
#[derive(Debug, PartialEq)]
struct Identifier([u8; 16]);

impl Serialize for Identifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.serialize_str(&format!("{:032x}", u128::from_be_bytes(self.0))),
            false => serializer.serialize_bytes(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)?;
        Ok(Identifier(number.to_be_bytes()))
    }
}

/// Bytes that are written as such.
#[derive(Debug, PartialEq)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

/// An `Arc` as serde's feature `rc` writes it.
#[derive(Debug)]
struct Shared(Arc<Named>);

impl Serialize for Shared {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Shared {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Named::deserialize(deserializer).map(|named| Shared(Arc::new(named)))
    }
}

fn named() -> Named {
    Named { a: Some(None), b: vec![Pair(1, "é".to_owned()), Pair(2, String::new())] }
}

#[test]
fn c1_options_and_units() {
    kept(());
    kept(Unit);
    kept((Some(()), None::<()>));
    for value in [None, Some(None), Some(Some(None)), Some(Some(Some(())))] {
        kept::<Option<Option<Option<()>>>>(value);
    }
    kept([Newtype(None), Newtype(Some(1))]);
    kept([Some(Unit), None]);
}

#[test]
fn c1_numbers_and_texts() {
    for bits in [0, 1, 1 << 63, 0x7ff0 << 48, 0xfff0 << 48, 0x7ff8 << 48, 0x7ff0_0000_0000_0001, u64::MAX] {
        let bytes = encode(&f64::from_bits(bits)).unwrap();
        assert_eq!(decode::<f64>(&bytes).map(f64::to_bits), Some(bits));
    }
    for bits in [0, 1, 1 << 31, 0x7f80_0000, 0x7fc0_0000, 0x7f80_0001, u32::MAX] {
        let bytes = encode(&Some(f32::from_bits(bits))).unwrap();
        assert_eq!(decode::<Option<f32>>(&bytes).flatten().map(f32::to_bits), Some(bits));
    }
    kept((u128::MAX, i128::MIN, u64::MAX, i64::MIN, i8::MIN, true, false));
    kept(('\0', 'é', char::MAX, String::from("a\0\u{fffd}")));
    kept(vec![7u8; 1 << 20]);
    kept(Bytes((0..=255).cycle().take(1 << 20).collect()));
    kept(Identifier([9; 16]));
    kept(std::time::Duration::from_nanos(1_234_567_891));
    kept(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(5));
    kept(std::net::IpAddr::from([1, 2, 3, 4]));
}

#[test]
fn c1_values_of_any_type() {
    for json in ["null", "[null,1,-1,1.5,\"a\",{\"b\":{\"a\":null}}]", "{}", "18446744073709551615", "1e300"]
    {
        let value: Value = serde_json::from_str(json).unwrap();
        kept(value.clone());
        kept(Some(value.clone()));
        kept(vec![None, Some(value)]);
    }
    let null = encode(&Some(Value::Null)).unwrap();
    assert_eq!(decode::<Option<Value>>(&null), Some(Some(Value::Null)));
    assert_eq!(decode::<Option<Value>>(&encode(&None::<Value>).unwrap()), Some(None));
}

#[test]
fn c1_enums() {
    let external = || {
        [
            External::Unit,
            External::Newtype(None),
            External::Newtype(Some(())),
            External::Tuple(1, f64::NAN),
            External::Struct { a: None, b: 'x' },
        ]
    };
    kept(external());
    for external in external() {
        kept(Internal::Struct { a: -0.0, c: 'é', external });
    }
    for external in external() {
        kept(Adjacent::Newtype(external));
    }
    for x in external() {
        kept(vec![Untagged::Struct { x }, Untagged::Pair(1, true), Untagged::Text("t".to_owned())]);
    }
    kept((Internal::Unit, Internal::Newtype(named())));
    kept((Adjacent::Unit, Adjacent::Tuple(1, Some(())), Adjacent::Struct { a: -1 }));
    kept([Untagged::Number(5), Untagged::Maybe(None), Untagged::Maybe(Some(true))]);
    kept([Ambiguous::Small(1), Ambiguous::Named(named())]);
    refused(&Ambiguous::Large(1));
    kept(Ambiguous::Large(300));
}

#[test]
fn c1_fields_and_maps() {
    kept(named());
    kept(Flat { id: 1, named: named(), rest: [("x".to_owned(), Untagged::Number(1))].into() });
    kept(Skips { with_default: None, without: vec![1] });
    kept(Skips { with_default: Some(1), without: vec![1] });
    refused(&Skips { with_default: None, without: Vec::new() });
    kept(BTreeMap::from([((1u8, 2u8), Some(())), ((1, 3), None)]));
    kept(BTreeMap::from([(Some('a'), 1), (None, 2)]));
    kept(BTreeMap::from([(vec![1u8], External::Unit)]).into_iter().collect::<Vec<_>>());
    kept(Shared(Arc::new(named())));
    kept(Box::new(Pair(1, String::new())));
    // The order of a map is random, so other bytes are the same map.
    let map: HashMap<u32, HashMap<String, u32>> =
        (0..50).map(|n| (n, (0..n).map(|n| (n.to_string(), n)).collect())).collect();
    assert_eq!(decode(&encode(&map).unwrap()).as_ref(), Some(&map));
    // The order of a sequence is not, and serde does not tell a set from a sequence.
    refused(&(0..50).collect::<HashSet<u32>>());
    kept((0..50).collect::<BTreeSet<u32>>());
}

/// What serde itself does not see cannot be seen here.
#[test]
fn c1_other_types_are_a_miss() {
    mod old {
        #[derive(serde::Serialize, serde::Deserialize)]
        pub struct Rank {
            pub posts: u64,
        }
    }
    mod new {
        #[derive(Debug, serde::Serialize, serde::Deserialize)]
        pub struct Rank {
            pub posts: u64,
        }
    }
    let bytes = encode(&old::Rank { posts: 5 }).unwrap();
    assert!(decode::<old::Rank>(&bytes).is_some() && decode::<new::Rank>(&bytes).is_none());
    assert!(decode::<Vec<u64>>(&encode(&Vec::<i64>::new()).unwrap()).is_none());
    assert!(decode::<u32>(&encode(&1u64).unwrap()).is_none());

    /// Writes the form that an older build of the type has written.
    fn of_older_build<T, U: Serialize>(older: &U) -> Vec<u8> {
        let mut bytes = super::header::<T>();
        super::encode::append(older, &mut bytes).unwrap();
        bytes
    }
    let old = old::Rank { posts: 5 };
    assert!(decode::<new::Rank>(&of_older_build::<new::Rank, _>(&old)).is_some(), "the same form");
    // Fields in another order, an added field, another width, another variant.
    #[derive(Serialize)]
    #[serde(rename = "Named")]
    struct Reordered {
        b: Vec<Pair>,
        a: Option<Option<()>>,
    }
    let reordered = Reordered { b: Vec::new(), a: None };
    assert!(decode::<Named>(&of_older_build::<Named, _>(&reordered)).is_none());
    #[derive(Serialize)]
    #[serde(rename = "Skips")]
    struct Added {
        without: Vec<u16>,
    }
    assert!(decode::<Skips>(&of_older_build::<Skips, _>(&Added { without: vec![1] })).is_none());
    assert!(decode::<u64>(&of_older_build::<u64, _>(&1u32)).is_none());
}

/// Nested values; deeper ones are refused, and hostile bytes do not overflow the stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Bits(u64),
    Float(f64),
    Text(String),
    Maybe(Option<Box<Tree>>),
    List(Vec<Tree>),
    Map(BTreeMap<String, Tree>),
    Both { left: Box<Tree>, right: Option<Option<Box<Tree>>> },
    Pair(Box<Tree>, char),
}

fn deep(depth: usize) -> Tree {
    (0..depth).fold(Tree::Leaf, |tree, _| Tree::List(vec![tree]))
}

#[test]
fn c1_deep_values_are_refused() {
    kept(deep(30));
    refused(&deep(2_000));
    for byte in 0..=super::tag::END {
        let bytes = [super::header::<Value>(), vec![byte; 1 << 20]].concat();
        assert!(decode::<Value>(&bytes).is_none() || byte == super::tag::NONE);
        assert!(decode::<Tree>(&[super::header::<Tree>(), vec![byte; 1 << 20]].concat()).is_none());
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Leaf),
        any::<u64>().prop_map(Tree::Bits),
        any::<u64>().prop_map(|bits| Tree::Float(f64::from_bits(bits))),
        ".{0,8}".prop_map(Tree::Text),
        Just(Tree::Maybe(None)),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed.clone().prop_map(|tree| Tree::Maybe(Some(tree))),
            prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::List),
            prop::collection::btree_map(".{0,3}", inner, 0..6).prop_map(Tree::Map),
            (boxed.clone(), prop::option::of(prop::option::of(boxed.clone())))
                .prop_map(|(left, right)| Tree::Both { left, right }),
            (boxed, any::<char>()).prop_map(|(tree, of)| Tree::Pair(tree, of)),
        ]
    })
}

/// The form with the bits of floats.
fn bits(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    super::encode::append(tree, &mut bytes).unwrap();
    bytes
}

proptest! {
    #[test]
    fn c1_trees_come_back(tree in trees()) {
        let bytes = encode(&tree).unwrap();
        let back = decode::<Tree>(&bytes).unwrap();
        prop_assert_eq!(bits(&back), bits(&tree));
        prop_assert_eq!(format!("{back:?}"), format!("{tree:?}"));
    }

    #[test]
    fn c1_bits_of_floats_come_back(floats in prop::collection::vec(any::<u64>(), 0..50)) {
        let floats: Vec<f64> = floats.into_iter().map(f64::from_bits).collect();
        let back = decode::<Vec<f64>>(&encode(&floats).unwrap()).unwrap();
        let bits = |floats: &[f64]| floats.iter().map(|float| float.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&back), bits(&floats));
    }
}

/// Values for the fuzz target, encoded without their header.
fn corpus() -> Vec<Vec<u8>> {
    let trees = [
        deep(9),
        Tree::Both { left: Box::new(Tree::Float(-0.0)), right: Some(None) },
        Tree::Map([("a".to_owned(), Tree::Bits(7)), ("b".to_owned(), Tree::Text("é".to_owned()))].into()),
        Tree::List(vec![
            Tree::Pair(Box::new(Tree::Leaf), 'x'),
            Tree::Pair(Box::new(Tree::Leaf), 'y'),
            Tree::Maybe(Some(Box::new(Tree::Leaf))),
        ]),
    ];
    trees.iter().map(bits).collect()
}

/// Decodes bytes. What is decoded encodes to the same bytes.
fn decodes(bytes: &[u8], decode: impl Fn(&[u8]) -> Option<Tree>) -> bool {
    let whole = [super::header::<Tree>().as_slice(), bytes].concat();
    let Some(tree) = decode(&whole) else { return false };
    assert!(super::compare::same(&bits(&tree), bytes), "{tree:?} has other bytes");
    true
}

#[test]
fn c1_fuzz_hostile_bytes() {
    drive_on("codec", &corpus(), |bytes| decodes(bytes, decode::<Tree>));
    drive_on("codec", &corpus(), |bytes| {
        let any = [super::header::<Value>().as_slice(), bytes].concat();
        let _ = decode::<Value>(&any);
        let _ = decode::<Untagged>(&[super::header::<Untagged>().as_slice(), bytes].concat());
        bytes.len() > 20
    });
}

#[test]
fn c1_fuzz_finds_a_decoder_that_does_not_compare() {
    finds("codec", &corpus(), |bytes| {
        decodes(bytes, |whole| super::decode::read(&whole[super::header::<Tree>().len()..]).ok())
    });
}
