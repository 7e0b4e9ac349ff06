//! Encodes values.
//!
//! In: a value. Out: its bytes.

use std::collections::HashMap;

use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::{CodecError, DEEPEST, tag};

type Result<T = ()> = std::result::Result<T, CodecError>;

/// Appends the bytes of a value.
pub(super) fn append<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result {
    value.serialize(&mut Encoder { out, names: HashMap::new(), depth: 0 })
}

/// Appends a length, seven bits a byte.
pub(super) fn push_length(out: &mut Vec<u8>, length: usize) {
    let mut rest = length;
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or(0);
        rest >>= 7;
        if rest == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

struct Encoder<'o> {
    out: &'o mut Vec<u8>,
    /// The numbers of the names that have occurred. A name is written once.
    names: HashMap<&'static str, usize>,
    depth: usize,
}

impl Encoder<'_> {
    fn put(&mut self, tag: u8, bytes: &[u8]) -> Result {
        self.out.push(tag);
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn put_long(&mut self, tag: u8, bytes: &[u8]) -> Result {
        self.out.push(tag);
        push_length(self.out, bytes.len());
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn name(&mut self, name: &'static str) {
        let next = self.names.len() + 1;
        if let Some(number) = self.names.get(name) {
            return push_length(self.out, *number);
        }
        self.names.insert(name, next);
        push_length(self.out, 0);
        push_length(self.out, name.len());
        self.out.extend_from_slice(name.as_bytes());
    }

    fn deeper(&mut self) -> Result {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(CodecError::new(format_args!("it is nested deeper than {DEEPEST} levels")));
        }
        Ok(())
    }

    fn nested<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.deeper()?;
        value.serialize(&mut *self)?;
        self.depth -= 1;
        Ok(())
    }

    fn begin(&mut self, tag: u8, names: &[&'static str]) -> Result<&mut Self> {
        self.deeper()?;
        self.out.push(tag);
        names.iter().for_each(|name| self.name(name));
        Ok(self)
    }

    fn finish(&mut self) -> Result {
        self.depth -= 1;
        self.out.push(tag::END);
        Ok(())
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result {
        self.out.push(tag::FIELD);
        self.name(name);
        value.serialize(&mut *self)
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty, $tag:ident;)*) => {
        $(fn $method(self, value: $type) -> Result {
            self.put(tag::$tag, &value.to_le_bytes())
        })*
    };
}

impl Serializer for &mut Encoder<'_> {
    type Ok = ();
    type Error = CodecError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers! {
        serialize_i8: i8, I8;
        serialize_i16: i16, I16;
        serialize_i32: i32, I32;
        serialize_i64: i64, I64;
        serialize_i128: i128, I128;
        serialize_u8: u8, U8;
        serialize_u16: u16, U16;
        serialize_u32: u32, U32;
        serialize_u64: u64, U64;
        serialize_u128: u128, U128;
        serialize_f32: f32, F32;
        serialize_f64: f64, F64;
    }

    fn serialize_bool(self, value: bool) -> Result {
        self.put(if value { tag::TRUE } else { tag::FALSE }, &[])
    }

    fn serialize_char(self, value: char) -> Result {
        self.put(tag::CHAR, &u32::from(value).to_le_bytes())
    }

    fn serialize_str(self, value: &str) -> Result {
        self.put_long(tag::STR, value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result {
        self.put_long(tag::BYTES, value)
    }

    fn serialize_none(self) -> Result {
        self.put(tag::NONE, &[])
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        self.out.push(tag::SOME);
        self.nested(value)
    }

    fn serialize_unit(self) -> Result {
        self.put(tag::UNIT, &[])
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result {
        self.out.push(tag::UNIT_STRUCT);
        self.name(name);
        Ok(())
    }

    fn serialize_unit_variant(self, name: &'static str, _: u32, variant: &'static str) -> Result {
        self.out.push(tag::UNIT_VARIANT);
        self.name(name);
        self.name(variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result {
        self.out.push(tag::NEWTYPE_STRUCT);
        self.name(name);
        self.nested(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result {
        self.out.push(tag::NEWTYPE_VARIANT);
        self.name(name);
        self.name(variant);
        self.nested(value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self> {
        self.begin(tag::SEQ, &[])
    }

    fn serialize_tuple(self, _: usize) -> Result<Self> {
        self.begin(tag::TUPLE, &[])
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Self> {
        self.begin(tag::TUPLE_STRUCT, &[name])
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self> {
        self.begin(tag::TUPLE_VARIANT, &[name, variant])
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self> {
        self.begin(tag::MAP, &[])
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Self> {
        self.begin(tag::STRUCT, &[name])
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self> {
        self.begin(tag::STRUCT_VARIANT, &[name, variant])
    }
}

macro_rules! elements {
    ($($trait:ident::$method:ident;)*) => {
        $(impl $trait for &mut Encoder<'_> {
            type Ok = ();
            type Error = CodecError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result {
                self.finish()
            }
        })*
    };
}

elements! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

macro_rules! fields {
    ($($trait:ident;)*) => {
        $(impl $trait for &mut Encoder<'_> {
            type Ok = ();
            type Error = CodecError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result {
                self.field(name, value)
            }

            fn end(self) -> Result {
                self.finish()
            }
        })*
    };
}

fields! {
    SerializeStruct;
    SerializeStructVariant;
}

impl SerializeMap for &mut Encoder<'_> {
    type Ok = ();
    type Error = CodecError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result {
        self.finish()
    }
}
