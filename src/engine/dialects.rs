//! Maps each engine to its dialect. Only this file names all engines.

pub(crate) use super::postgres::POSTGRES;
pub(crate) use super::sqlite::SQLITE;
use crate::model::Engine;
use crate::sql::Dialect;

/// All engines.
#[cfg(feature = "build")]
pub(crate) const ALL: [Engine; 2] = [Engine::Postgres, Engine::Sqlite];

/// Returns the engine's dialect.
pub(crate) fn of(engine: Engine) -> &'static dyn Dialect {
    match engine {
        Engine::Postgres => POSTGRES,
        Engine::Sqlite => SQLITE,
    }
}
