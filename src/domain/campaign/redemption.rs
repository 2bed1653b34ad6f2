//! How a campaign's vouchers are redeemed: caps a day, the time to take a redemption back, and where money goes that
//! vouchers no longer stand for.

use serde::{Deserialize, Serialize};

use super::file::FileError;
use super::table::Table;
use super::value;
use crate::domain::life::Pot;
use crate::limits;

pub(super) const KEYS: [&str; 5] =
    ["reverse_within", "person_per_day", "person_per_merchant_per_day", "unused", "code"];

/// The rules. The defaults hold where a campaign says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedemptionRules {
    /// How long after a redemption its merchant may take it back, in milliseconds.
    pub reverse_within_ms: i64,
    /// The most redemptions of one person a day, at all merchants together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person_per_day: Option<u32>,
    /// The most redemptions of one person at one merchant a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person_per_merchant_per_day: Option<u32>,
    /// Where the money of expired and lost vouchers goes.
    pub unused: Unused,
    /// What tills take.
    #[serde(default, skip_serializing_if = "Taken::is_any")]
    pub code: Taken,
}

/// What tills take a voucher by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// By its code or by its changing QR code.
    #[default]
    Any,
    /// By its changing QR code alone: a photographed code is good for nothing.
    Qr,
}

impl Taken {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_any(&self) -> bool {
        *self == Self::Any
    }

    /// The word of the campaign file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Qr => "qr",
        }
    }
}

/// Where money goes that vouchers no longer stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unused {
    /// It stays in the campaign and may pay for later drops.
    #[default]
    Recycled,
    /// It goes back to whoever gave it.
    Treasury,
}

impl Unused {
    /// The account.
    #[must_use]
    pub fn pot(self) -> Pot {
        match self {
            Self::Recycled => Pot::Recycled,
            Self::Treasury => Pot::Treasury,
        }
    }
}

impl Default for RedemptionRules {
    fn default() -> Self {
        Self {
            reverse_within_ms: limits::REVERSE_MS_DEFAULT,
            person_per_day: None,
            person_per_merchant_per_day: None,
            unused: Unused::default(),
            code: Taken::default(),
        }
    }
}

/// Reads the rules of a campaign file; nothing where they are the default ones.
pub(super) fn read(file: &Table<'_, '_>) -> Result<Option<RedemptionRules>, FileError> {
    let Some(field) = file.get("redemption") else { return Ok(None) };
    let table = file.table(&field, &KEYS)?;
    let mut rules = RedemptionRules::default();
    if let Some(field) = table.get("reverse_within") {
        rules.reverse_within_ms =
            value::duration_ms(table.text(&field)?).map_err(|what| table.refuse(&field, &what))?;
        if rules.reverse_within_ms > limits::REVERSE_MS_MAX {
            return Err(table.refuse(&field, "is more than 24h"));
        }
    }
    let cap = |key| {
        let count = |field| table.count(&field, u64::from(limits::REDEMPTIONS_PER_DAY_MAX));
        table.get(key).map(count).transpose().map(|cap| cap.and_then(|cap| u32::try_from(cap).ok()))
    };
    rules.person_per_day = cap("person_per_day")?;
    rules.person_per_merchant_per_day = cap("person_per_merchant_per_day")?;
    if let Some(field) = table.get("unused") {
        rules.unused = match table.text(&field)? {
            "recycled" => Unused::Recycled,
            "treasury" => Unused::Treasury,
            _ => return Err(table.refuse(&field, "is not one of recycled, treasury")),
        };
    }
    if let Some(field) = table.get("code") {
        rules.code = match table.text(&field)? {
            "any" => Taken::Any,
            "qr" => Taken::Qr,
            _ => return Err(table.refuse(&field, "is not one of any, qr")),
        };
    }
    Ok((rules != RedemptionRules::default()).then_some(rules))
}

impl RedemptionRules {
    /// The rules that differ from those `before`: each key, its value before and after, as the campaign file has them.
    pub(super) fn changes(&self, before: &Self) -> Vec<RuleChange> {
        let all = before.told().into_iter().zip(self.told());
        let changed = all.filter(|((_, from), (_, to))| from != to);
        changed.map(|((key, from), (_, to))| RuleChange { key, from, to }).collect()
    }

    /// Every rule: its key, and its value as the campaign file has it.
    pub(super) fn told(&self) -> [(&'static str, String); 5] {
        let Self { reverse_within_ms, person_per_day, person_per_merchant_per_day, unused, code } = self;
        let cap = |cap: Option<u32>| cap.map_or_else(|| "none".to_owned(), |cap| cap.to_string());
        let [reverse, per_day, per_merchant, unused_key, code_key] = KEYS;
        [
            (reverse, format!("{}s", reverse_within_ms / 1_000)),
            (per_day, cap(*person_per_day)),
            (per_merchant, cap(*person_per_merchant_per_day)),
            (unused_key, unused.pot().as_str().to_owned()),
            (code_key, code.as_str().to_owned()),
        ]
    }
}

/// A rule of redemptions, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleChange {
    /// The key below `redemption`.
    pub key: &'static str,
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
}

/// Whether a drop is paid for by what came back: `funded_by = "recycled"`, beside `"budget"`, which is the default.
pub(super) fn funded_by_recycled(drop: &Table<'_, '_>) -> Result<bool, FileError> {
    let Some(field) = drop.get("funded_by") else { return Ok(false) };
    match drop.text(&field)? {
        "budget" => Ok(false),
        "recycled" => Ok(true),
        _ => Err(drop.refuse(&field, "is not one of budget, recycled")),
    }
}
