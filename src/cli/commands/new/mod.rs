//! `bustard new`: creates a migration file that continues the numbering of its directory.
//! It needs no database and never overwrites a file.

mod numbering;

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use bustard::App;
use bustard::config::hide_secrets;
use clap::Args;
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::lines::Lines;
use crate::cli::nearest::nearest;
use crate::cli::program;
use numbering::Numbering;

const SQL: &str = include_str!("template.sql");
const RS: &str = include_str!("template.rs.txt");

#[derive(Args)]
pub struct Options {
    /// Name of the migration, such as create_users; blanks and dashes become underscores
    name: String,

    /// Label of the app, required if there are several
    #[arg(long, value_name = "APP")]
    app: Option<String>,

    /// Create a Rust file, for a host that compiles it in; `bustard` itself runs only SQL
    #[arg(long)]
    rs: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    app: &'a str,
    migration: String,
    file: String,
}

pub fn run(context: &Context<'_>, apps: &[App], options: &Options) -> Result<Exit, Failure> {
    let app = app(apps, options.app.as_deref())?;
    let directory = app.path().ok_or_else(|| without_directory(app, apps))?;
    let name = name(&options.name)?;
    let numbering = Numbering::read(directory).map_err(|error| unusable(directory, &error))?;
    let migration = format!("V{}__{name}", numbering.next(time::OffsetDateTime::now_utc()));
    let (extension, template) = if options.rs { ("rs", RS) } else { ("sql", SQL) };
    let file = directory.join(format!("{migration}.{extension}"));
    write(&file, template).map_err(|error| unusable(&file, &error))?;
    let document = Document { app: app.label(), migration, file: file.display().to_string() };
    context.output.done(&document, || Lines::of(format!("created {}", file.display())))?;
    Ok(Exit::Done)
}

fn app<'a>(apps: &'a [App], label: Option<&str>) -> Result<&'a App, Failure> {
    let labels = || apps.iter().map(App::label);
    match (label, apps) {
        (None, [only]) => Ok(only),
        (None, _) => {
            let labels: Vec<&str> = labels().collect();
            Err(Failure::usage("there are several apps, and none was chosen")
                .help(format!("choose one with --app: {}", labels.join(", ")))
                .into())
        }
        (Some(label), apps) => apps.iter().find(|app| app.label() == label).ok_or_else(|| {
            let help = match nearest(label, labels()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the apps are {}", labels().collect::<Vec<_>>().join(", ")),
            };
            Failure::usage(format!("there is no app `{}`", hide_secrets(label))).help(help).into()
        }),
    }
}

/// Returns the error for an app without a directory. The migrations of such an app are
/// compiled into the host.
fn without_directory(app: &App, apps: &[App]) -> Failure {
    let others: Vec<&str> = apps.iter().filter(|app| app.path().is_some()).map(App::label).collect();
    let mut help =
        format!("add the migration in the code of `{}`, where the app is defined", program::name());
    if !others.is_empty() {
        help += &format!("; the apps with a directory are {}", others.join(", "));
    }
    Failure::usage(format!("the app `{}` has no directory: its migrations are compiled in", app.label()))
        .help(help)
        .into()
}

/// Converts a name to `\w+`, as refinery requires.
fn name(given: &str) -> Result<String, Failure> {
    let name = given.trim().replace([' ', '-'], "_");
    if name.is_empty() {
        return Err(Failure::usage("a migration needs a name").into());
    }
    match name.chars().find(|c| !c.is_alphanumeric() && *c != '_') {
        None => Ok(name),
        Some(c) => Err(Failure::usage(format!("the name of a migration cannot contain `{c}`"))
            .help("use letters, digits and underscores, as in create_users")
            .into()),
    }
}

fn write(file: &Path, template: &str) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    OpenOptions::new().write(true).create_new(true).open(file)?.write_all(template.as_bytes())
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    let message = match error.kind() {
        ErrorKind::AlreadyExists => "the file already exists".to_owned(),
        _ => format!("cannot be used: {error}"),
    };
    Failure::usage(message).file(path).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_words() {
        for (given, expected) in [
            ("create_users", "create_users"),
            ("Create users-table", "Create_users_table"),
            ("straße2", "straße2"),
        ] {
            assert_eq!(name(given).ok().as_deref(), Some(expected));
        }
        for given in ["", "  ", "a/b", "a.b", "../x", "naïve!"] {
            assert!(name(given).is_err(), "{given}");
        }
    }
}
