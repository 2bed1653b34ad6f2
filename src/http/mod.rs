//! The front: accepts, bounds, routes, parses, replies.
//!
//! Owns connections, paths and status codes. Knows no Redis keys and no SQL; what a claim is worth is decided
//! further down, what it looks like on the wire is decided here.

pub mod admin;
mod admin_bans;
mod admin_books;
mod admin_campaigns;
mod admin_drafts;
mod admin_keys;
mod admin_late;
mod admin_merchants;
mod admin_quarantine;
mod admin_receipts;
pub mod admin_routes;
mod admin_vouchers;
mod body;
pub mod cap;
mod claims;
pub mod connection;
pub mod cors;
mod demo;
pub mod desk;
mod drops;
pub mod front;
mod head;
mod holds;
pub mod list;
pub mod listen;
pub mod openapi;
mod pages;
pub mod probe;
pub mod problem;
mod qr;
mod redemptions;
pub mod reply;
pub mod route;
mod tills;
pub mod trail;
mod turns;
mod vouchers;
