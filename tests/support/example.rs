//! Builds the package's examples, with the features of the tests.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds an example and returns its path. `cargo test --test …` does not build examples.
pub fn example(name: &str) -> PathBuf {
    let mut cargo = cargo(&["build", "--quiet", "--example", name]);
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo starts").success());
    let program = Path::new(env!("CARGO_BIN_EXE_bustard")).with_file_name("examples").join(name);
    program.with_extension(env::consts::EXE_EXTENSION)
}

/// Returns Cargo with the features, the profile and the environment of the build of the
/// tests, so that nothing is built twice.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments);
    // Cargo's variables about the package are removed. Some build scripts run again when
    // these variables change, and everything that depends on these scripts would be
    // compiled again, in this build and in the next build.
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
