//! The destructive effects of SQL: the tables and other objects that it drops, and the
//! names that it mentions.
//!
//! In: statements in the order in which they run. Out: names as the database folds them;
//! a table has the name from before the first statement. Objects that the statements
//! themselves have created are not reported. The effects of functions and `DO` blocks of
//! the database are not analysed.

use std::collections::BTreeSet;

use super::TableName;
use super::lexer::{self, TokenKind};
use super::split::{self, Piece, Unit};
use super::syntax::Syntax;

/// The effects of the statements so far.
#[derive(Debug)]
pub(crate) struct Effects {
    syntax: &'static Syntax,
    /// Tables that existed before and are dropped, by their original names.
    dropped: Vec<TableName>,
    /// Renamed tables: the new name and the original name.
    renamed: Vec<(TableName, TableName)>,
    /// Tables that the statements have created.
    made: Vec<TableName>,
    /// Schemas that are dropped with `CASCADE`.
    schemas: Vec<String>,
    /// Other dropped objects, one line each.
    others: Vec<String>,
    /// The names that occur, split into their parts.
    mentioned: BTreeSet<Vec<String>>,
}

/// The kinds of dropped objects to report, other than tables. Indexes, triggers and
/// constraints are not reported because they contain no data.
const KINDS: [(&str, &str); 10] = [
    ("VIEW", "view"),
    ("MATERIALIZED VIEW", "materialized view"),
    ("FOREIGN TABLE", "foreign table"),
    ("SEQUENCE", "sequence"),
    ("TYPE", "type"),
    ("DOMAIN", "domain"),
    ("SCHEMA", "schema"),
    ("EXTENSION", "extension"),
    ("FUNCTION", "function"),
    ("PROCEDURE", "procedure"),
];

impl Effects {
    pub(crate) fn new(syntax: &'static Syntax) -> Self {
        Effects {
            syntax,
            dropped: Vec::new(),
            renamed: Vec::new(),
            made: Vec::new(),
            schemas: Vec::new(),
            others: Vec::new(),
            mentioned: BTreeSet::new(),
        }
    }

    /// Adds the effects of the SQL that runs next.
    pub(crate) fn read(&mut self, sql: &str) {
        let (tokens, unended) = lexer::lex(sql, self.syntax);
        if unended.is_some() {
            self.unknown("SQL that Bustard cannot parse");
        }
        for piece in split::split(sql, &tokens, self.syntax) {
            if let Piece::Statement(unit) = piece {
                StatementReader { unit: &unit, syntax: self.syntax, at: 0 }.mentions(&mut self.mentioned);
                self.statement(&unit);
            }
        }
    }

    /// Adds a step that runs next and whose effects are unknown.
    pub(crate) fn unknown(&mut self, what: &str) {
        self.others.push(format!("objects dropped by {what}"));
    }

    /// Returns the tables that are dropped.
    pub(crate) fn tables(&self) -> &[TableName] {
        &self.dropped
    }

    /// Returns the schemas that are dropped with `CASCADE`.
    pub(crate) fn schemas(&self) -> &[String] {
        &self.schemas
    }

    /// Returns the other dropped objects: `column ban.reason`, `view active_ban`.
    pub(crate) fn others(&self) -> &[String] {
        &self.others
    }

    /// Returns whether any statement mentions this table.
    pub(crate) fn mentions(&self, schema: Option<&str>, table: &str) -> bool {
        let (schema, table) = (schema.map(|schema| self.folded(schema)), self.folded(table));
        self.mentioned.iter().any(|parts| {
            let mut before: Option<&String> = None;
            parts.iter().any(|part| {
                let qualifier = before.replace(part);
                *part == table && (qualifier.is_none() || qualifier == schema.as_ref())
            })
        })
    }

    fn folded(&self, name: &str) -> String {
        if self.syntax.folds_quoted_names { name.to_ascii_lowercase() } else { name.to_owned() }
    }

