//! `forum moderate`: changes permissions and bans a few times a second.
//!
//! In: a database. Out: changes, each with the invalidation of a cache.

use std::thread;
use std::time::Duration;

use bustard::CacheBuster;

use crate::database::{Connection, User};
use crate::{Forum, Result};

const PAUSE: Duration = Duration::from_millis(250);

/// A moderator's action on a user.
struct Action {
    name: &'static str,
    done: &'static str,
    sql: &'static str,
    /// The cache of the values derived from the changed table.
    cache: &'static str,
}

const ACTIONS: [Action; 4] = [
    Action {
        name: "promote",
        done: "is a moderator",
        sql: "INSERT INTO memberships (user_id, user_group) VALUES ($1, 'moderators') ON CONFLICT DO NOTHING",
        cache: "permissions",
    },
    Action {
        name: "ban",
        done: "is banned",
        sql: "INSERT INTO bans (kind, pattern) SELECT 'name', name FROM users WHERE id = $1
              ON CONFLICT DO NOTHING",
        cache: "bans",
    },
    Action {
        name: "unban",
        done: "is not banned any more",
        sql: "DELETE FROM bans WHERE kind = 'name' AND pattern = (SELECT name FROM users WHERE id = $1)",
        cache: "bans",
    },
    Action {
        name: "demote",
        done: "is not a moderator any more",
        sql: "DELETE FROM memberships WHERE user_id = $1 AND user_group = 'moderators'",
        cache: "permissions",
    },
];

/// Promotes, bans, pardons and demotes one user after another.
pub fn run(forum: &Forum) -> Result {
    let mut moderator = Moderator::new(forum)?;
    let users = moderator.connection.users()?;
    if users.is_empty() {
        return Err("the forum has no users yet: run `forum serve`".into());
    }
    for user in users.iter().cycle() {
        for action in &ACTIONS {
            moderator.act(action, user)?;
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

pub fn once(forum: &Forum, action: &str, user: &str) -> Result {
    let action = ACTIONS.iter().find(|known| known.name == action).ok_or(crate::USAGE)?;
    let mut moderator = Moderator::new(forum)?;
    let users = moderator.connection.users()?;
    let user = users.iter().find(|known| known.name == user).ok_or("the forum has no such user")?;
    moderator.act(action, user)
}

struct Moderator {
    connection: Connection,
    buster: CacheBuster,
}

impl Moderator {
    fn new(forum: &Forum) -> Result<Self> {
        Ok(Moderator { buster: forum.cache_buster()?, connection: forum.connect()? })
    }

    fn act(&mut self, action: &Action, user: &User) -> Result {
        self.connection.change(action.sql, user.id, &self.buster, action.cache)?;
        println!("{} {}", user.name, action.done);
        Ok(())
    }
}
