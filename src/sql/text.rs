//! A text with an index of its lines.
//!
//! In: the contents of a file or SQL built in code, and its name. Out: the place of a byte
//! offset.

use std::cell::{Cell, OnceCell};
use std::ops::Range;
use std::path::Path;

use crate::diagnostic::{Place, secrets};

/// The longest part of a line that a message shows.
const SHOWN: usize = 200;

/// The longest part of a line that is looked at for it, in bytes.
const LOOKED_AT: usize = 1 << 13;

/// A text, its name for messages, and the offsets of its lines.
pub(crate) struct Text<'a> {
    file: &'a Path,
    text: &'a str,
    /// The byte offset at which each line starts.
    lines: Vec<usize>,
    /// The part of a longer text that this text is.
    part: Part,
    /// What no message may show.
    secrets: OnceCell<Vec<Range<usize>>>,
    /// The offset whose column was computed last, and the characters before it in its line.
    /// The next one is counted from there, because a line may have thousands of statements.
    last: Cell<(usize, usize)>,
}

/// Where a part of a longer text begins, and whether its last line goes on after it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Part {
    /// The number of lines before the part.
    pub lines: usize,
    /// The number of characters of the first line that are before the part.
    pub characters: usize,
    pub goes_on: bool,
}

impl<'a> Text<'a> {
    /// Indexes a text. A leading byte order mark is removed, because no server accepts it.
    pub(crate) fn new(file: &'a Path, text: &'a str) -> Self {
        Self::part(file, text.strip_prefix('\u{feff}').unwrap_or(text), Part::default())
    }

    /// Indexes a part of a longer text.
    pub(crate) fn part(file: &'a Path, text: &'a str, part: Part) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Text { file, text, lines, part, secrets: OnceCell::new(), last: Cell::default() }
    }

    pub(crate) fn as_str(&self) -> &'a str {
        self.text
    }

    pub(crate) fn file(&self) -> &'a Path {
        self.file
    }

    /// Returns whether a line begins where the text begins.
    pub(crate) fn is_start(&self) -> bool {
        self.part.characters == 0
    }

    /// Returns the line of an offset, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.part.lines + self.index(offset) + 1
    }

    /// Returns the index of the line of an offset.
    fn index(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset) - 1
    }

    /// Returns the number of characters between the start of a line and an offset in it.
    fn characters(&self, start: usize, offset: usize) -> usize {
        let (last, before) = self.last.get();
        let (from, before) = if (start..=offset).contains(&last) { (last, before) } else { (start, 0) };
        let characters = before + self.text[from..offset].chars().count();
        self.last.set((offset, characters));
        characters
    }

    /// Returns the place of a byte offset, with the text of its line.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let (line, index) = (self.line(offset), self.index(offset));
        let start = self.lines[index];
        let before = if index == 0 { self.part.characters } else { 0 };
        let column = before + self.characters(start, offset) + 1;
        let place = Place::at(self.file, narrow(line), narrow(column));
        if before > 0 {
            // The start of the line is not here.
            return place;
        }
        // Of a long line no more is looked at than may be shown.
        let end = self.lines.get(index + 1).copied().unwrap_or(self.text.len());
        let end = self.text.floor_char_boundary(end.min(start + LOOKED_AT));
        if offset > end {
            return place;
        }
        let secrets = self.secrets.get_or_init(|| secrets::ranges(self.text));
        let full = place.clone().with_line_of(&self.text[..end], secrets, start, Some(offset));
        let (caret, text) = (full.caret(), full.line_text().unwrap_or_default());
        let is_cut = self.part.goes_on && index + 1 == self.lines.len();
        if text.len() <= SHOWN && !is_cut {
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

    #[test]
    fn columns_in_a_line_are_right_in_any_order() {
        let line = "é🦀 'x'; ".repeat(3_000);
        let contents = format!("a\n{line}\n{line}");
        let text = Text::new(Path::new("a.sql"), &contents);
        let starts: Vec<usize> = contents.match_indices('🦀').map(|(at, _)| at).collect();
        let column = |offset: usize| {
            let before = contents[..offset].rsplit('\n').next().unwrap_or_default();
            Some(before.chars().count() as u32 + 1)
        };
        let backwards = starts.iter().rev().step_by(7);
        for offset in starts.iter().chain(backwards) {
            assert_eq!(text.place(*offset).column(), column(*offset), "{offset}");
        }
    }
}
