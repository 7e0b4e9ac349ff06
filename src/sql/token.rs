//! The tokens of SQL text.
//!
//! In: nothing. Out: plain data.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// White space and block comments.
    Blank,
    LineComment,
    /// A keyword or an identifier without quotes.
    Word,
    Semicolon,
    Open,
    Close,
    Period,
    Backslash,
    /// The rows after `COPY … FROM stdin;`, with the line that ends them.
    Rows,
    /// Quoted identifiers, strings, numbers, operators.
    Other,
}
