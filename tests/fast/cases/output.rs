//! Tests the output.

mod own_tables;
