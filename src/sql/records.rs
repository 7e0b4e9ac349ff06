//! The port for text, as far as records go: what the database remembers of apps and of
//! repeatable migrations beside their histories.

use std::fmt;

use sea_query::SimpleExpr;

/// An engine's SQL on the records.
pub trait RecordsSql: fmt::Debug + Sync {
    /// A row of eight columns for each app, `app` first, and a row `guest` where this
    /// role may not change them.
    fn apps(&self) -> &'static str;

    /// The same for each installation of a repeatable migration, those of Bustard's own
    /// compared with the catalogue; and, where the engine has roles, a row `owner` or
    /// `read only` for what this one may not do.
    fn repeatables(&self) -> String;

    /// What the catalogue has under this name among Bustard's own functions and views.
    fn definition(&self, name: &str) -> SimpleExpr;

    /// Whether a row is the current installation.
    fn is_current(&self) -> SimpleExpr;

    /// A value for the column that says so.
    fn boolean(&self, value: bool) -> SimpleExpr;

    /// The time of the transaction.
    fn now(&self) -> SimpleExpr;

    /// Makes the owner of the registry's tables the owner of all that is in its schema: a
    /// function that another role has created runs with that role's rights otherwise.
    /// `None` on an engine without roles.
    fn settle_owner(&self) -> Option<&'static str>;
}
