//! Merchants and their shops: what is known of them, who takes a voucher, and the one table of what may be done when.
//!
//! Owns the rules. What staff enter is a *proposal*; it holds once somebody else has reviewed it, and a merchant that is
//! active goes on by what was reviewed before.

mod codes;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use codes::{Categories, check_region, covers};

use super::access::Actor;
use super::campaign::VoucherTerms;
use super::ids::DropId;
use crate::clock::UnixMs;
use crate::limits;

/// A place where vouchers are redeemed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shop {
    /// Its id, unique within the merchant.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// GB/T 2260, where it is another than the merchant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// What is entered of a merchant, and has to be reviewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// What people call it.
    pub name: String,
    /// GB/T 4754, as in `F5211` or `52`; or a word of the list in the configuration.
    pub category: String,
    /// GB/T 2260, as in `530102`.
    pub region: String,
    /// Where it takes vouchers; in order of their ids. At least one.
    pub shops: Vec<Shop>,
    /// Redemptions that it may make in a day, of each campaign's vouchers; nothing for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap_per_day: Option<u32>,
    /// Redemptions of one person there in a day, of each campaign's vouchers; nothing for any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap_per_person_per_day: Option<u32>,
    /// Whether it is there for tests: what it redeems moves no money.
    #[serde(default)]
    pub uat: bool,
}

impl Details {
    /// Whether a voucher of these terms may be redeemed at a shop, by category and region: each in one of the terms'
    /// where they name any.
    #[must_use]
    pub fn takes(&self, terms: &VoucherTerms, shop: &Shop) -> bool {
        let region = shop.region.as_ref().unwrap_or(&self.region);
        let among =
            |rules: &[String], value: &str| rules.is_empty() || rules.iter().any(|rule| covers(rule, value));
        among(&terms.categories, &self.category) && among(&terms.regions, region)
    }

    /// The region in which vouchers are redeemed: that of the shop; without one, the region in which all shops lie. Nothing
    /// where they lie in several: the shop has to be named.
    #[must_use]
    pub fn region_at<'d>(&'d self, shop: Option<&'d Shop>) -> Option<&'d str> {
        let region = |shop: &'d Shop| shop.region.as_deref().unwrap_or(&self.region);
        if let Some(shop) = shop {
            return Some(region(shop));
        }
        let mut regions = self.shops.iter().map(region);
        let first = regions.next().unwrap_or(&self.region);
        regions.all(|other| other == first).then_some(first)
    }

    /// One of its shops.
    #[must_use]
    pub fn shop(&self, id: &str) -> Option<&Shop> {
        self.shops.iter().find(|shop| shop.id == id)
    }

    /// What is not within its bounds: each field, and why.
    #[must_use]
    pub fn flaws(&self, categories: &Categories) -> Vec<(&'static str, String)> {
        let mut checks = vec![
            ("name", check_name(&self.name)),
            ("category", categories.check(&self.category)),
            ("region", check_region(&self.region)),
        ];
        for shop in &self.shops {
            checks.push(("shop_id", check_id(&shop.id)));
            // A shop that has no name of its own has its merchant's, of which it was said already.
            if shop.name != self.name {
                checks.push(("shop_name", check_name(&shop.name)));
            }
            checks.push(("shop_region", shop.region.as_deref().map_or(Ok(()), check_region)));
        }
        if self.shops.is_empty() || self.shops.len() > limits::SHOPS_PER_MERCHANT_MAX {
            let max = limits::SHOPS_PER_MERCHANT_MAX;
            let what = format!("there must be 1 to {max} shops, there are {}", self.shops.len());
            checks.push(("shop_id", Err(what)));
        }
        checks.into_iter().filter_map(|(field, checked)| checked.err().map(|what| (field, what))).collect()
    }
}

/// Whether a text can be a merchant's or a shop's id: as the ids of drops.
///
/// # Errors
/// What is wrong with it.
pub fn check_id(id: &str) -> Result<(), String> {
    DropId::new(id).map(drop).map_err(|error| error.to_string())
}

fn check_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() || name.len() > limits::NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(format!("must have 1 to {} bytes and no control characters", limits::NAME_BYTES_MAX));
    }
    Ok(())
}

