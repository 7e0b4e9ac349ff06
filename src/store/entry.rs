//! The envelope of a stored value: the full key, the value, and a checksum of both. An
//! entry that cannot be opened with the right key counts as a miss.
//!
//! In: a full key and a value. Out: the bytes of an entry, and back.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Identifies the layout below. Change it with the layout, so that releases with
/// different layouts do not read each other's entries.
const MAGIC: [u8; 4] = *b"Bst\x01";
const CHECKSUM: usize = 8;
const LENGTH: usize = 4;
const HEADER: usize = MAGIC.len() + CHECKSUM + LENGTH;

/// Seals a value; `None` if the key is too long for an envelope.
pub(super) fn seal(full_key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(full_key.len()).ok()?;
    let mut entry = Vec::with_capacity(HEADER + full_key.len() + value.len());
    entry.extend_from_slice(&MAGIC);
    entry.extend_from_slice(&[0; CHECKSUM]);
    entry.extend_from_slice(&length.to_le_bytes());
    entry.extend_from_slice(full_key);
    entry.extend_from_slice(value);
    let checksum = checksum(&entry[MAGIC.len() + CHECKSUM..]);
    entry[MAGIC.len()..][..CHECKSUM].copy_from_slice(&checksum);
    Some(entry)
}

/// Returns the value if `entry` is an undamaged envelope of this key.
pub(super) fn open(mut entry: Vec<u8>, full_key: &[u8]) -> Option<Vec<u8>> {
    let rest = entry.strip_prefix(&MAGIC)?;
    let (sum, rest) = rest.split_at_checked(CHECKSUM)?;
    if checksum(rest) != sum {
        return None;
    }
    let (length, rest) = rest.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (key, _) = rest.split_at_checked(length)?;
    if key != full_key {
        return None;
    }
    entry.drain(..HEADER + length);
    Some(entry)
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish().to_le_bytes()
}

/// Returns an entry with its checksum calculated again, as someone can write it who can write
/// to the store.
#[cfg(test)]
pub(super) fn with_right_checksum(mut entry: Vec<u8>) -> Vec<u8> {
    if let Some(rest) = entry.get(MAGIC.len() + CHECKSUM..) {
        let sum = checksum(rest);
        entry[MAGIC.len()..][..CHECKSUM].copy_from_slice(&sum);
    }
    entry
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sealed_values_can_be_opened() {
        for value in [&b""[..], b"x", &[0; 100_000]] {
            let entry = seal(b"key", value).unwrap();
            assert_eq!(open(entry.clone(), b"key").as_deref(), Some(value));
            assert_eq!(open(entry, b"kez"), None);
        }
    }

    #[test]
    fn the_border_of_key_and_value_is_kept() {
        assert_eq!(open(seal(b"ab", b"c").unwrap(), b"a"), None);
        assert_eq!(open(seal(b"a", b"bc").unwrap(), b"ab"), None);
    }

    /// A valid checksum over an invalid length is still only a miss.
    #[test]
    fn an_absurd_length_is_a_miss() {
        let mut entry = seal(b"key", b"value").unwrap();
        entry[MAGIC.len() + CHECKSUM..][..LENGTH].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(open(with_right_checksum(entry), b"key"), None);
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_a_miss(
            value in prop::collection::vec(any::<u8>(), 0..100), at: prop::sample::Index, change in 1..=255u8,
        ) {
            let mut entry = seal(b"key", &value).unwrap();
            let at = at.index(entry.len());
            entry[at] ^= change;
            prop_assert_eq!(open(entry, b"key"), None);
        }

        #[test]
        fn an_entry_of_another_length_is_a_miss(
            value in prop::collection::vec(any::<u8>(), 0..100),
            cut: prop::sample::Index,
            more in prop::collection::vec(any::<u8>(), 1..20),
        ) {
            let entry = seal(b"key", &value).unwrap();
            prop_assert_eq!(open(entry[..cut.index(entry.len())].to_vec(), b"key"), None);
            prop_assert_eq!(open([&entry[..], &more].concat(), b"key"), None);
        }

        #[test]
        fn other_bytes_are_a_miss(bytes in prop::collection::vec(any::<u8>(), 0..200), marked: bool) {
            let bytes = if marked { [&MAGIC[..], &bytes].concat() } else { bytes };
            prop_assert_eq!(open(bytes, b""), None);
        }
    }
}
