//! For the tests of who writes migrations: a database of the embedded engine, in
//! memory, and assertions about what the migrations do to it (feature `testing`).
//!
//! ```
//! use bustard::testing::TestDatabase;
//! # use bustard::{App, Migration};
//! # fn forum() -> App {
//! #     let users = Migration::new().sql("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)");
//! #     App::new("forum").migration("V1__users", users.down(Migration::new().sql("DROP TABLE users")))
//! # }
//! # fn bans() -> App {
//! #     let bans = Migration::new().depends_on("forum", 1)
//! #         .sql("CREATE TABLE bans (user_id INTEGER REFERENCES users (id))")
//! #         .register_cache_on("bans", ["bans"]);
//! #     App::new("bans").migration("V1__bans", bans.down(Migration::new().sql("DROP TABLE bans")))
//! # }
//!
//! // #[test]
//! fn migrations_can_be_undone_and_done_again() {
//!     TestDatabase::new([forum(), bans()]).assert_round_trips("bans");
//! }
//!
//! // #[test]
//! fn a_ban_invalidates_the_cache() {
//!     let mut database = TestDatabase::new([forum(), bans()]);
//!     database.migrate();
//!     database.execute("INSERT INTO users VALUES (1, 'Ann')");
//!     database.assert_invalidates("bans", |connection| {
//!         connection.execute("INSERT INTO bans VALUES (1)", []).unwrap();
//!     });
//! }
//! # migrations_can_be_undone_and_done_again();
//! # a_ban_invalidates_the_cache();
//! ```
//!
//! The apps may come from directories (`App::directory("bans",
//! concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"))`), from code, or from the
//! binary. A plugin whose host is not at hand can do with an app in its place that
//! has the host's label and makes the few tables that the plugin needs.

mod assertions;

use std::fmt::Display;

use crate::engine::Executor;
use crate::engine::sqlite::dump;
use crate::error::Result;
use crate::migrator::Migrator;
use crate::model::App;
use crate::plan::Revert;
use crate::report::Report;

/// A database of one test's own, in memory, with the apps whose migrations it is
/// to get. It starts empty, and nothing of it is left when it is dropped.
///
/// Whatever fails panics with the whole error, in the line that called.
#[derive(Debug)]
pub struct TestDatabase {
    apps: Vec<App>,
    connection: rusqlite::Connection,
}

impl TestDatabase {
    /// An empty database, to which no migration has been applied.
    ///
    /// # Panics
    ///
    /// If SQLite has no memory for it.
    #[track_caller]
    pub fn new(apps: impl IntoIterator<Item = App>) -> Self {
        let connection = or_panic("a database in memory", rusqlite::Connection::open_in_memory());
        TestDatabase { apps: apps.into_iter().collect(), connection }
    }

    /// Applies all migrations of all apps that are not applied yet.
    ///
    /// # Panics
    ///
    /// With the error, if [`Migrator::run`](crate::Migrator::run) has one.
    #[track_caller]
    pub fn migrate(&mut self) -> Report {
        or_panic("the migrations failed", self.migrator().run(&mut self.connection))
    }

    /// Applies this migration and what it needs, and no more.
    ///
    /// ```
    /// use bustard::testing::TestDatabase;
    /// use bustard::{App, Migration};
    ///
    /// let app = App::new("main")
    ///     .migration("V1__names", Migration::new().sql("CREATE TABLE names (name TEXT)"))
    ///     .migration("V2__lower_case", Migration::new().sql("UPDATE names SET name = lower(name)"));
    /// let mut database = TestDatabase::new([app]);
    /// database.migrate_to("main", 1);
    /// database.execute("INSERT INTO names VALUES ('Ann'), ('Bob')");
    /// database.migrate();
    /// assert_eq!(database.values("SELECT name FROM names ORDER BY 1"), ["ann", "bob"]);
    /// ```
    ///
    /// # Panics
    ///
    /// With the error, if [`Migrator::run`](crate::Migrator::run) has one.
    #[track_caller]
    pub fn migrate_to(&mut self, app: &str, version: i64) -> Report {
        let migrated = self.migrator().target(app, version).run(&mut self.connection);
        or_panic(format_args!("migrating to {app}:{version} failed"), migrated)
    }

    /// Undoes the app's migrations above this one, with all that needs them; 0
    /// undoes all of the app's.
    ///
    /// # Panics
    ///
    /// With the error, if [`Migrator::revert`](crate::Migrator::revert) has one.
    #[track_caller]
    pub fn revert_to(&mut self, app: &str, version: i64) -> Report {
        let to = Revert::To { app: app.to_owned(), version };
        let reverted = self.migrator().revert(&mut self.connection, &to);
        or_panic(format_args!("reverting to {app}:{version} failed"), reverted)
    }

    /// Runs one or more statements.
    ///
    /// # Panics
    ///
    /// With what the database said, if it refuses one of them.
    #[track_caller]
    pub fn execute(&mut self, sql: &str) {
        or_panic(sql, self.connection.execute_batch(sql));
    }

    /// The first column of each row of a query, as text; NULL is the empty text.
    ///
    /// # Panics
    ///
    /// With what the database said, if it refuses the query.
    #[track_caller]
    pub fn values(&mut self, sql: &str) -> Vec<String> {
        let rows = or_panic(sql, rows(&mut self.connection, sql));
        rows.into_iter().map(|row| row.into_iter().next().flatten().unwrap_or_default()).collect()
    }

    /// The connection, for everything else. It has no transaction open, and should
    /// have none when it is given back.
    pub fn connection(&mut self) -> &mut rusqlite::Connection {
        &mut self.connection
    }

    /// What migrations have made: registered caches, tables with a line for each
    /// column and constraint, indexes, triggers, views. What can be written in two
    /// ways is written in one, so equal schemas are equal text; Bustard's own tables
    /// and the histories are left out.
    ///
    /// ```
    /// use bustard::testing::TestDatabase;
    /// use bustard::{App, Migration};
    ///
    /// let bans = Migration::new()
    ///     .sql("CREATE TABLE \"ban\" (\n  name TEXT  NOT NULL, -- lower case\n  CHECK (name <> ''))")
    ///     .register_cache_on("bans", ["ban"]);
    /// let mut database = TestDatabase::new([App::new("bans").migration("V1__bans", bans)]);
    /// database.migrate();
    /// assert_eq!(
    ///     database.schema(),
    ///     "cache bans of bans on ban\n\
    ///      table ban: name text not null\n\
    ///      table ban: check(name <> '')\n"
    /// );
    /// ```
    ///
    /// # Panics
    ///
    /// If it cannot be read, since a block of the test has locked or broken it.
    #[track_caller]
    pub fn schema(&mut self) -> String {
        self.lines().iter().fold(String::new(), |text, line| text + line + "\n")
    }

    #[track_caller]
    fn lines(&mut self) -> Vec<String> {
        let own: Vec<&str> = self.apps.iter().filter_map(|app| app.history.as_deref()).collect();
        or_panic("the schema cannot be read", dump::lines(&mut self.connection, &own))
    }

    fn migrator(&self) -> Migrator {
        Migrator::new().apps(self.apps.iter().cloned())
    }
}

fn rows(executor: &mut impl Executor, sql: &str) -> Result<Vec<crate::engine::Row>> {
    executor.rows(sql)
}

#[track_caller]
fn or_panic<T, E: Display>(what: impl Display, result: std::result::Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}:\n{error:#}"),
    }
}
