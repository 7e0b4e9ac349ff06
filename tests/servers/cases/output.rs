//! Tests the output.

mod events;
mod lines;
mod notices;
mod secrets;
mod server_text;

use crate::support::{Outcome, Scene};

/// Runs the command on the scene's database.
fn run(scene: &Scene, arguments: &[&str]) -> Outcome {
    let url = scene.url();
    scene.project.bustard(&[arguments, &["--database-url", &url]].concat())
}
