//! The client side of one connection.
//!
//! - [`target`]: where requests go
//! - [`wire`]: one HTTP/1.1 connection and the exchanges on it
//! - [`answer`]: what a reply says, read as cheaply as possible

pub mod answer;
pub mod target;
pub mod wire;
