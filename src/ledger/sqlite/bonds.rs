//! Bonds: what persons are known by, bound to whoever showed it first.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::books::{digest_after, testify};
use super::{encoded, signed};
use crate::clock::UnixMs;
use crate::ledger::chain::Content;
use crate::ledger::numbered::Numbered;
use crate::ledger::{Bind, Bound, LedgerError};

/// See [`crate::ledger::Ledger::bind`].
pub(super) fn bind(
    connection: &mut Connection,
    requests: &[Bind],
    now_ms: UnixMs,
) -> Result<Vec<Bound>, LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut digest = digest_after(&transaction, Numbered::Bonds)?;
    let mut outcomes = Vec::with_capacity(requests.len());
    for request in requests {
        let campaign: Option<i64> = transaction
            .prepare_cached("SELECT number FROM campaign WHERE id = ?1")?
            .query_row([request.campaign.as_str()], |row| row.get(0))
            .optional()?;
        let Some(campaign) = campaign else {
            outcomes.push(Bound::NoCampaign);
            continue;
        };
        let mut last = transaction.prepare_cached(
            "SELECT value FROM bond WHERE campaign = ?1 AND field = ?2 ORDER BY number DESC LIMIT 1",
        )?;
        let mut standing = std::collections::HashMap::new();
        for field in request.fields() {
            let value: Option<String> =
                last.query_row(params![campaign, field], |row| row.get(0)).optional()?;
            standing.extend(value.map(|value| (field, value)));
        }
        let rows = match request.rows(|field| standing.get(field).cloned()) {
            Ok(rows) => rows,
            Err(refused) => {
                outcomes.push(refused);
                continue;
            }
        };
        for (field, value) in rows {
            let number = signed(digest.next_number())?;
            transaction
                .prepare_cached(
                    "INSERT INTO bond (number, at_ms, campaign, field, value) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![number, now_ms, campaign, field, value])?;
            digest.push(&(number, now_ms, campaign, field, value)).map_err(encoded)?;
        }
        outcomes.push(Bound::Theirs);
    }
    if digest.count() > 0 {
        testify(&transaction, now_ms, Content::Bonds { rows: digest.finish() })?;
    }
    transaction.commit()?;
    Ok(outcomes)
}
