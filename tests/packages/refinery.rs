//! Tests P8: databases that refinery has migrated are up to date for Bustard, and databases
//! that Bustard has migrated are up to date for refinery, with versions of either width, on
//! both engines. These tests build refinery's own runner from the packages under
//! `tests/refinery/`, and a Bustard without `int8-versions`, because one build supports
//! only one width.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::{Database, Outcome, Project};

/// The width of versions in a build of refinery or Bustard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Int4,
    Int8,
}

const WIDTHS: [Width; 2] = [Width::Int4, Width::Int8];

impl Width {
    fn other(self) -> Width {
        if self == Width::Int4 { Width::Int8 } else { Width::Int4 }
    }

    fn of_column(self) -> &'static str {
        if self == Width::Int4 { "integer" } else { "bigint" }
    }

    /// Returns refinery's runner, which is built once.
    fn refinery(self) -> &'static Path {
        static BUILT: [OnceLock<PathBuf>; 2] = [OnceLock::new(), OnceLock::new()];
        let package = if self == Width::Int4 { "refinery-int4" } else { "refinery-int8" };
        BUILT[self as usize].get_or_init(|| {
            let options = ["--manifest-path", "tests/refinery/Cargo.toml", "--package", package];
            build("refinery", package, &options)
        })
    }

    /// Returns the command for a width. The command under test has the feature
    /// `int8-versions`. The command without this feature is built once.
    fn bustard(self) -> &'static Path {
        static NARROW: OnceLock<PathBuf> = OnceLock::new();
        match self {
            Width::Int8 => Path::new(env!("CARGO_BIN_EXE_bustard")),
            Width::Int4 => NARROW.get_or_init(|| {
                let options = ["--no-default-features", "--features", "cli,postgres,sqlite"];
                build("int4", "bustard", &options)
            }),
        }
    }
}

/// Builds a program into a directory of its own under `target/`.
fn build(directory: &str, program: &str, options: &[&str]) -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = temporary.parent().expect("it is in target/").join(directory);
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "--locked", "--target-dir"])
        .arg(&target)
        .args(options);
    // There is no deadline, because a cold build takes longer than anything else that tests
    // wait for.
    let status = cargo.status().expect("cargo starts");
    assert!(status.success(), "{program} could not be built with {options:?}");
    target.join("debug").join(program)
}

/// A project with the migrations of `tests/refinery/migrations`, and a database.
struct Ground {
    project: Project,
    database: Option<Database<'static>>,
}

impl Ground {
    /// Creates a project on each engine.
    fn both() -> [Ground; 2] {
        [None, Some(Database::new())].map(|database| {
            let ground = Ground { project: Project::new(), database };
            ground.copy_migrations(|text| text);
            ground
        })
    }

    /// Writes the migrations, with their texts changed by `change`.
    fn copy_migrations(&self, change: fn(String) -> String) {
        for file in files(&original()) {
            let text = fs::read_to_string(original().join(&file)).expect("it is text");
            self.project.file(Path::new("migrations").join(file), change(text));
        }
    }

    fn url(&self) -> String {
        match &self.database {
            Some(database) => database.url(),
            None => self.project.sqlite_url("ground.sqlite"),
        }
    }

    fn refinery(&self, width: Width, arguments: &[&str]) -> Outcome {
        let url = self.url();
        let arguments = [arguments, &[&url]].concat();
        Outcome::of(self.project.command_of(width.refinery(), &arguments))
    }

    fn bustard(&self, width: Width, arguments: &[&str]) -> Outcome {
        let url = self.url();
        let arguments = [&["--database-url", &url], arguments].concat();
        Outcome::of(self.project.command_of(width.bustard(), &arguments))
    }

    /// Returns the whole history table, and the type of its versions.
    fn history(&self) -> (Vec<Vec<String>>, String) {
        let columns = "version, name, applied_on, checksum";
        let rows = format!("SELECT {columns} FROM refinery_schema_history ORDER BY version");
        match &self.database {
            Some(database) => {
                let kind = database.value(
                    "SELECT data_type FROM information_schema.columns
                     WHERE table_name = 'refinery_schema_history' AND column_name = 'version'",
                );
                (database.psql(&rows), kind)
            }
            None => {
                let connection = self.project.sqlite("ground.sqlite");
                let mut statement = connection.prepare(&rows).expect("it is refinery's table");
                let rows = statement.query_map([], |row| {
                    let version: i64 = row.get(0)?;
                    Ok(vec![version.to_string(), row.get(1)?, row.get(2)?, row.get(3)?])
                });
                let rows = rows.and_then(Iterator::collect).expect("it has refinery's columns");
                let kind = connection
                    .query_row(
                        "SELECT type FROM pragma_table_info('refinery_schema_history') WHERE name = 'version'",
                        [],
                        |row| row.get::<_, String>(0),
                    )
                    .expect("it has versions");
                (rows, if kind == "int4" { "integer" } else { "bigint" }.to_owned())
            }
        }
    }

