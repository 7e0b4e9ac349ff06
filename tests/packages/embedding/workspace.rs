//! Packages that embed migrations, as their authors would write them, which the tests
//! build with Cargo.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Outcome;

/// A workspace of one test. All workspaces share their build directory, below
/// `target/embedding`, so that nothing is built twice. Each workspace has a fixed place
/// there, so that files do not accumulate. No two workspaces may have a package of the same
/// name. Cargo distinguishes packages only by their paths from the root of their workspace,
/// so these packages would overwrite each other's output.
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Creates a workspace with these packages and no files in them. The workspace has the
    /// lock file of this package, so that all dependencies are available.
    pub fn new(name: &str, packages: &[&str]) -> Workspace {
        let workspace = Workspace { root: below_target().join(name) };
        if workspace.root.exists() {
            fs::remove_dir_all(&workspace.root).expect("files of a former run can be removed");
        }
        // The code is not optimised, because compiling takes longer than running.
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

    /// Writes a package's `Cargo.toml`, with these lines for its dependencies.
    /// `BUSTARD` in them stands for this package's path.
    pub fn package(&self, name: &str, dependencies: &str) -> &Workspace {
        let dependencies = dependencies.replace("BUSTARD", &format!("path = {:?}", from_package("")));
        let package = format!("[package]\nname = {name:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n");
        self.file(&format!("{name}/Cargo.toml"), format!("{package}\n{dependencies}"))
    }

    /// Runs Cargo here, without network access.
    pub fn cargo(&self, arguments: &[&str]) -> Outcome {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(&self.root)
            .args(arguments)
            .args(["--release", "--offline", "--color", "never", "--target-dir"])
            .arg(built());
        Outcome::of_build(cargo)
    }

    /// Returns the path of a built program.
    pub fn program(&self, name: &str) -> PathBuf {
        built().join("release").join(name)
    }
}

/// Returns the directory of Cargo's output.
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
