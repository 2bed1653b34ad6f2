//! `/admin/v1/campaigns/{id}/books`, `…/postings`, `…/periods`, `…/payments`, `…/transfers`, `…/reversals` and `…/waiting`: a
//! campaign's books.

use serde::Serialize;

use super::admin::{Admin, Asked, failed, to_reply};
use super::admin_receipts::number;
use super::head::idempotency_key;
use super::problem::Problem;
use super::redemptions::half_digest;
use super::reply::{self, Reply};
use crate::backoffice::admin_api::{
    ClosePeriod, MoneyNoted, MoveMoney, PayMerchant, RepayMerchant, ReverseMove, WithdrawMove,
};
use crate::backoffice::books::BooksError;
use crate::clock::UnixMs;
use crate::domain::cause::Cause;
use crate::domain::life::Step;
use crate::ledger::life::Key;

/// The number of `?after=`; 0 without it.
pub(super) fn after(query: Option<&str>, of: &str) -> Result<u64, Problem> {
    match query {
        None => Ok(0),
        Some(query) => query.strip_prefix("after=").and_then(number).ok_or_else(|| {
            Problem::with_detail(Cause::BadRequest, format!("the one parameter is after, the number of {of}"))
        }),
    }
}

pub(super) async fn show(admin: &Admin, asked: &Asked<'_>) -> Result<Reply, Problem> {
    let at_ms = asked.query.map(at_ms).transpose()?;
    to_reply(&admin.books.show(asked.parameter(), at_ms).await.map_err(refused)?)
}

/// The instant of `?at_ms=`.
fn at_ms(query: &str) -> Result<UnixMs, Problem> {
    let at = query.strip_prefix("at_ms=").and_then(|at| at.parse().ok());
    let at = at.filter(|at| jiff::Timestamp::from_millisecond(*at).is_ok());
    at.ok_or_else(|| {
        let what = "the one parameter is at_ms, milliseconds since the Unix epoch";
        Problem::with_detail(Cause::BadRequest, what)
    })
}

pub(super) async fn postings(admin: &Admin, asked: &Asked<'_>) -> Result<Reply, Problem> {
    let after = after(asked.query, "a posting")?;
    to_reply(&admin.books.postings(asked.parameter(), after).await.map_err(refused)?)
}

pub(super) async fn periods(admin: &Admin, asked: &Asked<'_>) -> Result<Reply, Problem> {
    let after = after(asked.query, "a period")?;
    to_reply(&admin.books.periods(asked.parameter(), after).await.map_err(refused)?)
}

pub(super) async fn close(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (caller, id) = (asked.caller()?.clone(), asked.parameter().to_owned());
    let ClosePeriod { until } = asked.json().await?;
    let closed = admin.books.close(&caller, &id, &until).await.map_err(refused)?;
    serde_json::to_string(&closed).map(reply::created).map_err(|error| failed(&error))
}

/// Payments (`Step::Settled`), repayments (`Step::Repaid`), transfers (`Step::Moved`) or reversals (`Step::Contra`).
pub(super) async fn moves(admin: &Admin, asked: &Asked<'_>, kind: Step) -> Result<Reply, Problem> {
    let after = after(asked.query, "a payment or a transfer")?;
    to_reply(&admin.books.moves(asked.parameter(), kind, after).await.map_err(refused)?)
}

pub(super) async fn pay(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (caller, id) = (asked.caller()?.clone(), asked.parameter().to_owned());
    let given = idempotency_key(asked.headers)?.to_owned();
    let paid: PayMerchant = asked.json().await?;
    let key = key(&given, &id, "pay", &paid)?;
    noted(&admin.books.pay(&caller, &id, &paid, key).await.map_err(refused)?)
}

pub(super) async fn repay(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (caller, id) = (asked.caller()?.clone(), asked.parameter().to_owned());
    let given = idempotency_key(asked.headers)?.to_owned();
    let repaid: RepayMerchant = asked.json().await?;
    let key = key(&given, &id, "repay", &repaid)?;
    noted(&admin.books.repay(&caller, &id, &repaid, key).await.map_err(refused)?)
}

pub(super) async fn transfer(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (caller, id) = (asked.caller()?.clone(), asked.parameter().to_owned());
    let given = idempotency_key(asked.headers)?.to_owned();
    let wanted: MoveMoney = asked.json().await?;
    let key = key(&given, &id, "transfer", &wanted)?;
    noted(&admin.books.transfer(&caller, &id, &wanted, key).await.map_err(refused)?)
}

pub(super) async fn reverse(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (caller, id) = (asked.caller()?.clone(), asked.parameter().to_owned());
    let given = idempotency_key(asked.headers)?.to_owned();
    let reversed: ReverseMove = asked.json().await?;
    let key = key(&given, &id, "reverse", &reversed)?;
    noted(&admin.books.reverse(&caller, &id, &reversed, key).await.map_err(refused)?)
}

pub(super) async fn waiting(admin: &Admin, asked: &Asked<'_>) -> Result<Reply, Problem> {
    let after = match asked.query.map(|query| query.strip_prefix("after=")) {
        None => None,
        Some(Some(after)) => Some(after),
        Some(None) => return Err(Problem::with_detail(Cause::BadRequest, "the one parameter is after")),
    };
    to_reply(&admin.books.waiting(asked.parameter(), after).await.map_err(refused)?)
}

pub(super) async fn withdraw(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (caller, id) = (asked.caller()?.clone(), asked.parameter().to_owned());
    let WithdrawMove { id: what } = asked.json().await?;
    to_reply(&admin.books.withdraw(&caller, &id, &what).await.map_err(refused)?)
}

/// 201 with what was noted, 200 with the same again, 202 with what waits for another person.
fn noted(noted: &MoneyNoted) -> Result<Reply, Problem> {
    let body = serde_json::to_string(noted).map_err(|error| failed(&error))?;
    Ok(match noted {
        MoneyNoted::Waits(_) => reply::accepted(body),
        MoneyNoted::Moved(moved) if moved.replayed => reply::private_json(body),
        MoneyNoted::Moved(_) => reply::created(body),
    })
}

/// The key of a campaign's books, whoever uses it: no merchant's id has a slash.
fn key(given: &[u8], id: &str, about: &str, content: &impl Serialize) -> Result<Key, Problem> {
    let content = serde_json::to_vec(&(about, content)).map_err(|error| failed(&error))?;
    let actor = format!("books/{id}");
    Ok(Key { actor, key: half_digest(given), content: half_digest(&content) })
}

fn refused(error: BooksError) -> Problem {
    match error {
        BooksError::UnknownCampaign => Cause::UnknownCampaign.into(),
        BooksError::Invalid(what) => Problem::with_detail(Cause::BadRequest, what),
        BooksError::Refused(what) => Problem::with_detail(Cause::BooksRefused, what),
        BooksError::ReferenceUsed(what) => Problem::with_detail(Cause::ReferenceUsed, what),
        BooksError::KeyReused => Cause::KeyReused.into(),
        BooksError::Ledger(error) => failed(&error),
    }
}
