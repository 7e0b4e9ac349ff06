//! Builds this package again from a copy in which some texts are replaced. The result is a
//! library with a fault that a checker must find, or a later release.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::example::cargo;
use super::process::Outcome;

/// The parts of the package that Cargo needs to build its command and its tests.
const PARTS: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "build.rs",
    "src",
    "migrations",
    "tests",
    "examples",
    "benches",
    "docs",
];

/// A text of the sources, and its replacement in the copy.
#[derive(Clone, Copy, Debug)]
pub struct Replacement<'r> {
    /// The name of the replacement, for panics.
    pub name: &'r str,
    /// The text to replace. It must occur exactly once in `src/` and `migrations/`.
    pub find: &'r str,
    /// The new text. `ORIGINAL` in it stands for the replaced text. `SEEDED` stands for a
    /// Rust expression that is true in a process whose variable `BUSTARD_FAULT` contains
    /// the name.
    pub instead: &'r str,
}

/// A build of the copy, below `target/seeded`.
///
/// Cargo builds the copy with the lock, the profile and the features of this package, and
/// in the build directory of this package, so that dependencies are not compiled again. The
/// products have other names, because the copy has another version.
#[derive(Debug)]
pub struct SeededBuild {
    directory: PathBuf,
    /// The executables that were built, with the names of their targets.
    built: Mutex<Vec<(String, PathBuf)>>,
}

impl SeededBuild {
    /// Creates the copy, or updates the copy of an earlier run. Unchanged files keep their
    /// time, so that Cargo does not build them again.
    ///
    /// `name` consists of letters, digits and hyphens.
    ///
    /// # Panics
    ///
    /// Panics if a text does not occur exactly once.
    pub fn new(name: &str, replacements: &[Replacement<'_>]) -> SeededBuild {
        let build = SeededBuild { directory: below_target().join(name), built: Mutex::default() };
        let _lock = build.lock();
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        for part in PARTS {
            read(package, Path::new(part), &mut files);
        }
        replace(&mut files, replacements).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        mark(&mut files, name);
        let copy = build.copy();
        let expected: BTreeSet<PathBuf> = files.iter().map(|(path, _)| path.clone()).collect();
        let mut former = Vec::new();
        read(&copy, Path::new(""), &mut former);
        for (path, _) in former.iter().filter(|(path, _)| !expected.contains(path)) {
            fs::remove_file(copy.join(path)).expect("files of a former run can be removed");
        }
        for (path, contents) in files.iter().filter(|file| !former.contains(file)) {
            let path = copy.join(path);
            fs::create_dir_all(path.parent().expect("a file has a directory"))
                .expect("directories can be made");
            fs::write(&path, contents).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        build
    }

    /// Returns the command `bustard` of this build.
    pub fn bustard(&self) -> PathBuf {
        // The example makes Cargo build with the dependencies of tests, because without
        // them some dependencies would have fewer features.
        self.executable("bustard", &["--bin", "bustard", "--example", "seeded"])
    }

    /// Returns this test program in this build.
    pub fn this_test(&self) -> PathBuf {
        let name = env!("CARGO_CRATE_NAME");
        self.executable(name, &["--test", name])
    }

    fn executable(&self, name: &str, arguments: &[&str]) -> PathBuf {
        let mut built = self.built.lock().expect("the build has not failed before");
        if let Some((_, path)) = built.iter().find(|(target, _)| target == name) {
            return path.clone();
        }
        let _lock = self.lock();
        let mut cargo =
            cargo(&["build", "--offline", "--locked", "--message-format", "json-render-diagnostics"]);
        cargo.current_dir(self.copy()).args(arguments);
        cargo.env("CARGO_TARGET_DIR", self.directory.join("built")).env("CARGO_BUILD_BUILD_DIR", target());
        let Outcome { code, stdout: messages, stderr, .. } = Outcome::of_build(cargo);
        assert_eq!(code, Some(0), "Cargo does not build {name}:\n{stderr}");
        let path = messages.lines().find_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            let executable = message["executable"].as_str()?;
            (message["target"]["name"] == name).then(|| PathBuf::from(executable))
        });
        let path = path.unwrap_or_else(|| panic!("Cargo has built no {name}"));
        built.push((name.to_owned(), path.clone()));
        path
    }

