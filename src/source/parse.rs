//! SQL files: statements and directives.
//!
//! In: a text, and its engine. Out: the migration that it describes, and diagnostics.
//! [`lexer`] splits the text into tokens, [`split`] joins them to statements, [`directive`]
//! and [`Dialect::judge`] check them, and this module builds the operations, in the order
//! of the file.

use crate::diagnostic::{Advice, Code, Diagnostic, Place};
use crate::model::{
    ChangeCache, Dependency, Finding, Form, Migration, Operation, Reading, RegisterCache, Section, Sql,
    Statement, UnregisterCache,
};
use crate::sql::directive::{self, Directive};
use crate::sql::lookalike::{self, Lookalike, Tool};
use crate::sql::split::{self, Piece, Unit};
use crate::sql::{Admission, Dialect, Text, bracket, copy, lexer};

/// The treatment of directives in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directives {
    /// Directives take effect.
    Obeyed,
    /// Directives are refused, because the text is part of a migration built in code.
    Misplaced,
    /// Directives take effect and revert something, because the text is from a record.
    Reverting,
}

pub(super) fn parse(text: &Text<'_>, dialect: &'static dyn Dialect, directives: Directives) -> Reading {
    let mut reader = Reader::new(text, dialect, directives);
    reader.read();
    reader.finish();
    Reading { migration: reader.migration, errors: reader.errors, warnings: reader.warnings }
}

