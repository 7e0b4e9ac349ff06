//! The sources of migrations: directories, files in the binary, code and refinery.
//!
//! In: the apps of the application, and the engine. Out: each app's migrations in order of
//! version, and diagnostics of names, files and the order of apps. Texts are split into
//! statements and judged later, and only those that are wanted, see
//! [`LoadedMigration::reading`]. Only this module reads files.

mod code;
mod directory;
mod embedded;
#[cfg(test)]
mod fuzz_targets;
mod name;
#[cfg(all(test, feature = "postgres", feature = "sqlite"))]
mod odd_characters;
#[cfg(all(test, feature = "build"))]
mod odd_files;
mod own;
mod parse;
pub(crate) mod reverting;
mod shared;
#[cfg(feature = "build")]
pub(crate) mod survey;
#[cfg(test)]
mod tests;
mod variants;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use crate::diagnostic::{Code, Diagnostic, Place};
use crate::model::{
    App, AppSource, BUSTARD, Body, Dependency, HistoryTable, LoadedApp, LoadedMigration, Migration,
    MigrationId, Prefix,
};
use crate::sql::{Dialect, Text, directive, names};
use directory::Found;
use name::{FileName, Kind, Language, Misnamed};
pub(crate) use own::own;
use parse::Directives;

/// The loaded apps and their diagnostics.
pub(crate) struct Loaded {
    pub apps: Vec<LoadedApp>,
    pub warnings: Vec<Diagnostic>,
    /// The errors, each with the index of its app; without those of judging texts.
    pub errors: Vec<(usize, Diagnostic)>,
    /// The apps that may lack a migration because of an error.
    pub broken: HashSet<usize>,
}

