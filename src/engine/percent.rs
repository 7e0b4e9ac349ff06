//! Percent-encoding in database URLs.

use crate::error::{Error, Result};

/// Decodes percent-encoding strictly. Keeping a malformed `%` could silently turn a
/// correct password into a wrong one, or name another file. `what` is the part of the
/// URL; errors do not quote it.
pub(crate) fn decode(encoded: &str, what: &str) -> Result<String> {
    let bad = |why: &str| {
        Error::usage(format!("{what} in the database URL {why}"))
            .help("a character is encoded as % and two hexadecimal digits of each byte of its UTF-8 form; % itself is %25")
    };
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        match (digit(), digit()) {
            (Some(0), Some(0)) => return Err(bad("contains %00")),
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err(bad("has a % without two hexadecimal digits after it")),
        }
    }
    String::from_utf8(bytes).map_err(|_| bad("is not UTF-8"))
}

/// Encodes the characters that are not kept.
pub(crate) fn encode(text: &str, keep: impl Fn(char) -> bool) -> String {
    use std::fmt::Write as _;

    let mut encoded = String::new();
    for c in text.chars() {
        if keep(c) {
            encoded.push(c);
        } else {
            for byte in c.to_string().bytes() {
                // Writing to a String cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// Encodes what has a meaning in the URL of a file.
#[cfg(feature = "sqlite")]
pub(crate) fn encode_path(path: &str) -> String {
    encode(path, |c| !c.is_control() && !"%?#".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_is_undone_by_decoding() {
        for text in ["a b", "p@ss/w:rd?%", "ü", "a,b", "a\n#b"] {
            assert_eq!(decode(&encode(text, char::is_alphanumeric), "it").unwrap(), text);
            #[cfg(feature = "sqlite")]
            assert_eq!(decode(&encode_path(text), "it").unwrap(), text);
        }
        #[cfg(feature = "sqlite")]
        assert_eq!(encode_path("a b/ü~%41?#"), "a b/ü~%2541%3F%23");
    }
}
