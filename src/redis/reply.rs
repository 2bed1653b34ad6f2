//! The decoding of replies and of what the holders hashes hold.
//!
//! Nothing here trusts a reply: what is not of the expected shape is a [`ReplyError`], never a panic.

use redis::Value;

use super::codes::{Code, ReplyError};
use crate::clock::UnixMs;
use crate::domain::claim::Grant;
use crate::domain::ids::{Epoch, Mark};

/// Whether a drop grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropState {
    /// Grants within its window.
    Running,
    /// Grants nothing; holders get their claims again.
    Paused,
    /// Being loaded or rebuilt: answers nobody.
    Frozen,
}

impl DropState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Running, Self::Paused, Self::Frozen];

    /// The word in the drop hash.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Frozen => "frozen",
        }
    }

    fn from_bytes(word: &[u8]) -> Result<Self, ReplyError> {
        let known = Self::ALL.into_iter().find(|state| state.as_str().as_bytes() == word);
        known.ok_or(ReplyError::Malformed("the state is no known word"))
    }
}

/// A drop as it stands in a shard after a script has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropView {
    /// The shard's epoch when the drop was created there.
    pub epoch: Epoch,
    /// Whether it grants.
    pub state: DropState,
    /// The release instant, by Redis' clock.
    pub opens_at_ms: UnixMs,
    /// After it nobody is granted a claim.
    pub closes_at_ms: UnixMs,
    /// Claims per person.
    pub limit: u32,
    /// Units left.
    pub stock: u64,
    /// The number of the last claim granted in this epoch; 0 before the first.
    pub seq: u32,
    /// Units that went back to stock.
    pub returned: u64,
}

impl DropView {
    /// The fields of a drop hash, in the order in which the scripts reply them.
    pub(crate) const NAMES: [&str; Self::FIELDS] =
        ["epoch", "state", "opens_at", "closes_at", "limit", "stock", "seq", "returned"];

    /// How many values a view has in a reply.
    pub(crate) const FIELDS: usize = 8;

    /// Reads the values epoch, state, `opens_at`, `closes_at`, limit, stock, seq, returned.
    ///
    /// # Errors
    /// [`ReplyError::Malformed`] when one is missing or out of range.
    pub(crate) fn decode(values: &[Value]) -> Result<Self, ReplyError> {
        let [epoch, state, opens_at, closes_at, limit, stock, seq, returned] = values else {
            return Err(ReplyError::Malformed("a drop has 8 values"));
        };
        let state = match state {
            Value::BulkString(word) => DropState::from_bytes(word)?,
            _ => return Err(ReplyError::Malformed("the state is no text")),
        };
        Ok(Self {
            epoch: Epoch(ranged(epoch)?),
            state,
            opens_at_ms: ranged(opens_at)?,
            closes_at_ms: ranged(closes_at)?,
            limit: ranged(limit)?,
            stock: ranged(stock)?,
            seq: ranged(seq)?,
            returned: ranged(returned)?,
        })
    }
}

/// What became of one claim of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Granted now, in the drop's epoch and at the reply's `now_ms`.
    Granted {
        /// The claim's number.
        seq: u32,
    },
    /// The person holds the claim already; this is it, as it was first granted.
    Again(Grant),
    /// Not granted.
    Refused(Code),
    /// Not granted: the person has this claim in another drop of a campaign in which one may win in one drop alone.
    Elsewhere {
        /// Which of the campaign's drops it is, from 0.
        place: usize,
        /// The claim.
        grant: Grant,
    },
}

/// The part of a claim reply that speaks of one drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropReply {
    /// The drop after the batch.
    pub view: DropView,
    /// One outcome for each claim, in the order of the call.
    pub outcomes: Vec<Outcome>,
}

/// The reply of `claim.lua`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimReply {
    /// The batch that it answers.
    pub batch_id: u64,
    /// Redis' clock when it was decided.
    pub now_ms: UnixMs,
    /// One for each drop in the order of the call; `None` where the shard does not know the drop.
    pub drops: Vec<Option<DropReply>>,
}

impl ClaimReply {
    /// Reads the reply to a call that carried `claims[d]` claims in its `d`-th drop.
    ///
    /// # Errors
    /// [`ReplyError`] when it is not the reply to that very call.
    pub fn decode(
        reply: &Value,
        batch_id: u64,
        claims: impl ExactSizeIterator<Item = usize>,
    ) -> Result<Self, ReplyError> {
        let Value::Array(parts) = reply else { return Err(ReplyError::Malformed("the reply is no array")) };
        let [found, now_ms, parts @ ..] = parts.as_slice() else {
            return Err(ReplyError::Malformed("the reply is too short"));
        };
        let found: u64 = ranged(found)?;
        if found != batch_id {
            return Err(ReplyError::OtherBatch { expected: batch_id, found });
        }
        if parts.len() != claims.len() {
            return Err(ReplyError::Malformed("the reply has another number of drops than the call"));
        }
        let drops = parts.iter().zip(claims).map(|(part, claims)| decode_drop(part, claims));
        Ok(Self { batch_id, now_ms: ranged(now_ms)?, drops: drops.collect::<Result<_, _>>()? })
    }
}

