//! `bustard graph`: shows the dependencies between apps, and where they are declared. It
//! does not connect to a database. The URL only selects the engine.

mod diagram;

use bustard::{DependencyKind, GraphEdge, MigrationGraph, MigrationId, Migrator};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::document;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::lines::Lines;
use crate::cli::table::{Cell, Table};
use diagram::Diagram;

#[derive(Args)]
pub struct Options {
    /// Print text, or a diagram for Mermaid or Graphviz whose arrows point to later migrations
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
        Format::Mermaid => diagram(&Diagram::of(&graph).mermaid()),
        Format::Dot => diagram(&Diagram::of(&graph).dot()),
    })?;
    Ok(Exit::Done)
}

fn diagram(text: &str) -> Lines {
    let mut lines = Lines::default();
    // The diagram writes all characters of names by number that might be unsafe.
    lines.block(text);
    lines
}

fn text(graph: &MigrationGraph) -> Lines {
    if graph.apps.is_empty() {
        return Lines::of("no apps");
    }
    let mut apps = Table::new(&["app", "migrations", "depends on"]);
    for label in &graph.apps {
        let migrations: Vec<&MigrationId> = migrations(graph, label).collect();
        let mut needs: Vec<&str> = (graph.edges.iter())
            .filter(|edge| edge.app == *label && edge.needs_app != *label)
            .map(|edge| edge.needs_app.as_str())
            .collect();
        needs.sort_unstable();
        needs.dedup();
        apps.row([label.clone(), span(&migrations), needs.join(", ")].map(Cell::new));
    }
    let mut edges = Table::new(&["migration", "depends on", "declared as"]);
    for edge in &graph.edges {
        let GraphEdge { app, migration, needs_app, needs, .. } = edge;
        let cells = [format!("{app} {migration}"), format!("{needs_app} {needs}"), declaration(edge)];
        edges.row(cells.map(Cell::new));
    }
    let mut lines = apps.render();
    if !edges.is_empty() {
        lines.line("");
        lines.lines(edges.render());
    }
    lines
}

/// Returns the migrations of an app, in order.
fn migrations<'g>(graph: &'g MigrationGraph, label: &str) -> impl Iterator<Item = &'g MigrationId> {
    graph.migrations.iter().filter(move |one| one.app == label).map(|one| &one.migration)
}

/// Formats one migration, or the first and the last of several.
fn span(migrations: &[&MigrationId]) -> String {
    match migrations {
        [] => "none".to_owned(),
        [only] => only.to_string(),
        [first, .., last] => format!("{first} … {last}"),
    }
}

fn declaration(edge: &GraphEdge) -> String {
    let words = match edge.asked {
        DependencyKind::DependsOnApp => "depends on the app",
        DependencyKind::RequiredBy => "required by",
        _ => "depends on",
    };
    let place = edge.place.as_ref().map(|place| format!("  ({place})")).unwrap_or_default();
    format!("{words}{place}")
}
