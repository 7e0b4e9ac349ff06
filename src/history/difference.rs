//! What differs between an applied migration and its file, as far as checksums can tell.
//!
//! In: a history row, and a migration whose checksum differs from it. Out: the differences in
//! words, or nothing if the applied text is unknown.
//!
//! The history has a checksum and not the text. So this module changes the text of the file
//! in the ways in which editors and tools change a text, until the checksum is the recorded
//! one.

use std::borrow::Cow;

use super::checksum::{checksum, has_text, lf};
use crate::model::{Applied, LoadedMigration, MigrationId, Width};

/// A change that editors and tools make, and the text before it, if the change is possible.
struct Form {
    change: &'static str,
    before: fn(&str) -> Option<String>,
}

const FORMS: &[Form] = &[
    Form { change: "a byte order mark was added", before: |text| text.strip_prefix(MARK).map(str::to_owned) },
    Form {
        change: "the byte order mark was removed",
        before: |text| (!text.starts_with(MARK)).then(|| format!("{MARK}{text}")),
    },
    Form {
        change: "white space was added at the ends of lines",
        before: |text| changed(text, each_line(text, |line| line.trim_end().to_owned())),
    },
    Form { change: "spaces were replaced by tabs", before: |text| changed(text, text.replace('\t', "    ")) },
    Form {
        change: "tabs were replaced by spaces",
        before: |text| changed(text, each_line(text, |line| with_tabs(line, 4))),
    },
    Form {
        change: "tabs were replaced by spaces",
        before: |text| changed(text, each_line(text, |line| with_tabs(line, 2))),
    },
    Form {
        change: "tabs were replaced by spaces",
        before: |text| changed(text, each_line(text, |line| with_tabs(line, 8))),
    },
    Form {
        change: "a newline was added at the end",
        before: |text| text.strip_suffix('\n').map(str::to_owned),
    },
    Form {
        change: "the newline at the end was removed",
        before: |text| (!text.ends_with('\n')).then(|| format!("{text}\n")),
    },
    Form {
        change: "white space was added at the end",
        before: |text| changed(text, text.trim_end().to_owned()),
    },
    Form {
        change: "blank lines were added at the end",
        before: |text| changed(text, format!("{}\n", text.trim_end())),
    },
    Form {
        change: "a blank line was removed at the end",
        before: |text| text.ends_with('\n').then(|| format!("{text}\n")),
    },
    Form {
        change: "blank lines were added at the start",
        before: |text| changed(text, text.trim_start().to_owned()),
    },
];

const MARK: char = '\u{feff}';

/// The most changes that are combined.
const DEPTH: usize = 3;

/// Longer texts are compared with one change only, because each comparison hashes all of it.
const LONG: usize = 1 << 20;

/// Returns the changes since the migration was applied: of the name, and of the text if the
/// change is one of [`FORMS`].
pub(crate) fn differences(applied: &Applied, migration: &LoadedMigration, width: Width) -> Vec<String> {
    let mut found = Vec::new();
    let id = applied_id(applied, migration);
    if id.name != migration.id.name {
        found.push(format!("it was applied with the name {id}"));
    }
    match changes(applied, &id, &migration.text, width) {
        Some(changes) => found.extend(changes.into_iter().map(str::to_owned)),
        None => {
            let now = checksum(&id, &migration.text, width);
            found.push(format!("its text differs (checksum {}, now {now})", applied.checksum));
        }
    }
    found
}

/// Returns whether a migration has the text of a history row with another version or name.
pub(crate) fn has_text_of(applied: &Applied, migration: &LoadedMigration, width: Width) -> bool {
    has_text(applied, &applied_id(applied, migration), &migration.text, width)
}

/// Returns whether only a byte order mark was added or removed.
pub(crate) fn differs_in_mark(applied: &Applied, migration: &LoadedMigration, width: Width) -> bool {
    let other = match migration.text.strip_prefix(MARK) {
        Some(text) => Cow::Borrowed(text),
        None => Cow::Owned(format!("{MARK}{}", migration.text)),
    };
    has_text(applied, &migration.id, &other, width)
}

fn applied_id(applied: &Applied, migration: &LoadedMigration) -> MigrationId {
    MigrationId { name: applied.name.clone(), version: applied.version, ..migration.id.clone() }
}

/// Returns the changes that lead from the applied text to this one; none for the same text.
fn changes(applied: &Applied, id: &MigrationId, text: &str, width: Width) -> Option<Vec<&'static str>> {
    let other = if width == Width::Int4 { Width::Int8 } else { Width::Int4 };
    let mut tried = vec![(lf(text).into_owned(), Vec::new())];
    // A text with line ends of both kinds is compared as it is, too.
    if tried.iter().any(|(lf, _)| lf != text) {
        tried.push((text.to_owned(), Vec::new()));
    }
    for depth in 0..=DEPTH {
        for (text, changes) in &tried {
            if has_text(applied, id, text, width) {
                return Some(changes.clone());
            }
            if has_text(applied, id, &text.replace('\n', "\r"), width) {
                return Some(with(changes, "the line ends were changed"));
            }
            if depth == 0 && has_text(applied, id, text, other) {
                return Some(with(changes, "the type of the column `version` was changed"));
            }
        }
        if depth == DEPTH || (depth > 0 && text.len() > LONG) {
            break;
        }
        let next = tried.iter().flat_map(|(text, changes)| {
            let before = |form: &Form| Some(((form.before)(text)?, with(changes, form.change)));
            FORMS.iter().filter(|form| !changes.contains(&form.change)).filter_map(before)
        });
        tried = next.collect();
    }
    None
}

