//! The scripts, and one typed caller for each.
//!
//! Owns their sources, their digests and the layout of KEYS and ARGV, which the headers under `lua/` describe.
//! A script that the server does not know (a restart, a failover) is loaded and called once more; that is the
//! only retry here.

use std::sync::LazyLock;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value, cmd};

pub use super::claim_call::{ClaimCall, Slot};
use super::codes::{ClaimReply, Code, DropState, DropView, ReplyError};
use super::keys;
pub use super::once::OnePerCampaign;
use super::reply::ranged;
use crate::clock::UnixMs;
use crate::domain::ids::{DropId, Epoch, PersonId, Shard};
use crate::failpoint::Step;

/// What can go wrong with a call to Redis.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// Redis could not be reached, or refused. Whether the script ran is not known.
    #[error("redis: {0}")]
    Redis(#[from] RedisError),
    /// Redis answered something that the script does not answer.
    #[error("redis: {0}")]
    Reply(#[from] ReplyError),
}

/// A script: its file name, its source, and the digest by which it is called.
#[derive(Debug)]
pub struct Script {
    /// The name of its file under `lua/`.
    pub file: &'static str,
    /// Its text.
    pub source: &'static str,
    sha: LazyLock<String>,
}

macro_rules! script {
    ($file:literal) => {
        Script {
            file: $file,
            source: include_str!(concat!("../../lua/", $file)),
            sha: LazyLock::new(|| {
                redis::Script::new(include_str!(concat!("../../lua/", $file))).get_hash().to_owned()
            }),
        }
    };
}

/// Grants claims.
pub static CLAIM: Script = script!("claim.lua");
/// Creates and changes drops.
pub static CONFIGURE: Script = script!("configure.lua");
/// Runs, pauses and freezes drops.
pub static STATE: Script = script!("state.lua");
/// Gives a claim's unit back to stock.
pub static RETURN: Script = script!("return.lua");
/// Makes a drop anew from the ledger.
pub static RESTORE: Script = script!("restore.lua");
/// Every script.
pub static ALL: [&Script; 5] = [&CLAIM, &CONFIGURE, &STATE, &RETURN, &RESTORE];

impl Script {
    /// The digest by which the server knows it, 40 hex digits.
    #[must_use]
    pub fn sha(&self) -> &str {
        &self.sha
    }

    /// Begins a call with this many keys.
    pub(super) fn call(&self, keys: usize) -> Cmd {
        let mut call = cmd("EVALSHA");
        call.arg(self.sha()).arg(keys);
        call
    }

    /// Sends a call of this script; loads the script first when the server does not know it.
    ///
    /// # Errors
    /// What Redis or the connection answered, server errors included.
    pub async fn run<C: ConnectionLike>(&self, conn: &mut C, call: &Cmd) -> RedisResult<Value> {
        match answer(conn, call).await {
            Err(error) if Self::is_unknown(&error) => {
                Step::ScriptMissing.reached();
                self.load(conn).await?;
                Step::ScriptLoaded.reached();
                answer(conn, call).await
            }
            other => other,
        }
    }

    /// Makes the server know it.
    pub(super) async fn load<C: ConnectionLike>(&self, conn: &mut C) -> RedisResult<()> {
        answer(conn, cmd("SCRIPT").arg("LOAD").arg(self.source)).await.map(drop)
    }

    /// Whether a call failed because the server does not know the script.
    pub(super) fn is_unknown(error: &RedisError) -> bool {
        error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
    }
}

async fn answer<C: ConnectionLike>(conn: &mut C, call: &Cmd) -> RedisResult<Value> {
    match conn.req_packed_command(call).await? {
        Value::ServerError(error) => Err(error.into()),
        value => Ok(value),
    }
}

/// Runs `claim.lua` for a batch, which `cmd` was filled from ([`ClaimCall::write_evalsha`]).
///
/// # Errors
/// [`ScriptError::Redis`]: the batch may have run or not; sent again with the same content it gives the same
/// claims. [`ScriptError::Reply`]: the connection is out of step.
pub async fn claim<C: ConnectionLike>(
    conn: &mut C,
    call: &ClaimCall,
    cmd: &Cmd,
) -> Result<ClaimReply, ScriptError> {
    let reply = CLAIM.run(conn, cmd).await?;
    Ok(call.decode(&reply)?)
}

/// Whether [`configure`] may make a drop that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Makes the drop when it is not there. For a drop that the ledger never saw loaded.
    Create,
    /// Refuses when it is not there: a drop that was loaded once and is gone was lost.
    Update,
    /// The same, and refuses a stock that is less than what is claimed. The others leave nothing on sale then.
    Shrink,
}

/// What [`configure`] sets in one drop.
#[derive(Debug, Clone)]
pub struct DropConfig<'a> {
    /// The drop.
    pub drop: &'a DropId,
    /// Whether it may be made.
    pub mode: Mode,
    /// Units of this shard, claimed ones included; 0 to [`crate::limits::STOCK_MAX`].
    pub stock_total: u64,
    /// How many of them claims of older epochs hold. That may be more than there are.
    pub carried: u64,
    /// The release instant.
    pub opens_at_ms: UnixMs,
    /// Later than `opens_at_ms`.
    pub closes_at_ms: UnixMs,
    /// Claims per person, 1 to [`crate::limits::LIMIT_PER_PERSON_MAX`].
    pub limit: u32,
    /// The epoch of a drop that is made; a drop that is there keeps its own.
    pub epoch: Epoch,
    /// The state of a drop that is made; a drop that is there keeps its own.
    pub state: DropState,
    /// Where a person may win in one drop of the campaign alone, how many drops the campaign has; else 0.
    pub once: usize,
    /// The revision of the catalogue that says all of this.
    pub revision: u64,
    /// The later revision that it goes over, if the drop was set to that one: the ledger has none so late, and was brought back
    /// from a backup.
    pub overrules: Option<u64>,
}

