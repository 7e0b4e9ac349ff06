//! A project on one engine, for tests that run on both engines. Most of them test runs that
//! must fail and change nothing.

use std::path::Path;

use bustard::diagnostic::Code;
use bustard::{App, Config, Migrator, TransactionMode};

use super::database::Database;
use super::process::Outcome;
use super::project::Project;
use super::snapshot::snapshot_settings;

/// A project with a database of its own.
#[derive(Debug)]
pub struct Scene {
    /// `postgres` or `sqlite`, as in the names of variants.
    pub engine: &'static str,
    pub project: Project,
    database: Option<Database<'static>>,
}

impl Scene {
    /// Creates a scene on each engine.
    pub fn both() -> [Scene; 2] {
        [Scene::postgres(), Scene::sqlite()]
    }

    pub fn postgres() -> Scene {
        Scene { engine: "postgres", project: Project::new(), database: Some(Database::new()) }
    }

    /// Creates a scene on a database of a test.
    pub fn of(database: Database<'static>) -> Scene {
        Scene { engine: "postgres", project: Project::new(), database: Some(database) }
    }

    pub fn sqlite() -> Scene {
        Scene { engine: "sqlite", project: Project::new(), database: None }
    }

    pub fn is_postgres(&self) -> bool {
        self.database.is_some()
    }

    /// Returns the database on the server.
    #[track_caller]
    pub fn database(&self) -> &Database<'static> {
        self.database.as_ref().expect("the scene is on PostgreSQL")
    }

    pub fn url(&self) -> String {
        match &self.database {
            Some(database) => database.url(),
            None => "sqlite:app.db".to_owned(),
        }
    }

    /// Writes a migration of the app `main`.
    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> &Scene {
        self.project.file(Path::new("migrations").join(name), contents);
        self
    }

    /// Writes two valid migrations.
    pub fn good_files(&self) -> &Scene {
        self.file(
            "V1__base.sql",
            "-- bustard: register cache threads\nCREATE TABLE thread (id INTEGER PRIMARY KEY);\n",
        )
        .file(
            "V2__posts.sql",
            "-- bustard: register cache posts\nCREATE TABLE post (id INTEGER PRIMARY KEY);\n",
        )
    }

    /// Writes four migrations: two valid ones, a faulty one with these contents, and one
    /// that does not run because of the faulty one.
    pub fn bad_file(&self, contents: impl AsRef<[u8]>) -> &Scene {
        self.good_files()
            .file("V3__bad.sql", contents)
            .file("V4__unreached.sql", "CREATE TABLE unreached (id INTEGER);\n")
    }

    /// Runs `bustard migrate` with these arguments.
    pub fn migrate(&self, arguments: &[&str]) -> Outcome {
        let url = self.url();
        self.project.bustard(&[&["migrate", "--database-url", &url], arguments].concat())
    }

    /// Runs SQL without Bustard.
    #[track_caller]
    pub fn execute(&self, sql: &str) {
        match &self.database {
            Some(database) => database.client().batch_execute(sql).expect("the SQL is accepted"),
            None => self.project.sqlite("app.db").execute_batch(sql).expect("the SQL is accepted"),
        }
    }

    /// Returns the only value of a query, as text.
    #[track_caller]
    pub fn value(&self, sql: &str) -> String {
        match &self.database {
            Some(database) => database.value(sql),
            None => (self.project.sqlite("app.db"))
                .query_row(sql, [], |row| {
                    let value: rusqlite::types::Value = row.get(0)?;
                    Ok(shown(&value))
                })
                .expect("the query is accepted"),
        }
    }

    /// Returns the applied versions of the app `main`, in order.
    #[track_caller]
    pub fn applied(&self) -> String {
        let (list, table) = match self.is_postgres() {
            true => ("string_agg(version::text, ',' ORDER BY version)", "refinery_schema_history"),
            false => {
                ("group_concat(version, ',')", "(SELECT * FROM refinery_schema_history ORDER BY version)")
            }
        };
        self.value(&format!("SELECT {list} FROM {table}"))
    }

    /// The whole database: each object and each row, history and registry
    /// included.
    #[track_caller]
    pub fn contents(&self) -> String {
        match &self.database {
            Some(database) => database.contents(),
            None => every_row(&self.project),
        }
    }

    /// Compares the standard error of a failure with the snapshot of this name, in
    /// `tests/snapshots/bad_input`.
    #[track_caller]
    pub fn snapshot(&self, name: &str, outcome: &Outcome) {
        self.snapshot_text(name, outcome.error());
    }

    /// Compares a text with the snapshot of this name, in `tests/snapshots/bad_input`.
    #[track_caller]
    pub fn snapshot_text(&self, name: &str, text: &str) {
        let mut settings = snapshot_settings(&self.project);
        settings.set_snapshot_path("../snapshots/bad_input");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name, text));
    }

    /// Asserts that `migrate` fails with this exit code and exactly one error, which is the
    /// snapshot of this name. A run in one transaction must leave the database as it was. A
    /// run in several transactions must leave exactly the migrations that the error lists.
    /// `--json` must print one document with the same content.
    #[track_caller]
    pub fn refuses(&self, code: i32, name: &str) {
        let file = self.project.path().join("app.db");
        let (before, existed) = (self.contents(), file.exists());
        let outcome = self.migrate(&["--transaction", "all"]).exits(code);
        assert!(outcome.error().starts_with("error: "), "{outcome}");
        assert_same(&before, &self.contents(), &outcome);

        let outcome = self.migrate(&[]).exits(code);
        self.snapshot(name, &outcome);
        assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{outcome}");
        let after = self.contents();
        assert!(!after.contains("unreached"), "the run went on after the failure: {outcome}");

        let outcome = self.migrate(&["--json"]).exits(code);
        let error = &outcome.json()["error"];
        let message = error["message"].as_str().expect("the document has a message");
        assert!(!message.is_empty() && error["kind"].is_string(), "{outcome}");
        let code_word = error["code"].as_str().expect("the document has a code");
        assert!(code_word.parse::<Code>().is_ok(), "no such code: {outcome}");
        assert_eq!(outcome.stderr, "");
        assert_same(&after, &self.contents(), &outcome);
        assert!(code != 2 || file.exists() == existed, "the run has connected to the database: {outcome}");
        self.shows_one_line(code_word, &outcome);
        assert_same(&after, &self.contents(), &outcome);
    }

    /// Asserts that the library fails with the same code and shows the error in one line.
    #[track_caller]
    fn shows_one_line(&self, code: &str, outcome: &Outcome) {
        let root = self.project.path();
        let configured = root.join("bustard.toml");
        let migrator = match configured.exists() {
            true => Config::read(&configured).map(|config| config.migrator()),
            false => Ok(Migrator::new().app(App::directory("main", root.join("migrations")))),
        };
        let url = match &self.database {
            Some(database) => database.url(),
            None => format!("sqlite:{}", root.join("app.db").display()),
        };
        let run = |migrator: Migrator| {
            let mut database = bustard::Database::new(&url)?;
            migrator.transaction(TransactionMode::All).run(&mut database)
        };
        let error = migrator.and_then(run).expect_err("the command has failed");
        assert!(!error.to_string().contains(['\n', '\r']), "not one line: {error}");
        assert_eq!(error.code().as_str(), code, "{error:#}\n{outcome}");
    }
}

