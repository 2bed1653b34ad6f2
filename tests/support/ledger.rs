//! The ledger's rows as they stand in the file, read without the program's own reading code.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use claimrush::domain::ids::{ClaimNumber, DropNumber, Epoch, Shard};
use rusqlite::{Connection, OpenFlags};

/// One claim as stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) claim_id: String,
    pub(crate) person: String,
    /// Of the idempotency key, where there is one.
    pub(crate) mark: Option<String>,
    pub(crate) seq: u32,
}

/// A drop's claims in the ledger of this data folder, by number.
pub(crate) fn rows(data: &Path, drop: &str) -> Vec<Row> {
    let ledger = Connection::open_with_flags(data.join("ledger.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)
        .expect("there is a ledger");
    ledger.busy_timeout(Duration::from_secs(20)).expect("it is set");
    let mut select = ledger
        .prepare(
            "SELECT series.drop_number, series.shard, series.epoch, claim.number & 4294967295, claim.person,
                    claim.mark
             FROM claim JOIN series ON series.number = claim.number >> 32
             JOIN campaign_drop ON campaign_drop.number = series.drop_number
             WHERE campaign_drop.id = ?1 ORDER BY claim.number",
        )
        .expect("the schema is known");
    let rows = select
        .query_map([drop], |row| {
            let seq = row.get(3)?;
            let number = ClaimNumber {
                drop: DropNumber(row.get(0)?),
                shard: Shard(row.get(1)?),
                epoch: Epoch(row.get(2)?),
                seq,
            };
            Ok(Row { claim_id: number.claim_id(), person: row.get(4)?, mark: row.get(5)?, seq })
        })
        .expect("it reads");
    rows.collect::<Result<_, _>>().expect("rows are whole")
}

/// Checks what holds for the rows of every drop: numbered 1, 2, 3 … and nobody twice with the same key, or without
/// one.
pub(crate) fn assert_numbered_and_unique(rows: &[Row]) {
    for (row, seq) in rows.iter().zip(1..) {
        assert_eq!(row.seq, seq, "a gap or a repetition before {row:?}");
    }
    let wishes: HashSet<_> = rows.iter().map(|row| (&row.person, &row.mark)).collect();
    assert_eq!(wishes.len(), rows.len(), "somebody stands twice");
}
