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
        _ => Err(ReplyError::Malformed("a result is neither number nor record")),
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RECORD: [u8; 13] = [1, 0, 9, 0, 0, 1, 2, 0, 0, 0, 0, 3, 4];

    fn drop_part(state: &str, results: &[Value]) -> Value {
        let mut values: Vec<_> = [9, 0, 1_000, 2_000, 1, 5, 258, 3].map(Value::Int).into();
        values[1] = Value::BulkString(state.into());
        values.extend_from_slice(results);
        Value::Array(values)
    }

    fn reply(parts: Vec<Value>) -> Value {
        let mut all = vec![Value::BulkString(b"42".into()), Value::Int(1_500)];
        all.extend(parts);
        Value::Array(all)
    }

    fn decode(reply: &Value, claims: &[usize]) -> Result<ClaimReply, ReplyError> {
        ClaimReply::decode(reply, 42, claims.iter().copied())
    }

    #[test]
    fn a_reply_is_read() {
        let again = Value::BulkString(RECORD.into());
        let running = drop_part("running", &[Value::Int(258), again, Value::Int(-4)]);
        let unknown = Value::Array(vec![Value::Int(Code::UnknownDrop.number())]);
        let read = decode(&reply(vec![running, unknown]), &[3, 1]).expect("well formed");
        assert_eq!((read.batch_id, read.now_ms, read.drops.len()), (42, 1_500, 2));
        assert_eq!(read.drops[1], None);
        let part = read.drops[0].as_ref().expect("known");
        assert_eq!((part.view.epoch, part.view.stock, part.view.seq), (Epoch(9), 5, 258));
        let grant = Grant { epoch: Epoch(9), seq: 258, claimed_at_ms: 0x0304, returned: true, mark: None };
        let expected =
            [Outcome::Granted { seq: 258 }, Outcome::Again(grant), Outcome::Refused(Code::SoldOut)];
        assert_eq!(part.outcomes, expected);
    }

    #[test]
    fn a_reply_that_is_not_the_calls_own_is_refused() {
        let good = || drop_part("running", &[Value::Int(1)]);
        assert!(decode(&reply(vec![good()]), &[1]).is_ok());
        let other = ReplyError::OtherBatch { expected: 43, found: 42 };
        assert_eq!(ClaimReply::decode(&reply(vec![good()]), 43, [1].into_iter()), Err(other));
        let two_records = Value::BulkString([RECORD, RECORD].concat());
        let short_record = Value::BulkString(RECORD[1..].into());
        let malformed: [(Value, &[usize]); 11] = [
            (reply(vec![good()]), &[2]),
            (reply(vec![good()]), &[1, 1]),
            (reply(vec![good(), good()]), &[1]),
            (reply(vec![drop_part("open", &[Value::Int(1)])]), &[1]),
            (reply(vec![drop_part("running", &[Value::Int(0)])]), &[1]),
            (reply(vec![drop_part("running", &[Value::Int(-99)])]), &[1]),
            (reply(vec![drop_part("running", &[Value::Int(1 << 32)])]), &[1]),
            (reply(vec![drop_part("running", &[two_records])]), &[1]),
            (reply(vec![drop_part("running", &[short_record])]), &[1]),
            (reply(vec![Value::Nil]), &[1]),
            (Value::Okay, &[1]),
        ];
        for (reply, claims) in malformed {
            assert!(matches!(decode(&reply, claims), Err(ReplyError::Malformed(_))), "{reply:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            epoch: u16, seq: u32, claimed_at_ms in 0..(1_i64 << 48), returned: bool, again: bool,
            mark in proptest::option::of(any::<[u8; 8]>()),
        ) {
            let grant = Grant { epoch: Epoch(epoch), seq, claimed_at_ms, returned, mark: mark.map(Mark) };
            let record = encode_record(&grant, again);
            prop_assert_eq!(record[0] & 2 != 0, returned && again);
            prop_assert_eq!(decode_records(&record), Ok(vec![grant]));
        }

        #[test]
        fn records_are_read_back_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(grants) = decode_records(&bytes) {
                let sizes = grants.iter().map(|grant| if grant.mark.is_some() { 21 } else { 13 });
                prop_assert_eq!(sizes.sum::<usize>(), bytes.len());
            }
        }

        #[test]
        fn whole_records_are_read(flags in 0_u8..8, bytes in any::<[u8; 20]>(), count in 0_usize..5) {
            let size = if flags < 4 { 13 } else { 21 };
            let mut record = vec![flags];
            record.extend(&bytes[..size - 1]);
            let grants = decode_records(&record.repeat(count)).expect("whole records");
            prop_assert_eq!(grants.len(), count);
            for grant in grants {
                prop_assert_eq!(grant.returned, flags & 1 == 1);
                prop_assert_eq!(grant.mark.is_some(), flags & 4 == 4);
                prop_assert_eq!(&grant.seq.to_be_bytes()[..], &bytes[2..6]);
            }
        }
    }
}
