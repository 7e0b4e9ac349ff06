//! Rows about who owns and who may change our tables.

mod default_privileges;
mod folding;
mod names;
mod ownership;
mod publications;
mod working;
