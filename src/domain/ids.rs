//! Identifiers: who, in which drop, and under which number.
//!
//! Every identifier that comes from outside is checked once, when its type is made.

use std::fmt;

use data_encoding::{Encoding, Specification};
use std::sync::LazyLock;

use crate::limits;

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Empty, or longer than the cap.
    #[error("must have 1 to {max} characters, has {len}")]
    Length {
        /// The length found, in bytes.
        len: usize,
        /// The cap, in bytes.
        max: usize,
    },
    /// A character that the kind of id does not take.
    #[error("may not contain {0:?}")]
    Character(char),
    /// Not of the form that the service writes.
    #[error("is malformed")]
    Malformed,
}

/// A drop's or campaign's id: lower-case letters, digits, `-`, `_` and `.`, beginning with a letter or digit.
fn check_slug(text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > limits::ID_BYTES_MAX {
        return Err(IdError::Length { len: text.len(), max: limits::ID_BYTES_MAX });
    }
    for (at, c) in text.char_indices() {
        let inner = matches!(c, 'a'..='z' | '0'..='9') || (at > 0 && matches!(c, '-' | '_' | '.'));
        if !inner {
            return Err(IdError::Character(c));
        }
    }
    Ok(())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks `text` and keeps it.
            ///
            /// # Errors
            /// [`IdError`] names what is wrong with it.
            pub fn new(text: &str) -> Result<Self, IdError> {
                $check(text)?;
                Ok(Self(text.into()))
            }

            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id!(
    /// Names a drop, unique over all campaigns.
    DropId,
    check_slug
);
text_id!(
    /// Names a campaign.
    CampaignId,
    check_slug
);
text_id!(
    /// A person as the ticket's `sub` names them: 1 to 128 visible ASCII characters, no blank.
    PersonId,
    check_person
);

/// Whether `text` can name a person. The journal separates persons by blanks and marks by tabs.
///
/// # Errors
/// [`IdError`] names what is wrong with it.
pub fn check_person(text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > limits::PERSON_BYTES_MAX {
        return Err(IdError::Length { len: text.len(), max: limits::PERSON_BYTES_MAX });
    }
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    text.chars().find(|c| !c.is_ascii_graphic()).map_or(Ok(()), |c| Err(IdError::Character(c)))
}

/// The number that the ledger gave a drop when it was first applied: 1, 2, 3 …, at most 24 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct DropNumber(pub u32);

/// A shard: the unit of atomicity. All its Redis keys carry the tag `{sN}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct Shard(pub u8);

impl Shard {
    /// The shard that this version serves. Keys, claim numbers and the ledger carry it, so that more of them
    /// change no format.
    pub const FIRST: Self = Self(0);
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

/// Raised each time a shard is rebuilt, so that nothing is numbered twice. The first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct Epoch(pub u16);

impl Epoch {
    /// The epoch of a shard that was never rebuilt.
    pub const FIRST: Self = Self(1);
}

/// A claim's full number: no two claims ever share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClaimNumber {
    /// The drop.
    pub drop: DropNumber,
    /// The person's home shard.
    pub shard: Shard,
    /// The shard's epoch when the claim was granted.
    pub epoch: Epoch,
    /// 1, 2, 3 … without gaps per (drop, shard, epoch).
    pub seq: u32,
}

/// Crockford's base32: no `I`, `L`, `O`, `U`, so a code can be read aloud.
/// Source: <https://www.crockford.com/base32.html>
pub(crate) static CROCKFORD: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.extend(CROCKFORD_TABLE.map(char::from));
    spec.translate.from.push_str("abcdefghjkmnpqrstvwxyzoOiIlL");
    spec.translate.to.push_str("ABCDEFGHJKMNPQRSTVWXYZ001111");
    #[expect(clippy::expect_used, reason = "a constant specification; the first test would show it")]
    spec.encoding().expect("the alphabet has 32 distinct symbols")
});
/// Characters of [`CROCKFORD`] that 5 bytes take, and bits that each stands for.
const DIGITS_OF_FIVE: usize = 8;
const DIGIT_BITS: u32 = 5;
const CROCKFORD_TABLE: [u8; 32] = *b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Appends what [`CROCKFORD`] writes for 10 bytes, which every claim needs three times, in three quarters of the
/// instructions.
pub(crate) fn append_crockford(bytes: [u8; ClaimNumber::BYTES], out: &mut String) {
    let mut digits = [b'0'; 2 * DIGITS_OF_FIVE];
    let (fives, _) = bytes.as_chunks::<5>();
    let (eights, _) = digits.as_chunks_mut::<DIGITS_OF_FIVE>();
    for ([a, b, c, d, e], eight) in fives.iter().zip(eights) {
        let word = u64::from_be_bytes([0, 0, 0, *a, *b, *c, *d, *e]);
        for (digit, at) in eight.iter_mut().rev().zip(0..) {
            let [.., last] = (word >> (DIGIT_BITS * at)).to_be_bytes();
            if let Some(character) = CROCKFORD_TABLE.get(usize::from(last % 32)) {
                *digit = *character;
            }
        }
    }
    out.push_str(std::str::from_utf8(&digits).unwrap_or_default());
}

