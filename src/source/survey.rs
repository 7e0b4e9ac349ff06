//! The survey of a directory for embedding.
//!
//! In: the directory, and the engines of its migrations. Out: all its migration files, and
//! the diagnostics of loading them on one of these engines. The width of versions is not
//! checked, because only the loading program knows it.

use std::path::Path;

use super::directory::{self, Found};
use super::name::{Kind, Language, parse_file};
use super::parse::Directives;
use super::{Diagnostics, identity, name_fits, parse, variants};
use crate::diagnostic::{Advice, Code, Diagnostic, Place};
use crate::sql::{Dialect, Text};

/// The files of a directory, and their diagnostics.
pub(crate) struct Survey {
    /// The migration files, in the order of their paths.
    pub files: Vec<Surveyed>,
    pub errors: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
}

/// A migration file.
pub(crate) struct Surveyed {
    /// The path of the file relative to the directory, with `/`.
    pub path: String,
    /// The name of the file's module, if the file is written in Rust.
    pub module: Option<String>,
}

pub(crate) fn survey(root: &Path, dialects: &[&'static dyn Dialect]) -> Survey {
    let mut found = Diagnostics::default();
    let listed = directory::list(root, &mut found);
    let mut files = Vec::with_capacity(listed.len());
    for (n, Found { path, name }) in listed.iter().enumerate() {
        // The name of a repeatable migration may not be valid for a module.
        let module = (name.language == Language::Rust).then(|| match name.kind {
            Kind::Repeatable => format!("r{n}"),
            Kind::InOrder | Kind::OutOfOrder => format!("v{}", name.version),
        });
        name_fits("the directory", &identity(name.clone()), Some(&Place::file(path)), &mut found);
        let beneath = path.strip_prefix(root).unwrap_or(path);
        let parts: Option<Vec<&str>> = beneath.components().map(|part| part.as_os_str().to_str()).collect();
        match parts {
            Some(parts) => files.push(Surveyed { path: parts.join("/"), module }),
            None => {
                let error = Diagnostic::new(Code::NotUtf8, "the path is not UTF-8").at(Place::file(path));
                found.errors.push(error.help("rename the file or its directory"));
            }
        }
    }
    let each: Vec<(&'static dyn Dialect, Diagnostics)> =
        dialects.iter().map(|dialect| (*dialect, check(&listed, *dialect))).collect();
    for (dialect, its) in &each {
        let everywhere = |error: &Diagnostic| each.iter().all(|(_, others)| others.errors.contains(error));
        for error in &its.errors {
            let error = if everywhere(error) { error.clone() } else { only(error, *dialect) };
            if !found.errors.contains(&error) {
                found.errors.push(error);
            }
        }
        for warning in &its.warnings {
            if !found.warnings.contains(warning) {
                found.warnings.push(warning.clone());
            }
        }
    }
    found.errors.sort_by(|one, other| one.place.cmp(&other.place));
    Survey { files, errors: found.errors, warnings: found.warnings }
}

/// Returns the diagnostics of loading on one engine.
fn check(files: &[Found], dialect: &'static dyn Dialect) -> Diagnostics {
    let mut found = Diagnostics::default();
    for Found { path, name } in variants::choose(files.to_vec(), dialect, &mut found) {
        match directory::read(&path) {
            Err(error) => found.errors.push(error),
            Ok(text) if name.language == Language::Sql => {
                let parsed = parse::parse(&Text::new(&path, &text), dialect, Directives::Obeyed);
                found.errors.extend(parsed.errors.into_iter().map(|error| error.diagnostic));
                found.warnings.extend(parsed.warnings);
            }
            Ok(text) if has_function(&text) => {}
            Ok(_) => {
                let error = Diagnostic::new(
                    Code::MissingMigrationFunction,
                    "there is no `pub fn migration()` in this file",
                );
                let help = "write it; it returns a `String` of SQL, or a `bustard::Migration`";
                found.errors.push(error.at(Place::file(path)).help(help));
            }
        }
    }
    found
}

/// Adds advice to an error that occurs on one engine only, for packages that do not use
/// this engine. Errors in a variant for the engine remain unchanged.
fn only(error: &Diagnostic, dialect: &'static dyn Dialect) -> Diagnostic {
    let file = error.place.as_ref().and_then(|place| place.path().file_name());
    let name = file.and_then(|file| parse_file(&file.to_string_lossy()));
    if name.is_some_and(|name| name.is_ok_and(|name| name.variant.is_some())) {
        return error.clone();
    }
    let (engine, variant) = (dialect.name(), dialect.variant());
    let before = error.advice.clone().map_or_else(Advice::default, |advice| advice.and("; "));
    error.clone().help(before.and(format!(
        "only {engine} objects: give it a `.{variant}.sql` of its own, or, if the package is not for \
         {engine}, write `bustard::build::embed_for`"
    )))
}

/// Returns whether a Rust file has a public function `migration`. A comment may mislead
/// this check, but then the compiler reports the error.
fn has_function(text: &str) -> bool {
    // The compiler ignores a byte order mark too.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let words: Vec<&str> = code.split_whitespace().collect();
    words.windows(3).any(|three| {
        let public = three[0].starts_with("pub") || three[0].ends_with(')');
        let rest = three[2].strip_prefix("migration");
        public && three[1] == "fn" && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('('))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::dialects::{POSTGRES, SQLITE};

    #[test]
    fn functions_of_rust_files() {
        for good in [
            "pub fn migration() -> String {",
            "use x;\n\n#[must_use]\npub(crate) fn migration() -> Migration",
            "pub fn\n    migration ()",
            "\u{feff}pub fn migration() -> String {\r\n",
            "pub(in crate::a) fn migration(",
        ] {
            assert!(has_function(good), "{good}");
        }
        for bad in ["", "fn migration()", "// pub fn migration()", "pub fn migrations()", "pub mod migration"]
        {
            assert!(!has_function(bad), "{bad}");
        }
    }

    #[test]
    fn a_survey_has_the_files_of_both_engines() {
        let root = tempfile::TempDir::new().expect("a temporary directory");
        std::fs::create_dir(root.path().join("b")).expect("a directory");
        for (file, text) in [
            ("V2__b.postgres.sql", "DO $$ BEGIN PERFORM 1; END $$;"),
            ("V2__b.sqlite.sql", "SELECT [1]"),
            ("b/V1__a.rs", "pub fn migration() -> String { String::new() }"),
            ("b/R__a.rs", "pub fn migration() -> String { String::new() }"),
            // The loading program checks the width.
            ("U20240131120000__c.sql", ""),
        ] {
            std::fs::write(root.path().join(file), text).expect("a file");
        }
        let Survey { files, errors, warnings } = survey(root.path(), &[POSTGRES, SQLITE]);
        assert_eq!(errors, []);
        assert_eq!(warnings.len(), 1, "the empty one, and once: {warnings:?}");
        let files: Vec<(&str, Option<&str>)> =
            files.iter().map(|file| (file.path.as_str(), file.module.as_deref())).collect();
        let expected = [
            ("U20240131120000__c.sql", None),
            ("V2__b.postgres.sql", None),
            ("V2__b.sqlite.sql", None),
            ("b/R__a.rs", Some("r3")),
            ("b/V1__a.rs", Some("v1")),
        ];
        assert_eq!(files, expected);
    }
}
