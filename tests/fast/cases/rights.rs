//! Tests which roles own Bustard's tables and which roles may change them.
