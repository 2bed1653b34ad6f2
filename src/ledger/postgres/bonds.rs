//! Bonds: what persons are known by, bound to whoever showed it first.

use std::collections::HashMap;

use deadpool_postgres::Client;

use super::books::{digest_after, lock, testify};
use super::{encoded, execute, number, query};
use crate::clock::UnixMs;
use crate::ledger::chain::Content;
use crate::ledger::numbered::Numbered;
use crate::ledger::{Bind, Bound, LedgerError};

/// See [`crate::ledger::Ledger::bind`].
pub(super) async fn bind(
    client: &mut Client,
    requests: &[Bind],
    now_ms: UnixMs,
) -> Result<Vec<Bound>, LedgerError> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    let ids: Vec<&str> = requests.iter().map(|request| request.campaign.as_str()).collect();
    let sql = "SELECT id, number FROM campaign WHERE id = ANY($1::text[])";
    let mut campaigns: HashMap<String, i64> = HashMap::new();
    for row in query(&transaction, sql, &[&ids]).await? {
        campaigns.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let asked = requests.iter().filter_map(|request| {
        let campaign = *campaigns.get(request.campaign.as_str())?;
        Some(request.fields().map(move |field| (campaign, field)))
    });
    let (of, fields): (Vec<i64>, Vec<String>) = asked.flatten().unzip();
    let sql = "SELECT DISTINCT ON (b.campaign, b.field) b.campaign, b.field, b.value \
               FROM unnest($1::bigint[], $2::text[]) a (campaign, field) \
               JOIN bond b ON b.campaign = a.campaign AND b.field = a.field \
               ORDER BY b.campaign, b.field, b.number DESC";
    let mut standing: HashMap<(i64, String), String> = HashMap::new();
    for row in query(&transaction, sql, &[&of, &fields]).await? {
        standing.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
    }
    let mut digest = digest_after(&transaction, Numbered::Bonds).await?;
    let (mut numbers, mut of, mut fields, mut values) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut outcomes = Vec::with_capacity(requests.len());
    for request in requests {
        let Some(campaign) = campaigns.get(request.campaign.as_str()).copied() else {
            outcomes.push(Bound::NoCampaign);
            continue;
        };
        let rows = match request.rows(|field| standing.get(&(campaign, field.to_owned())).cloned()) {
            Ok(rows) => rows,
            Err(refused) => {
                outcomes.push(refused);
                continue;
            }
        };
        for (field, value) in rows {
            let at: i64 = number(digest.next_number())?;
            digest.push(&(at, now_ms, campaign, &field, &value)).map_err(encoded)?;
            standing.insert((campaign, field.clone()), value.clone());
            numbers.push(at);
            of.push(campaign);
            fields.push(field);
            values.push(value);
        }
        outcomes.push(Bound::Theirs);
    }
    if digest.count() > 0 {
        let sql = "INSERT INTO bond (number, at_ms, campaign, field, value) \
                   SELECT number, $2, campaign, field, value \
                   FROM unnest($1::bigint[], $3::bigint[], $4::text[], $5::text[]) r (number, campaign, field, value)";
        execute(&transaction, sql, &[&numbers, &now_ms, &of, &fields, &values]).await?;
        testify(&transaction, now_ms, Content::Bonds { rows: digest.finish() }).await?;
    }
    transaction.commit().await?;
    Ok(outcomes)
}
