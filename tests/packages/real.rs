//! Tests real input: the migrations of published crates. If the command runs them, the
//! schema is the same as if `psql` or SQLite runs the same files.
//!
//! `tests/real/Cargo.toml` names the crates and Cargo downloads them. Their files are
//! laid out under `target/real/` with Bustard's names; their contents are unchanged.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bustard::diagnostic::{Code, Diagnostic};
use bustard::{App, Engine, Migrator};

use crate::support::{Database, Outcome, Project};
use serde_json::Value;

/// The published migrations of an application.
struct Published {
    app: &'static str,
    package: &'static str,
    directory: &'static str,
}

const MINT: Published =
    Published { app: "mint", package: "cdk-sql-common", directory: "src/mint/migrations/postgres" };
const WALLET: Published =
    Published { app: "wallet", package: "cdk-sql-common", directory: "src/wallet/migrations/postgres" };
const ATUIN: Published =
    Published { app: "atuin", package: "atuin-server-postgres", directory: "migrations" };
const TORRUST: Published =
    Published { app: "torrust", package: "torrust-index", directory: "migrations/sqlite3" };

/// One crate contains the migrations of four databases. They can share one database.
const ATUIN_CLIENT: [Published; 4] = [
    Published { app: "history", package: "atuin-client", directory: "migrations" },
    Published { app: "records", package: "atuin-client", directory: "record-migrations" },
    Published { app: "meta", package: "atuin-client", directory: "meta-migrations" },
    Published { app: "ai", package: "atuin-client", directory: "src/ai_session/migrations" },
];

/// A published file, with the version that it gets in this test.
struct File {
    path: PathBuf,
    version: u64,
    name: String,
}

impl Published {
    /// Returns the files in the order in which their own application runs them: by the
    /// leading number. Two files of the wallet have the same number. The wallet's own
    /// migrator allows that, but Bustard does not, so the second file gets the next number.
    /// The two files do not depend on each other.
    fn files(&self) -> Vec<File> {
        let directory = packages()[self.package].join(self.directory);
        let mut found: Vec<(u64, String, PathBuf)> = fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
            .map(|entry| {
                let path = entry.expect("the directory can be read").path();
                let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("names are UTF-8");
                let (number, name) = stem.split_once('_').expect("names are NUMBER_NAME");
                (number.parse().expect("it is a number"), name.to_owned(), path)
            })
            .collect();
        found.sort();
        let mut last = 0;
        found
            .into_iter()
            .map(|(number, name, path)| {
                last = number.max(last + 1);
                File { path, version: last, name: name.replace('-', "_") }
            })
            .collect()
    }
}

/// Returns the directories of the packages' sources, by name.
fn packages() -> &'static BTreeMap<String, PathBuf> {
    static FOUND: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    FOUND.get_or_init(|| {
        // Only the dependencies for this system are fetched, because these crates have
        // large dependencies on other systems.
        cargo(&["fetch", "--quiet", "--locked", "--target=host-tuple"]);
        let metadata = ["metadata", "--locked", "--offline", "--format-version=1"];
        let metadata = cargo(&[&metadata[..], &["--filter-platform=host-tuple"]].concat()).json();
        let packages = metadata["packages"].as_array().expect("metadata lists packages");
        packages
            .iter()
            .map(|package| {
                let manifest = Path::new(package["manifest_path"].as_str().expect("it has a manifest"));
                let directory = manifest.parent().expect("a file has a directory").to_path_buf();
                (package["name"].as_str().expect("it has a name").to_owned(), directory)
            })
            .collect()
    })
}

fn cargo(arguments: &[&str]) -> Outcome {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).args(["--manifest-path", "tests/real/Cargo.toml"]);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    Outcome::of(cargo).success()
}

/// Applications that share a database, with their files where the command finds them.
/// Another app registers caches.
struct Ground {
    project: Project,
    directory: PathBuf,
    apps: Vec<(&'static str, Vec<File>)>,
    database: Option<Database<'static>>,
}

/// The name of the SQLite file.
const SQLITE: &str = "real.sqlite";

impl Ground {
    fn postgres(name: &str, published: &[Published]) -> Ground {
        Ground::new(name, published, Some(Database::new()))
    }

    fn sqlite(name: &str, published: &[Published]) -> Ground {
        Ground::new(name, published, None)
    }

