//! The built harness against servers that do what a script says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod outcomes;
mod percentiles;
mod script;
mod usage;
mod workers;
