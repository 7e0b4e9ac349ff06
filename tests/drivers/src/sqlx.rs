//! A transaction of sqlx that invalidates a cache.

use sqlx::{Connection, PgConnection};

use crate::{Result, Seen};

pub async fn ban(url: &str, commit: bool) -> Result<Seen> {
    let mut connection = PgConnection::connect(url).await?;
    let mut transaction = connection.begin().await?;
    let before = version(&mut transaction).await?;
    sqlx::query("INSERT INTO ban VALUES ('sqlx')").execute(&mut *transaction).await?;
    sqlx::query("SELECT bustard.invalidate($1)").bind("bans").execute(&mut *transaction).await?;
    let after = version(&mut transaction).await?;
    if commit {
        transaction.commit().await?
    } else {
        transaction.rollback().await?
    }

    let unknown = match sqlx::query("SELECT bustard.invalidate('bnas')").execute(&mut connection).await {
        Err(sqlx::Error::Database(error)) => error.message().to_owned(),
        other => return Err(format!("no error of the database: {other:?}").into()),
    };
    Ok(Seen { before, after, unknown })
}

async fn version(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT bustard.get_version($1)").bind("bans").fetch_one(connection).await
}
