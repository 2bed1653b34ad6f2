//! Proof-of-work challenges in the form of ALTCHA, version 1: a client finds the number behind a hash.
//!
//! Owns their making and checking, from memory alone. What a solution is spent on, and that it is spent once, is kept
//! by the caller.
//!
//! ```text
//!   salt       <24 hex>?drop=<drop>&expires=<seconds since 1970>&
//!   challenge  hex SHA-256( salt ‖ number in decimal ),   number in 0 ..= maxnumber
//!   signature  hex HMAC-SHA-256( key, each of algorithm, salt, challenge after its length )
//! ```
//!
//! The salt ends with `&`: no digit of the number can be moved into the expiry, or back (CVE-2025-68113 in other
//! servers). The signature covers the salt itself, not only the hash that it went into.
//! Source of the form: <https://altcha.org/docs/v2/proof-of-work-v1/>

use std::fmt::Write as _;

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, Mac};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::UnixMs;
use crate::domain::keyed::{add_fields, derived};
use crate::limits;

/// The only algorithm.
const ALGORITHM: &str = "SHA-256";
/// Separates this use of the secret from every other one.
const DOMAIN: &[u8] = b"claimrush challenge v1";
const NONCE_BYTES: usize = 12;

/// A challenge as the client gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Challenge {
    /// `SHA-256`.
    pub algorithm: String,
    /// The hash to be met, lower-case hex.
    pub challenge: String,
    /// The greatest number that has to be tried.
    pub maxnumber: u64,
    /// What stands before the number.
    pub salt: String,
    /// Ours, over the rest.
    pub signature: String,
}

/// What a client sends back, as base64 of JSON. Widgets add more (`took`), which is not looked at.
#[derive(Debug, Deserialize)]
struct Payload {
    algorithm: String,
    challenge: String,
    number: u64,
    salt: String,
    signature: String,
}

/// A solution that is right. It must not be taken twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solved {
    /// Which challenge it solves: no two have the same.
    pub id: [u8; 16],
    /// When the challenge ends, and need not be remembered any more.
    pub expires_at_ms: UnixMs,
}

/// Why a solution is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeFlaw {
    /// It is no base64 of a JSON object with the known members, or too long.
    #[error("the solution is malformed")]
    Malformed,
    /// It was not made here, or was changed.
    #[error("the challenge is not one of this service")]
    Signature,
    /// It is for another drop.
    #[error("the challenge is for another drop")]
    Drop,
    /// It has ended.
    #[error("the challenge has expired")]
    Expired,
    /// The number is not the one.
    #[error("the number does not solve the challenge")]
    Number,
}

/// Makes and checks challenges. Holds a prepared key.
#[derive(Clone)]
pub struct Challenges {
    keyed: Hmac<Sha256>,
}

impl std::fmt::Debug for Challenges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenges(secret)")
    }
}

impl Challenges {
    /// Derives the key from a secret that other things are signed with too.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self { keyed: derived(secret, DOMAIN) }
    }

    /// A new challenge for `drop` that ends at `expires_at_ms`, cut to whole seconds, and takes some `maxnumber / 2`
    /// hashes to solve. Drop ids need no escaping: their alphabet has none.
    #[must_use]
    pub fn make(&self, drop: &str, expires_at_ms: UnixMs, maxnumber: u64) -> Challenge {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let number = rand::rng().random_range(0..=maxnumber);
        self.make_with(nonce, drop, expires_at_ms, maxnumber, number)
    }

    fn make_with(
        &self,
        nonce: [u8; NONCE_BYTES],
        drop: &str,
        expires_at_ms: UnixMs,
        maxnumber: u64,
        number: u64,
    ) -> Challenge {
        let mut salt = HEXLOWER.encode(&nonce);
        // Writing to a String cannot fail.
        let _infallible = write!(salt, "?drop={drop}&expires={}&", expires_at_ms.div_euclid(1_000));
        let challenge = hash(&salt, number);
        let signature = HEXLOWER.encode(&self.mac(&salt, &challenge).finalize().into_bytes());
        Challenge { algorithm: ALGORITHM.to_owned(), challenge, maxnumber, salt, signature }
    }

    /// Checks a solution for `drop` at `now_ms`.
    ///
    /// # Errors
    /// [`ChallengeFlaw`] names the first thing that is wrong; nothing that the solution says is believed before its
    /// signature was found right, in constant time.
    pub fn check(&self, solution: &str, drop: &str, now_ms: UnixMs) -> Result<Solved, ChallengeFlaw> {
        if solution.len() > limits::SOLUTION_BYTES_MAX {
            return Err(ChallengeFlaw::Malformed);
        }
        let json = BASE64.decode(solution.as_bytes()).map_err(|_| ChallengeFlaw::Malformed)?;
        if !json.trim_ascii_start().starts_with(b"{") {
            return Err(ChallengeFlaw::Malformed);
        }
        let payload: Payload = serde_json::from_slice(&json).map_err(|_| ChallengeFlaw::Malformed)?;
        if payload.algorithm != ALGORITHM {
            return Err(ChallengeFlaw::Malformed);
        }
        let signature =
            HEXLOWER.decode(payload.signature.as_bytes()).map_err(|_| ChallengeFlaw::Malformed)?;
        self.mac(&payload.salt, &payload.challenge)
            .verify_slice(&signature)
            .map_err(|_| ChallengeFlaw::Signature)?;
        // From here on all of it is as we made it, save the number.
        let (found_drop, expires_at_ms) = read_salt(&payload.salt).ok_or(ChallengeFlaw::Malformed)?;
        if found_drop != drop {
            return Err(ChallengeFlaw::Drop);
        }
        if now_ms >= expires_at_ms {
            return Err(ChallengeFlaw::Expired);
        }
        if hash(&payload.salt, payload.number) != payload.challenge {
            return Err(ChallengeFlaw::Number);
        }
        let digest = Sha256::digest(payload.salt.as_bytes());
        Ok(Solved { id: digest.first_chunk().copied().unwrap_or_default(), expires_at_ms })
    }

    fn mac(&self, salt: &str, challenge: &str) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        add_fields(&mut mac, &[ALGORITHM, salt, challenge]);
        mac
    }
}

/// The drop and the end that a salt of ours names.
fn read_salt(salt: &str) -> Option<(&str, UnixMs)> {
    let (_, named) = salt.split_once("?drop=")?;
    let (drop, expires) = named.split_once("&expires=")?;
    let seconds: i64 = expires.strip_suffix('&')?.parse().ok()?;
    Some((drop, seconds.checked_mul(1_000)?))
}

fn hash(salt: &str, number: u64) -> String {
    let mut digits = itoa::Buffer::new();
    HEXLOWER.encode(&Sha256::new().chain_update(salt).chain_update(digits.format(number)).finalize())
}

/// Solves a challenge by trying, as a client does; nothing when there is no solution. For tests and tools.
#[must_use]
pub fn solve(challenge: &Challenge) -> Option<String> {
    let number =
        (0..=challenge.maxnumber).find(|number| hash(&challenge.salt, *number) == challenge.challenge)?;
    let payload = serde_json::json!({
        "algorithm": challenge.algorithm, "challenge": challenge.challenge, "number": number,
        "salt": challenge.salt, "signature": challenge.signature,
    });
    Some(BASE64.encode(payload.to_string().as_bytes()))
}

#[cfg(test)]
mod tests;
