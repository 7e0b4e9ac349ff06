//! Puts Bustard's own migrations into the library, as `bustard::build::embed` puts
//! those of others, but for its checks: it cannot use the library.
//!
//! In: `migrations/`. Out: what `app!` includes. A misnamed file fails the build, and
//! a new one triggers it.

use std::error::Error;
use std::fs;

#[path = "src/build/generate.rs"]
mod generate;
#[path = "src/source/name.rs"]
#[allow(dead_code, reason = "the library uses the rest of it")]
mod name;

use generate::Embedded;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=src/build/generate.rs");
    println!("cargo:rerun-if-changed=src/source/name.rs");
    let mut files = Vec::new();
    for entry in fs::read_dir("migrations").map_err(|error| format!("migrations: {error}"))? {
        let path = entry?.file_name().to_string_lossy().into_owned();
        match name::parse_file(&path) {
            None => {}
            Some(Ok(_)) => files.push(Embedded { path, module: None }),
            Some(Err(wrong)) => {
                return Err(format!("migrations/{path}: {}; {}", wrong.message, wrong.help).into());
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(generate::publish("migrations", "migrations", &files)?)
}
