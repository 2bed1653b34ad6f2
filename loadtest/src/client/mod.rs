//! The client side of one connection.
//!
//! - [`target`]: where requests go
//! - [`link`]: the stream under a connection: from which address it comes, and how slow it is
//! - [`ask`]: a request as it stands on the wire
//! - `reading`: one reply, read from pieces
//! - [`silence`]: what was there in the place of one
//! - [`wire`]: one HTTP/1.1 connection and the exchanges on it
//! - [`answer`]: what a reply says, read as cheaply as possible

pub mod answer;
pub mod ask;
pub mod link;
mod reading;
pub mod silence;
pub mod target;
pub mod wire;
