//! Tests cached values: their names and types, and what is kept of them.

mod names;
mod own_events;