    fn statement(&mut self, unit: &Unit<'_>) {
        let mut reader = StatementReader { unit, syntax: self.syntax, at: 0 };
        if reader.words("DROP TABLE") {
            reader.words("IF EXISTS");
            for name in reader.names() {
                self.drop_table(&name);
            }
        } else if reader.words("DROP") {
            self.drop_other(reader);
        } else if reader.words("ALTER TABLE") {
            self.alter_table(reader);
        } else if reader.words("CREATE") {
            let _ = reader.words("UNLOGGED") || reader.words("GLOBAL") || reader.words("LOCAL");
            let _ = reader.words("TEMP") || reader.words("TEMPORARY");
            if reader.words("TABLE") {
                reader.words("IF NOT EXISTS");
                self.made.extend(reader.name());
            }
        }
    }

    fn drop_table(&mut self, name: &TableName) {
        if take(&mut self.made, name) {
            return;
        }
        let name = self.before(name);
        if !self.dropped.contains(&name) {
            self.dropped.push(name);
        }
    }

    fn drop_other(&mut self, mut reader: StatementReader<'_, '_>) {
        let Some((_, kind)) = KINDS.iter().find(|(words, _)| reader.words(words)) else { return };
        reader.words("IF EXISTS");
        let names = reader.names();
        if *kind == "schema" && reader.words("CASCADE") {
            self.schemas.extend(names.iter().map(|name| name.parts().1));
        }
        self.others.extend(names.iter().map(|name| format!("{kind} {name}")));
    }

    fn alter_table(&mut self, mut reader: StatementReader<'_, '_>) {
        reader.words("IF EXISTS");
        reader.words("ONLY");
        let Some(table) = reader.name() else { return };
        reader.symbol("*");
        if reader.words("RENAME TO") {
            if let Some(new) = reader.name() {
                let (schema, _) = table.parts();
                self.rename(&table, TableName::of(schema.as_deref(), &new.parts().1));
            }
            return;
        }
        if reader.words("SET SCHEMA") {
            if let Some(schema) = reader.part() {
                self.rename(&table, TableName::of(Some(&schema), &table.parts().1));
            }
            return;
        }
        if self.made.contains(&table) {
            return;
        }
        loop {
            let dropping = reader.words("DROP");
            if dropping && !reader.words("CONSTRAINT") {
                reader.words("COLUMN");
                reader.words("IF EXISTS");
                let column = reader.name();
                self.others.extend(column.map(|column| format!("column {}.{column}", self.before(&table))));
            }
            if !reader.skip_to_comma() {
                return;
            }
        }
    }

    /// Handles a rename. A created table that gets the name of a dropped table replaces
    /// that table: the table was rebuilt and not dropped.
    fn rename(&mut self, from: &TableName, to: TableName) {
        if take(&mut self.made, from) {
            let original = self.before(&to);
            if !take(&mut self.dropped, &original) {
                self.made.push(to);
            }
        } else {
            let before = self.before(from);
            self.renamed.retain(|(now, _)| now != from);
            self.renamed.push((to, before));
        }
    }

    /// Returns the name of the table before the first statement.
    fn before(&self, name: &TableName) -> TableName {
        let found = self.renamed.iter().find(|(now, _)| now == name);
        found.map_or_else(|| name.clone(), |(_, before)| before.clone())
    }
}

fn take(names: &mut Vec<TableName>, name: &TableName) -> bool {
    let found = names.iter().position(|other| other == name);
    found.map(|at| names.remove(at)).is_some()
}

/// Reads the tokens of a statement.
struct StatementReader<'r, 't> {
    unit: &'r Unit<'t>,
    syntax: &'static Syntax,
    at: usize,
}

impl StatementReader<'_, '_> {
    /// Consumes these keywords if they come next, and returns whether they did.
    fn words(&mut self, keywords: &str) -> bool {
        let there = keywords.split(' ').enumerate().all(|(n, keyword)| self.unit.is(self.at + n, keyword));
        self.at += if there { keywords.split(' ').count() } else { 0 };
        there
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let there = self.unit.token(self.at) == symbol;
        self.at += usize::from(there);
        there
    }

