//! Behind the counter: campaigns now; merchants, redemptions, expiry, reconciliation and reports later.
//!
//! Owns what staff do. Works on the ledger first and on Redis from the ledger; never on the claim path.

pub mod campaigns;
