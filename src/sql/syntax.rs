//! How an engine's SQL differs from another's where text is cut into statements
//! and names.

/// The differences, as facts.
#[derive(Clone, Copy, Debug)]
pub struct Syntax {
    /// The tokenizer's dialect.
    #[cfg(feature = "_sql")]
    pub tokenizer: fn() -> &'static dyn sqlparser::dialect::Dialect,
    /// `E'…'`, `U&'…'` and `$tag$…$tag$` are strings.
    pub escaped_strings: bool,
    /// `` `a` `` and `[a]` are names.
    pub foreign_quotes: bool,
    /// Block comments nest, and one without an end is an error.
    pub nested_comments: bool,
    /// Semicolons inside a statement.
    pub semicolons: Semicolons,
    /// Lines that only the engine's shell understands.
    pub shell: Shell,
    /// `A` and `a` are the same name even in quotes.
    pub folds_quoted_names: bool,
    /// The schema that a name without one means.
    pub default_schema: Option<&'static str>,
    /// `SET standard_conforming_strings` changes what a backslash means.
    pub backslash_setting: bool,
}

/// Which semicolons do not end a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Semicolons {
    /// Those in parentheses and in `BEGIN ATOMIC … END`, as psql tells them.
    ParenthesesAndBlocks,
    /// Those in a trigger's body, as `sqlite3_complete` tells them.
    Triggers,
}

/// What a command of the engine's shell starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// A backslash, which SQL has no use for outside of quotes.
    Backslash,
    /// A full stop where a statement would start.
    FullStop,
}
