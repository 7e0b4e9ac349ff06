//! A table of a cache, and the columns of the key by which its writes invalidate: `ban`,
//! `membership by user_id`, `membership by (user_id, forum_id)`.
//!
//! In: a text. Out: tables, or a message and its byte offset. Only the database can tell
//! whether the table and the columns exist.

use std::fmt;

use super::TableName;
use super::table_name::{Invalid, blanks, name_at, part_at};

/// The most columns of a key.
const MOST_COLUMNS: usize = 32;

/// A table whose writes invalidate a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedTable {
    pub table: TableName,
    /// The columns of the key, verbatim. If there are none, every write invalidates the whole
    /// cache.
    pub key: Vec<String>,
}

impl TrackedTable {
    /// Parses a text that consists of one table.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        let (table, end) = Self::at(text, 0)?;
        match text[end..].is_empty() {
            true => Ok(table),
            false => Err((0, format!("`{text}` is not a table name"))),
        }
    }

    /// Parses a text that consists of tables separated by commas. A comma between parentheses
    /// separates two columns.
    pub(crate) fn parse_list(text: &str) -> Result<Vec<Self>, Invalid> {
        let mut tables = Vec::new();
        let mut at = 0;
        loop {
            at += blanks(&text[at..]);
            let (table, end) = Self::at(text, at)?;
            let has_key = !table.key.is_empty();
            tables.push(table);
            at = end + blanks(&text[end..]);
            match text[at..].chars().next() {
                None => return Ok(tables),
                Some(',') => at += 1,
                Some(_) => {
                    let word = text[at..].split_whitespace().next().unwrap_or_default();
                    let rule = match has_key {
                        true => {
                            "a comma goes between two tables, and a key of several columns is in parentheses"
                        }
                        false => "a comma goes between two tables",
                    };
                    return Err((at, format!("`{word}` is unexpected here: {rule}")));
                }
            }
        }
    }

    /// Returns the table that starts at `at`, and its end.
    fn at(text: &str, at: usize) -> Result<(Self, usize), Invalid> {
        let end = name_at(text, at)?;
        let table = TableName::verbatim(&text[at..end]);
        let by = end + blanks(&text[end..]);
        let follows = |c: char| c.is_whitespace() || c == '(' || c == '"' || c == ',';
        let is_by = text.get(by..by + 2).is_some_and(|word| word.eq_ignore_ascii_case("by"))
            && text[by + 2..].chars().next().is_none_or(follows);
        if !is_by || (by == end && !text[..end].ends_with('"')) {
            return Ok((TrackedTable { table, key: Vec::new() }, end));
        }
        let first = by + 2 + blanks(&text[by + 2..]);
        let (key, end) = match text[first..].starts_with('(') {
            true => columns(text, first)?,
            false => {
                let end = column_at(text, first)?;
                (vec![text[first..end].to_owned()], end)
            }
        };
        Ok((TrackedTable { table, key }, end))
    }

    /// Returns tables as a directive lists them.
    pub(crate) fn list(tables: &[Self]) -> String {
        tables.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for TrackedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_slice() {
            [] => write!(f, "{}", self.table),
            [column] => write!(f, "{} by {column}", self.table),
            columns => write!(f, "{} by ({})", self.table, columns.join(", ")),
        }
    }
}

/// Returns the columns between the parentheses that open at `open`, and the end.
fn columns(text: &str, open: usize) -> Result<(Vec<String>, usize), Invalid> {
    let mut columns = Vec::new();
    let mut at = open + 1;
    loop {
        at += blanks(&text[at..]);
        let end = column_at(text, at)?;
        columns.push(text[at..end].to_owned());
        at = end + blanks(&text[end..]);
        match text[at..].chars().next() {
            Some(',') => at += 1,
            Some(')') => break,
            Some(_) => {
                let word = text[at..].split([',', ')', ' ', '\t']).next().unwrap_or_default();
                return Err((at, format!("`{word}` is unexpected here: a comma goes between two columns")));
            }
            None => return Err((open, "the columns of the key are not closed with `)`".to_owned())),
        }
    }
    match columns.len() {
        1..=MOST_COLUMNS => Ok((columns, at + 1)),
        count => Err((open, format!("the key has {count} columns, and at most {MOST_COLUMNS} are possible"))),
    }
}

/// Returns the end of the column name that starts at `at`.
fn column_at(text: &str, at: usize) -> Result<usize, Invalid> {
    let end = match text[at..].chars().next() {
        None | Some(',' | ')') => return Err((at, "the column of the key is missing".to_owned())),
        Some(_) => part_at(text, at).map_err(|(at, message)| {
            (
                at,
                message
                    .replace("the name of a table", "the name of a column")
                    .replace("a table name", "a column name"),
            )
        })?,
    };
    match text[end..].starts_with('.') {
        false => Ok(end),
        true => Err((at, "a column of a key is named without its table".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for (text, expected) in [
            ("ban", "ban"),
            ("membership by user_id, role", "membership by user_id, role"),
            ("forum.m  BY\t( a ,\"b, (c)\" ), x", "forum.m by (a, \"b, (c)\"), x"),
            ("m by (a)", "m by a"),
            ("m by(a,b),\"by\" by \"by\"", "m by (a, b), \"by\" by \"by\""),
            ("by by by", "by by by"),
            ("by, bystander", "by, bystander"),
            ("\"t\"by\"c\"", "\"t\" by \"c\""),
        ] {
            let tables = TrackedTable::parse_list(text).expect(text);
            assert_eq!(TrackedTable::list(&tables), expected, "{text}");
            assert_eq!(TrackedTable::parse_list(expected).expect(expected), tables, "{text}");
        }
        assert_eq!(TrackedTable::parse("m by (a, b)").expect("a key").key, ["a", "b"]);
        let most = format!("m by ({})", ["a"; MOST_COLUMNS].join(","));
        assert_eq!(TrackedTable::parse(&most).expect("a key").key.len(), MOST_COLUMNS);
    }

    #[test]
    fn diagnostics_have_offsets() {
        let many = format!("m by ({})", ["a"; MOST_COLUMNS + 1].join(","));
        for (text, at, message) in [
            ("m by", 4, "column of the key is missing"),
            ("m by , x", 5, "column of the key is missing"),
            ("m by ()", 6, "column of the key is missing"),
            ("m by (a,)", 8, "column of the key is missing"),
            ("m by (a", 5, "not closed"),
            ("m by (a b)", 8, "`b` is unexpected here: a comma goes between two columns"),
            ("m by a b", 7, "`b` is unexpected here: a comma goes between two tables, and a key"),
            ("m by 1a", 5, "`1a` is not a column name"),
            ("m by m.a", 5, "without its table"),
            ("m by \"a", 5, "not terminated"),
            ("m by \"\"", 5, "the name of a column is empty"),
            (many.as_str(), 5, "33 columns"),
            ("m bye", 2, "`bye` is unexpected"),
        ] {
            let (found, said) = TrackedTable::parse_list(text).expect_err(text);
            assert_eq!(found, at, "{text}: {said}");
            assert!(said.contains(message), "{text}: {said}");
        }
        assert!(TrackedTable::parse("a, b").is_err() && TrackedTable::parse(" a").is_err());
    }
}