    /// Asserts that Bustard finds nothing to do and does not change refinery's history. The
    /// migrations cannot be applied twice without an error, so this proves that they were
    /// not run again.
    #[track_caller]
    fn is_up_to_date_for_bustard(&self, width: Width) {
        let before = self.history();
        assert_eq!(before.0.len(), 4);
        self.bustard(width, &["migrate"]).success();
        self.bustard(width, &["check"]).success();
        assert_eq!(self.history(), before);
    }

    #[track_caller]
    fn is_up_to_date_for_refinery(&self, width: Width) {
        self.refinery(width, &["check", "migrations"]).success().says("pending=0");
    }
}

fn original() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refinery/migrations")
}

/// Returns the paths of all files below a directory, relative to it.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("it is a directory") {
        let path = entry.expect("it can be read").path();
        let name = PathBuf::from(path.file_name().expect("it has a name"));
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|file| name.join(file)));
        } else {
            found.push(name);
        }
    }
    found
}

fn crlf(text: String) -> String {
    text.replace('\n', "\r\n")
}

#[test]
fn migrations_by_refinery_from_files_are_up_to_date() {
    for width in WIDTHS {
        for ground in Ground::both() {
            ground.refinery(width, &["apply", "migrations"]).success().says("applied=4");
            assert_eq!(ground.history().1, width.of_column());
            for build in WIDTHS {
                ground.is_up_to_date_for_bustard(build);
            }
            ground.is_up_to_date_for_refinery(width);
        }
    }
}

#[test]
fn migrations_by_refinerys_macro_are_up_to_date() {
    for width in WIDTHS {
        for ground in Ground::both() {
            ground.refinery(width, &["apply-embedded"]).success().says("applied=4");
            ground.is_up_to_date_for_bustard(Width::Int8);
        }
    }
}

#[test]
fn migrations_by_bustard_are_up_to_date_for_refinery() {
    for width in WIDTHS {
        for ground in Ground::both() {
            ground.bustard(width, &["migrate"]).success();
            assert_eq!(ground.history().1, width.of_column());
            ground.is_up_to_date_for_refinery(width);
            // Refinery's hash includes the width, and refinery panics on a column of the
            // other width on a server. So its check may fail.
            let other = ground.refinery(width.other(), &["check", "migrations"]);
            assert_ne!(other.code, Some(0), "{other}");
        }
    }
}

#[test]
fn a_history_keeps_its_width() {
    for width in WIDTHS {
        for ground in Ground::both() {
            ground.refinery(width, &["apply", "migrations"]).success();
            ground.project.file("migrations/V12__more.sql", "CREATE TABLE more (id int);\n");
            ground.refinery(width, &["check", "migrations"]).exits(1).complains("pending=1: V12__more");
            ground.bustard(width.other(), &["migrate"]).success();
            assert_eq!(ground.history().1, width.of_column());
            ground.is_up_to_date_for_refinery(width);
        }
    }
}

#[test]
fn other_line_ends_are_no_divergence() {
    for width in WIDTHS {
        for ground in Ground::both() {
            ground.refinery(width, &["apply", "migrations"]).success();
            ground.copy_migrations(crlf);
            // refinery reports the other line ends as a divergence. Bustard must not.
            ground.refinery(width, &["check", "migrations"]).exits(1);
            ground.is_up_to_date_for_bustard(Width::Int8);
        }
        for ground in Ground::both() {
            ground.copy_migrations(crlf);
            ground.refinery(width, &["apply", "migrations"]).success();
            ground.copy_migrations(|text| text);
            ground.is_up_to_date_for_bustard(Width::Int8);
        }
    }
}

#[test]
fn files_with_crlf_are_hashed_as_refinery_does() {
    for ground in Ground::both() {
        ground.copy_migrations(crlf);
        ground.bustard(Width::Int8, &["migrate"]).success();
        ground.is_up_to_date_for_refinery(Width::Int8);
    }
}

#[test]
fn a_changed_file_is_a_divergence() {
    for width in WIDTHS {
        for ground in Ground::both() {
            ground.refinery(width, &["apply", "migrations"]).success();
            let before = ground.history();
            // This change affects more than line ends.
            ground.project.file(
                "migrations/V1__create_users.sql",
                ground.project.read("migrations/V1__create_users.sql") + "\n",
            );
            ground.bustard(Width::Int8, &["check"]).exits(4);
            let refused = ground.bustard(Width::Int8, &["migrate"]).exits(4);
            refused.complains("V1__create_users");
            assert_eq!(ground.history(), before);
        }
    }
}

#[test]
fn a_version_too_large_for_the_table_names_the_feature() {
    for ground in Ground::both() {
        ground.project.file("migrations/V20260101120000__late.sql", "CREATE TABLE late (id int);\n");
        let refused = ground.bustard(Width::Int4, &["migrate"]);
        assert_ne!(refused.code, Some(0), "{refused}");
        refused.complains("int8-versions");
        ground.bustard(Width::Int8, &["migrate"]).success();
        ground.is_up_to_date_for_refinery(Width::Int8);
    }
}
