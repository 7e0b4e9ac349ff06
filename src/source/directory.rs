//! Directories of migration files.
//!
//! In: a directory. Out: the migration files in it and in its subdirectories, in the order
//! of their paths, and diagnostics about their names.
//!
//! Hidden files and directories, `mod.rs`, and files with other extensions than `.sql` and
//! `.rs` are ignored. Any other name that ends in `.sql` or `.rs` must be that of a regular
//! file, and UTF-8. A symbolic link to a file is followed. A link to a directory is not
//! followed, as in refinery, and causes a warning. The directory itself may be a link.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::name::{FileName, parse_file};
use super::{Diagnostics, misnamed};
use crate::diagnostic::{Code, Diagnostic, Place};
use crate::regular_file::{self, Refusal};
use crate::sql::Text;

/// The number of levels of directories that are read.
const DEEPEST: usize = 64;

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
        Ok(metadata) if metadata.is_dir() => walk(root, 1, &mut found, diagnostics),
        Ok(metadata) => {
            let kind = regular_file::kind(metadata.file_type());
            let message = format!("this is {kind}, not a directory of migrations");
            let error = Diagnostic::new(Code::NotADirectory, message).at(Place::file(root));
            diagnostics.errors.push(error.help("name the directory that it is in"));
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

fn walk(directory: &Path, level: usize, found: &mut Vec<Found>, diagnostics: &mut Diagnostics) {
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
        let name = entry.file_name();
        let shown = name.to_string_lossy();
        if shown.starts_with('.') {
            continue;
        }
        let named = parse_file(&shown);
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        match fs::metadata(&path) {
            Ok(metadata) if named.is_some() && !metadata.is_file() => {
                diagnostics.errors.push(not_a_file(path, regular_file::kind(metadata.file_type())));
            }
            Ok(metadata) if metadata.is_dir() && is_link => {
                let warning = Diagnostic::new(
                    Code::LinkNotFollowed,
                    "a link to a directory is not followed, as in refinery",
                );
                let help = "make it a directory, or an app of its own";
                diagnostics.warnings.push(warning.at(Place::file(path)).help(help));
            }
            Ok(metadata) if metadata.is_dir() && level == DEEPEST => {
                let message = format!("directories of migrations are nested more than {DEEPEST} levels deep");
                let error = Diagnostic::new(Code::UnreadableSource, message).at(Place::file(path));
                diagnostics.errors.push(error.help("move the directory up, or remove it"));
            }
            Ok(metadata) if metadata.is_dir() => {
                let before = found.len();
                walk(&path, level + 1, found, diagnostics);
                if name.to_str().is_none() && found.len() > before {
                    found.truncate(before);
                    diagnostics.errors.push(not_utf8("the name of the directory", path));
                }
            }
            // A broken link may have pointed to a directory.
            Err(error) if path.extension().is_none() || named.is_some() => {
                diagnostics.errors.push(unreadable("an entry of the directory", &path, &error));
            }
            _ => match named {
                None => {}
                Some(_) if name.to_str().is_none() => {
                    diagnostics.errors.push(not_utf8("the name of the file", path));
                }
                Some(Ok(name)) => found.push(Found { path, name }),
                Some(Err(wrong)) => diagnostics.errors.push(misnamed(wrong, Place::file(path))),
            },
        }
    }
}

/// Reads the text of a file.
pub(super) fn read(path: &Path) -> Result<String, Diagnostic> {
    let bytes =
        regular_file::read(path, regular_file::MIGRATION).map_err(|refusal| refused(refusal, path))?;
    String::from_utf8(bytes).map_err(|error| {
        let bytes = error.as_bytes();
        let at = error.utf8_error().valid_up_to();
        let line_end = bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| at + end);
        let place = Text::new(path, &String::from_utf8_lossy(&bytes[..line_end])).place(at);
        let help = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it looks like UTF-16: save it as UTF-8",
            _ => "save it as UTF-8",
        };
        Diagnostic::new(Code::NotUtf8, "the file is not UTF-8").at(place).help(help)
    })
}

fn refused(refusal: Refusal, path: &Path) -> Diagnostic {
    match refusal {
        Refusal::Unreadable(error) => unreadable("a migration", path, &error),
        Refusal::NotRegular(kind) => not_a_file(path.to_owned(), kind),
        Refusal::TooLarge(_) => {
            let message = format!("a migration cannot be read: {}", refusal.why());
            let help = "divide it into several migrations, or load its data with another program";
            Diagnostic::new(refusal.code(), message).at(Place::file(path)).help(help)
        }
    }
}

fn not_a_file(path: PathBuf, kind: &str) -> Diagnostic {
    let message = format!("this is named like a migration and is {kind}, not a regular file");
    let error = Diagnostic::new(Code::NotARegularFile, message).at(Place::file(path));
    error.help("rename it, or put a file in its place")
}

fn not_utf8(what: &str, path: PathBuf) -> Diagnostic {
    let error = Diagnostic::new(Code::NotUtf8, format!("{what} is not UTF-8")).at(Place::file(path));
    error.help("rename it: names are kept as text")
}

fn unreadable(what: &str, path: &Path, error: &io::Error) -> Diagnostic {
    let target = fs::read_link(path).ok();
    let message = format!("{what} cannot be read: {error}");
    let diagnostic = Diagnostic::new(Code::UnreadableSource, message).at(Place::file(path));
    match (error.kind(), target) {
        (io::ErrorKind::NotFound, Some(target)) => {
            let target = Place::file(target);
            diagnostic
                .help(format!("it is a link to {target}, which does not exist: mend or remove the link"))
        }
        (io::ErrorKind::NotFound, None) => {
            diagnostic.help("does the path exist, seen from the working directory?")
        }
        (io::ErrorKind::PermissionDenied, _) => {
            diagnostic.help("the user that runs this needs the right to read it")
        }
        (_, Some(_)) => diagnostic.help("it is a link: check that it does not lead back to itself"),
        (_, None) => diagnostic.help("check for a link that leads back to itself, or a damaged file system"),
    }
}
