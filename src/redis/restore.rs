//! Making a drop anew from the ledger: the three steps of `restore.lua`, and the mark of a drop that waits for them.
//!
//! Owns the layout of its arguments. Every step may be repeated with the same arguments; who is refused with
//! [`Code::Superseded`] has to leave the drop alone, as somebody else makes it.

use redis::Value;
use redis::aio::ConnectionLike;

use super::codes::{Code, DropView, ReplyError};
use super::keys;
use super::reply::ranged;
use super::scripts::{self, RESTORE, ScriptError};
use crate::clock::UnixMs;
use crate::domain::claim::JournalId;
use crate::domain::ids::{DropId, Epoch, Shard};

/// The token that marks a drop as lost. Those who restore have one of 32 hex digits.
const LOST: &str = "lost";

/// One restoring of one drop.
#[derive(Debug, Clone, Copy)]
pub struct Restore<'a> {
    /// The shard.
    pub shard: Shard,
    /// The drop.
    pub drop: &'a DropId,
    /// Tells this restoring from any other; 1 to 64 characters.
    pub token: &'a str,
    /// The epoch that the drop gets.
    pub epoch: Epoch,
}

/// What a drop begins its new epoch with.
#[derive(Debug, Clone, Copy)]
pub struct Beginning {
    /// Units of this shard in this epoch: what live claims of older epochs hold is not among them.
    pub stock_total: u64,
    /// The release instant.
    pub opens_at_ms: UnixMs,
    /// Later than `opens_at_ms`.
    pub closes_at_ms: UnixMs,
    /// Claims per person.
    pub limit: u32,
    /// Up to where the ledger has the journal.
    pub position: JournalId,
}

impl Restore<'_> {
    /// Empties the drop. Refused with [`Code::Superseded`].
    ///
    /// # Errors
    /// [`ScriptError`] when Redis cannot be asked, or finds the call malformed.
    pub async fn begin<C: ConnectionLike>(
        &self,
        conn: &mut C,
        beginning: &Beginning,
    ) -> Result<Result<DropView, Code>, ScriptError> {
        let mut call = self.call("begin");
        call.arg(beginning.stock_total).arg(beginning.opens_at_ms).arg(beginning.closes_at_ms);
        call.arg(beginning.limit).arg(beginning.position.to_string());
        view(&RESTORE.run(conn, &call).await?)
    }

    /// Adds claims, at most a thousand, each a person and a record ([`super::codes::encode_record`]); how many were
    /// not there yet. Refused with [`Code::Superseded`] or [`Code::UnknownDrop`].
    ///
    /// # Errors
    /// As [`Restore::begin`].
    pub async fn holders<C: ConnectionLike>(
        &self,
        conn: &mut C,
        holders: &[(String, Vec<u8>)],
    ) -> Result<Result<u64, Code>, ScriptError> {
        let mut call = self.call("holders");
        for (person, record) in holders {
            call.arg(person).arg(record);
        }
        match RESTORE.run(conn, &call).await? {
            refused @ Value::Int(..0) => Ok(Err(scripts::code(&refused)?)),
            new => Ok(Ok(ranged(&new)?)),
        }
    }

    /// Declares the drop complete; it stays frozen. Refused as [`Restore::holders`].
    ///
    /// # Errors
    /// As [`Restore::begin`].
    pub async fn finish<C: ConnectionLike>(
        &self,
        conn: &mut C,
    ) -> Result<Result<DropView, Code>, ScriptError> {
        view(&RESTORE.run(conn, &self.call("finish")).await?)
    }

    fn call(&self, step: &str) -> redis::Cmd {
        let mut call = RESTORE.call(3);
        call.arg(keys::journal(self.shard)).arg(keys::drop(self.shard, self.drop));
        call.arg(keys::holders(self.shard, self.drop)).arg(step).arg(self.token).arg(self.epoch.0);
        call
    }
}

/// Marks a drop as lacking something that its epoch had: it is frozen, and nothing but a [`Restore`] leads out of that.
/// The mark stands in what lacks it, so that a Redis that has everything does not bear it. Refused with
/// [`Code::Superseded`] when the drop is in another epoch or being restored, and with [`Code::UnknownDrop`].
///
/// # Errors
/// [`ScriptError`] when Redis cannot be asked.
pub async fn mark_lost<C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    drop: &DropId,
    epoch: Epoch,
) -> Result<Result<DropView, Code>, ScriptError> {
    let lost = Restore { shard, drop, token: LOST, epoch };
    view(&RESTORE.run(conn, &lost.call("lost")).await?)
}

fn view(reply: &Value) -> Result<Result<DropView, Code>, ScriptError> {
    match reply {
        Value::Array(view) => Ok(Ok(DropView::decode(view)?)),
        Value::Int(_) => Ok(Err(scripts::code(reply)?)),
        _ => Err(ReplyError::Malformed("a step of a restore is neither a view nor a code").into()),
    }
}
