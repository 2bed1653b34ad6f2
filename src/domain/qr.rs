//! What a voucher's QR code says: which claim, since when, and a MAC over both; good for some seconds and then for nothing.
//!
//! A payload is `CRQ1-` and 40 characters of base32: 10 bytes of claim number, 4 of the second in which it was made, and the
//! first 11 of HMAC-SHA256 over them. The MAC of the voucher code is not in it and cannot be made from it: whoever
//! photographs a payload has nothing once its time is over. All its characters are among those that a QR code packs closest.

use std::sync::Arc;

use arc_swap::ArcSwap;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::ids::{CROCKFORD, ClaimNumber};
use super::keyed::derived;
use super::life::rules::ShownAs;
use super::voucher::VoucherSigner;
use crate::clock::UnixMs;

/// What every payload begins with; a voucher code never does.
pub const PREFIX: &str = "CRQ1-";

/// Separates this use of the voucher secret from the codes themselves, and this form from a later one.
const DOMAIN: &[u8] = b"claimrush voucher qr v1";
const SECOND_BYTES: usize = 4;
const SIGNED_BYTES: usize = ClaimNumber::BYTES + SECOND_BYTES;
const MAC_BYTES: usize = 11;

/// Signs and checks payloads. Clones share the key, which may be replaced.
#[derive(Clone)]
pub struct QrSigner {
    keyed: Arc<ArcSwap<Keyed>>,
    valid_s: u32,
}

struct Keyed {
    current: Hmac<Sha256>,
    /// Payloads that were signed with these are still believed.
    old: Vec<Hmac<Sha256>>,
}

impl std::fmt::Debug for QrSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QrSigner(secret)")
    }
}

/// A payload and the time it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// What the QR code says.
    pub text: String,
    /// From when on it is good for nothing.
    pub expires_at_ms: UnixMs,
}

/// Why a payload is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QrFlaw {
    /// Nobody here has signed it.
    #[error("no such voucher code")]
    Invalid,
    /// It was good once: the holder shows a fresh one.
    #[error("the QR code has expired; the holder shows a fresh one")]
    Expired,
    /// Its time lies further ahead than clocks may differ.
    #[error("the QR code is not good yet: the clocks of two front ends differ")]
    NotYet,
}

fn signing(secret: &[u8]) -> Hmac<Sha256> {
    derived(secret, DOMAIN)
}

impl QrSigner {
    /// Payloads that are good for `valid_s` seconds, under a key that the voucher secret gives.
    #[must_use]
    pub fn new(secret: &[u8], valid_s: u32) -> Self {
        let keyed = Keyed { current: signing(secret), old: Vec::new() };
        Self { keyed: Arc::new(ArcSwap::from_pointee(keyed)), valid_s }
    }

