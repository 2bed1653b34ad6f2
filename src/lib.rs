//! claimrush: the map, in the order in which a claim meets the modules.

pub mod backoffice;
pub mod cli;
pub mod clock;
pub mod config;
pub mod datadir;
pub mod domain;
pub mod limits;
pub mod redis;
