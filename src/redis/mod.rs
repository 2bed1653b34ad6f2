//! Everything that speaks to Redis: the managed server, connections, key names, scripts with their replies, and
//! the journal.
//!
//! Owns what is stored in Redis and how it is read back. Decides nothing about a claim: that is the scripts'
//! business. Knows no HTTP and no SQL.

mod claim_call;
pub mod codes;
pub mod fence;
pub mod journal;
pub mod keys;
pub mod managed;
mod once;
pub mod peer;
pub mod pool;
pub mod reads;
mod reply;
pub mod restore;
pub mod scripts;
pub mod server;
pub mod server_check;
pub mod snapshot;
pub mod vitals;
