//! A diagnostic: one finding in sources, plans and runs, with its place and what to
//! do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where in the sources something is: a file, or a name for what was built in
/// code, with line and column where they are known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    file: PathBuf,
    position: Option<(u32, u32)>,
    text: Option<String>,
}

impl Place {
    /// A whole file.
    pub(crate) fn file(path: impl Into<PathBuf>) -> Self {
        Place { file: path.into(), position: None, text: None }
    }

    /// A line and a column, both counted from 1, columns in characters.
    pub(crate) fn at(path: impl Into<PathBuf>, line: u32, column: u32) -> Self {
        Place { file: path.into(), position: Some((line, column)), text: None }
    }

    /// The same place with the text of its line, to be shown in messages. What
    /// a terminal would obey instead of showing is replaced.
    pub(crate) fn with_line(mut self, text: impl Into<String>) -> Self {
        let shown = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
        self.text = Some(text.into().chars().map(shown).collect());
        self
    }

    /// The file, as it was given.
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// The line, counted from 1.
    pub fn line(&self) -> Option<u32> {
        self.position.map(|(line, _)| line)
    }

    /// The column in characters, counted from 1.
    pub fn column(&self) -> Option<u32> {
        self.position.map(|(_, column)| column)
    }

    /// The text of the line, where it is known.
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

/// One of possibly many things that are wrong with the sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub(crate) message: String,
    pub(crate) place: Option<Place>,
    pub(crate) help: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Diagnostic { message: message.into(), place: None, help: None }
    }

    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where it is.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// What to do about it.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_diagnostic(f, &self.message, self.place.as_ref())?;
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

pub(crate) fn write_diagnostic(
    f: &mut fmt::Formatter<'_>,
    message: &str,
    place: Option<&Place>,
) -> fmt::Result {
    write!(f, "{message}")?;
    let Some(place) = place else { return Ok(()) };
    write!(f, "\n  --> {place}")?;
    if let (Some(text), Some((line, column))) = (place.line_text(), place.position) {
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        // A tab stays a tab in the marker's indentation, so that both lines agree.
        let indent: String = (text.chars().take(column.saturating_sub(1) as usize))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        write!(f, "\n {gutter} |\n {number} | {text}\n {gutter} | {indent}^")?;
    }
    Ok(())
}

/// The name nearest to `wanted`, if any is near enough to be meant. Of very many
/// names only the first ones of about its length are compared.
pub(crate) fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    names
        .into_iter()
        .filter(|name| name.len().abs_diff(wanted.len()) <= name.len().max(3) / 3)
        .take(1000)
        .map(|name| (strsim::osa_distance(&wanted, &name.to_lowercase()), name))
        .min()
        .filter(|(distance, name)| *distance <= name.chars().count().max(3) / 3)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_name() {
        let names = ["register cache", "unregister cache", "depends on"];
        assert_eq!(nearest("registr cache", names), Some("register cache"));
        assert_eq!(nearest("frobnicate", names), None);
    }

    #[test]
    fn a_place_is_shown_with_its_line() {
        let problem = Diagnostic::new("no such thing")
            .at(Place::at("a.sql", 12, 3).with_line("\tSELEC 1"))
            .help("write SELECT");
        assert_eq!(
            problem.to_string(),
            "no such thing\n  --> a.sql:12:3\n    |\n 12 | \tSELEC 1\n    | \t ^\n  help: write SELECT"
        );
    }
}
