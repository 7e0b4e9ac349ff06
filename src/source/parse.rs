//! SQL files: statements and directives.
//!
//! In: a text, and its engine. Out: the migration that it describes, and diagnostics.
//! [`lexer`] splits the text into tokens, [`split`] joins them to statements, [`directive`]
//! and [`Dialect::judge`] check them, and this module builds the operations, in the order
//! of the file.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use crate::diagnostic::{Advice, Code, Diagnostic, Place};
use crate::model::{
    ChangeCache, Dependency, Finding, Form, Migration, Operation, Reading, RegisterCache, Section,
    SourceText, Sql, Statement, StoredSql, UnregisterCache, text_failed,
};
use crate::sql::directive::{self, Directive};
use crate::sql::lexer::Token;
use crate::sql::lookalike::{self, Lookalike, Tool};
use crate::sql::split::{Piece, Unit};
use crate::sql::{Admission, Dialect, Rows, Text, WINDOW, Window, Windows, bracket, copy};

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
    let mut reader = Reader::new(text.file(), dialect, directives);
    let _ = reader.window(&Window::whole(text, dialect.syntax()));
    reader.end(Some(text));
    reader.reading()
}

/// Parses the text of a migration file. The statements of a long text are not kept in
/// memory.
///
/// # Errors
///
/// Returns the error of reading the text again.
pub(super) fn parse_source(
    file: &Path,
    source: &SourceText,
    dialect: &'static dyn Dialect,
) -> Result<Reading, Diagnostic> {
    if let Some(text) = source.held().filter(|text| text.len() <= WINDOW) {
        return Ok(parse(&Text::new(file, text), dialect, Directives::Obeyed));
    }
    let read = || {
        let windows = Windows::new(file, source.read()?, dialect.syntax());
        in_windows(file, source, dialect, windows)
    };
    read().map_err(|error: io::Error| text_failed(&error, Some(Place::file(file))))
}

/// Returns the reading of a text that cannot be read again: it can be neither applied nor
/// reverted.
pub(super) fn unread(diagnostic: Diagnostic) -> Reading {
    // What stops a migration from being reverted also stops it from being applied.
    let error = Finding { diagnostic, section: Section::Down, unrunnable: false };
    Reading { errors: vec![error], ..Reading::default() }
}

/// Parses a text in windows.
fn in_windows(
    file: &Path,
    source: &SourceText,
    dialect: &'static dyn Dialect,
    windows: Windows<'_>,
) -> io::Result<Reading> {
    let stored = Some(source.clone());
    let mut reader = Reader { stored, ..Reader::new(file, dialect, Directives::Obeyed) };
    windows.each(&mut |window| reader.window(window))?;
    reader.end(None);
    Ok(reader.reading())
}

struct Reader<'a> {
    file: &'a Path,
    dialect: &'static dyn Dialect,
    directives: Directives,
    migration: Migration,
    errors: Vec<Finding>,
    warnings: Vec<Diagnostic>,
    /// The text, if its statements are read again when they are needed.
    stored: Option<SourceText>,
    /// The statements of the next operation, and their bytes.
    group: Vec<Statement>,
    group_bytes: (usize, usize),
    /// The statements of the next operation, if they are read again.
    stored_group: Option<StoredSql>,
    /// Finds pairs of BEGIN and COMMIT in a text whose statements are read again.
    pairs: bracket::Pairs,
    /// The statements of that text that are refused: their offsets, and the indexes of their
    /// errors.
    refused: Vec<(u64, usize)>,
    /// The offsets of the statements of that text that are left out, because they are pairs.
    left_out: Vec<u64>,
    /// The number of pairs that are left out, and the place of the first.
    pairs_left_out: usize,
    first_left_out: Option<Place>,
    /// The line of `down`.
    down: Option<usize>,
    /// Diagnostics about statements that cannot run in a transaction.
    not_in_transaction: Vec<Finding>,
    /// Whether something in the text is not SQL, or changes how text is read, so that the rest
    /// may be misread.
    foreign: bool,
    /// The other tools that have markers here: the place and text of the first, and their
    /// number.
    markers: Vec<(&'static Tool, Place, String, usize)>,
    /// The unterminated token at the end.
    unended: Option<(String, Place)>,
}

