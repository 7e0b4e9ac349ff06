//! The name of the program: `bustard`, or the binary of the host. Usage and help texts
//! contain this name, so that users can type the commands in these texts.

use std::env::{self, consts::EXE_SUFFIX};
use std::path::Path;

/// Returns the file name of the binary.
pub fn name() -> String {
    let called = env::args_os().next().unwrap_or_default();
    let file = Path::new(&called).file_name().map(|name| name.to_string_lossy());
    match file.as_deref().map(|name| name.strip_suffix(EXE_SUFFIX).unwrap_or(name)) {
        None | Some("") => "bustard".to_owned(),
        Some(name) => name.to_owned(),
    }
}
