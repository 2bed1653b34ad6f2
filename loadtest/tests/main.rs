//! The built harness against servers that do what a script says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit_time;
mod engine_connections;
mod engine_outcomes;
mod engine_personas;
mod engine_run;
mod engine_times;
mod files;
mod live;
mod noise;
mod outcomes;
mod peer_far;
mod percentiles;
mod run;
mod run_audit;
mod run_stops;
mod run_workers;
mod script;
mod usage;
mod workers;
