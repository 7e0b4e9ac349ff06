//! The name of a table in SQL: `ban`, `forum.ban`, `"Odd, name".x`.
//!
//! In: a text. Out: names, or a message and its byte offset. Only the database can tell
//! whether the table exists.

use std::fmt;

use crate::diagnostic::is_unsafe;

/// The name of a table, verbatim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableName(String);

/// The byte offset and the message of a diagnostic about tables.
pub(crate) type Invalid = (usize, String);

impl TableName {
    /// Parses a text that consists of one table name.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        let length = name_at(text, 0)?;
        match text[length..].is_empty() {
            true => Ok(TableName(text.to_owned())),
            false => Err((0, format!("`{text}` is not a table name"))),
        }
    }

    /// Returns a name that has been checked.
    pub(super) fn verbatim(name: &str) -> Self {
        TableName(name.to_owned())
    }

    /// Returns the name with these parts, each quoted if necessary.
    pub(crate) fn of(schema: Option<&str>, table: &str) -> Self {
        let quoted = |part: &str| {
            let bare = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            match bare && part.starts_with(|first: char| !first.is_ascii_digit()) {
                true => part.to_owned(),
                false => format!("\"{}\"", part.replace('"', "\"\"")),
            }
        };
        match schema {
            Some(schema) => TableName(format!("{}.{}", quoted(schema), quoted(table))),
            None => TableName(quoted(table)),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the schema, if there is one, and the table, without quotes.
    pub(crate) fn parts(&self) -> (Option<String>, String) {
        let end = part_at(&self.0, 0).unwrap_or(self.0.len());
        let first = unquoted(&self.0[..end]);
        match self.0[end..].strip_prefix('.') {
            Some(second) => (Some(first), unquoted(second)),
            None => (None, first),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) fn blanks(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// Returns the end of the name that starts at `at`.
pub(super) fn name_at(text: &str, at: usize) -> Result<usize, Invalid> {
    let end = part_at(text, at)?;
    match text[end..].starts_with('.') {
        false => Ok(end),
        true => part_at(text, end + 1),
    }
}

/// Returns the end of the part of a name that starts at `at`.
pub(super) fn part_at(text: &str, at: usize) -> Result<usize, Invalid> {
    let rest = &text[at..];
    let length = match rest.chars().next() {
        Some('"') => quoted_length(rest).ok_or((at, "a quoted name is not terminated".to_owned()))?,
        Some(first) if is_letter(first) => {
            rest.find(|c| !is_letter(c) && !c.is_ascii_digit() && c != '$').unwrap_or(rest.len())
        }
        None | Some(',') => return Err((at, "the name of a table is missing".to_owned())),
        Some(_) => return Err(strange(text, at)),
    };
    match &rest[..length] {
        "\"\"" => Err((at, "the name of a table is empty".to_owned())),
        part if part.chars().any(char::is_control) => {
            Err((at, format!("the name of a table {part:?} contains a control character")))
        }
        _ => Ok(at + length),
    }
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii() && !is_unsafe(c) && !c.is_whitespace()
}

fn strange(text: &str, at: usize) -> Invalid {
    let separates = |c: char| c == ',' || c.is_whitespace();
    let before = text[..at].char_indices().rfind(|(_, c)| separates(*c));
    let start = before.map_or(0, |(before, c)| before + c.len_utf8());
    let word = text[start..].split(separates).next().unwrap_or_default();
    (start, format!("`{word}` is not a table name"))
}

/// Returns a name without its quotes.
pub(crate) fn unquoted(part: &str) -> String {
    match part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => part.to_owned(),
    }
}

/// Returns the length of the quoted text at the start of `text`, including its quotes.
pub(crate) fn quoted_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (b'"', Some(b'"')) => at += 2,
            (b'"', _) => return Some(at + 1),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::TrackedTable;

    #[test]
    fn lists() {
        for (text, expected) in [
            ("ban", vec!["ban"]),
            (" ban ,\tforum.ban,_x$1 ", vec!["ban", "forum.ban", "_x$1"]),
            ("\"Odd, name\".x,\"a\"\"b\"", vec!["\"Odd, name\".x", "\"a\"\"b\""]),
            ("größe.\"on\"", vec!["größe.\"on\""]),
        ] {
            let tables = TrackedTable::parse_list(text).expect(text);
            assert_eq!(
                tables.iter().map(|tracked| tracked.table.as_str()).collect::<Vec<_>>(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn parts_are_without_quotes() {
        for (text, schema, table) in [
            ("Ban", None, "Ban"),
            ("forum.\"a\"\"b.c\"", Some("forum"), "a\"b.c"),
            ("\"Odd, name\".x", Some("Odd, name"), "x"),
        ] {
            let (found, name) = TableName::parse(text).expect(text).parts();
            assert_eq!((found.as_deref(), name.as_str()), (schema, table), "{text}");
        }
    }

    #[test]
    fn a_table_name_returns_the_parts_it_was_built_from() {
        for (schema, table, written) in [
            (None, "ban", "ban"),
            (Some("forum"), "Ban 1", "forum.\"Ban 1\""),
            (Some("a.b"), "c\"d", "\"a.b\".\"c\"\"d\""),
            (None, "1x", "\"1x\""),
        ] {
            let name = TableName::of(schema, table);
            assert_eq!(name.as_str(), written);
            assert_eq!(name.parts(), (schema.map(str::to_owned), table.to_owned()));
        }
    }

    #[test]
    fn diagnostics_have_offsets() {
        for (text, at, message) in [
            ("", 0, "missing"),
            ("a,", 2, "missing"),
            ("a,,b", 2, "missing"),
            ("a.", 2, "missing"),
            ("a b", 2, "`b` is unexpected"),
            ("a, 1b, c", 3, "`1b` is not a table name"),
            ("a, b;", 4, "`;` is unexpected"),
            ("a, \"b", 3, "not terminated"),
            ("\"\"", 0, "empty"),
            ("a.\"x\ty\"", 2, "control character"),
            ("a.b.c", 3, "`.c` is unexpected"),
            ("a.-b", 0, "`a.-b` is not a table name"),
            ("a,\u{a0}1b", 4, "`1b` is not a table name"),
            ("a,\u{3000}", 5, "missing"),
            ("a, b\u{200b}", 4, "is unexpected here"),
        ] {
            let (found, said) = TrackedTable::parse_list(text).expect_err(text);
            assert_eq!(found, at, "{text}: {said}");
            assert!(said.contains(message), "{text}: {said}");
        }
        assert!(TableName::parse("a, b").is_err() && TableName::parse(" a").is_err());
    }

    #[test]
    fn a20_any_character_at_any_place_is_read_or_placed() {
        let blanks = ('\0'..=char::MAX).filter(|c| c.is_whitespace() || is_unsafe(*c) || *c < '\u{ff}');
        for c in blanks {
            for list in ["t", "t,u", "s.t , 1u", "\"a\".b,", ",", "1t"] {
                for (at, _) in list.char_indices().chain([(list.len(), ' ')]) {
                    let odd = format!("{}{c}{}", &list[..at], &list[at..]);
                    if let Err((found, message)) = TrackedTable::parse_list(&odd) {
                        assert!(odd.is_char_boundary(found) && !message.is_empty(), "{odd:?}: {found}");
                    }
                }
            }
        }
    }
}
