//! Splits a long text into its pieces, a window at a time.
//!
//! In: the bytes of a text, as a stream. Out: windows, each of whole pieces, whose places are
//! those in the whole text. A window has about 64 KB; it is larger if a statement or a line
//! of several statements is.

use std::io::{self, Read};
use std::mem;
use std::ops::ControlFlow;
use std::path::Path;

use super::copy;
use super::lexer::lex;
use super::scan::Unended;
use super::split::{Piece, split_within};
use super::syntax::Syntax;
use super::text::{Part, Text};

/// The size of a window in bytes.
pub(crate) const WINDOW: usize = 1 << 16;

/// A window with this many bytes is cut within a line, if it cannot be cut between lines.
const LONGEST: usize = 1 << 20;

/// A window is not cut this close to the end of what has been read, because the next bytes
/// may change the last tokens.
const MARGIN: usize = 1 << 10;

/// Whole pieces of a text, or rows of COPY.
pub(crate) struct Window<'w> {
    pub text: &'w Text<'w>,
    pub pieces: Vec<Piece<'w>>,
    /// The unterminated token at the end of the text; or the rows of COPY, if further windows
    /// have them.
    pub unended: Option<Unended>,
    pub start: Start,
    pub rows: Rows,
}

/// The relation of a window to the rows of a COPY that no window has as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rows {
    /// There are none.
    #[default]
    None,
    /// The last statement of the window is COPY, and its rows follow.
    Follow,
    /// The window has rows, and more follow.
    Part,
    /// The window has the last rows, and the line that ends them.
    Last,
}

impl<'w> Window<'w> {
    /// Splits a whole text.
    pub(crate) fn whole(text: &'w Text<'w>, syntax: &Syntax) -> Self {
        let (tokens, unended) = lex(text.as_str(), syntax);
        let pieces = super::split::split(text.as_str(), &tokens, syntax);
        Window { text, pieces, unended, start: Start::default(), rows: Rows::None }
    }

    /// Returns the offset in the whole text of an offset in the window.
    pub(crate) fn offset(&self, at: usize) -> u64 {
        self.start.offset + at as u64 - self.start.lead_length() as u64
    }
}

/// The place in a text at which a window starts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Start {
    /// The bytes before it.
    pub offset: u64,
    /// The lines before it.
    lines: usize,
    /// The characters before it in its line.
    characters: usize,
    /// A character that stands for the start of the line in the window.
    lead: Option<char>,
}

impl Start {
    fn lead_length(&self) -> usize {
        self.lead.map_or(0, char::len_utf8)
    }

    /// Returns the start of the next window, after a window with this text.
    fn after(self, text: &str) -> Start {
        let here = &text[self.lead_length()..];
        let offset = self.offset + here.len() as u64;
        let Some((_, line)) = text.rsplit_once('\n') else {
            let characters = self.characters + here.chars().count();
            return Start { offset, characters, lead: lead(text), ..self };
        };
        let lines = self.lines + text.matches('\n').count();
        Start { offset, lines, characters: line.chars().count(), lead: lead(line) }
    }
}

/// Returns the character that stands for the start of a line: after it, a token begins a
/// line if it does so after the start of the line.
fn lead(line: &str) -> Option<char> {
    let last = line.chars().next_back()?;
    let blank = line.rsplit('\r').next().unwrap_or_default().trim().is_empty();
    Some(match last {
        '\r' => '\r',
        _ if blank => ' ',
        _ => ';',
    })
}

/// A text that is read in windows.
pub(crate) struct Windows<'f> {
    file: &'f Path,
    syntax: &'static Syntax,
    input: Box<dyn Read + Send>,
    start: Start,
    buffer: String,
    /// Bytes of a character that has not been read completely.
    partial: Vec<u8>,
    ended: bool,
    sizes: Sizes,
}

#[derive(Clone, Copy)]
struct Sizes {
    window: usize,
    longest: usize,
    margin: usize,
}

impl<'f> Windows<'f> {
    /// Reads a text from its start.
    pub(crate) fn new(file: &'f Path, input: Box<dyn Read + Send>, syntax: &'static Syntax) -> Self {
        Windows::from(file, input, syntax, Start::default())
    }

    /// Reads a text from the start of a former window.
    pub(crate) fn from(
        file: &'f Path,
        input: Box<dyn Read + Send>,
        syntax: &'static Syntax,
        start: Start,
    ) -> Self {
        let sizes = Sizes { window: WINDOW, longest: LONGEST, margin: MARGIN };
        let buffer = start.lead.map_or_else(String::new, String::from);
        Windows { file, syntax, input, start, buffer, partial: Vec::new(), ended: false, sizes }
    }

    /// Sets the sizes of windows: the usual one, the one from which a window is cut within a
    /// line, and the margin.
    #[cfg(test)]
    pub(crate) fn sized(self, window: usize, longest: usize, margin: usize) -> Self {
        Windows { sizes: Sizes { window, longest, margin }, ..self }
    }

