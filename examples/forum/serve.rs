//! `forum serve`: answers questions about permissions, if possible from the store, and
//! prints the ratio of hits once a second.
//!
//! In: a database and a store. Out: lines of counts and of changed answers.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use bustard::{CacheBuster, Values};

use crate::database::{Connection, User};
use crate::{Forum, Result};

const USERS: usize = 40;
/// The number of threads that serve requests.
const DESKS: usize = 4;
/// The pause of a desk between two requests.
const PAUSE: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

pub fn run(forum: &Forum, seconds: u64) -> Result {
    forum.migrate()?;
    let buster = forum.cache_buster()?;
    let mut users = forum.connect()?.users()?;
    if users.is_empty() {
        users = seed(forum, &buster)?;
    }

    let counts = Counts::default();
    let closed = AtomicBool::new(false);
    // Each desk serves some of the users, like a server with sticky sessions.
    let share = users.len().div_ceil(DESKS);
    thread::scope(|scope| {
        let desks: Vec<_> = users
            .chunks(share)
            .map(|users| scope.spawn(|| Desk::open(forum, &buster, users, &counts)?.serve(&closed)))
            .collect();
        for second in 1..=seconds {
            thread::sleep(SECOND);
            println!("{}", counts.line(second));
            if desks.iter().any(|desk| desk.is_finished()) {
                break; // The error is reported below.
            }
        }
        closed.store(true, Relaxed);
        desks.into_iter().try_for_each(|desk| desk.join().map_err(|_| "a desk panicked")?)
    })
}

/// Creates the users of the example, all of them members.
fn seed(forum: &Forum, buster: &CacheBuster) -> Result<Vec<User>> {
    let mut sql = String::from("INSERT INTO users (name, email, password_hash) VALUES ");
    for n in 1..=USERS {
        let comma = if n == 1 { "" } else { ", " };
        write!(sql, "{comma}('user{n}', 'user{n}@example.org', '')")?;
    }
    // Another server that starts at the same time may create the same users, so a conflict
    // is not an error.
    let mut connection = forum.connect()?;
    connection.execute(&format!("{sql} ON CONFLICT DO NOTHING"))?;
    let members = "INSERT INTO memberships (user_id, user_group)
        SELECT id, 'members' FROM users WHERE id > $1 ON CONFLICT DO NOTHING";
    connection.change(members, 0, buster, "permissions")?;
    connection.users()
}

/// One thread of the server, with the sessions of its users.
struct Desk<'a> {
    connection: Connection,
    buster: &'a CacheBuster,
    permissions: Values<BTreeSet<String>>,
    sessions: Vec<Session>,
    counts: &'a Counts,
}

/// The session of a user, which a web application stores in a cookie or a table.
struct Session {
    user: User,
    banned: bool,
    /// The version of the cache `bans` at the time of the lookup. 0 is never valid.
    version: i64,
    /// The last answer, to print a line when it changes.
    may_close: Option<bool>,
}

impl<'a> Desk<'a> {
    fn open(forum: &Forum, buster: &'a CacheBuster, users: &[User], counts: &'a Counts) -> Result<Self> {
        let session =
            |user: &User| Session { user: user.clone(), banned: false, version: 0, may_close: None };
        Ok(Desk {
            connection: forum.connect()?,
            buster,
            // Increment the number when the type of the values changes. During a deploy, the
            // old release still runs, and must not read values of the new type.
            permissions: buster.cache("permissions")?.values("forum", 1)?.shared(),
            sessions: users.iter().map(session).collect(),
            counts,
        })
    }

    fn serve(mut self, closed: &AtomicBool) -> Result {
        let mut sessions = std::mem::take(&mut self.sessions);
        while !closed.load(Relaxed) {
            for session in &mut sessions {
                self.answer(session)?;
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    fn answer(&mut self, session: &mut Session) -> Result {
        self.check_ban(session)?;
        let may_close = self.may(&session.user, "close thread")?;
        let before = session.may_close.replace(may_close);
        if before.is_some_and(|before| before != may_close) {
            let may = if may_close { "may close threads now" } else { "may not close threads any more" };
            println!("{} {may}", session.user.name);
        }
        Ok(())
    }

    /// Returns whether the user has a permission. Queries the database on a miss.
    fn may(&mut self, user: &User, permission: &str) -> Result<bool> {
        self.counts.look_ups.fetch_add(1, Relaxed);
        let permissions = self.permissions.get_or_try_insert_with(&user.id.to_string(), || {
            self.counts.loads.fetch_add(1, Relaxed);
            self.connection.permissions(user.id)
        })?;
        Ok(permissions.contains(permission))
    }

    /// Updates the session's `banned` if its version is not valid any more.
    fn check_ban(&mut self, session: &mut Session) -> Result {
        if self.buster.is_valid("bans", session.version)? {
            return Ok(());
        }
        // The ban was checked before the cache was invalidated, so check it again. The
        // version must be read before the data.
        let before = (session.version, session.banned);
        session.version = self.buster.version("bans").map_or(0, i64::from);
        session.banned = self.connection.is_banned(session.user.id)?;
        self.counts.checks.fetch_add(1, Relaxed);
        if before.0 != 0 && before.1 != session.banned {
            let now = if session.banned { "is banned" } else { "is not banned any more" };
            let why = "the ban of the session was checked before the invalidation, so it was checked again";
            println!("{} {now} ({why})", session.user.name);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Counts {
    look_ups: AtomicU64,
    loads: AtomicU64,
    checks: AtomicU64,
}

impl Counts {
    /// Formats the counts since the last line, and resets them.
    fn line(&self, second: u64) -> String {
        let [look_ups, loads, checks] =
            [&self.look_ups, &self.loads, &self.checks].map(|n| n.swap(0, Relaxed));
        let hits = 100.0 * look_ups.saturating_sub(loads) as f64 / look_ups.max(1) as f64;
        format!(
            "{second:>4} s: {look_ups} look-ups, {hits:.1} % hits, {loads} loads from the database; \
             {checks} sessions checked"
        )
    }
}
