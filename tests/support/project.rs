//! A temporary directory with migration files, in which the built command runs.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::process::{Outcome, Running};

/// A temporary directory for one test. It is removed on drop.
#[derive(Debug)]
pub struct Project {
    directory: TempDir,
}

impl Project {
    /// Creates an empty directory.
    pub fn new() -> Project {
        let directory = tempfile::Builder::new()
            .prefix("bustard-project-")
            .tempdir()
            .expect("a temporary directory can be made");
        Project { directory }
    }

    /// Creates a project with the files of the example forum, where the commands of the
    /// README find them.
    pub fn forum() -> Project {
        let project = Project::new();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/forum");
        copy(&example, &project.path().join("examples/forum"));
        project
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file and creates its directories.
    pub fn file(&self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> &Project {
        let path = self.path().join(name);
        let parent = path.parent().expect("a file has a directory");
        fs::create_dir_all(parent).expect("directories can be made");
        fs::write(&path, contents).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self
    }

    /// Writes this many SQL migrations into `migrations`. The first migration registers a
    /// cache.
    pub fn numbered_migrations(&self, count: usize) -> &Project {
        for number in 1..=count {
            let register = if number == 1 { "-- bustard: register cache numbers\n" } else { "" };
            let table =
                format!("CREATE TABLE numbered_{number} (id bigint PRIMARY KEY, name text NOT NULL);\n");
            let index = format!("CREATE INDEX ON numbered_{number} (name);\n");
            self.file(
                format!("migrations/V{number}__numbered_{number}.sql"),
                format!("{register}{table}{index}"),
            );
        }
        self
    }

    /// Writes `bustard.toml`.
    pub fn config(&self, contents: &str) -> &Project {
        self.file("bustard.toml", contents)
    }

    /// Reads a file.
    #[track_caller]
    pub fn read(&self, name: impl AsRef<Path>) -> String {
        let path = self.path().join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Returns the names of all files below a directory, relative to it, sorted.
    pub fn files(&self, below: impl AsRef<Path>) -> Vec<PathBuf> {
        let top = self.path().join(below);
        let mut found = Vec::new();
        let mut open = vec![top.clone()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    open.push(entry.path());
                } else if let Ok(name) = entry.path().strip_prefix(&top) {
                    found.push(name.to_path_buf());
                }
            }
        }
        found.sort();
        found
    }

    /// Runs `bustard` in the directory to its end.
    pub fn bustard<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Outcome {
        Outcome::of(self.command(arguments))
    }

    /// Starts `bustard` in the directory, for tests of concurrency, signals and crashes.
    pub fn spawn<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Running {
        Running::start(self.command(arguments))
    }

    /// Returns the command, for tests that set its environment. The command inherits only
    /// PATH, and colours are off.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_bustard")), arguments)
    }

    /// Does the same as [`command`](Self::command), with another build of the command.
    pub fn command_of<A: AsRef<OsStr>>(&self, program: &Path, arguments: &[A]) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("NO_COLOR", "1")
            .current_dir(self.path())
            .args(arguments);
        command
    }

    /// Returns the URL of a SQLite file in the directory.
    pub fn sqlite_url(&self, name: &str) -> String {
        format!("sqlite:{}", self.path().join(name).display())
    }

    /// Connects to a SQLite file in the directory. A missing file is created.
    pub fn sqlite(&self, name: &str) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path().join(name)).expect("the file opens")
    }

    /// Returns the schema of a SQLite file in the directory.
    #[track_caller]
    pub fn sqlite_schema(&self, name: &str) -> String {
        sqlite_schema(&self.path().join(name))
    }
}

/// Returns every object of a SQLite file with its SQL, sorted by kind and name. Indexes
/// that belong to constraints have a name but no SQL.
#[track_caller]
fn sqlite_schema(path: &Path) -> String {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(path, flags)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut objects = connection
        .prepare("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master ORDER BY 1, 2")
        .expect("it is a database");
    let lines = objects.query_map([], |row| {
        let (kind, name, table): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(format!("{kind} {name} on {table}: {}\n", row.get::<_, String>(3)?))
    });
    lines.expect("sqlite_master is readable").map(|line| line.expect("sqlite_master is text")).collect()
}

/// Copies the files that a run reads: configurations and SQL.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the directory is made");
    for entry in fs::read_dir(from).expect("the directory is readable") {
        let from = entry.expect("the directory is readable").path();
        let to = to.join(from.file_name().expect("a file has a name"));
        if from.is_dir() {
            copy(&from, &to);
        } else if from.extension().is_some_and(|extension| extension == "sql" || extension == "toml") {
            fs::copy(from, to).expect("the file is copied");
        }
    }
}
