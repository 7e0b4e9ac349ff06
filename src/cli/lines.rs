//! Text for a person, as lines, and its colours.
//!
//! Names and messages in it come from outside. Whatever they contain, they cannot begin a
//! line of their own, and the writer in `output` removes what a terminal would obey. So a
//! colour is not written as an escape sequence, but as a mark that no text from outside
//! contains, because it is drawn by lot in each process.

use std::collections::hash_map::RandomState;
use std::fmt::Display;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

use bustard::diagnostic::{clean, clean_line};

/// Lines of text.
#[derive(Debug, Default)]
pub struct Lines(String);

impl Lines {
    /// Returns the text of one line.
    pub fn of(line: impl Display) -> Self {
        let mut lines = Lines::default();
        lines.line(line);
        lines
    }

    /// Adds a line. Line breaks in it are shown as escapes.
    pub fn line(&mut self, line: impl Display) {
        self.0 += &one_line(&line.to_string());
        self.0.push('\n');
    }

    /// Adds text of several lines, such as SQL, as it is.
    pub fn block(&mut self, text: &str) {
        self.0 += text;
        if !text.is_empty() && !text.ends_with('\n') {
            self.0.push('\n');
        }
    }

    /// Adds other lines.
    pub fn lines(&mut self, other: Lines) {
        self.0 += &other.0;
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Cleans a text and its line breaks, and keeps its colours.
pub fn one_line(text: &str) -> String {
    in_parts(text, |style| format!("{}{style}", mark()), |part| clean_line(part).into_owned())
}

/// A colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Red,
    Yellow,
    Green,
}

/// Characters without a width, which stand for colours. The first one ends a colour.
const STYLES: [(char, &str); 4] =
    [('\u{e0100}', "0"), ('\u{e0101}', "1;31"), ('\u{e0102}', "1;33"), ('\u{e0103}', "32")];

/// Colours `text`. The streams strip the colour if they are not terminals or `NO_COLOR` is
/// set.
pub fn paint(paint: Paint, text: &str) -> String {
    let style = match paint {
        Paint::Red => STYLES[1].0,
        Paint::Yellow => STYLES[2].0,
        Paint::Green => STYLES[3].0,
    };
    format!("{mark}{style}{text}{mark}{end}", mark = mark(), end = STYLES[0].0)
}

/// Cleans a text for a terminal, and writes its colours as escape sequences.
pub fn rendered(text: &str) -> String {
    let code = |style| STYLES.iter().find(|(one, _)| *one == style).map_or("0", |(_, code)| code);
    in_parts(text, |style| format!("\x1b[{}m", code(style)), |part| clean(part).into_owned())
}

/// Applies one function to the marks of colours, and one to the text between them.
fn in_parts(text: &str, style: impl Fn(char) -> String, plain: impl Fn(&str) -> String) -> String {
    let mut parts = text.split(mark());
    let mut shown = plain(parts.next().unwrap_or_default());
    for part in parts {
        let mut rest = part.chars();
        match rest.next().filter(|c| STYLES.iter().any(|(style, _)| style == c)) {
            Some(mark) => {
                shown += &style(mark);
                shown += &plain(rest.as_str());
            }
            None => shown += &plain(part),
        }
    }
    shown
}

/// Cleans a text for one line of a log or a progress bar.
pub fn rendered_line(text: &str) -> String {
    clean_line(text).into_owned()
}

/// What begins each mark of this process. Characters without a width, so that columns line
/// up. `clean` removes them from all other text.
fn mark() -> &'static str {
    static MARK: OnceLock<String> = OnceLock::new();
    MARK.get_or_init(|| {
        let number = RandomState::new().build_hasher().finish();
        number
            .to_le_bytes()
            .iter()
            .filter_map(|byte| char::from_u32(0xe_0110 + u32::from(byte % 128)))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_colours_remain() {
        let hostile = "\x1b[31mred\x1b[0m\u{e0100}\u{202e}";
        let text = format!("a {} {hostile}\n", paint(Paint::Green, hostile));
        let clean = "\\u{1b}[31mred\\u{1b}[0m\\u{e0100}\\u{202e}";
        assert_eq!(rendered(&text), format!("a \x1b[32m{clean}\x1b[0m {clean}\n"));
    }

    #[test]
    fn a_name_cannot_begin_a_line() {
        let mut lines = Lines::of("a\nb\tc");
        lines.line(paint(Paint::Red, "x\ny"));
        lines.block("SELECT\n  1");
        assert_eq!(rendered(lines.as_str()), "a\\nb\\tc\n\x1b[1;31mx\\ny\x1b[0m\nSELECT\n  1\n");
    }
}
