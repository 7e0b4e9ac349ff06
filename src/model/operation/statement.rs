//! One statement.
//!
//! In: its text and its place. Out: the place of a character in it, and a short form.

use super::StoredRows;
use crate::diagnostic::{Place, secrets};
use crate::error::Result;
#[cfg(feature = "_sql")]
use crate::sql::Unit;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// One statement of the file, verbatim.
    Statement,
    /// `COPY … FROM stdin`, verbatim with its rows and the line that ends them. The offsets
    /// are those of the end of the statement and of the first row.
    CopyIn { end: usize, rows: usize },
    /// The same with rows that are read again. The text ends before the first row.
    CopyStored { end: usize, rows: StoredRows },
    /// SQL that Bustard has generated for a directive or an operation.
    Generated,
}

impl Statement {
    /// Creates a statement that Bustard has generated for the operation at `place`.
    pub(crate) fn generated(sql: impl Into<String>, place: Option<Place>) -> Self {
        Statement { sql: sql.into(), place, form: Form::Generated }
    }

    /// Creates a statement of a text, with its rows.
    #[cfg(feature = "_sql")]
    pub(crate) fn of(unit: &Unit<'_>, place: Place) -> Self {
        let place = Some(place);
        let Some((rows, _)) = unit.rows_range() else {
            return Statement { sql: unit.sql().to_owned(), place, form: Form::Statement };
        };
        let form = Form::CopyIn { end: unit.end() - unit.start(), rows: rows - unit.start() };
        let mut sql = unit.with_rows().to_owned();
        // Another statement may follow where the text is repeated.
        if !sql.ends_with('\n') {
            sql.push('\n');
        }
        Statement { sql, place, form }
    }

    /// Returns the text without the rows of COPY.
    pub(crate) fn without_rows(&self) -> &str {
        match &self.form {
            Form::CopyIn { end, .. } | Form::CopyStored { end, .. } => {
                self.sql.get(..*end).unwrap_or(&self.sql)
            }
            Form::Statement | Form::Generated => &self.sql,
        }
    }

    /// Returns the same statement with its rows in memory.
    ///
    /// # Errors
    ///
    /// Returns the error of reading the rows again.
    pub(crate) fn in_memory(mut self) -> Result<Self> {
        if let Form::CopyStored { end, rows } = &self.form {
            let form = Form::CopyIn { end: *end, rows: self.sql.len() };
            rows.append_to(&mut self.sql, self.place.as_ref())?;
            self.form = form;
        }
        Ok(self)
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
