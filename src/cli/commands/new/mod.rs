//! `bustard new`: writes a migration file that continues its directory's
//! numbering. Needs no database, and never overwrites a file.

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
use crate::cli::nearest::nearest;
use crate::cli::program;
use numbering::Numbering;

const SQL: &str = include_str!("template.sql");
const RS: &str = include_str!("template.rs.txt");

#[derive(Args)]
pub struct Options {
    /// What the migration does, such as create_users; blanks and dashes become underscores
    name: String,

    /// The app, if there are several
    #[arg(long, value_name = "APP")]
    app: Option<String>,

    /// Write Rust, for a host that compiles it in; the command itself runs SQL only
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
    context.output.answer(&document, || format!("created {}\n", file.display()))?;
    Ok(Exit::StepReport)
}

fn app<'a>(apps: &'a [App], label: Option<&str>) -> Result<&'a App, Failure> {
    let labels = || apps.iter().map(App::label);
    match (label, apps) {
        (None, [only]) => Ok(only),
        (None, _) => {
            let labels: Vec<&str> = labels().collect();
            Err(Failure::usage("which app? There are several")
                .help(format!("give --app, one of {}", labels.join(", ")))
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

/// A host's app whose migrations are compiled in.
fn without_directory(app: &App, apps: &[App]) -> Failure {
    let others: Vec<&str> = apps.iter().filter(|app| app.path().is_some()).map(App::label).collect();
    let mut help = format!("add it in the code of `{}`, where the app is made", program::name());
    if !others.is_empty() {
        help += &format!("; the apps with a directory are {}", others.join(", "));
    }
    Failure::usage(format!(
        "the migrations of the app `{}` are in no directory, but compiled in",
        app.label()
    ))
    .help(help)
    .into()
}

/// Names are `\w+`, as refinery has it.
fn name(given: &str) -> Result<String, Failure> {
    let name = given.trim().replace([' ', '-'], "_");
    if name.is_empty() {
        return Err(Failure::usage("a migration needs a name").into());
    }
    match name.chars().find(|c| !c.is_alphanumeric() && *c != '_') {
        None => Ok(name),
        Some(c) => Err(Failure::usage(format!("`{c}` cannot be in a migration's name"))
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
        ErrorKind::AlreadyExists => "there is such a file already".to_owned(),
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
