//! What every transaction leaves beside its rows: postings, and the audit record that covers it all.

use deadpool_postgres::{GenericClient, Transaction};

use super::{encoded, execute, number, query, query_number, query_opt};
use crate::clock::UnixMs;
use crate::domain::ids::DropNumber;
use crate::domain::money::Fen;
use crate::ledger::chain::{Content, Hash, ORIGIN, Record, RowsDigest};
use crate::ledger::numbered::Numbered;
use crate::ledger::postings::{Account, Posting};
use crate::ledger::{ChainHead, LedgerError};

/// Has this transaction alone write until it ends. To be called before it reads anything that it goes by.
pub(super) async fn lock(transaction: &Transaction<'_>) -> Result<(), LedgerError> {
    execute(transaction, "SELECT revision FROM catalogue WHERE one = 1 FOR UPDATE", &[]).await?;
    Ok(())
}

/// Says that campaigns, states or loading changed.
pub(super) async fn raise_revision(transaction: &Transaction<'_>) -> Result<(), LedgerError> {
    execute(transaction, "UPDATE catalogue SET revision = revision + 1", &[]).await?;
    Ok(())
}

/// A digest over the rows of `table` that this transaction is going to add.
pub(super) async fn digest_after(
    transaction: &Transaction<'_>,
    table: Numbered,
) -> Result<RowsDigest, LedgerError> {
    let last: u64 = number(query_number(transaction, table.last(), &[]).await?)?;
    Ok(RowsDigest::new(last.saturating_add(1)))
}

/// Writes postings and digests them.
pub(super) struct Books<'t, 'c> {
    transaction: &'t Transaction<'c>,
    at_ms: UnixMs,
    pub(super) digest: RowsDigest,
}

impl<'t, 'c> Books<'t, 'c> {
    pub(super) async fn open(transaction: &'t Transaction<'c>, at_ms: UnixMs) -> Result<Self, LedgerError> {
        // Nothing is posted into a period that is closed, whatever this machine's clock says.
        let at_ms = super::life::in_time(transaction, at_ms).await?;
        Ok(Self { transaction, at_ms, digest: digest_after(transaction, Numbered::Postings).await? })
    }

    /// What an account of a campaign holds.
    pub(super) async fn balance(&self, campaign: i64, account: &Account) -> Result<Fen, LedgerError> {
        let sql = "SELECT amount FROM account WHERE campaign = $1 AND name = $2";
        let row = query_opt(self.transaction, sql, &[&campaign, &account.name()]).await?;
        row.map_or(Ok(Fen(0)), |row| Ok(Fen(row.try_get(0)?)))
    }

    /// Writes a posting with its lines, unless nothing moved.
    pub(super) async fn post(
        &mut self,
        campaign: i64,
        drop: Option<DropNumber>,
        posting: Option<Posting>,
    ) -> Result<(), LedgerError> {
        self.post_all(&[(campaign, drop, posting)]).await
    }

    /// Writes postings with their lines, each with its campaign and drop.
    pub(super) async fn post_all(
        &mut self,
        postings: &[(i64, Option<DropNumber>, Option<Posting>)],
    ) -> Result<(), LedgerError> {
        let (mut numbers, mut of, mut drops, mut kinds) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut lines_of, mut accounts, mut amounts) = (Vec::new(), Vec::new(), Vec::new());
        for (campaign, drop, posting) in postings {
            let Some(posting) = posting else { continue };
            let drop = drop.map(|drop| drop.0);
            let at: i64 = number(self.digest.next_number())?;
            let mut lines: Vec<_> =
                posting.lines().iter().map(|(account, amount)| (account.name(), amount.0)).collect();
            lines.sort_unstable();
            let row = (at, self.at_ms, *campaign, drop, posting.kind(), &lines);
            self.digest.push(&row).map_err(encoded)?;
            for (account, amount) in lines {
                lines_of.push(at);
                accounts.push(account);
                amounts.push(amount);
            }
            numbers.push(at);
            of.push(*campaign);
            drops.push(drop.map(number::<u32, i32>).transpose()?);
            kinds.push(posting.kind());
        }
        if numbers.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO posting (number, at_ms, campaign, drop_number, kind) \
                   SELECT number, $2, campaign, drop_number, kind \
                   FROM unnest($1::bigint[], $3::bigint[], $4::integer[], $5::text[]) \
                        p (number, campaign, drop_number, kind)";
        execute(self.transaction, sql, &[&numbers, &self.at_ms, &of, &drops, &kinds]).await?;
        let sql = "INSERT INTO posting_line (posting, account, amount) \
                   SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[])";
        let accounts: Vec<&str> = accounts.iter().map(AsRef::as_ref).collect();
        execute(self.transaction, sql, &[&lines_of, &accounts, &amounts]).await?;
        Ok(())
    }
}

