//! Draws the graph as a diagram with a frame for each app. A migration that has a
//! dependency, or is a dependency, has a box of its own. The migrations between two such
//! migrations share a box. Dotted arrows follow the versions of an app. Solid arrows are
//! dependencies.

use std::collections::{BTreeSet, HashMap};

use bustard::{MigrationGraph, MigrationId};

use super::{migrations, span};

/// A diagram. Boxes are numbered across all frames.
pub struct Diagram<'g> {
    frames: Vec<Frame<'g>>,
    arrows: BTreeSet<(usize, usize)>,
}

struct Frame<'g> {
    label: &'g str,
    first: usize,
    boxes: Vec<String>,
}

impl Frame<'_> {
    /// Returns the boxes with their numbers.
    fn boxes(&self) -> impl Iterator<Item = (usize, &str)> {
        self.boxes.iter().enumerate().map(|(n, text)| (self.first + n, text.as_str()))
    }

    /// Returns the arrows that follow the versions.
    fn chain(&self) -> impl Iterator<Item = (usize, usize)> {
        (self.first..self.first + self.boxes.len()).skip(1).map(|later| (later - 1, later))
    }
}

impl<'g> Diagram<'g> {
    pub fn of(graph: &'g MigrationGraph) -> Self {
        let ends = |label: &str| {
            let later = graph.edges.iter().filter(|edge| edge.app == label).map(|edge| &edge.migration);
            let label = label.to_owned();
            let earlier =
                graph.edges.iter().filter(move |edge| edge.needs_app == label).map(|edge| &edge.needs);
            later.chain(earlier).map(|id| id.version).collect::<BTreeSet<i64>>()
        };
        let mut frames = Vec::new();
        let mut numbers: HashMap<(&str, i64), usize> = HashMap::new();
        let mut first = 0;
        for label in &graph.apps {
            let tied = ends(label);
            let migrations: Vec<&MigrationId> = migrations(graph, label).collect();
            let alone =
                |a: &&MigrationId, b: &&MigrationId| ![a, b].iter().any(|id| tied.contains(&id.version));
            let mut boxes = Vec::new();
            for group in migrations.chunk_by(alone) {
                numbers.extend(group.iter().map(|id| ((label.as_str(), id.version), first + boxes.len())));
                boxes.push(span(group));
            }
            if boxes.is_empty() {
                boxes.push("no migrations".to_owned());
            }
            let next = first + boxes.len();
            frames.push(Frame { label, first, boxes });
            first = next;
        }
        let number = |label: &str, id: &MigrationId| numbers.get(&(label, id.version)).copied();
        let arrows = (graph.edges.iter())
            .filter_map(|edge| number(&edge.needs_app, &edge.needs).zip(number(&edge.app, &edge.migration)))
            .collect();
        Diagram { frames, arrows }
    }

    pub fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        for (n, frame) in self.frames.iter().enumerate() {
            text += &format!("    subgraph app{n}[\"{}\"]\n", in_mermaid(frame.label));
            for (number, migration) in frame.boxes() {
                text += &format!("        m{number}[\"{}\"]\n", in_mermaid(migration));
            }
            for (from, to) in frame.chain() {
                text += &format!("        m{from} -.-> m{to}\n");
            }
            text += "    end\n";
        }
        for (from, to) in &self.arrows {
            text += &format!("    m{from} --> m{to}\n");
        }
        text
    }

    pub fn dot(&self) -> String {
        let mut text = "digraph migrations {\n    rankdir = LR;\n    node [shape = box];\n".to_owned();
        for (n, frame) in self.frames.iter().enumerate() {
            text += &format!("    subgraph cluster_{n} {{\n        label = \"{}\";\n", in_dot(frame.label));
            for (number, migration) in frame.boxes() {
                text += &format!("        m{number} [label = \"{}\"];\n", in_dot(migration));
            }
            for (from, to) in frame.chain() {
                text += &format!("        m{from} -> m{to} [style = dotted];\n");
            }
            text += "    }\n";
        }
        for (from, to) in &self.arrows {
            text += &format!("    m{from} -> m{to};\n");
        }
        text + "}\n"
    }
}

/// Escapes a quoted text of Mermaid, which accepts characters by number.
fn in_mermaid(text: &str) -> String {
    escaped(text, |c| format!("#{};", u32::from(c)))
}

/// Escapes a quoted text of DOT, which accepts the character references of HTML.
fn in_dot(text: &str) -> String {
    escaped(text, |c| format!("&#{};", u32::from(c)))
}

/// Writes a character by its number if it may have a meaning in the format.
fn escaped(text: &str, by_number: impl Fn(char) -> String) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        if c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '…') {
            escaped.push(c);
        } else {
            escaped += &by_number(c);
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_taken_for_syntax() {
        let name = "a_1 \"]; end\n\\N #x; <b>&`é";
        assert_eq!(in_dot("é名_1 … a-b"), "é名_1 … a-b");
        assert_eq!(in_mermaid(name), "a_1 #34;#93;#59; end#10;#92;N #35;x#59; #60;b#62;#38;#96;é");
        for text in [in_dot(name), in_mermaid(name)] {
            assert!(!text.contains(['"', '\\', '\n', '<', '`']), "{text}");
        }
    }
}
