//! The ticket desk: who somebody is, and that they have worked for it, becomes a ticket. The cold path, open before
//! the release.
//!
//! Owns the order of its checks and everything on them that asks somebody else: the sponsor's keys, a captcha service,
//! Redis. Knows no status code. What it needs of the hot path it shares with the guard.

pub mod captcha;
pub mod demo;
pub mod identity;
pub mod keys;
pub mod lists;
pub mod outbound;
pub mod refusal;
mod ticket_desk;
pub mod union;

pub use ticket_desk::{DeskSettings, NewTicket, TicketDesk, TicketRequest};