impl<'a> Reader<'a> {
    fn new(file: &'a Path, dialect: &'static dyn Dialect, directives: Directives) -> Self {
        Reader {
            file,
            dialect,
            directives,
            migration: Migration::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            stored: None,
            group: Vec::new(),
            group_bytes: (0, 0),
            stored_group: None,
            pairs: bracket::Pairs::default(),
            refused: Vec::new(),
            left_out: Vec::new(),
            pairs_left_out: 0,
            first_left_out: None,
            down: None,
            not_in_transaction: Vec::new(),
            foreign: false,
            markers: Vec::new(),
            unended: None,
        }
    }

    fn reading(self) -> Reading {
        Reading { migration: self.migration, errors: self.errors, warnings: self.warnings }
    }

    /// Reads the next part of the text. Breaks off where the rest cannot be understood.
    fn window(&mut self, window: &Window<'_>) -> ControlFlow<()> {
        let text = window.text;
        if let Some(at) = text.as_str().find('\0') {
            // What is before it may be no text either.
            *self = Reader {
                stored: self.stored.take(),
                ..Reader::new(self.file, self.dialect, self.directives)
            };
            let help = "databases take text without such bytes; save the file as UTF-8";
            self.error(Code::ZeroByte, text.place(at), "a zero byte in SQL", help);
            return ControlFlow::Break(());
        }
        if matches!(window.rows, Rows::Part | Rows::Last) {
            if window.rows == Rows::Last {
                self.unended = None;
            }
            return ControlFlow::Continue(());
        }
        let is_stored = self.stored.is_some();
        let mut left_out = BTreeSet::new();
        if !is_stored {
            left_out = bracket::left_out(text.as_str(), &window.pieces);
            self.pairs_left_out = left_out.len() / 2;
            let first = left_out.first().and_then(|at| usize::try_from(*at).ok());
            self.first_left_out = first.map(|at| text.place(at));
        }
        for piece in &window.pieces {
            let pair = match is_stored {
                true => self.pairs.see(text.as_str(), piece, &|at| window.offset(at)),
                false => None,
            };
            match piece {
                Piece::Statement(unit) if left_out.contains(&(unit.start() as u64)) => {}
                Piece::Statement(unit) => self.statement(window, unit),
                Piece::Directive { comment, inside } => self.directive(text, *comment, *inside),
                Piece::Lookalike(at, what) => self.lookalike(text, *at, what),
                Piece::ShellCommand { at, inside } => self.shell_command(text, *at, inside.is_some()),
            }
            if let Some(pair) = pair {
                self.leave_out(pair);
            }
        }
        self.unended =
            window.unended.as_ref().map(|unended| (unended.what.clone(), text.place(unended.start)));
        ControlFlow::Continue(())
    }

    /// Ends the reading. `text` is the whole text, if it is in memory.
    fn end(&mut self, text: Option<&Text<'_>>) {
        self.flush(text);
        self.remove_left_out();
        self.note_left_out();
        for (tool, place, first, count) in std::mem::take(&mut self.markers) {
            self.found(lookalike::foreign(tool, &first, count).at(place));
        }
        if self.migration.no_transaction.is_none() {
            self.errors.append(&mut self.not_in_transaction);
        }
        if let Some((what, place)) = self.unended.take().filter(|_| !self.foreign) {
            let message = format!("the SQL ends inside {what}");
            let help = match what == copy::ROWS {
                true => "end them with a line that contains only `\\.`, as pg_dump does",
                false => "it opens here and is never closed",
            };
            self.error(Code::UnterminatedSql, place, message, help);
        }
        let has_sql = || self.migration.operations.iter().any(Operation::is_sql);
        if !self.errors.is_empty() && self.migration.down.is_none() && !has_sql() {
            // If it was applied all the same, it did something that nothing reverts.
            let place = Some(text.map_or_else(|| Place::file(self.file), |text| text.place(0)));
            let text = text.map_or("the whole file", Text::as_str);
            let statement = Statement { sql: text.to_owned(), place, form: Form::Statement };
            self.push(Operation::Sql(Sql::split(text, vec![statement])));
        }
        let idle = self.migration.operations.is_empty() && self.errors.is_empty();
        if idle && self.directives == Directives::Obeyed {
            let warning = Diagnostic::new(
                Code::EmptyMigration,
                "the migration does nothing: it has no statement and no cache operation",
            );
            self.warnings.push(warning.at(Place::file(self.file)));
        }
    }

