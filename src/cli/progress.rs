//! Shows the progress of a run: a bar on standard error, if standard error is a terminal,
//! and a line when another session holds the migration lock.

use bustard::Event;

use super::output::{Bar, Output, print_error};

/// Runs of up to this many steps finish before a user could read a bar.
const FEW: usize = 5;

/// Returns the event handler of the migrator.
pub fn follow(output: &Output) -> impl FnMut(&Event) + Send + 'static {
    let quiet = output.quiet();
    let mut bar: Option<Bar> = None;
    // Log lines would break the bar, and they contain the same information.
    let wanted = !quiet && !log::log_enabled!(target: "bustard", log::Level::Info);
    move |event| match event {
        Event::Planned { steps } if wanted && *steps > FEW => bar = Some(Bar::start(*steps)),
        Event::Started { app, migration, .. } => {
            if let Some(bar) = &bar {
                bar.name(&format!("{app} {migration}"));
            }
        }
        Event::Finished { .. } => {
            if let Some(bar) = &bar {
                bar.advance();
            }
        }
        Event::Waiting if !quiet => {
            let line = "waiting for the migration lock, which another session holds\n";
            match &bar {
                Some(bar) => bar.print(line),
                None => print_error(line),
            }
        }
        _ => {}
    }
}