    /// Reads a part of a name and folds its case as the database does.
    fn part(&mut self) -> Option<String> {
        let token = self.unit.token(self.at);
        let Syntax { foreign_quotes, folds_quoted_names, .. } = *self.syntax;
        let part = match (self.unit.kind(self.at)?, token.chars().next()?) {
            (TokenKind::Word, _) => token.to_ascii_lowercase(),
            (TokenKind::Other, '"') => within(token).replace("\"\"", "\""),
            (TokenKind::Other, '`') if foreign_quotes => within(token).replace("``", "`"),
            (TokenKind::Other, '[') if foreign_quotes => within(token).to_owned(),
            _ => return None,
        };
        self.at += 1;
        Some(if folds_quoted_names { part.to_ascii_lowercase() } else { part })
    }

    fn parts(&mut self) -> Option<Vec<String>> {
        let mut parts = vec![self.part()?];
        while self.unit.kind(self.at) == Some(TokenKind::Period) {
            self.at += 1;
            parts.extend(self.part());
        }
        Some(parts)
    }

    fn name(&mut self) -> Option<TableName> {
        let parts = self.parts()?;
        let (table, before) = parts.split_last()?;
        let schema = before.last().map(String::as_str);
        Some(TableName::of(schema.filter(|schema| self.syntax.default_schema != Some(schema)), table))
    }

    /// Reads names separated by commas, and skips the arguments of functions.
    fn names(&mut self) -> Vec<TableName> {
        let mut names = Vec::new();
        while let Some(name) = self.name() {
            names.push(name);
            if self.unit.kind(self.at) == Some(TokenKind::Open) {
                self.skip_parentheses();
            }
            if !self.symbol(",") {
                break;
            }
        }
        names
    }

