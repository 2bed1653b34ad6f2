//! What a campaign file changes of the campaign that is stored, and what it may not.
//!
//! Pure: two campaigns in, the difference or a refusal out. A change that would shrink a drop below what is
//! claimed is also decided in Redis, where claims happen; here it is refused by what the ledger already knows.

use std::collections::HashSet;

use super::{Campaign, DayOver, Difference, DropSpec, RuleChange, VoucherTerms, differences};
use crate::domain::ids::{CampaignId, DropId};
use crate::domain::money::Fen;
use crate::limits;

/// What applying a campaign changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Changes {
    /// Drops that are new.
    pub created: Vec<DropId>,
    /// Drops with another stock.
    pub restocked: Vec<StockChange>,
    /// Drops of which anything but the stock is different.
    pub changed: Vec<DropId>,
    /// The budget before; zero for a new campaign.
    pub budget_from: Fen,
    /// The budget after.
    pub budget_to: Fen,
    /// What is different of the campaign and of its changed drops, part by part.
    pub parts: Vec<Difference>,
    /// Rules of redemptions that are different.
    pub redemption: Vec<RuleChange>,
    /// Whether a name, the sponsor, the time zone, who may take part, how vouchers are redeemed or the order of the drops is
    /// different, or all is new.
    pub described: bool,
}

/// One drop's stock, before and after.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StockChange {
    /// The drop.
    pub drop: DropId,
    /// Units before.
    pub from: u64,
    /// Units after.
    pub to: u64,
}

impl Changes {
    /// What it comes to, one sentence for each part that differs; empty when nothing changes.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences: Vec<String> =
            self.created.iter().map(|drop| format!("drop {drop} created")).collect();
        for change in &self.restocked {
            sentences.push(format!("drop {}: stock {} to {}", change.drop, change.from, change.to));
        }
        let of_drops = self.parts.iter().filter(|part| part.drop.is_some());
        sentences.extend(of_drops.map(ToString::to_string));
        // What says the same in other words, as rules that let everybody in do.
        let silent = self.changed.iter().filter(|drop| {
            let said = |part: &Difference| part.drop.as_ref() == Some(*drop);
            !self.parts.iter().any(said)
        });
        sentences.extend(silent.map(|drop| format!("drop {drop} changed")));
        if self.budget_from != self.budget_to {
            sentences.push(format!("budget {} to {}", self.budget_from, self.budget_to));
        }
        let of_campaign = self.parts.iter().filter(|part| part.drop.is_none());
        sentences.extend(of_campaign.map(ToString::to_string));
        for RuleChange { key, from, to } in &self.redemption {
            sentences.push(format!("redemption: {key} {from} to {to}"));
        }
        if sentences.is_empty() && self.described {
            sentences.push("description changed".to_owned());
        }
        sentences
    }

    /// Whether the campaign is stored word for word as it was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { created, restocked, changed, budget_from, budget_to, parts, redemption, described } = self;
        created.is_empty()
            && restocked.is_empty()
            && changed.is_empty()
            && budget_from == budget_to
            && parts.is_empty()
            && redemption.is_empty()
            && !described
    }
}

