//! What a batch has to know, read table by table.
//!
//! Each key of a batch is looked up by itself (`LATERAL … OFFSET 0`): a plan that is made while a table is small, and joins
//! it whole, would be kept for as long as the session lasts.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use deadpool_postgres::Transaction;

use super::money;
use super::rows::{columns, step};
use crate::clock::UnixMs;
use crate::domain::campaign::Campaign;
use crate::domain::ids::{ClaimNumber, DropId, DropNumber, Epoch, Shard};
use crate::domain::money::Fen;
use crate::ledger::LedgerError;
use crate::ledger::life::{AllTerms, Known, KnownClaim, Needs, OWED, Request, TermsCache, free, terms_of};
use crate::ledger::numbered::Numbered;
use crate::ledger::postgres::apply::live_claims;
use crate::ledger::postgres::books::Books;
use crate::ledger::postgres::{encoded, number, query, query_number, query_opt, read};
use crate::ledger::postings::Account;
use crate::ledger::sections::row_key;

/// The terms of all drops, read once a revision.
pub(super) async fn terms(
    transaction: &Transaction<'_>,
    cache: &TermsCache,
) -> Result<Arc<AllTerms>, LedgerError> {
    let revision = read::revision(transaction).await?;
    if let Some(terms) = cache.of(revision) {
        return Ok(terms);
    }
    let mut numbers: HashMap<String, DropNumber> = HashMap::new();
    for row in query(transaction, "SELECT id, number FROM campaign_drop", &[]).await? {
        numbers.insert(row.try_get(0)?, DropNumber(number(row.try_get::<_, i32>(1)?)?));
    }
    let mut all = AllTerms::default();
    for row in query(transaction, "SELECT number, body FROM campaign ORDER BY number", &[]).await? {
        let campaign = Campaign::from_canonical(row.try_get(1)?).map_err(encoded)?;
        let of = |id: &DropId| numbers.get(id.as_str()).copied();
        terms_of(&mut all, row.try_get(0)?, &campaign, of).map_err(LedgerError::Corrupt)?;
    }
    Ok(cache.keep(revision, all))
}

/// Reads what the requests have to know.
pub(super) async fn known(
    transaction: &Transaction<'_>,
    cache: &TermsCache,
    requests: &[Request],
    now_ms: UnixMs,
) -> Result<Known, LedgerError> {
    let needs = Needs::of(requests);
    let mut known = Known { terms: terms(transaction, cache).await?, ..Known::default() };
    known.last_number = number(query_number(transaction, Numbered::Steps.last(), &[]).await?)?;
    learn_keys(transaction, &needs, &mut known).await?;
    let mut keys = learn_redemptions(transaction, &needs, &mut known).await?;
    let series = learn_series(transaction, &needs, &keys).await?;
    let by_series: HashMap<(DropNumber, Shard, Epoch), i64> =
        series.iter().map(|(at, of)| ((of.drop, of.shard, of.epoch), *at)).collect();
    for claim in &needs.claims {
        if let Some(at) = by_series.get(&(claim.drop, claim.shard, claim.epoch)) {
            keys.insert(row_key(*at, claim.seq));
        }
    }
    let keys: Vec<i64> = keys.into_iter().collect();
    learn_claims(transaction, &keys, &series, &mut known).await?;
    learn_payments(transaction, &needs, &mut known).await?;
    learn_orders(transaction, &needs, &mut known).await?;
    learn_counts(transaction, requests, &mut known, now_ms).await?;
    learn_money(transaction, &needs, &mut known, now_ms).await?;
    Ok(known)
}

async fn learn_keys(
    transaction: &Transaction<'_>,
    needs: &Needs,
    known: &mut Known,
) -> Result<(), LedgerError> {
    if needs.keys.is_empty() {
        return Ok(());
    }
    let (actors, keys): (Vec<&str>, Vec<&str>) =
        needs.keys.iter().map(|(actor, key)| (actor.as_str(), key.as_str())).unzip();
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM unnest($1::text[], $2::text[]) k (by_whom, with_key) CROSS JOIN LATERAL \
          (SELECT * FROM step WHERE actor = k.by_whom AND key = k.with_key OFFSET 0) s"
    );
    for row in query(transaction, sql, &[&actors, &keys]).await? {
        let found = step(&row)?;
        if let (Some(actor), Some(key)) = (&found.actor, &found.key) {
            known.keys.insert((actor.clone(), key.clone()), found);
        }
    }
    Ok(())
}

