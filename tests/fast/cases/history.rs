//! Rows about where a history is, and what it says.
