//! A shard as it stands at one instant: its drops, and where its journal ends.
//!
//! Writes nothing. One transaction reads it all, so no claim falls between two parts of it: what the journal holds
//! up to [`Snapshot::journal_end`] is exactly what the drops have granted and taken back.

use redis::aio::ConnectionLike;
use redis::{Value, cmd, pipe};

use super::codes::{DropView, ReplyError};
use super::scripts::ScriptError;
use super::{journal, keys};
use crate::domain::claim::JournalId;
use crate::domain::ids::{DropId, Shard};

/// What a shard held at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// One for each drop that was asked for: `None` for one that is not there, an error for one that is not what
    /// the scripts write.
    pub views: Vec<Result<Option<DropView>, ReplyError>>,
    /// The id of the last entry ever written to the journal and still known to Redis; [`JournalId::START`] when
    /// the journal is not there. A journal that was trimmed empty keeps its last id.
    pub journal_end: JournalId,
}

/// Reads a shard at one instant.
///
/// # Errors
/// [`ScriptError::Redis`] when Redis cannot be asked, [`ScriptError::Reply`] when the journal's end cannot be read.
pub async fn read<C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    drops: &[DropId],
) -> Result<Snapshot, ScriptError> {
    let journal = keys::journal(shard);
    // To ask for the end of a journal that is not there is an error, so it is asked whether it is there; and
    // asked again if the first claim of its life came just between the two questions.
    let mut exists: bool = cmd("EXISTS").arg(&journal).query_async(conn).await?;
    loop {
        let mut pipeline = pipe();
        pipeline.atomic();
        if exists {
            pipeline.cmd("XINFO").arg("STREAM").arg(&journal);
        } else {
            pipeline.cmd("EXISTS").arg(&journal);
        }
        for drop in drops {
            pipeline.cmd("HMGET").arg(keys::drop(shard, drop)).arg(&DropView::NAMES);
        }
        let replies: Vec<Value> = pipeline.query_async(conn).await?;
        let Some((end, rows)) = replies.split_first() else {
            return Err(ReplyError::Malformed("a snapshot is empty").into());
        };
        let journal_end = match end {
            Value::Int(0) => JournalId::START,
            Value::Int(_) if !exists => {
                exists = true;
                continue;
            }
            info => journal::last_generated_id(info)?,
        };
        return Ok(Snapshot { views: rows.iter().map(view).collect(), journal_end });
    }
}

fn view(row: &Value) -> Result<Option<DropView>, ReplyError> {
    match row {
        Value::Array(values) if matches!(values.first(), Some(Value::Nil)) => Ok(None),
        Value::Array(values) => DropView::decode(values).map(Some),
        _ => Err(ReplyError::Malformed("a drop is no array")),
    }
}
