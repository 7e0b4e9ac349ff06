//! The registry on an application's Tokio connections and transactions.

use super::simple_query::Answer;
use super::{failure, registry_answer};
use crate::engine::postgres::PostgresRegistry;
use crate::engine::registry::Calls;
use crate::engine::{AsyncExecutor, CommitAsync, Row, sealed};
use crate::error::Result;

macro_rules! executors {
    ($($executor:ty: $commits:literal),*) => {$(
        impl AsyncExecutor for $executor {}

        impl sealed::AsyncExecutor for $executor {
            fn calls(&self) -> &'static dyn Calls {
                &PostgresRegistry
            }

            async fn rows(&self, sql: &str) -> Result<Vec<Row>> {
                registry_answer(Answer::of(self.simple_query(sql).await, true))
            }

            fn commits(&self) -> bool {
                $commits
            }
        }
    )*};
}

executors!(tokio_postgres::Client: true, tokio_postgres::Transaction<'_>: false);

impl CommitAsync for tokio_postgres::Transaction<'_> {}

impl sealed::CommitAsync for tokio_postgres::Transaction<'_> {
    async fn commit(self) -> Result<()> {
        tokio_postgres::Transaction::commit(self).await.map_err(|error| failure(&error).into_error())
    }
}
