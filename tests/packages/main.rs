//! Tests that build packages with Cargo and run what was built: examples, packages
//! with embedded migrations, refinery's own runner, and the migrations of published
//! crates.

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "int8-versions")]
mod embedding;
mod forum_program;
mod host;
#[cfg(feature = "tokio")]
mod permissions_program;
mod real;
mod refinery;
