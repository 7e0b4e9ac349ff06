//! Puts Bustard's own migrations into the library.
//!
//! In: `migrations/`. Out: a list of file names and texts, for `source::own`. A
//! misnamed file fails the build, and a new one triggers it.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

#[path = "src/source/name.rs"]
#[allow(dead_code, reason = "the library uses the rest of it")]
mod name;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=src/source/name.rs");
    let directory = Path::new("migrations");
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        match name::parse_file(&file) {
            None => {}
            Some(Ok(_)) => files.push(file),
            Some(Err(wrong)) => {
                let place = directory.join(&file);
                return Err(format!("{}: {}; {}", place.display(), wrong.message, wrong.help).into());
            }
        }
    }
    files.sort();
    let mut list = String::from("&[\n");
    for file in files {
        // `include_str!` rather than the text: rustc then knows the file.
        let path = format!("/migrations/{file}");
        writeln!(list, "    ({file:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?}))),")?;
    }
    list.push_str("]\n");
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    fs::write(Path::new(&out).join("migrations.rs"), list)?;
    Ok(())
}
