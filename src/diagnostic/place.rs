//! Places in the sources.
//!
//! In: a file, and perhaps a line and a column. Out: the place, as `file:line:column`.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::clean::in_place;
use super::secrets;

/// A place in the sources: a file, or a name for a migration built in code, with line and
/// column if they are known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    file: PathBuf,
    position: Option<(u32, u32)>,
    shown: Option<Box<Shown>>,
}

/// The text of a line as messages show it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Shown {
    text: String,
    /// The column in it, which is another one if a secret before it is hidden.
    caret: u32,
}

impl Place {
    /// Returns the place of a whole file.
    pub(crate) fn file(path: impl Into<PathBuf>) -> Self {
        Place { file: path.into(), position: None, shown: None }
    }

    /// Returns the place of a line and a column. Both count from 1, and columns count
    /// characters.
    pub(crate) fn at(path: impl Into<PathBuf>, line: u32, column: u32) -> Self {
        Place { file: path.into(), position: Some((line, column)), shown: None }
    }

    /// Adds the text of the line, which messages show. Unsafe characters are replaced,
    /// because a terminal would obey them. What looks like a secret is hidden.
    pub(crate) fn with_line(self, text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        self.with_line_of(text, &secrets::ranges(text), 0, None)
    }

    /// Adds the line of a text that begins at a byte offset, and hides the secrets of the
    /// text. `offset` is where the place is in the text.
    pub(crate) fn with_line_of(
        mut self,
        text: &str,
        secrets: &[Range<usize>],
        start: usize,
        offset: Option<usize>,
    ) -> Self {
        let column = self.column().unwrap_or(1).saturating_sub(1) as usize;
        let nth = || text[start..].char_indices().nth(column).map_or(text.len(), |(at, _)| start + at);
        let (shown, caret) = secrets::line(text, secrets, start, offset.unwrap_or_else(nth));
        let caret = u32::try_from(caret).unwrap_or(u32::MAX);
        self.shown = Some(Box::new(Shown { text: in_place(&shown), caret }));
        self
    }

    /// Adds a text of the line in which secrets are hidden already, and the column in it.
    pub(crate) fn with_shown(mut self, text: impl Into<String>, caret: u32) -> Self {
        self.shown = Some(Box::new(Shown { text: text.into(), caret }));
        self
    }

    /// Returns the column in the text of the line, counted from 1.
    pub(crate) fn caret(&self) -> u32 {
        self.shown.as_ref().map(|shown| shown.caret).or_else(|| self.column()).unwrap_or(1)
    }

    /// Returns the path of the file, as it was given.
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// Returns the line, counted from 1.
    pub fn line(&self) -> Option<u32> {
        self.position.map(|(line, _)| line)
    }

    /// Returns the column in characters, counted from 1.
    pub fn column(&self) -> Option<u32> {
        self.position.map(|(_, column)| column)
    }

    /// Returns the text of the line, if it is known, without secrets.
    pub fn line_text(&self) -> Option<&str> {
        self.shown.as_ref().map(|shown| shown.text.as_str())
    }
}

/// Writes a path. A byte that is not UTF-8 is shown as `\xff`.
fn write_path(f: &mut fmt::Formatter<'_>, path: &Path) -> fmt::Result {
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        f.write_str(chunk.valid())?;
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_path(f, &self.file)?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_not_utf_8_are_shown() {
        use std::os::unix::ffi::OsStrExt as _;

        let path = std::ffi::OsStr::from_bytes(b"m/V2__\xffb\xc3.sql");
        assert_eq!(Place::file(path).to_string(), "m/V2__\\xffb\\xc3.sql");
    }
}
