//! Tests the output.

mod hostile;
mod own_tables;
mod plans;
mod quiet;
mod writers;
