//! The books' rows as staff see them: merchants' accounts together as `payable` where there may be many.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::backoffice::admin_api::{
    BooksView, LineView, PayableView, PeriodLineView, PeriodView, PostingView, PotsView, ReasonView,
};
use crate::clock::{UnixMs, rfc3339};
use crate::domain::campaign::Campaign;
use crate::domain::life::Pot;
use crate::domain::money::Fen;
use crate::ledger::postings::Account;
use crate::ledger::{Movement, Period, PostingRow};

/// Balances by account.
type Sums<'a> = BTreeMap<Cow<'a, str>, Fen>;

fn add<'a>(sums: &mut Sums<'a>, account: impl Into<Cow<'a, str>>, amount: Fen) -> Result<(), String> {
    let sum = sums.entry(account.into()).or_default();
    *sum = sum.plus(amount).ok_or("the books hold more than fits")?;
    Ok(())
}

/// The account, or `payable` for a merchant's.
fn pot_of(account: &str) -> &str {
    if account.starts_with(Account::PAYABLE) { Pot::Payable.as_str() } else { account }
}

/// Balances, and what made them.
pub(super) fn books(campaign: &Campaign, at_ms: UnixMs, movements: &[Movement]) -> Result<BooksView, String> {
    let (mut pots, mut payable) = (Sums::new(), Sums::new());
    let mut reasons: BTreeMap<&str, (u64, Sums<'_>)> = BTreeMap::new();
    for Movement { kind, account, gains, amount } in movements {
        add(&mut pots, pot_of(account), *amount)?;
        if let Some(merchant) = account.strip_prefix(Account::PAYABLE) {
            add(&mut payable, merchant, *amount)?;
        }
        let (postings, sums) = reasons.entry(kind).or_default();
        *postings = postings.saturating_add(*gains);
        add(sums, pot_of(account), *amount)?;
    }
    let held = |pot: Pot| pots.get(pot.as_str()).copied().unwrap_or_default().to_string();
    let budget = pots.get(&*Account::Budget.name()).copied().unwrap_or_default();
    let sum = pots.values().map(|amount| i128::from(amount.0)).sum::<i128>();
    Ok(BooksView {
        campaign: campaign.id.to_string(),
        currency: campaign.currency.clone(),
        at: rfc3339(at_ms),
        budget: Fen(budget.0.saturating_neg()).to_string(),
        accounts: PotsView {
            unissued: held(Pot::Unissued),
            live: held(Pot::Live),
            payable: held(Pot::Payable),
            settled: held(Pot::Settled),
            recycled: held(Pot::Recycled),
            treasury: held(Pot::Treasury),
            recovered: held(Pot::Recovered),
        },
        balanced: sum == 0,
        payable: payable
            .into_iter()
            .map(|(merchant, amount)| PayableView {
                merchant: merchant.into_owned(),
                amount: amount.to_string(),
            })
            .collect(),
        reasons: reasons
            .into_iter()
            .map(|(reason, (postings, sums))| ReasonView {
                reason: reason.to_owned(),
                postings,
                accounts: sums.iter().map(|(account, amount)| line(account, *amount)).collect(),
            })
            .collect(),
    })
}

fn line(account: &str, amount: Fen) -> LineView {
    LineView { account: account.to_owned(), amount: amount.to_string() }
}

pub(super) fn posting(row: &PostingRow) -> PostingView {
    PostingView {
        number: row.number,
        at: rfc3339(row.at_ms),
        reason: row.kind.clone(),
        drop: row.drop.clone(),
        reverses: row.reverses,
        lines: row.lines.iter().map(|(account, amount)| line(account, *amount)).collect(),
    }
}

pub(super) fn period(row: &Period) -> PeriodView {
    let mut accounts: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for line in &row.lines {
        let (opening, closing) = accounts.entry(pot_of(&line.account)).or_default();
        *opening = opening.saturating_add(line.opening.0);
        *closing = closing.saturating_add(line.closing.0);
    }
    PeriodView {
        number: row.number,
        campaign: row.campaign.to_string(),
        from: (row.from_ms > 0).then(|| rfc3339(row.from_ms)),
        until: rfc3339(row.until_ms),
        closed_at: rfc3339(row.closed_at_ms),
        accounts: accounts
            .into_iter()
            .map(|(account, (opening, closing))| PeriodLineView {
                account: account.to_owned(),
                opening: Fen(opening).to_string(),
                closing: Fen(closing).to_string(),
            })
            .collect(),
    }
}