fn decode_drop(part: &Value, claims: usize) -> Result<Option<DropReply>, ReplyError> {
    let Value::Array(values) = part else { return Err(ReplyError::Malformed("a drop's part is no array")) };
    if let [Value::Int(number)] = values.as_slice()
        && Code::from_number(*number) == Some(Code::UnknownDrop)
    {
        return Ok(None);
    }
    let Some((view, results)) = values.split_at_checked(DropView::FIELDS) else {
        return Err(ReplyError::Malformed("a drop has 8 values"));
    };
    if results.len() != claims {
        return Err(ReplyError::Malformed(
            "the reply has another number of results than the call has claims",
        ));
    }
    let view = DropView::decode(view)?;
    let outcomes = results.iter().map(decode_outcome).collect::<Result<_, _>>()?;
    Ok(Some(DropReply { view, outcomes }))
}

fn decode_outcome(result: &Value) -> Result<Outcome, ReplyError> {
    match result {
        Value::Int(number @ 1..) => u32::try_from(*number)
            .map(|seq| Outcome::Granted { seq })
            .map_err(|_| ReplyError::Malformed("a claim number has 32 bits")),
        Value::Int(number) => Code::from_number(*number)
            .map(Outcome::Refused)
            .ok_or(ReplyError::Malformed("a result is no known code")),
        Value::BulkString(record) => match split_record(record)? {
            (grant, []) => Ok(Outcome::Again(grant)),
            _ => Err(ReplyError::Malformed("a result is more than one record")),
        },
        Value::Array(parts) => decode_elsewhere(parts),
        _ => Err(ReplyError::Malformed("a result is neither number nor record")),
    }
}

/// Reads a code, the place of a drop in its campaign, and a record.
fn decode_elsewhere(parts: &[Value]) -> Result<Outcome, ReplyError> {
    let malformed = ReplyError::Malformed("a claim elsewhere is no code, place and record");
    let [Value::Int(code), place, Value::BulkString(record)] = parts else { return Err(malformed) };
    let place = ranged::<usize>(place)?.checked_sub(1);
    match (Code::from_number(*code), place, split_record(record)?) {
        (Some(Code::LimitReached), Some(place), (grant, [])) => Ok(Outcome::Elsewhere { place, grant }),
        _ => Err(malformed),
    }
}

/// Reads a person's whole value in a holders hash: their claims in the order in which they were granted.
///
/// # Errors
/// [`ReplyError::Malformed`] when it is not a row of whole records.
pub fn decode_records(mut records: &[u8]) -> Result<Vec<Grant>, ReplyError> {
    let mut grants = Vec::with_capacity(1);
    while !records.is_empty() {
        let (grant, rest) = split_record(records)?;
        grants.push(grant);
        records = rest;
    }
    Ok(grants)
}

/// Of a person's whole value in a holders hash those claims that count against the limit.
///
/// # Errors
/// As [`decode_records`].
pub fn decode_counting(mut records: &[u8]) -> Result<Vec<Grant>, ReplyError> {
    let mut grants = Vec::with_capacity(1);
    while let Some(flags) = records.first() {
        let may_claim_again = flags & FLAG_MAY_CLAIM_AGAIN != 0;
        let (grant, rest) = split_record(records)?;
        grants.extend((!may_claim_again).then_some(grant));
        records = rest;
    }
    Ok(grants)
}

/// A claim as a holder's record, in the form of `claim.lua`.
#[must_use]
pub fn encode_record(grant: &Grant, may_claim_again: bool) -> Vec<u8> {
    let again = if grant.returned && may_claim_again { FLAG_MAY_CLAIM_AGAIN } else { 0 };
    let returned = if grant.returned { FLAG_RETURNED } else { 0 };
    let mut record = vec![returned | again | grant.mark.map_or(0, |_| FLAG_MARK)];
    record.extend(grant.epoch.0.to_be_bytes());
    record.extend(grant.seq.to_be_bytes());
    record.extend(grant.claimed_at_ms.to_be_bytes().iter().skip(2));
    record.extend(grant.mark.iter().flat_map(|mark| mark.0));
    record
}

const FLAG_RETURNED: u8 = 1;
const FLAG_MAY_CLAIM_AGAIN: u8 = 2;
const FLAG_MARK: u8 = 4;
const FLAGS_KNOWN: u8 = 7;

fn split_record(bytes: &[u8]) -> Result<(Grant, &[u8]), ReplyError> {
    let short = || ReplyError::Malformed("a record is cut short");
    let (head, rest) = bytes.split_first_chunk::<13>().ok_or_else(short)?;
    let [flags, e1, e2, s1, s2, s3, s4, t1, t2, t3, t4, t5, t6] = *head;
    if flags > FLAGS_KNOWN {
        return Err(ReplyError::Malformed("a record has an unknown flag"));
    }
    let (mark, rest) = if flags & FLAG_MARK == 0 {
        (None, rest)
    } else {
        let (mark, rest) = rest.split_first_chunk::<8>().ok_or_else(short)?;
        (Some(Mark(*mark)), rest)
    };
    let grant = Grant {
        epoch: Epoch(u16::from_be_bytes([e1, e2])),
        seq: u32::from_be_bytes([s1, s2, s3, s4]),
        claimed_at_ms: i64::from_be_bytes([0, 0, t1, t2, t3, t4, t5, t6]),
        returned: flags & FLAG_RETURNED != 0,
        mark,
    };
    Ok((grant, rest))
}

/// A number that stands in a reply as an integer or as decimal text.
pub(crate) fn ranged<N: TryFrom<i64> + std::str::FromStr>(value: &Value) -> Result<N, ReplyError> {
    let number = match value {
        Value::Int(number) => N::try_from(*number).ok(),
        Value::BulkString(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    number.ok_or(ReplyError::Malformed("a number is missing or out of range"))
}

#[cfg(test)]
mod tests;
