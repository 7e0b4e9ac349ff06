//! Refinery's checksums, which tell whether a migration has changed since its history row
//! was written.
//!
//! In: a migration, and perhaps a history row. Out: checksums and their comparison.

use std::hash::Hasher;
use std::io;

use siphasher::sip::SipHasher13;

use crate::error::Result;
use crate::model::{
    Applied, LoadedMigration, MigrationId, SourceText, Width, seed, sum, unreadable, write_lf,
};

/// Computes refinery's checksum: SipHash-1-3 with zero keys over name, version and text,
/// each hashed as Rust hashes `String`, `i32` or `i64`, and `str`.
///
/// # Errors
///
/// Returns the error of reading the text again, if it is in a file.
pub(crate) fn checksum(migration: &LoadedMigration, width: Width) -> Result<u64> {
    let LoadedMigration { id, text, .. } = migration;
    match text.known_sum(id, width) {
        Some(sum) => Ok(sum),
        None => {
            hash(id, text, width, Form::default()).map_err(|error| unreadable(&error, migration.file.clone()))
        }
    }
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

/// The form of a text in which it may have been applied.
#[derive(Clone, Copy, Default)]
pub(super) struct Form<'f> {
    pub ends: Ends,
    pub mark: Mark,
    /// The lines that are left out, counted from 0.
    pub without: &'f [usize],
}

/// The line ends of a form.
#[derive(Clone, Copy, Default)]
pub(super) enum Ends {
    #[default]
    AsRead,
    Lf,
    CrLf,
}

/// The byte order mark of a form.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mark {
    #[default]
    AsRead,
    /// Without a mark.
    None,
    /// Without a mark if the text has one, and with one if it has none.
    Other,
}

const MARK: &[u8] = "\u{feff}".as_bytes();

/// Computes the checksum of a form of a text. Reads a text in a file again, in parts.
pub(super) fn hash(id: &MigrationId, text: &SourceText, width: Width, form: Form<'_>) -> io::Result<u64> {
    let mut hasher = seed(id, width);
    match text.held() {
        Some(text) => return Ok(hash_of(id, text, width, form)),
        None => {
            let mut input = text.read()?;
            let mut form = FormHasher::new(&mut hasher, form);
            let mut buffer = vec![0; 1 << 16];
            // The mark must be within the first part.
            let mut filled = 0;
            loop {
                let length = input.read(&mut buffer[filled..])?;
                filled += length;
                if length > 0 && filled < MARK.len() {
                    continue;
                }
                form.add(&buffer[..filled]);
                filled = 0;
                if length == 0 {
                    break;
                }
            }
            form.finish();
        }
    }
    Ok(sum(hasher))
}

/// Computes the checksum of a form of a text in memory.
fn hash_of(id: &MigrationId, text: &str, width: Width, form: Form<'_>) -> u64 {
    let mut hasher = seed(id, width);
    let mut form = FormHasher::new(&mut hasher, form);
    form.add(text.as_bytes());
    form.finish();
    sum(hasher)
}

/// Hashes a text in another form.
struct FormHasher<'h> {
    hasher: &'h mut SipHasher13,
    form: Form<'h>,
    line: usize,
    begun: bool,
    carriage_return: bool,
}

impl<'h> FormHasher<'h> {
    fn new(hasher: &'h mut SipHasher13, form: Form<'h>) -> Self {
        FormHasher { hasher, form, line: 0, begun: false, carriage_return: false }
    }

