//! What somebody may have meant: the library's own measure, which is not part
//! of its public API.

/// The name nearest to `wanted`, if one is near enough to be a slip.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, name) = names.into_iter().map(|name| (strsim::osa_distance(wanted, name), name)).min()?;
    (distance <= name.chars().count().max(3) / 3).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised() {
        assert_eq!(nearest("lock_wiat", ["transaction", "lock_wait"]), Some("lock_wait"));
        assert_eq!(nearest("timeout", ["transaction", "lock_wait"]), None);
    }
}
