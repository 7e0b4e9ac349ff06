//! Rows of COPY that are read again when they are needed.
//!
//! In: the place of the first row in a text. Out: the rows as a stream, without or with the
//! line that ends them.

use std::io::{self, Read};

use crate::diagnostic::Place;
use crate::error::Result;
use crate::model::{Changed, SourceText, unreadable};
use crate::sql::copy;

/// The bytes that are read at a time.
const CHUNK: usize = 1 << 16;

/// The rows of a COPY.
#[derive(Clone, Debug)]
pub struct StoredRows {
    text: SourceText,
    start: u64,
}

impl PartialEq for StoredRows {
    fn eq(&self, other: &Self) -> bool {
        self.start == other.start && self.text.is(&other.text)
    }
}

impl Eq for StoredRows {}

impl StoredRows {
    pub(crate) fn new(text: SourceText, start: u64) -> Self {
        StoredRows { text, start }
    }

    /// Returns the rows, without the line that ends them. If there is no such line, the text
    /// is not the text that was judged, and the stream fails at its end.
    pub(crate) fn read(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.reader(false)?))
    }

    fn reader(&self, with_end: bool) -> io::Result<Reader> {
        let input = self.text.read_from(self.start)?;
        Ok(Reader { input, buffer: Vec::new(), at: 0, good: 0, starts_line: true, ended: false, with_end })
    }

    /// Appends the rows and the line that ends them to a text.
    pub(super) fn append_to(&self, text: &mut String, place: Option<&Place>) -> Result<()> {
        let read = self.reader(true).and_then(|mut rows| rows.read_to_string(text));
        read.map_err(|error| unreadable(&error, place.map(|place| Place::file(place.path()))))?;
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(())
    }
}

/// A stream of rows.
struct Reader {
    input: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// The bytes of the buffer that have been given out.
    at: usize,
    /// The bytes of the buffer that can be given out.
    good: usize,
    starts_line: bool,
    /// The line that ends the rows has been read.
    ended: bool,
    with_end: bool,
}

impl Reader {
    /// Reads further rows into the buffer.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.good);
        (self.at, self.good) = (0, 0);
        let before = self.buffer.len();
        self.buffer.resize(before + CHUNK, 0);
        let length = self.input.read(&mut self.buffer[before..]);
        self.buffer.truncate(before + length.as_ref().copied().unwrap_or_default());
        let is_last = length? == 0;
        let passed = copy::pass(&self.buffer, self.starts_line, is_last);
        self.good = passed.rows;
        self.ended = passed.end.is_some();
        match passed.end {
            None if is_last => return Err(Changed::error()),
            Some(end) if self.with_end => self.good += end,
            _ => {}
        }
        if self.good > 0 {
            self.starts_line = self.buffer[..self.good].ends_with(b"\n");
        }
        Ok(())
    }
}

impl Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.at == self.good && !self.ended && !bytes.is_empty() {
            self.fill()?;
        }
        let length = (&self.buffer[self.at..self.good]).read(bytes)?;
        self.at += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that gives a few bytes at a time.
    struct Slow<R>(R, usize);

    impl<R: Read> Read for Slow<R> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let length = bytes.len().min(self.1);
            self.0.read(&mut bytes[..length])
        }
    }

    #[test]
    fn a7_rows_end_at_the_line_that_ends_them_however_they_are_read() {
        for (text, rows, end) in [
            ("1\t\\.\n \\.\n\\. \n\\.x\n\\.\nSELECT", "1\t\\.\n \\.\n\\. \n\\.x\n", "\\.\n"),
            ("1\r\n\\.\r\n\\.\n", "1\r\n", "\\.\r\n"),
            ("\\.", "", "\\."),
            ("\\.\r", "", "\\.\r"),
            ("\\.\r\r\n\\.\n", "\\.\r\r\n", "\\.\n"),
            ("\n\n\\.\n\n", "\n\n", "\\.\n"),
        ] {
            for size in 1..8 {
                let source = SourceText::from(text.to_owned());
                let read = |with_end| {
                    let reader = StoredRows::new(source.clone(), 0).reader(with_end).unwrap();
                    let input = Box::new(Slow(reader.input, size));
                    let mut found = String::new();
                    Reader { input, ..reader_of(with_end) }.read_to_string(&mut found).unwrap();
                    found
                };
                assert_eq!(read(false), rows, "{text:?} {size}");
                assert_eq!(read(true), format!("{rows}{end}"), "{text:?} {size}");
            }
        }
        for text in ["", "1\n", "\\", "1\\.\n"] {
            let mut rows = StoredRows::new(SourceText::from(text.to_owned()), 0).read().unwrap();
            assert!(Changed::is(&rows.read_to_end(&mut Vec::new()).unwrap_err()), "{text:?}");
        }
    }

    fn reader_of(with_end: bool) -> Reader {
        StoredRows::new(SourceText::from(String::new()), 0).reader(with_end).unwrap()
    }
}
