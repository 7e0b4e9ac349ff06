//! Migrations that are built in code, and migrations that refinery has loaded.
//!
//! In: the migrations of the application. Out: loaded migrations like those from files,
//! with split SQL, a text for the checksum, and places that name the migration.

use std::path::{Path, PathBuf};

use super::name::parse_stem;
use super::parse::{Directives, parse};
use super::{Diagnostics, fits, misnamed, prefix};
use crate::diagnostic::{Code, Diagnostic, Place};
use crate::model::{
    Body, Finding, LoadedMigration, Migration, MigrationId, Operation, Prefix, Reading, Section, SourceText,
    Sql,
};
use crate::sql::{Dialect, Text, directive, names};

/// Loads a migration that was built with [`Migration`]'s methods.
pub(super) fn built(
    label: &str,
    stem: &str,
    migration: &Migration,
    dialect: &'static dyn Dialect,
    found: &mut Diagnostics,
) -> Option<LoadedMigration> {
    let file = PathBuf::from(format!("{label} {stem} (built in code)"));
    let place = Place::file(&file);
    match parse_stem(stem) {
        Ok((kind, version, name)) => {
            fits(version, &place, found);
            let id = MigrationId { version, prefix: prefix(kind), name: name.to_owned() };
            Some(complete(id, migration.clone(), &file, dialect, found))
        }
        Err(wrong) => {
            found.errors.push(misnamed(wrong, place));
            None
        }
    }
}

/// Completes a migration whose name is known: splits its SQL, adds places, and checks it.
/// `file` is the name of the migration in messages.
pub(super) fn complete(
    id: MigrationId,
    mut migration: Migration,
    file: &Path,
    dialect: &'static dyn Dialect,
    found: &mut Diagnostics,
) -> LoadedMigration {
    let place = Place::file(file);
    let mut reading = Reading::default();
    for error in migration.errors.drain(..) {
        let error = if error.place.is_some() { error } else { error.at(place.clone()) };
        reading.errors.push(Finding { diagnostic: error, section: Section::Up, unrunnable: false });
    }
    for dependencies in [&mut migration.depends_on, &mut migration.required_by] {
        dependencies.retain_mut(|dependency| {
            dependency.place.get_or_insert_with(|| place.clone());
            let checked = names::label(&dependency.app);
            if let Err(message) = &checked {
                let error = Diagnostic::new(Code::InvalidLabel, message);
                found.errors.push(error.at(place.clone()).help(names::LABEL_HELP));
            }
            checked.is_ok()
        });
    }
    for operation in &mut migration.operations {
        complete_operation(operation, file, dialect, Section::Up, &mut reading);
    }
    for operation in migration.down.iter_mut().flatten() {
        complete_operation(operation, file, dialect, Section::Down, &mut reading);
    }
    if migration.operations.is_empty() {
        let warning =
            Diagnostic::new(Code::EmptyMigration, "the migration does nothing: it has no operation");
        reading.warnings.push(warning.at(place));
    }
    let dependencies = migration.depends_on.len() + migration.required_by.len();
    let text = SourceText::from(canonical(&migration, dialect));
    let loaded = LoadedMigration::of(id, Migration::new(), None);
    let depends_on = std::mem::take(&mut migration.depends_on);
    let required_by = std::mem::take(&mut migration.required_by);
    let dependency_lines = (0..dependencies).collect();
    let body = Body::Read(Reading { migration, ..reading });
    LoadedMigration { text, depends_on, required_by, dependency_lines, body, ..loaded }
}

/// Completes one operation: splits its SQL, adds places, and checks it.
fn complete_operation(
    operation: &mut Operation,
    file: &Path,
    dialect: &'static dyn Dialect,
    section: Section,
    reading: &mut Reading,
) {
    let place = Place::file(file);
    let mut error = |diagnostic: Diagnostic| {
        reading.errors.push(Finding { diagnostic, section, unrunnable: false });
    };
    match operation {
        Operation::Sql(sql) => {
            let parsed = parse(&Text::new(file, sql.as_str()), dialect, Directives::Misplaced);
            reading.errors.extend(parsed.errors.into_iter().map(|error| Finding { section, ..error }));
            reading.warnings.extend(parsed.warnings);
            let statements = parsed.migration.operations.iter().flat_map(Operation::statements).cloned();
            *sql = Sql::split(sql.as_str(), statements.collect());
        }
        Operation::Schema(schema) => {
            if schema.sql(dialect).is_none() {
                let message = format!("sea-query cannot write a schema statement for {dialect}");
                let found = Diagnostic::new(Code::UnsupportedSchemaStatement, message);
                error(found.at(place).help("write it as SQL, with `Migration::sql`"));
            }
        }
        Operation::RegisterCache(register) => {
            cache(&register.name, &place).into_iter().for_each(error);
            register.place.get_or_insert(place);
        }
        Operation::ChangeCache(change) => {
            cache(&change.name, &place).into_iter().for_each(error);
            change.place.get_or_insert(place);
        }
        Operation::UnregisterCache(unregister) => {
            cache(&unregister.name, &place).into_iter().for_each(error);
            unregister.place.get_or_insert(place);
        }
        Operation::Function(_) => {}
    }
}

