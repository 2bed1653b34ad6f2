//! Who may take part: the rules of a campaign or a drop, and what is known of somebody who asks.
//!
//! Pure: rules and an applicant in, eligible or the first reason why not out. The reasons are for staff; the applicant
//! is told that they are not eligible, and no more, lest the rules can be felt out.

use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;

/// The rules. Empty ones let everybody in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eligibility {
    /// Codes of regions (GB/T 2260) in one of which the person must be at home; `53` stands for all of Yunnan. Empty for
    /// anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// Codes of regions in one of which the address must lie from which they ask, by the address-to-region table. Empty
    /// for anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub address_regions: Vec<String>,
    /// How old the account must be at least, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_account_age_ms: Option<i64>,
    /// The list on which the person must stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_list: Option<String>,
    /// Whether a person may have claims in one drop of the campaign alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub one_per_campaign: bool,
    /// How long after a claim in the campaign the person must wait for another drop of it, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cool_down_ms: Option<i64>,
}

/// What is known of somebody who asks.
#[derive(Debug, Clone, Copy)]
pub struct Applicant<'a> {
    /// Where they are at home, by their identity.
    pub region: Option<&'a str>,
    /// Where the address lies from which they ask, as far as the address-to-region table knows it.
    pub address_region: Option<&'a str>,
    /// Since when they have their account, by their identity.
    pub account_since_ms: Option<UnixMs>,
    /// Whether they stand on the rules' allow-list.
    pub on_allow_list: bool,
    /// Their last claim in another drop of the campaign.
    pub last_claim_ms: Option<UnixMs>,
}

/// Why somebody is not eligible. For staff: logs below `info` and metrics, never an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ineligible {
    /// At home elsewhere, or nobody says where.
    Region,
    /// The account is too young, or nobody says how old it is.
    AccountAge,
    /// Not on the list.
    AllowList,
    /// Has, or has a ticket for, another drop of the campaign.
    OnePerCampaign,
    /// Claimed a short while ago.
    CoolDown,
    /// Something that they are known by belongs to another person.
    Union,
    /// Asks from an address elsewhere.
    AddressRegion,
    /// Asks from an address of which nobody knows where it lies.
    AddressUnknown,
}

impl Ineligible {
    /// Every reason, in the order of their indices.
    pub const ALL: [Self; 8] = [
        Self::Region,
        Self::AccountAge,
        Self::AllowList,
        Self::OnePerCampaign,
        Self::CoolDown,
        Self::Union,
        Self::AddressRegion,
        Self::AddressUnknown,
    ];
    /// Their words, in the same order.
    pub const WORDS: &'static [&'static str] = &[
        "region",
        "account_age",
        "allow_list",
        "one_per_campaign",
        "cool_down",
        "union",
        "address_region",
        "address_unknown",
    ];

    /// The word of logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::WORDS.get(self as usize).copied().unwrap_or_default()
    }
}

impl Eligibility {
    /// Whether somebody may take part at `now_ms`, as far as these rules can tell by themselves.
    ///
    /// # Errors
    /// The first rule that says no.
    pub fn check(&self, applicant: &Applicant<'_>, now_ms: UnixMs) -> Result<(), Ineligible> {
        let lies_in =
            |region: &str, rules: &[String]| rules.iter().any(|rule| region.starts_with(rule.as_str()));
        if !self.regions.is_empty() && !applicant.region.is_some_and(|region| lies_in(region, &self.regions))
        {
            return Err(Ineligible::Region);
        }
        if self.looks_at_addresses() {
            let region = applicant.address_region.ok_or(Ineligible::AddressUnknown)?;
            if !lies_in(region, &self.address_regions) {
                return Err(Ineligible::AddressRegion);
            }
        }
        let old_enough = |min_ms: i64| {
            applicant.account_since_ms.is_some_and(|since| now_ms.saturating_sub(since) >= min_ms)
        };
        if self.min_account_age_ms.is_some_and(|min_ms| !old_enough(min_ms)) {
            return Err(Ineligible::AccountAge);
        }
        if self.allow_list.is_some() && !applicant.on_allow_list {
            return Err(Ineligible::AllowList);
        }
        if self.one_per_campaign && applicant.last_claim_ms.is_some() {
            return Err(Ineligible::OnePerCampaign);
        }
        let rested =
            |wait_ms: i64| applicant.last_claim_ms.is_none_or(|last| now_ms.saturating_sub(last) >= wait_ms);
        if self.cool_down_ms.is_some_and(|wait_ms| !rested(wait_ms)) {
            return Err(Ineligible::CoolDown);
        }
        Ok(())
    }

    /// Whether it matters where the address lies from which somebody asks.
    #[must_use]
    pub fn looks_at_addresses(&self) -> bool {
        !self.address_regions.is_empty()
    }

    /// Whether the person's claims in other drops of the campaign matter.
    #[must_use]
    pub fn looks_at_claims(&self) -> bool {
        self.one_per_campaign || self.cool_down_ms.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: UnixMs = 1_000_000;
    const ANYBODY: Applicant<'_> = Applicant {
        region: None,
        address_region: None,
        account_since_ms: None,
        on_allow_list: false,
        last_claim_ms: None,
    };

    #[test]
    fn empty_rules_let_everybody_in() {
        assert_eq!(Eligibility::default().check(&ANYBODY, NOW_MS), Ok(()));
        assert_eq!(serde_json::to_string(&Eligibility::default()).unwrap(), "{}");
    }

    #[test]
    fn each_rule_says_no_by_its_name() {
        let rules = Eligibility {
            regions: vec!["53".into(), "5101".into()],
            address_regions: vec!["53".into()],
            min_account_age_ms: Some(100),
            allow_list: Some("vip".into()),
            one_per_campaign: false,
            cool_down_ms: Some(50),
        };
        let good = Applicant {
            region: Some("530100"),
            address_region: Some("530102"),
            account_since_ms: Some(NOW_MS - 100),
            on_allow_list: true,
            last_claim_ms: Some(NOW_MS - 50),
        };
        assert_eq!(rules.check(&good, NOW_MS), Ok(()));
        for (applicant, why) in [
            (Applicant { region: Some("510200"), ..good }, Ineligible::Region),
            (Applicant { region: None, ..good }, Ineligible::Region),
            (Applicant { region: Some("5"), ..good }, Ineligible::Region),
            (Applicant { address_region: Some("51"), ..good }, Ineligible::AddressRegion),
            (Applicant { address_region: Some("CN"), ..good }, Ineligible::AddressRegion),
            (Applicant { address_region: None, ..good }, Ineligible::AddressUnknown),
            (Applicant { account_since_ms: Some(NOW_MS - 99), ..good }, Ineligible::AccountAge),
            (Applicant { account_since_ms: None, ..good }, Ineligible::AccountAge),
            (Applicant { on_allow_list: false, ..good }, Ineligible::AllowList),
            (Applicant { last_claim_ms: Some(NOW_MS - 49), ..good }, Ineligible::CoolDown),
        ] {
            assert_eq!(rules.check(&applicant, NOW_MS), Err(why), "{applicant:?}");
        }
        let once = Eligibility { one_per_campaign: true, ..rules };
        assert_eq!(once.check(&good, NOW_MS), Err(Ineligible::OnePerCampaign));
        for (index, why) in Ineligible::ALL.iter().enumerate() {
            assert_eq!(why.as_str(), Ineligible::WORDS[index]);
        }
    }
}
