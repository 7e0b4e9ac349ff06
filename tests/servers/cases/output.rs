//! Tests the output.
