//! Migration files in the binary.
//!
//! In: the list that the generated code of `app!` contains. Out: the text or the
//! migration of each file.

use super::Migration;

/// A migration file in the binary.
#[derive(Clone, Copy, Debug)]
pub enum File {
    /// The text of an SQL file.
    Sql(&'static str),
    /// The function `migration` of a module.
    Rust(fn() -> Built),
}

/// The result of a function `migration`.
#[derive(Clone, Debug)]
pub enum Built {
    /// Text in the format of an SQL file.
    Text(String),
    /// A migration built in code.
    Migration(Migration),
}

/// A type that a function `migration` may return.
#[diagnostic::on_unimplemented(
    message = "`migration()` returns `{Self}`, which is not a migration",
    label = "it must return `String` or `bustard::Migration`"
)]
pub trait Builds {
    /// Converts the value.
    fn build(self) -> Built;
}

impl Builds for String {
    fn build(self) -> Built {
        Built::Text(self)
    }
}

impl Builds for Migration {
    fn build(self) -> Built {
        Built::Migration(self)
    }
}