    fn add(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if !std::mem::replace(&mut self.begun, true) && self.form.mark != Mark::AsRead {
            match bytes.strip_prefix(MARK) {
                Some(rest) => bytes = rest,
                None if self.form.mark == Mark::Other => self.hasher.write(MARK),
                None => {}
            }
        }
        if self.form.without.is_empty() {
            return self.write(bytes);
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.form.without.contains(&self.line) {
                self.write(part);
            }
            self.line += usize::from(part.ends_with(b"\n"));
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        match self.form.ends {
            Ends::AsRead => self.hasher.write(bytes),
            Ends::Lf => write_lf(self.hasher, bytes, &mut self.carriage_return, b"\n"),
            Ends::CrLf => write_lf(self.hasher, bytes, &mut self.carriage_return, b"\r\n"),
        }
    }

    fn finish(self) {
        if self.carriage_return {
            self.hasher.write(b"\r");
        }
    }
}

/// Returns whether a history row has the checksum of a text as read, with LF, or with CRLF
/// line ends. A text that cannot be read again is another text.
pub(super) fn has_text(
    applied: &Applied,
    id: &MigrationId,
    text: &SourceText,
    width: Width,
    form: Form<'_>,
) -> bool {
    let Ok(found) = applied.checksum.parse::<u64>() else { return false };
    if text.known_sum(id, width) == Some(found) && form.mark == Mark::AsRead && form.without.is_empty() {
        return true;
    }
    ENDS.iter().any(|ends| hash(id, text, width, Form { ends: *ends, ..form }).is_ok_and(|sum| sum == found))
}

/// Returns whether a history row has the checksum of this text, as [`has_text`] does.
pub(super) fn has(applied: &Applied, id: &MigrationId, text: &str, width: Width) -> bool {
    let Ok(found) = applied.checksum.parse::<u64>() else { return false };
    ENDS.iter().any(|ends| hash_of(id, text, width, Form { ends: *ends, ..Form::default() }) == found)
}

const ENDS: [Ends; 3] = [Ends::AsRead, Ends::Lf, Ends::CrLf];

/// Compares a history row with a migration: the name, and the checksum of the text. The
/// text may have been applied with other line ends (LF or CRLF), or without its
/// dependencies. To recognise other changes of the dependencies, the caller compares the
/// record.
pub(crate) fn likeness(applied: &Applied, migration: &LoadedMigration, width: Width) -> Likeness {
    let is_in_any_form = |form| has_text(applied, &migration.id, &migration.text, width, form);
    if applied.name != migration.id.name {
        Likeness::Different
    } else if is_in_any_form(Form::default()) {
        Likeness::Same
    } else if !migration.dependency_lines.is_empty() && is_in_any_form(without_dependencies(migration)) {
        Likeness::OtherDependencies
    } else {
        Likeness::Different
    }
}

/// Computes the body checksum: the checksum of the text without dependencies. Line ends do
/// not matter.
///
/// # Errors
///
/// Returns the error of reading the text again, if it is in a file.
pub(crate) fn body_checksum(migration: &LoadedMigration) -> Result<String> {
    let form = Form { ends: Ends::Lf, ..without_dependencies(migration) };
    let sum = hash(&migration.id, &migration.text, Width::Int8, form);
    sum.map(|sum| sum.to_string()).map_err(|error| unreadable(&error, migration.file.clone()))
}

/// Computes the checksum of a repeatable migration from its name and its whole text. Line
/// ends do not matter.
pub(crate) fn text_checksum(migration: &LoadedMigration) -> String {
    let LoadedMigration { id, text, .. } = migration;
    let form = Form { ends: Ends::Lf, ..Form::default() };
    let sum = text.known_lf_sum(id).map_or_else(|| hash(id, text, Width::Int8, form), Ok);
    // The checksum of a text in a file is known.
    sum.unwrap_or_default().to_string()
}

/// A byte order mark is always left out. Otherwise it would be left out only together with
/// a dependency in the first line.
fn without_dependencies(migration: &LoadedMigration) -> Form<'_> {
    Form { mark: Mark::None, without: &migration.dependency_lines, ..Form::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Migration, Prefix};

    fn migration(text: &str) -> LoadedMigration {
        let id = MigrationId { version: 3, prefix: Prefix::V, name: "x".into() };
        LoadedMigration { text: text.to_owned().into(), ..LoadedMigration::of(id, Migration::new(), None) }
    }

    fn row(text: &str, width: Width) -> Applied {
        Applied {
            version: 3,
            name: "x".into(),
            applied_on: String::new(),
            checksum: checksum(&migration(text), width).unwrap().to_string(),
        }
    }

    #[test]
    fn the_checksum_is_refinerys() {
        let text = "CREATE TABLE a (x int);\n";
        let theirs = refinery_core::Migration::unapplied("V3__x", text).expect("a good name");
        assert_eq!(checksum(&migration(text), Width::NEW).unwrap(), theirs.checksum());
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
            assert_eq!(body_checksum(&asking).unwrap(), body_checksum(&bare).unwrap(), "{text:?}");
            assert_eq!(
                likeness(&row("a;\nb;\n", Width::NEW), &asking, Width::NEW),
                Likeness::OtherDependencies
            );
            assert_eq!(likeness(&row("a;\nc;\n", Width::NEW), &asking, Width::NEW), Likeness::Different);
        }
        assert_ne!(body_checksum(&migration("a;\n")).unwrap(), body_checksum(&bare).unwrap());
    }
}
