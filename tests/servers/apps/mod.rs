//! Tests the states of apps (installed with their first migration, disabled, enabled,
//! restored) and the records of their migrations, through the library, on both engines.

mod dependencies;
mod kills;
mod races;
mod records;
mod states;

use crate::support::Scene;
use bustard::{App, AppState, Database, Migration, Migrator, Report, registry};

/// A database on one engine, and a connection to it.
struct Ground {
    scene: Scene,
    database: Database,
}

impl Ground {
    fn both() -> [Ground; 2] {
        Scene::both().map(Ground::on)
    }

    fn on(scene: Scene) -> Ground {
        let database = connect(&scene);
        Ground { scene, database }
    }

    /// Opens another connection to the same database.
    fn connect(&self) -> Database {
        connect(&self.scene)
    }

    /// Returns the name of one of Bustard's own tables.
    fn own(&self, table: &str) -> String {
        if self.scene.is_postgres() { format!("bustard.{table}") } else { format!("bustard_{table}") }
    }

    #[track_caller]
    fn run(&mut self, apps: &[App]) -> Report {
        migrator(apps).run(&mut self.database).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs an operation that must fail and change nothing.
    #[track_caller]
    fn refused<T>(
        &mut self,
        what: impl FnOnce(&mut Database) -> Result<T, bustard::Error>,
    ) -> bustard::Error {
        let before = self.scene.contents();
        let Err(error) = what(&mut self.database) else { panic!("the operation is not refused") };
        assert_eq!(self.scene.contents(), before, "{error}");
        error
    }

    /// Runs an operation that must change nothing.
    #[track_caller]
    fn unchanged(&mut self, what: impl FnOnce(&mut Database) -> Result<Report, bustard::Error>) {
        let before = self.scene.contents();
        let report = what(&mut self.database).unwrap_or_else(|error| panic!("{error}"));
        assert!(!report.changed(), "{report:?}");
        assert_eq!(self.scene.contents(), before);
    }

    /// Returns the label and the state of each app.
    #[track_caller]
    fn states(&mut self, apps: &[App]) -> Vec<(String, AppState)> {
        let listed = migrator(apps).list_apps(&mut self.database).expect("they are listed");
        listed.into_iter().map(|app| (app.label, app.state)).collect()
    }

    #[track_caller]
    fn state(&mut self, apps: &[App], label: &str) -> AppState {
        let states = self.states(apps);
        states.into_iter().find(|(name, _)| name == label).map(|(_, state)| state).expect("it is listed")
    }

    fn caches(&mut self) -> Vec<String> {
        let caches = registry::list(&mut self.database).expect("there is a registry");
        caches.into_iter().map(|cache| cache.name).collect()
    }

    fn version(&mut self, cache: &str) -> i64 {
        registry::get_version(&mut self.database, cache).expect("it is registered").get()
    }
}

fn connect(scene: &Scene) -> Database {
    let url = match scene.is_postgres() {
        true => scene.url(),
        false => format!("sqlite:{}", scene.project.path().join("app.db").display()),
    };
    Database::new(&url).expect("a good URL")
}

fn migrator(apps: &[App]) -> Migrator {
    Migrator::new().apps(apps.iter().cloned())
}

fn table(name: &str) -> Migration {
    Migration::new()
        .sql(format!("CREATE TABLE {name} (id integer PRIMARY KEY)"))
        .down(Migration::new().sql(format!("DROP TABLE {name}")))
}

/// Returns the migrations that a run applied or reverted, without Bustard's own.
fn names(report: &Report) -> Vec<String> {
    let others = report.steps.iter().filter(|done| done.app != "bustard");
    others.map(|done| format!("{}:{}", done.app, done.migration)).collect()
}

fn changes(report: &Report) -> Vec<(&str, AppState)> {
    report.apps.iter().map(|change| (change.app.as_str(), change.state)).collect()
}

/// Returns the messages of diagnostics.
fn messages(problems: &[bustard::Diagnostic]) -> Vec<&str> {
    problems.iter().map(bustard::Diagnostic::message).collect()
}

/// Returns the host. The plugin below depends on its first migration.
fn forum() -> App {
    App::new("forum").migration("V1__users", table("users")).migration("V2__posts", table("posts"))
}

fn bans() -> App {
    App::new("bans").migration("V1__bans", table("ban").register_cache("bans").depends_on("forum", 1))
}

/// Returns statements that drop all of Bustard's own objects, but not the apps' tables and
/// histories.
fn without_own(engine: crate::support::Engine) -> String {
    if engine == crate::support::Engine::Postgres {
        return "DROP SCHEMA bustard CASCADE".to_owned();
    }
    let views = ["missing_triggers", "wanted_trigger", "located", "caches", "counted"]
        .map(|name| format!("DROP VIEW bustard_{name};"));
    let tables = ["cache_source", "source", "base", "app", "migration", "repeatable", "cache"]
        .map(|name| format!("DROP TABLE bustard_{name};"));
    format!("{} {} DROP TABLE refinery_schema_history_bustard", views.join(" "), tables.join(" "))
}
