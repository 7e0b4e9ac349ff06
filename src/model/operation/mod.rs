//! The operations of a migration, each in a file of its own.
//!
//! In: the contents of a migration. Out: for each operation its description in a plan and
//! the operation that reverts it. An [`Operation`] is data; `run` executes it.

mod change_cache;
mod function;
mod register_cache;
mod schema;
mod sql;
mod statement;
#[cfg(feature = "_sql")]
mod stored;
#[cfg(feature = "_sql")]
mod stored_rows;
mod unregister_cache;
#[cfg(not(feature = "_sql"))]
mod unstored;

pub(crate) use change_cache::ChangeCache;
pub(crate) use function::Function;
pub(crate) use register_cache::RegisterCache;
pub use schema::Schema;
pub(crate) use sql::Sql;
pub(crate) use statement::{Form, Statement};
#[cfg(feature = "_sql")]
pub(crate) use stored::StoredSql;
#[cfg(feature = "_sql")]
pub(crate) use stored_rows::StoredRows;
pub(crate) use unregister_cache::UnregisterCache;
#[cfg(not(feature = "_sql"))]
pub(crate) use unstored::{StoredRows, StoredSql};

use crate::diagnostic::Place;
use crate::sql::Dialect;

/// One operation of a migration.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Sql(Sql),
    Schema(Schema),
    RegisterCache(RegisterCache),
    ChangeCache(ChangeCache),
    UnregisterCache(UnregisterCache),
    Function(Function),
}

/// An operation on a cache.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CacheOperation<'o> {
    Register(&'o RegisterCache),
    Change(&'o ChangeCache),
    Unregister(&'o UnregisterCache),
}

impl<'o> CacheOperation<'o> {
    /// Returns the name of the cache.
    pub(crate) fn name(self) -> &'o str {
        match self {
            CacheOperation::Register(register) => &register.name,
            CacheOperation::Change(change) => &change.name,
            CacheOperation::Unregister(unregister) => &unregister.name,
        }
    }
}

impl Operation {
    /// Returns the operation that reverts this one; `None` if only the author of the
    /// migration can write it.
    pub(crate) fn revert(&self) -> Option<Operation> {
        match self {
            Operation::Schema(schema) => schema.revert().map(Operation::Schema),
            Operation::RegisterCache(RegisterCache { name, place, .. }) => {
                let (name, place) = (name.clone(), place.clone());
                Some(Operation::UnregisterCache(UnregisterCache { name, reverts: true, place }))
            }
            Operation::ChangeCache(ChangeCache { reverts: true, .. }) => None,
            Operation::ChangeCache(ChangeCache { name, place, .. }) => {
                let (name, place) = (name.clone(), place.clone());
                let back = ChangeCache { name, tables: Vec::new(), reverts: true, place };
                Some(Operation::ChangeCache(back))
            }
            Operation::UnregisterCache(UnregisterCache { name, place, .. }) => {
                let (name, place) = (name.clone(), place.clone());
                let register = RegisterCache { name, tables: Vec::new(), keeps_owner: true, place };
                Some(Operation::RegisterCache(register))
            }
            Operation::Sql(_) | Operation::Function(_) => None,
        }
    }

    /// Returns the cache operation, if the operation registers, changes or unregisters a cache.
    pub(crate) fn cache(&self) -> Option<CacheOperation<'_>> {
        match self {
            Operation::RegisterCache(register) => Some(CacheOperation::Register(register)),
            Operation::ChangeCache(change) => Some(CacheOperation::Change(change)),
            Operation::UnregisterCache(unregister) => Some(CacheOperation::Unregister(unregister)),
            Operation::Sql(_) | Operation::Schema(_) | Operation::Function(_) => None,
        }
    }

    /// Returns the function, if the operation calls one.
    pub(crate) fn function(&self) -> Option<&Function> {
        match self {
            Operation::Function(function) => Some(function),
            Operation::Sql(_)
            | Operation::Schema(_)
            | Operation::RegisterCache(_)
            | Operation::ChangeCache(_)
            | Operation::UnregisterCache(_) => None,
        }
    }

    /// Returns whether the operation is SQL text.
    pub(crate) fn is_sql(&self) -> bool {
        match self {
            Operation::Sql(_) => true,
            Operation::Schema(_)
            | Operation::RegisterCache(_)
            | Operation::ChangeCache(_)
            | Operation::UnregisterCache(_)
            | Operation::Function(_) => false,
        }
    }

    /// Returns the statements of the operation in memory, if it is SQL text.
    pub(crate) fn statements(&self) -> &[Statement] {
        match self {
            Operation::Sql(sql) => sql.statements(),
            Operation::Schema(_)
            | Operation::RegisterCache(_)
            | Operation::ChangeCache(_)
            | Operation::UnregisterCache(_)
            | Operation::Function(_) => &[],
        }
    }

    /// Returns the operation marked as the revert of another operation. The unregistration
    /// of a cache then restores the state from before its registration.
    pub(crate) fn reverting(self) -> Operation {
        match self {
            Operation::UnregisterCache(off) => {
                Operation::UnregisterCache(UnregisterCache { reverts: true, ..off })
            }
            same @ (Operation::Sql(_)
            | Operation::Schema(_)
            | Operation::RegisterCache(_)
            | Operation::ChangeCache(_)
            | Operation::Function(_)) => same,
        }
    }

    /// Describes the operation in one line, for plans and logs.
    pub(crate) fn describe(&self, dialect: &'static dyn Dialect) -> String {
        match self {
            Operation::Sql(sql) => sql.describe(),
            Operation::Schema(schema) => schema.describe(dialect),
            Operation::RegisterCache(register) => register.describe(),
            Operation::ChangeCache(change) => change.describe(),
            Operation::UnregisterCache(unregister) => format!("unregister cache {}", unregister.name),
            Operation::Function(function) => format!("run function {}", function.label()),
        }
    }

    /// Returns the place of the operation, if it comes from a file.
    pub(crate) fn place(&self) -> Option<&Place> {
        match self {
            Operation::Sql(sql) => sql.place(),
            Operation::RegisterCache(register) => register.place.as_ref(),
            Operation::ChangeCache(change) => change.place.as_ref(),
            Operation::UnregisterCache(unregister) => unregister.place.as_ref(),
            Operation::Schema(_) | Operation::Function(_) => None,
        }
    }
}
