//! Places in the sources.
//!
//! In: a file, and perhaps a line and a column. Out: the place, as `file:line:column`.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place in the sources: a file, or a name for a migration built in code, with line and
/// column if they are known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    file: PathBuf,
    position: Option<(u32, u32)>,
    text: Option<String>,
}

impl Place {
    /// Returns the place of a whole file.
    pub(crate) fn file(path: impl Into<PathBuf>) -> Self {
        Place { file: path.into(), position: None, text: None }
    }

    /// Returns the place of a line and a column. Both count from 1, and columns count
    /// characters.
    pub(crate) fn at(path: impl Into<PathBuf>, line: u32, column: u32) -> Self {
        Place { file: path.into(), position: Some((line, column)), text: None }
    }

    /// Adds the text of the line, which messages show. Control characters are replaced,
    /// because a terminal would interpret them.
    pub(crate) fn with_line(mut self, text: impl Into<String>) -> Self {
        let shown = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
        self.text = Some(text.into().chars().map(shown).collect());
        self
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

    pub(super) fn position(&self) -> Option<(u32, u32)> {
        self.position
    }

    /// Returns the text of the line, if it is known.
    pub fn line_text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        Ok(())
    }
}
