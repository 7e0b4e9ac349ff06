//! Tests that build packages with Cargo and run them: examples, packages with
//! embedded migrations, refinery's own runner, and the migrations of published
//! crates.

#[path = "../support/mod.rs"]
mod support;

mod embedding;
mod forum_program;
mod host;
mod permissions_program;
mod real;
mod refinery;