    /// Signs with another secret from now on, and believes what was signed with old ones too.
    pub fn rekey<'s>(&self, secret: &[u8], old: impl Iterator<Item = &'s [u8]>) {
        self.keyed.store(Arc::new(Keyed { current: signing(secret), old: old.map(signing).collect() }));
    }

    /// How long a payload is good, in milliseconds.
    #[must_use]
    pub fn valid_ms(&self) -> i64 {
        i64::from(self.valid_s) * 1_000
    }

    /// The payload of a claim at this instant. It is good from the beginning of the second on.
    #[must_use]
    pub fn sign(&self, number: ClaimNumber, now_ms: UnixMs) -> Payload {
        let second = u32::try_from(now_ms.div_euclid(1_000)).unwrap_or(0);
        let mut bytes = [0_u8; SIGNED_BYTES + MAC_BYTES];
        let signed = number.to_bytes().into_iter().chain(second.to_be_bytes());
        for (to, from) in bytes.iter_mut().zip(signed) {
            *to = from;
        }
        if let Some((signed, mac)) = bytes.split_first_chunk_mut::<SIGNED_BYTES>() {
            let whole = self.keyed.load().current.clone().chain_update(&signed[..]).finalize().into_bytes();
            for (to, from) in mac.iter_mut().zip(whole) {
                *to = from;
            }
        }
        let mut text = String::with_capacity(PREFIX.len() + 40);
        text.push_str(PREFIX);
        CROCKFORD.encode_append(&bytes, &mut text);
        Payload { text, expires_at_ms: i64::from(second) * 1_000 + self.valid_ms() }
    }

    /// The claim that a payload stands for at this instant. The MAC is compared in constant time, and before the time is
    /// looked at: only who has a signed payload learns that it is too old.
    ///
    /// Another front end's clock may be ahead by as much as a payload is good; one that is behind only shortens the time.
    ///
    /// # Errors
    /// [`QrFlaw`].
    pub fn verify(&self, payload: &str, now_ms: UnixMs) -> Result<ClaimNumber, QrFlaw> {
        match self.read(payload, now_ms)? {
            (number, true) => Ok(number),
            (_, false) => Err(QrFlaw::Expired),
        }
    }

    /// The same, and whether the payload is fresh: one whose time is over is read too.
    fn read(&self, payload: &str, now_ms: UnixMs) -> Result<(ClaimNumber, bool), QrFlaw> {
        let text = payload.strip_prefix(PREFIX).ok_or(QrFlaw::Invalid)?;
        let bytes: [u8; SIGNED_BYTES + MAC_BYTES] = CROCKFORD
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(QrFlaw::Invalid)?;
        let (signed, mac) = bytes.split_first_chunk::<SIGNED_BYTES>().ok_or(QrFlaw::Invalid)?;
        let keyed = self.keyed.load();
        let mut all = std::iter::once(&keyed.current).chain(&keyed.old);
        let by = |key: &Hmac<Sha256>| key.clone().chain_update(signed).verify_truncated_left(mac).is_ok();
        if !all.any(by) {
            return Err(QrFlaw::Invalid);
        }
        let (number, second) = signed.split_first_chunk::<{ ClaimNumber::BYTES }>().ok_or(QrFlaw::Invalid)?;
        let second = u32::from_be_bytes(second.try_into().map_err(|_| QrFlaw::Invalid)?);
        let age_ms = now_ms.saturating_sub(i64::from(second) * 1_000);
        if age_ms < -self.valid_ms() {
            return Err(QrFlaw::NotYet);
        }
        Ok((ClaimNumber::from_bytes(*number), age_ms < self.valid_ms()))
    }
}

