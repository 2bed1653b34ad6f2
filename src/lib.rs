//! claimrush: the map, in the order in which a claim meets the modules.

pub mod clock;
pub mod config;
pub mod domain;
pub mod guard;
pub mod limits;
pub mod telemetry;
