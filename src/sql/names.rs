//! The rules for labels of apps and names of caches.
//!
//! In: a name. Out: nothing, or the message of a diagnostic.

/// The help for an invalid label.
pub(crate) const LABEL_HELP: &str =
    "labels are up to 39 lower case letters, digits and `_`, and start with a letter";

/// Checks a label. Labels are strict because they become part of table names.
pub(crate) fn label(label: &str) -> Result<(), String> {
    let mut chars = label.chars();
    let good = chars.next().is_some_and(|first| first.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && label.len() <= 39;
    if good { Ok(()) } else { Err(format!("`{label}` is not a valid app label")) }
}

/// Returns whether a cache name can be written without quotes.
pub(crate) fn is_bare(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

pub(crate) fn cache_name(name: &str) -> Result<(), String> {
    match name.chars().count() {
        0 => Err("the name of the cache is empty".to_owned()),
        1..=128 if name.chars().any(char::is_control) => {
            Err(format!("the name of the cache {name:?} contains a control character"))
        }
        1..=128 => Ok(()),
        length => Err(format!("the name of the cache has {length} characters, more than 128")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for good in ["a", "main", "a_1", &"a".repeat(39)] {
            assert_eq!(label(good), Ok(()), "{good}");
        }
        for bad in ["", "A", "1a", "_a", "a-b", "é", &"a".repeat(40)] {
            assert!(label(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cache_names() {
        for good in ["a", "two words", "é\"", &"ü".repeat(128)] {
            assert_eq!(cache_name(good), Ok(()), "{good}");
        }
        for bad in ["", "a\nb", "a\0", &"a".repeat(129)] {
            assert!(cache_name(bad).is_err(), "{bad}");
        }
    }
}