/// The row keys of the claims that the redemptions are of.
async fn learn_redemptions(
    transaction: &Transaction<'_>,
    needs: &Needs,
    known: &mut Known,
) -> Result<BTreeSet<i64>, LedgerError> {
    let mut keys = BTreeSet::new();
    if needs.redemptions.is_empty() {
        return Ok(keys);
    }
    // A number that does not fit was never given.
    let numbers: Vec<i64> = needs.redemptions.iter().filter_map(|at| i64::try_from(*at).ok()).collect();
    let sql = concat!("SELECT ", columns!(), " FROM step WHERE number = ANY($1::bigint[])");
    for row in query(transaction, sql, &[&numbers]).await? {
        let found = step(&row)?;
        keys.extend(found.claim);
        known.redemptions.insert(found.number, found);
    }
    Ok(keys)
}

/// The series that claims belong to, by row number.
async fn learn_series(
    transaction: &Transaction<'_>,
    needs: &Needs,
    keys: &BTreeSet<i64>,
) -> Result<HashMap<i64, ClaimNumber>, LedgerError> {
    let drops: BTreeSet<u32> = needs.claims.iter().map(|claim| claim.drop.0).collect();
    let drops = drops.into_iter().map(number).collect::<Result<Vec<i32>, _>>()?;
    let numbers: Vec<i64> = keys.iter().map(|key| key >> 32).collect::<BTreeSet<_>>().into_iter().collect();
    let sql = "SELECT number, drop_number, shard, epoch FROM series \
               WHERE drop_number = ANY($1::integer[]) OR number = ANY($2::bigint[])";
    let mut series = HashMap::new();
    for row in query(transaction, sql, &[&drops, &numbers]).await? {
        let of = ClaimNumber {
            drop: DropNumber(number(row.try_get::<_, i32>(1)?)?),
            shard: Shard(number(row.try_get::<_, i16>(2)?)?),
            epoch: Epoch(number(row.try_get::<_, i32>(3)?)?),
            seq: 0,
        };
        series.insert(row.try_get(0)?, of);
    }
    Ok(series)
}

/// Claims, and the last step of each.
async fn learn_claims(
    transaction: &Transaction<'_>,
    keys: &[i64],
    series: &HashMap<i64, ClaimNumber>,
    known: &mut Known,
) -> Result<(), LedgerError> {
    if keys.is_empty() {
        return Ok(());
    }
    let sql = "SELECT number, person, claimed_at_ms, status FROM claim WHERE number = ANY($1::bigint[])";
    for row in query(transaction, sql, &[&keys]).await? {
        let key: i64 = row.try_get(0)?;
        let Some(of) = series.get(&(key >> 32)) else { continue };
        let claim = ClaimNumber { seq: number(key & i64::from(u32::MAX))?, ..*of };
        let (person, claimed_at_ms) = (row.try_get(1)?, row.try_get(2)?);
        let returned = row.try_get::<_, i16>(3)? != 0;
        known.keys_of.insert(claim, key);
        known.claims.insert(key, KnownClaim { number: claim, person, claimed_at_ms, returned });
    }
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM unnest($1::bigint[]) k (wanted) CROSS JOIN LATERAL \
          (SELECT * FROM step WHERE claim = k.wanted ORDER BY number DESC LIMIT 1) s"
    );
    for row in query(transaction, sql, &[&keys]).await? {
        let last = step(&row)?;
        if let Some(key) = last.claim {
            known.last.insert(key, last);
        }
    }
    Ok(())
}

/// What each payment led to when it was first told of.
async fn learn_payments(
    transaction: &Transaction<'_>,
    needs: &Needs,
    known: &mut Known,
) -> Result<(), LedgerError> {
    let asked = needs.payments.iter();
    let asked = asked.filter_map(|(claim, payment)| Some((*known.keys_of.get(claim)?, payment.as_str())));
    let (claims, payments): (Vec<i64>, Vec<&str>) = asked.unzip();
    if claims.is_empty() {
        return Ok(());
    }
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM unnest($1::bigint[], $2::text[]) p (wanted, payment) CROSS JOIN LATERAL \
          (SELECT * FROM step WHERE claim = p.wanted AND order_id = p.payment \
           AND step IN ('confirmed', 'late_payment') ORDER BY number LIMIT 1) s"
    );
    for row in query(transaction, sql, &[&claims, &payments]).await? {
        let found = step(&row)?;
        if let Some(told) = found.claim.zip(found.order_id.clone()) {
            known.payments.insert(told, found);
        }
    }
    Ok(())
}

