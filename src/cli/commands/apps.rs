//! `bustard apps` lists all apps with their state, including apps whose files no longer
//! exist. `disable` and `enable` change the state of an app.

use bustard::report::AppStatus;
use bustard::{AppState, Migrator};
use clap::Args;
use serde::Serialize;

use super::report;
use crate::cli::context::Context;
use crate::cli::document;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::lines::{Lines, Paint};
use crate::cli::table::{Cell, Table};

/// The options of `disable` and `enable`.
#[derive(Args)]
pub struct Options {
    /// Label of the app
    app: String,
}

#[derive(Serialize)]
struct Document<'a> {
    database: document::Database,
    apps: Vec<document::App<'a>>,
}

pub fn list(context: &Context<'_>, migrator: &Migrator) -> Result<Exit, Failure> {
    let mut chosen = context.database()?;
    let apps = migrator.list_apps(&mut chosen.database)?;
    let document =
        Document { database: chosen.document(), apps: apps.iter().map(document::App::from).collect() };
    context.output.answer(&document, || human(&apps))?;
    Ok(Exit::Done)
}

pub fn disable(context: &Context<'_>, migrator: &Migrator, options: &Options) -> Result<Exit, Failure> {
    let mut chosen = context.database()?;
    let report = migrator.disable(&mut chosen.database, &options.app)?;
    report::show(context, &mut chosen, &report)
}

pub fn enable(context: &Context<'_>, migrator: &Migrator, options: &Options) -> Result<Exit, Failure> {
    let mut chosen = context.database()?;
    let report = migrator.enable(&mut chosen.database, &options.app)?;
    report::show(context, &mut chosen, &report)
}

fn human(apps: &[AppStatus]) -> Lines {
    if apps.is_empty() {
        return Lines::of("no apps");
    }
    let mut table = Table::new(&["app", "version", "pending", "state", "caches"]);
    for app in apps {
        let (word, color) = match app.state {
            AppState::Enabled => ("enabled", Paint::Green),
            AppState::Disabled => ("disabled", Paint::Yellow),
            AppState::DataKept => ("data kept", Paint::Yellow),
            _ => ("not installed", Paint::Yellow),
        };
        let configured = if app.loaded { "" } else { ", not configured" };
        table.row([
            Cell::new(&app.label),
            Cell::new(app.version.map_or("-".to_owned(), |version| version.to_string())),
            Cell::new(if app.loaded { app.pending.to_string() } else { "-".to_owned() }),
            Cell::new(format!("{word}{configured}")).paint(color),
            Cell::new(app.caches.join(", ")),
        ]);
    }
    table.render()
}
