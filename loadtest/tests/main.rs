//! The built harness against servers that do what a script says.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod outcomes;
mod percentiles;
mod script;
mod usage;
