//! The assertions of a `TestDatabase`.
//!
//! In: apps and the blocks of a test. Out: a panic that prints the difference, or nothing.

use super::{TestDatabase, or_panic};
use crate::model::BUSTARD;
use crate::plan::State;
use crate::registry::{self, TrackedCache};
use crate::report::PlannedStep;
use crate::schema::compare::difference;

impl TestDatabase {
    /// Runs a block and asserts that it invalidates this cache. The block may invalidate
    /// other caches too. Returns the result of the block.
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
    /// Panics if the cache has the same version afterwards, if it is not registered
    /// before the block, or if the block leaves a transaction open.
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

    /// Runs a block and asserts that it does not invalidate this cache. Returns the
    /// result of the block.
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
    /// Panics if the cache has another version afterwards, if it is not registered
    /// before the block, or if the block leaves a transaction open.
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

    /// Runs a block and returns the caches whose version has changed or which are not
    /// registered any more.
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
        // An invalidation that is not committed is not visible to other connections.
        if !connection.is_autocommit() {
            panic!("the block leaves a transaction open, so the cache {cache} may or may not become invalid")
        }
        let after = or_panic("after the block", registry::list(connection));
        let same = |cache: &TrackedCache| {
            after.iter().any(|now| now.name == cache.name && now.version == cache.version)
        };
        let invalidated = before.into_iter().filter(|cache| !same(cache));
        (value, invalidated.map(|cache| cache.name).collect())
    }

    /// Asserts that a migration can be reverted and applied again. Applies its
    /// dependencies; then applies the migration, reverts it and applies it again. The
    /// [`schema`](Self::schema), which includes caches, must be the same before the
    /// migration and after the revert, and the same after both applications. The migration
    /// is applied at the end.
    ///
    /// Rows that the test inserted before the call exist during all of these steps. Insert
    /// rows to test a migration that moves data.
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
    /// If `back` did not drop the index, the assertion would panic with:
    ///
    /// ```text
    /// reverting main:V2__unique does not restore the schema (-: before the migration, +: after the revert):
    ///   + create unique index names_name on names(name)
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the schemas differ, if the migration cannot be reverted or is applied
    /// already, or if a run fails. The message contains the lines that differ, or the error
    /// of the run.
    #[track_caller]
    pub fn assert_round_trip(&mut self, app: &str, version: i64) {
        let migrator = self.migrator().target(app, version);
        let plan = or_panic(format_args!("planning {app}:{version}"), migrator.plan(&mut self.connection));
        let Some((step, needed)) = plan.steps.split_last() else {
            panic!("{app}:{version} is applied already: use a database without it")
        };
        let name = format!("{app}:{}", step.migration);
        self.apply(needed);
        let before = self.lines();
        let below = self.version_below(app, version);
        self.migrate_to(app, version);
        let there = self.lines();

        // No migration that depends on this one is applied yet, so this one is the last
        // applied migration of its app.
        self.revert_to(app, below);
        assert_same(&before, &self.lines(), || {
            format!(
                "reverting {name} does not restore the schema (-: before the migration, +: after the revert)"
            )
        });
        self.migrate_to(app, version);
        assert_same(&there, &self.lines(), || {
            format!("applying {name} again gives another schema (-: the first time, +: the second time)")
        });
    }

    /// Calls [`assert_round_trip`](Self::assert_round_trip) for each migration of an app,
    /// in order. Then reverts all of them, asserts that nothing of them is left, applies
    /// them again and asserts that the schema is the same. Repeatable migrations are not
    /// tested, because they have nothing to revert.
    ///
    /// # Panics
    ///
    /// Panics in the cases of [`assert_round_trip`](Self::assert_round_trip), and if the
    /// app has no migrations, because nothing would be asserted.
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
        let reverted = self.revert_to(app, 0).steps;
        let mut other = TestDatabase::new(self.apps.clone());
        let pending = self.pending();
        let is_pending =
            |step: &&PlannedStep| pending.iter().any(|p| p.app == step.app && p.migration == step.migration);
        other.apply(steps.iter().filter(|step| !is_pending(step)));
        assert_same(&other.lines(), &self.lines(), || {
            format!(
                "reverting all of {app} leaves something behind (-: without the app, +: after the revert)"
            )
        });
        for done in reverted.iter().rev() {
            self.migrate_to(&done.app, done.migration.version);
        }
        assert_same(&there, &self.lines(), || {
            format!(
                "applying all of {app} again gives another schema (-: the first time, +: the second time)"
            )
        });
    }

    /// Returns the pending migrations in the order of the plan.
    #[track_caller]
    fn pending(&mut self) -> Vec<PlannedStep> {
        or_panic("planning", self.migrator().plan(&mut self.connection)).steps
    }

    /// Applies the versioned migrations among `steps`, in the given order.
    #[track_caller]
    fn apply<'s>(&mut self, steps: impl IntoIterator<Item = &'s PlannedStep>) {
        // Every run applies all of Bustard's own migrations first, so they are not targets.
        let is_target = |step: &&PlannedStep| step.app != BUSTARD && !step.migration.is_repeatable();
        for step in steps.into_iter().filter(is_target) {
            self.migrate_to(&step.app, step.migration.version);
        }
    }

    /// Returns the highest applied version of the app that is lower than `version`; 0 if no
    /// such version is applied.
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
