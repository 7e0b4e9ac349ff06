//! Tests the state of a session, deadlines and signals.

mod state;
