//! A migration: its operations, its `down` section, its dependencies, and whether it runs
//! in a transaction.
//!
//! In: calls of the builder, by an application or by `source` for a file. Out: the
//! operations that apply and revert the migration.

use crate::diagnostic::{Code, Diagnostic, Place};
use crate::model::{
    CacheOperation, ChangeCache, Function, OpenTransaction, Operation, RegisterCache, Schema, Sql,
    UnregisterCache, Which,
};
use crate::sql::TrackedTable;

/// One migration, built from operations.
///
/// A migration gets its version and name when it is added to an [`App`](crate::App).
///
/// ```
/// use bustard::{App, Migration};
/// use bustard::sea_query::{ColumnDef, Table};
///
/// let migration = Migration::new()
///     .depends_on("forum", 1)
///     .schema(Table::create().table("ban").col(ColumnDef::new("id").big_integer().primary_key()))
///     .register_cache("bans")
///     .run("backfill", |_transaction| Ok(()));
/// let app = App::new("bans").migration("V1__create_bans", migration);
/// # let _ = app;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Migration {
    pub(crate) operations: Vec<Operation>,
    pub(crate) down: Option<Vec<Operation>>,
    pub(crate) depends_on: Vec<Dependency>,
    pub(crate) required_by: Vec<Dependency>,
    pub(crate) no_transaction: Option<Place>,
    pub(crate) errors: Vec<Diagnostic>,
}

/// A dependency on a migration of an app, or on all migrations of the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub app: String,
    pub which: Which,
    pub place: Option<Place>,
}

impl Migration {
    /// Creates a migration without operations.
    pub fn new() -> Self {
        Migration::default()
    }