/// Checks an input that both engines refuse with the same error, with one snapshot for
/// both.
#[track_caller]
pub fn refused_alike(code: i32, name: &str, set_up: impl Fn(&Scene)) {
    for scene in Scene::both() {
        set_up(&scene);
        scene.refuses(code, name);
    }
}

/// Checks an input that both engines refuse, with a snapshot for each engine.
#[track_caller]
pub fn refused(code: i32, name: &str, set_up: impl Fn(&Scene)) {
    for scene in Scene::both() {
        set_up(&scene);
        scene.refuses(code, &format!("{name}.{}", scene.engine));
    }
}

/// Panics with the lines in which two dumps differ.
#[track_caller]
fn assert_same(before: &str, after: &str, outcome: &Outcome) {
    let gone: Vec<&str> = before.lines().filter(|line| !after.contains(line)).collect();
    let new: Vec<&str> = after.lines().filter(|line| !before.contains(line)).collect();
    assert!(before == after, "the database was changed: gone {gone:#?}, new {new:#?} by {outcome}");
}

fn every_row(project: &Project) -> String {
    // Opening a missing file would create it.
    if !project.path().join("app.db").exists() {
        return String::new();
    }
    let connection = project.sqlite("app.db");
    let mut text = project.sqlite_schema("app.db");
    let mut tables = connection
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        .expect("it is a database");
    let tables = tables.query_map([], |row| row.get::<_, String>(0)).expect("names are read");
    for table in tables.map(|name| name.expect("a name is text")) {
        let mut rows = connection
            .prepare(&format!("SELECT * FROM \"{table}\" ORDER BY 1"))
            .expect("a table can be read");
        let width = rows.column_count();
        let mut rows = rows.raw_query();
        while let Some(row) = rows.next().expect("rows are read") {
            let row = (0..width).map(|i| shown(&row.get_unwrap(i)));
            text += &format!("{table}: {}\n", row.collect::<Vec<_>>().join("|"));
        }
    }
    text
}

fn shown(value: &rusqlite::types::Value) -> String {
    use rusqlite::types::Value;

    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => format!("{bytes:?}"),
    }
}
