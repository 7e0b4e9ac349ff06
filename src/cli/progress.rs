//! Shows the progress of a run: a bar on standard error, if standard error is a terminal,
//! and a line when another session holds the migration lock.

use bustard::Event;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use super::output::{Output, print_error};

/// Runs of up to this many steps finish before a user could read a bar.
const FEW: usize = 5;

/// Returns the event handler of the migrator.
pub fn follow(output: &Output) -> impl FnMut(&Event) + Send + 'static {
    let quiet = output.quiet();
    let mut bar: Option<ProgressBar> = None;
    // Log lines would break the bar, and they contain the same information.
    let wanted = !quiet && !log::log_enabled!(target: "bustard", log::Level::Info);
    move |event| match event {
        Event::Planned { steps } if wanted && *steps > FEW => bar = Some(start(*steps)),
        Event::Started { app, migration, .. } => {
            if let Some(bar) = &bar {
                bar.set_message(format!("{app} {migration}"));
            }
        }
        Event::Finished { .. } => {
            if let Some(bar) = &bar {
                bar.inc(1);
            }
        }
        Event::Waiting if !quiet => {
            let line = "waiting for the migration lock, which another session holds\n";
            match &bar {
                Some(bar) => bar.suspend(|| print_error(line)),
                None => print_error(line),
            }
        }
        _ => {}
    }
}

fn start(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    // Indicatif draws on standard error, and only if it is a terminal.
    ProgressBar::new(steps as u64).with_style(style).with_finish(ProgressFinish::AndClear)
}