    fn error(&mut self, code: Code, place: Place, message: impl Into<String>, help: impl Into<Advice>) {
        self.found(Diagnostic::new(code, message).at(place).help(help));
    }

    fn found(&mut self, diagnostic: Diagnostic) {
        let finding = self.finding(diagnostic, false);
        self.errors.push(finding);
    }

    fn finding(&self, diagnostic: Diagnostic, unrunnable: bool) -> Finding {
        let section = if self.down.is_some() { Section::Down } else { Section::Up };
        Finding { diagnostic, section, unrunnable }
    }

    fn statement(&mut self, window: &Window<'_>, unit: &Unit<'_>) {
        let text = window.text;
        let place = || text.place(unit.start());
        // A statement that is refused stays in the operations: the file may have been applied.
        match self.dialect.judge(unit) {
            Admission::Admitted => {}
            Admission::Dropped(why) => {
                if let Some(stored) = &mut self.stored_group {
                    stored.leave_out(window.offset(unit.start()));
                }
                return self.warnings.push(why.at(place()));
            }
            Admission::Refused(why) => {
                self.foreign |= why.code() == Code::TextSetting;
                if self.stored.is_some() {
                    self.refused.push((window.offset(unit.start()), self.errors.len()));
                }
                self.errors.push(self.finding(why.at(place()), true));
            }
            Admission::NotInTransaction(why) => {
                self.not_in_transaction.push(self.finding(why.at(place()), true));
            }
        }
        if let Some(source) = &self.stored {
            let begin = || StoredSql::begin(source.clone(), window, unit);
            return self.stored_group.get_or_insert_with(begin).add(window, unit);
        }
        if self.group.is_empty() {
            self.group_bytes.0 = unit.start();
        }
        let (_, end) = unit.rows_range().unwrap_or((unit.start(), unit.end()));
        self.group_bytes.1 = end;
        self.group.push(Statement::of(unit, place()));
    }

    /// Turns the statements so far into one operation.
    fn flush(&mut self, text: Option<&Text<'_>>) {
        if let Some(stored) = self.stored_group.take() {
            self.push(Operation::Sql(Sql::stored(stored)));
        }
        let Some(text) = text.filter(|_| !self.group.is_empty()) else { return };
        let (start, end) = self.group_bytes;
        let sql = Sql::split(&text.as_str()[start..end], std::mem::take(&mut self.group));
        self.push(Operation::Sql(sql));
    }

    fn push(&mut self, operation: Operation) {
        self.migration.down.as_mut().unwrap_or(&mut self.migration.operations).push(operation);
    }

    fn shell_command(&mut self, text: &Text<'_>, at: usize, inside: bool) {
        let line = text.as_str()[at..].lines().next().unwrap_or_default();
        let command = line.split_whitespace().next().unwrap_or_default();
        let for_psql_only = line.split_whitespace().count() == 2 && self.dialect.shell_only(command);
        if for_psql_only && !inside {
            return;
        }
        self.foreign = true;
        let message = format!("`{command}` is a command of {}, not SQL", self.dialect.shell());
        self.error(Code::ShellCommand, text.place(at), message, "leave it out, or write what it does in SQL");
    }

