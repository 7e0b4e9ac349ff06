//! A migration: operations forward, operations back, what it depends on, and
//! whether it runs in a transaction. Built here in code, or from a file by
//! `source`.

use crate::diagnostic::{Code, Diagnostic, Place};
use crate::model::{
    CacheOperation, Function, OpenTransaction, Operation, RegisterCache, Schema, Sql, UnregisterCache, Which,
};
use crate::sql::TableName;

/// One migration, built from operations.
///
/// It gets its version and name where it is put into an [`App`](crate::App).
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

/// "That app's migration", or all of the app's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub app: String,
    pub which: Which,
    pub place: Option<Place>,
}

impl Migration {
    /// A migration that does nothing yet.
    pub fn new() -> Self {
        Migration::default()
    }

    /// That app's migration must be applied before this one.
    ///
    /// The example of Misago's documentation, a plugin whose migration depends on
    /// (`misago_core`, `0001_initial`) and starts to track the cache `misago_bans`:
    ///
    /// ```
    /// use bustard::{App, Migration, Migrator, registry};
    ///
    /// let bans = Migration::new().depends_on("misago_core", 1).register_cache("misago_bans");
    /// let plugin = App::new("bans").migration("V1__bans", bans);
    /// # let settings = Migration::new().sql("CREATE TABLE settings (name TEXT PRIMARY KEY)");
    /// # let core = App::new("misago_core").migration("V1__initial", settings);
    ///
    /// // The order in which apps are added says nothing.
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

    /// All migrations of that app in the plan must be applied before this one.
    pub fn depends_on_app(self, app: impl Into<String>) -> Self {
        self.dependency(app, Which::All)
    }

    /// That app's repeatable migration, without its prefix `R__`, must be applied
    /// before this one. The app may be its own: its repeatable migrations are
    /// applied in the order of their names otherwise.
    ///
    /// When that one changes later and runs again, this one does not.
    pub fn depends_on_repeatable(self, app: impl Into<String>, name: impl Into<String>) -> Self {
        self.dependency(app, Which::Repeatable(name.into()))
    }

    fn dependency(mut self, app: impl Into<String>, which: Which) -> Self {
        self.depends_on.push(Dependency { app: app.into(), which, place: None });
        self
    }

    /// This one must be applied before that app's migration.
    pub fn required_by(mut self, app: impl Into<String>, version: i64) -> Self {
        let which = Which::Version(version);
        self.required_by.push(Dependency { app: app.into(), which, place: None });
        self
    }

    /// Runs SQL: one or more statements, separated by semicolons.
    pub fn sql(self, text: impl Into<String>) -> Self {
        self.operation(Operation::Sql(Sql::text(text)))
    }

    /// Runs a sea-query schema statement. `CREATE TABLE` is undone without
    /// being told.
    pub fn schema(self, statement: impl Into<Schema>) -> Self {
        self.operation(Operation::Schema(statement.into()))
    }

    /// Starts tracking a cache, owned by the migration's app. Undone without
    /// being told.
    pub fn register_cache(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.operation(Operation::RegisterCache(RegisterCache {
            name,
            tables: Vec::new(),
            keeps_owner: false,
            place: None,
        }))
    }

    /// The same, and from then on every write to one of these tables invalidates
    /// the cache, by triggers. Tables are named as in SQL: `ban`, `forum.ban`,
    /// `"Odd name".ban`; the operations before this one must have made them.
    ///
    /// On PostgreSQL other writers of the tables wait until the migration commits.
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
        let read: Result<Vec<_>, _> =
            tables.into_iter().map(|table| TableName::parse(table.as_ref())).collect();
        let (tables, message) = match read {
            Ok(tables) if tables.is_empty() => (tables, Some("the name of a table is missing".to_owned())),
            Ok(tables) => (tables, None),
            Err((_, message)) => (Vec::new(), Some(message)),
        };
        if let Some(message) = message {
            let help = "name one or more tables as in SQL: `ban`, `forum.ban`, `\"Odd name\".ban`";
            let message = format!("register cache {name}: {message}");
            self.errors.push(Diagnostic::new(Code::InvalidTableName, message).help(help));
        }
        self.operation(Operation::RegisterCache(RegisterCache {
            name,
            tables,
            keeps_owner: false,
            place: None,
        }))
    }

    /// Stops tracking a cache. Undone without being told; it then has its former
    /// owner again.
    pub fn unregister_cache(self, name: impl Into<String>) -> Self {
        self.operation(Operation::UnregisterCache(UnregisterCache {
            name: name.into(),
            undoes: false,
            place: None,
        }))
    }

    /// Calls a function with the open transaction. What it does there commits
    /// with the rest of the migration, or not at all; its error ends the run.
    pub fn run<F>(self, label: impl Into<String>, function: F) -> Self
    where
        F: Fn(&mut OpenTransaction<'_, '_>) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
            + Send
            + Sync
            + 'static,
    {
        self.operation(Operation::Function(Function::new(label, function)))
    }

    /// Says what undoes the migration: the operations of `down`, in their order.
    /// Without it, each operation is undone in reverse order, if all can be.
    pub fn down(mut self, down: Migration) -> Self {
        self.down = Some(down.operations);
        self.errors.extend(down.errors);
        self
    }

    /// What drops what a repeatable migration has made, when its app is uninstalled: its
    /// `down`, or nothing; and either way the caches that it registers.
    pub(crate) fn undo_repeatable(&self) -> Vec<Operation> {
        let registers =
            |operation: &&Operation| matches!(operation.cache(), Some(CacheOperation::Register(_)));
        let caches = Migration {
            operations: self.operations.iter().filter(registers).cloned().collect(),
            down: self.down.clone(),
            ..Migration::new()
        };
        // Each registration can be undone.
        caches.undo().unwrap_or_default()
    }

    fn operation(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }

    /// What undoes the migration, or the first operation that nothing undoes.
    pub(crate) fn undo(&self) -> Result<Vec<Operation>, &Operation> {
        if let Some(down) = &self.down {
            // What is written under `down` need not repeat the cache operations,
            // unless it says something about that cache itself.
            let mut undo: Vec<Operation> = (self.operations.iter().rev())
                .filter(|operation| {
                    cache_name(operation).is_some_and(|n| !down.iter().any(|d| cache_name(d) == Some(n)))
                })
                .filter_map(Operation::inverse)
                .collect();
            undo.extend(down.iter().cloned().map(Operation::reverting));
            return Ok(undo);
        }
        self.operations.iter().rev().map(|operation| operation.inverse().ok_or(operation)).collect()
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
    fn cache_operations_undo_each_other_in_reverse() {
        let migration = Migration::new().unregister_cache("old").register_cache("new");
        let undo = migration.undo().expect("both can be undone");
        assert_eq!(described(&undo), ["unregister cache new", "register cache old"]);
    }

    #[test]
    fn down_need_not_repeat_cache_operations() {
        let migration = Migration::new()
            .sql("CREATE TABLE a (x)")
            .register_cache("a")
            .register_cache("b")
            .down(Migration::new().unregister_cache("b").register_cache("c"));
        let undo = migration.undo().expect("down is given");
        assert_eq!(described(&undo), ["unregister cache a", "unregister cache b", "register cache c"]);
    }

    #[test]
    fn sql_without_down_cannot_be_undone() {
        let migration = Migration::new().register_cache("a").sql("DELETE FROM x");
        assert!(matches!(migration.undo(), Err(Operation::Sql(_))));
    }
}
