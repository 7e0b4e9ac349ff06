//! Directories of migration files.
//!
//! In: a directory. Out: the migration files in it and in its subdirectories, in the order
//! of their paths, and diagnostics about their names.
//!
//! Hidden files and directories, `mod.rs`, and files with other extensions than `.sql` and
//! `.rs` are ignored. A symbolic link to a file is followed. A link to a directory is not
//! followed, as in refinery, and causes a warning. The directory itself may be a link.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::name::{FileName, parse_file};
use super::{Diagnostics, misnamed};
use crate::diagnostic::{Code, Diagnostic, Place};

/// A migration file that has not been read yet.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub path: PathBuf,
    pub name: FileName,
}

pub(super) fn list(root: &Path, diagnostics: &mut Diagnostics) -> Vec<Found> {
    let before = diagnostics.errors.len();
    let mut found = Vec::new();
    match fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => walk(root, &mut found, diagnostics),
        Ok(_) => {
            let error = Diagnostic::new(Code::NotADirectory, "this is a file, not a directory of migrations");
            diagnostics.errors.push(error.at(Place::file(root)).help("name the directory that it is in"));
        }
        Err(error) => diagnostics.errors.push(unreadable("the directory of migrations", root, &error)),
    }
    if found.is_empty() && diagnostics.errors.len() == before {
        let error = Diagnostic::new(Code::EmptyDirectory, "there are no migrations in this directory");
        let help = "migrations are files named like `V1__create_users.sql`; is it the right directory?";
        diagnostics.errors.push(error.at(Place::file(root)).help(help));
    }
    found
}

fn walk(directory: &Path, found: &mut Vec<Found>, diagnostics: &mut Diagnostics) {
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            return diagnostics.errors.push(unreadable("a directory of migrations", directory, &error));
        }
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let file = entry.file_name();
        let file = file.to_string_lossy();
        if file.starts_with('.') {
            continue;
        }
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() && is_link => {
                let warning = Diagnostic::new(
                    Code::LinkNotFollowed,
                    "a link to a directory is not followed, as in refinery",
                );
                let help = "make it a directory, or an app of its own";
                diagnostics.warnings.push(warning.at(Place::file(path)).help(help));
            }
            Ok(metadata) if metadata.is_dir() => walk(&path, found, diagnostics),
            // A broken link may have pointed to a directory.
            Err(error) if path.extension().is_none() || parse_file(&file).is_some() => {
                diagnostics.errors.push(unreadable("an entry of the directory", &path, &error));
            }
            _ => match parse_file(&file) {
                None => {}
                Some(Ok(name)) => found.push(Found { path, name }),
                Some(Err(wrong)) => diagnostics.errors.push(misnamed(wrong, Place::file(path))),
            },
        }
    }
}

/// Reads the text of a file.
pub(super) fn read(path: &Path) -> Result<String, Diagnostic> {
    let bytes = fs::read(path).map_err(|error| unreadable("a migration", path, &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let good = String::from_utf8_lossy(good);
        let line_start = good.rfind('\n').map_or(0, |at| at + 1);
        let line = u32::try_from(good.matches('\n').count() + 1).unwrap_or(u32::MAX);
        let column = u32::try_from(good[line_start..].chars().count() + 1).unwrap_or(u32::MAX);
        let rest = String::from_utf8_lossy(&error.as_bytes()[line_start..]);
        let shown = rest.lines().next().unwrap_or_default().replace('\0', "\u{fffd}");
        let place = Place::at(path, line, column).with_line(shown);
        Diagnostic::new(Code::NotUtf8, "the file is not UTF-8").at(place).help("save it as UTF-8")
    })
}

pub(super) fn unreadable(what: &str, path: &Path, error: &io::Error) -> Diagnostic {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "does the path exist, seen from the working directory?",
        io::ErrorKind::PermissionDenied => "the user that runs this needs the right to read it",
        _ => "check for a link that leads back to itself, or a damaged file system",
    };
    let message = format!("{what} cannot be read: {error}");
    Diagnostic::new(Code::UnreadableSource, message).at(Place::file(path)).help(help)
}
