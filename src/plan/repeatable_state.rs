//! The state of repeatable migrations: the text compared with its record. All functions are
//! pure.
//!
//! In: the checksum of the text, and the record in the database. Out: whether the text is
//! installed, must be installed, or was replaced by a newer text. The text of a repeatable
//! migration may change at any time, so there is no divergence.
//!
//! Bustard's own functions have an edition, which is compared first. A release with a lower
//! edition than the recorded edition installs none of its own functions, and uses the newer
//! functions.

use crate::history::{Recorded, Repeatables};

/// The state of a repeatable migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RepeatableState {
    /// The current text is installed, or a text of a newer edition.
    Installed,
    /// The migration was never installed.
    New,
    /// Another text of the migration is installed.
    Changed,
    /// The migration is one of Bustard's own, and its definition in the database was
    /// edited.
    Edited,
    /// The text was installed and then replaced, so it comes from an older release.
    Superseded,
}

/// Compares a text's checksum with its record. `edition` is the edition of this release;
/// `None` for all apps except Bustard's own.
pub(crate) fn state(
    checksum: &str,
    edition: Option<i32>,
    recorded: Option<&Recorded>,
    all: &Repeatables,
) -> RepeatableState {
    if edition.is_some() && edition < all.edition() {
        return RepeatableState::Installed;
    }
    let Some(recorded) = recorded else { return RepeatableState::New };
    match &recorded.current {
        Some(current) if current.checksum == checksum => match current.edited {
            true => RepeatableState::Edited,
            false => RepeatableState::Installed,
        },
        _ if edition.is_none() && recorded.former.contains(checksum) => RepeatableState::Superseded,
        _ => RepeatableState::Changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Current;

    /// Returns the records of one repeatable migration: the current text, the former texts,
    /// the edition, and whether the function was edited.
    fn recorded(current: &str, former: &[&str], edition: Option<i32>, edited: bool) -> Repeatables {
        let mut all = Repeatables::default();
        let (checksum, installed_at) = (current.to_owned(), "now".to_owned());
        all.installed("main".into(), "a".into(), Current { checksum, installed_at, edition, edited });
        former.iter().for_each(|one| all.replaced("main".into(), "a".into(), (*one).to_owned()));
        all
    }

    fn state_of(checksum: &str, edition: Option<i32>, all: &Repeatables) -> RepeatableState {
        state(checksum, edition, all.find("main", "a"), all)
    }

    #[test]
    fn texts_of_an_app() {
        let all = recorded("2", &["1"], None, false);
        assert_eq!(state_of("2", None, &all), RepeatableState::Installed);
        assert_eq!(state_of("3", None, &all), RepeatableState::Changed);
        assert_eq!(state_of("1", None, &all), RepeatableState::Superseded);
        assert_eq!(state_of("1", None, &Repeatables::default()), RepeatableState::New);
    }

    #[test]
    fn editions_decide_about_bustards_own_texts() {
        let all = recorded("2", &["1"], Some(4), false);
        // An older release never replaces the functions of a newer release, even if its
        // texts differ.
        assert_eq!(state_of("1", Some(3), &all), RepeatableState::Installed);
        assert_eq!(state_of("9", Some(3), &all), RepeatableState::Installed);
        assert_eq!(state("9", Some(3), None, &all), RepeatableState::Installed);
        // A newer edition may use an earlier text again.
        assert_eq!(state_of("1", Some(5), &all), RepeatableState::Changed);
        assert_eq!(state_of("2", Some(5), &all), RepeatableState::Installed);
        assert_eq!(state("9", Some(4), None, &all), RepeatableState::New);
        assert_eq!(state_of("2", Some(4), &recorded("2", &[], Some(4), true)), RepeatableState::Edited);
        assert_eq!(state_of("2", Some(3), &recorded("2", &[], Some(4), true)), RepeatableState::Installed);
    }
}
