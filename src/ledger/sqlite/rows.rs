//! The claim rows: how many thousands of them are written in one transaction at little cost each.
//!
//! Rows of one script call have consecutive numbers and one instant. They go in by statements of [`WIDE`] rows,
//! where only the takers are bound one by one.

use std::fmt::Write;
use std::sync::LazyLock;

use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};

use super::write::Trouble;
use crate::clock::UnixMs;
use crate::domain::claim::Takers;
use crate::ledger::taken::Taker;

/// Rows in a wide statement.
const WIDE: usize = 64;
const WIDE_KEYS: i64 = 64;
const _: () = assert!(WIDE.ilog2() == WIDE_KEYS.ilog2() && WIDE.is_power_of_two(), "one number in two types");

static INSERT_WIDE: LazyLock<String> = LazyLock::new(|| {
    // OR FAIL: the transaction is given up as a whole, so the statement need not be undone on its own.
    let mut sql =
        "INSERT OR FAIL INTO claim (number, claimed_at_ms, person, mark, status) VALUES ".to_owned();
    for row in 0..WIDE {
        let comma = if row == 0 { "" } else { ", " };
        let _ = write!(sql, "{comma}(?1 + {row}, ?2, ?{}, ?{}, 0)", 2 * row + 3, 2 * row + 4);
    }
    sql
});
const INSERT_ONE: &str =
    "INSERT OR FAIL INTO claim (number, claimed_at_ms, person, mark, status) VALUES (?1, ?2, ?3, ?4, 0)";
const INSERT_IF_NEW: &str = "INSERT INTO claim (number, claimed_at_ms, person, mark, status) \
     VALUES (?1, ?2, ?3, ?4, 0) ON CONFLICT DO NOTHING";

/// Writes claims from row key `first` on, all of which must be new.
pub(super) fn insert_new(
    transaction: &Transaction<'_>,
    first: i64,
    claimed_at_ms: UnixMs,
    takers: &Takers,
) -> Result<(), Trouble> {
    let mut remaining = usize::try_from(takers.count()).unwrap_or(usize::MAX);
    let mut takers = takers.iter();
    let mut number = first;
    if remaining >= WIDE {
        let mut wide = transaction.prepare_cached(&INSERT_WIDE)?;
        while remaining >= WIDE {
            wide.raw_bind_parameter(1, number)?;
            wide.raw_bind_parameter(2, claimed_at_ms)?;
            for (at, (person, mark)) in takers.by_ref().take(WIDE).enumerate() {
                wide.raw_bind_parameter(2 * at + 3, person)?;
                wide.raw_bind_parameter(2 * at + 4, mark)?;
            }
            insert(&mut wide)?;
            remaining -= WIDE;
            number = number.saturating_add(WIDE_KEYS);
        }
    }
    let mut one = transaction.prepare_cached(INSERT_ONE)?;
    for (person, mark) in takers {
        bind_one(&mut one, number, claimed_at_ms, (person, mark))?;
        insert(&mut one)?;
        number = number.saturating_add(1);
    }
    Ok(())
}

fn bind_one(
    statement: &mut CachedStatement<'_>,
    number: i64,
    claimed_at_ms: UnixMs,
    (person, mark): Taker<'_>,
) -> Result<(), rusqlite::Error> {
    statement.raw_bind_parameter(1, number)?;
    statement.raw_bind_parameter(2, claimed_at_ms)?;
    statement.raw_bind_parameter(3, person)?;
    statement.raw_bind_parameter(4, mark)
}

fn insert(statement: &mut CachedStatement<'_>) -> Result<(), Trouble> {
    match statement.raw_execute() {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
            Err(Trouble::Rejected("a claim number is already held".to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes one claim if its number is new. `false` when it is already there, word for word.
pub(super) fn insert_if_new(
    transaction: &Transaction<'_>,
    number: i64,
    claimed_at_ms: UnixMs,
    taker: Taker<'_>,
) -> Result<bool, Trouble> {
    let mut statement = transaction.prepare_cached(INSERT_IF_NEW)?;
    bind_one(&mut statement, number, claimed_at_ms, taker)?;
    if statement.raw_execute()? == 1 {
        return Ok(true);
    }
    let same = transaction
        .prepare_cached(
            "SELECT 1 FROM claim WHERE number = ?1 AND claimed_at_ms = ?2 AND person = ?3 AND mark IS ?4",
        )?
        .query_row(params![number, claimed_at_ms, taker.0, taker.1], |_| Ok(()))
        .optional()?;
    match same {
        Some(()) => Ok(false),
        None => Err(Trouble::Rejected(format!(
            "claim number {} is already held by another claim",
            number & 0xffff_ffff
        ))),
    }
}
