//! `bustard graph`: which app needs which, and where that was asked for. Connects
//! to nothing: the database's URL only says for which engine.

mod picture;

use bustard::{Asked, GraphEdge, MigrationGraph, MigrationId, Migrator};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::document;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::table;
use picture::Picture;

#[derive(Args)]
pub struct Options {
    /// Text, or a picture for Mermaid or Graphviz, whose arrows lead to what comes later
    #[arg(long, value_name = "text|mermaid|dot", default_value = "text", hide_possible_values = true)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Mermaid,
    Dot,
}

#[derive(Serialize)]
struct Document<'a> {
    engine: &'static str,
    apps: &'a [String],
    migrations: Vec<document::GraphMigration<'a>>,
    edges: Vec<document::GraphEdge<'a>>,
}

pub fn run(context: &Context<'_>, migrator: &Migrator, options: &Options) -> Result<Exit, Failure> {
    let engine = context.engine()?;
    let graph = migrator.graph(engine)?;
    let document = Document {
        engine: document::engine(engine),
        apps: &graph.apps,
        migrations: graph.migrations.iter().map(document::GraphMigration::from).collect(),
        edges: graph.edges.iter().map(document::GraphEdge::from).collect(),
    };
    context.output.answer(&document, || match options.format {
        Format::Text => text(&graph),
        Format::Mermaid => Picture::of(&graph).mermaid(),
        Format::Dot => Picture::of(&graph).dot(),
    })?;
    Ok(Exit::StepReport)
}

fn text(graph: &MigrationGraph) -> String {
    if graph.apps.is_empty() {
        return "no apps\n".to_owned();
    }
    let mut apps = table::table(&["app", "migrations", "needs"]);
    for label in &graph.apps {
        let migrations: Vec<&MigrationId> = migrations(graph, label).collect();
        let mut needs: Vec<&str> = (graph.edges.iter())
            .filter(|edge| edge.app == *label && edge.needs_app != *label)
            .map(|edge| edge.needs_app.as_str())
            .collect();
        needs.sort_unstable();
        needs.dedup();
        apps.add_row([label.clone(), span(&migrations), needs.join(", ")]);
    }
    let mut edges = table::table(&["migration", "needs", "asked"]);
    for edge in &graph.edges {
        let GraphEdge { app, migration, needs_app, needs, .. } = edge;
        edges.add_row([format!("{app} {migration}"), format!("{needs_app} {needs}"), asked(edge)]);
    }
    let apps = table::render(apps);
    if edges.is_empty() { apps } else { format!("{apps}\n{}", table::render(edges)) }
}

/// The migrations of an app, in order.
fn migrations<'g>(graph: &'g MigrationGraph, label: &str) -> impl Iterator<Item = &'g MigrationId> {
    graph.migrations.iter().filter(move |one| one.app == label).map(|one| &one.migration)
}

/// One migration, or the first and the last of several.
fn span(migrations: &[&MigrationId]) -> String {
    match migrations {
        [] => "none".to_owned(),
        [only] => only.to_string(),
        [first, .., last] => format!("{first} … {last}"),
    }
}

fn asked(edge: &GraphEdge) -> String {
    let words = match edge.asked {
        Asked::DependsOnApp => "depends on the app",
        Asked::RequiredBy => "required by",
        _ => "depends on",
    };
    let place = edge.place.as_ref().map(|place| format!("  ({place})")).unwrap_or_default();
    format!("{words}{place}")
}
