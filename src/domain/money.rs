//! Money: integer fen (1/100 of the currency unit). Never a float, never in Lua.

use std::fmt;

/// An amount in fen. Negative on the credit side of a posting.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Fen(pub i64);

/// Why a text is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not digits, a point and two digits.
    #[error("{0:?} is not an amount like \"25.00\"")]
    Malformed(String),
    /// More than fits.
    #[error("{0:?} is too large")]
    TooLarge(String),
}

impl Fen {
    /// Reads `25`, `25.0` or `25.00` (no sign, at most two places).
    ///
    /// # Errors
    /// [`MoneyError`] quotes the text.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        let malformed = || MoneyError::Malformed(text.to_owned());
        let (whole, places) = match text.split_once('.') {
            Some((whole, places)) if matches!(places.len(), 1 | 2) => (whole, places),
            Some(_) => return Err(malformed()),
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(places) {
            return Err(malformed());
        }
        let too_large = || MoneyError::TooLarge(text.to_owned());
        let units: i64 = whole.parse().map_err(|_| too_large())?;
        let hundredths: i64 = format!("{places:0<2}").parse().map_err(|_| malformed())?;
        units.checked_mul(100).and_then(|fen| fen.checked_add(hundredths)).map(Self).ok_or_else(too_large)
    }

    /// The amount times a count; `None` when it does not fit.
    #[must_use]
    pub fn times(self, count: u64) -> Option<Self> {
        self.0.checked_mul(i64::try_from(count).ok()?).map(Self)
    }

    /// The sum; `None` when it does not fit.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl fmt::Display for Fen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let fen = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", fen / 100, fen % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_to_the_fen() {
        assert_eq!(Fen::parse("25.00"), Ok(Fen(2_500)));
        assert_eq!(Fen::parse("25.5"), Ok(Fen(2_550)));
        assert_eq!(Fen::parse("4000000"), Ok(Fen(400_000_000)));
        for bad in ["", ".5", "1.234", "-1.00", "1,000.00", "1e3", "１.00", "1."] {
            assert!(matches!(Fen::parse(bad), Err(MoneyError::Malformed(_))), "{bad}");
        }
        assert!(matches!(Fen::parse("99999999999999999999"), Err(MoneyError::TooLarge(_))));
        assert_eq!(Fen(-5).to_string(), "-0.05");
    }
}