/// Why a campaign cannot be applied to what is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Two campaigns were compared that are not the same one.
    #[error("campaign {new:?} cannot replace campaign {old:?}", old = .old.as_str(), new = .new.as_str())]
    OtherCampaign {
        /// The stored one.
        old: CampaignId,
        /// The given one.
        new: CampaignId,
    },
    /// Two drops have one id.
    #[error("drop {:?} stands twice: the ids of drops must differ", .0.as_str())]
    DropTwice(DropId),
    /// A drop was moved to where no calendar reaches.
    #[error("drop {:?}: opens_at and closes_at must lie in the years 1970 to 9999", .0.as_str())]
    OutOfTime(DropId),
    /// A drop is no longer in the file.
    #[error("drop {:?} cannot be removed", .0.as_str())]
    DropRemoved(DropId),
    /// The budget is in another currency.
    #[error("the currency cannot change from {from} to {to}")]
    CurrencyChanged {
        /// Before.
        from: String,
        /// After.
        to: String,
    },
    /// Face or threshold differ, or the voucher came or went: claims of the drop are worth what they were.
    #[error("drop {:?}: a voucher's face and threshold cannot change", .0.as_str())]
    VoucherChanged(DropId),
    /// The voucher would be valid for a shorter time than was promised.
    #[error("drop {:?}: valid_for cannot become shorter", .0.as_str())]
    ValidityShortened(DropId),
    /// The item came or went: claims of the drop are held, or not, as they were.
    #[error("drop {:?}: an item cannot come or go", .0.as_str())]
    ItemChanged(DropId),
    /// Units would be held for a shorter time than was promised.
    #[error("drop {:?}: hold_for cannot become shorter", .0.as_str())]
    HoldShortened(DropId),
    /// Drops that are paid for by what came back would promise more than did, or than a lower budget leaves.
    #[error("what came back is {short} short of the drops that are funded by it")]
    NotFunded {
        /// How much is missing.
        short: Fen,
    },
    /// Somebody may already hold as many as the old limit allowed.
    #[error("drop {drop:?}: limit_per_person cannot fall from {from} to {to}", drop = .drop.as_str())]
    LimitLowered {
        /// The drop.
        drop: DropId,
        /// Before.
        from: u32,
        /// After.
        to: u32,
    },
    /// More units are claimed than the new stock has.
    #[error("drop {drop:?}: stock {stock} is below the {claimed} already claimed", drop = .drop.as_str())]
    StockBelowClaimed {
        /// The drop.
        drop: DropId,
        /// The stock asked for.
        stock: u64,
        /// Claims not returned.
        claimed: u64,
    },
    /// Another campaign has a drop of that id.
    #[error("drop {drop:?} already belongs to campaign {campaign:?}", drop = .drop.as_str(), campaign = .campaign.as_str())]
    DropElsewhere {
        /// The drop.
        drop: DropId,
        /// Whose it is.
        campaign: CampaignId,
    },
    /// More could be claimed in a day than the daily budget.
    #[error("{0}, above the daily budget")]
    DailyBudget(DayOver),
    /// Vouchers could be claimed in a drop on a day that has a budget, and its window would leave that day.
    #[error(
        "drop {drop:?} was open on {day}, and its window has to keep that day while there is a daily budget",
        drop = .drop.as_str()
    )]
    DayLeft {
        /// The drop.
        drop: DropId,
        /// The day, as in `2023-11-20`.
        day: String,
    },
    /// It ended.
    #[error("campaign {:?} has ended, for good", .0.as_str())]
    Ended(CampaignId),
    /// The ledger is full of campaigns.
    #[error("there are already {0} campaigns, the most that one ledger holds")]
    TooManyCampaigns(usize),
    /// The ledger is full of drops.
    #[error("there would be more than {0} drops, the most that one ledger holds")]
    TooManyDrops(usize),
}

impl Refusal {
    /// The drop that it is about, if it is about one.
    #[must_use]
    pub fn about(&self) -> Option<&DropId> {
        match self {
            Self::DropTwice(drop)
            | Self::OutOfTime(drop)
            | Self::DropRemoved(drop)
            | Self::VoucherChanged(drop)
            | Self::ValidityShortened(drop)
            | Self::ItemChanged(drop)
            | Self::HoldShortened(drop)
            | Self::LimitLowered { drop, .. }
            | Self::StockBelowClaimed { drop, .. }
            | Self::DayLeft { drop, .. }
            | Self::DropElsewhere { drop, .. } => Some(drop),
            _ => None,
        }
    }

    /// The key in the campaign file whose value is refused: of that drop, where it is about one, or of the campaign.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::OtherCampaign { .. }
            | Self::DropTwice(_)
            | Self::DropRemoved(_)
            | Self::DropElsewhere { .. }
            | Self::Ended(_)
            | Self::TooManyCampaigns(_)
            | Self::TooManyDrops(_) => "id",
            Self::OutOfTime(_) | Self::DayLeft { .. } => "opens_at",
            Self::CurrencyChanged { .. } => "budget",
            Self::DailyBudget(_) => "daily_budget",
            Self::NotFunded { .. } => "funded_by",
            Self::VoucherChanged(_) => "voucher",
            Self::ValidityShortened(_) => "voucher.valid_for",
            Self::ItemChanged(_) => "item",
            Self::HoldShortened(_) => "item.hold_for",
            Self::LimitLowered { .. } => "limit_per_person",
            Self::StockBelowClaimed { .. } => "stock",
        }
    }
}