fn cache(name: &str, place: &Place) -> Option<Diagnostic> {
    let message = names::cache_name(name).err()?;
    Some(Diagnostic::new(Code::InvalidCacheName, message).at(place.clone()))
}

/// Returns the text for the checksum of a migration built in code: its operations as in a
/// file. A function is represented by its label.
fn canonical(migration: &Migration, dialect: &'static dyn Dialect) -> String {
    let depends = (migration.depends_on.iter())
        .map(|asked| format!("-- bustard: depends on {}{}", asked.app, asked.which.suffix()));
    let required = (migration.required_by.iter())
        .map(|asked| format!("-- bustard: required by {}{}", asked.app, asked.which.suffix()));
    let mut lines: Vec<String> = depends.chain(required).collect();
    lines.extend(migration.operations.iter().map(|o| canonical_line(o, dialect)));
    if let Some(down) = &migration.down {
        lines.push("-- bustard: down".to_owned());
        lines.extend(down.iter().map(|o| canonical_line(o, dialect)));
    }
    lines.push(String::new());
    lines.join("\n")
}

pub(super) fn canonical_line(operation: &Operation, dialect: &'static dyn Dialect) -> String {
    match operation {
        Operation::Sql(sql) => sql.as_str().to_owned(),
        Operation::Schema(schema) => schema.sql(dialect).map_or_else(String::new, |sql| format!("{sql};")),
        Operation::RegisterCache(register) => {
            let more = match register.tables.is_empty() {
                _ if register.keeps_owner => " again".to_owned(),
                true => String::new(),
                false => format!(" on {}", register.table_list()),
            };
            format!("-- bustard: register cache {}{more}", quoted(&register.name))
        }
        Operation::ChangeCache(change) => {
            let more = if change.reverts { "back".to_owned() } else { format!("on {}", change.table_list()) };
            format!("-- bustard: change cache {} {more}", quoted(&change.name))
        }
        Operation::UnregisterCache(unregister) => {
            format!("-- bustard: unregister cache {}", quoted(&unregister.name))
        }
        Operation::Function(function) => format!("-- function {}", function.label()),
    }
}

fn quoted(name: &str) -> String {
    if names::is_bare(name) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Loads one of refinery's migrations. Its SQL is treated like a file.
#[cfg(feature = "_engine")]
pub(super) fn refinery(
    label: &str,
    theirs: &refinery_core::Migration,
    dialect: &'static dyn Dialect,
    found: &mut Diagnostics,
) -> Option<LoadedMigration> {
    let file = PathBuf::from(format!("{label} {theirs} (from refinery)"));
    let Some(sql) = theirs.sql() else {
        let error = Diagnostic::new(
            Code::MigrationWithoutSql,
            "a migration without SQL: it was read from a history table",
        );
        let help = "give the migrations that `embed_migrations!` or `load_sql_migrations` returned";
        found.errors.push(error.at(Place::file(file)).help(help));
        return None;
    };
    // The prefix is compared as text, because its type has no public name.
    let prefix = if theirs.prefix().to_string() == "U" { Prefix::U } else { Prefix::V };
    // The version has 32 bits without the feature `int8-versions`.
    #[allow(clippy::useless_conversion, reason = "the conversion is useless only with the feature")]
    let version = i64::from(theirs.version());
    let id = MigrationId { version, prefix, name: theirs.name().to_owned() };
    let directives = directive::may_be_in(sql);
    match super::from_text(id, file, SourceText::from(sql.to_owned()), directives, dialect) {
        Ok(loaded) => Some(loaded),
        Err(error) => {
            found.errors.push(error);
            None
        }
    }
}
