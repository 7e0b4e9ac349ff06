//! Tests the output.

mod hostile;
mod own_tables;
mod writers;
