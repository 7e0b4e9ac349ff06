//! Embedding migrations: what a package's `build.rs` calls, so that its migrations
//! are in its binary, checked when it is built. Feature `build`.
//!
//! An application or a plugin names Bustard twice in its `Cargo.toml`; for the build
//! script it is a small library, without databases:
//!
//! ```toml
//! [dependencies]
//! bustard = { version = "0.1", default-features = false }
//!
//! [build-dependencies]
//! bustard = { version = "0.1", default-features = false, features = ["build"] }
//! ```
//!
//! The migrations lie in `migrations/` beside it, `build.rs` is one line, and
//! [`app!`](crate::app!) in `src/lib.rs` makes an [`App`](crate::App) of them:
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
//! A file that is new, changed or gone rebuilds the package. (`cargo fmt` does not
//! reach migrations in Rust: they are found by a macro. `rustfmt migrations/*.rs` does.)
#![allow(clippy::needless_doctest_main, reason = "that is what a build script looks like")]

mod generate;

use std::path::{Component, Path};

use crate::diagnostic::Diagnostic;
use crate::engine::dialects;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Engine;
use crate::source::survey::{Surveyed, survey};
use generate::Embedded;

/// Embeds the migration files of a directory and its subdirectories, named as seen
/// from `Cargo.toml`.
///
/// Everything that loading them would complain about on either engine fails the
/// build: names, versions that are there twice, directives, SQL that ends within
/// quotes, and what cannot be in a migration. So does a file of Rust without a
/// `pub fn migration()`. All of it is written to stderr, each with file, line and
/// column, and the process exits.
///
/// To be called from a build script. One package may embed several directories.
pub fn embed(directory: &str) {
    run(directory, &dialects::ALL);
}

/// The same for a package that works on one engine only: its files are checked for
/// that one.
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
    // Cargo looks at everything beneath it.
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
        let message = format!("the migrations of `{directory}` cannot be embedded: {error}");
        let help = "this is for build scripts, which Cargo runs";
        Error::new(ErrorKind::Failed, message).help(help).caused_by(error)
    })
}

/// The directory's plain name. It is published with the
/// package, so it must lie in it.
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
        return Err(Error::usage(format!("`{given}` is no directory of this package"))
            .help("name it as seen from Cargo.toml, for instance `migrations`"));
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
            assert_eq!(error.message(), format!("`{given}` is no directory of this package"));
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
