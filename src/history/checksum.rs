//! Refinery's checksums, which tell whether a history row belongs to a migration as it is
//! now.
//!
//! In: a migration, and perhaps a history row. Out: checksums and their comparison.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use siphasher::sip::SipHasher13;

use crate::model::{Applied, LoadedMigration, MigrationId, Width};

/// Computes refinery's checksum: SipHash-1-3 with zero keys over name, version and text,
/// each hashed as Rust hashes `String`, `i32` or `i64`, and `str`.
pub(crate) fn checksum(id: &MigrationId, text: &str, width: Width) -> u64 {
    let mut hasher = SipHasher13::new();
    id.name.hash(&mut hasher);
    match width {
        // Versions that do not fit are refused before anything is hashed.
        Width::Int4 => (id.version as i32).hash(&mut hasher),
        Width::Int8 => id.version.hash(&mut hasher),
    }
    text.hash(&mut hasher);
    hasher.finish()
}

/// The difference between the applied text, which the history row describes, and the
/// current text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// The text is the same.
    Same,
    /// Only the dependencies differ.
    OtherDependencies,
    /// The text or the name differs.
    Different,
}

/// Returns whether a history row has the checksum of a text as read, with LF, or with CRLF
/// line ends.
pub(super) fn has_text(applied: &Applied, id: &MigrationId, text: &str, width: Width) -> bool {
    let Ok(found) = applied.checksum.parse::<u64>() else { return false };
    let is = |text: &str| checksum(id, text, width) == found;
    let lf = lf(text);
    is(text) || (lf != text && is(&lf)) || (lf.contains('\n') && is(&lf.replace('\n', "\r\n")))
}

/// Compares a history row with a migration: the name, and the checksum of the text. The
/// text may have been applied with other line ends (LF or CRLF), or without its
/// dependencies. To recognise other changes of the dependencies, the caller compares the
/// record.
pub(crate) fn likeness(applied: &Applied, migration: &LoadedMigration, width: Width) -> Likeness {
    let is_in_any_form = |text: &str| has_text(applied, &migration.id, text, width);
    if applied.name != migration.id.name {
        Likeness::Different
    } else if is_in_any_form(&migration.text) {
        Likeness::Same
    } else if !migration.dependency_lines.is_empty() && is_in_any_form(&without_dependencies(migration)) {
        Likeness::OtherDependencies
    } else {
        Likeness::Different
    }
}

/// Computes the body checksum: the checksum of the text without dependencies. Line ends do
/// not matter.
pub(crate) fn body_checksum(migration: &LoadedMigration) -> String {
    checksum(&migration.id, &lf(&without_dependencies(migration)), Width::Int8).to_string()
}

/// Computes the checksum of a repeatable migration from its name and its whole text. Line
/// ends do not matter.
pub(crate) fn text_checksum(migration: &LoadedMigration) -> String {
    checksum(&migration.id, &lf(&migration.text), Width::Int8).to_string()
}

fn without_dependencies(migration: &LoadedMigration) -> String {
    // A byte order mark is always removed. Otherwise it would be removed only together with
    // a dependency in the first line.
    let text = migration.text.strip_prefix('\u{feff}').unwrap_or(&migration.text);
    let lines = text.split_inclusive('\n').enumerate();
    lines.filter(|(n, _)| !migration.dependency_lines.contains(n)).map(|(_, line)| line).collect()
}

pub(super) fn lf(text: &str) -> Cow<'_, str> {
    if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Migration, Prefix};

    fn migration(text: &str) -> LoadedMigration {
        let id = MigrationId { version: 3, prefix: Prefix::V, name: "x".into() };
        LoadedMigration { text: text.into(), ..LoadedMigration::of(id, Migration::new(), None) }
    }

    fn row(text: &str, width: Width) -> Applied {
        Applied {
            version: 3,
            name: "x".into(),
            applied_on: String::new(),
            checksum: checksum(&migration(text).id, text, width).to_string(),
        }
    }

    #[test]
    fn the_checksum_is_refinerys() {
        let text = "CREATE TABLE a (x int);\n";
        let theirs = refinery_core::Migration::unapplied("V3__x", text).expect("a good name");
        assert_eq!(checksum(&migration(text).id, text, Width::NEW), theirs.checksum());
    }

    #[test]
    fn line_ends_do_not_matter_and_everything_else_does() {
        for width in [Width::Int4, Width::Int8] {
            let recognises =
                |row: &Applied, file: &LoadedMigration, width| likeness(row, file, width) == Likeness::Same;
            let row = |text: &str| row(text, width);
            for stored in ["a;\nb;\n", "a;\r\nb;\r\n"] {
                for file in ["a;\nb;\n", "a;\r\nb;\r\n", "a;\r\nb;\n"] {
                    let same = stored != "a;\r\nb;\n";
                    assert_eq!(
                        recognises(&row(stored), &migration(file), width),
                        same,
                        "{stored:?} {file:?}"
                    );
                }
            }
            assert!(!recognises(&row("a;\nc;\n"), &migration("a;\nb;\n"), width));
            let other = if width == Width::Int4 { Width::Int8 } else { Width::Int4 };
            assert!(!recognises(&row("a;"), &migration("a;"), other));
        }
    }

    #[test]
    fn dependencies_are_no_part_of_the_body() {
        let with = |text: &str, lines: &[usize]| LoadedMigration {
            dependency_lines: lines.to_vec(),
            ..migration(text)
        };
        let bare = migration("a;\nb;\n");
        for (text, lines) in [
            ("-- bustard: depends on y\na;\nb;\n", &[0][..]),
            ("\u{feff}-- bustard: depends on y\r\na;\r\n-- bustard: required by z V1\r\nb;\r\n", &[0, 2]),
        ] {
            let asking = with(text, lines);
            assert_eq!(body_checksum(&asking), body_checksum(&bare), "{text:?}");
            assert_eq!(
                likeness(&row("a;\nb;\n", Width::NEW), &asking, Width::NEW),
                Likeness::OtherDependencies
            );
            assert_eq!(likeness(&row("a;\nc;\n", Width::NEW), &asking, Width::NEW), Likeness::Different);
        }
        assert_ne!(body_checksum(&migration("a;\n")), body_checksum(&bare));
    }
}
