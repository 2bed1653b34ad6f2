//! Tickets: signed passes (JWT) that say who may claim in which drop.
//!
//! Owns the key file, the verification on the hot path and the minting. The algorithm is fixed by the
//! configured key, never by the token, and nothing a token says is believed before its MAC was checked:
//! whom it names is only told to whoever fetches memory ahead ([`TicketVerifier::verify_announcing`]).
//! Verification does no I/O and holds no lock; jsonwebtoken, at several microseconds a ticket, is left to the
//! minting side.

mod claims;
mod flaw;
mod key;
mod key_file;
mod mint;
mod plain;
mod verify;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod eddsa;

pub use flaw::{TicketFlaw, TicketRefusal};
pub use key::{Algorithm, KeyFlaw, PublicKey, Secret, TicketKey};
pub use key_file::{KEY_FILE_NAME, KeyFile, KeyFileCause, KeyFileError};
pub use mint::{MintError, MintRequest, Pass, Persons, TicketMint, device_hash, run as mint_tickets};
pub use verify::{Scratch, Ticket, TicketVerifier, bearer};