    fn new(name: &str, published: &[Published], database: Option<Database<'static>>) -> Ground {
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let directory = temporary.parent().expect("it is in target/").join("real").join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory).expect("files of an earlier run can be removed");
        }
        let apps: Vec<_> = published.iter().map(|one| (one.app, one.files())).collect();
        let ground = Ground { project: Project::new(), directory, apps, database };
        let tracked = "-- bustard: register cache sessions\n-- bustard: register cache \"front page\"\n";
        ground.write("tracked/V1__caches.sql", tracked);
        let labels = ground.apps.iter().map(|(app, _)| *app).chain(["tracked"]);
        let configuration: String =
            labels.map(|app| format!("[[apps]]\nlabel = \"{app}\"\nmigrations = \"{app}\"\n")).collect();
        ground.write("bustard.toml", &configuration);
        ground
    }

    fn write(&self, name: &str, contents: &str) {
        let path = self.directory.join(name);
        fs::create_dir_all(path.parent().expect("a file has a directory")).expect("directories can be made");
        fs::write(path, contents).expect("the file can be written");
    }

    /// Returns the number of files of all applications.
    fn count(&self) -> usize {
        self.apps.iter().map(|(_, files)| files.len()).sum()
    }

    /// Copies the first files of every application to the directories of the command, and
    /// returns their number.
    fn lay_out(&self, share: impl Fn(usize) -> usize) -> usize {
        let mut count = 0;
        for (app, files) in &self.apps {
            let directory = self.directory.join(app);
            fs::create_dir_all(&directory).expect("directories can be made");
            for File { path, version, name } in &files[..share(files.len())] {
                fs::copy(path, directory.join(format!("V{version}__{name}.sql")))
                    .expect("files can be copied");
                count += 1;
            }
        }
        count
    }

    fn url(&self) -> String {
        match &self.database {
            Some(database) => database.url(),
            None => self.project.sqlite_url(SQLITE),
        }
    }

    fn bustard(&self, arguments: &[&str]) -> Value {
        let (url, configuration) = (self.url(), self.directory.join("bustard.toml"));
        let configuration = configuration.to_str().expect("the path is UTF-8");
        let options = ["--json", "--config", configuration, "--database-url", &url];
        self.project.bustard(&[&options, arguments].concat()).success().json()
    }

    /// Migrates, and returns the number of files of the applications that were run.
    fn migrate(&self, options: &[&str]) -> usize {
        let report = self.bustard(&[&["migrate"], options].concat());
        let steps = report["steps"].as_array().expect("a report has steps");
        steps.iter().filter(|step| self.apps.iter().any(|(app, _)| step["app"] == *app)).count()
    }

    fn versions(&self) -> BTreeMap<String, u64> {
        let list = self.bustard(&["caches"]);
        let caches = list["caches"].as_array().expect("a list has caches");
        let version = |cache: &Value| cache["version"].as_str().and_then(|version| version.parse().ok());
        caches
            .iter()
            .map(|cache| (cache["name"].to_string(), version(cache).expect("versions are numbers")))
            .collect()
    }

    /// The whole database.
    fn contents(&self) -> Vec<u8> {
        match &self.database {
            Some(database) => database.contents().into_bytes(),
            None => fs::read(self.project.path().join(SQLITE)).expect("the file is there"),
        }
    }

    /// Returns the schema without Bustard's own tables and the histories.
    fn schema(&self) -> String {
        match &self.database {
            Some(database) => database.schema(&["bustard", "public.refinery_schema_history"]),
            None => schema_of_applications(&self.project.sqlite(SQLITE)),
        }
    }

    /// Returns the schema after the engine's own tools have run the published files.
    fn expected(&self) -> String {
        let files = self.apps.iter().flat_map(|(_, files)| files);
        if self.database.is_some() {
            let database = Database::new();
            for file in files {
                database.psql_file(&file.path).success();
            }
            return database.schema(&[]);
        }
        for file in files {
            // Each file gets a connection of its own with foreign keys off, as with
            // `sqlite3 FILE < SCRIPT`.
            let connection = self.project.sqlite("expected.sqlite");
            connection.pragma_update(None, "foreign_keys", false).expect("they can be switched off");
            let script = fs::read_to_string(&file.path).expect("migrations are text");
            let ran = connection.execute_batch(&script);
            ran.unwrap_or_else(|error| panic!("{}: {error}", file.path.display()));
        }
        schema_of_applications(&self.project.sqlite("expected.sqlite"))
    }

    /// Runs half of the files, then the other half, then nothing.
    fn runs_in_two_stages(&self) {
        let half = self.lay_out(|count| count.div_ceil(2));
        assert_eq!(self.migrate(&[]), half);
        let first = self.versions();
        assert_eq!(first.len(), 2, "{first:?}");

        let all = self.lay_out(|count| count);
        assert_eq!(all, self.count());
        assert_eq!(self.migrate(&[]), all - half);
        let second = self.versions();
        for (name, version) in &first {
            assert!(second[name] > *version, "{name} is {}, and was {version} before", second[name]);
        }
        self.is_complete();
        assert_eq!(self.versions(), second);
    }

    /// Asserts that the schema is the expected one, and that another run changes nothing.
    fn is_complete(&self) {
        let expected = self.expected();
        let tables = if self.database.is_some() { "\nrelation r " } else { "CREATE TABLE" };
        assert!(expected.contains(tables), "{expected}");
        assert_eq!(self.schema(), expected);
        let before = self.contents();
        assert_eq!(self.bustard(&["migrate"])["changed"], false);
        assert!(self.contents() == before, "a run with nothing to do has written something");
        self.bustard(&["check"]);
    }

    /// Writes the counts of the run directly to standard error, because the test harness
    /// hides the output of passing tests.
    fn say(&self, what: &str) {
        let apps = self.apps.iter().map(|(app, files)| format!("{app} {}", files.len()));
        let apps = apps.collect::<Vec<_>>().join(", ");
        let _ = writeln!(std::io::stderr(), "real input, {what}: {} files ran ({apps})", self.count());
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // After a failure, the directory is kept for analysis.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

fn schema_of_applications(connection: &rusqlite::Connection) -> String {
    let mut objects = connection
        .prepare(
            "SELECT type || ' ' || name || ' on ' || tbl_name || ': ' || coalesce(sql, '') FROM sqlite_master
             WHERE tbl_name NOT GLOB 'refinery_schema_history*' AND tbl_name NOT GLOB 'bustard_*'
             ORDER BY type, name",
        )
        .expect("it is a database");
    let lines = objects.query_map([], |row| row.get::<_, String>(0)).expect("sqlite_master is readable");
    lines.map(|line| line.expect("sqlite_master is text") + "\n").collect()
}

/// Every comment of the real files is judged, and none is taken for an instruction.
#[test]
fn a4_no_comment_is_taken_for_an_instruction() {
    let (mut files, mut comments) = (0, 0);
    for published in [MINT, WALLET, ATUIN, TORRUST].iter().chain(&ATUIN_CLIENT) {
        let project = Project::new();
        for File { path, version, name } in published.files() {
            let text = fs::read_to_string(&path).expect("migrations are text");
            comments += text.lines().filter(|line| line.trim_start().starts_with(['-', '/', '*'])).count();
            files += 1;
            project.file(format!("migrations/V{version}__{name}.sql"), text);
        }
        let directory = project.path().join("migrations");
        let check = || {
            let migrator = Migrator::new().app(App::directory("main", &directory));
            [Engine::Postgres, Engine::Sqlite].map(|engine| match migrator.check_sources(engine) {
                Ok(_) => Vec::new(),
                Err(error) => error.diagnostics().iter().map(Diagnostic::code).collect(),
            })
        };
        let lookalike = |code: &Code| [Code::DirectiveNearMiss, Code::ForeignMarker].contains(code);
        let found = check();
        assert!(!found.iter().flatten().any(lookalike), "{}: {found:?}", published.app);
        // The check sees one more comment.
        project.file("migrations/V99999999999999__seeded.sql", "SELECT 1;\n-- bustard down\n");
        assert!(check().iter().all(|found| found.iter().any(lookalike)), "{}", published.app);
    }
    assert!(files > 80 && comments > 80, "{files} files with {comments} lines of comments");
    let _ = writeln!(std::io::stderr(), "real input, comments: {comments} lines in {files} files");
}

#[test]
fn mint_beside_atuin_on_postgres() {
    let ground = Ground::postgres("mint", &[MINT, ATUIN]);
    ground.runs_in_two_stages();
    ground.say("mint beside atuin, PostgreSQL");
}

#[test]
fn wallet_beside_atuin_on_postgres() {
    let ground = Ground::postgres("wallet", &[WALLET, ATUIN]);
    ground.runs_in_two_stages();
    ground.say("wallet beside atuin, PostgreSQL");
}

#[test]
fn torrust_on_sqlite() {
    let ground = Ground::sqlite("torrust", &[TORRUST]);
    ground.runs_in_two_stages();
    ground.say("torrust, SQLite");
}

#[test]
fn atuins_client_on_sqlite() {
    let ground = Ground::sqlite("atuin-client", &ATUIN_CLIENT);
    ground.runs_in_two_stages();
    ground.say("atuin's client, SQLite");
}

#[test]
fn everything_in_one_transaction() {
    let grounds = [
        Ground::postgres("mint-at-once", &[MINT, ATUIN]),
        Ground::postgres("wallet-at-once", &[WALLET, ATUIN]),
        Ground::sqlite("torrust-at-once", &[TORRUST]),
        Ground::sqlite("atuin-client-at-once", &ATUIN_CLIENT),
    ];
    for ground in grounds {
        let all = ground.lay_out(|count| count);
        assert_eq!(ground.migrate(&["--transaction", "all"]), all);
        ground.is_complete();
        ground.say("in one transaction");
    }
}
