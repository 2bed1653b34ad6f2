//! What the program tells of itself: metrics and logs.
//!
//! Owns every metric's name and help text ([`metrics`]) and the set-up of logs ([`logging`]). Decides nothing,
//! listens nowhere (the admin listener serves [`metrics::Metrics::render`]), and imports no other module but
//! the caps; everybody else may hold a handle from here.

mod instruments;
pub mod logging;
pub mod metrics;