/// The claim of what somebody shows at a till, a voucher's code or a payload, and which of them it is.
///
/// # Errors
/// [`QrFlaw`]; a wrong code is [`QrFlaw::Invalid`]. A payload whose time is over is none: it says so.
pub fn presented(
    codes: &VoucherSigner,
    payloads: &QrSigner,
    text: &str,
    now_ms: UnixMs,
) -> Result<(ClaimNumber, ShownAs), QrFlaw> {
    if text.starts_with(PREFIX) {
        let (number, fresh) = payloads.read(text, now_ms)?;
        Ok((number, if fresh { ShownAs::Qr } else { ShownAs::OldQr }))
    } else {
        codes.verify(text).map(|number| (number, ShownAs::Code)).map_err(|_| QrFlaw::Invalid)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::{DropNumber, Epoch, Shard};

    const NUMBER: ClaimNumber =
        ClaimNumber { drop: DropNumber(3), shard: Shard(0), epoch: Epoch(1), seq: 17 };
    const NOW_MS: UnixMs = 1_700_000_000_500;

    fn signer() -> QrSigner {
        QrSigner::new(b"one secret", 30)
    }

    #[test]
    fn a_payload_is_good_for_its_time_and_no_longer() {
        let signer = signer();
        let payload = signer.sign(NUMBER, NOW_MS);
        assert_eq!((payload.text.len(), payload.expires_at_ms), (45, 1_700_000_030_000));
        assert!(
            payload.text.bytes().all(|b| b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:".contains(&b)),
            "a QR code packs it as alphanumeric"
        );
        let at = |ms| signer.verify(&payload.text, ms);
        assert_eq!((at(NOW_MS), at(NOW_MS + 29_499)), (Ok(NUMBER), Ok(NUMBER)));
        assert_eq!((at(NOW_MS + 29_500), at(i64::MAX)), (Err(QrFlaw::Expired), Err(QrFlaw::Expired)));
        // Signed by a front end whose clock is ahead: by half a minute it may be.
        assert_eq!((at(NOW_MS - 500), at(NOW_MS - 30_500)), (Ok(NUMBER), Ok(NUMBER)));
        assert_eq!((at(NOW_MS - 30_501), at(i64::MIN)), (Err(QrFlaw::NotYet), Err(QrFlaw::NotYet)));
        let longer = QrSigner::new(b"one secret", 60);
        assert_eq!(longer.verify(&longer.sign(NUMBER, NOW_MS).text, NOW_MS + 59_499), Ok(NUMBER));
    }

    #[test]
    fn the_next_second_says_something_else() {
        let signer = signer();
        assert_eq!(signer.sign(NUMBER, NOW_MS), signer.sign(NUMBER, NOW_MS + 499));
        assert_ne!(signer.sign(NUMBER, NOW_MS).text, signer.sign(NUMBER, NOW_MS + 500).text);
    }

    #[test]
    fn a_payload_holds_no_code_and_a_code_is_no_payload() {
        let (signer, codes) = (signer(), VoucherSigner::new(b"one secret"));
        let (payload, code) = (signer.sign(NUMBER, NOW_MS).text, codes.code(NUMBER));
        // The claim's number is in both; the 16 characters of the code's MAC are what a thief would need.
        assert!(!payload.contains(&code[16..]) && !code.starts_with(PREFIX));
        assert_eq!(signer.verify(&code, NOW_MS), Err(QrFlaw::Invalid));
        assert_eq!(signer.verify(&format!("{PREFIX}{code}"), NOW_MS), Err(QrFlaw::Invalid));
        assert!(codes.verify(&payload).is_err() && codes.verify(&payload[PREFIX.len()..]).is_err());
        assert!(codes.verify(&payload[PREFIX.len()..][..32]).is_err(), "nor is a part of it");
        let shown = |text: &str| presented(&codes, &signer, text, NOW_MS);
        assert_eq!(shown(&payload), Ok((NUMBER, ShownAs::Qr)));
        assert_eq!(shown(&code), Ok((NUMBER, ShownAs::Code)));
        assert_eq!((shown("x"), shown(PREFIX)), (Err(QrFlaw::Invalid), Err(QrFlaw::Invalid)));
        let later = |text: &str| presented(&codes, &signer, text, NOW_MS + 30_000);
        assert_eq!(later(&payload), Ok((NUMBER, ShownAs::OldQr)));
        assert_eq!(later(&code), Ok((NUMBER, ShownAs::Code)), "a code has no such end");
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let signer = signer();
        let payload = signer.sign(NUMBER, NOW_MS).text;
        for at in 0..payload.len() {
            for other in b"0123456789ABCDEFGHJKMNPQRSTVWXYZ-U!" {
                let mut forged = payload.clone().into_bytes();
                if forged[at] == *other {
                    continue;
                }
                forged[at] = *other;
                let forged = String::from_utf8(forged).unwrap();
                assert_eq!(signer.verify(&forged, NOW_MS), Err(QrFlaw::Invalid), "{forged}");
            }
        }
        for cut in 0..payload.len() {
            assert_eq!(signer.verify(&payload[..cut], NOW_MS), Err(QrFlaw::Invalid));
        }
        assert_eq!(signer.verify(&format!("{payload}0"), NOW_MS), Err(QrFlaw::Invalid));
        assert_eq!(QrSigner::new(b"another", 30).verify(&payload, NOW_MS), Err(QrFlaw::Invalid));
    }

    #[test]
    fn payloads_outlive_their_secret_while_it_is_listed() {
        let signer = signer();
        let (old, shared) = (signer.sign(NUMBER, NOW_MS).text, signer.clone());
        signer.rekey(b"second", [&b"one secret"[..]].into_iter());
        assert_ne!(shared.sign(NUMBER, NOW_MS).text, old, "clones sign with the new one");
        assert_eq!(shared.verify(&old, NOW_MS), Ok(NUMBER));
        signer.rekey(b"second", std::iter::empty());
        assert_eq!(shared.verify(&old, NOW_MS), Err(QrFlaw::Invalid));
    }

    proptest! {
        #[test]
        fn the_model_of_time_holds(made_at in 0..4_000_000_000_i64, later in -200_000..200_000_i64, valid in 30..=60_u32) {
            let (signer, made_ms) = (QrSigner::new(b"s", valid), made_at * 1_000);
            let valid_ms = i64::from(valid) * 1_000;
            let expected = match later {
                later if later >= valid_ms => Err(QrFlaw::Expired),
                later if later < -valid_ms => Err(QrFlaw::NotYet),
                _ => Ok(NUMBER),
            };
            prop_assert_eq!(signer.verify(&signer.sign(NUMBER, made_ms).text, made_ms + later), expected);
        }
    }
}
