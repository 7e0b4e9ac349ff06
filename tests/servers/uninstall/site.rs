//! A forum with plugins, as files: each directory is an app.

use std::collections::BTreeMap;

use bustard::{App, Database, Error, Migrator, Report, Uninstall, UninstallPlan, registry};

use crate::support::Scene;

/// A database and the directories of its apps.
pub struct Site {
    pub scene: Scene,
}

/// A change of a site by another session.
pub type Change = fn(&Site);

impl Site {
    /// Creates the forum with its plugin `bans`, on each engine.
    pub fn both() -> [Site; 2] {
        Scene::both().map(|scene| {
            let site = Site { scene };
            site.file(
                "forum/V1__threads.sql",
                "-- bustard: register cache threads\n\
                 CREATE TABLE thread (id INTEGER PRIMARY KEY, title TEXT NOT NULL);\n\
                 INSERT INTO thread VALUES (1, 'a'), (2, 'b');\n\
                 -- bustard: down\n\
                 DROP TABLE thread;\n",
            );
            site.file(
                "bans/V1__bans.sql",
                "-- bustard: depends on forum V1\n\
                 CREATE TABLE ban (id INTEGER PRIMARY KEY, thread INTEGER REFERENCES thread (id));\n\
                 INSERT INTO ban VALUES (1, 1), (2, 1), (3, 2);\n\
                 -- bustard: register cache bans on ban\n\
                 -- bustard: down\n\
                 DROP TABLE ban;\n",
            );
            site.file(
                "bans/V2__reasons.sql",
                "-- bustard: register cache reasons\n\
                 ALTER TABLE ban ADD COLUMN reason TEXT;\n\
                 CREATE VIEW reason AS SELECT id, reason FROM ban;\n\
                 -- bustard: down\n\
                 DROP VIEW reason;\n\
                 ALTER TABLE ban DROP COLUMN reason;\n",
            );
            site
        })
    }

    pub fn file(&self, name: &str, contents: &str) {
        self.scene.project.file(name, contents);
    }

    /// Removes all files of an app.
    pub fn delete(&self, app: &str) {
        std::fs::remove_dir_all(self.scene.project.path().join(app)).expect("the directory is there");
    }

    pub fn url(&self) -> String {
        match self.scene.is_postgres() {
            true => self.scene.url(),
            false => self.scene.project.sqlite_url("app.db"),
        }
    }

    pub fn connection(&self) -> Database {
        Database::new(&self.url()).expect("the URL is good")
    }

    /// Returns a migrator that has the files of these apps.
    pub fn migrator(&self, apps: &[&str]) -> Migrator {
        let app = |label: &&str| App::directory(*label, self.scene.project.path().join(label));
        Migrator::new().apps(apps.iter().map(app))
    }

    #[track_caller]
    pub fn migrate(&self, apps: &[&str]) -> Report {
        self.migrator(apps).run(&mut self.connection()).expect("the migrations are good")
    }

    /// Plans an uninstall with a migrator that has the files of these apps.
    #[track_caller]
    pub fn plan(&self, apps: &[&str], what: &Uninstall) -> UninstallPlan {
        self.migrator(apps).plan_uninstall(&mut self.connection(), what).expect("it can be planned")
    }

    pub fn try_uninstall(&self, apps: &[&str], what: &Uninstall) -> Result<Report, Error> {
        let migrator = self.migrator(apps);
        let plan = migrator.plan_uninstall(&mut self.connection(), what)?;
        migrator.uninstall(&mut self.connection(), &plan)
    }

    /// Uninstalls, and asserts P2: if the uninstall has changed anything, every remaining
    /// cache is invalidated; otherwise, no cache is.
    #[track_caller]
    pub fn uninstall(&self, apps: &[&str], what: &Uninstall) -> Report {
        let before = self.versions();
        let report = self.try_uninstall(apps, what).expect("nothing prevents it");
        for (name, version) in self.versions() {
            let was = before.get(&name).copied();
            assert!(was.is_none_or(|was| (was < version) == report.changed()), "{name}: {was:?}, {version}");
        }
        report
    }

    /// Asserts that the uninstall is refused and changes nothing, and returns the error.
    #[track_caller]
    pub fn refuses(&self, apps: &[&str], what: &Uninstall) -> Error {
        self.refuses_with(&self.migrator(apps), what)
    }

    #[track_caller]
    pub fn refuses_with(&self, migrator: &Migrator, what: &Uninstall) -> Error {
        let before = self.scene.contents();
        let plan = migrator.plan_uninstall(&mut self.connection(), what);
        let error = match plan.and_then(|plan| migrator.uninstall(&mut self.connection(), &plan)) {
            Err(error) => error,
            Ok(report) => panic!("the uninstall should have been refused: {report:?}"),
        };
        assert_eq!(self.scene.contents(), before, "the refused uninstall changed something: {error}");
        error
    }

    /// Returns every object outside the registry with its rows, the installed apps, and the
    /// caches.
    pub fn objects(&self) -> String {
        let all = match self.scene.is_postgres() {
            true => self.scene.database().schema(&[]),
            false => self.scene.project.sqlite_schema("app.db"),
        };
        let (apps, records) = match self.scene.is_postgres() {
            true => ("bustard.app", "bustard.migration"),
            false => ("bustard_app", "bustard_migration"),
        };
        let list = |column: &str, table: &str| {
            let sorted = match self.scene.is_postgres() {
                true => format!("SELECT string_agg({column}, ' ' ORDER BY {column}) FROM {table}"),
                false => {
                    format!("SELECT group_concat({column}, ' ') FROM (SELECT * FROM {table} ORDER BY 1, 2)")
                }
            };
            self.scene.value(&sorted)
        };
        let record = "app || ':' || CAST(version AS text)";
        let caches: Vec<String> = self.versions().into_keys().collect();
        format!("{all}\n{}\n{}\n{}", list("label || state", apps), list(record, records), caches.join(" "))
    }

    pub fn versions(&self) -> BTreeMap<String, i64> {
        let caches = registry::list(&mut self.connection()).expect("there is a registry");
        caches.into_iter().map(|cache| (cache.name, cache.version.get())).collect()
    }

    /// Returns the number of rows of a table.
    #[track_caller]
    pub fn rows(&self, table: &str) -> u64 {
        self.scene.value(&format!("SELECT count(*) FROM {table}")).parse().expect("it is a number")
    }

    /// Reports whether a table or view of this name exists.
    pub fn has(&self, table: &str) -> bool {
        let sql = match self.scene.is_postgres() {
            true => format!("SELECT count(*) FROM pg_class WHERE relname = '{table}'"),
            false => format!("SELECT count(*) FROM sqlite_master WHERE name = '{table}'"),
        };
        self.scene.value(&sql) != "0"
    }
}

/// Returns the request to uninstall `bans`.
pub fn bans() -> Uninstall {
    Uninstall::new("bans")
}
