//! Tests that the command uses only the library's public API. In this test, the sources of
//! the command are part of another crate, which has no access to private items of the
//! library. So the compiler reports every use of a private item.

#[path = "../src/cli/mod.rs"]
mod cli;

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use bustard::Migrator;
use support::{Outcome, Project, cargo};

#[test]
fn the_command_compiles_outside_of_the_library() {
    let _: fn(Migrator) -> ExitCode = cli::run;
}

/// Proves that the compiler reports a use of items that only the library may name, by a
/// direct call of the compiler.
#[test]
fn private_items_are_refused() {
    let compiler = Compiler::find();
    compiler.compile(&Project::new(), None).success();
    for (file, fault, complaint) in [
        ("commands/status.rs", "use bustard::plan::Facts as _;", "error[E0603]: module `plan` is private"),
        ("mod.rs", "use crate::source::own as _;", "error[E0432]: unresolved import"),
        (
            "context.rs",
            "fn f(m: &bustard::Migrator) { drop(m.sources(bustard::Engine::Sqlite)); }",
            "error[E0624]",
        ),
        (
            "table.rs",
            "fn f(e: bustard::ErrorKind) { match e { bustard::ErrorKind::Usage => {} } }",
            "error[E0004]",
        ),
    ] {
        let outcome = compiler.compile(&Project::new(), Some((file, fault)));
        assert!(outcome.code == Some(1) && outcome.stderr.contains(complaint), "{fault}\n{outcome}");
    }
}

/// The compiler, with the libraries that this test was built with.
struct Compiler {
    libraries: BTreeMap<String, PathBuf>,
}

impl Compiler {
    fn find() -> Compiler {
        let mut cargo = cargo(&["test", "--no-run", "--test", "cli_public", "--message-format", "json"]);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        let messages = Outcome::of(cargo).success().stdout;
        let mut libraries = BTreeMap::new();
        for line in messages.lines() {
            let message: serde_json::Value = serde_json::from_str(line).expect("cargo speaks JSON");
            let files = message["filenames"].as_array().into_iter().flatten();
            let name = message["target"]["name"].as_str().unwrap_or_default().replace('-', "_");
            // Build scripts use another build of the library, without the command.
            let features = message["features"].as_array();
            if name == "bustard" && !features.is_some_and(|features| features.iter().any(|one| one == "cli"))
            {
                continue;
            }
            for file in files.filter_map(|file| file.as_str()) {
                if Path::new(file).extension().is_some_and(|extension| extension == "rlib") {
                    libraries.insert(name.clone(), PathBuf::from(file));
                }
            }
        }
        Compiler { libraries }
    }

    /// Compiles the command outside of the library, with one more line in one file.
    fn compile(&self, project: &Project, fault: Option<(&str, &str)>) -> Outcome {
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli"), &project.path().join("cli"));
        if let Some((file, line)) = fault {
            let file = Path::new("cli").join(file);
            let text = project.read(&file);
            project.file(file, format!("{text}\n{line}\n"));
        }
        project.file("main.rs", "mod cli;\nfn main() { cli::run(bustard::Migrator::new()); }\n");
        let mut command = Command::new("rustc");
        command.current_dir(project.path()).args(["--edition", "2024", "--emit", "metadata", "main.rs"]);
        command.arg("-L").arg(self.libraries["bustard"].with_file_name(""));
        for (name, file) in &self.libraries {
            command.arg("--extern").arg(format!("{name}={}", file.display()));
        }
        Outcome::of(command)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("directories can be made");
    for entry in fs::read_dir(from).expect("the sources are there") {
        let (from, to) =
            entry.map(|entry| (entry.path(), to.join(entry.file_name()))).expect("it is readable");
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).expect("it is readable");
        }
    }
}
