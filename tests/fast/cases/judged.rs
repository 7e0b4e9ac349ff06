//! Tests which files are checked, and how they are read.
