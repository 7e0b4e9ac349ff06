//! Which engine speaks which dialect: the one place that knows all of them.

pub(crate) use super::postgres::POSTGRES;
pub(crate) use super::sqlite::SQLITE;
use crate::model::Engine;
use crate::sql::Dialect;

/// All engines.
pub(crate) const ALL: [Engine; 2] = [Engine::Postgres, Engine::Sqlite];

/// The engine's SQL.
pub(crate) fn of(engine: Engine) -> &'static dyn Dialect {
    match engine {
        Engine::Postgres => POSTGRES,
        Engine::Sqlite => SQLITE,
    }
}