/// Where a merchant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Entered; nobody has looked at it.
    Applied,
    /// Looked at by somebody else, and found good.
    Reviewed,
    /// Takes vouchers.
    Active,
    /// Takes none, until it is activated again. What it took before it may still give back.
    Suspended,
}

impl Status {
    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Reviewed => "reviewed",
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// What can be done with a merchant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// To find what was entered good.
    Review,
    /// To have it take vouchers.
    Activate,
    /// To have it take none.
    Suspend,
}

/// The one table: (from, step, to). What is not in it is refused.
pub const STEPS: [(Status, Step, Status); 9] = [
    (Status::Applied, Step::Review, Status::Reviewed),
    (Status::Reviewed, Step::Review, Status::Reviewed),
    (Status::Active, Step::Review, Status::Active),
    (Status::Suspended, Step::Review, Status::Suspended),
    (Status::Reviewed, Step::Activate, Status::Active),
    (Status::Suspended, Step::Activate, Status::Active),
    (Status::Active, Step::Suspend, Status::Suspended),
    (Status::Reviewed, Step::Suspend, Status::Suspended),
    (Status::Applied, Step::Suspend, Status::Suspended),
];

/// Details that wait for a review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// What shall hold.
    pub details: Details,
    /// Who entered it.
    pub by: Actor,
    /// When.
    pub at_ms: UnixMs,
}

/// A merchant as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merchant {
    /// Where it stands.
    pub status: Status,
    /// What holds; nothing before the first review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// What waits for a review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<Proposal>,
    /// Why it is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why a step is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The table does not have it.
    #[error("a merchant that is {state} cannot be {1}", state = .0.as_str())]
    NotFrom(Status, &'static str),
    /// Nothing was entered since the last review.
    #[error("nothing waits for a review")]
    NothingProposed,
    /// Maker and checker are one.
    #[error("{0} entered it, and somebody else has to review it")]
    SamePerson(Actor),
    /// It was never reviewed.
    #[error("it was never reviewed")]
    NeverReviewed,
    /// Whoever reviews it does not say what they have seen.
    #[error("it may have been changed since it was looked at: name the revision that was (ID@REVISION)")]
    Unseen,
    /// Whoever reviews it has seen something else.
    #[error("it was changed meanwhile: it is at revision {0}")]
    Changed(u64),
}

impl Merchant {
    /// A merchant that was just entered.
    #[must_use]
    pub fn applied(proposal: Proposal) -> Self {
        Self { status: Status::Applied, details: None, proposed: Some(proposal), reason: None }
    }

    /// What was entered last, reviewed or not.
    #[must_use]
    pub fn latest(&self) -> Option<&Details> {
        self.proposed.as_ref().map(|proposal| &proposal.details).or(self.details.as_ref())
    }

    /// The details by which vouchers are taken now; nothing while none are.
    #[must_use]
    pub fn active(&self) -> Option<&Details> {
        self.details.as_ref().filter(|_| self.status == Status::Active)
    }

    /// The details by which its tills are served: of a merchant that takes vouchers, and of one that is suspended, whose tills
    /// ask for what was done and give back what they took.
    #[must_use]
    pub fn served(&self) -> Option<&Details> {
        let is_served = matches!(self.status, Status::Active | Status::Suspended);
        self.details.as_ref().filter(|_| is_served)
    }

    /// The merchant after a step. A review by who entered it is refused unless `alone` says that one person may do both.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn after(
        &self,
        step: Step,
        by: &Actor,
        alone: bool,
        reason: Option<String>,
    ) -> Result<Self, StepError> {
        let word = match step {
            Step::Review => "reviewed",
            Step::Activate => "activated",
            Step::Suspend => "suspended",
        };
        let row = STEPS.iter().find(|(from, known, _)| *from == self.status && *known == step);
        let (_, _, status) = row.ok_or(StepError::NotFrom(self.status, word))?;
        let mut next = Self { status: *status, ..self.clone() };
        match step {
            Step::Review => {
                let proposal = next.proposed.take().ok_or(StepError::NothingProposed)?;
                if !alone && proposal.by.is_same_as(by) {
                    return Err(StepError::SamePerson(proposal.by));
                }
                next.details = Some(proposal.details);
            }
            Step::Activate if next.details.is_none() => return Err(StepError::NeverReviewed),
            Step::Activate => next.reason = None,
            Step::Suspend => next.reason = reason,
        }
        Ok(next)
    }
}
