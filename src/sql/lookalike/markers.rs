//! Markers of other tools, by which these tools divide a file into parts.
//!
//! In: a line of a comment. Out: the tool that has such a marker.

use super::{Lookalike, folded, shown};
use crate::diagnostic::{Code, Diagnostic};

/// A migration tool with its markers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    name: &'static str,
    markers: &'static [Marker],
    /// What to do about the markers.
    help: &'static str,
}

#[derive(Debug, PartialEq, Eq)]
enum Marker {
    /// Somewhere in the line.
    Within(&'static str),
    /// At its start, after blanks.
    Start(&'static str),
    /// The first words, after signs that are no letters or digits. `*` is any word.
    Words(&'static str),
    /// All words, after such signs and before them.
    All(&'static str),
}

use Marker::{All, Start, Within, Words};

const SECTIONS: &str = "Bustard executes the whole file: remove the markers, and write `-- bustard: down` before the \
                        statements that revert the migration";
const SEPARATORS: &str = "remove the markers: Bustard finds the ends of statements itself";
const NO_TRANSACTION: &str = "the directive for it is `-- bustard: no transaction`";

const TOOLS: &[Tool] = &[
    Tool { name: "goose", markers: &[Within("+goose")], help: SECTIONS },
    Tool { name: "sql-migrate", markers: &[Start("+migrate")], help: SECTIONS },
    Tool { name: "dbmate", markers: &[Words("migrate:up"), Words("migrate:down")], help: SECTIONS },
    Tool { name: "tern", markers: &[Words("create above / drop below"), Words("tern: *")], help: SECTIONS },
    Tool { name: "Play", markers: &[Within("!ups"), Within("!downs")], help: SECTIONS },
    Tool {
        name: "node-pg-migrate",
        markers: &[Words("up migration"), Words("down migration")],
        help: SECTIONS,
    },
    Tool { name: "rambler", markers: &[Words("rambler up"), Words("rambler down")], help: SECTIONS },
    Tool { name: "shmig", markers: &[Start("==== up ===="), Start("==== down ====")], help: SECTIONS },
    Tool { name: "node-sqlite", markers: &[All("up")], help: SECTIONS },
    Tool { name: "MyBatis Migrations", markers: &[Start("//@undo"), Start("@undo")], help: SECTIONS },
    Tool {
        name: "Liquibase",
        markers: &[Words("liquibase formatted sql")],
        help: "remove the markers, and write the statements of `--rollback` after `-- bustard: down`",
    },
    Tool {
        name: "Sqitch",
        markers: &[
            Words("revert *:* from pg"),
            Words("revert *:* from sqlite"),
            Words("verify *:* on pg"),
            Words("verify *:* on sqlite"),
        ],
        help: "Bustard would execute this file as a migration: write the statements that revert a migration after \
               `-- bustard: down` in its own file, and leave out those that verify it",
    },
    Tool { name: "Drizzle", markers: &[Words("statement-breakpoint")], help: SEPARATORS },
    Tool { name: "Migratus", markers: &[Start(";;")], help: SEPARATORS },
    Tool { name: "sqlx", markers: &[Words("no-transaction")], help: NO_TRANSACTION },
    Tool { name: "Atlas", markers: &[Words("atlas:txmode")], help: NO_TRANSACTION },
    Tool { name: "Atlas", markers: &[Words("atlas:delimiter")], help: SEPARATORS },
    Tool {
        name: "yoyo",
        markers: &[Words("depends: *"), Words("transactional: false")],
        help: "the directives for it are `-- bustard: depends on APP VERSION` and `-- bustard: no transaction`",
    },
];

/// Returns the tool with such a marker.
pub(super) fn find(content: &str) -> Option<Lookalike> {
    let line: String = folded(content).into_iter().map(|(_, c)| c).collect();
    let start = line.trim_start();
    let words = start.trim_start_matches(|c: char| !c.is_alphanumeric());
    let matches = |marker: &Marker| match *marker {
        Within(what) => line.contains(what),
        Start(what) => start.starts_with(what),
        Words(pattern) => matches_words(words, pattern),
        All(what) => words.trim_end_matches(|c: char| !c.is_alphanumeric()) == what,
    };
    let tool = TOOLS.iter().find(|tool| tool.markers.iter().any(matches))?;
    Some(Lookalike::Marker(tool, shown(content)))
}

/// Compares the first words. Blanks around a colon do not matter.
fn matches_words(line: &str, pattern: &str) -> bool {
    let spaced = line.replace(':', " : ");
    let mut words = spaced.split_whitespace();
    pattern
        .replace(':', " : ")
        .split_whitespace()
        .all(|wanted| words.next().is_some_and(|word| wanted == "*" || word == wanted))
}

/// Returns the diagnostic for the markers of a tool: the first one, and their number.
pub(crate) fn foreign(tool: &Tool, first: &str, count: usize) -> Diagnostic {
    let more = match count {
        1 => String::new(),
        2 => ", and there is one more".to_owned(),
        n => format!(", and there are {} more", n - 1),
    };
    let message = format!("`{first}` is a marker of {}, which Bustard does not obey{more}", tool.name);
    Diagnostic::new(Code::ForeignMarker, message).help(tool.help)
}
