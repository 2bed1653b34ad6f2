//! Who may knock, and how often: tickets, client addresses, rate limits, and the work that a ticket costs.
//!
//! Owns what is checked before a claim may reach the gate, all of it from memory and without I/O. A refusal is
//! a variant named by its cause; its `code()` is the stable word that clients and metrics see. Knows no status
//! code, no Redis and no SQL, and never decides whether a drop is open or has stock.

pub mod address;
mod admit;
pub mod blocked;
pub mod challenge;
mod hashed;
pub mod rate;
pub mod risk;
pub mod tables;
pub mod ticket;

pub use admit::{Guard, GuardRefusal};
