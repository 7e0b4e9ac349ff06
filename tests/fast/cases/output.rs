//! Rows about what is printed.
