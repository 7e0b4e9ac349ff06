//! `COPY … FROM stdin` with rows of a migration: the check before it, and the row that an
//! error is about.
//!
//! In: the statement, and the server message. Out: SQL, and the place of a row.

use std::io::{self, Cursor, Read, Write as _};

use futures_util::SinkExt;

use super::failure;
use crate::diagnostic::{Place, secrets};
use crate::engine::Failure;
use crate::engine::postgres::POSTGRES;
use crate::error::{ErrorKind, ServerMessage};
use crate::model::{Form, Statement};
use crate::sql::lexer::{TokenKind, lex};
use crate::sql::quoted_length;
use crate::sql::split::{Piece, Unit, split};

/// The bytes of rows that are sent at a time.
const CHUNK: usize = 1 << 16;

/// A `COPY … FROM stdin` and its rows.
pub(super) struct Copy<'s> {
    whole: &'s Statement,
    pub sql: &'s str,
    first_row: usize,
}

impl<'s> Copy<'s> {
    pub(super) fn of(whole: &'s Statement) -> Option<Self> {
        let (end, first_row) = match whole.form {
            Form::CopyIn { end, rows } => (end, rows),
            Form::CopyStored { end, .. } => (end, whole.sql.len()),
            Form::Statement | Form::Generated => return None,
        };
        Some(Copy { whole, sql: whole.sql.get(..end)?, first_row })
    }

    /// Returns the rows, without the line that ends them.
    pub(super) fn rows(&self) -> io::Result<RowsOut<'s>> {
        let input: Box<dyn Read + Send + 's> = match &self.whole.form {
            Form::CopyStored { rows, .. } => rows.read()?,
            _ => {
                let rows = self.whole.sql.get(self.first_row..).unwrap_or_default();
                let rows = rows.trim_end_matches(['\n', '\r']).strip_suffix("\\.").unwrap_or(rows);
                Box::new(rows.as_bytes())
            }
        };
        Ok(RowsOut { input, lines: 0, error: None })
    }

    /// Returns the statement without its rows, for errors.
    pub(super) fn statement(&self) -> Statement {
        Statement { sql: self.sql.to_owned(), place: self.whole.place.clone(), form: Form::Statement }
    }

    /// Returns SQL that fails as COPY does before it reads the first row: table and columns
    /// exist, and the role may write them. The table stays locked. The driver loses its
    /// connection if COPY itself fails so early, because the server answers the driver's
    /// two Syncs.
    pub(super) fn check(&self) -> Option<String> {
        self.with_target(|unit, target| {
            let text =
                |from: usize, to: usize| (from..to).map(|n| unit.token(n)).collect::<Vec<_>>().join(" ");
            let table = text(target.table.0, target.table.1);
            match target.columns {
                None => format!("EXPLAIN INSERT INTO {table} DEFAULT VALUES"),
                Some((from, to, count)) => {
                    let (columns, nulls) = (text(from, to), vec!["NULL"; count].join(", "));
                    format!(
                        "EXPLAIN INSERT INTO {table} {columns} OVERRIDING SYSTEM VALUE SELECT {nulls} WHERE false"
                    )
                }
            }
        })
    }

    /// Calls the function with the tokens of the statement and what it writes to. Returns
    /// `None` if the statement is not one that the server accepts.
    fn with_target<T>(&self, then: impl FnOnce(&Unit<'_>, Target) -> T) -> Option<T> {
        let (tokens, _) = lex(self.sql, POSTGRES.syntax());
        let pieces = split(self.sql, &tokens, POSTGRES.syntax());
        let [Piece::Statement(unit)] = pieces.as_slice() else { return None };
        Some(then(unit, Target::of(unit)?))
    }

    /// Returns the place of the row that the server names in the context of its message.
    /// So many lines of rows were sent.
    pub(super) fn place(&self, message: &ServerMessage, lines: usize) -> Option<Place> {
        let row = self.row(message.context.as_deref()?, lines)?;
        let start = self.whole.place.as_ref()?;
        let before = self.whole.sql[..self.first_row].matches('\n').count() + row - 1;
        Some(Place::at(start.path(), start.line()?.saturating_add(u32::try_from(before).ok()?), 1))
    }

    /// Returns the number of the row. The server writes the context in its own language, but
    /// keeps the word COPY, the name of the table and the number.
    fn row(&self, context: &str, lines: usize) -> Option<usize> {
        let table = self.table()?;
        let rows = lines.max(1);
        let number = |line: &str| {
            let line = line.replacen(&table, "", 1);
            let digits = line.trim_start_matches(|c: char| !c.is_ascii_digit());
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            digits[..end].parse().ok().filter(|row| (1..=rows).contains(row))
        };
        // The data of the row comes last, and may look like the rest.
        let named = |line: &&str| line.contains("COPY") && line.contains(&table);
        context.lines().filter(named).find_map(number)
    }

    /// Returns the name of the table, without its schema and without quotes.
    fn table(&self) -> Option<String> {
        self.with_target(|unit, target| {
            let name = unit.token(target.table.1 - 1);
            match quoted_length(name) {
                Some(_) => name.trim_matches('"').replace("\"\"", "\""),
                None => name.to_lowercase(),
            }
        })
    }

    /// Removes the contents of the row from the context if they may be secret.
    pub(super) fn without_secrets(&self, message: &mut ServerMessage, lines: usize) {
        let Some(context) = &message.context else { return };
        if !secrets::mentions_secret(self.sql) {
            return;
        }
        let row = self.row(context, lines);
        let shown = row.and_then(|row| Some(format!("COPY {}, line {row}", self.table()?)));
        message.context = shown.map(Into::into);
        message.detail = None;
    }
}

