//! An uninstall in a process of its own, which a test can stop, and the states of the
//! database afterwards. The process is this test program, started again.

use std::process::Command;

use bustard::{App, Database, Migrator, Uninstall};

use crate::support::{Engine, Running, State, Subject, faulty_test};

/// The variable with the URL of the process's database.
const URL: &str = "BUSTARD_UNINSTALL_URL";

/// Runs the uninstall in the process that is killed.
fn uninstall(url: &str) -> bustard::Result<()> {
    let migrator = Migrator::new();
    let plan = migrator.plan_uninstall(&mut Database::new(url)?, &Uninstall::new("bans").cascade(true))?;
    migrator.uninstall(&mut Database::new(url)?, &plan).map(drop)
}

/// If this is the started process, uninstalls and returns `true`.
pub fn is_victim() -> bool {
    let url = std::env::var(URL);
    url.is_ok_and(|url| uninstall(&url).map(|()| true).expect("nothing prevents it"))
}

/// Returns the command that starts the process for a test, in a build with the given fault.
pub fn command(subject: &Subject<'_>, test: &str, fault: Option<&str>) -> Command {
    let mut command = match fault {
        Some(fault) => faulty_test(fault),
        None => Command::new(std::env::current_exe().expect("it runs")),
    };
    command.args(["--exact", test, "--nocapture"]).env(URL, subject.url());
    command
}

pub fn start(subject: &Subject<'_>, test: &str) -> Running {
    Running::start(command(subject, test, None))
}

/// Installs apps that are slow to revert. On SQLite, the revert writes more than the page
/// cache holds, so that the file itself must be rolled back.
pub fn migrate(subject: &Subject<'_>) {
    let project = subject.project;
    project
        .file("forum/V1__threads.sql", "CREATE TABLE thread (id int);\n-- bustard: register cache threads\n");
    for (app, table, needs) in
        [("bans", "ban", ""), ("appeals", "appeal", "-- bustard: depends on bans V1\n")]
    {
        let columns = "(id int PRIMARY KEY, text text)";
        project.file(
            format!("{app}/V1__{app}.postgres.sql"),
            format!(
                "{needs}CREATE TABLE {table} {columns};\n\
                 INSERT INTO {table} SELECT i, 'x' FROM generate_series(1, 1000) i;\n\
                 -- bustard: register cache {app} on {table}\n\
                 -- bustard: down\n\
                 SELECT pg_sleep(0.03);\nUPDATE {table} SET text = 'z';\nSELECT pg_sleep(0.03);\nDROP TABLE {table};\n"
            ),
        );
        project.file(
            format!("{app}/V1__{app}.sqlite.sql"),
            format!(
                "{needs}CREATE TABLE {table} {columns};\n\
                 INSERT INTO {table} WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8000)\n\
                 SELECT i, printf('%400d', i) FROM n;\n\
                 -- bustard: register cache {app} on {table}\n\
                 -- bustard: down\n\
                 UPDATE {table} SET text = text || 'z';\nDROP TABLE {table};\n"
            ),
        );
    }
    project.config("[[apps]]\nlabel = \"forum\"\nmigrations = \"forum\"\n");
    let app = |label: &str| App::directory(label, project.path().join(label));
    let migrator = Migrator::new().apps(["forum", "bans", "appeals"].map(app));
    migrator
        .run(&mut Database::new(&subject.url()).expect("the URL is good"))
        .expect("the migrations are good");
}

/// The states of a database before and after an uninstall.
#[derive(Debug)]
pub struct Ends {
    before: (State, i64),
    after: (State, i64),
}

/// The state of a database after a stopped uninstall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Untouched,
    Complete,
}

impl Ends {
    /// Runs an uninstall to its end on a copy of the database.
    pub fn of(subject: &Subject<'_>, test: &str) -> Ends {
        let done = subject.copy();
        start(&done, test).wait().success();
        let ends = Ends { before: look(subject), after: look(&done) };
        assert_ne!(ends.before.0.content, ends.after.0.content);
        ends
    }

    /// Checks that the database is unchanged, including the versions of caches, or that the
    /// uninstall is complete and every cache is invalidated.
    pub fn check(&self, subject: &Subject<'_>) -> Result<Left, String> {
        let found = look(subject);
        let version = |(state, _): &(State, i64)| state.versions.get("threads").copied();
        if (&found.0.content, found.1) == (&self.after.0.content, self.after.1) {
            return match version(&found) > version(&self.before) {
                true => Ok(Left::Complete),
                false => Err("complete, and the cache that stays was not invalidated".to_owned()),
            };
        }
        match found == self.before {
            true => Ok(Left::Untouched),
            false => Err(format!("neither complete nor untouched:\n{}", found.0.content)),
        }
    }
}

/// Reads the whole state, including the records of apps and migrations.
fn look(subject: &Subject<'_>) -> (State, i64) {
    subject.quiet();
    let (apps, records) = match subject.engine() {
        Engine::Postgres => ("bustard.app", "bustard.migration"),
        Engine::Sqlite => ("bustard_app", "bustard_migration"),
    };
    let rows = format!("SELECT (SELECT count(*) FROM {apps}) * 100 + (SELECT count(*) FROM {records})");
    (subject.state(), subject.number(&rows))
}
