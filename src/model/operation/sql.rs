//! The operation "SQL text".
//!
//! In: the text of a migration. Out: its statements, each with its place.

use crate::diagnostic::{Place, secrets};

/// SQL text and, once it has been split for an engine, its statements.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sql {
    text: String,
    statements: Vec<Statement>,
}

/// One statement as it is sent to the database, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The text from its first token to its last, without the semicolon. The rows of COPY
    /// follow it.
    pub sql: String,
    /// The place of the first token.
    pub place: Option<Place>,
    /// The relation of the text to the place.
    pub form: Form,
}

/// The relation of a statement's text to the file that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One statement of the file, verbatim.
    Statement,
    /// `COPY … FROM stdin`, verbatim with its rows and the line that ends them. The offsets
    /// are those of the end of the statement and of the first row.
    CopyIn { end: usize, rows: usize },
    /// SQL that Bustard has generated for a directive or an operation.
    Generated,
}

impl Statement {
    /// Creates a statement that Bustard has generated for the operation at `place`.
    pub(crate) fn generated(sql: impl Into<String>, place: Option<Place>) -> Self {
        Statement { sql: sql.into(), place, form: Form::Generated }
    }

    /// Returns the place of the character at `offset` in the statement.
    pub(crate) fn place_of(&self, offset: usize) -> Option<Place> {
        let start = self.place.as_ref()?;
        if self.form == Form::Generated {
            return Some(start.clone());
        }
        let (mut line, mut column, mut line_start) = (start.line()?, start.column()?, 0);
        let mut at = 0;
        for c in self.sql.chars().take(offset) {
            at += c.len_utf8();
            if c == '\n' {
                (line, column, line_start) = (line + 1, 1, at);
            } else {
                column += 1;
            }
        }
        let place = Place::at(start.path(), line, column);
        let secrets = secrets::ranges(&self.sql);
        if Some(line) != start.line() {
            return Some(place.with_line_of(&self.sql, &secrets, line_start, Some(at)));
        }
        // The line may begin before the statement, and with secrets of others.
        let (_, further) = secrets::line(&self.sql, &secrets, 0, at);
        let caret = start.caret().saturating_add(u32::try_from(further - 1).unwrap_or(u32::MAX));
        Some(match start.line_text() {
            Some(text) => place.with_shown(text, caret),
            None => place,
        })
    }
}

impl Sql {
    /// Creates an operation from text that has not been split yet.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Sql { text: text.into(), statements: Vec::new() }
    }

    /// Creates an operation from text and its statements.
    pub(crate) fn split(text: impl Into<String>, statements: Vec<Statement>) -> Self {
        Sql { text: text.into(), statements }
    }

    /// Returns the original text.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the statements in order; empty before the text has been split.
    pub(crate) fn statements(&self) -> &[Statement] {
        &self.statements
    }

    pub(crate) fn describe(&self) -> String {
        match self.statements.as_slice() {
            [only] => summary(&only.sql),
            many => format!("{} statements", many.len()),
        }
    }
}

/// Returns a statement on one line without secrets, truncated to fit in a table.
pub(crate) fn summary(sql: &str) -> String {
    const WIDTH: usize = 72;
    let sql = secrets::hide_looks(sql);
    let words: Vec<&str> = sql.split_whitespace().collect();
    // PostgreSQL takes no zero byte, and a terminal would obey others.
    let line = words.join(" ").replace(char::is_control, "\u{fffd}");
    if line.chars().count() <= WIDTH {
        return line;
    }
    let cut: String = line.chars().take(WIDTH - 1).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_inside_a_statement() {
        let statement = Statement {
            sql: "SELECT 1,\n  é, x".into(),
            place: Some(Place::at("a.sql", 3, 5).with_line("    SELECT 1,")),
            form: Form::Statement,
        };
        let at = |offset| {
            statement.place_of(offset).map(|p| (p.line(), p.column(), p.line_text().map(String::from)))
        };
        assert_eq!(at(0), Some((Some(3), Some(5), Some("    SELECT 1,".into()))));
        assert_eq!(at(15), Some((Some(4), Some(6), Some("  é, x".into()))));
    }

    #[test]
    fn long_statements_are_cut() {
        assert_eq!(summary("SELECT\n   1"), "SELECT 1");
        assert_eq!(summary("SELECT\0"), "SELECT\u{fffd}");
        assert_eq!(summary(&"x".repeat(100)).chars().count(), 72);
    }
}
