//! What a test says of its migrations. An assertion that fails prints what differs.

use super::{TestDatabase, or_panic};
use crate::plan::State;
use crate::registry::{self, TrackedCache};
use crate::report::PlannedStep;
use crate::schema::compare::difference;

impl TestDatabase {
    /// Runs a block and asserts that it invalidates this cache, whatever others it
    /// invalidates too. Returns what the block returns.
    ///
    /// ```
    /// use bustard::testing::TestDatabase;
    /// use bustard::{App, Migration, registry};
    ///
    /// let bans = Migration::new().sql("CREATE TABLE ban (name TEXT)").register_cache("bans");
    /// let mut database = TestDatabase::new([App::new("bans").migration("V1__bans", bans)]);
    /// database.migrate();
    /// database.assert_invalidates("bans", |connection| {
    ///     let mut transaction = connection.transaction().unwrap();
    ///     transaction.execute("INSERT INTO ban VALUES ('Ann')", []).unwrap();
    ///     registry::invalidate(&mut transaction, &["bans"]).unwrap();
    ///     transaction.commit().unwrap();
    /// });
    /// ```
    ///
    /// # Panics
    ///
    /// If the cache has the same version afterwards, or is not registered before; and if
    /// the block leaves a transaction open.
    #[track_caller]
    pub fn assert_invalidates<T>(
        &mut self,
        cache: &str,
        block: impl FnOnce(&mut rusqlite::Connection) -> T,
    ) -> T {
        let (value, invalidated) = self.watch(cache, block);
        if invalidated.iter().any(|name| name == cache) {
            return value;
        }
        let instead = match invalidated.as_slice() {
            [] => "nothing".to_owned(),
            names => names.join(", "),
        };
        panic!("the block does not invalidate the cache {cache}; it invalidates {instead}")
    }

    /// Runs a block and asserts that it leaves this cache valid. Returns what the
    /// block returns.
    ///
    /// ```
    /// use bustard::testing::TestDatabase;
    /// use bustard::{App, Migration};
    ///
    /// let bans = Migration::new()
    ///     .sql("CREATE TABLE ban (name TEXT); CREATE TABLE visit (name TEXT)")
    ///     .register_cache_on("bans", ["ban"]);
    /// let mut database = TestDatabase::new([App::new("bans").migration("V1__bans", bans)]);
    /// database.migrate();
    /// database.assert_does_not_invalidate("bans", |connection| {
    ///     connection.execute("INSERT INTO visit VALUES ('Ann')", []).unwrap();
    /// });
    /// ```
    ///
    /// # Panics
    ///
    /// If the cache has another version afterwards, or is not registered before; and if
    /// the block leaves a transaction open.
    #[track_caller]
    pub fn assert_does_not_invalidate<T>(
        &mut self,
        cache: &str,
        block: impl FnOnce(&mut rusqlite::Connection) -> T,
    ) -> T {
        let (value, invalidated) = self.watch(cache, block);
        if invalidated.iter().any(|name| name == cache) {
            panic!("the block invalidates the cache {cache}")
        }
        value
    }

    /// Runs a block; the caches that have another version afterwards, or none.
    #[track_caller]
    fn watch<T>(
        &mut self,
        cache: &str,
        block: impl FnOnce(&mut rusqlite::Connection) -> T,
    ) -> (T, Vec<String>) {
        let connection = &mut self.connection;
        or_panic(
            "before the block (has the test called `migrate`?)",
            registry::get_version(connection, cache),
        );
        let before = or_panic("before the block", registry::list(connection));
        let value = block(connection);
        // What it sees itself, and nobody else, is no invalidation.
        if !connection.is_autocommit() {
            panic!("the block leaves a transaction open: whether the cache {cache} is valid is not decided")
        }
        let after = or_panic("after the block", registry::list(connection));
        let same = |cache: &TrackedCache| {
            after.iter().any(|now| now.name == cache.name && now.version == cache.version)
        };
        let invalidated = before.into_iter().filter(|cache| !same(cache));
        (value, invalidated.map(|cache| cache.name).collect())
    }