impl ClaimNumber {
    /// Bytes of the packed form: drop 3, shard 1, epoch 2, seq 4, big-endian.
    pub const BYTES: usize = 10;

    /// The packed form, which claim ids and voucher codes carry.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let [_, d1, d2, d3] = self.drop.0.to_be_bytes();
        let [e1, e2] = self.epoch.0.to_be_bytes();
        let [s1, s2, s3, s4] = self.seq.to_be_bytes();
        [d1, d2, d3, self.shard.0, e1, e2, s1, s2, s3, s4]
    }

    /// The reverse of [`ClaimNumber::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let [d1, d2, d3, shard, e1, e2, s1, s2, s3, s4] = bytes;
        Self {
            drop: DropNumber(u32::from_be_bytes([0, d1, d2, d3])),
            shard: Shard(shard),
            epoch: Epoch(u16::from_be_bytes([e1, e2])),
            seq: u32::from_be_bytes([s1, s2, s3, s4]),
        }
    }

    /// The public name of the claim, `clm_` and 16 base32 characters.
    #[must_use]
    pub fn claim_id(self) -> String {
        let mut id = String::with_capacity(20);
        self.append_claim_id(&mut id);
        id
    }

    /// Appends what [`ClaimNumber::claim_id`] returns, for the hot path.
    pub fn append_claim_id(self, out: &mut String) {
        out.push_str("clm_");
        append_crockford(self.to_bytes(), out);
    }

    /// Reads a claim id.
    ///
    /// # Errors
    /// [`IdError::Malformed`] for anything that [`ClaimNumber::claim_id`] does not write.
    pub fn parse_claim_id(text: &str) -> Result<Self, IdError> {
        let body = text.strip_prefix("clm_").ok_or(IdError::Malformed)?;
        let bytes = CROCKFORD.decode(body.as_bytes()).map_err(|_| IdError::Malformed)?;
        bytes.try_into().map(Self::from_bytes).map_err(|_| IdError::Malformed)
    }
}

/// A redemption: the number of the step that made it. Its public name is `red_` and 13 base32 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RedemptionId(pub u64);

impl fmt::Display for RedemptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "red_{}", CROCKFORD.encode(&self.0.to_be_bytes()))
    }
}

impl std::str::FromStr for RedemptionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let body = text.strip_prefix("red_").ok_or(IdError::Malformed)?;
        let bytes = CROCKFORD.decode(body.as_bytes()).map_err(|_| IdError::Malformed)?;
        let number = bytes.try_into().map(u64::from_be_bytes).map_err(|_| IdError::Malformed)?;
        row_number(number).map(Self).ok_or(IdError::Malformed)
    }
}

/// A number that a row of the ledger can have: the stores count to 2^63 - 1, and no asker may make them fail.
#[must_use]
pub fn row_number(number: u64) -> Option<u64> {
    i64::try_from(number).is_ok().then_some(number)
}

/// The first 8 bytes of an idempotency key's SHA-256 in hex: what is stored instead of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark(pub [u8; 8]);

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claim_ids_are_read_back() {
        let number = ClaimNumber { drop: DropNumber(0x0012_3456), shard: Shard(7), epoch: Epoch(9), seq: 17 };
        let id = number.claim_id();
        assert_eq!(id.len(), 20);
        assert_eq!(ClaimNumber::parse_claim_id(&id), Ok(number));
        assert_eq!(ClaimNumber::parse_claim_id("clm_"), Err(IdError::Malformed));
        assert_eq!(ClaimNumber::parse_claim_id("0000000000000000"), Err(IdError::Malformed));
    }

    #[test]
    fn characters_are_those_of_the_encoding() {
        for seed in 0..1_000_u64 {
            let mut bytes = [0; ClaimNumber::BYTES];
            bytes[..8].copy_from_slice(&seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            bytes[8..].copy_from_slice(&[255, 7]);
            let mut out = String::from("x");
            append_crockford(bytes, &mut out);
            assert_eq!(out, format!("x{}", CROCKFORD.encode(&bytes)));
        }
    }

    #[test]
    fn redemption_ids_are_read_back() {
        for number in [1, 42, u64::MAX >> 1] {
            let id = RedemptionId(number).to_string();
            assert_eq!((id.len(), id.parse()), (17, Ok(RedemptionId(number))));
        }
        for bad in
            ["", "red_", "42", "red_0000000000000!", "clm_0000000000001", &RedemptionId(u64::MAX).to_string()]
        {
            assert_eq!(bad.parse::<RedemptionId>(), Err(IdError::Malformed), "{bad}");
        }
    }

    #[test]
    fn ids_name_what_is_wrong() {
        assert_eq!(DropId::new("Caiyun"), Err(IdError::Character('C')));
        assert_eq!(DropId::new("-x"), Err(IdError::Character('-')));
        assert!(DropId::new("caiyun-100-25").is_ok());
        assert_eq!(PersonId::new("a b"), Err(IdError::Character(' ')));
        assert!(matches!(PersonId::new(&"x".repeat(129)), Err(IdError::Length { len: 129, .. })));
    }
}
