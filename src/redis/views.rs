//! Reading what stands in a shard without changing it: drop views and holders.
//!
//! Owns the read-only commands of the poll, of `claims/mine` and of the audit. Grants nothing.

use redis::aio::ConnectionLike;
use redis::{RedisError, RedisResult, Value};

use super::codes::{self, DropView, ReplyError};
use super::keys;
use crate::clock::UnixMs;
use crate::domain::claim::Grant;
use crate::domain::ids::{DropId, Shard};

/// The fields of a drop hash, in the order of a view.
const FIELDS: [&str; DropView::FIELDS] =
    ["epoch", "state", "opens_at", "closes_at", "limit", "stock", "seq", "returned"];

/// How many holders one step of a scan asks for.
const SCAN_COUNT: u32 = 1_000;

impl From<ReplyError> for RedisError {
    fn from(error: ReplyError) -> Self {
        Self::from((redis::ErrorKind::UnexpectedReturnType, "unexpected reply", error.to_string()))
    }
}

/// The views of these drops, each `None` where the shard does not know it, and Redis' clock before them.
///
/// # Errors
/// Redis' own, or a reply of another shape.
pub async fn read_views(
    connection: &mut impl ConnectionLike,
    shard: Shard,
    drops: &[DropId],
) -> RedisResult<(UnixMs, Vec<Option<DropView>>)> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("TIME");
    for drop in drops {
        pipeline.cmd("HMGET").arg(keys::drop(shard, drop)).arg(&FIELDS[..]);
    }
    let (time, rows): ((i64, i64), Vec<Value>) = {
        let mut values: Vec<Value> = pipeline.query_async(connection).await?;
        let rows = values.split_off(1.min(values.len()));
        let time = values.pop().unwrap_or(Value::Nil);
        (redis::from_redis_value(time)?, rows)
    };
    let views = rows.iter().map(decode_view).collect::<Result<_, _>>()?;
    Ok((time.0 * 1_000 + time.1 / 1_000, views))
}

fn decode_view(row: &Value) -> Result<Option<DropView>, ReplyError> {
    let Value::Array(values) = row else { return Err(ReplyError::Malformed("a row is no array")) };
    if values.first() == Some(&Value::Nil) {
        return Ok(None);
    }
    DropView::decode(values).map(Some)
}

/// What a person holds in a drop, oldest first; empty when nothing.
///
/// # Errors
/// Redis' own, or a record of another shape.
pub async fn read_grants(
    connection: &mut impl ConnectionLike,
    shard: Shard,
    drop: &DropId,
    person: &str,
) -> RedisResult<Vec<Grant>> {
    let record: Option<Vec<u8>> =
        redis::cmd("HGET").arg(keys::holders(shard, drop)).arg(person).query_async(connection).await?;
    match record {
        Some(record) => Ok(codes::decode_records(&record)?),
        None => Ok(Vec::new()),
    }
}

/// One step of a walk over a drop's holders: where to go on (0 at the end), and the persons with their records.
/// A person may be met twice.
///
/// # Errors
/// Redis' own.
pub async fn scan_holders(
    connection: &mut impl ConnectionLike,
    shard: Shard,
    drop: &DropId,
    cursor: u64,
) -> RedisResult<(u64, Vec<(String, Vec<u8>)>)> {
    redis::cmd("HSCAN")
        .arg(keys::holders(shard, drop))
        .arg(cursor)
        .arg("COUNT")
        .arg(SCAN_COUNT)
        .query_async(connection)
        .await
}

/// How many persons hold something in a drop.
///
/// # Errors
/// Redis' own.
pub async fn count_holders(
    connection: &mut impl ConnectionLike,
    shard: Shard,
    drop: &DropId,
) -> RedisResult<u64> {
    redis::cmd("HLEN").arg(keys::holders(shard, drop)).query_async(connection).await
}
