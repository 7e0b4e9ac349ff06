//! Decodes values. The bytes may be anything.
//!
//! In: bytes. Out: a value, or an error.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{CodecError, DEEPEST, tag};

type Result<T> = std::result::Result<T, CodecError>;

/// Decodes one value, which all bytes belong to.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let mut decoder = Decoder { reader: Reader::new(bytes), depth: 0 };
    let value = T::deserialize(&mut decoder)?;
    if !decoder.reader.is_at_end() {
        return Err(CodecError::new("bytes follow the value"));
    }
    Ok(value)
}

/// Reads the parts of values.
pub(super) struct Reader<'de> {
    input: &'de [u8],
    names: Vec<&'de str>,
}

impl<'de> Reader<'de> {
    pub(super) fn new(input: &'de [u8]) -> Self {
        Reader { input, names: Vec::new() }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.input.is_empty()
    }

    pub(super) fn peek(&self) -> Result<u8> {
        self.input.first().copied().ok_or_else(ended)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.input.split_first().ok_or_else(ended)?;
        self.input = rest;
        Ok(*first)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'de [u8]> {
        let (taken, rest) = self.input.split_at_checked(length).ok_or_else(ended)?;
        self.input = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.input.split_first_chunk::<N>().ok_or_else(ended)?;
        self.input = rest;
        Ok(*taken)
    }

    fn length(&mut self) -> Result<usize> {
        let mut length = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            length |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(length).map_err(CodecError::new);
            }
        }
        Err(CodecError::new("a length is too long"))
    }

    pub(super) fn bytes(&mut self) -> Result<&'de [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'de str> {
        std::str::from_utf8(self.bytes()?).map_err(CodecError::new)
    }

    pub(super) fn name(&mut self) -> Result<&'de str> {
        match self.length()? {
            0 => {
                let name = self.text()?;
                self.names.push(name);
                Ok(name)
            }
            number => self.names.get(number - 1).copied().ok_or_else(|| CodecError::new("a name is missing")),
        }
    }
}

fn ended() -> CodecError {
    CodecError::new("the bytes end too early")
}

struct Decoder<'de> {
    reader: Reader<'de>,
    depth: usize,
}

impl<'de> Decoder<'de> {
    fn nested<R>(&mut self, read: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        if self.depth >= DEEPEST {
            return Err(CodecError::new("the bytes are nested too deeply"));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn elements<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.nested(|decoder| {
            let value = visitor.visit_seq(Parts(decoder))?;
            decoder.end()?;
            Ok(value)
        })
    }

    fn entries<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.nested(|decoder| {
            let value = visitor.visit_map(Parts(decoder))?;
            decoder.end()?;
            Ok(value)
        })
    }

