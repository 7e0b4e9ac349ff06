//! The encoding of values in a store: what is decoded equals what was encoded, or it is
//! refused.
//!
//! The format describes itself, and tells everything apart that serde's data model does: an
//! option from its value, numbers of different widths, the bits of floats, names of types,
//! fields and variants. A value is stored only if it encodes to the same bytes after it has
//! been decoded, and it is returned only if it does so again. The order of the entries of a
//! map may differ.
//!
//! In: values. Out: bytes, and back.

mod compare;
mod custom;
mod decode;
mod encode;
#[cfg(test)]
mod libraries;
#[cfg(test)]
mod tests;

use std::fmt;

pub use self::custom::Codec;
pub(super) use self::custom::{decode_with, encode_with};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The deepest nesting of values.
const DEEPEST: usize = 128;

/// Identifies the format. Change it with the format, so that releases with different formats
/// do not read each other's values.
const FORMAT: u8 = 1;

/// What a value begins with.
mod tag {
    pub const NONE: u8 = 0;
    pub const SOME: u8 = 1;
    pub const UNIT: u8 = 2;
    pub const FALSE: u8 = 3;
    pub const TRUE: u8 = 4;
    pub const I8: u8 = 5;
    pub const I16: u8 = 6;
    pub const I32: u8 = 7;
    pub const I64: u8 = 8;
    pub const I128: u8 = 9;
    pub const U8: u8 = 10;
    pub const U16: u8 = 11;
    pub const U32: u8 = 12;
    pub const U64: u8 = 13;
    pub const U128: u8 = 14;
    pub const F32: u8 = 15;
    pub const F64: u8 = 16;
    pub const CHAR: u8 = 17;
    pub const STR: u8 = 18;
    pub const BYTES: u8 = 19;
    pub const SEQ: u8 = 20;
    pub const TUPLE: u8 = 21;
    pub const TUPLE_STRUCT: u8 = 22;
    pub const MAP: u8 = 23;
    pub const STRUCT: u8 = 24;
    pub const UNIT_STRUCT: u8 = 25;
    pub const NEWTYPE_STRUCT: u8 = 26;
    pub const UNIT_VARIANT: u8 = 27;
    pub const NEWTYPE_VARIANT: u8 = 28;
    pub const TUPLE_VARIANT: u8 = 29;
    pub const STRUCT_VARIANT: u8 = 30;
    /// A field of a struct: its name and its value.
    pub const FIELD: u8 = 31;
    /// The end of a sequence, a map or a struct.
    pub const END: u8 = 32;
}

/// Why a value cannot be encoded or decoded.
#[derive(Debug)]
pub(super) struct CodecError(String);

impl CodecError {
    fn new(text: impl fmt::Display) -> Self {
        CodecError(text.to_string())
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}

impl serde::ser::Error for CodecError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        CodecError::new(text)
    }
}

impl serde::de::Error for CodecError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        CodecError::new(text)
    }
}

/// Encodes a value that can be decoded. Returns an error if what would be decoded differs.
pub(super) fn encode<T: Serialize + DeserializeOwned>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = header::<T>();
    encode::append(value, &mut bytes)?;
    decode_checked::<T>(&bytes)?;
    Ok(bytes)
}

/// Decodes a value. Returns `None` for bytes of another type, and for bytes that the decoded
/// value does not encode to.
pub(super) fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    decode_checked(bytes).ok()
}

fn decode_checked<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let body = bytes
        .strip_prefix(header::<T>().as_slice())
        .ok_or_else(|| CodecError::new("the value has another type or format"))?;
    let value = decode::read::<T>(body)?;
    let mut again = Vec::with_capacity(body.len());
    encode::append(&value, &mut again)?;
    if !compare::same(body, &again) {
        return Err(CodecError::new(
            "decoding it gives a value that is encoded differently. Does the type skip fields, have \
             ambiguous untagged variants, or a HashSet? (Use a BTreeSet.)",
        ));
    }
    Ok(value)
}

/// What the bytes of a type begin with.
fn header<T>() -> Vec<u8> {
    let name = std::any::type_name::<T>().as_bytes();
    let mut header = vec![FORMAT];
    encode::push_length(&mut header, name.len());
    header.extend_from_slice(name);
    header
}
