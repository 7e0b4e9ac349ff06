//! The name of the program in which the command runs: `bustard`, or the host's own
//! binary. Usage and advice name what can be typed.

use std::env::{self, consts::EXE_SUFFIX};
use std::path::Path;

/// The binary's name.
pub fn name() -> String {
    let called = env::args_os().next().unwrap_or_default();
    let file = Path::new(&called).file_name().map(|name| name.to_string_lossy());
    match file.as_deref().map(|name| name.strip_suffix(EXE_SUFFIX).unwrap_or(name)) {
        None | Some("") => "bustard".to_owned(),
        Some(name) => name.to_owned(),
    }
}
