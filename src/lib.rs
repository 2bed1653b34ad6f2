//! claimrush: the map, in the order in which a claim meets the modules.

pub mod config;
pub mod limits;

pub mod clock;

pub mod domain;

pub mod http;

pub mod guard;

pub mod rush;

pub mod redis;

pub mod drain;

pub mod ledger;

pub mod telemetry;
