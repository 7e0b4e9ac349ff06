//! The operation "a sea-query schema statement".

use sea_query::{
    ForeignKeyCreateStatement, ForeignKeyDropStatement, ForeignKeyStatement, IndexCreateStatement,
    IndexDropStatement, IndexStatement, SchemaStatement, Table, TableAlterStatement, TableCreateStatement,
    TableDropStatement, TableRenameStatement, TableStatement, TableTruncateStatement,
};

use super::sql::summary;
use crate::engine::Engine;

/// A sea-query statement that changes the schema. Made from sea-query's own
/// types with `into()`; [`Migration::schema`](crate::Migration::schema) does that.
#[derive(Clone, Debug)]
pub struct Schema(SchemaStatement);

macro_rules! from {
    ($($statement:ident => $outer:ident :: $inner:ident),* $(,)?) => {$(
        impl From<$statement> for Schema {
            fn from(statement: $statement) -> Self {
                Schema(SchemaStatement::$outer($outer::$inner(statement)))
            }
        }
        // sea-query's builders hand out `&mut Self`.
        impl From<&mut $statement> for Schema {
            fn from(statement: &mut $statement) -> Self {
                statement.clone().into()
            }
        }
    )*};
}

from! {
    TableCreateStatement => TableStatement::Create,
    TableAlterStatement => TableStatement::Alter,
    TableDropStatement => TableStatement::Drop,
    TableRenameStatement => TableStatement::Rename,
    TableTruncateStatement => TableStatement::Truncate,
    IndexCreateStatement => IndexStatement::Create,
    IndexDropStatement => IndexStatement::Drop,
    ForeignKeyCreateStatement => ForeignKeyStatement::Create,
    ForeignKeyDropStatement => ForeignKeyStatement::Drop,
}

impl Schema {
    /// The statement in the engine's SQL; `None` where sea-query cannot write
    /// it for this engine (it panics, for instance, on altering a foreign key
    /// in SQLite).
    pub(crate) fn sql(&self, engine: Engine) -> Option<String> {
        std::panic::catch_unwind(|| render(&self.0, engine)).ok()
    }

    /// `CREATE TABLE` is undone by `DROP TABLE`; nothing else that sea-query
    /// can say lets its name be read back.
    pub(crate) fn inverse(&self) -> Option<Schema> {
        match &self.0 {
            SchemaStatement::TableStatement(TableStatement::Create(create)) => {
                let table = create.get_table_name()?.clone();
                Some(Table::drop().table(table).to_owned().into())
            }
            _ => None,
        }
    }

    pub(crate) fn describe(&self, engine: Engine) -> String {
        self.sql(engine).map_or_else(|| "schema statement".to_owned(), |sql| summary(&sql))
    }
}

fn render(statement: &SchemaStatement, engine: Engine) -> String {
    macro_rules! for_engine {
        ($statement:expr) => {
            match engine {
                Engine::Postgres => $statement.to_string(sea_query::PostgresQueryBuilder),
                Engine::Sqlite => $statement.to_string(sea_query::SqliteQueryBuilder),
            }
        };
    }
    match statement {
        SchemaStatement::TableStatement(statement) => match statement {
            TableStatement::Create(s) => for_engine!(s),
            TableStatement::Alter(s) => for_engine!(s),
            TableStatement::Drop(s) => for_engine!(s),
            TableStatement::Rename(s) => for_engine!(s),
            TableStatement::Truncate(s) => for_engine!(s),
        },
        SchemaStatement::IndexStatement(statement) => match statement {
            IndexStatement::Create(s) => for_engine!(s),
            IndexStatement::Drop(s) => for_engine!(s),
            _ => unreachable!("made from a create or a drop"),
        },
        SchemaStatement::ForeignKeyStatement(statement) => match statement {
            ForeignKeyStatement::Create(s) => for_engine!(s),
            ForeignKeyStatement::Drop(s) => for_engine!(s),
            _ => unreachable!("made from a create or a drop"),
        },
    }
}
