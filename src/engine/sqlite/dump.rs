//! Dumps the schema of a SQLite database as lines of text. SQLite keeps the SQL that
//! created an object, so the SQL of two equal tables may differ in case, blanks, quotes or
//! comments. The dumps of equal tables are equal.

use super::SQLITE;
use crate::engine::Executor;
use crate::error::Result;
use crate::sql::tokens;

/// Returns a line for each cache, column, constraint, index, trigger and view. Excludes
/// Bustard's own tables, the usual histories, and the tables named in `histories`.
pub(crate) fn lines(executor: &mut impl Executor, histories: &[&str]) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for cache in described(executor)? {
        lines.push(match (cache.app, cache.tables.as_slice()) {
            (app, []) => format!("cache {} of {}", cache.name, owner(&app)),
            (app, tables) => format!("cache {} of {} on {}", cache.name, owner(&app), tables.join(", ")),
        });
    }
    let objects = "SELECT type, name, tbl_name, sql FROM main.sqlite_master \
                   WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY type, name";
    for row in executor.rows(objects)? {
        let [Some(kind), Some(name), Some(table), Some(sql)] = row.as_slice() else { continue };
        let is_history = table.starts_with("refinery_schema_history")
            || histories.iter().any(|history| history.rsplit('.').next() == Some(table));
        if is_history || name.starts_with("bustard_") || table.starts_with("bustard_") {
            continue;
        }
        describe(&mut lines, kind, name, &spelt(sql));
    }
    Ok(lines)
}

fn owner(app: &Option<String>) -> &str {
    app.as_deref().unwrap_or("no app")
}

/// Returns the tokens of SQL, each in its normal form.
fn spelt(sql: &str) -> Vec<String> {
    tokens(sql, SQLITE.syntax()).map(plain).collect()
}

/// Normalizes a token. SQLite ignores case outside strings, and accepts quotes that a
/// name does not need.
fn plain(token: &str) -> String {
    if token.starts_with('\'') {
        return token.to_owned();
    }
    let lower = token.to_ascii_lowercase();
    let quoted = [('"', '"'), ('`', '`'), ('[', ']')]
        .iter()
        .find_map(|(open, close)| lower.strip_prefix(*open)?.strip_suffix(*close));
    let is_plain = |name: &&str| {
        name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    quoted.filter(is_plain).map(str::to_owned).unwrap_or(lower)
}

fn describe(lines: &mut Vec<String>, kind: &str, name: &str, tokens: &[String]) {
    let virtually = tokens.get(1).is_some_and(|word| word == "virtual");
    let open = tokens.iter().position(|token| token == "(");
    let (Some(open), "table", false) = (open, kind, virtually) else {
        lines.push(written(tokens));
        return;
    };
    // Columns are separated by commas that are inside one pair of parentheses.
    let (mut depth, mut start) = (1, open + 1);
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.as_str() {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && token == ",") {
            lines.push(format!("table {name}: {}", written(&tokens[start..at])));
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    if start < tokens.len() {
        lines.push(format!("table {name}: {}", written(&tokens[start..])));
    }
}

fn written(tokens: &[String]) -> String {
    let mut text = String::new();
    for token in tokens {
        let joins = matches!(token.as_str(), "(" | ")" | "," | "." | ";") || text.ends_with(['(', '.']);
        if !joins && !text.is_empty() {
            text.push(' ');
        }
        text.push_str(token);
    }
    text
}

/// A registered cache, as the dump describes it.
struct Described {
    name: String,
    app: Option<String>,
    /// The tables that it is registered on.
    tables: Vec<String>,
}

/// Returns all registered caches, sorted by name. The list is empty if there is no
/// registry.
fn described(executor: &mut impl Executor) -> Result<Vec<Described>> {
    let registry = "SELECT 1 FROM main.sqlite_master WHERE name = 'bustard_located'";
    if executor.rows(registry)?.is_empty() {
        return Ok(Vec::new());
    }
    let mut caches: Vec<Described> = Vec::new();
    let tables = "SELECT v.name, v.app, s.table_name FROM main.bustard_caches AS v \
                  JOIN main.bustard_cache AS c ON c.name = v.name \
                  LEFT JOIN main.bustard_cache_source AS t ON t.cache_id = c.id AND t.suspended = 0 \
                  LEFT JOIN main.bustard_source AS s ON s.id = t.source_id ORDER BY 1, 3";
    for row in executor.rows(tables)? {
        let mut columns = row.into_iter();
        let (name, app) = (columns.next().flatten().unwrap_or_default(), columns.next().flatten());
        if caches.last().is_none_or(|last| last.name != name) {
            caches.push(Described { name, app, tables: Vec::new() });
        }
        if let (Some(cache), Some(table)) = (caches.last_mut(), columns.next().flatten()) {
            cache.tables.push(table);
        }
    }
    Ok(caches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(sql: &str) -> Vec<String> {
        let connection = &mut rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        lines(connection, &["main.log"]).unwrap()
    }

    #[test]
    fn spelling_makes_no_difference() {
        let one = described("CREATE TABLE ban (id INTEGER PRIMARY KEY, name varchar(10) DEFAULT 'A, (b')");
        let other = described(
            "CREATE TABLE [x] (`id` integer  primary key, -- a comment\n \"name\" VARCHAR (10) default 'A, (b');
             ALTER TABLE x RENAME TO ban;",
        );
        assert_eq!(one, ["table ban: id integer primary key", "table ban: name varchar(10) default 'A, (b'"]);
        assert_eq!(one, other);
    }

    #[test]
    fn an_added_column_is_like_one_from_the_start() {
        let from_the_start = described("CREATE TABLE ban (id INTEGER, reason TEXT NOT NULL DEFAULT '');");
        let added = described(
            "CREATE TABLE ban (id INTEGER\n);
             ALTER TABLE ban ADD COLUMN reason TEXT NOT NULL DEFAULT '';
             ALTER TABLE ban ADD COLUMN passing TEXT;
             ALTER TABLE ban DROP COLUMN passing;",
        );
        assert_eq!(added, from_the_start);
    }

    #[test]
    fn different_schemas_have_different_dumps() {
        let base = "CREATE TABLE ban (id INTEGER, name TEXT DEFAULT 'a', CHECK (name <> ''));";
        for changed in [
            "CREATE TABLE ban (id INTEGER, name TEXT DEFAULT 'A', CHECK (name <> ''));",
            "CREATE TABLE ban (id INTEGER, name TEXT DEFAULT 'a', CHECK (name <> ' '));",
            "CREATE TABLE ban (id INTEGER, name TEXT, CHECK (name <> ''));",
            "CREATE TABLE ban (name TEXT DEFAULT 'a', id INTEGER, CHECK (name <> ''));",
            "CREATE TABLE ban (id INTEGER, name TEXT DEFAULT 'a', CHECK (name <> '')) STRICT;",
            "CREATE TABLE ban (id INTEGER, name TEXT DEFAULT 'a', CHECK (name <> '')); CREATE INDEX i ON ban (id);",
            "CREATE TABLE ban (id INTEGER, name TEXT DEFAULT 'a', CHECK (name <> '')); CREATE VIEW v AS SELECT 1;",
        ] {
            assert_ne!(described(base), described(changed));
        }
    }

    #[test]
    fn histories_are_left_out() {
        let histories =
            "CREATE TABLE log (version INTEGER); CREATE TABLE refinery_schema_history (version INTEGER);";
        assert_eq!(described(histories), [""; 0]);
    }
}