fn with(changes: &[&'static str], more: &'static str) -> Vec<&'static str> {
    changes.iter().copied().chain([more]).collect()
}

fn changed(text: &str, before: String) -> Option<String> {
    (before != text).then_some(before)
}

fn each_line(text: &str, change: impl Fn(&str) -> String) -> String {
    text.split('\n').map(change).collect::<Vec<_>>().join("\n")
}

/// Returns a line that is indented with a tab for this number of spaces.
fn with_tabs(line: &str, width: usize) -> String {
    let rest = line.trim_start_matches(' ');
    let spaces = line.len() - rest.len();
    format!("{}{}{rest}", "\t".repeat(spaces / width), " ".repeat(spaces % width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::checksum;
    use crate::model::{Migration, Prefix};

    fn migration(name: &str, text: &str) -> LoadedMigration {
        let id = MigrationId { version: 3, prefix: Prefix::V, name: name.into() };
        LoadedMigration { text: text.into(), ..LoadedMigration::of(id, Migration::new(), None) }
    }

    fn row(name: &str, text: &str, width: Width) -> Applied {
        Applied {
            version: 3,
            name: name.into(),
            applied_on: String::new(),
            checksum: checksum(&migration(name, text).id, text, width).to_string(),
        }
    }

    #[test]
    fn each_change_is_named() {
        for (applied, now, expected) in [
            ("a;\nb;\n", "\u{feff}a;\nb;\n", &["a byte order mark was added"][..]),
            ("\u{feff}a;\nb;\n", "a;\nb;\n", &["the byte order mark was removed"]),
            ("a;\r\nb;\r\n", "\u{feff}a;\nb;\n", &["a byte order mark was added"]),
            ("a;\nb;", "a;\nb;\n", &["a newline was added at the end"]),
            ("a;\r\nb;", "a;\r\nb;\r\n", &["a newline was added at the end"]),
            ("a;\nb;\n", "a;\nb;", &["the newline at the end was removed"]),
            ("a;\nb;\n", "a;\nb;\n\n\n", &["blank lines were added at the end"]),
            ("a;\nb;\n\n", "a;\nb;\n", &["a blank line was removed at the end"]),
            ("a;\nb;\n", "a; \nb;\t\n", &["white space was added at the ends of lines"]),
            ("a;\nb;\n", "\n\na;\nb;\n", &["blank lines were added at the start"]),
            ("a\n\tb;\n", "a\n    b;\n", &["tabs were replaced by spaces"]),
            ("a\n\tb;\n", "a\n  b;\n", &["tabs were replaced by spaces"]),
            ("a\n    b;\n", "a\n\tb;\n", &["spaces were replaced by tabs"]),
            ("a;\rb;\r", "a;\nb;\n", &["the line ends were changed"]),
            (
                "a;\nb;",
                "\u{feff}a;\r\nb;\r\n",
                &["a byte order mark was added", "a newline was added at the end"],
            ),
            (
                "a;\nb;",
                "\u{feff}a; \nb;\n",
                &[
                    "a byte order mark was added",
                    "white space was added at the ends of lines",
                    "a newline was added at the end",
                ],
            ),
        ] {
            for width in [Width::Int4, Width::Int8] {
                let row = |name| row(name, applied, width);
                assert_eq!(
                    differences(&row("x"), &migration("x", now), width),
                    expected,
                    "{applied:?} {now:?}"
                );
                let renamed = differences(&row("old"), &migration("x", now), width);
                assert_eq!(renamed[0], "it was applied with the name V3__old");
                assert_eq!(renamed[1..], *expected);
            }
        }
        let other = row("x", "a;", Width::Int8);
        let now = row("x", "b;", Width::Int8).checksum;
        let shown = format!("its text differs (checksum {}, now {now})", other.checksum);
        assert_eq!(differences(&other, &migration("x", "b;"), Width::Int8), [shown]);
        let renamed = differences(&row("old", "a;", Width::Int8), &migration("x", "a;"), Width::Int8);
        assert_eq!(renamed, ["it was applied with the name V3__old"]);
        let wider = differences(&row("x", "a;", Width::Int4), &migration("x", "a;"), Width::Int8);
        assert_eq!(wider, ["the type of the column `version` was changed"]);
        assert!(has_text_of(&row("old", "a;\n", Width::Int8), &migration("x", "a;\n"), Width::Int8));
        assert!(!has_text_of(&row("old", "a;\n", Width::Int8), &migration("x", "b;\n"), Width::Int8));
    }
}