struct Reader<'a> {
    text: &'a Text<'a>,
    dialect: &'static dyn Dialect,
    directives: Directives,
    migration: Migration,
    errors: Vec<Finding>,
    warnings: Vec<Diagnostic>,
    /// The statements of the next operation, and their bytes.
    group: Vec<Statement>,
    group_bytes: (usize, usize),
    /// The position of `down`.
    down: Option<usize>,
    /// Diagnostics about statements that cannot run in a transaction.
    not_in_transaction: Vec<Finding>,
    /// The position from which backslashes escape quotes. Only the server can split the rest.
    backslashes: Option<usize>,
    /// Whether something in the text is not SQL, so that the rest may be misread.
    foreign: bool,
    /// The other tools that have markers here: the position and text of the first, and
    /// their number.
    markers: Vec<(&'static Tool, usize, String, usize)>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a Text<'a>, dialect: &'static dyn Dialect, directives: Directives) -> Self {
        Reader {
            text,
            dialect,
            directives,
            migration: Migration::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            group: Vec::new(),
            group_bytes: (0, 0),
            down: None,
            not_in_transaction: Vec::new(),
            backslashes: None,
            foreign: false,
            markers: Vec::new(),
        }
    }

    fn read(&mut self) {
        let text = self.text.as_str();
        if let Some(at) = text.find('\0') {
            let help = "databases take text without such bytes; save the file as UTF-8";
            self.error(Code::ZeroByte, at, "a zero byte in SQL", help);
            return;
        }
        let (tokens, unended) = lexer::lex(text, self.dialect.syntax());
        let pieces = split::split(text, &tokens, self.dialect.syntax());
        let left_out = bracket::left_out(text, &pieces);
        self.note_left_out(left_out.iter().copied());
        for piece in pieces {
            match piece {
                Piece::Statement(unit) if left_out.contains(&unit.start()) => {}
                Piece::Statement(unit) => {
                    self.statement(&unit);
                    // The rest of the text consists of strings that would be misread.
                    if self.backslashes.is_some() {
                        break;
                    }
                }
                Piece::Directive { comment, inside } => self.directive(comment, inside),
                Piece::Lookalike(at, what) => self.lookalike(at, what),
                Piece::ShellCommand { at, inside } => self.shell_command(at, inside.is_some()),
            }
        }
        self.flush();
        for (tool, at, first, count) in std::mem::take(&mut self.markers) {
            self.found(lookalike::foreign(tool, &first, count).at(self.text.place(at)));
        }
        if self.migration.no_transaction.is_none() {
            self.errors.append(&mut self.not_in_transaction);
        }
        if let Some(start) = self.backslashes {
            self.leave_to_the_server(start);
        } else if let Some(unended) = unended.filter(|_| !self.foreign) {
            let message = format!("the SQL ends inside {}", unended.what);
            let help = match unended.what == copy::ROWS {
                true => "end them with a line that contains only `\\.`, as pg_dump does",
                false => "it opens here and is never closed",
            };
            self.error(Code::UnterminatedSql, unended.start, message, help);
        }
    }

    fn finish(&mut self) {
        let has_sql = || self.migration.operations.iter().any(|one| !one.statements().is_empty());
        if !self.errors.is_empty() && self.migration.down.is_none() && !has_sql() {
            // If it was applied all the same, it did something that nothing reverts.
            let text = self.text.as_str();
            let place = Some(self.text.place(0));
            let statement = Statement { sql: text.to_owned(), place, form: Form::Unsplit };
            self.push(Operation::Sql(Sql::split(text, vec![statement])));
        }
        let idle = self.migration.operations.is_empty() && self.errors.is_empty();
        if idle && self.directives == Directives::Obeyed {
            let warning = Diagnostic::new(
                Code::EmptyMigration,
                "the migration does nothing: it has no statement and no cache operation",
            );
            self.warnings.push(warning.at(Place::file(self.text.file())));
        }
    }

    fn error(&mut self, code: Code, at: usize, message: impl Into<String>, help: impl Into<Advice>) {
        self.found(Diagnostic::new(code, message).at(self.text.place(at)).help(help));
    }

    fn found(&mut self, diagnostic: Diagnostic) {
        let finding = self.finding(diagnostic, false);
        self.errors.push(finding);
    }

    fn finding(&self, diagnostic: Diagnostic, unrunnable: bool) -> Finding {
        let section = if self.down.is_some() { Section::Down } else { Section::Up };
        Finding { diagnostic, section, unrunnable }
    }

    fn statement(&mut self, unit: &Unit<'_>) {
        let place = self.text.place(unit.start());
        // A statement that is refused stays in the operations: the file may have been applied.
        match self.dialect.judge(unit) {
            Admission::Admitted => {}
            Admission::Dropped(why) => return self.warnings.push(why.at(place)),
            Admission::Refused(why) => self.errors.push(self.finding(why.at(place.clone()), true)),
            Admission::NotInTransaction(why) => {
                self.not_in_transaction.push(self.finding(why.at(place.clone()), true));
            }
        }
        if self.dialect.syntax().backslash_setting && switches_backslashes_on(unit) {
            let rest =
                self.text.as_str()[unit.end()..].trim_start_matches(|c: char| c == ';' || c.is_whitespace());
            self.backslashes = rest.contains('\\').then(|| self.text.as_str().len() - rest.len());
        }
        if self.group.is_empty() {
            self.group_bytes.0 = unit.start();
        }
        let (text, start, end) = (self.text.as_str(), unit.start(), unit.end());
        let Some((rows, over)) = unit.rows_range() else {
            self.group_bytes.1 = end;
            let sql = unit.sql().to_owned();
            return self.group.push(Statement { sql, place: Some(place), form: Form::Statement });
        };
        self.group_bytes.1 = over;
        let whole = &text[start..over];
        // Another statement may follow where the text is repeated.
        let line_end = if whole.ends_with('\n') { "" } else { "\n" };
        let form = Form::CopyIn { end: end - start, rows: rows - start };
        self.group.push(Statement { sql: format!("{whole}{line_end}"), place: Some(place), form });
    }

    /// Says that pairs of BEGIN and COMMIT are left out.
    fn note_left_out(&mut self, left_out: impl ExactSizeIterator<Item = usize>) {
        let pairs = left_out.len() / 2;
        let Some(first) = left_out.into_iter().next() else { return };
        let often = if pairs > 1 { format!(", {pairs} times") } else { String::new() };
        let message = format!("`BEGIN` and `COMMIT` are left out{often}");
        let help = "a migration is applied in a transaction, together with its history";
        let note = Diagnostic::new(Code::SkippedTransaction, message).help(help);
        self.warnings.push(note.at(self.text.place(first)));
    }

    /// Turns the statements so far into one operation.
    fn flush(&mut self) {
        if self.group.is_empty() {
            return;
        }
        let (start, end) = self.group_bytes;
        let sql = Sql::split(&self.text.as_str()[start..end], std::mem::take(&mut self.group));
        self.push(Operation::Sql(sql));
    }

    fn push(&mut self, operation: Operation) {
        self.migration.down.as_mut().unwrap_or(&mut self.migration.operations).push(operation);
    }

    fn shell_command(&mut self, at: usize, inside: bool) {
        let line = self.text.as_str()[at..].lines().next().unwrap_or_default();
        let command = line.split_whitespace().next().unwrap_or_default();
        let for_psql_only = line.split_whitespace().count() == 2 && self.dialect.shell_only(command);
        if for_psql_only && !inside {
            return;
        }
        self.foreign = true;
        let message = format!("`{command}` is a command of {}, not SQL", self.dialect.shell());
        self.error(Code::ShellCommand, at, message, "leave it out, or write what it does in SQL");
    }

    /// Refuses a comment that looks like an instruction. Texts of records were judged when
    /// their migrations were pending.
    fn lookalike(&mut self, at: usize, what: Lookalike) {
        match what {
            _ if self.directives == Directives::Reverting => {}
            Lookalike::NearMiss(found) => self.found(found.at(self.text.place(at))),
            Lookalike::Marker(tool, text) => {
                match self.markers.iter_mut().find(|(other, ..)| *other == tool) {
                    Some((.., count)) => *count += 1,
                    None => self.markers.push((tool, at, text, 1)),
                }
            }
        }
    }

    fn directive(&mut self, comment: lexer::Token, inside: Option<usize>) {
        let text = self.text.as_str();
        let whole = &text[comment.start..comment.end];
        if self.directives == Directives::Misplaced {
            let help =
                "use the methods of `Migration` for it: `depends_on`, `register_cache`, `down` and so on";
            return self.error(
                Code::MisplacedDirective,
                comment.start,
                "a directive in SQL that is built in code",
                help,
            );
        }
        if !(comment.start == 0 || text[..comment.start].ends_with(['\n', '\r'])) {
            let help = "move it to the start of a line of its own";
            return self.error(
                Code::MisplacedDirective,
                comment.start,
                "a directive must be at the start of a line",
                help,
            );
        }
        if let Some(at) = whole.find('\r').filter(|at| !whole[*at..].trim().is_empty()) {
            let help = "SQLite ends a comment at a line feed only: save the file with LF or CRLF line ends";
            return self.error(
                Code::MisplacedDirective,
                comment.start + at,
                "a directive's line goes on behind a carriage return",
                help,
            );
        }
        if let Some(start) = inside {
            let line = self.text.line(start);
            let help =
                format!("end the statement that starts on line {line} with `;` first, or move the directive");
            return self.error(
                Code::MisplacedDirective,
                comment.start,
                "a directive inside a statement",
                help,
            );
        }
        match directive::parse(whole, self.directives == Directives::Reverting) {
            Ok(directive) => self.obey(directive, comment.start),
            Err((at, found)) => self.found(found.at(self.text.place(comment.start + at))),
        }
    }

    fn obey(&mut self, directive: Directive, at: usize) {
        let place = Some(self.text.place(at));
        let cache_operation = matches!(
            directive,
            Directive::Register { .. } | Directive::Change { .. } | Directive::Unregister { .. }
        );
        if let Some(down) = self.down.filter(|_| !cache_operation) {
            let message = match directive {
                Directive::Down => "`down` is there twice",
                _ => "this cannot be reverted",
            };
            let line = self.text.line(down);
            let help = format!("after `down`, on line {line}, go SQL and cache operations only");
            return self.error(Code::MisplacedDirective, at, message, help);
        }
        match directive {
            Directive::DependsOn { app, which } => {
                self.migration.depends_on.push(Dependency { app, which, place });
            }
            Directive::RequiredBy { app, which } => {
                self.migration.required_by.push(Dependency { app, which, place });
            }
            Directive::Register { cache, tables, again } => {
                self.flush();
                let register = RegisterCache { name: cache, tables, keeps_owner: again, place };
                self.push(Operation::RegisterCache(register));
            }
            Directive::Change { cache, tables } => {
                self.flush();
                let reverts = tables.is_empty();
                self.push(Operation::ChangeCache(ChangeCache { name: cache, tables, reverts, place }));
            }
            Directive::Unregister { cache } => {
                self.flush();
                let reverts = self.directives == Directives::Reverting;
                self.push(Operation::UnregisterCache(UnregisterCache { name: cache, reverts, place }));
            }
            Directive::NoTransaction => {
                self.migration.no_transaction = place;
                let help = "leave it out; run by hand what cannot run in a transaction";
                self.error(Code::UnsupportedDirective, at, "`no transaction` is not supported yet", help);
            }
            Directive::Down => {
                self.flush();
                self.down = Some(at);
                self.migration.down = Some(Vec::new());
            }
        }
    }

    /// Sends the rest as one statement, because only the server can split it. The
    /// statements before the rest are sent on their own. The server parses a whole message
    /// before it runs the first statement, so the setting takes effect with the next
    /// message.
    fn leave_to_the_server(&mut self, start: usize) {
        let rest = &self.text.as_str()[start..];
        let mut at = start;
        let directive = rest.split_inclusive('\n').find(|line| {
            at += line.len();
            directive::found_in(line.trim_end())
        });
        if let Some(line) = directive {
            at -= line.len();
            let help = "move it to the top of the file, or leave `standard_conforming_strings` alone and write `E'…'`";
            self.error(
                Code::MisplacedDirective,
                at,
                "a directive where only the server can tell strings apart",
                help,
            );
            return;
        }
        let place = self.text.place(start);
        // The line break ends a comment at the end of the text. Without it, the SQL that
        // Bustard sends next would be part of the comment.
        let sql = format!("{}\n", rest.trim_end());
        let statement = Statement { sql, place: Some(place.clone()), form: Form::Unsplit };
        self.push(Operation::Sql(Sql::split(rest, vec![statement])));
        let warning = "the file changes what a backslash means: only the server can tell apart the statements from here on";
        let help =
            "leave `standard_conforming_strings` alone, and write `E'…'` where backslashes are escapes";
        self.warnings.push(Diagnostic::new(Code::BackslashEscapes, warning).at(place).help(help));
    }
}

/// Returns whether the statement is `SET standard_conforming_strings = off`. After such a
/// statement, `'it\'s'` is one string.
fn switches_backslashes_on(unit: &Unit<'_>) -> bool {
    let name = if unit.starts("SET LOCAL|SESSION") { 2 } else { 1 };
    unit.is(0, "SET")
        && unit.is(name, "standard_conforming_strings")
        && matches!(
            unit.token(name + 2).trim_matches('\'').to_ascii_lowercase().as_str(),
            "off" | "false" | "no" | "0"
        )
}

#[cfg(test)]
mod tests;
