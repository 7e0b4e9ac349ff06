//! Connections and transactions of an application on Tokio, for the registry.

use super::link::collected;
use super::registry_answer;
use crate::engine::{AsyncExecutor, Row, sealed};
use crate::error::Result;

macro_rules! executors {
    ($($executor:ty),*) => {$(
        impl AsyncExecutor for $executor {}

        impl sealed::AsyncExecutor for $executor {
            async fn rows(&self, sql: &str) -> Result<Vec<Row>> {
                registry_answer(collected(self.simple_query(sql).await, true))
            }
        }
    )*};
}

executors!(tokio_postgres::Client, tokio_postgres::Transaction<'_>);
