//! Tests which files are judged, and how they are read.

mod applied;
