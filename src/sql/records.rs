//! The port for the SQL text of records. Records are the rows about apps and repeatable
//! migrations that the database has in addition to their histories.
//!
//! In: names and values. Out: SQL text.

use std::fmt;

use sea_query::SimpleExpr;

/// An engine's SQL on the records.
pub trait RecordsSql: fmt::Debug + Sync {
    /// Returns a row of eight columns for each app, the first of which is `app`; a row
    /// `guest` if the current role may not change the records; a row `incomplete` if some of
    /// Bustard's own tables or rows are missing; and a row `copy` if the database is a copy,
    /// whose second column says whether the current role may give it a new identity.
    fn apps(&self) -> &'static str;

    /// Returns a row of eight columns for each installation of a repeatable migration. The
    /// installations of Bustard's own functions and views are compared with the catalogue.
    /// On an engine with roles, a row `owner` or `read only` says which rights the current
    /// role lacks.
    fn repeatables(&self) -> String;

    /// Returns the definition that the catalogue has for one of Bustard's own functions or
    /// views.
    fn definition(&self, name: &str) -> SimpleExpr;

    /// Gives the database a new identity, and records where it is now.
    fn new_identity(&self) -> &'static str;

    /// Returns an expression that is true for the current installation.
    fn is_current(&self) -> SimpleExpr;

    /// Returns a value for the column of [`is_current`](Self::is_current).
    fn boolean(&self, value: bool) -> SimpleExpr;

    /// Returns the time of the transaction.
    fn now(&self) -> SimpleExpr;

    /// Creates the schema of Bustard's own objects unless it exists, without rights from
    /// default privileges. `None` on an engine without schemas.
    fn create_schema(&self) -> Option<&'static str>;

    /// Revokes the rights to change a new history that default privileges have given.
    /// `None` on an engine without roles.
    fn revoke_defaults(&self, table: &str) -> Option<String>;

    /// Makes the owner of the registry's tables the owner of all objects in its schema.
    /// Otherwise a function that another role has created would run with that role's
    /// rights. Returns `None` on an engine without roles.
    fn settle_owner(&self) -> Option<&'static str>;
}