/// What `new` changes of `old`, where `claimed` gives the claims of a drop that were not returned.
///
/// # Errors
/// [`Refusal`] names the first change that is not allowed.
pub fn changes(
    old: Option<&Campaign>,
    new: &Campaign,
    claimed: impl Fn(&DropId) -> u64,
) -> Result<Changes, Refusal> {
    let mut ids = HashSet::new();
    if let Some(twice) = new.drops.iter().find(|drop| !ids.insert(&drop.id)) {
        return Err(Refusal::DropTwice(twice.id.clone()));
    }
    let in_time = |drop: &&DropSpec| 0 < drop.opens_at_ms && drop.closes_at_ms <= limits::INSTANT_MS_MAX;
    if let Some(drop) = new.drops.iter().find(|drop| !in_time(drop)) {
        return Err(Refusal::OutOfTime(drop.id.clone()));
    }
    if let Some(over) = new.day_over() {
        return Err(Refusal::DailyBudget(over));
    }
    let Some(old) = old else {
        let created = new.drops.iter().map(|drop| drop.id.clone()).collect();
        return Ok(Changes { created, budget_to: new.budget, described: true, ..Changes::default() });
    };
    check_whole(old, new)?;
    let mut changes = Changes { budget_from: old.budget, budget_to: new.budget, ..Changes::default() };
    for drop in &new.drops {
        let Some(before) = old.drop_spec(&drop.id) else {
            changes.created.push(drop.id.clone());
            continue;
        };
        check_drop(before, drop, claimed(&drop.id))?;
        if before.stock != drop.stock {
            changes.restocked.push(StockChange { drop: drop.id.clone(), from: before.stock, to: drop.stock });
        }
        if (DropSpec { stock: drop.stock, ..before.clone() }) != *drop {
            changes.changed.push(drop.id.clone());
            changes.parts.extend(differences::of_drop(before, drop));
        }
    }
    changes.parts.extend(differences::of_campaign(old, new));
    let rules = |campaign: &Campaign| campaign.redemption.clone().unwrap_or_default();
    changes.redemption = rules(new).changes(&rules(old));
    changes.described = described(old, new);
    Ok(changes)
}

/// Whether anything differs that is neither money nor inside one drop.
fn described(old: &Campaign, new: &Campaign) -> bool {
    let order = |campaign: &Campaign| campaign.drops.iter().map(|drop| drop.id.clone()).collect::<Vec<_>>();
    let mut kept = order(new);
    kept.retain(|id| old.drop_spec(id).is_some());
    let described = |campaign: &Campaign| {
        let Campaign { name, sponsor, time_zone, eligibility, redemption, daily_budget, .. } =
            campaign.clone();
        (name, sponsor, time_zone, eligibility, redemption, daily_budget)
    };
    described(old) != described(new) || order(old) != kept
}

fn check_whole(old: &Campaign, new: &Campaign) -> Result<(), Refusal> {
    if old.id != new.id {
        return Err(Refusal::OtherCampaign { old: old.id.clone(), new: new.id.clone() });
    }
    if old.currency != new.currency {
        return Err(Refusal::CurrencyChanged { from: old.currency.clone(), to: new.currency.clone() });
    }
    match old.drops.iter().find(|drop| new.drop_spec(&drop.id).is_none()) {
        Some(removed) => Err(Refusal::DropRemoved(removed.id.clone())),
        None => Ok(()),
    }
}

fn check_drop(before: &DropSpec, after: &DropSpec, claimed: u64) -> Result<(), Refusal> {
    let money = |terms: &VoucherTerms| (terms.face, terms.threshold);
    let valid_ms = |drop: &DropSpec| drop.voucher.as_ref().map_or(0, |terms| terms.valid_ms);
    let hold_ms = |drop: &DropSpec| drop.item.as_ref().map_or(0, |terms| terms.hold_ms);
    let drop = after.id.clone();
    if before.voucher.as_ref().map(money) != after.voucher.as_ref().map(money) {
        Err(Refusal::VoucherChanged(drop))
    } else if valid_ms(after) < valid_ms(before) {
        Err(Refusal::ValidityShortened(drop))
    } else if before.item.is_some() != after.item.is_some() {
        Err(Refusal::ItemChanged(drop))
    } else if hold_ms(after) < hold_ms(before) {
        Err(Refusal::HoldShortened(drop))
    } else if after.limit_per_person < before.limit_per_person {
        Err(Refusal::LimitLowered { drop, from: before.limit_per_person, to: after.limit_per_person })
    } else if after.stock < claimed {
        Err(Refusal::StockBelowClaimed { drop, stock: after.stock, claimed })
    } else {
        Ok(())
    }
}
