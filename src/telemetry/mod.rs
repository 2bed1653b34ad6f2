//! What the program tells of itself: metrics and logs.
//!
//! Owns every metric's name and help text ([`metrics`]), the set-up of logs ([`logging`]), how often a fault that lasts is said
//! ([`repeated`]), and the reading of others' traces ([`trace`], which the feature `otlp` exports). Decides nothing,
//! listens nowhere (the admin listener serves [`metrics::Metrics::render`]), and imports no other module but
//! the caps; everybody else may hold a handle from here.

mod instruments;
mod log_queue;
pub mod logging;
pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod repeated;
pub mod trace;
