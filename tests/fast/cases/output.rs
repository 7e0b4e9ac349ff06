//! Rows about what is printed.

mod own_tables;
