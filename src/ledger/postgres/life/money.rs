//! What staff moved by which reference, and what was reversed of it. Nothing here writes.

use deadpool_postgres::GenericClient;
use tokio_postgres::types::ToSql;

use crate::domain::ids::CampaignId;
use crate::ledger::LedgerError;
use crate::ledger::life::{MONEY_MOVE, MoneyMove, NOTED, Noted, kept_between};
use crate::ledger::postgres::{number, query_opt};
use crate::ledger::postings::Account;

/// See [`crate::ledger::Accounts::noted`].
pub(in crate::ledger::postgres) async fn noted<C: GenericClient>(
    client: &C,
    campaign: &CampaignId,
    (from, to): (&Account, &Account),
    reference: &str,
) -> Result<Option<Noted>, LedgerError> {
    let ((first, end), from, to) = (kept_between(reference), from.name(), to.name());
    let given: [&(dyn ToSql + Sync); 5] = [&campaign.as_str(), &&*from, &&*to, &first, &end];
    let Some(row) = query_opt(client, NOTED, &given).await? else { return Ok(None) };
    let contra: Option<i64> = row.try_get(1)?;
    let step = number(row.try_get::<_, i64>(0)?)?;
    Ok(Some(Noted { step, contra: contra.map(number).transpose()? }))
}

/// See [`crate::ledger::Accounts::money_move`].
pub(in crate::ledger::postgres) async fn moved<C: GenericClient>(
    client: &C,
    campaign: &CampaignId,
    step: u64,
) -> Result<Option<MoneyMove>, LedgerError> {
    // A number that does not fit was never given.
    let Ok(step) = i64::try_from(step) else { return Ok(None) };
    let Some(row) = query_opt(client, MONEY_MOVE, &[&step, &campaign.as_str()]).await? else {
        return Ok(None);
    };
    let account = |at: usize| {
        let name: &str = row.try_get(at)?;
        Account::parse(name).ok_or_else(|| LedgerError::Corrupt(format!("account {name:?}")))
    };
    let contra: Option<i64> = row.try_get(2)?;
    Ok(Some(MoneyMove { from: account(0)?, to: account(1)?, contra: contra.map(number).transpose()? }))
}
