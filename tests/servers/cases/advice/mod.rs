//! Advice by the code of an error. Each row provokes a real error in a migration, compares
//! the advice, and then does what the advice says.

mod blocked;
mod connecting;
mod postgres;
mod rights;
mod sqlite;

use std::sync::OnceLock;

use bustard::{App, Error, Migration, Migrator, TransactionMode};

use crate::support::{Cluster, Database, Project};

/// What the advice says to do.
enum Cure {
    /// Write the file anew.
    File(&'static str),
    /// Write the file anew, as two migrations.
    Two(&'static str, &'static str),
    /// Record the migration as applied.
    Fake,
    /// Nothing that a test can do.
    Nothing,
}

/// A statement that fails.
struct Row {
    /// The migration that succeeds first.
    before: &'static str,
    /// What was made without a migration.
    by_hand: &'static str,
    bad: String,
    code: &'static str,
    help: &'static [&'static str],
    cure: Cure,
}

fn row(bad: impl Into<String>, code: &'static str, help: &'static [&'static str], cure: Cure) -> Row {
    Row { before: "SELECT 1", by_hand: "", bad: bad.into(), code, help, cure }
}

impl Row {
    fn after(self, before: &'static str) -> Row {
        Row { before, ..self }
    }

    fn with_hand(self, by_hand: &'static str) -> Row {
        Row { by_hand, ..self }
    }

    /// Runs it on each kind of connection and in each mode, then does what the advice says.
    #[track_caller]
    fn check(&self, place: &dyn Place) {
        let project = Project::new();
        project.file("migrations/V1__before.sql", format!("{};\n", self.before));
        let migrator = || Migrator::new().app(App::directory("main", project.path().join("migrations")));
        place.run(migrator()).unwrap_or_else(|error| panic!("{}: {error:#}", self.before));
        place.by_hand(self.by_hand);
        project.file("migrations/V2__bad.sql", format!("{};\n", self.bad));
        let found = [
            place.run(migrator()),
            place.run(migrator().transaction(TransactionMode::All)),
            place.run_on_callers(migrator()),
        ];
        let mut first = None;
        for found in found {
            let error = found.expect_err(&self.bad);
            let help = help_of(&error);
            for part in self.help {
                assert!(help.contains(part), "{part:?} is not in {error:#?}");
            }
            assert_eq!(error.sqlstate(), Some(self.code), "{error:#?}");
            assert!(!help.contains("correct it and run again"), "{error:#?}");
            assert!(!help.contains(['{', '}']), "{error:#?}");
            assert_eq!(*first.get_or_insert(help.clone()), help, "{error:#?}");
        }
        let done = match self.cure {
            Cure::Nothing => return,
            Cure::Fake => place.run(migrator().fake(true)),
            Cure::File(text) => {
                project.file("migrations/V2__bad.sql", text);
                place.run(migrator())
            }
            Cure::Two(one, other) => {
                project.file("migrations/V2__bad.sql", one).file("migrations/V3__rest.sql", other);
                place.run(migrator())
            }
        };
        done.unwrap_or_else(|error| panic!("{}: after the cure: {error:#}", self.bad));
    }
}

fn help_of(error: &Error) -> String {
    error.advice().map(|advice| advice.for_command("bustard")).unwrap_or_default()
}

/// A database of a row.
trait Place {
    fn run(&self, migrator: Migrator) -> bustard::Result<()>;
    fn run_on_callers(&self, migrator: Migrator) -> bustard::Result<()>;
    fn by_hand(&self, sql: &str);
}

impl Place for Database<'_> {
    fn run(&self, migrator: Migrator) -> bustard::Result<()> {
        migrator.run(&mut bustard::Database::new(&self.url())?).map(drop)
    }

    fn run_on_callers(&self, migrator: Migrator) -> bustard::Result<()> {
        migrator.run(&mut self.client()).map(drop)
    }

    fn by_hand(&self, sql: &str) {
        self.client().batch_execute(sql).expect("the SQL is good");
    }
}

/// A file of SQLite.
struct File(Project);

impl File {
    fn new() -> File {
        File(Project::new())
    }
}

impl Place for File {
    fn run(&self, migrator: Migrator) -> bustard::Result<()> {
        migrator.run(&mut bustard::Database::new(&self.0.sqlite_url("app.db"))?).map(drop)
    }

    fn run_on_callers(&self, migrator: Migrator) -> bustard::Result<()> {
        migrator.run(&mut self.0.sqlite("app.db")).map(drop)
    }

    fn by_hand(&self, sql: &str) {
        self.0.sqlite("app.db").execute_batch(sql).expect("the SQL is good");
    }
}

/// Returns a cluster that writes messages in German, if the server has that catalogue.
fn german() -> &'static Cluster {
    static GERMAN: OnceLock<Cluster> = OnceLock::new();
    GERMAN.get_or_init(|| Cluster::start_in_language("de", &[]))
}

/// Returns an app of one migration.
fn app_of(migration: Migration) -> App {
    App::new("main").migration("V1__only", migration)
}
