//! What staff moved by which reference, and what was reversed of it. Nothing here writes.

use rusqlite::{Connection, OptionalExtension, params};

use crate::domain::ids::CampaignId;
use crate::ledger::LedgerError;
use crate::ledger::life::{MONEY_MOVE, MoneyMove, NOTED, Noted, kept_between};
use crate::ledger::postings::Account;
use crate::ledger::sqlite::unsigned;

/// See [`crate::ledger::Accounts::noted`].
pub(in crate::ledger::sqlite) fn noted(
    connection: &Connection,
    campaign: &CampaignId,
    (from, to): (&Account, &Account),
    reference: &str,
) -> Result<Option<Noted>, LedgerError> {
    let (first, end) = kept_between(reference);
    let found: Option<(i64, Option<i64>)> = connection
        .prepare_cached(NOTED)?
        .query_row(params![campaign.as_str(), from.name(), to.name(), first, end], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let noted = |(step, contra): (i64, Option<i64>)| {
        Ok(Noted { step: unsigned(step)?, contra: contra.map(unsigned).transpose()? })
    };
    found.map(noted).transpose()
}

/// See [`crate::ledger::Accounts::money_move`].
pub(in crate::ledger::sqlite) fn moved(
    connection: &Connection,
    campaign: &CampaignId,
    step: u64,
) -> Result<Option<MoneyMove>, LedgerError> {
    // A number that does not fit was never given.
    let Ok(step) = i64::try_from(step) else { return Ok(None) };
    let found: Option<(String, String, Option<i64>)> = connection
        .prepare_cached(MONEY_MOVE)?
        .query_row(params![step, campaign.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let account =
        |name: &str| Account::parse(name).ok_or_else(|| LedgerError::Corrupt(format!("account {name:?}")));
    let moved = |(from, to, contra): (String, String, Option<i64>)| {
        let contra = contra.map(unsigned).transpose()?;
        Ok(MoneyMove { from: account(&from)?, to: account(&to)?, contra })
    };
    found.map(moved).transpose()
}
