//! Tests the test crates of this package: their number, and that each file below `tests/`
//! belongs to one of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Project;

/// The largest number of test crates. Each crate compiles the support code again and links
/// every driver.
const MOST: usize = 12;

/// Returns the entries of a directory.
fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory)
        .expect("the directory is readable")
        .map(|entry| entry.expect("it is listed").path())
}

/// Returns the roots of the test crates, as Cargo finds them below `tests/`.
fn roots(package: &Path) -> Vec<PathBuf> {
    entries(&package.join("tests"))
        .map(|path| if path.is_dir() { path.join("main.rs") } else { path })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs") && path.is_file())
        .collect()
}

/// Returns the files below `tests/` that `Cargo.toml` names, such as an example.
fn named(package: &Path) -> Vec<PathBuf> {
    let manifest = fs::read_to_string(package.join("Cargo.toml")).expect("the package has a manifest");
    let paths = manifest.lines().filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'));
    paths.filter(|path| path.starts_with("tests/")).map(|path| package.join(path)).collect()
}

/// Adds a file, the files that it includes, and the files of the modules that it declares.
/// Modules are found as the compiler finds them.
fn add_modules(file: &Path, found: &mut BTreeSet<PathBuf>) {
    let file = file.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    if !found.insert(file.clone()) {
        return;
    }
    let directory = file.parent().expect("a file has a directory");
    let tests = |directory: &Path| directory.file_name().is_some_and(|name| name == "tests");
    let is_root = file.ends_with("main.rs") || file.ends_with("mod.rs") || tests(directory);
    let below = if is_root { directory.to_path_buf() } else { file.with_extension("") };
    let text = fs::read_to_string(&file).expect("the file is readable");
    let mut path = None;
    for line in text.lines() {
        if let Some(named) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            path = Some(directory.join(named));
        } else if let Some((visibility, name)) =
            line.strip_suffix(';').and_then(|line| line.rsplit_once("mod "))
            && (visibility.is_empty() || visibility.starts_with("pub"))
        {
            let beside = below.join(name).with_extension("rs");
            let usual = if beside.exists() { beside } else { below.join(name).join("mod.rs") };
            add_modules(&path.take().unwrap_or(usual), found);
        } else if let Some((_, rest)) = line.split_once("include_str!(\"")
            && let Some((name, _)) = rest.split_once('"')
            && let Ok(text) = directory.join(name).canonicalize()
        {
            // A crate that includes a file as text uses it too.
            found.insert(text);
        }
    }
}

/// Adds the Rust files below a directory, except for files of other packages.
fn add_files(directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for path in entries(directory) {
        if path.is_dir() && !path.join("Cargo.toml").exists() {
            add_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.insert(path.canonicalize().expect("it is there"));
        }
    }
}

/// Returns the number of files, and the files that no crate compiles.
fn forgotten(package: &Path) -> (usize, Vec<PathBuf>) {
    let (mut files, mut compiled) = (BTreeSet::new(), BTreeSet::new());
    add_files(&package.join("tests"), &mut files);
    for root in roots(package).iter().chain(&named(package)) {
        add_modules(root, &mut compiled);
    }
    (files.len(), files.difference(&compiled).cloned().collect())
}

#[test]
fn there_are_few_test_crates() {
    let count = roots(Path::new(env!("CARGO_MANIFEST_DIR"))).len();
    println!("{count} test crates");
    assert!((4..=MOST).contains(&count), "{count} test crates");
}

#[test]
fn every_file_belongs_to_a_test_crate() {
    let (count, forgotten) = forgotten(Path::new(env!("CARGO_MANIFEST_DIR")));
    println!("{count} files");
    assert_eq!(forgotten, Vec::<PathBuf>::new());
    assert!(count > 100, "{count} files");
}

#[test]
fn a_file_without_a_crate_is_found() {
    let project = Project::new();
    project
        .file("Cargo.toml", "[[example]]\nname = \"host\"\npath = \"tests/host/program.rs\"\n")
        .file("tests/alone.rs", "#[path = \"elsewhere/name.rs\"]\nmod other;\n")
        .file("tests/elsewhere/name.rs", "")
        .file("tests/host/program.rs", "")
        .file("tests/one/main.rs", "mod a;\n#[cfg(unix)]\npub mod b;\n")
        .file("tests/one/a.rs", "mod below;\nconst TEXT: &str = include_str!(\"text.rs\");\n")
        .file("tests/one/text.rs", "")
        .file("tests/one/a/below.rs", "")
        .file("tests/one/b/mod.rs", "")
        .file("tests/package/Cargo.toml", "")
        .file("tests/package/src/main.rs", "");
    assert_eq!(forgotten(project.path()), (8, Vec::new()));
    project.file("tests/one/main.rs", "mod a;\n").file("tests/one/a.rs", "// mod below;\n");
    let (_, found) = forgotten(project.path());
    let expected = ["tests/one/a/below.rs", "tests/one/b/mod.rs", "tests/one/text.rs"];
    assert_eq!(found, expected.map(|file| project.path().join(file).canonicalize().expect("it is there")));
}
