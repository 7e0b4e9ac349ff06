//! The differences between engines that matter for splitting text into statements and
//! names.
//!
//! In: nothing. Out: a `Syntax` for each engine, as constant data.

/// The lexical rules of an engine.
#[derive(Clone, Copy, Debug)]
pub struct Syntax {
    /// The tokenizer's dialect.
    #[cfg(feature = "_sql")]
    pub tokenizer: fn() -> &'static dyn sqlparser::dialect::Dialect,
    /// Whether `E'…'`, `U&'…'` and `$tag$…$tag$` are strings.
    pub escaped_strings: bool,
    /// Whether `` `a` `` and `[a]` are names.
    pub foreign_quotes: bool,
    /// Whether block comments nest. If they do, a block comment without an end is an error.
    pub nested_comments: bool,
    /// The semicolons that do not end a statement.
    pub semicolons: Semicolons,
    /// The start of a command of the engine's shell.
    pub shell: Shell,
    /// Whether `A` and `a` are the same name even in quotes.
    pub folds_quoted_names: bool,
    /// The schema of an unqualified name.
    pub default_schema: Option<&'static str>,
}

/// The rule for semicolons that do not end a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Semicolons {
    /// Semicolons in parentheses and in `BEGIN ATOMIC … END` do not end a statement, as in
    /// psql.
    ParenthesesAndBlocks,
    /// Semicolons in the body of a trigger do not end a statement, as in
    /// `sqlite3_complete`.
    Triggers,
}

/// The start of a command of the engine's shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// A backslash outside quotes, which is not valid SQL.
    Backslash,
    /// A full stop at the start of a statement.
    FullStop,
}
