//! The package's examples, built as the tests are.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds an example, which `cargo test --test …` does not do by itself;
/// returns where it is.
pub fn example(name: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet", "--example", name]);
    // With the same features, so that nothing is built twice.
    if cfg!(feature = "testing") {
        cargo.arg("--all-features");
    } else if cfg!(feature = "tokio") {
        cargo.args(["--features", "tokio"]);
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo starts").success());
    let program = Path::new(env!("CARGO_BIN_EXE_bustard")).with_file_name("examples").join(name);
    program.with_extension(std::env::consts::EXE_EXTENSION)
}
