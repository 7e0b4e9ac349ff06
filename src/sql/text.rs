//! A text with an index of its lines.
//!
//! In: the contents of a file or SQL built in code, and its name. Out: the place of a byte
//! offset.

use std::cell::OnceCell;
use std::ops::Range;
use std::path::Path;

use crate::diagnostic::{Place, secrets};

/// The longest part of a line that a message shows.
const SHOWN: usize = 200;

/// A text, its name for messages, and the offsets of its lines.
pub(crate) struct Text<'a> {
    file: &'a Path,
    text: &'a str,
    /// The byte offset at which each line starts.
    lines: Vec<usize>,
    /// What no message may show.
    secrets: OnceCell<Vec<Range<usize>>>,
}

impl<'a> Text<'a> {
    /// Indexes a text. A leading byte order mark is removed, because no server accepts it.
    pub(crate) fn new(file: &'a Path, text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Text { file, text, lines, secrets: OnceCell::new() }
    }

    pub(crate) fn as_str(&self) -> &'a str {
        self.text
    }

    pub(crate) fn file(&self) -> &'a Path {
        self.file
    }

    /// Returns the line of an offset, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    /// Returns the place of a byte offset, with the text of its line.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let line = self.line(offset);
        let start = self.lines[line - 1];
        let column = self.text[start..offset].chars().count() + 1;
        let place = Place::at(self.file, narrow(line), narrow(column));
        let secrets = self.secrets.get_or_init(|| secrets::ranges(self.text));
        let full = place.clone().with_line_of(self.text, secrets, start, Some(offset));
        let (caret, text) = (full.caret(), full.line_text().unwrap_or_default());
        if text.len() <= SHOWN {
            full
        } else if caret as usize <= SHOWN / 2 {
            let cut: String = text.chars().take(SHOWN).chain(['…']).collect();
            place.with_shown(cut, caret)
        } else {
            place
        }
    }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_and_lines() {
        let text = Text::new(Path::new("a.sql"), "\u{feff}é x\r\nb\n");
        let at = |offset| {
            let place = text.place(offset);
            (place.line(), place.column(), place.line_text().map(str::to_owned))
        };
        assert_eq!(at(0), (Some(1), Some(1), Some("é x".into())));
        assert_eq!(at(3), (Some(1), Some(3), Some("é x".into())));
        assert_eq!(at(6), (Some(2), Some(1), Some("b".into())));
        assert_eq!(at(8), (Some(3), Some(1), Some(String::new())));
    }

    #[test]
    fn long_lines_are_not_shown_in_full() {
        let line = "x".repeat(1_000);
        let text = Text::new(Path::new("a.sql"), &line);
        assert_eq!(text.place(0).line_text().map(|l| l.chars().count()), Some(SHOWN + 1));
        assert_eq!(text.place(900).line_text(), None);
    }
}
