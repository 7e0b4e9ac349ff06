//! Compares encoded values. Maps are equal if they have the same entries in any order,
//! because the order of a `HashMap` is random.
//!
//! In: the bytes of two values. Out: whether the values are the same.

use super::decode::Reader;
use super::{CodecError, DEEPEST, tag};

pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    one == other || matches!((tree(one), tree(other)), (Ok(one), Ok(other)) if one == other)
}

/// An encoded value with its names, and with the entries of maps in their order by value.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Node<'a> {
    tag: u8,
    names: Vec<&'a str>,
    bytes: &'a [u8],
    children: Vec<Node<'a>>,
}

fn tree(bytes: &[u8]) -> Result<Node<'_>, CodecError> {
    let mut reader = Reader::new(bytes);
    let tree = node(&mut reader, 0)?;
    if !reader.is_at_end() {
        return Err(CodecError::new("bytes follow the value"));
    }
    Ok(tree)
}

fn node<'a>(reader: &mut Reader<'a>, depth: usize) -> Result<Node<'a>, CodecError> {
    // A field adds a level.
    if depth > 2 * DEEPEST {
        return Err(CodecError::new("the bytes are nested too deeply"));
    }
    let tag = reader.byte()?;
    let names = match tag {
        tag::TUPLE_STRUCT | tag::STRUCT | tag::UNIT_STRUCT | tag::NEWTYPE_STRUCT | tag::FIELD => 1,
        tag::UNIT_VARIANT | tag::NEWTYPE_VARIANT | tag::TUPLE_VARIANT | tag::STRUCT_VARIANT => 2,
        _ => 0,
    };
    let names = (0..names).map(|_| reader.name()).collect::<Result<_, _>>()?;
    let bytes = match tag {
        tag::I8 | tag::U8 => reader.take(1)?,
        tag::I16 | tag::U16 => reader.take(2)?,
        tag::I32 | tag::U32 | tag::F32 | tag::CHAR => reader.take(4)?,
        tag::I64 | tag::U64 | tag::F64 => reader.take(8)?,
        tag::I128 | tag::U128 => reader.take(16)?,
        tag::STR | tag::BYTES => reader.bytes()?,
        _ => &[],
    };
    let mut children = Vec::new();
    match tag {
        tag::SOME | tag::NEWTYPE_STRUCT | tag::NEWTYPE_VARIANT | tag::FIELD => {
            children.push(node(reader, depth + 1)?);
        }
        tag::SEQ
        | tag::TUPLE
        | tag::TUPLE_STRUCT
        | tag::TUPLE_VARIANT
        | tag::STRUCT
        | tag::STRUCT_VARIANT => {
            while reader.peek()? != tag::END {
                children.push(node(reader, depth + 1)?);
            }
            reader.byte()?;
        }
        tag::MAP => {
            while reader.peek()? != tag::END {
                let entry = vec![node(reader, depth + 1)?, node(reader, depth + 1)?];
                children.push(Node { tag, names: Vec::new(), bytes: &[], children: entry });
            }
            reader.byte()?;
            children.sort();
        }
        _ => {}
    }
    Ok(Node { tag, names, bytes, children })
}
