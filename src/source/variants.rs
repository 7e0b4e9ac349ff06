//! The files of an app for one engine.
//!
//! In: all files of the app. Out: at most one file for each version, and for each name of a
//! repeatable migration. This file is the variant for the engine, or else the file for
//! every engine. A version that has only variants for other engines does not exist on this
//! engine.

use std::collections::BTreeMap;

use super::Diagnostics;
use super::directory::Found;
use super::name::Kind;
use crate::diagnostic::{Code, Diagnostic, Place};
use crate::sql::Dialect;

pub(super) fn choose(
    files: Vec<Found>,
    dialect: &'static dyn Dialect,
    diagnostics: &mut Diagnostics,
) -> Vec<Found> {
    let mut versions: BTreeMap<Key, Vec<Found>> = BTreeMap::new();
    for file in files {
        let same = versions.entry(key(&file)).or_default();
        match same.iter().find(|other| !are_variants(other, &file)) {
            Some(other) => diagnostics.errors.push(conflict(other, &file)),
            None => same.push(file),
        }
    }
    let own = dialect.variant();
    let pick = |mut same: Vec<Found>| {
        same.retain(|file| file.name.variant.is_none_or(|variant| variant == own));
        same.into_iter().max_by_key(|file| file.name.variant.is_some())
    };
    versions.into_values().filter_map(pick).collect()
}

/// The identity of a migration within its app.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Version(i64),
    Repeatable(String),
}

fn key(file: &Found) -> Key {
    match file.name.kind {
        Kind::Repeatable => Key::Repeatable(file.name.name.clone()),
        Kind::InOrder | Kind::OutOfOrder => Key::Version(file.name.version),
    }
}

fn are_variants(a: &Found, b: &Found) -> bool {
    let (a, b) = (&a.name, &b.name);
    (a.kind, &a.name, a.language) == (b.kind, &b.name, b.language) && a.variant != b.variant
}

fn conflict(first: &Found, second: &Found) -> Diagnostic {
    if second.name.kind == Kind::Repeatable {
        let message = format!(
            "two repeatable migrations have the name {}: this one and {}",
            second.name.name,
            Place::file(&first.path)
        );
        return Diagnostic::new(Code::DuplicateRepeatable, message)
            .at(Place::file(&second.path))
            .help("give one of them a name of its own: it is all that tells them apart");
    }
    let version = second.name.version;
    let message =
        format!("two migrations have the version {version}: this one and {}", Place::file(&first.path));
    Diagnostic::new(Code::DuplicateVersion, message)
        .at(Place::file(&second.path))
        .help("give one of them a version of its own; variants for engines share prefix and name, too")
}

#[cfg(test)]
mod tests {
    use super::super::name::parse_file;
    use super::*;
    use crate::engine::dialects::{POSTGRES, SQLITE};

    fn chosen(files: &[&str], dialect: &'static dyn Dialect) -> (Vec<String>, Vec<String>) {
        let mut diagnostics = Diagnostics::default();
        let found = |file: &&str| Found {
            path: file.into(),
            name: parse_file(file.rsplit('/').next().unwrap_or(file))
                .expect("a migration")
                .expect("well named"),
        };
        let chosen = choose(files.iter().map(found).collect(), dialect, &mut diagnostics);
        (
            chosen.iter().map(|file| file.path.display().to_string()).collect(),
            diagnostics.errors.iter().map(|error| error.message().to_owned()).collect(),
        )
    }

    #[test]
    fn the_variant_of_the_engine_takes_precedence() {
        let files = [
            "V1__x.postgres.sql",
            "V1__x.sql",
            "V2__y.sqlite.sql",
            "V3__z.sql",
            "V2__y.postgres.sql",
            "V10__a.sqlite.sql",
        ];
        let (postgres, diagnostics) = chosen(&files, POSTGRES);
        assert_eq!(postgres, ["V1__x.postgres.sql", "V2__y.postgres.sql", "V3__z.sql"]);
        assert!(diagnostics.is_empty());
        let (sqlite, _) = chosen(&files, SQLITE);
        assert_eq!(sqlite, ["V1__x.sql", "V2__y.sqlite.sql", "V3__z.sql", "V10__a.sqlite.sql"]);
    }

    #[test]
    fn repeatable_migrations_are_told_apart_by_name() {
        let files = ["R__b.sql", "V0__z.sql", "R__a.postgres.sql", "R__a.sqlite.sql", "R__b.sqlite.sql"];
        assert_eq!(
            chosen(&files, SQLITE),
            (
                vec!["V0__z.sql".into(), "R__a.sqlite.sql".into(), "R__b.sqlite.sql".into()],
                Vec::<String>::new()
            )
        );
        for (a, b) in [("R__a.sql", "x/R__a.sql"), ("R__a.sql", "R__a.rs")] {
            let (_, diagnostics) = chosen(&[a, b], SQLITE);
            assert_eq!(diagnostics, [format!("two repeatable migrations have the name a: this one and {a}")]);
        }
    }

    #[test]
    fn two_files_with_one_version() {
        for (a, b) in [
            ("V1__a.sql", "V1__b.sql"),
            ("V1__a.sql", "V01__a.sql"),
            ("U1__a.sql", "V1__a.sql"),
            ("V1__a.rs", "V1__a.sql"),
            ("V1__a.postgres.sql", "V1__b.sqlite.sql"),
            ("x/V1__a.sql", "y/V1__a.sql"),
        ] {
            let (_, diagnostics) = chosen(&[a, b], SQLITE);
            assert_eq!(diagnostics, [format!("two migrations have the version 1: this one and {a}")], "{b}");
        }
    }
}
