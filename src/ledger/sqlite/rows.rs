//! The claim rows: how many thousands of them are written in one transaction at little cost each.
//!
//! Rows of one script call have consecutive numbers and one instant. They go in by statements of many rows, the widest that
//! are not too wide first, where only the takers are bound one by one.

use std::fmt::Write;
use std::sync::LazyLock;

use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};

use super::write::Trouble;
use crate::clock::UnixMs;
use crate::domain::claim::Takers;
use crate::ledger::taken::Taker;

/// Rows of the statements that write several at once, the widest first.
const WIDTHS: [u8; 3] = [64, 16, 4];

/// Those statements, each with its rows.
static INSERT_SEVERAL: LazyLock<[(u8, String); WIDTHS.len()]> =
    LazyLock::new(|| WIDTHS.map(|width| (width, insert_several(width))));

fn insert_several(width: u8) -> String {
    // OR FAIL: the transaction is given up as a whole, so the statement need not be undone on its own.
    let mut sql =
        "INSERT OR FAIL INTO claim (number, claimed_at_ms, person, mark, status) VALUES ".to_owned();
    for row in 0..u16::from(width) {
        let comma = if row == 0 { "" } else { ", " };
        let _ = write!(sql, "{comma}(?1 + {row}, ?2, ?{}, ?{}, 0)", 2 * row + 3, 2 * row + 4);
    }
    sql
}

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
    for (width, sql) in &*INSERT_SEVERAL {
        let rows = usize::from(*width);
        if remaining < rows {
            continue;
        }
        let mut several = transaction.prepare_cached(sql)?;
        while remaining >= rows {
            several.raw_bind_parameter(1, number)?;
            several.raw_bind_parameter(2, claimed_at_ms)?;
            for (at, (person, mark)) in takers.by_ref().take(rows).enumerate() {
                several.raw_bind_parameter(2 * at + 3, person)?;
                several.raw_bind_parameter(2 * at + 4, mark)?;
            }
            insert(&mut several)?;
            remaining -= rows;
            number = number.saturating_add(i64::from(*width));
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

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn takers_of_every_number_are_written_in_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        let columns = "number INTEGER PRIMARY KEY, claimed_at_ms, person, mark, status";
        connection.execute(&format!("CREATE TABLE claim ({columns})"), []).unwrap();
        for count in (1..=90).chain([127, 128, 211]) {
            let mark = |n: i64| (n % 3 == 0).then(|| format!("{n:016x}"));
            let taker = |n| mark(n).map_or_else(|| format!("p{n}"), |mark| format!("p{n}\t{mark}"));
            let text: Vec<_> = (1..=count).map(taker).collect();
            let transaction = connection.transaction().unwrap();
            insert_new(&transaction, 1_000, 7, &Takers::new(&text.join(" "))).unwrap();
            let expected = (1..=count).map(|n| (999 + n, 7, format!("p{n}"), mark(n), 0));
            let row = |row: &rusqlite::Row<'_>| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            };
            let mut all = transaction.prepare("SELECT * FROM claim ORDER BY number").unwrap();
            let written: Vec<(i64, i64, String, Option<String>, i64)> =
                all.query_map([], row).unwrap().collect::<Result<_, _>>().unwrap();
            assert!(written.into_iter().eq(expected), "{count} takers");
        }
    }
}
