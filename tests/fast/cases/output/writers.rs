//! Only one module of the command writes to the terminal, and it cleans what it writes.

use std::fs;
use std::path::{Path, PathBuf};

/// What writes to a terminal, or could.
const WRITERS: &[&str] = &[
    "println!",
    "print!",
    "dbg!",
    "io::stdout()",
    "io::stderr()",
    "anstream::",
    "ProgressBar",
    "env_logger::",
    "set_hook",
    "File::options().write",
];

/// Files that may write: the writer; the build scripts of users, which speak to Cargo;
/// failpoints and the driver of the fuzz targets, which exist only for tests; and the
/// question whether someone can answer.
const ALLOWED: &[&str] = &[
    "src/cli/output.rs",
    "src/build/mod.rs",
    "src/build/generate.rs",
    "src/failpoint.rs",
    "src/fuzz.rs",
    "src/cli/confirm.rs",
];

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("it is a directory") {
        let path = entry.expect("it is listed").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The lines of a file that write, without comments and tests.
fn writing(text: &str) -> Vec<&str> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.filter(|line| WRITERS.iter().any(|writer| line.contains(writer))).collect()
}

#[test]
fn a21_one_module_writes_to_the_terminal() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    files(&package.join("src"), &mut all);
    let mut wrong = Vec::new();
    for path in &all {
        let name = path.strip_prefix(package).expect("it is below").to_string_lossy().into_owned();
        let is_test = name.ends_with("tests.rs") || name.contains("/tests/") || name.contains("inputs.rs");
        if is_test || ALLOWED.contains(&name.as_str()) {
            continue;
        }
        let text = fs::read_to_string(path).expect("it is UTF-8");
        wrong.extend(writing(&text).iter().map(|line| format!("{name}: {}", line.trim())));
    }
    assert!(all.len() > 200, "{}", all.len());
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a21_the_check_finds_a_seeded_writer() {
    for line in
        ["    println!(\"{name}\");", "let mut out = io::stderr();", "eprint!(\"x\")", "anstream::stdout()"]
    {
        assert_eq!(writing(&format!("fn f() {{\n{line}\n}}\n")).len(), 1, "{line}");
    }
    assert_eq!(writing("// println!\nfn f() {}\n"), Vec::<&str>::new());
}
