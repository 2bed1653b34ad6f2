//! What a batch of requests has to know, and what is known of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::references::{MoneyMove, Noted};
use super::terms::AllTerms;
use super::{Action, Request, StepRow};
use crate::clock::UnixMs;
use crate::domain::ids::{CampaignId, ClaimNumber};
use crate::domain::life::rules::day_of;
use crate::domain::money::Fen;
use crate::ledger::postings::Account;

/// What requests name, to be looked up.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    pub(crate) claims: BTreeSet<ClaimNumber>,
    pub(crate) redemptions: BTreeSet<u64>,
    /// (actor, key)
    pub(crate) keys: BTreeSet<(String, String)>,
    /// (merchant, order)
    pub(crate) orders: BTreeSet<(String, String)>,
    /// Payments that are told of, each with the claim that it is for.
    pub(crate) payments: BTreeSet<(ClaimNumber, String)>,
    /// The accounts whose balances matter.
    pub(crate) accounts: BTreeSet<(CampaignId, Account)>,
    /// By what money is moved, between which accounts of which campaign.
    pub(crate) references: BTreeSet<(CampaignId, Account, Account, String)>,
    /// Steps that are to be reversed, each with the campaign whose money it moved.
    pub(crate) moves: BTreeSet<(CampaignId, u64)>,
    /// The campaigns whose free money matters, and what merchants owe them.
    pub(crate) free: BTreeSet<CampaignId>,
}

impl Needs {
    pub(crate) fn of(requests: &[Request]) -> Self {
        let mut needs = Self::default();
        for request in requests {
            if let Some(key) = &request.key {
                needs.keys.insert((key.actor.clone(), key.key.clone()));
            }
            match &request.action {
                Action::Redeem(redeem) => {
                    needs.claims.insert(redeem.claim);
                    needs.orders.insert((redeem.merchant.id.clone(), redeem.order_id.clone()));
                }
                Action::Reverse { redemption, .. }
                | Action::Refund { redemption, .. }
                | Action::PaymentRefunded { late: redemption, .. } => {
                    needs.redemptions.insert(*redemption);
                }
                Action::Confirm { claim, payment, .. } => {
                    needs.claims.insert(*claim);
                    needs.payments.insert((*claim, payment.clone()));
                }
                Action::Expire { claim }
                | Action::Review { claim, .. }
                | Action::Cancel { claim }
                | Action::Lapse { claim } => {
                    needs.claims.insert(*claim);
                }
                Action::Settle { campaign, merchant, payment, .. } => {
                    needs.move_by(campaign, Account::Payable(merchant.clone()), Account::Settled, payment);
                }
                Action::Repay { campaign, merchant, payment, .. } => {
                    let owed = Account::Payable(merchant.clone());
                    needs.accounts.insert((campaign.clone(), owed.clone()));
                    needs.move_by(campaign, Account::Settled, owed, payment);
                }
                Action::Move { campaign, from, to, reference, .. } => {
                    if let Some((from, to)) = Account::parse(from.as_str()).zip(Account::parse(to.as_str())) {
                        needs.move_by(campaign, from, to, reference);
                    }
                    needs.free.insert(campaign.clone());
                }
                Action::Contra { campaign, step, .. } => {
                    needs.redemptions.insert(*step);
                    needs.moves.insert((campaign.clone(), *step));
                    needs.free.insert(campaign.clone());
                }
            }
        }
        needs
    }

    fn move_by(&mut self, campaign: &CampaignId, from: Account, to: Account, reference: &str) {
        self.accounts.insert((campaign.clone(), from.clone()));
        self.references.insert((campaign.clone(), from, to, reference.to_owned()));
    }

    /// The counts that redemptions of these requests have to look at: (campaign, day, person) of each person, and
    /// the same of each merchant with an empty person.
    pub(crate) fn days(requests: &[Request], known: &Known, now_ms: UnixMs) -> BTreeSet<DayKey> {
        let mut days = BTreeSet::new();
        for request in requests {
            let Action::Redeem(redeem) = &request.action else { continue };
            let Some(claim) = known.keys_of.get(&redeem.claim).and_then(|key| known.claims.get(key)) else {
                continue;
            };
            let Some(terms) = known.terms.drops.get(&redeem.claim.drop) else { continue };
            let (campaign, day) = (terms.campaign, day_of(now_ms, &terms.zone));
            let merchant = redeem.merchant.id.clone();
            days.insert(DayKey { campaign, day, person: String::new(), merchant: Some(merchant) });
            days.insert(DayKey { campaign, day, person: claim.person.clone(), merchant: None });
        }
        days
    }
}

/// Counts of one day: of a merchant where the person is empty, of a person at every merchant otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DayKey {
    pub(crate) campaign: i64,
    pub(crate) day: i32,
    pub(crate) person: String,
    /// Nothing for all of a person's.
    pub(crate) merchant: Option<String>,
}

/// A claim's row.
#[derive(Debug, Clone)]
pub(crate) struct KnownClaim {
    pub(crate) number: ClaimNumber,
    pub(crate) person: String,
    pub(crate) claimed_at_ms: UnixMs,
    pub(crate) returned: bool,
}

/// By what money was moved, once: the campaign's row, from where to where, and the bank's or somebody's reference. One
/// transfer of a bank may pay a merchant for several campaigns, and one order of it several merchants.
pub(crate) type Reference = (i64, Account, Account, String);

/// What the tables say of all that a batch names.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) terms: Arc<AllTerms>,
    /// The number of the last step.
    pub(crate) last_number: u64,
    /// Row keys of claims.
    pub(crate) keys_of: HashMap<ClaimNumber, i64>,
    /// By row key.
    pub(crate) claims: HashMap<i64, KnownClaim>,
    /// The last step of each claim, by row key.
    pub(crate) last: HashMap<i64, StepRow>,
    /// Steps that redeemed, and others that requests name, by number.
    pub(crate) redemptions: HashMap<u64, StepRow>,
    /// Steps by (actor, key).
    pub(crate) keys: HashMap<(String, String), StepRow>,
    /// Redemptions that stand, by (merchant, order).
    pub(crate) orders: HashMap<(String, String), u64>,
    /// What a payment led to when it was first told of, by the claim's row key and the payment.
    pub(crate) payments: HashMap<(i64, String), StepRow>,
    /// Redemptions of a day by (campaign, day, person), then merchant.
    pub(crate) counts: HashMap<(i64, i32, String), HashMap<String, i64>>,
    pub(crate) balances: HashMap<(i64, Account), Fen>,
    /// How money was moved by these references.
    pub(crate) references: HashMap<Reference, Noted>,
    /// What is to be reversed, by the step's number.
    pub(crate) moves: HashMap<u64, MoneyMove>,
    /// What a campaign has beyond the worth of all that may still be claimed.
    pub(crate) free: HashMap<i64, Fen>,
    /// What merchants owe a campaign.
    pub(crate) owed: HashMap<i64, Fen>,
}
