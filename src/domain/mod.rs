//! Pure types and rules: campaigns, drops, claims, vouchers, money, ids.
//!
//! Owns what the words of the design mean. Knows no HTTP, no Redis, no SQL, and reads no clock.

pub mod access;
pub mod campaign;
pub mod cause;
pub mod claim;
pub mod count;
pub mod eligibility;
pub mod ids;
pub mod keyed;
pub mod life;
pub mod merchant;
pub mod money;
pub mod qr;
pub mod region;
pub(crate) mod text;
pub mod voucher;
pub mod webhook;
