//! Rows about which files are judged, and how they are read.
