//! A transaction of sea-orm that invalidates a cache.

use sea_orm::{ConnectionTrait, Database, DbBackend, DbErr, RuntimeErr, Statement, TransactionTrait};

use crate::{Result, Seen};

pub async fn ban(url: &str, commit: bool) -> Result<Seen> {
    let connection = Database::connect(url).await?;
    let transaction = connection.begin().await?;
    let before = version(&transaction).await?;
    transaction.execute_unprepared("INSERT INTO ban VALUES ('sea-orm')").await?;
    transaction.execute_raw(call("SELECT bustard.invalidate($1)")).await?;
    let after = version(&transaction).await?;
    if commit {
        transaction.commit().await?
    } else {
        transaction.rollback().await?
    }

    let unknown = match connection.execute_unprepared("SELECT bustard.invalidate('bnas')").await {
        Err(DbErr::Exec(RuntimeErr::SqlxError(error))) => error.to_string(),
        other => return Err(format!("no error of the database: {other:?}").into()),
    };
    connection.close().await?;
    Ok(Seen { before, after, unknown })
}

async fn version(connection: &impl ConnectionTrait) -> Result<i64> {
    let row = connection.query_one_raw(call("SELECT bustard.get_version($1)")).await?;
    Ok(row.ok_or("no row")?.try_get_by_index(0)?)
}

fn call(sql: &str) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, ["bans".into()])
}
