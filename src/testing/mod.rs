//! Support for tests of migrations: an SQLite database in memory, and assertions about
//! the effects of migrations. Support for tests of code that caches values: a
//! [`CacheBuster`](crate::CacheBuster) without a database, by [`buster()`]. Requires the
//! feature `testing`.
//!
//! In: apps, or names of caches. Out: a database, and panics of assertions that fail.
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
//! fn migrations_can_be_reverted_and_applied_again() {
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
//! # migrations_can_be_reverted_and_applied_again();
//! # a_ban_invalidates_the_cache();
//! ```
//!
//! The apps may come from directories (`App::directory("bans",
//! concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"))`), from code, or from the
//! binary. To test a plugin without its host application, add an app that has the
//! host's label and creates the tables that the plugin depends on.

mod assertions;
mod test_buster;

use std::fmt::Display;

pub use self::test_buster::{TestBuster, buster, buster_with};
use crate::engine::Executor;
use crate::engine::sqlite::driver::add_math;
use crate::engine::sqlite::dump;
use crate::error::Result;
use crate::migrator::Migrator;
use crate::model::App;
use crate::plan::Revert;
use crate::report::Report;

/// A database in memory for one test, with the apps whose migrations the test applies.
/// It starts empty and is deleted when it is dropped.
///
/// Every failure panics with the full error report, at the caller's line.
#[derive(Debug)]
pub struct TestDatabase {
    apps: Vec<App>,
    connection: rusqlite::Connection,
}

impl TestDatabase {
    /// Creates an empty database. No migration is applied.
    ///
    /// # Panics
    ///
    /// Panics if SQLite cannot allocate the database.
    #[track_caller]
    pub fn new(apps: impl IntoIterator<Item = App>) -> Self {
        let connection = or_panic("a database in memory", rusqlite::Connection::open_in_memory());
        or_panic("the math functions", add_math(&connection));
        TestDatabase { apps: apps.into_iter().collect(), connection }
    }

    /// Applies all pending migrations of all apps.
    ///
    /// # Panics
    ///
    /// Panics if [`Migrator::run`](crate::Migrator::run) returns an error.
    #[track_caller]
    pub fn migrate(&mut self) -> Report {
        or_panic("the migrations failed", self.migrator().run(&mut self.connection))
    }

    /// Applies this migration and its dependencies, and no other migrations.
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
    /// Panics if [`Migrator::run`](crate::Migrator::run) returns an error.
    #[track_caller]
    pub fn migrate_to(&mut self, app: &str, version: i64) -> Report {
        let migrated = self.migrator().target(app, version).run(&mut self.connection);
        or_panic(format_args!("migrating to {app}:{version} failed"), migrated)
    }

    /// Reverts the app's migrations above this version, and all migrations that depend on
    /// them. Version 0 reverts all migrations of the app.
    ///
    /// # Panics
    ///
    /// Panics if [`Migrator::revert`](crate::Migrator::revert) returns an error.
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
    /// Panics with the database's message if a statement fails.
    #[track_caller]
    pub fn execute(&mut self, sql: &str) {
        or_panic(sql, self.connection.execute_batch(sql));
    }

    /// Returns the first column of each row of a query, as text. NULL becomes the empty
    /// text.
    ///
    /// # Panics
    ///
    /// Panics with the database's message if the query fails.
    #[track_caller]
    pub fn values(&mut self, sql: &str) -> Vec<String> {
        let rows = or_panic(sql, rows(&mut self.connection, sql));
        rows.into_iter().map(|row| row.into_iter().next().flatten().unwrap_or_default()).collect()
    }

    /// Returns the connection. It has no open transaction, and the test must not leave a
    /// transaction open.
    pub fn connection(&mut self) -> &mut rusqlite::Connection {
        &mut self.connection
    }

    /// Returns the schema as text: registered caches, tables with a line for each column
    /// and constraint, indexes, triggers and views. The text is normalised, so that equal
    /// schemas have equal text. Bustard's own tables and the history tables are omitted.
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
    /// Panics if the schema cannot be read, for example because the test has locked the
    /// database.
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