/// The chain's last record: its number and hash.
async fn chain_end<C: GenericClient>(client: &C) -> Result<(u64, Hash), LedgerError> {
    let sql = "SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1";
    match query_opt(client, sql, &[]).await? {
        None => Ok((0, ORIGIN)),
        Some(row) => Ok((number(row.try_get::<_, i64>(0)?)?, hash(row.try_get(1)?)?)),
    }
}

/// A stored hash.
pub(super) fn hash(bytes: &[u8]) -> Result<Hash, LedgerError> {
    Hash::try_from(bytes).map_err(|_| LedgerError::Corrupt(format!("a hash of {} bytes", bytes.len())))
}

/// The chain's head as the outside sees it.
pub(super) async fn chain_head<C: GenericClient>(client: &C) -> Result<ChainHead, LedgerError> {
    let (length, hash) = chain_end(client).await?;
    Ok(ChainHead { length, hash: data_encoding::HEXLOWER.encode(&hash) })
}

/// See [`crate::ledger::Ledger::audit_records`].
pub(super) async fn records<C: GenericClient>(
    client: &C,
    after: u64,
    limit: i64,
) -> Result<Vec<Record>, LedgerError> {
    let sql = "SELECT number, body, hash FROM audit WHERE number > $1 ORDER BY number LIMIT $2";
    let after: i64 = number(after)?;
    let rows = query(client, sql, &[&after, &limit]).await?;
    let record = |row: &tokio_postgres::Row| {
        let index = number(row.try_get::<_, i64>(0)?)?;
        Ok(Record { index, body: row.try_get(1)?, hash: hash(row.try_get(2)?)? })
    };
    rows.iter().map(record).collect()
}

/// See [`crate::ledger::Ledger::chain_record`].
pub(super) async fn chain_record<C: GenericClient>(
    client: &C,
    hash: &str,
) -> Result<Option<u64>, LedgerError> {
    let Ok(hash) = data_encoding::HEXLOWER.decode(hash.as_bytes()) else { return Ok(None) };
    let row = query_opt(client, "SELECT number FROM audit WHERE hash = $1", &[&hash]).await?;
    row.map(|row| number(row.try_get::<_, i64>(0)?)).transpose()
}

/// Appends a record to the chain.
pub(super) async fn testify(
    transaction: &Transaction<'_>,
    at_ms: UnixMs,
    content: Content,
) -> Result<(), LedgerError> {
    testify_by(transaction, at_ms, None, content).await
}

/// Appends a record of what somebody did.
pub(super) async fn testify_by(
    transaction: &Transaction<'_>,
    at_ms: UnixMs,
    actor: Option<&str>,
    content: Content,
) -> Result<(), LedgerError> {
    testify_all(transaction, at_ms, vec![(actor.map(str::to_owned), content)]).await
}

/// Appends records, each with who had it written, where that was a person or a key.
pub(super) async fn testify_all(
    transaction: &Transaction<'_>,
    at_ms: UnixMs,
    contents: Vec<(Option<String>, Content)>,
) -> Result<(), LedgerError> {
    let (mut length, mut hash) = chain_end(transaction).await?;
    let mut records = Vec::with_capacity(contents.len());
    for (actor, content) in contents {
        length = length.saturating_add(1);
        let record = Record::next(&hash, length, at_ms, actor.as_deref(), content).map_err(encoded)?;
        hash = record.hash;
        records.push(record);
    }
    let numbers = records.iter().map(|record| number(record.index)).collect::<Result<Vec<i64>, _>>()?;
    let bodies: Vec<&str> = records.iter().map(|record| record.body.as_str()).collect();
    let hashes: Vec<&[u8]> = records.iter().map(|record| record.hash.as_slice()).collect();
    let sql = "INSERT INTO audit (number, body, hash) \
               SELECT n, b, h FROM unnest($1::bigint[], $2::text[], $3::bytea[]) r (n, b, h)";
    execute(transaction, sql, &[&numbers, &bodies, &hashes]).await?;
    Ok(())
}
