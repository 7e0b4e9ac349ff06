//! `bustard caches watch`: prints a line for each change that the refresher of an
//! application would see.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, SystemTime};

use bustard::{CacheBuster, Change, registry};
use serde::Serialize;

use crate::cli::context::{Chosen, Context};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::lines::Lines;
use crate::cli::signals;
use crate::cli::table::count;

/// The interval between two checks for a signal.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

pub fn run(context: &Context<'_>, chosen: &mut Chosen) -> Result<Exit, Failure> {
    let (sender, changes) = channel();
    // The `CacheBuster` is kept until the end, because dropping it stops the refresher.
    let _buster = CacheBuster::on(&chosen.database)
        .on_change(move |change| {
            // Sending fails only while the command ends, when the receiver is dropped.
            let _ = sender.send((SystemTime::now(), change.clone()));
        })
        .start()?;
    let caches = registry::list(&mut chosen.database)?.len();
    let start = Line { at: now(SystemTime::now()), event: "watching", ..Line::default() };
    context.output.head(&start, || {
        let mut lines = Lines::of(format!("watching {}; press Ctrl-C to stop", count(caches, "cache")));
        lines.line("");
        lines
    })?;
    follow(context, &changes)
}

fn follow(context: &Context<'_>, changes: &Receiver<(SystemTime, Change)>) -> Result<Exit, Failure> {
    loop {
        if let Some(signal) = signals::received() {
            return Ok(Exit::Signal(signal));
        }
        match changes.recv_timeout(POLL_INTERVAL) {
            Ok((at, change)) => {
                let Some(line) = Line::of(at, change) else { continue };
                if !context.output.line(&line, || Lines::of(line.human()))? {
                    return Ok(Exit::Done);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(Exit::Failed),
        }
    }
}

fn now(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

/// A change, as text and as JSON.
#[derive(Default, Serialize)]
struct Line {
    at: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// The number of invalidations between the two versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl Line {
    /// Returns `None` for a kind of change that this command does not know.
    fn of(at: SystemTime, change: Change) -> Option<Self> {
        let line = Line { at: now(at), ..Line::default() };
        Some(match change {
            Change::Version { cache, before, after } => Line {
                event: match (before, after) {
                    (None, _) => "registered",
                    (_, None) => "unregistered",
                    _ => "changed",
                },
                cache: Some(cache),
                before: before.map(|version| version.to_string()),
                after: after.map(|version| version.to_string()),
                by: before.zip(after).map(|(before, after)| after.invalidations() - before.invalidations()),
                ..line
            },
            Change::Lost { why } => Line { event: "lost", why: Some(why), ..line },
            Change::Found => Line { event: "found", ..line },
            _ => return None,
        })
    }

    fn human(&self) -> String {
        let Line { at, event, cache, before, after, by, why } = self;
        let (before, after) = (before.as_deref().unwrap_or_default(), after.as_deref().unwrap_or_default());
        match (cache, why) {
            (Some(cache), _) => match by {
                Some(by) => format!("{at}  {cache}  {by:+}  {before} -> {after}"),
                None => format!("{at}  {cache}  {event}  {after}").trim_end().to_owned(),
            },
            (None, Some(why)) => format!("{at}  lost contact with the database: {why}"),
            (None, None) => format!("{at}  regained contact with the database"),
        }
    }
}
