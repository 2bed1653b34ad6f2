//! claimrush: the map, in the order in which a claim meets the modules.

pub mod clock;
pub mod domain;
pub mod ledger;
pub mod limits;
