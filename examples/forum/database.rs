//! The forum's own queries, for both engines. An application with one engine uses its
//! driver directly and does not need such a module.
//!
//! In: SQL and parameters. Out: rows.

use std::collections::BTreeSet;

use bustard::CacheBuster;
use postgres::NoTls;
use rusqlite::TransactionBehavior::Immediate;

use crate::Result;

const USERS: &str = "SELECT id, name FROM users WHERE id > $1 ORDER BY id";

const PERMISSIONS: &str = "
    SELECT m.user_id, p.permission
    FROM memberships AS m JOIN permissions AS p ON p.user_group = m.user_group
    WHERE m.user_id = $1 AND p.category = ''";

const BANS: &str = "
    SELECT u.id, b.pattern
    FROM users AS u JOIN bans AS b ON b.kind = 'name' AND b.pattern = u.name
    WHERE u.id = $1";

#[derive(Clone)]
pub struct User {
    pub id: i64,
    pub name: String,
}

pub enum Connection {
    Postgres(postgres::Client),
    Sqlite(rusqlite::Connection),
}

impl Connection {
    pub fn open(url: &str) -> Result<Self> {
        Ok(match url.strip_prefix("sqlite:") {
            Some(path) => Connection::Sqlite(rusqlite::Connection::open(path)?),
            None => Connection::Postgres(postgres::Client::connect(url, NoTls)?),
        })
    }

    pub fn users(&mut self) -> Result<Vec<User>> {
        Ok(self.query(USERS, 0)?.into_iter().map(|(id, name)| User { id, name }).collect())
    }

    /// Returns the permissions of a user in the whole forum.
    pub fn permissions(&mut self, user: i64) -> Result<BTreeSet<String>> {
        Ok(self.query(PERMISSIONS, user)?.into_iter().map(|(_, permission)| permission).collect())
    }

    pub fn is_banned(&mut self, user: i64) -> Result<bool> {
        Ok(!self.query(BANS, user)?.is_empty())
    }

    /// Changes a user and invalidates the cache of the derived values. Both commit together.
    pub fn change(&mut self, sql: &str, user: i64, buster: &CacheBuster, cache: &str) -> Result {
        match self {
            Connection::Postgres(client) => {
                let mut transaction = client.transaction()?;
                transaction.execute(sql, &[&user])?;
                buster.invalidate(&mut transaction, &[cache])?;
                buster.commit(transaction)?;
            }
            Connection::Sqlite(connection) => {
                let mut transaction = connection.transaction_with_behavior(Immediate)?;
                transaction.execute(sql, [user])?;
                buster.invalidate(&mut transaction, &[cache])?;
                buster.commit(transaction)?;
            }
        }
        Ok(())
    }

    pub fn execute(&mut self, sql: &str) -> Result {
        match self {
            Connection::Postgres(client) => client.batch_execute(sql)?,
            Connection::Sqlite(connection) => connection.execute_batch(sql)?,
        }
        Ok(())
    }

    fn query(&mut self, sql: &str, user: i64) -> Result<Vec<(i64, String)>> {
        Ok(match self {
            Connection::Postgres(client) => {
                let rows = client.query(sql, &[&user])?;
                rows.iter().map(|row| (row.get(0), row.get(1))).collect()
            }
            Connection::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let rows = statement.query_map([user], |row| Ok((row.get(0)?, row.get(1)?)))?;
                rows.collect::<std::result::Result<_, _>>()?
            }
        })
    }
}