    fn copy(&self) -> PathBuf {
        self.directory.join("package")
    }

    /// Returns the lock that a process holds while it writes or builds the copy.
    fn lock(&self) -> File {
        fs::create_dir_all(&self.directory).expect("directories can be made");
        let file = File::create(self.directory.join("lock")).expect("the file can be made");
        file.lock().expect("the file can be locked");
        file
    }
}

/// Returns the directory in which Cargo has built this test.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in target/")
}

fn below_target() -> PathBuf {
    target().join("seeded")
}

type Files = Vec<(PathBuf, Vec<u8>)>;

/// Reads a file, or all files of a directory and its subdirectories.
fn read(top: &Path, path: &Path, files: &mut Files) {
    let full = top.join(path);
    if full.is_dir() {
        for entry in fs::read_dir(&full).expect("the directory is readable") {
            let name = entry.expect("it is listed").file_name();
            // Build directories of other packages are skipped.
            if name != "target" {
                read(top, &path.join(name), files);
            }
        }
    } else if full.exists() {
        files.push((path.to_owned(), fs::read(&full).expect("the file is readable")));
    }
}

/// Replaces each text. Returns an error that names a text that does not occur exactly once.
fn replace(files: &mut Files, replacements: &[Replacement<'_>]) -> Result<(), String> {
    for Replacement { name, find, instead } in replacements {
        let mut found = Vec::new();
        for (path, contents) in files.iter_mut() {
            if path.starts_with("src") || path.starts_with("migrations") {
                let text = String::from_utf8_lossy(contents).into_owned();
                found.extend(text.matches(find).map(|_| path.display().to_string()));
                let seeded =
                    format!("std::env::var_os(\"BUSTARD_FAULT\").is_some_and(|fault| fault == {name:?})");
                let instead = instead.replace("ORIGINAL", find).replace("SEEDED", &seeded);
                *contents = text.replace(find, &instead).into_bytes();
            }
        }
        if found.len() != 1 {
            return Err(format!("`{find}` of {name} must occur once, but occurs in {found:?}"));
        }
    }
    Ok(())
}

/// Gives the copy a version of its own, and an example, so that Cargo resolves the
/// dependencies of tests.
fn mark(files: &mut Files, name: &str) {
    let package = "[package]\nname = \"bustard\"\nversion = \"";
    let locked = "[[package]]\nname = \"bustard\"\nversion = \"";
    for (file, start) in [("Cargo.toml", package), ("Cargo.lock", locked)] {
        let (_, contents) = files.iter_mut().find(|(path, _)| path == Path::new(file)).expect("it was read");
        let text = String::from_utf8_lossy(contents).into_owned();
        let at = text.find(start).unwrap_or_else(|| panic!("{file} has no version")) + start.len();
        let end = at + text[at..].find('"').expect("the version ends");
        *contents = format!("{}+{name}{}", &text[..end], &text[end..]).into_bytes();
        if file == "Cargo.toml" {
            contents.extend(b"\n[[example]]\nname = \"seeded\"\npath = \"seeded.rs\"\n");
        }
    }
    files.push((PathBuf::from("seeded.rs"), b"fn main() {}\n".to_vec()));
}

#[test]
fn a_text_occurs_once() {
    let files: Files =
        [("src/a.rs", "one two two"), ("migrations/V1__a.sql", "three"), ("tests/b.rs", "one")]
            .map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()))
            .into();
    let with = |find| {
        let mut files = files.clone();
        let fault = Replacement { name: "some-fault", find, instead: "(ORIGINAL if SEEDED)" };
        replace(&mut files, &[fault]).map(|()| files)
    };
    let replaced = with("one").expect("it occurs once in the sources");
    let expected =
        "(one if std::env::var_os(\"BUSTARD_FAULT\").is_some_and(|fault| fault == \"some-fault\")) two two";
    assert_eq!(String::from_utf8_lossy(&replaced[0].1), expected);
    assert_eq!(replaced[1..], files[1..]);
    assert!(with("three").is_ok());
    let twice = "`two` of some-fault must occur once, but occurs in [\"src/a.rs\", \"src/a.rs\"]";
    assert_eq!(with("two"), Err(twice.to_owned()));
    assert_eq!(with("four"), Err("`four` of some-fault must occur once, but occurs in []".to_owned()));
}
