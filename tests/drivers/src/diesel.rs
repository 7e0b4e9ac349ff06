//! A transaction of diesel that invalidates a cache.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Text};

use crate::{Result, Seen};

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = BigInt)]
    version: i64,
}

pub fn ban(url: &str, commit: bool) -> Result<Seen> {
    let mut connection = PgConnection::establish(url)?;
    let mut seen = (0, 0);
    let ended = connection.transaction(|connection| {
        let before = version(connection)?;
        connection.batch_execute("INSERT INTO ban VALUES ('diesel')")?;
        diesel::sql_query("SELECT bustard.invalidate($1)").bind::<Text, _>("bans").execute(connection)?;
        seen = (before, version(connection)?);
        if commit { Ok(()) } else { Err(Error::RollbackTransaction) }
    });
    match ended {
        Err(Error::RollbackTransaction) if !commit => {}
        ended => ended?,
    }

    let unknown = match connection.batch_execute("SELECT bustard.invalidate('bnas')") {
        Err(Error::DatabaseError(_, said)) => said.message().to_owned(),
        other => return Err(format!("no error of the database: {other:?}").into()),
    };
    Ok(Seen { before: seen.0, after: seen.1, unknown })
}

fn version(connection: &mut PgConnection) -> QueryResult<i64> {
    let version = diesel::sql_query("SELECT bustard.get_version($1) AS version").bind::<Text, _>("bans");
    version.get_result(connection).map(|row: Version| row.version)
}
