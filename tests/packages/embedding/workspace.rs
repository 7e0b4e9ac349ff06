//! Packages that embed migrations, as their authors would write them, which the
//! tests build with Cargo.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Outcome;

/// A workspace of one test's own. All of them share what they have built, below
/// `target/embedding`, so that nothing is built twice; each has its place there, so
/// that nothing piles up.
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// A workspace with these packages and no files in them, which finds everything
    /// that it needs where this package has found it.
    pub fn new(name: &str, packages: &[&str]) -> Workspace {
        let workspace = Workspace { root: below_target().join(name) };
        if workspace.root.exists() {
            fs::remove_dir_all(&workspace.root).expect("what a former run has left can be removed");
        }
        // Unoptimised, since nobody waits for what it does, only for the compiler.
        workspace.file(
            "Cargo.toml",
            format!(
                "[workspace]\nmembers = {packages:?}\nresolver = \"3\"\n\n\
                 [profile.release]\nopt-level = 0\n"
            ),
        );
        let lock = fs::read(from_package("Cargo.lock")).expect("there is a lock");
        workspace.file("Cargo.lock", lock);
        workspace
    }

    pub fn path(&self) -> &Path {
        &self.root
    }

    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> &Workspace {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().expect("a file has a directory")).expect("directories can be made");
        fs::write(&path, contents).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self
    }

    pub fn remove(&self, name: &str) -> &Workspace {
        fs::remove_file(self.root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        self
    }

    /// Writes a package's `Cargo.toml`, with these lines for its dependencies, in which
    /// `BUSTARD` is where this package is.
    pub fn package(&self, name: &str, dependencies: &str) -> &Workspace {
        let dependencies = dependencies.replace("BUSTARD", &format!("path = {:?}", from_package("")));
        let package = format!("[package]\nname = {name:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n");
        self.file(&format!("{name}/Cargo.toml"), format!("{package}\n{dependencies}"))
    }

    /// Runs Cargo here, which gets nothing from the network.
    pub fn cargo(&self, arguments: &[&str]) -> Outcome {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(&self.root)
            .args(arguments)
            .args(["--release", "--offline", "--color", "never", "--target-dir"])
            .arg(built());
        Outcome::of_build(cargo)
    }

    /// A program of a package that has been built.
    pub fn program(&self, name: &str) -> PathBuf {
        built().join("release").join(name)
    }
}

/// The directory in which Cargo puts what it has built.
pub fn built() -> PathBuf {
    below_target().join("built")
}

fn below_target() -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    temporary.parent().expect("it is in target/").join("embedding")
}

fn from_package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
