//! A diagnostic: one finding in sources, plans or runs.
//!
//! In: a code, a message, a place and advice. Out: the finding as text, on one line or on
//! several lines.
//!
//! [`Code`] lists all kinds of findings; its words are stable. [`Advice`] is data, which
//! the command shows as commands and the library as calls.

mod advice;
mod clean;
mod code;
#[cfg(test)]
mod inputs;
mod place;
pub(crate) mod secrets;

use std::fmt;

pub use advice::{Action, Advice, Policy};
pub use clean::{clean, clean_line, is_unsafe};
pub use code::{Code, Severity, UnknownCode};
pub use place::Place;

/// One finding in sources, plans or runs.
///
/// ```
/// use bustard::diagnostic::{Code, Severity};
/// use bustard::{App, Database, Migration, Migrator};
///
/// let app = App::new("main").migration("V1__a", Migration::new().sql("COMMIT"));
/// let engine = Database::new("sqlite::memory:")?.engine();
/// let error = Migrator::new().app(app).check_sources(engine).unwrap_err();
/// let found = &error.diagnostics()[0];
/// assert_eq!((found.code(), found.severity()), (Code::TransactionControl, Severity::Error));
/// assert_eq!(found.code().as_str(), "transaction-control");
/// # Ok::<(), bustard::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) place: Option<Place>,
    pub(crate) advice: Option<Advice>,
}

impl Diagnostic {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        // A message may quote a line of a file.
        let message = secrets::hide_looks(&message.into());
        Diagnostic { code, message, place: None, advice: None }
    }

    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    pub(crate) fn help(mut self, advice: impl Into<Advice>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Returns the kind of finding.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Returns the severity, which says whether the finding stops a run.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// Returns the message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the place in the sources.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Returns the advice: what to do about the finding.
    pub fn advice(&self) -> Option<&Advice> {
        self.advice.as_ref()
    }

    /// Returns the long form, over several lines: the message, the place with an excerpt, and
    /// the advice as calls of the library.
    pub fn report(&self) -> DiagnosticReport<'_> {
        DiagnosticReport { diagnostic: self, program: None }
    }
}

/// Formats one line. `{:#}` formats the [`report`](Diagnostic::report).
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return self.report().fmt(f);
        }
        write!(f, "{}", one_line(&self.message))?;
        match &self.place {
            Some(place) => write!(f, " ({})", one_line(&place.to_string())),
            None => Ok(()),
        }
    }
}

/// A [`Diagnostic`] over several lines.
#[derive(Clone, Copy, Debug)]
pub struct DiagnosticReport<'a> {
    diagnostic: &'a Diagnostic,
    program: Option<&'a str>,
}

impl<'a> DiagnosticReport<'a> {
    /// Shows advice as commands of a program such as `bustard`.
    pub fn for_command(self, program: &'a str) -> Self {
        DiagnosticReport { program: Some(program), ..self }
    }
}

impl fmt::Display for DiagnosticReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_message(f, &self.diagnostic.message, self.diagnostic.place.as_ref())?;
        write_advice(f, self.diagnostic.advice.as_ref(), self.program)
    }
}

/// Replaces the line breaks of a text, and cleans it.
pub(crate) fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
    clean_line(&lines.join(" ")).into_owned()
}

/// Cleans a text of several lines, and indents all but the first, so that none of them looks
/// like a line of Bustard's own.
pub(crate) fn indented(text: &str) -> String {
    let text = clean(text.trim_end());
    let mut lines = text.lines();
    let mut shown = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        shown += if line.starts_with("    ") { "\n" } else { "\n    " };
        shown += line;
    }
    shown
}

/// Writes a message with its place and an excerpt, over several lines.
pub(crate) fn write_message(f: &mut fmt::Formatter<'_>, message: &str, place: Option<&Place>) -> fmt::Result {
    f.write_str(&indented(message))?;
    let Some(place) = place else { return Ok(()) };
    write!(f, "\n  --> {}", clean_line(&place.to_string()))?;
    if let (Some(text), Some(line)) = (place.line_text(), place.line()) {
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        // The marker's indentation keeps tabs, so that both lines align.
        let indent: String = (text.chars().take(place.caret().saturating_sub(1) as usize))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        write!(f, "\n {gutter} |\n {number} | {text}\n {gutter} | {indent}^")?;
    }
    Ok(())
}

/// Writes the line of advice: as calls, or as commands of `program`.
pub(crate) fn write_advice(
    f: &mut fmt::Formatter<'_>,
    advice: Option<&Advice>,
    program: Option<&str>,
) -> fmt::Result {
    match (advice, program) {
        (None, _) => Ok(()),
        (Some(advice), None) => write!(f, "\n  help: {}", indented(&advice.to_string())),
        (Some(advice), Some(program)) => write!(f, "\n  help: {}", indented(&advice.for_command(program))),
    }
}

/// Returns the name that is most similar to `wanted`, if one is similar enough. Compares at
/// most 1000 names, all of about the same length.
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

/// Returns the number of mistakes between two words: inserted, missing, wrong and swapped
/// letters.
#[cfg(feature = "_sql")]
pub(crate) fn mistakes(word: &str, other: &str) -> usize {
    strsim::osa_distance(word, other)
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
        let diagnostic = Diagnostic::new(Code::UnknownDirective, "no such thing")
            .at(Place::at("a.sql", 12, 3).with_line("\tSELEC 1"))
            .help("write SELECT");
        assert_eq!(
            diagnostic.report().to_string(),
            "no such thing\n  --> a.sql:12:3\n    |\n 12 | \tSELEC 1\n    | \t ^\n  help: write SELECT"
        );
        assert_eq!(diagnostic.to_string(), "no such thing (a.sql:12:3)");
        assert_eq!(format!("{diagnostic:#}"), diagnostic.report().to_string());
    }
}
