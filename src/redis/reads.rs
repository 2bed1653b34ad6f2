//! Reading what a shard holds, without a script: drops as they stand, a person's claims, all holders.
//!
//! Writes nothing. What is read here may be old when it arrives; only a script decides.

use redis::aio::ConnectionLike;
use redis::{Value, cmd, pipe};

use super::codes::{DropView, ReplyError, decode_counting, decode_records};
use super::keys;
use super::reply::ranged;
use super::scripts::ScriptError;
use crate::clock::UnixMs;
use crate::domain::claim::Grant;
use crate::domain::ids::{DropId, PersonId, Shard};

/// Drops of a shard as they stand, in one round trip, and Redis' clock just before; `None` for a drop that is not
/// there.
///
/// # Errors
/// [`ScriptError::Redis`] when Redis cannot be asked, [`ScriptError::Reply`] when a drop is not what the scripts
/// write.
pub async fn views<'a, C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    drops: impl IntoIterator<Item = &'a DropId>,
) -> Result<(UnixMs, Vec<Option<DropView>>), ScriptError> {
    let mut pipeline = pipe();
    pipeline.cmd("TIME");
    for drop in drops {
        pipeline.cmd("HMGET").arg(keys::drop(shard, drop)).arg(&DropView::NAMES);
    }
    let replies: Vec<Vec<Value>> = pipeline.query_async(conn).await?;
    let Some(([seconds, micros], rows)) =
        replies.split_first().and_then(|(time, rows)| Some((time.as_slice().first_chunk()?, rows)))
    else {
        return Err(ReplyError::Malformed("the time is no pair").into());
    };
    let now_ms = ranged::<i64>(seconds)?.saturating_mul(1_000).saturating_add(ranged::<i64>(micros)? / 1_000);
    let views = rows.iter().map(|values| match values.first() {
        Some(Value::Nil) => Ok(None),
        _ => DropView::decode(values).map(Some),
    });
    Ok((now_ms, views.collect::<Result<_, _>>()?))
}

/// Which of a shard's drops wait for [`super::restore`] to finish: they are begun, or marked as lost.
///
/// # Errors
/// As [`views`].
pub async fn restoring<'a, C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    drops: impl IntoIterator<Item = &'a DropId>,
) -> Result<Vec<bool>, ScriptError> {
    let mut pipeline = pipe();
    // A pipeline must not be empty.
    pipeline.cmd("PING").ignore();
    for drop in drops {
        pipeline.cmd("HEXISTS").arg(keys::drop(shard, drop)).arg("rebuild");
    }
    Ok(pipeline.query_async(conn).await?)
}

/// At which revision of the campaigns stock was taken away from each of these drops, where nobody has set them since.
///
/// # Errors
/// As [`views`].
pub async fn shrinking<'a, C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    drops: impl IntoIterator<Item = &'a DropId>,
) -> Result<Vec<Option<u64>>, ScriptError> {
    numbers(conn, shard, drops, "shrinking").await
}

/// The revision of the campaigns to which each of these drops was set last.
///
/// # Errors
/// As [`views`].
pub async fn revisions<'a, C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    drops: impl IntoIterator<Item = &'a DropId>,
) -> Result<Vec<Option<u64>>, ScriptError> {
    numbers(conn, shard, drops, "revision").await
}

async fn numbers<'a, C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    drops: impl IntoIterator<Item = &'a DropId>,
    field: &str,
) -> Result<Vec<Option<u64>>, ScriptError> {
    let mut pipeline = pipe();
    // A pipeline must not be empty.
    pipeline.cmd("PING").ignore();
    for drop in drops {
        pipeline.cmd("HGET").arg(keys::drop(shard, drop)).arg(field);
    }
    Ok(pipeline.query_async(conn).await?)
}

/// Which of these drops a shard has.
///
/// # Errors
/// As [`views`].
pub async fn are_there<'a, C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    drops: impl IntoIterator<Item = &'a DropId>,
) -> Result<Vec<bool>, ScriptError> {
    let mut pipeline = pipe();
    // A pipeline must not be empty.
    pipeline.cmd("PING").ignore();
    for drop in drops {
        pipeline.cmd("EXISTS").arg(keys::drop(shard, drop));
    }
    Ok(pipeline.query_async(conn).await?)
}

/// How many persons hold a claim of a drop, returned ones included.
///
/// # Errors
/// As [`views`].
pub async fn holders_count<C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    drop: &DropId,
) -> Result<u64, ScriptError> {
    Ok(cmd("HLEN").arg(keys::holders(shard, drop)).query_async(conn).await?)
}

/// A person's claims in a drop, in the order in which they were granted; empty for one who has none.
///
/// # Errors
/// As [`views`].
pub async fn claims_of<C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    drop: &DropId,
    person: &PersonId,
) -> Result<Vec<Grant>, ScriptError> {
    Ok(decode_records(&records_of(conn, shard, drop, person).await?)?)
}

/// Those of a person's claims in a drop that count against the limit: all but those that were returned so that the
/// person may claim again.
///
/// # Errors
/// As [`views`].
pub async fn counting_claims_of<C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    drop: &DropId,
    person: &PersonId,
) -> Result<Vec<Grant>, ScriptError> {
    Ok(decode_counting(&records_of(conn, shard, drop, person).await?)?)
}

async fn records_of<C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    drop: &DropId,
    person: &PersonId,
) -> Result<Vec<u8>, ScriptError> {
    let mut get = cmd("HGET");
    get.arg(keys::holders(shard, drop)).arg(person.as_str());
    let records: Option<Vec<u8>> = get.query_async(conn).await?;
    Ok(records.unwrap_or_default())
}

/// A part of a drop's holders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldersPage {
    /// Persons, each with their records ([`decode_records`]).
    pub holders: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the next part begins; `None` after the last.
    pub next: Option<u64>,
}

/// Reads about `count` holders of a drop from `cursor` on; 0 begins. Over all parts, who held a claim from the
/// first to the last of them is seen at least once, perhaps twice; who came meanwhile, perhaps not at all.
/// Source: <https://redis.io/docs/latest/commands/scan/>
///
/// # Errors
/// As [`views`].
pub async fn holders_page<C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    drop: &DropId,
    cursor: u64,
    count: usize,
) -> Result<HoldersPage, ScriptError> {
    let mut scan = cmd("HSCAN");
    scan.arg(keys::holders(shard, drop)).arg(cursor).arg("COUNT").arg(count);
    let (next, flat): (u64, Vec<Vec<u8>>) = scan.query_async(conn).await?;
    let mut holders = Vec::with_capacity(flat.len() / 2);
    let mut flat = flat.into_iter();
    while let Some(person) = flat.next() {
        let records = flat.next().ok_or(ReplyError::Malformed("a holder has no records"))?;
        holders.push((person, records));
    }
    Ok(HoldersPage { holders, next: Some(next).filter(|next| *next != 0) })
}
