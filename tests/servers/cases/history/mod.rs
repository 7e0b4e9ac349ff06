//! Tests where a history is and what it contains.

mod a1;
mod c6;
mod c9;
mod meanwhile;
