//! Tests the output.

mod hostile;
mod own_tables;
mod plans;
mod quiet;
mod refusals;
mod writers;
