//! What a batch's steps move: one posting for each kind, drop and pair of accounts.
//!
//! Owns how steps are gathered into postings, and how much of a campaign's money nothing is owed for.

use std::collections::BTreeMap;

use super::StepRow;
use crate::domain::campaign::{Campaign, Refusal};
use crate::domain::ids::{DropId, DropNumber};
use crate::domain::life::Step;
use crate::domain::money::Fen;
use crate::ledger::postings::{Account, Posting};

/// What makes one posting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Flow {
    campaign: i64,
    drop: Option<u32>,
    step: Step,
    from: Account,
    to: Account,
    /// The step that a reversal is of: each has a posting of its own.
    reverses: Option<u64>,
}

/// A posting with its campaign and drop.
pub(crate) type BatchPosting = (i64, Option<DropNumber>, Option<Posting>);

/// The flows of a batch so far.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    sums: BTreeMap<Flow, Fen>,
    /// The flow of each step that moved something, by its place.
    of: Vec<(usize, Flow)>,
}

impl Flows {
    /// Adds what the step at `place` moves; `false` where the sum does not fit.
    #[must_use]
    pub(crate) fn add(&mut self, place: usize, step: &StepRow, from: Account, to: Account) -> bool {
        let (Some(kind), true) = (step.step, step.moved > 0) else { return true };
        let reverses = step.redemption.filter(|_| kind == Step::Contra);
        let flow = Flow { campaign: step.campaign, drop: step.drop, step: kind, from, to, reverses };
        let sum = self.sums.entry(flow.clone()).or_default();
        let Some(more) = sum.plus(Fen(step.moved)) else { return false };
        *sum = more;
        self.of.push((place, flow));
        true
    }

    /// The postings, numbered from `first` on, and each step told which is its.
    pub(crate) fn finish(self, first: u64, steps: &mut [StepRow]) -> Vec<BatchPosting> {
        let mut numbers = BTreeMap::new();
        let mut postings = Vec::with_capacity(self.sums.len());
        for (number, (flow, sum)) in (first..).zip(self.sums) {
            let posting = Posting::moved(flow.step.as_str(), flow.from.clone(), flow.to.clone(), sum);
            postings.push((flow.campaign, flow.drop.map(DropNumber), posting));
            numbers.insert(flow, number);
        }
        for (place, flow) in self.of {
            if let (Some(step), Some(number)) = (steps.get_mut(place), numbers.get(&flow)) {
                step.posting = Some(*number);
            }
        }
        postings
    }
}

/// What a campaign has in `unissued` and `recycled` beyond the worth of the units that may still be claimed. Below
/// zero where it promises more than it has; nothing where the numbers do not fit.
pub(crate) fn free(
    campaign: &Campaign,
    claimed: impl Fn(&DropId) -> u64,
    unissued: Fen,
    recycled: Fen,
) -> Option<Fen> {
    let mut left = unissued.plus(recycled)?;
    for drop in &campaign.drops {
        let Some(terms) = &drop.voucher else { continue };
        let worth = terms.face.times(drop.stock.saturating_sub(claimed(&drop.id)))?;
        left = Fen(left.0.checked_sub(worth.0)?);
    }
    Some(left)
}

/// Refuses a campaign whose drops promise more than it has.
pub(crate) fn check_funded(
    campaign: &Campaign,
    claimed: impl Fn(&DropId) -> u64,
    unissued: Fen,
    recycled: Fen,
) -> Result<(), Refusal> {
    match free(campaign, claimed, unissued, recycled) {
        Some(Fen(left)) if left >= 0 => Ok(()),
        left => Err(Refusal::NotFunded { short: Fen(left.map_or(i64::MAX, |left| left.0.saturating_neg())) }),
    }
}