    /// Applies what a migration needs; then applies the migration, undoes it, and
    /// applies it again, and asserts that undoing gives the [`schema`](Self::schema)
    /// from before it and the second time the same as the first, caches included.
    /// It is applied in the end.
    ///
    /// Rows that the test has put in before go through it all: a migration that
    /// moves data is best asserted so.
    ///
    /// ```
    /// use bustard::testing::TestDatabase;
    /// use bustard::{App, Migration};
    ///
    /// let back = Migration::new().sql("DROP INDEX names_name");
    /// let app = App::new("main")
    ///     .migration("V1__names", Migration::new().sql("CREATE TABLE names (name TEXT)"))
    ///     .migration("V2__unique", Migration::new()
    ///         .sql("DELETE FROM names WHERE rowid NOT IN (SELECT min(rowid) FROM names GROUP BY name)")
    ///         .sql("CREATE UNIQUE INDEX names_name ON names (name)")
    ///         .down(back));
    /// let mut database = TestDatabase::new([app]);
    /// database.migrate_to("main", 1);
    /// database.execute("INSERT INTO names VALUES ('Ann'), ('Ann'), ('Bob')");
    /// database.assert_round_trip("main", 2);
    /// ```
    ///
    /// A `back` that forgot about the index would make it say:
    ///
    /// ```text
    /// undoing main:V2__unique does not give the schema from before it (-: before it, +: after it was undone):
    ///   + create unique index names_name on names(name)
    /// ```
    ///
    /// # Panics
    ///
    /// If the schemas differ, with the lines in which they do; if the migration
    /// cannot be undone, or is applied already; and with the error, if a run has one.
    #[track_caller]
    pub fn assert_round_trip(&mut self, app: &str, version: i64) {
        let migrator = self.migrator().target(app, version);
        let plan = or_panic(format_args!("planning {app}:{version}"), migrator.plan(&mut self.connection));
        let Some((step, needed)) = plan.steps.split_last() else {
            panic!("{app}:{version} is applied already: begin with a database to which it is not")
        };
        let name = format!("{app}:{}", step.migration);
        self.apply(needed);
        let before = self.lines();
        let below = self.version_below(app, version);
        self.migrate_to(app, version);
        let there = self.lines();

        // Nothing that needs it is applied yet, so it is the last of its app's.
        self.revert_to(app, below);
        assert_same(&before, &self.lines(), || {
            format!(
                "undoing {name} does not give the schema from before it (-: before it, +: after it was undone)"
            )
        });
        self.migrate_to(app, version);
        assert_same(&there, &self.lines(), || {
            format!("applying {name} again does not give the same schema (-: the first time, +: the second)")
        });
    }

    /// The same for each migration of an app, in order; then undoes them all, asserts
    /// that nothing of them is left, and applies them again with the same schema as
    /// before. Repeatable migrations take no part: they have nothing to revert.
    ///
    /// # Panics
    ///
    /// As [`assert_round_trip`](Self::assert_round_trip); and if the app has no
    /// migrations, so that nothing would be asserted.
    #[track_caller]
    pub fn assert_round_trips(&mut self, app: &str) {
        let steps = TestDatabase::new(self.apps.clone()).pending();
        let versioned = |step: &&PlannedStep| step.app == app && !step.migration.is_repeatable();
        let versions = steps.iter().filter(versioned).map(|step| step.migration.version);
        let versions: Vec<i64> = versions.collect();
        if versions.is_empty() {
            panic!("there is no app {app}, or it has no migrations for SQLite")
        }
        for version in versions {
            self.assert_round_trip(app, version);
        }

        let there = self.lines();
        let undone = self.revert_to(app, 0).steps;
        let mut other = TestDatabase::new(self.apps.clone());
        let pending = self.pending();
        let is_pending =
            |step: &&PlannedStep| pending.iter().any(|p| p.app == step.app && p.migration == step.migration);
        other.apply(steps.iter().filter(|step| !is_pending(step)));
        assert_same(&other.lines(), &self.lines(), || {
            format!(
                "undoing all of {app} leaves something behind (-: where it never was, +: after it was undone)"
            )
        });
        for done in undone.iter().rev() {
            self.migrate_to(&done.app, done.migration.version);
        }
        assert_same(&there, &self.lines(), || {
            format!(
                "applying all of {app} again does not give the same schema (-: the first time, +: the second)"
            )
        });
    }

    /// What is to be applied, in order.
    #[track_caller]
    fn pending(&mut self) -> Vec<PlannedStep> {
        or_panic("planning", self.migrator().plan(&mut self.connection)).steps
    }

    /// Applies those of these that have a version, in their order.
    #[track_caller]
    fn apply<'s>(&mut self, steps: impl IntoIterator<Item = &'s PlannedStep>) {
        for step in steps.into_iter().filter(|step| !step.migration.is_repeatable()) {
            self.migrate_to(&step.app, step.migration.version);
        }
    }

    /// The highest applied version of the app below this one; 0 where there is none.
    #[track_caller]
    fn version_below(&mut self, app: &str, version: i64) -> i64 {
        let status = or_panic("the status", self.migrator().status(&mut self.connection));
        let applied = status.in_state(State::Applied).filter(|migration| migration.app == app);
        let below = applied.map(|migration| migration.migration.version).filter(|below| *below < version);
        below.max().unwrap_or(0)
    }
}

#[track_caller]
fn assert_same(first: &[String], second: &[String], what: impl FnOnce() -> String) {
    let difference = difference(first, second);
    if !difference.is_empty() {
        panic!("{}:{difference}", what())
    }
}
