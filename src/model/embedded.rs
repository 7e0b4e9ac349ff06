//! Migration files in the binary, as the code that `app!` writes lists them.

use super::Migration;

/// A migration file in the binary.
#[derive(Clone, Copy, Debug)]
pub enum File {
    /// The text of an SQL file.
    Sql(&'static str),
    /// A module's function `migration`.
    Rust(fn() -> Built),
}

/// What a function `migration` returned.
#[derive(Clone, Debug)]
pub enum Built {
    /// What an SQL file could contain.
    Text(String),
    /// Operations.
    Migration(Migration),
}

/// What a function `migration` may return.
#[diagnostic::on_unimplemented(
    message = "`migration()` returns `{Self}`, which is no migration",
    label = "it must return `String` or `bustard::Migration`"
)]
pub trait Builds {
    /// Either form.
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