    fn skip_parentheses(&mut self) {
        let mut depth = 0;
        while let Some(kind) = self.unit.kind(self.at) {
            self.at += 1;
            match kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Skips past the next comma that is not in parentheses.
    fn skip_to_comma(&mut self) -> bool {
        while let Some(kind) = self.unit.kind(self.at) {
            if kind == TokenKind::Open {
                self.skip_parentheses();
            } else if self.symbol(",") {
                return true;
            } else {
                self.at += 1;
            }
        }
        false
    }

    /// Collects all names of the statement, including keywords.
    fn mentions(&mut self, mentioned: &mut BTreeSet<Vec<String>>) {
        while self.at < self.unit.len() {
            match self.parts() {
                Some(parts) => _ = mentioned.insert(parts),
                None => self.at += 1,
            }
        }
    }
}

/// Returns a token without its first and last character.
fn within(token: &str) -> &str {
    token.get(1..token.len() - 1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::dialects::{POSTGRES, SQLITE};
    use crate::sql::Dialect;

    const BOTH: [&dyn Dialect; 2] = [POSTGRES, SQLITE];

    fn effects(sql: &str, dialect: &'static dyn Dialect) -> Effects {
        let mut effects = Effects::new(dialect.syntax());
        effects.read(sql);
        effects
    }

    fn tables(sql: &str, dialect: &'static dyn Dialect) -> Vec<String> {
        effects(sql, dialect).tables().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn tables_that_are_dropped() {
        for engine in BOTH {
            for (sql, expected) in [
                ("DROP TABLE ban", vec!["ban"]),
                ("drop table if exists Ban cascade; DROP TABLE ban", vec!["ban"]),
                ("DROP TABLE a /* , x */ , b.c", vec!["a", "b.c"]),
                ("SELECT 'DROP TABLE a'; -- DROP TABLE b\nDELETE FROM c", vec![]),
                ("CREATE TABLE a (b int); DROP TABLE a", vec![]),
                ("CREATE TABLE IF NOT EXISTS a (b int); DROP TABLE a; DROP TABLE a", vec!["a"]),
                ("ALTER TABLE new RENAME TO old; ALTER TABLE old RENAME TO b; DROP TABLE b", vec!["new"]),
                ("ALTER TABLE a.b RENAME TO c; DROP TABLE a.c", vec!["a.b"]),
                ("ALTER TABLE a.b SET SCHEMA c; DROP TABLE c.b", vec!["a.b"]),
            ] {
                assert_eq!(tables(sql, engine), expected, "{engine} {sql}");
            }
        }
        let postgres = "DROP TABLE \"Odd \"\"name\"\"\".\"x.y\", \"ban\" RESTRICT";
        assert_eq!(tables(postgres, POSTGRES), ["\"Odd \"\"name\"\"\".\"x.y\"", "ban"]);
        assert_eq!(tables("DROP TABLE main.[Odd name]; DROP TABLE `b`", SQLITE), ["\"odd name\"", "b"]);
    }

    #[test]
    fn a_table_that_is_rebuilt_stays() {
        let rebuilt = "CREATE TABLE new (id int); INSERT INTO new SELECT id FROM thread; \
                       DROP TABLE thread; ALTER TABLE new RENAME TO thread;";
        for engine in BOTH {
            assert_eq!(tables(rebuilt, engine), [""; 0]);
            assert_eq!(tables(&format!("{rebuilt} DROP TABLE thread"), engine), ["thread"]);
        }
    }

    #[test]
    fn other_objects_that_are_dropped() {
        for (sql, expected) in [
            ("DROP VIEW IF EXISTS a, b.c", vec!["view a", "view b.c"]),
            ("DROP MATERIALIZED VIEW a", vec!["materialized view a"]),
            (
                "DROP FUNCTION f(int, text), g(); DROP TYPE mood",
                vec!["function f", "function g", "type mood"],
            ),
            ("DROP INDEX a; DROP TRIGGER b ON c; ALTER TABLE a DROP CONSTRAINT b", vec![]),
            (
                "ALTER TABLE IF EXISTS ONLY a * DROP COLUMN IF EXISTS b CASCADE, ADD c numeric(1, 2), DROP d",
                vec!["column a.b", "column a.d"],
            ),
            ("ALTER TABLE a ALTER COLUMN b DROP DEFAULT; ALTER TABLE a RENAME COLUMN b TO c", vec![]),
            ("ALTER TABLE a RENAME TO b; ALTER TABLE b DROP COLUMN \"C\"", vec!["column a.\"C\""]),
            ("CREATE TABLE a (b int); ALTER TABLE a DROP b", vec![]),
        ] {
            assert_eq!(effects(sql, POSTGRES).others(), expected, "{sql}");
        }
        let odd = "SET standard_conforming_strings = off; SELECT 'it\\'s'; DROP TABLE a";
        assert_eq!(effects(odd, POSTGRES).others(), ["objects dropped by SQL that Bustard cannot parse"]);
        let schemas = effects("DROP SCHEMA a; DROP SCHEMA b, \"C\" CASCADE", POSTGRES);
        assert_eq!(schemas.schemas(), ["b", "C"]);
        assert_eq!(schemas.others(), ["schema a", "schema b", "schema \"C\""]);
    }

    #[test]
    fn names_that_are_mentioned() {
        let sql = "ALTER TABLE forum.Post DROP CONSTRAINT x; DELETE FROM vote WHERE vote.post = 'reply'";
        for engine in BOTH {
            let effects = effects(sql, engine);
            for (schema, table, expected) in [
                (Some("forum"), "post", true),
                (Some("public"), "vote", true),
                (None, "vote", true),
                (Some("other"), "post", false),
                (Some("public"), "reply", false),
            ] {
                assert_eq!(effects.mentions(schema, table), expected, "{engine} {schema:?} {table}");
            }
        }
        assert!(!effects("DROP TABLE \"Post\"", POSTGRES).mentions(None, "post"));
        assert!(effects("DROP TABLE \"Post\"", SQLITE).mentions(None, "POST"));
    }
}
