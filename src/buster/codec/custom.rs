//! Encodings of the application for values in a store.
//!
//! In: a codec and values. Out: bytes that say which codec and type they are from, and back.

use std::error::Error;

use super::{CodecError, encode::push_length};

/// An encoding of values for a store, instead of the one that serde's traits give; see
/// [`Values::shared_with`](crate::Values::shared_with).
///
/// A value is stored only if it encodes to the same bytes after it has been decoded, and
/// bytes are decoded only if the value encodes to them again. So an encoding that loses
/// something is noticed, unless it loses the same each time.
///
/// ```
/// use std::error::Error;
///
/// use bustard::Codec;
///
/// struct Lines;
///
/// impl Codec<Vec<String>> for Lines {
///     fn name(&self) -> &str {
///         "lines"
///     }
///
///     fn encode(&self, value: &Vec<String>) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
///         // The codec refuses what it would not return.
///         if value.is_empty() || value.iter().any(|line| line.contains('\n')) {
///             return Err("lines cannot express it".into());
///         }
///         Ok(value.join("\n").into_bytes())
///     }
///
///     fn decode(&self, bytes: &[u8]) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
///         Ok(std::str::from_utf8(bytes)?.split('\n').map(str::to_owned).collect())
///     }
/// }
/// ```
pub trait Codec<T>: Send + Sync {
    /// Returns the name of the encoding. Change it with the encoding: bytes of another name
    /// are a miss.
    fn name(&self) -> &str;

    /// Encodes a value.
    ///
    /// # Errors
    ///
    /// Returns an error for a value that cannot be encoded. It is not stored, and the log
    /// says so once.
    fn encode(&self, value: &T) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>>;

    /// Decodes a value.
    ///
    /// # Errors
    ///
    /// Returns an error for bytes that `encode` does not return. They are a miss.
    fn decode(&self, bytes: &[u8]) -> Result<T, Box<dyn Error + Send + Sync>>;
}

/// What bytes of an application's codec begin with, instead of the format.
const CUSTOM: u8 = 255;

/// Encodes a value that can be decoded. Returns an error if what would be decoded differs.
pub(in crate::buster) fn encode_with<T>(codec: &impl Codec<T>, value: &T) -> Result<Vec<u8>, CodecError> {
    let body = codec.encode(value).map_err(CodecError::new)?;
    checked(codec, &body)?;
    let mut bytes = header::<T>(codec.name());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// Decodes a value. Returns `None` for bytes of another type or codec, and for bytes that the
/// decoded value does not encode to.
pub(in crate::buster) fn decode_with<T>(codec: &impl Codec<T>, bytes: &[u8]) -> Option<T> {
    let body = bytes.strip_prefix(header::<T>(codec.name()).as_slice())?;
    checked(codec, body).ok()
}

fn checked<T>(codec: &impl Codec<T>, body: &[u8]) -> Result<T, CodecError> {
    let value = codec.decode(body).map_err(CodecError::new)?;
    if codec.encode(&value).map_err(CodecError::new)? != body {
        return Err(CodecError::new("decoding it gives a value that is encoded differently"));
    }
    Ok(value)
}

fn header<T>(codec: &str) -> Vec<u8> {
    let mut header = vec![CUSTOM];
    for part in [codec, std::any::type_name::<T>()] {
        push_length(&mut header, part.len());
        header.extend_from_slice(part.as_bytes());
    }
    header
}
