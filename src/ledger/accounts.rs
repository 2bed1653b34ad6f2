//! What staff read of vouchers' lives and of campaigns' books, beside what [`super::Ledger`] has.
//!
//! Owns the rows of it and the queries that both stores understand. Nothing here writes.

use async_trait::async_trait;

use super::life::{MoneyMove, Noted, StepRow};
use super::postings::Account;
use super::{LedgerError, Period};
use crate::clock::UnixMs;
use crate::domain::ids::{CampaignId, ClaimNumber};
use crate::domain::life::Step;
use crate::domain::money::Fen;

/// What postings of one kind have done to one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Why the money moved: `budget`, `claimed`, `returned`, or the word of a step.
    pub kind: String,
    /// The account's name.
    pub account: String,
    /// How many of the postings gave it something. One line of each posting gains, so that all of a kind's accounts
    /// together gained as often as there are postings.
    pub gains: u64,
    /// The sum of the lines.
    pub amount: Fen,
}

/// A posting as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostingRow {
    /// 1, 2, 3 … over the ledger's life.
    pub number: u64,
    /// When.
    pub at_ms: UnixMs,
    /// Why the money moved, as in [`Movement::kind`].
    pub kind: String,
    /// The drop that it is about; nothing for a campaign's own money.
    pub drop: Option<String>,
    /// The posting that it reverses, of a reversal of money.
    pub reverses: Option<u64>,
    /// Names of accounts, in their order, and the changes of their balances, which add up to zero.
    pub lines: Vec<(String, Fen)>,
}

/// The part of a [`super::Ledger`] that staff read. A campaign that is not there has nothing.
///
/// # Errors
/// As [`super::Ledger`].
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// Steps that were taken with one claim, after number `after`, in order, at most `limit`.
    async fn steps_of(&self, claim: ClaimNumber, after: u64, limit: u32)
    -> Result<Vec<StepRow>, LedgerError>;

    /// What a campaign's postings before `before_ms` did, by kind and account, in this order. Their sums by account are
    /// the balances at that instant.
    async fn movements(&self, campaign: &CampaignId, before_ms: UnixMs)
    -> Result<Vec<Movement>, LedgerError>;

    /// A campaign's postings after number `after`, in order, at most `limit`.
    async fn postings(
        &self,
        campaign: &CampaignId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<PostingRow>, LedgerError>;

    /// Steps of one kind with which staff moved a campaign's money, after number `after`, in order, at most `limit`.
    async fn money_steps(
        &self,
        campaign: &CampaignId,
        step: Step,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StepRow>, LedgerError>;

    /// The last movement of a campaign's money from one account to another by a reference, if there is one.
    async fn noted(
        &self,
        campaign: &CampaignId,
        from: &Account,
        to: &Account,
        reference: &str,
    ) -> Result<Option<Noted>, LedgerError>;

    /// From where to where a step moved a campaign's money, where staff moved it.
    async fn money_move(&self, campaign: &CampaignId, step: u64) -> Result<Option<MoneyMove>, LedgerError>;

    /// A campaign's closed periods after number `after`, in order, at most `limit`.
    async fn periods_of(
        &self,
        campaign: &CampaignId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Period>, LedgerError>;
}

/// Kind, account, how many lines gain, and their sum. Not in order.
pub(super) const MOVEMENTS: &str = "\
     SELECT p.kind, l.account, CAST(sum(CASE WHEN l.amount > 0 THEN 1 ELSE 0 END) AS bigint), \
            CAST(sum(l.amount) AS bigint) \
     FROM posting p JOIN posting_line l ON l.posting = p.number \
     WHERE p.campaign = (SELECT number FROM campaign WHERE id = $1) AND p.at_ms < $2 GROUP BY p.kind, l.account";

/// Postings, line by line, each with the one that it reverses; a posting's lines are not in order. Reversals are found by what is kept of
/// their references, which are few beside the steps.
pub(super) const POSTINGS: &str = "\
     SELECT p.number, p.at_ms, p.kind, d.id, l.account, l.amount, CASE WHEN p.kind = 'contra' THEN ( \
         SELECT max(o.posting) FROM money_reference r JOIN step s ON s.number = r.step JOIN step o ON o.number = s.redemption \
         WHERE r.campaign = p.campaign AND r.reference < '\x0b' AND s.posting = p.number) END FROM ( \
         SELECT number, at_ms, kind, campaign, drop_number FROM posting \
         WHERE campaign = (SELECT number FROM campaign WHERE id = $1) AND number > $2 ORDER BY number LIMIT $3) p \
     JOIN posting_line l ON l.posting = p.number LEFT JOIN campaign_drop d ON d.number = p.drop_number \
     ORDER BY p.number";

/// Periods without their balances.
pub(super) const PERIODS_OF: &str = "\
     SELECT p.number, c.id, p.from_ms, p.until_ms, p.closed_at_ms FROM period p \
     JOIN campaign c ON c.number = p.campaign WHERE c.id = $1 AND p.number > $2 ORDER BY p.number LIMIT $3";

/// Puts movements in order, whatever the store's idea of it is.
pub(super) fn in_order(mut movements: Vec<Movement>) -> Vec<Movement> {
    movements.sort_unstable_by(|a, b| (&a.kind, &a.account).cmp(&(&b.kind, &b.account)));
    movements
}

/// Adds a line to the postings so far: to the last one, or to a new one.
pub(super) fn add_line(postings: &mut Vec<PostingRow>, head: PostingRow, line: (String, Fen)) {
    match postings.last_mut() {
        Some(last) if last.number == head.number => {
            let place = last.lines.partition_point(|(account, _)| *account < line.0);
            last.lines.insert(place, line);
        }
        _ => postings.push(PostingRow { lines: vec![line], ..head }),
    }
}
