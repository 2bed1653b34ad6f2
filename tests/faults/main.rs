//! The fault matrix: a rush, something that dies, and the promises checked by a history kept outside of the system.
//!
//! Each test is a row: it starts real servers, lets people arrive at a steady rate, injects its fault, waits until
//! arrivals are served as before, lets everybody ask again, and compares what they were told with Redis, ledger and
//! audit. `FAULT_ROUNDS` rounds (one, where it is not set) follow from `FAULT_SEED`, which is printed. `make faults`
//! runs the rows one after the other and prints the table; `make test` runs a round of each.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test's helpers fail as loudly as the test; clippy.toml frees only the test functions themselves"
)]

mod checker;
mod clocks;
mod controls;
mod failover;
mod history;
mod journal;
mod kills;
mod load;
mod lost;
mod matrix;
mod network;
mod poison;
mod postgres;
mod processes;
mod redis_ways;
mod report;
mod rush;
mod scene;
mod stalls;
mod steps;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with the integration tests, which use the rest of it")]
mod support;
mod victims;
