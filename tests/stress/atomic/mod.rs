//! P1 and P2: whatever ends a run, each migration is wholly there afterwards
//! (objects, history row, registration, higher cache versions) or not at all,
//! and the next run completes.

mod kills;
mod ladder;
mod points;
mod server;
