//! Files that a build script has embedded in the binary.
//!
//! In: the paths of the files, with their texts or functions. Out: the same migrations as
//! from a directory. Messages show the app's label instead of the directory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::directory::Found;
use super::name::parse_file;
use super::{Diagnostics, code, fits, from_text, identity, misnamed, variants};
use crate::diagnostic::Place;
use crate::embedded::{Built, File};
use crate::model::{LoadedMigration, SourceText};
use crate::sql::{Dialect, directive};

pub(super) fn load(
    label: &str,
    files: &[(&str, File)],
    dialect: &'static dyn Dialect,
    diagnostics: &mut Diagnostics,
) -> Vec<LoadedMigration> {
    let root = PathBuf::from(format!("{label} (embedded)"));
    let by_path: HashMap<PathBuf, File> = files.iter().map(|(path, file)| (root.join(path), *file)).collect();
    let named = files.iter().filter_map(|(path, _)| found(&root.join(path), diagnostics)).collect();
    let mut migrations = Vec::with_capacity(files.len());
    for found in variants::choose(named, dialect, diagnostics) {
        let text = match by_path.get(&found.path) {
            Some(File::Sql(text)) => (SourceText::from(*text), directive::may_be_in(text)),
            Some(File::Rust(function)) => match function() {
                Built::Text(text) => {
                    let directives = directive::may_be_in(&text);
                    (SourceText::from(text), directives)
                }
                Built::Migration(migration) => {
                    let place = Place::file(&found.path);
                    fits(found.name.version, &place, diagnostics);
                    let id = identity(found.name);
                    migrations.push(LoadedMigration {
                        file: Some(place),
                        ..code::complete(id, migration, &found.path, dialect, diagnostics)
                    });
                    continue;
                }
            },
            None => continue,
        };
        let ((text, directives), place) = (text, Place::file(&found.path));
        fits(found.name.version, &place, diagnostics);
        match from_text(identity(found.name), found.path, text, directives, dialect) {
            Ok(loaded) => migrations.push(LoadedMigration { file: Some(place), ..loaded }),
            Err(error) => diagnostics.errors.push(error),
        }
    }
    migrations
}

fn found(path: &Path, diagnostics: &mut Diagnostics) -> Option<Found> {
    match parse_file(&path.file_name()?.to_string_lossy())? {
        Ok(name) => Some(Found { path: path.to_owned(), name }),
        Err(wrong) => {
            diagnostics.errors.push(misnamed(wrong, Place::file(path)));
            None
        }
    }
}
