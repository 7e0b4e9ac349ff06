//! The migrations of the service. The first migration belongs to the first release, the
//! second migration to the second release.
//!
//! In: nothing. Out: an `App`.

use bustard::{App, Migration};

pub fn migrations() -> App {
    App::new("permissions")
        .migration("V1__permissions", permissions())
        .migration("V2__first_moderators", first_moderators())
}

fn permissions() -> Migration {
    Migration::new()
        .sql(
            "CREATE TABLE permission (
                 user_name text NOT NULL,
                 permission text NOT NULL,
                 PRIMARY KEY (user_name, permission)
             )",
        )
        .register_cache("permissions")
        .down(Migration::new().sql("DROP TABLE permission"))
}

/// Inserts data that SQL alone cannot compute, in the transaction of the migration.
fn first_moderators() -> Migration {
    Migration::new().run("the first moderators", |transaction| {
        let client = transaction.postgres().ok_or("the service requires PostgreSQL")?;
        let insert = client.prepare("INSERT INTO permission VALUES ($1, $2)")?;
        for user in ["ann", "bob"] {
            for permission in ["edit-posts", "ban-users"] {
                client.execute(&insert, &[&user, &permission])?;
            }
        }
        Ok(())
    })
}
