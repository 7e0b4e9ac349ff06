//! The package's examples, built as the tests are.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds an example, which `cargo test --test …` does not do by itself;
/// returns where it is.
pub fn example(name: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    as_the_tests(&mut cargo, &["build", "--quiet", "--example", name]);
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo starts").success());
    let program = Path::new(env!("CARGO_BIN_EXE_bustard")).with_file_name("examples").join(name);
    program.with_extension(std::env::consts::EXE_EXTENSION)
}

/// Tells Cargo to build with the features and the profile of the tests, so that
/// nothing is built twice.
pub fn as_the_tests(cargo: &mut Command, arguments: &[&str]) {
    cargo.args(arguments);
    if cfg!(feature = "testing") {
        cargo.arg("--all-features");
    } else if cfg!(feature = "tokio") {
        cargo.args(["--features", "tokio"]);
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
}
