//! Tests values of one cache: their names and types, and what is kept of them.

mod names;