    /// Adds a dependency: that app's migration must be applied before this migration.
    ///
    /// The following example comes from Misago's documentation. It is a plugin whose
    /// migration depends on (`misago_core`, `0001_initial`) and registers the cache
    /// `misago_bans`:
    ///
    /// ```
    /// use bustard::{App, Migration, Migrator, registry};
    ///
    /// let bans = Migration::new().depends_on("misago_core", 1).register_cache("misago_bans");
    /// let plugin = App::new("bans").migration("V1__bans", bans);
    /// # let settings = Migration::new().sql("CREATE TABLE settings (name TEXT PRIMARY KEY)");
    /// # let core = App::new("misago_core").migration("V1__initial", settings);
    ///
    /// // The order in which apps are added does not matter.
    /// let mut connection = rusqlite::Connection::open_in_memory()?;
    /// let report = Migrator::new().app(plugin).app(core).run(&mut connection)?;
    /// let last_two: Vec<&str> = report.steps.iter().rev().take(2).map(|done| &*done.app).collect();
    /// assert_eq!(last_two, ["bans", "misago_core"]); // the last one first
    /// assert!(registry::get_version(&mut connection, "misago_bans").is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn depends_on(self, app: impl Into<String>, version: i64) -> Self {
        self.dependency(app, Which::Version(version))
    }

    /// Adds a dependency on a whole app: all migrations of that app in the plan must be
    /// applied before this migration.
    pub fn depends_on_app(self, app: impl Into<String>) -> Self {
        self.dependency(app, Which::All)
    }

    /// Adds a dependency on a repeatable migration, named without its prefix `R__`. The app
    /// may be the migration's own app. Without dependencies, repeatable migrations are
    /// applied in the order of their names.
    ///
    /// This migration does not run again when the repeatable migration changes.
    pub fn depends_on_repeatable(self, app: impl Into<String>, name: impl Into<String>) -> Self {
        self.dependency(app, Which::Repeatable(name.into()))
    }

    fn dependency(mut self, app: impl Into<String>, which: Which) -> Self {
        self.depends_on.push(Dependency { app: app.into(), which, place: None });
        self
    }

    /// Adds a reverse dependency: this migration must be applied before that app's
    /// migration.
    pub fn required_by(mut self, app: impl Into<String>, version: i64) -> Self {
        let which = Which::Version(version);
        self.required_by.push(Dependency { app: app.into(), which, place: None });
        self
    }

    /// Runs SQL: one or more statements, separated by semicolons.
    pub fn sql(self, text: impl Into<String>) -> Self {
        self.operation(Operation::Sql(Sql::text(text)))
    }

    /// Runs a sea-query schema statement. `CREATE TABLE`, `CREATE INDEX` and foreign keys
    /// are reverted automatically.
    pub fn schema(self, statement: impl Into<Schema>) -> Self {
        self.operation(Operation::Schema(statement.into()))
    }

    /// Registers a cache that the migration's app owns. The registration is reverted
    /// automatically.
    pub fn register_cache(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.operation(Operation::RegisterCache(RegisterCache {
            name,
            tables: Vec::new(),
            keeps_owner: false,
            place: None,
        }))
    }

    /// Registers a cache and creates triggers, so that every write to one of these tables
    /// invalidates the cache. Tables are named as in SQL: `ban`, `forum.ban`,
    /// `"Odd name".ban`. They must exist when the operation runs.
    ///
    /// `membership by user_id`, or `membership by (user_id, forum_id)`, names a table and the
    /// columns of a key. On PostgreSQL, a write to it invalidates the keys of the rows that it
    /// changes. On SQLite, it invalidates all keys, and the run says so in a notice.
    ///
    /// On PostgreSQL, concurrent writers of the tables wait until the migration commits.
    ///
    /// ```
    /// use bustard::{App, Migration, Migrator, registry};
    ///
    /// let mut connection = rusqlite::Connection::open_in_memory()?;
    /// let migration = Migration::new().sql("CREATE TABLE ban (id INTEGER)").register_cache_on("bans", ["ban"]);
    /// Migrator::new().app(App::new("main").migration("V1__bans", migration)).run(&mut connection)?;
    ///
    /// let version = registry::get_version(&mut connection, "bans")?;
    /// connection.execute("INSERT INTO ban VALUES (1)", [])?;
    /// assert!(!registry::is_valid(&mut connection, "bans", version)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register_cache_on<T: AsRef<str>>(
        mut self,
        name: impl Into<String>,
        tables: impl IntoIterator<Item = T>,
    ) -> Self {
        let name = name.into();
        let tables = self.table_names("register cache", &name, tables);
        self.operation(Operation::RegisterCache(RegisterCache {
            name,
            tables,
            keeps_owner: false,
            place: None,
        }))
    }

    /// Changes the tables whose writes invalidate a registered cache of the migration's app.
    /// The cache keeps its name and gets a new version. The change is reverted
    /// automatically, which restores the former tables.
    ///
    /// On PostgreSQL, concurrent writers of the removed tables, and of tables that no cache
    /// was on, wait until the migration commits.
    ///
    /// ```
    /// use bustard::{App, Migration, Migrator, registry};
    ///
    /// let mut connection = rusqlite::Connection::open_in_memory()?;
    /// let tables = "CREATE TABLE ban (id INTEGER); CREATE TABLE exception (id INTEGER)";
    /// let first = Migration::new().sql(tables).register_cache_on("bans", ["ban"]);
    /// let second = Migration::new().change_cache_on("bans", ["ban", "exception"]);
    /// let app = App::new("main").migration("V1__bans", first).migration("V2__exceptions", second);
    /// Migrator::new().app(app).run(&mut connection)?;
    ///
    /// let version = registry::get_version(&mut connection, "bans")?;
    /// connection.execute("INSERT INTO exception VALUES (1)", [])?;
    /// assert!(!registry::is_valid(&mut connection, "bans", version)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn change_cache_on<T: AsRef<str>>(
        mut self,
        name: impl Into<String>,
        tables: impl IntoIterator<Item = T>,
    ) -> Self {
        let name = name.into();
        let tables = self.table_names("change cache", &name, tables);
        self.operation(Operation::ChangeCache(ChangeCache { name, tables, reverts: false, place: None }))
    }

    /// Parses the names of tables. An error is reported when the migration is loaded.
    fn table_names<T: AsRef<str>>(
        &mut self,
        operation: &str,
        cache: &str,
        tables: impl IntoIterator<Item = T>,
    ) -> Vec<TrackedTable> {
        let read: Result<Vec<_>, _> =
            tables.into_iter().map(|table| TrackedTable::parse(table.as_ref())).collect();
        let (tables, message) = match read {
            Ok(tables) if tables.is_empty() => (tables, Some("the name of a table is missing".to_owned())),
            Ok(tables) => (tables, None),
            Err((_, message)) => (Vec::new(), Some(message)),
        };
        if let Some(message) = message {
            let help = "name one or more tables as in SQL: `ban`, `forum.ban`, `\"Odd name\".ban`, `membership by user_id`";
            let message = format!("{operation} {cache}: {message}");
            self.errors.push(Diagnostic::new(Code::InvalidTableName, message).help(help));
        }
        tables
    }

    /// Unregisters a cache. The unregistration is reverted automatically, which restores
    /// the former owner.
    pub fn unregister_cache(self, name: impl Into<String>) -> Self {
        self.operation(Operation::UnregisterCache(UnregisterCache {
            name: name.into(),
            reverts: false,
            place: None,
        }))
    }

    /// Calls a function with the open transaction. The changes of the function commit
    /// together with the rest of the migration. If the function returns an error, the
    /// transaction is rolled back and the run ends.
    pub fn run<F>(self, label: impl Into<String>, function: F) -> Self
    where
        F: Fn(&mut OpenTransaction<'_, '_>) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
            + Send
            + Sync
            + 'static,
    {
        self.operation(Operation::Function(Function::new(label, function)))
    }

    /// Sets the operations that revert the migration: the operations of `down`, in their
    /// order. Without a `down`, the operations are reverted automatically in reverse order,
    /// if each of them can be reverted.
    pub fn down(mut self, down: Migration) -> Self {
        self.down = Some(down.operations);
        self.errors.extend(down.errors);
        self
    }

    /// Returns the operations that remove a repeatable migration when its app is
    /// uninstalled: its `down`, if it has one, and the unregistration of its caches.
    pub(crate) fn revert_repeatable(&self) -> Vec<Operation> {
        let registers =
            |operation: &&Operation| matches!(operation.cache(), Some(CacheOperation::Register(_)));
        let caches = Migration {
            operations: self.operations.iter().filter(registers).cloned().collect(),
            down: self.down.clone(),
            ..Migration::new()
        };
        // Registrations can always be reverted.
        caches.revert_operations().unwrap_or_default()
    }

    fn operation(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }

    /// Returns the operations that revert the migration, or the first operation that
    /// cannot be reverted.
    pub(crate) fn revert_operations(&self) -> Result<Vec<Operation>, &Operation> {
        if let Some(down) = &self.down {
            // Cache operations are reverted automatically, except for caches that `down`
            // mentions itself.
            let mut reverting: Vec<Operation> = (self.operations.iter().rev())
                .filter(|operation| {
                    cache_name(operation).is_some_and(|n| !down.iter().any(|d| cache_name(d) == Some(n)))
                })
                .filter_map(Operation::revert)
                .collect();
            reverting.extend(down.iter().cloned().map(Operation::reverting));
            return Ok(reverting);
        }
        self.operations.iter().rev().map(|operation| operation.revert().ok_or(operation)).collect()
    }
}

fn cache_name(operation: &Operation) -> Option<&str> {
    operation.cache().map(CacheOperation::name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::dialects::SQLITE;

    fn described(operations: &[Operation]) -> Vec<String> {
        operations.iter().map(|operation| operation.describe(SQLITE)).collect()
    }

    #[test]
    fn cache_operations_are_reverted_in_reverse_order() {
        let migration = Migration::new().unregister_cache("old").register_cache("new");
        let reverting = migration.revert_operations().expect("both can be reverted");
        assert_eq!(described(&reverting), ["unregister cache new", "register cache old"]);
    }

    #[test]
    fn down_need_not_repeat_cache_operations() {
        let migration = Migration::new()
            .sql("CREATE TABLE a (x)")
            .register_cache("a")
            .register_cache("b")
            .down(Migration::new().unregister_cache("b").register_cache("c"));
        let reverting = migration.revert_operations().expect("there is a down");
        assert_eq!(described(&reverting), ["unregister cache a", "unregister cache b", "register cache c"]);
    }

    #[test]
    fn sql_without_down_cannot_be_reverted() {
        let migration = Migration::new().register_cache("a").sql("DELETE FROM x");
        assert!(matches!(migration.revert_operations(), Err(Operation::Sql(_))));
    }
}