    fn fields<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        self.nested(|decoder| {
            let value = visitor.visit_map(Fields(decoder))?;
            decoder.end()?;
            Ok(value)
        })
    }

    /// Reads the end of a sequence, which the visitor has left.
    fn end(&mut self) -> Result<()> {
        match self.reader.byte()? {
            tag::END => Ok(()),
            _ => Err(CodecError::new("there are more elements than expected")),
        }
    }
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = CodecError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let reader = &mut self.reader;
        match reader.byte()? {
            tag::NONE => visitor.visit_none(),
            tag::SOME => self.nested(|decoder| visitor.visit_some(decoder)),
            tag::UNIT => visitor.visit_unit(),
            tag::FALSE => visitor.visit_bool(false),
            tag::TRUE => visitor.visit_bool(true),
            tag::I8 => visitor.visit_i8(i8::from_le_bytes(reader.array()?)),
            tag::I16 => visitor.visit_i16(i16::from_le_bytes(reader.array()?)),
            tag::I32 => visitor.visit_i32(i32::from_le_bytes(reader.array()?)),
            tag::I64 => visitor.visit_i64(i64::from_le_bytes(reader.array()?)),
            tag::I128 => visitor.visit_i128(i128::from_le_bytes(reader.array()?)),
            tag::U8 => visitor.visit_u8(u8::from_le_bytes(reader.array()?)),
            tag::U16 => visitor.visit_u16(u16::from_le_bytes(reader.array()?)),
            tag::U32 => visitor.visit_u32(u32::from_le_bytes(reader.array()?)),
            tag::U64 => visitor.visit_u64(u64::from_le_bytes(reader.array()?)),
            tag::U128 => visitor.visit_u128(u128::from_le_bytes(reader.array()?)),
            tag::F32 => visitor.visit_f32(f32::from_le_bytes(reader.array()?)),
            tag::F64 => visitor.visit_f64(f64::from_le_bytes(reader.array()?)),
            tag::CHAR => {
                let number = u32::from_le_bytes(reader.array()?);
                visitor.visit_char(char::from_u32(number).ok_or_else(|| CodecError::new("no character"))?)
            }
            tag::STR => visitor.visit_borrowed_str(reader.text()?),
            tag::BYTES => visitor.visit_borrowed_bytes(reader.bytes()?),
            tag::SEQ | tag::TUPLE => self.elements(visitor),
            tag::TUPLE_STRUCT => {
                reader.name()?;
                self.elements(visitor)
            }
            tag::MAP => self.entries(visitor),
            tag::STRUCT => {
                reader.name()?;
                self.fields(visitor)
            }
            tag::UNIT_STRUCT => {
                reader.name()?;
                visitor.visit_unit()
            }
            // A type that does not ask for a wrapper reads what it contains.
            tag::NEWTYPE_STRUCT => {
                reader.name()?;
                self.nested(|decoder| decoder.deserialize_any(visitor))
            }
            // Without the type of an enum, as in JSON: a text, or a map of one entry.
            tag::UNIT_VARIANT => {
                reader.name()?;
                visitor.visit_borrowed_str(reader.name()?)
            }
            tag @ (tag::NEWTYPE_VARIANT | tag::TUPLE_VARIANT | tag::STRUCT_VARIANT) => {
                reader.name()?;
                let name = Some(reader.name()?);
                visitor.visit_map(OneVariant { body: VariantBody { decoder: self, tag }, name })
            }
            other => Err(CodecError::new(format_args!("there is no tag {other}"))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.reader.peek()? {
            tag::NONE | tag::SOME => self.deserialize_any(visitor),
            _ => self.nested(|decoder| visitor.visit_some(decoder)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        if self.reader.peek()? == tag::NEWTYPE_STRUCT {
            self.reader.byte()?;
            self.reader.name()?;
        }
        self.nested(|decoder| visitor.visit_newtype_struct(decoder))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.reader.byte()? {
            tag @ (tag::UNIT_VARIANT | tag::NEWTYPE_VARIANT | tag::TUPLE_VARIANT | tag::STRUCT_VARIANT) => {
                self.reader.name()?;
                visitor.visit_enum(VariantBody { decoder: self, tag })
            }
            _ => Err(CodecError::new("the value is no variant")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The elements of a sequence, or the keys and values of a map.
struct Parts<'a, 'de>(&'a mut Decoder<'de>);

impl<'de> SeqAccess<'de> for Parts<'_, 'de> {
    type Error = CodecError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        match self.0.reader.peek()? {
            tag::END => Ok(None),
            _ => seed.deserialize(&mut *self.0).map(Some),
        }
    }
}

impl<'de> MapAccess<'de> for Parts<'_, 'de> {
    type Error = CodecError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        seed.deserialize(&mut *self.0)
    }
}

/// The fields of a struct.
struct Fields<'a, 'de>(&'a mut Decoder<'de>);

impl<'de> MapAccess<'de> for Fields<'_, 'de> {
    type Error = CodecError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if self.0.reader.peek()? == tag::END {
            return Ok(None);
        }
        match self.0.reader.byte()? {
            tag::FIELD => seed.deserialize(BorrowedStrDeserializer::new(self.0.reader.name()?)).map(Some),
            _ => Err(CodecError::new("the value is no field")),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        seed.deserialize(&mut *self.0)
    }
}

/// What a variant contains, after the name of its type.
struct VariantBody<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    tag: u8,
}

impl<'de> EnumAccess<'de> for VariantBody<'_, 'de> {
    type Error = CodecError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self)> {
        let name = self.decoder.reader.name()?;
        Ok((seed.deserialize(BorrowedStrDeserializer::new(name))?, self))
    }
}

fn other_variant() -> CodecError {
    CodecError::new("the variant has another form")
}

impl<'de> VariantAccess<'de> for VariantBody<'_, 'de> {
    type Error = CodecError;

    fn unit_variant(self) -> Result<()> {
        if self.tag == tag::UNIT_VARIANT { Ok(()) } else { Err(other_variant()) }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value> {
        match self.tag {
            tag::NEWTYPE_VARIANT => self.decoder.nested(|decoder| seed.deserialize(decoder)),
            _ => Err(other_variant()),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        match self.tag {
            tag::TUPLE_VARIANT => self.decoder.elements(visitor),
            _ => Err(other_variant()),
        }
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value> {
        match self.tag {
            tag::STRUCT_VARIANT => self.decoder.fields(visitor),
            _ => Err(other_variant()),
        }
    }
}

impl<'de> Deserializer<'de> for VariantBody<'_, 'de> {
    type Error = CodecError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.tag {
            tag::TUPLE_VARIANT => self.decoder.elements(visitor),
            _ => self.decoder.fields(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A variant as a map of one entry.
struct OneVariant<'a, 'de> {
    body: VariantBody<'a, 'de>,
    name: Option<&'de str>,
}

impl<'de> MapAccess<'de> for OneVariant<'_, 'de> {
    type Error = CodecError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        self.name.take().map(|name| seed.deserialize(BorrowedStrDeserializer::new(name))).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        let VariantBody { decoder, tag } = &mut self.body;
        match *tag {
            tag::NEWTYPE_VARIANT => decoder.nested(|decoder| seed.deserialize(decoder)),
            tag => seed.deserialize(VariantBody { decoder, tag }),
        }
    }
}
