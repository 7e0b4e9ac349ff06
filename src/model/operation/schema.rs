//! The operation "a sea-query schema statement".

use sea_query::{
    ForeignKey, ForeignKeyCreateStatement, ForeignKeyDropStatement, Index, IndexCreateStatement,
    IndexDropStatement, Table, TableAlterStatement, TableCreateStatement, TableDropStatement,
    TableRenameStatement, TableTruncateStatement,
};

use super::sql::summary;
use crate::model::Engine;

/// A sea-query statement that changes the schema. Made from sea-query's own
/// types with `into()`; [`Migration::schema`](crate::Migration::schema) does that.
#[derive(Clone, Debug)]
pub struct Schema(Kind);

macro_rules! kinds {
    ($($kind:ident($statement:ident)),* $(,)?) => {
        #[derive(Clone, Debug)]
        enum Kind {
            $($kind(Box<$statement>),)*
        }

        $(
            impl From<$statement> for Schema {
                fn from(statement: $statement) -> Self {
                    Schema(Kind::$kind(Box::new(statement)))
                }
            }
            // sea-query's builders hand out `&mut Self`.
            impl From<&mut $statement> for Schema {
                fn from(statement: &mut $statement) -> Self {
                    statement.clone().into()
                }
            }
        )*

        fn render(kind: &Kind, engine: Engine) -> String {
            match (kind, engine) {
                $(
                    (Kind::$kind(s), Engine::Postgres) => s.to_string(sea_query::PostgresQueryBuilder),
                    (Kind::$kind(s), Engine::Sqlite) => s.to_string(sea_query::SqliteQueryBuilder),
                )*
            }
        }
    };
}

kinds! {
    TableCreate(TableCreateStatement),
    TableAlter(TableAlterStatement),
    TableDrop(TableDropStatement),
    TableRename(TableRenameStatement),
    TableTruncate(TableTruncateStatement),
    IndexCreate(IndexCreateStatement),
    IndexDrop(IndexDropStatement),
    ForeignKeyCreate(ForeignKeyCreateStatement),
    ForeignKeyDrop(ForeignKeyDropStatement),
}

impl Schema {
    /// The statement in the engine's SQL; `None` where sea-query cannot write
    /// it for this engine: SQLite has no TRUNCATE and cannot alter foreign keys,
    /// and on several alterations at once sea-query panics.
    pub(crate) fn sql(&self, engine: Engine) -> Option<String> {
        let absent =
            matches!(self.0, Kind::TableTruncate(_) | Kind::ForeignKeyCreate(_) | Kind::ForeignKeyDrop(_));
        if engine == Engine::Sqlite && absent {
            return None;
        }
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| render(&self.0, engine))).ok()
    }

    /// A `CREATE` is undone by dropping what it made, if that has a name.
    pub(crate) fn inverse(&self) -> Option<Schema> {
        match &self.0 {
            Kind::TableCreate(create) => {
                let table = create.get_table_name()?.clone();
                Some(Table::drop().table(table).to_owned().into())
            }
            Kind::IndexCreate(create) => {
                let name = create.get_index_spec().get_name()?;
                Some(Index::drop().name(name).to_owned().into())
            }
            Kind::ForeignKeyCreate(create) => {
                let key = create.get_foreign_key();
                let (name, table) = (key.get_name()?, key.get_table()?.clone());
                Some(ForeignKey::drop().name(name).table(table).to_owned().into())
            }
            _ => None,
        }
    }

    pub(crate) fn describe(&self, engine: Engine) -> String {
        self.sql(engine).map_or_else(|| "schema statement".to_owned(), |sql| summary(&sql))
    }
}
