//! Tests inputs that once failed. The name of a test begins with the number of its input.

mod connection;
mod files;
mod first_level;
mod output;
