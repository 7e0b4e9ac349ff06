//! The operations of a migration, each in a file of its own.
//!
//! In: the contents of a migration. Out: for each operation its description in a plan and
//! the operation that reverts it. An [`Operation`] is data; `run` executes it.

mod function;
mod register_cache;
mod schema;
mod sql;
mod unregister_cache;

pub(crate) use function::Function;
pub(crate) use register_cache::RegisterCache;
pub use schema::Schema;
pub(crate) use sql::{Form, Sql, Statement};
pub(crate) use unregister_cache::UnregisterCache;

use crate::diagnostic::Place;
use crate::sql::Dialect;

/// One operation of a migration.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Sql(Sql),
    Schema(Schema),
    RegisterCache(RegisterCache),
    UnregisterCache(UnregisterCache),
    Function(Function),
}

impl Operation {
    /// Returns the operation that reverts this one; `None` if only the author of the
    /// migration knows it.
    pub(crate) fn revert(&self) -> Option<Operation> {
        match self {
            Operation::Schema(schema) => schema.revert().map(Operation::Schema),
            Operation::RegisterCache(register) => Some(Operation::UnregisterCache(register.revert())),
            Operation::UnregisterCache(unregister) => Some(Operation::RegisterCache(unregister.revert())),
            Operation::Sql(_) | Operation::Function(_) => None,
        }
    }

    /// Describes the operation in one line, for plans and logs.
    pub(crate) fn describe(&self, dialect: &'static dyn Dialect) -> String {
        match self {
            Operation::Sql(sql) => sql.describe(),
            Operation::Schema(schema) => schema.describe(dialect),
            Operation::RegisterCache(register) => register.describe(),
            Operation::UnregisterCache(unregister) => format!("unregister cache {}", unregister.name),
            Operation::Function(function) => format!("run function {}", function.label()),
        }
    }

    /// Returns the place of the operation, if it comes from a file.
    pub(crate) fn place(&self) -> Option<&Place> {
        match self {
            Operation::Sql(sql) => sql.statements().first().and_then(|first| first.place.as_ref()),
            Operation::RegisterCache(register) => register.place.as_ref(),
            Operation::UnregisterCache(unregister) => unregister.place.as_ref(),
            Operation::Schema(_) | Operation::Function(_) => None,
        }
    }
}