/// The diagnostics so far.
#[derive(Debug, Default)]
struct Diagnostics {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

/// The longest name that fits into refinery's history table, in characters.
const LONGEST_NAME: usize = 255;

/// Reads the migrations of all apps for one engine. The first app is Bustard's own.
pub(crate) fn load(apps: &[App], dialect: &'static dyn Dialect) -> Loaded {
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    check_labels(apps, &mut errors);
    let load_one = |(a, app)| {
        let mut found = Diagnostics::default();
        let loaded = load_app(app, dialect, &mut found);
        errors.extend(found.errors.into_iter().map(|error| (a, error)));
        warnings.append(&mut found.warnings);
        loaded
    };
    let sources = apps;
    let apps: Vec<LoadedApp> = sources.iter().enumerate().map(load_one).collect();
    let broken = errors.iter().map(|(a, _)| *a).collect();
    check_histories(&apps, dialect, &mut errors);
    errors.extend(shared::check(sources, &apps));
    Loaded { apps, warnings, errors, broken }
}

fn check_labels(apps: &[App], errors: &mut Vec<(usize, Diagnostic)>) {
    for (n, app) in apps.iter().enumerate() {
        let label = app.label.as_str();
        let error = if let Err(message) = names::label(label) {
            Diagnostic::new(Code::InvalidLabel, message).help(names::LABEL_HELP)
        } else if label == BUSTARD && n > 0 {
            Diagnostic::new(Code::ReservedLabel, "the label `bustard` belongs to Bustard's own tables")
                .help("give the app another label")
        } else if let Some(other) = apps[..n].iter().find(|other| other.label == label) {
            let other = other.path().map(|path| format!(": this one and that in {}", Place::file(path)));
            let message = format!("two apps have the label `{label}`{}", other.unwrap_or_default());
            Diagnostic::new(Code::DuplicateLabel, message).help("give one of them another label")
        } else {
            continue;
        };
        errors.push((n, at_directory(error, app)));
    }
}

/// Adds the directory of an app, if it has one.
fn at_directory(error: Diagnostic, app: &App) -> Diagnostic {
    match app.path() {
        Some(path) => error.at(Place::file(path)),
        None => error,
    }
}

/// Refuses two apps with one history table, because each would report the other's
/// migrations as missing.
fn check_histories(apps: &[LoadedApp], dialect: &'static dyn Dialect, errors: &mut Vec<(usize, Diagnostic)>) {
    let mut seen: BTreeMap<(Option<String>, String), &str> = BTreeMap::new();
    for (a, app) in apps.iter().enumerate() {
        let HistoryTable { mut schema, mut name, .. } = HistoryTable::of(app, dialect);
        if name.is_empty() || schema.as_deref() == Some("") {
            let message = format!("the app `{}` has a history table without a name", app.label);
            let error = Diagnostic::new(Code::InvalidHistoryTable, message);
            errors.push((a, error.help("write `table` or `schema.table`")));
        }
        if let Some(longest) = dialect.longest_table_name().filter(|longest| name.len() > *longest) {
            let message = format!("the history table of the app `{}` has too long a name", app.label);
            let help = format!("{dialect} would cut it: names have at most {longest} bytes");
            errors.push((a, Diagnostic::new(Code::InvalidHistoryTable, message).help(help)));
        }
        if !dialect.has_schemas() {
            schema = None;
        }
        if dialect.syntax().folds_quoted_names {
            name = name.to_ascii_lowercase();
        }
        match seen.insert((schema, name), &app.label) {
            Some(other) if other != app.label => {
                let message =
                    format!("the apps `{other}` and `{}` keep their history in one table", app.label);
                let error = Diagnostic::new(Code::SharedHistoryTable, message);
                errors.push((a, error.help("give one of them another history table")));
            }
            _ => {}
        }
    }
}

fn load_app(app: &App, dialect: &'static dyn Dialect, found: &mut Diagnostics) -> LoadedApp {
    let label = app.label.as_str();
    let mut migrations: Vec<LoadedMigration> = match &app.origin {
        AppSource::Directory(root) => {
            let files = without_rust(directory::list(root, found), found);
            let files = variants::choose(files, dialect, found);
            load_files(files, dialect, found)
        }
        AppSource::Embedded(files) => embedded::load(label, files, dialect, found),
        #[cfg(feature = "_engine")]
        AppSource::Refinery(theirs) => {
            theirs.iter().filter_map(|migration| code::refinery(label, migration, dialect, found)).collect()
        }
        AppSource::Code(built) => (built.iter())
            .filter_map(|(stem, migration)| code::built(label, stem, migration, dialect, found))
            .collect(),
    };
    migrations.sort_by(|one, other| order(&one.id).cmp(&order(&other.id)));
    for LoadedMigration { id, file, .. } in &migrations {
        name_fits(&format!("the app `{label}`"), id, file.as_ref(), found);
    }
    for pair in migrations.windows(2) {
        let [first, second] = pair else { continue };
        if first.id.is_repeatable() {
            if first.id == second.id {
                let message =
                    format!("the app `{label}` has two repeatable migrations of one name: {}", first.id);
                let help = "give one of them a name of its own: it is all that tells them apart";
                found.errors.push(Diagnostic::new(Code::DuplicateRepeatable, message).help(help));
            }
        } else if !second.id.is_repeatable() && first.id.version == second.id.version {
            let message = format!(
                "the app `{label}` has two migrations of one version: {} and {}",
                first.id, second.id
            );
            let error = Diagnostic::new(Code::DuplicateVersion, message);
            found.errors.push(error.help("give one of them a version of its own"));
        }
    }
    let edition = (label == BUSTARD).then_some(own::EDITION);
    LoadedApp { label: label.to_owned(), history: app.history.clone(), migrations, edition }
}

/// Returns the sort key: versions in order, then repeatable migrations by name.
fn order(id: &MigrationId) -> (bool, i64, &str) {
    match id.is_repeatable() {
        true => (true, 0, &id.name),
        false => (false, id.version, ""),
    }
}

/// Refuses Rust migrations in a directory, because they must be compiled into the host's
/// own command.
fn without_rust(files: Vec<Found>, found: &mut Diagnostics) -> Vec<Found> {
    let (rust, sql): (Vec<Found>, Vec<Found>) =
        files.into_iter().partition(|file| file.name.language == Language::Rust);
    if let Some(first) = rust.first() {
        let more = match rust.len() - 1 {
            0 => String::new(),
            1 => " (and one more)".to_owned(),
            n => format!(" (and {n} more)"),
        };
        let message = format!("a migration in Rust{more} needs the host's own command");
        let error = Diagnostic::new(Code::RustMigration, message);
        let help = "a directory is read for SQL only: compile the migration into the host, with `App::new` \
                    and `App::migration`, and migrate with the host's binary, which gives the app to \
                    `bustard::cli::run`";
        found.errors.push(error.at(Place::file(&first.path)).help(help));
    }
    sql
}

fn load_files(
    files: Vec<Found>,
    dialect: &'static dyn Dialect,
    found: &mut Diagnostics,
) -> Vec<LoadedMigration> {
    let mut migrations = Vec::with_capacity(files.len());
    for file in files {
        match directory::read(&file.path) {
            Ok(text) => migrations.push(sql_file(file, text, dialect, found)),
            Err(error) => found.errors.push(error),
        }
    }
    migrations
}

/// Loads an SQL file.
fn sql_file(
    file: Found,
    text: String,
    dialect: &'static dyn Dialect,
    found: &mut Diagnostics,
) -> LoadedMigration {
    let Found { path, name } = file;
    let place = Place::file(&path);
    fits(name.version, &place, found);
    let loaded = from_text(identity(name), path, text, dialect);
    LoadedMigration { file: Some(place), ..loaded }
}

/// Loads a text. It is read at once if it may contain directives, because these decide the
/// order and the caches. `path` is its name in messages.
fn from_text(id: MigrationId, path: PathBuf, text: String, dialect: &'static dyn Dialect) -> LoadedMigration {
    let has_directives = directive::may_be_in(&text);
    let read = move |text: &str| parse::parse(&Text::new(&path, text), dialect, Directives::Obeyed);
    if !has_directives {
        let body = Body::unread(read);
        return LoadedMigration { text, body, ..LoadedMigration::of(id, Migration::new(), None) };
    }
    let mut reading = read(&text);
    let depends_on = std::mem::take(&mut reading.migration.depends_on);
    let required_by = std::mem::take(&mut reading.migration.required_by);
    let dependency_lines = dependency_lines(&depends_on, &required_by);
    let body = Body::Read(reading);
    LoadedMigration { id, text, depends_on, required_by, dependency_lines, file: None, body }
}

/// Returns the diagnostic for a name that is not valid for a migration.
fn misnamed(Misnamed { message, help }: Misnamed, place: Place) -> Diagnostic {
    Diagnostic::new(Code::InvalidMigrationName, message).at(place).help(help)
}

fn identity(FileName { kind, version, name, .. }: FileName) -> MigrationId {
    MigrationId { version, prefix: prefix(kind), name }
}

fn prefix(kind: Kind) -> Prefix {
    match kind {
        Kind::InOrder => Prefix::V,
        Kind::OutOfOrder => Prefix::U,
        Kind::Repeatable => Prefix::R,
    }
}

/// Refuses names that do not fit into refinery's history table.
fn name_fits(whose: &str, id: &MigrationId, file: Option<&Place>, found: &mut Diagnostics) {
    let length = id.name.chars().count();
    if length > LONGEST_NAME {
        let message = format!(
            "{whose} has a migration {} whose name has {length} characters, more than {LONGEST_NAME}",
            if id.is_repeatable() { "R__…".to_owned() } else { id.short() }
        );
        let mut error =
            Diagnostic::new(Code::NameTooLong, message).help("shorten it: the history has no room for it");
        error.place = file.cloned();
        found.errors.push(error);
    }
}

/// Returns the lines of a text that declare dependencies.
fn dependency_lines(depends_on: &[Dependency], required_by: &[Dependency]) -> Vec<usize> {
    let all = depends_on.iter().chain(required_by);
    let lines = all.filter_map(|dependency| dependency.place.as_ref()?.line());
    lines.filter_map(|line| usize::try_from(line).ok()?.checked_sub(1)).collect()
}

/// Refuses versions that do not fit: without the feature `int8-versions` they have 32 bits.
fn fits(version: i64, place: &Place, found: &mut Diagnostics) {
    if cfg!(feature = "int8-versions") || i32::try_from(version).is_ok() {
        return;
    }
    let message = format!("the version {version} does not fit into 32 bits");
    let error = Diagnostic::new(Code::VersionTooWide, message);
    let help = "build with the feature `int8-versions` of the crate `bustard`";
    found.errors.push(error.at(place.clone()).help(help));
}