/// The target of a COPY: the tokens of its table and of its list of columns, and the number
/// of the columns.
struct Target {
    table: (usize, usize),
    columns: Option<(usize, usize, usize)>,
}

impl Target {
    fn of(unit: &Unit<'_>) -> Option<Target> {
        let start = if unit.is(1, "BINARY") && unit.kind(2) != Some(TokenKind::Period) { 2 } else { 1 };
        let mut end = start + 1;
        while unit.kind(end) == Some(TokenKind::Period) {
            end += 2;
        }
        let table = (start, end);
        if unit.is(end, "FROM") {
            return Some(Target { table, columns: None });
        }
        if unit.kind(end) != Some(TokenKind::Open) {
            return None;
        }
        let close = (end..unit.len()).find(|n| unit.kind(*n) == Some(TokenKind::Close))?;
        let commas = (end..close).filter(|n| unit.token(*n) == ",").count();
        unit.is(close + 1, "FROM").then_some(Target { table, columns: Some((end, close + 1, commas + 1)) })
    }
}

/// Rows on their way to the server.
pub(crate) struct RowsOut<'s> {
    input: Box<dyn Read + Send + 's>,
    /// The lines that were sent.
    pub lines: usize,
    /// The error of reading them, after which COPY is given up.
    pub error: Option<io::Error>,
}

impl RowsOut<'_> {
    fn next(&mut self) -> Option<Vec<u8>> {
        let mut chunk = Vec::with_capacity(CHUNK);
        match self.input.by_ref().take(CHUNK as u64).read_to_end(&mut chunk) {
            Ok(0) => None,
            Ok(_) => {
                self.lines += chunk.iter().filter(|byte| **byte == b'\n').count();
                Some(chunk)
            }
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }
}

/// Runs COPY with these rows.
pub(super) async fn send(
    client: &tokio_postgres::Client,
    sql: &str,
    rows: &mut RowsOut<'_>,
) -> Option<Failure> {
    let sent = async {
        let sink = client.copy_in::<_, Cursor<Vec<u8>>>(sql).await?;
        let mut sink = std::pin::pin!(sink);
        while let Some(chunk) = rows.next() {
            sink.send(Cursor::new(chunk)).await?;
        }
        match rows.error {
            None => sink.finish().await.map(drop),
            // COPY fails when the sink is dropped.
            Some(_) => Ok(()),
        }
    };
    sent.await.err().map(|error| failure(&error))
}

