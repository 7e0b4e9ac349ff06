//! Embeds migrations into a binary. A package's `build.rs` calls this module, which also
//! checks the migrations at build time. Requires the feature `build`.
//!
//! In: a directory of migration files. Out: generated code for [`app!`](crate::app!), or
//! errors that fail the build.
//!
//! An application or a plugin lists Bustard twice in its `Cargo.toml`. As a build
//! dependency it is a small library without database drivers:
//!
//! ```toml
//! [dependencies]
//! bustard = { version = "0.1", default-features = false }
//!
//! [build-dependencies]
//! bustard = { version = "0.1", default-features = false, features = ["build"] }
//! ```
//!
//! The migrations are in `migrations/` beside `Cargo.toml`. `build.rs` is one line, and
//! [`app!`](crate::app!) in `src/lib.rs` returns an [`App`](crate::App) with the
//! migrations:
//!
//! ```no_run
//! fn main() {
//!     bustard::build::embed("migrations")
//! }
//! ```
//!
//! ```no_run
//! pub fn migrations() -> bustard::App {
//!     bustard::app!("bans")
//! }
//! ```
//!
//! Adding, changing or deleting a file rebuilds the package. `cargo fmt` does not format
//! migrations in Rust, because a macro includes them; use `rustfmt migrations/*.rs`.
#![allow(clippy::needless_doctest_main, reason = "a build script has a main function")]

mod generate;

use std::path::{Component, Path};

use crate::diagnostic::Diagnostic;
use crate::engine::dialects;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Engine;
use crate::source::survey::{Surveyed, survey};
use generate::Embedded;

/// Embeds the migration files of a directory and its subdirectories. `directory` is
/// relative to `Cargo.toml`.
///
/// Every error that loading the files would report on either engine fails the build:
/// invalid names, duplicate versions, invalid directives, unterminated strings, and
/// statements that cannot be in a migration. A Rust file without `pub fn migration()` fails
/// the build too. All errors are written to stderr with file, line and column, and the
/// process exits.
///
/// Call this from a build script. One package may embed several directories.
pub fn embed(directory: &str) {
    run(directory, &dialects::ALL);
}

/// Does the same as [`embed`] for a package that supports only one engine. Checks the files
/// only for that engine.
///
/// ```no_run
/// fn main() {
///     bustard::build::embed_for("migrations", bustard::Engine::Postgres)
/// }
/// ```
pub fn embed_for(directory: &str, engine: Engine) {
    run(directory, &[engine]);
}

fn run(directory: &str, engines: &[Engine]) {
    if let Err(error) = try_embed(directory, engines) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn try_embed(given: &str, engines: &[Engine]) -> Result<()> {
    let directory = within_package(given)?;
    // Cargo watches the whole directory tree.
    println!("cargo:rerun-if-changed={directory}");
    let survey =
        survey(Path::new(&directory), &engines.iter().copied().map(dialects::of).collect::<Vec<_>>());
    for warning in &survey.warnings {
        println!("cargo:warning={}", on_one_line(warning));
    }
    if !survey.errors.is_empty() {
        return Err(Error::from_diagnostics(ErrorKind::Source, survey.errors));
    }
    let files: Vec<Embedded> =
        survey.files.into_iter().map(|Surveyed { path, module }| Embedded { path, module }).collect();
    generate::publish(&directory, given, &files).map_err(|error| {
        let message = format!("cannot embed the migrations of `{directory}`: {error}");
        let help = "call this function from a build script, which Cargo runs";
        Error::new(ErrorKind::Failed, message).help(help).caused_by(error)
    })
}

/// Returns the normalised path of the directory. The directory must be inside the package,
/// because it is published with the package.
fn within_package(given: &str) -> Result<String> {
    let part = |component: Component<'_>| match component {
        Component::Normal(part) => {
            part.to_str().filter(|part| !part.contains(['=', '\n'])).map(str::to_owned)
        }
        _ => None,
    };
    let named = Path::new(given).components().filter(|component| *component != Component::CurDir);
    let parts: Vec<String> = named.map(part).collect::<Option<_>>().unwrap_or_default();
    if parts.is_empty() {
        return Err(Error::usage(format!("`{given}` is not a directory of this package"))
            .help("write the path relative to Cargo.toml, for example `migrations`"));
    }
    Ok(parts.join("/"))
}

fn on_one_line(warning: &Diagnostic) -> String {
    let place = warning.place().map_or_else(String::new, |place| format!("{place}: "));
    let help = warning.advice().map_or_else(String::new, |help| format!("; {help}"));
    format!("{place}{}{help}", warning.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_the_package() {
        for (given, directory) in
            [("migrations", "migrations"), ("./db/migrations/", "db/migrations"), ("a//b", "a/b")]
        {
            assert_eq!(within_package(given).ok().as_deref(), Some(directory), "{given}");
        }
        for given in ["", ".", "..", "/migrations", "../migrations", "db/../../migrations", "a=b"] {
            let error = within_package(given).expect_err(given);
            assert_eq!(error.message(), format!("`{given}` is not a directory of this package"));
        }
    }

    #[test]
    fn warnings_are_lines() {
        let warning = Diagnostic::new(crate::diagnostic::Code::EmptyMigration, "odd")
            .at(crate::diagnostic::Place::at("a.sql", 2, 3))
            .help("mend it");
        assert_eq!(on_one_line(&warning), "a.sql:2:3: odd; mend it");
    }
}
