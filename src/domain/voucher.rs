//! Voucher codes: the claim's number and a truncated MAC in base32, so a code needs no look-up to be believed.
//!
//! A code is the signed receipt of its claim: 10 bytes of claim number, then the first 10 bytes of
//! HMAC-SHA256 over them, 32 characters in all. 80 bits cannot be guessed online, and the code fits a small QR.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::ids::{CROCKFORD, ClaimNumber};

/// Separates this use of the secret from every other one, and this form of the code from a later one.
const DOMAIN: &[u8] = b"claimrush voucher code v1";
const MAC_BYTES: usize = 10;
const CODE_BYTES: usize = ClaimNumber::BYTES + MAC_BYTES;

/// Signs and checks voucher codes. Holds a prepared key; cloning it is cheap.
#[derive(Clone)]
pub struct VoucherSigner {
    keyed: Hmac<Sha256>,
}

impl std::fmt::Debug for VoucherSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VoucherSigner(secret)")
    }
}

/// Why a code is not believed. One answer for every cause, so that nobody learns how near a guess was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such voucher code")]
pub struct InvalidCode;

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

impl VoucherSigner {
    /// Derives the signing key from the voucher secret, which is not the ticket secret.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let derived = keyed(secret).chain_update(DOMAIN).finalize().into_bytes();
        Self { keyed: keyed(&derived) }
    }

    /// Appends the code of a claim.
    pub fn append_code(&self, number: ClaimNumber, out: &mut String) {
        let number = number.to_bytes();
        let mac = self.keyed.clone().chain_update(number).finalize().into_bytes();
        let mut code = [0_u8; CODE_BYTES];
        for (to, from) in code.iter_mut().zip(number.iter().chain(mac.iter())) {
            *to = *from;
        }
        CROCKFORD.encode_append(&code, out);
    }

    /// The code of a claim.
    #[must_use]
    pub fn code(&self, number: ClaimNumber) -> String {
        let mut out = String::with_capacity(32);
        self.append_code(number, &mut out);
        out
    }

    /// The claim that a code stands for, checked in constant time.
    ///
    /// # Errors
    /// [`InvalidCode`] for anything that [`VoucherSigner::code`] did not write with this secret.
    pub fn verify(&self, code: &str) -> Result<ClaimNumber, InvalidCode> {
        let bytes: [u8; CODE_BYTES] = CROCKFORD
            .decode(code.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(InvalidCode)?;
        let (number, mac) = bytes.split_first_chunk::<{ ClaimNumber::BYTES }>().ok_or(InvalidCode)?;
        self.keyed.clone().chain_update(number).verify_truncated_left(mac).map_err(|_| InvalidCode)?;
        Ok(ClaimNumber::from_bytes(*number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{DropNumber, Epoch, Shard};

    const NUMBER: ClaimNumber =
        ClaimNumber { drop: DropNumber(3), shard: Shard(0), epoch: Epoch(1), seq: 17 };

    #[test]
    fn a_code_is_believed_by_its_signer_alone() {
        let signer = VoucherSigner::new(b"one secret");
        let code = signer.code(NUMBER);
        assert_eq!(code.len(), 32);
        assert_eq!(signer.verify(&code), Ok(NUMBER));
        assert_eq!(signer.verify(&code.to_lowercase()), Ok(NUMBER));
        assert_eq!(VoucherSigner::new(b"another").verify(&code), Err(InvalidCode));
        assert_eq!(signer.verify(""), Err(InvalidCode));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let signer = VoucherSigner::new(b"one secret");
        let code = signer.code(NUMBER);
        for at in 0..code.len() {
            let mut forged = code.clone().into_bytes();
            forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(signer.verify(std::str::from_utf8(&forged).unwrap()), Err(InvalidCode), "at {at}");
        }
    }
}