    /// Refuses a comment that looks like an instruction. Texts of records were judged when
    /// their migrations were pending.
    fn lookalike(&mut self, text: &Text<'_>, at: usize, what: &Lookalike) {
        match what {
            _ if self.directives == Directives::Reverting => {}
            Lookalike::NearMiss(found) => self.found(Diagnostic::clone(found).at(text.place(at))),
            Lookalike::Marker(tool, first) => {
                match self.markers.iter_mut().find(|(other, ..)| other == tool) {
                    Some((.., count)) => *count += 1,
                    None => self.markers.push((tool, text.place(at), first.clone(), 1)),
                }
            }
        }
    }

    fn directive(&mut self, source: &Text<'_>, comment: Token, inside: Option<usize>) {
        let text = source.as_str();
        let whole = &text[comment.start..comment.end];
        let place = || source.place(comment.start);
        if self.directives == Directives::Misplaced {
            let help =
                "use the methods of `Migration` for it: `depends_on`, `register_cache`, `down` and so on";
            return self.error(
                Code::MisplacedDirective,
                place(),
                "a directive in SQL that is built in code",
                help,
            );
        }
        let first = comment.start == 0 && source.is_start();
        if !(first || text[..comment.start].ends_with(['\n', '\r'])) {
            let help = "move it to the start of a line of its own";
            return self.error(
                Code::MisplacedDirective,
                place(),
                "a directive must be at the start of a line",
                help,
            );
        }
        if let Some(at) = whole.find('\r').filter(|at| !whole[*at..].trim().is_empty()) {
            let help = "SQLite ends a comment at a line feed only: save the file with LF or CRLF line ends";
            return self.error(
                Code::MisplacedDirective,
                source.place(comment.start + at),
                "a directive's line goes on behind a carriage return",
                help,
            );
        }
        if let Some(start) = inside {
            let line = source.line(start);
            let help =
                format!("end the statement that starts on line {line} with `;` first, or move the directive");
            return self.error(Code::MisplacedDirective, place(), "a directive inside a statement", help);
        }
        match directive::parse(whole, self.directives == Directives::Reverting) {
            Ok(directive) => self.obey(source, directive, comment.start),
            Err((at, found)) => self.found(found.at(source.place(comment.start + at))),
        }
    }

    fn obey(&mut self, text: &Text<'_>, directive: Directive, at: usize) {
        let place = Some(text.place(at));
        let cache_operation = matches!(
            directive,
            Directive::Register { .. } | Directive::Change { .. } | Directive::Unregister { .. }
        );
        if let Some(down) = self.down.filter(|_| !cache_operation) {
            let message = match directive {
                Directive::Down => "`down` is there twice",
                _ => "this cannot be reverted",
            };
            let help = format!("after `down`, on line {down}, go SQL and cache operations only");
            return self.error(Code::MisplacedDirective, text.place(at), message, help);
        }
        match directive {
            Directive::DependsOn { app, which } => {
                self.migration.depends_on.push(Dependency { app, which, place });
            }
            Directive::RequiredBy { app, which } => {
                self.migration.required_by.push(Dependency { app, which, place });
            }
            Directive::Register { cache, tables, again } => {
                self.flush(Some(text));
                let register = RegisterCache { name: cache, tables, keeps_owner: again, place };
                self.push(Operation::RegisterCache(register));
            }
            Directive::Change { cache, tables } => {
                self.flush(Some(text));
                let reverts = tables.is_empty();
                self.push(Operation::ChangeCache(ChangeCache { name: cache, tables, reverts, place }));
            }
            Directive::Unregister { cache } => {
                self.flush(Some(text));
                let reverts = self.directives == Directives::Reverting;
                self.push(Operation::UnregisterCache(UnregisterCache { name: cache, reverts, place }));
            }
            Directive::NoTransaction => {
                self.migration.no_transaction.clone_from(&place);
                let help = "leave it out; run by hand what cannot run in a transaction";
                self.error(
                    Code::UnsupportedDirective,
                    text.place(at),
                    "`no transaction` is not supported yet",
                    help,
                );
            }
            Directive::Down => {
                self.flush(Some(text));
                self.down = Some(text.line(at));
                self.migration.down = Some(Vec::new());
            }
        }
    }
}

mod pairs;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod windows_tests;
