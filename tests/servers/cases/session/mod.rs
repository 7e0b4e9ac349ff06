//! Tests the state of a session, deadlines and signals.

mod causes;
mod deadlines;
mod signals;
mod state;
