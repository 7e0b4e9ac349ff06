//! The package's examples, built as the tests are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds an example, which `cargo test --test …` does not do by itself;
/// returns where it is.
pub fn example(name: &str) -> PathBuf {
    let mut cargo = cargo(&["build", "--quiet", "--example", name]);
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo starts").success());
    let program = Path::new(env!("CARGO_BIN_EXE_bustard")).with_file_name("examples").join(name);
    program.with_extension(env::consts::EXE_EXTENSION)
}

/// Cargo with the features, the profile and the environment that the tests were built
/// with, so that nothing is built twice.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments);
    // What Cargo tells a test of its package. Some build scripts run again when it
    // changes, and all that depends on them is compiled again: for this, and for the
    // next build without it.
    for (name, _) in env::vars_os() {
        let starts = |start| name.to_string_lossy().starts_with(start);
        if ["CARGO_BIN_", "CARGO_CRATE_", "CARGO_MANIFEST_", "CARGO_PKG_", "OUT_DIR"].into_iter().any(starts)
        {
            cargo.env_remove(&name);
        }
    }
    if cfg!(feature = "testing") {
        cargo.arg("--all-features");
    } else if cfg!(feature = "tokio") {
        cargo.args(["--features", "tokio"]);
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    cargo
}
