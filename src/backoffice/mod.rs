//! Behind the counter: campaigns, merchants, vouchers, redemptions and books now; reconciliation and reports later.
//!
//! Owns what staff do. Works on the ledger first and on Redis from the ledger; never on the claim path. The
//! client side of the admin API lives here too, as it speaks of the same things.

pub mod access;
pub mod admin_api;
pub mod admin_client;
pub mod audit;
pub mod bans;
pub mod books;
pub mod campaigns;
mod decision;
pub mod documents;
pub mod drafts;
pub mod export;
pub mod heads;
pub mod holds;
pub mod merchants;
pub mod quarantine;
pub mod receipts;
pub mod redemptions;
mod soundness;
pub mod standing;
pub mod vouchers;
