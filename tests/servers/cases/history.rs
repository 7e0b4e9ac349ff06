//! Tests where a history is and what it contains.