async fn learn_orders(
    transaction: &Transaction<'_>,
    needs: &Needs,
    known: &mut Known,
) -> Result<(), LedgerError> {
    if needs.orders.is_empty() {
        return Ok(());
    }
    let (merchants, orders): (Vec<&str>, Vec<&str>) =
        needs.orders.iter().map(|(merchant, order)| (merchant.as_str(), order.as_str())).unzip();
    let sql = "SELECT s.merchant, s.order_id, s.number FROM unnest($1::text[], $2::text[]) o (merchant, order_id) \
               CROSS JOIN LATERAL (SELECT s.* FROM step s WHERE s.merchant = o.merchant AND s.order_id = o.order_id \
                   AND s.step = 'redeemed' AND NOT EXISTS \
                   (SELECT 1 FROM step r WHERE r.claim = s.claim AND r.number > s.number \
                    AND r.redemption = s.number AND r.step IN ('reversed', 'reversed_late')) OFFSET 0) s";
    for row in query(transaction, sql, &[&merchants, &orders]).await? {
        known.orders.insert((row.try_get(0)?, row.try_get(1)?), number(row.try_get::<_, i64>(2)?)?);
    }
    Ok(())
}

async fn learn_counts(
    transaction: &Transaction<'_>,
    requests: &[Request],
    known: &mut Known,
    now_ms: UnixMs,
) -> Result<(), LedgerError> {
    let asked = Needs::days(requests, known, now_ms);
    if asked.is_empty() {
        return Ok(());
    }
    let campaigns: Vec<i64> = asked.iter().map(|day| day.campaign).collect();
    let days: Vec<i32> = asked.iter().map(|day| day.day).collect();
    let persons: Vec<&str> = asked.iter().map(|day| day.person.as_str()).collect();
    let merchants: Vec<Option<&str>> = asked.iter().map(|day| day.merchant.as_deref()).collect();
    let sql = "SELECT d.campaign, d.day, d.person, d.merchant, d.count \
               FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[]) a (campaign, day, person, merchant) \
               CROSS JOIN LATERAL (SELECT * FROM day_count d WHERE d.campaign = a.campaign AND d.day = a.day \
                   AND d.person = a.person AND (a.merchant IS NULL OR d.merchant = a.merchant) OFFSET 0) d";
    for row in query(transaction, sql, &[&campaigns, &days, &persons, &merchants]).await? {
        let of = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        known.counts.entry(of).or_default().insert(row.try_get(3)?, row.try_get(4)?);
    }
    Ok(())
}

async fn learn_money(
    transaction: &Transaction<'_>,
    needs: &Needs,
    known: &mut Known,
    now_ms: UnixMs,
) -> Result<(), LedgerError> {
    if needs.accounts.is_empty() && needs.free.is_empty() {
        return Ok(());
    }
    let books = Books::open(transaction, now_ms).await?;
    for (campaign, account) in &needs.accounts {
        let Some(row) = known.terms.campaigns.get(campaign).copied() else { continue };
        known.balances.insert((row, account.clone()), books.balance(row, account).await?);
    }
    for (campaign, from, to, reference) in &needs.references {
        let Some(row) = known.terms.campaigns.get(campaign).copied() else { continue };
        if let Some(noted) = money::noted(transaction, campaign, (from, to), reference).await? {
            known.references.insert((row, from.clone(), to.clone(), reference.clone()), noted);
        }
    }
    for (campaign, step) in &needs.moves {
        let Some(row) = known.terms.campaigns.get(campaign).copied() else { continue };
        let Some(moved) = money::moved(transaction, campaign, *step).await? else { continue };
        for account in [&moved.from, &moved.to] {
            known.balances.insert((row, account.clone()), books.balance(row, account).await?);
        }
        known.moves.insert(*step, moved);
    }
    for id in &needs.free {
        let Some(row) = known.terms.campaigns.get(id).copied() else { continue };
        let unissued = books.balance(row, &Account::Unissued).await?;
        let recycled = books.balance(row, &Account::Recycled).await?;
        let body = query_opt(transaction, "SELECT body FROM campaign WHERE number = $1", &[&row]).await?;
        let Some(body) = body else { continue };
        let campaign = Campaign::from_canonical(body.try_get(0)?).map_err(encoded)?;
        let claimed = live_claims(transaction, id).await?;
        let of = |drop: &DropId| {
            claimed.iter().find(|(id, _)| id == drop.as_str()).map_or(0, |(_, claims)| *claims)
        };
        known.free.insert(row, free(&campaign, of, unissued, recycled).unwrap_or_default());
        known.owed.insert(row, Fen(query_number(transaction, OWED, &[&row]).await?));
    }
    Ok(())
}
