//! Everything that speaks to Redis.
//!
//! Owns the managed server, the connections and what its errors mean. Decides nothing about claims, and knows
//! neither HTTP nor SQL.

pub mod managed;
pub mod pool;
pub mod server_check;