/// Why a call for several drops changed none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The cause.
    pub code: Code,
    /// The first drop that it holds for, as an index into the call's drops.
    pub drop: usize,
}

/// Creates or changes drops of one shard, all or none, and gives them as they now stand. Repeating it changes
/// nothing. Refused with [`Code::ShrinkBelowClaimed`], [`Code::UnknownDrop`] or, when a later revision was set,
/// [`Code::OutOfDate`]; with [`Code::Unsettled`] while somebody takes stock away.
///
/// # Errors
/// [`ScriptError`] when Redis cannot be asked, or finds the call malformed.
pub async fn configure<C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    drops: &[DropConfig<'_>],
) -> Result<Result<Vec<DropView>, Refused>, ScriptError> {
    let mut call = CONFIGURE.call(drops.len());
    for config in drops {
        call.arg(keys::drop(shard, config.drop));
    }
    for config in drops {
        let mode = match config.mode {
            Mode::Create => "create",
            Mode::Update => "update",
            Mode::Shrink => "shrink",
        };
        let total = i128::from(config.stock_total) - i128::from(config.carried);
        call.arg(mode).arg(total.to_string()).arg(config.opens_at_ms).arg(config.closes_at_ms);
        call.arg(config.limit).arg(config.epoch.0).arg(config.state.as_str());
        call.arg(config.once).arg(config.revision);
        call.arg(config.overrules.map_or_else(|| "keep".to_owned(), |revision| revision.to_string()));
    }
    views_or_refusal(&CONFIGURE.run(conn, &call).await?, drops.len())
}

/// Sets the state of drops of one shard, all or none, and gives them as they now stand: by this revision of the campaigns, or
/// whatever they say. Refused with [`Code::UnknownDrop`], [`Code::Frozen`] or, when a later revision was set,
/// [`Code::OutOfDate`].
///
/// # Errors
/// [`ScriptError`] when Redis cannot be asked, or finds the call malformed.
pub async fn set_state<C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    drops: &[&DropId],
    state: DropState,
    revision: Option<u64>,
) -> Result<Result<Vec<DropView>, Refused>, ScriptError> {
    let mut call = STATE.call(drops.len());
    for drop in drops {
        call.arg(keys::drop(shard, drop));
    }
    call.arg(state.as_str()).arg(revision);
    views_or_refusal(&STATE.run(conn, &call).await?, drops.len())
}

/// A claim whose unit goes back to stock.
#[derive(Debug, Clone)]
pub struct Return<'a> {
    /// The drop.
    pub drop: &'a DropId,
    /// Who holds the claim.
    pub person: &'a PersonId,
    /// The claim's epoch.
    pub epoch: Epoch,
    /// The claim's number.
    pub seq: u32,
    /// Whether the claim no longer counts against the person's limit.
    pub may_claim_again: bool,
}

/// Gives one claim's unit back to stock, exactly once, and gives the drop as it now stands. Refused with
/// [`Code::AlreadyReturned`], [`Code::NotFound`], [`Code::UnknownDrop`] or [`Code::Frozen`].
///
/// # Errors
/// [`ScriptError`] when Redis cannot be asked. Sent again it answers [`Code::AlreadyReturned`] if it had run.
pub async fn return_claim<C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    claim: &Return<'_>,
) -> Result<Result<DropView, Code>, ScriptError> {
    let mut call = RETURN.call(3);
    call.arg(keys::journal(shard)).arg(keys::drop(shard, claim.drop)).arg(keys::holders(shard, claim.drop));
    call.arg(claim.drop.as_str()).arg(claim.person.as_str()).arg(claim.epoch.0).arg(claim.seq);
    call.arg(if claim.may_claim_again { "again" } else { "forfeit" });
    match RETURN.run(conn, &call).await? {
        Value::Array(view) => Ok(Ok(DropView::decode(&view)?)),
        other => Ok(Err(code(&other)?)),
    }
}

/// `{ code, d }`, or one view for each drop.
fn views_or_refusal(reply: &Value, drops: usize) -> Result<Result<Vec<DropView>, Refused>, ScriptError> {
    let Value::Array(parts) = reply else {
        return Err(ReplyError::Malformed("the reply is no array").into());
    };
    if let [number @ Value::Int(_), drop] = parts.as_slice() {
        let drop: usize = ranged(drop)?;
        let index = drop.checked_sub(1).filter(|index| *index < drops);
        let drop = index.ok_or(ReplyError::Malformed("a refusal names a drop that was not in the call"))?;
        return Ok(Err(Refused { code: code(number)?, drop }));
    }
    if parts.len() != drops {
        return Err(ReplyError::Malformed("the reply has another number of drops than the call").into());
    }
    let views = parts.iter().map(|part| match part {
        Value::Array(view) => DropView::decode(view),
        _ => Err(ReplyError::Malformed("a view is no array")),
    });
    Ok(Ok(views.collect::<Result<_, _>>()?))
}

/// The code that a value is.
pub(super) fn code(value: &Value) -> Result<Code, ReplyError> {
    match value {
        Value::Int(number) => Code::from_number(*number).ok_or(ReplyError::Malformed("an unknown code")),
        _ => Err(ReplyError::Malformed("a code is no integer")),
    }
}
