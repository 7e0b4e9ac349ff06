//! Suggests a name for a misspelt one. The library has the same function, which is
//! not part of its public API.

/// Returns the name nearest to `wanted`, if it is near enough to be a typing error.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, name) = names.into_iter().map(|name| (strsim::osa_distance(wanted, name), name)).min()?;
    (distance <= name.chars().count().max(3) / 3).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_recognised() {
        assert_eq!(nearest("lock_wiat", ["transaction", "lock_wait"]), Some("lock_wait"));
        assert_eq!(nearest("timeout", ["transaction", "lock_wait"]), None);
    }
}
