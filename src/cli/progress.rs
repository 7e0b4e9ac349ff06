//! Shows the progress of a run on standard error: a bar, or, where standard error is no
//! terminal, a line for each migration when it commits. Also what the server says while a
//! migration runs, and a line when another session holds the migration lock.

use bustard::Event;
use bustard::report::{Notice, NoticeLevel};

use super::commands::report::{own_word, word};
use super::lines::{Lines, Paint, paint};
use super::options::Options;
use super::output::{Bar, errors_are_on_terminal, print_error};
use super::table::{self, OWN};

/// Runs of up to this many steps finish before a user could read a bar.
const FEW: usize = 5;

/// Returns the event handler of the migrator.
pub fn follow(options: &Options) -> impl FnMut(&Event) + Send + 'static {
    let (quiet, json, verbose) = (options.quiet, options.json, options.verbose > 0);
    let mut bar: Option<Bar> = None;
    let on_terminal = errors_are_on_terminal();
    // Log lines would break the bar, and they contain the same information.
    let wants_bar = on_terminal && !log::log_enabled!(target: "bustard", log::Level::Info);
    // Bustard's own migrations share a line.
    let mut own = false;
    move |event| {
        let print = |bar: &Option<Bar>, lines: &Lines| match bar {
            Some(bar) => bar.print(lines.as_str()),
            None => print_error(lines.as_str()),
        };
        match event {
            _ if quiet => {}
            Event::Planned { steps } if wants_bar && *steps > FEW => bar = Some(Bar::start(*steps)),
            Event::Started { app, migration, .. } => {
                if let Some(bar) = &bar {
                    bar.name(&format!("{app} {migration}"));
                }
            }
            Event::Finished { step, .. } => {
                if let Some(bar) = &bar {
                    bar.advance();
                }
                let is_own = table::is_own(&step.app);
                if !(on_terminal || is_own && own) {
                    print(
                        &bar,
                        &match is_own {
                            true => Lines::of(format!("{} {OWN} {}", step.app, own_word(&[step]))),
                            false => Lines::of(format!(
                                "{} {} {} in {} ms",
                                step.app,
                                step.migration,
                                word(step).0,
                                step.elapsed.as_millis()
                            )),
                        },
                    );
                }
                own |= is_own;
            }
            // In JSON, documents have a key for them.
            Event::Notice(notice) if !json && (verbose || notice.level == NoticeLevel::Warning) => {
                print(&bar, &said(notice));
            }
            Event::Waiting => {
                print(&bar, &Lines::of("waiting for the migration lock, which another session holds"));
            }
            _ => {}
        }
    }
}

/// Formats a message of the server. Its lines are indented, so that none of them looks like
/// another message.
fn said(notice: &Notice) -> Lines {
    let start = match notice.level {
        NoticeLevel::Warning => paint(Paint::Yellow, "warning:"),
        level => format!("{}:", level.as_str()),
    };
    let mut lines = Lines::default();
    let mut add = |start: &str, text: &str| {
        let mut parts = text.lines();
        lines.line(format!("{start} {}", parts.next().unwrap_or_default()));
        parts.for_each(|part| lines.line(format!("    {part}")));
    };
    add(&start, &notice.to_string());
    for (word, text) in [("detail", &notice.detail), ("hint", &notice.hint)] {
        if let Some(text) = text {
            add(&format!("  {word}:"), text);
        }
    }
    lines
}
