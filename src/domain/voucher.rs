//! Voucher codes: the claim's number and a truncated MAC in base32, so a code needs no look-up to be believed.
//!
//! A code is the signed receipt of its claim: 10 bytes of claim number, then the first 10 bytes of
//! HMAC-SHA256 over them, 32 characters in all. 80 bits cannot be guessed online, and the code fits a small QR.

use std::sync::Arc;

use arc_swap::ArcSwap;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::ids::{CROCKFORD, ClaimNumber, append_crockford};
use super::keyed::derived;

/// Separates this use of the secret from every other one, and this form of the code from a later one.
const DOMAIN: &[u8] = b"claimrush voucher code v1";
const MAC_BYTES: usize = 10;
const CODE_BYTES: usize = ClaimNumber::BYTES + MAC_BYTES;

/// Signs and checks voucher codes. Holds a prepared key; cloning it is cheap.
/// Clones share the key, which may be replaced.
#[derive(Clone)]
pub struct VoucherSigner(Arc<ArcSwap<Keyed>>);

struct Keyed {
    current: Hmac<Sha256>,
    /// Codes that were signed with these are still believed.
    old: Vec<Hmac<Sha256>>,
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

fn signing(secret: &[u8]) -> Hmac<Sha256> {
    derived(secret, DOMAIN)
}

impl VoucherSigner {
    /// Derives the signing key from the voucher secret, which is not the ticket secret.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(Keyed { current: signing(secret), old: Vec::new() })))
    }

    /// Signs with another secret from now on, and believes what was signed with old ones too.
    pub fn rekey<'s>(&self, secret: &[u8], old: impl Iterator<Item = &'s [u8]>) {
        self.0.store(Arc::new(Keyed { current: signing(secret), old: old.map(signing).collect() }));
    }

    /// Appends the code of a claim.
    pub fn append_code(&self, number: ClaimNumber, out: &mut String) {
        let number = number.to_bytes();
        let mac: [u8; 32] = self.0.load().current.clone().chain_update(number).finalize().into_bytes().into();
        // 10 bytes are 80 bits, which are 16 characters: either half is written by itself.
        append_crockford(number, out);
        append_crockford(*mac.first_chunk().unwrap_or(&[0; MAC_BYTES]), out);
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
        let keyed = self.0.load();
        let mut all = std::iter::once(&keyed.current).chain(&keyed.old);
        let signed = |key: &Hmac<Sha256>| key.clone().chain_update(number).verify_truncated_left(mac).is_ok();
        if !all.any(signed) {
            return Err(InvalidCode);
        }
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
    fn codes_outlive_their_secret_while_it_is_listed() {
        let signer = VoucherSigner::new(b"first");
        let (old, shared) = (signer.code(NUMBER), signer.clone());
        signer.rekey(b"second", [&b"first"[..]].into_iter());
        assert_ne!(shared.code(NUMBER), old, "clones sign with the new one");
        assert_eq!((shared.verify(&old), shared.verify(&shared.code(NUMBER))), (Ok(NUMBER), Ok(NUMBER)));
        signer.rekey(b"second", std::iter::empty());
        assert_eq!(shared.verify(&old), Err(InvalidCode));
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