    /// Gives each window to a function, until it breaks off.
    ///
    /// # Errors
    ///
    /// Returns the error of the stream.
    pub(crate) fn each(mut self, work: &mut dyn FnMut(&Window<'_>) -> ControlFlow<()>) -> io::Result<()> {
        let mut wanted = self.sizes.window;
        loop {
            self.fill(wanted)?;
            let text = self.buffer.as_str();
            let (mut tokens, unended) = lex(text, self.syntax);
            let open = unended.as_ref().filter(|unended| !self.ended && unended.what == copy::ROWS);
            let first_row = open.and_then(|unended| copy::open(text, unended.start)).map(|(line, first)| {
                tokens.extend(line);
                first
            });
            let sure = text.len().saturating_sub(self.sizes.margin);
            let mut split = split_within(text, &tokens, self.syntax, sure);
            let mut rows = Rows::None;
            let (cut, count) = if self.ended {
                (text.len(), split.pieces.len())
            } else {
                let within = split.cut.filter(|_| text.len() >= self.sizes.longest);
                let cut = split.line_cut.or(within).filter(|(cut, _)| *cut > self.start.lead_length());
                match (cut, first_row.filter(|first| split.rows_end_at(*first))) {
                    (Some(cut), _) => cut,
                    (None, Some(first)) => {
                        rows = Rows::Follow;
                        (first, split.pieces.len())
                    }
                    (None, None) => {
                        wanted = text.len().saturating_mul(2);
                        continue;
                    }
                }
            };
            split.pieces.truncate(count);
            let part = self.part(&text[..cut]);
            let unended = unended.filter(|_| self.ended || rows == Rows::Follow);
            let window = Window { text: &part, pieces: split.pieces, unended, start: self.start, rows };
            if work(&window).is_break() || self.ended {
                return Ok(());
            }
            self.start = self.start.after(part.as_str());
            self.buffer.replace_range(..cut, self.start.lead.map_or("", as_str));
            if rows == Rows::Follow && self.pass_rows(work)?.is_break() {
                return Ok(());
            }
            wanted = self.sizes.window;
        }
    }

    /// Gives rows to the function, to the line that ends them. They begin where the buffer
    /// begins. Breaks off if they do not end.
    fn pass_rows(
        &mut self,
        work: &mut dyn FnMut(&Window<'_>) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let mut starts_line = true;
        loop {
            self.fill(self.sizes.window.max(self.buffer.len() + 1))?;
            let passed = copy::pass(self.buffer.as_bytes(), starts_line, self.ended);
            let length = passed.rows + passed.end.unwrap_or_default();
            let part = self.part(&self.buffer[..length]);
            let rows = if passed.end.is_some() { Rows::Last } else { Rows::Part };
            let window = Window { text: &part, pieces: Vec::new(), unended: None, start: self.start, rows };
            if work(&window).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if length > 0 {
                starts_line = part.as_str().ends_with('\n');
            }
            self.start = Start { lead: None, ..self.start.after(part.as_str()) };
            self.buffer.drain(..length);
            match passed.end {
                Some(_) => return Ok(ControlFlow::Continue(())),
                None if self.ended => return Ok(ControlFlow::Break(())),
                None => {}
            }
        }
    }

    /// Indexes a text at the start of the buffer.
    fn part<'t>(&self, text: &'t str) -> Text<'t>
    where
        'f: 't,
    {
        let Start { lines, characters, .. } = self.start;
        let characters = characters.saturating_sub(self.start.lead_length());
        let goes_on = !self.ended && !text.ends_with('\n');
        Text::part(self.file, text, Part { lines, characters, goes_on })
    }

    /// Reads until the buffer has this many bytes, or the text ends.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        let first = self.start.offset == 0 && self.buffer.is_empty();
        while !self.ended && self.buffer.len() < wanted {
            let mut bytes = mem::take(&mut self.partial);
            let before = bytes.len();
            bytes.resize(before + wanted.saturating_sub(self.buffer.len()).max(MARGIN), 0);
            let length = loop {
                match self.input.read(&mut bytes[before..]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => break result?,
                }
            };
            bytes.truncate(before + length);
            self.ended = length == 0;
            let good = match std::str::from_utf8(&bytes) {
                Ok(text) => text,
                Err(error) if error.error_len().is_none() && !self.ended => {
                    std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
                }
                // The text was UTF-8 when it was read first.
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            };
            self.buffer.push_str(good);
            let good = good.len();
            bytes.drain(..good);
            self.partial = bytes;
        }
        if first && self.buffer.starts_with(MARK) {
            self.buffer.remove(0);
            self.start.offset = MARK.len_utf8() as u64;
        }
        Ok(())
    }
}

const MARK: char = '\u{feff}';

fn as_str(lead: char) -> &'static str {
    match lead {
        '\r' => "\r",
        ' ' => " ",
        _ => ";",
    }
}