/// Does the same on the connection of a caller.
pub(super) fn send_sync(
    transaction: &mut postgres::Transaction<'_>,
    sql: &str,
    rows: &mut RowsOut<'_>,
) -> Option<Failure> {
    let mut writer = match transaction.copy_in(sql) {
        Ok(writer) => writer,
        Err(error) => return Some(failure(&error)),
    };
    while let Some(chunk) = rows.next() {
        if let Err(error) = writer.write_all(&chunk) {
            return Some(match error.downcast::<postgres::Error>() {
                Ok(error) => failure(&error),
                Err(error) => Failure {
                    kind: ErrorKind::Connection,
                    server_message: Box::new(ServerMessage {
                        message: error.to_string(),
                        ..Default::default()
                    }),
                    offset: None,
                    advice: None,
                },
            });
        }
    }
    match rows.error {
        None => writer.finish().err().map(|error| failure(&error)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy_of(sql: &str) -> Statement {
        let rows = "1\n".repeat(20);
        let form = Form::CopyIn { end: sql.len(), rows: sql.len() + 2 };
        Statement { sql: format!("{sql};\n{rows}\\.\n"), place: Some(Place::at("a.sql", 7, 3)), form }
    }

    #[test]
    fn the_check_names_table_and_columns() {
        for (sql, check) in [
            ("COPY a FROM stdin", Some("EXPLAIN INSERT INTO a DEFAULT VALUES")),
            ("copy BINARY s.\"A b\" from stdin", Some("EXPLAIN INSERT INTO s . \"A b\" DEFAULT VALUES")),
            ("COPY binary.a FROM stdin", Some("EXPLAIN INSERT INTO binary . a DEFAULT VALUES")),
            (
                "COPY a.b (c, \"d,e\") FROM stdin WITH (FORMAT csv)",
                Some(
                    "EXPLAIN INSERT INTO a . b ( c , \"d,e\" ) OVERRIDING SYSTEM VALUE SELECT NULL, NULL WHERE false",
                ),
            ),
            ("COPY a b FROM stdin", None),
            ("COPY (SELECT 1) FROM stdin", None),
        ] {
            let statement = copy_of(sql);
            assert_eq!(Copy::of(&statement).expect("it is COPY").check().as_deref(), check, "{sql}");
        }
    }

    #[test]
    fn the_row_of_a_context_in_any_language() {
        for (sql, context, row) in [
            ("COPY t FROM stdin", "COPY t, line 3, column id: \"x\"", Some(3)),
            ("COPY s.t FROM stdin", "COPY t, Zeile 12, Spalte id: »x«", Some(12)),
            ("COPY \"t 2\" FROM stdin", "COPY t 2, ligne 3, colonne id : « 5 »", Some(3)),
            ("COPY T9 FROM stdin", "テーブルt9のCOPY、行4、列id: \"x\"", Some(4)),
            ("COPY t FROM stdin", "PL/pgSQL function f() line 3 at RAISE\nCOPY t, line 2: \"1\"", Some(2)),
            ("COPY t FROM stdin", "COPY t, line 2: \"COPY t, line 7\"", Some(2)),
            ("COPY t FROM stdin", "COPY t, line 2: \"a\nCOPY t, line 7\"", Some(2)),
            ("COPY t FROM stdin", "COPY t, line 21", None),
            ("COPY t FROM stdin", "COPY u, line 3", None),
            ("COPY t FROM stdin", "COPY t", None),
        ] {
            let statement = copy_of(sql);
            let copy = Copy::of(&statement).expect("it is COPY");
            let message = ServerMessage { context: Some(context.into()), ..ServerMessage::default() };
            let place = copy.place(&message, 20).map(|place| place.to_string());
            assert_eq!(place, row.map(|row| format!("a.sql:{}:1", 7 + row)), "{context}");
        }
    }

    #[test]
    fn rows_with_secrets_are_not_shown() {
        let statement = copy_of("COPY t (name, password) FROM stdin");
        let mut message = ServerMessage {
            context: Some("COPY t, line 2: \"bob\thunter2\"".into()),
            ..ServerMessage::default()
        };
        Copy::of(&statement).expect("it is COPY").without_secrets(&mut message, 2);
        assert_eq!(message.context.as_deref(), Some("COPY t, line 2"));
    }
}
