//! Tests P1 and P2: after an interruption of any kind, each migration is either
//! complete (objects, history row, registration, higher cache versions) or absent,
//! and the next run completes.

mod kills;
mod ladder;
mod points;
mod server;
