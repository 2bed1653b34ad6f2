//! The journal of a shard: reading it in order, and trimming what is durable elsewhere.
//!
//! Owns the text form of journal entries, which `lua/README.md` describes. An entry of another form is poison:
//! it is handed on with its raw text, and never stops the reading of the rest.

use redis::aio::ConnectionLike;
use redis::{RedisError, RedisResult, Value, cmd, pipe};

use super::codes::ReplyError;
use super::keys;
use super::pool::RedisFault;
use super::scripts::ScriptError;
use super::server_check::info_field;
use crate::clock::UnixMs;
use crate::domain::claim::{JournalEntry, JournalEvent, JournalId, Poison, Takers};
use crate::domain::ids::{DropId, Epoch, Shard, check_person};
use crate::limits;

/// The only field of the placeholder by which the journal's end is raised.
const FLOOR: &str = "floor";

/// Reads at most `count` entries of a shard's journal that stand after `after`, in order.
///
/// # Errors
/// [`ScriptError::Redis`] when Redis cannot be asked, [`ScriptError::Reply`] when its answer is no stretch of a stream.
pub async fn read_after<C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    after: JournalId,
    count: usize,
) -> Result<Vec<JournalEntry>, ScriptError> {
    range(conn, shard, (&after.next().to_string(), "+"), count).await
}

/// Reads at most `count` entries of a shard's journal that stand after `after` and at or before `through`, in order.
///
/// # Errors
/// As [`read_after`].
pub async fn read_between<C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    (after, through): (JournalId, JournalId),
    count: usize,
) -> Result<Vec<JournalEntry>, ScriptError> {
    if through <= after {
        return Ok(Vec::new());
    }
    range(conn, shard, (&after.next().to_string(), &through.to_string()), count).await
}

async fn range<C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    (from, to): (&str, &str),
    count: usize,
) -> Result<Vec<JournalEntry>, ScriptError> {
    let mut range = cmd("XRANGE");
    range.arg(keys::journal(shard)).arg(from).arg(to).arg("COUNT").arg(count);
    let Value::Array(entries) = range.query_async(conn).await? else {
        return Err(ReplyError::Malformed("a stretch of the journal is no array").into());
    };
    Ok(entries.iter().map(decode_entry).collect::<Result<_, _>>()?)
}

/// Removes all entries up to and with `through`, exactly; what follows stays. Gives their number.
///
/// # Errors
/// [`ScriptError::Redis`] when Redis cannot be asked.
pub async fn trim_through<C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    through: JournalId,
) -> Result<u64, ScriptError> {
    let mut trim = cmd("XTRIM");
    trim.arg(keys::journal(shard)).arg("MINID").arg("=").arg(through.next().to_string());
    Ok(trim.query_async(conn).await?)
}

/// Removes these entries and no others.
///
/// # Errors
/// [`ScriptError::Redis`] when Redis cannot be asked.
pub async fn delete<C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    entries: &[JournalId],
) -> Result<(), ScriptError> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut delete = cmd("XDEL");
    delete.arg(keys::journal(shard));
    for id in entries {
        delete.arg(id.to_string());
    }
    Ok(delete.query_async::<u64>(conn).await.map(drop)?)
}

/// Why the server takes no writes at the moment, although it answers: it has become a replica, has fewer replicas than it was told
/// to have, or could not save. Nothing where it takes them, or does not say. Asks it to trim what was never there.
pub async fn refuses_writes<C: ConnectionLike>(conn: &mut C, shard: Shard) -> Option<RedisError> {
    let Err(ScriptError::Redis(error)) = trim_through(conn, shard, JournalId::START).await else {
        return None;
    };
    let fault = RedisFault::of(&error);
    matches!(fault, RedisFault::ReadOnly | RedisFault::NoReplicas | RedisFault::DiskFull).then_some(error)
}

/// The id of the last entry ever written, trimmed or not; [`JournalId::START`] in a shard that never wrote one.
///
/// # Errors
/// [`ScriptError::Redis`] when Redis cannot be asked, [`ScriptError::Reply`] when it does not tell.
pub async fn last_id<C: ConnectionLike>(conn: &mut C, shard: Shard) -> Result<JournalId, ScriptError> {
    let key = keys::journal(shard);
    let exists: bool = cmd("EXISTS").arg(&key).query_async(conn).await?;
    if !exists {
        return Ok(JournalId::START);
    }
    let info: Value = cmd("XINFO").arg("STREAM").arg(&key).query_async(conn).await?;
    Ok(last_generated_id(&info)?)
}

/// Has every later entry get an id above `through`, up to which the journal is durable elsewhere. Changes nothing where it
/// ends there or beyond.
///
/// # Errors
/// [`ScriptError::Redis`] when Redis cannot be asked, or refuses.
pub async fn raise_end<C: ConnectionLike>(
    conn: &mut C,
    shard: Shard,
    through: JournalId,
) -> Result<(), ScriptError> {
    if through == JournalId::START {
        return Ok(());
    }
    let (key, id) = (keys::journal(shard), through.to_string());
    let added: RedisResult<Value> = cmd("XADD").arg(&key).arg(&id).arg(FLOOR).arg("").query_async(conn).await;
    match added {
        Ok(_) => Ok(cmd("XDEL").arg(&key).arg(&id).query_async::<Value>(conn).await.map(|_| ())?),
        // Somebody was faster.
        Err(error) if error.to_string().contains("equal or smaller") => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether an entry is the placeholder that [`raise_end`] writes and deletes: whoever died in between has left it.
#[must_use]
pub fn is_floor(poison: &Poison) -> bool {
    poison.raw.trim_end() == FLOOR
}

/// The last id in what `XINFO STREAM` answers.
pub(super) fn last_generated_id(info: &Value) -> Result<JournalId, ReplyError> {
    let pairs = info.as_map_iter().into_iter().flatten();
    let named = |(name, _): &(&Value, &Value)| **name == Value::BulkString(b"last-generated-id".into());
    match pairs.into_iter().find(named) {
        Some((_, Value::BulkString(id))) => decode_id(id),
        _ => Err(ReplyError::Malformed("the journal tells no last id")),
    }
}

/// How many entries stand in the journal.
///
/// # Errors
/// [`ScriptError::Redis`] when Redis cannot be asked.
pub async fn length<C: ConnectionLike>(conn: &mut C, shard: Shard) -> Result<u64, ScriptError> {
    Ok(cmd("XLEN").arg(keys::journal(shard)).query_async(conn).await?)
}

/// What the journal takes, and what Redis has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalSize {
    /// Entries that are not trimmed.
    pub entries: u64,
    /// Their bytes, as Redis estimates them from a few.
    pub bytes: u64,
    /// Bytes that Redis uses, for everything.
    pub memory_used: u64,
    /// Bytes that it may use (`maxmemory`); 0 for any number.
    pub memory_max: u64,
}

/// Measures the journal and Redis' memory in one round trip.
///
/// # Errors
/// As [`last_id`].
pub async fn size<C: ConnectionLike>(conn: &mut C, shard: Shard) -> Result<JournalSize, ScriptError> {
    let key = keys::journal(shard);
    let mut questions = pipe();
    questions.cmd("XLEN").arg(&key);
    questions.cmd("MEMORY").arg("USAGE").arg(&key);
    questions.cmd("INFO").arg("memory");
    let (entries, bytes, info): (u64, Option<u64>, String) = questions.query_async(conn).await?;
    let field = |name| {
        let number = info_field(&info, name).and_then(|number| number.parse().ok());
        number.ok_or(ReplyError::Malformed("Redis does not tell its memory"))
    };
    let (memory_used, memory_max) = (field("used_memory")?, field("maxmemory")?);
    Ok(JournalSize { entries, bytes: bytes.unwrap_or(0), memory_used, memory_max })
}

fn decode_id(id: &[u8]) -> Result<JournalId, ReplyError> {
    let id = std::str::from_utf8(id).ok().and_then(JournalId::parse);
    id.ok_or(ReplyError::Malformed("a journal id is malformed"))
}

/// Reads one element of an `XRANGE` reply: `[id, [field, text, field, text, …]]`.
fn decode_entry(entry: &Value) -> Result<JournalEntry, ReplyError> {
    let no_entry = ReplyError::Malformed("an entry of the journal is no pair of id and fields");
    let Value::Array(parts) = entry else { return Err(no_entry) };
    let [Value::BulkString(id), Value::Array(fields)] = parts.as_slice() else { return Err(no_entry) };
    let mut texts = Vec::with_capacity(fields.len());
    for field in fields {
        let Value::BulkString(text) = field else { return Err(no_entry) };
        texts.push(text.as_slice());
    }
    Ok(parse_entry(decode_id(id)?, &texts))
}

/// Understands an entry from its fields and their texts, in turn. Never fails: what cannot be understood whole
/// is poison whole.
#[must_use]
pub fn parse_entry(id: JournalId, fields: &[&[u8]]) -> JournalEntry {
    let content = parse_fields(fields).map_err(|reason| Poison { raw: raw(fields), reason });
    JournalEntry { id, content }
}

fn parse_fields(fields: &[&[u8]]) -> Result<Vec<JournalEvent>, String> {
    let (pairs, []) = fields.as_chunks::<2>() else { return Err("a field has no text".into()) };
    if pairs.is_empty() {
        return Err("the entry is empty".into());
    }
    let mut events = Vec::with_capacity(pairs.len());
    let mut claims_left = limits::BATCH_CLAIMS_MAX;
    for [field, text] in pairs {
        let text = std::str::from_utf8(text).map_err(|_| "the text is not UTF-8")?;
        events.push(match *field {
            b"claims" => parse_claims(text, &mut claims_left)?,
            b"return" => parse_return(text)?,
            other => return Err(format!("unknown field {:?}", cut(&String::from_utf8_lossy(other), 64))),
        });
    }
    Ok(events)
}

/// `<drop> <epoch> <at_ms> <first_seq> <taker> <taker>…`
fn parse_claims(text: &str, claims_left: &mut usize) -> Result<JournalEvent, String> {
    let mut words = text.splitn(5, ' ');
    let (drop, epoch, claimed_at_ms) = parse_head(&mut words)?;
    let first_seq: u32 = number(words.next(), "first seq")?;
    let takers = Takers::new(words.next().ok_or("no taker")?);
    let mut count = 0_usize;
    for (person, mark) in takers.iter() {
        check_person(person).map_err(|error| format!("taker {}: {error}", count + 1))?;
        if mark.is_some_and(|mark| !is_mark(mark)) {
            return Err(format!("the mark of taker {} is not 16 hex digits", count + 1));
        }
        count += 1;
    }
    *claims_left = claims_left
        .checked_sub(count)
        .ok_or_else(|| format!("more than {} claims in one entry", limits::BATCH_CLAIMS_MAX))?;
    if first_seq == 0 || u32::try_from(count - 1).ok().and_then(|more| first_seq.checked_add(more)).is_none()
    {
        return Err("a claim number is outside 1 to 2^32-1".into());
    }
    Ok(JournalEvent::Claimed { drop, epoch, claimed_at_ms, first_seq, takers })
}

/// `<drop> <epoch> <at_ms> <seq> <person> <again|forfeit>`
fn parse_return(text: &str) -> Result<JournalEvent, String> {
    let mut words = text.split(' ');
    let (drop, epoch, returned_at_ms) = parse_head(&mut words)?;
    let seq: u32 = number(words.next(), "seq")?;
    let person = words.next().ok_or("no person")?;
    check_person(person).map_err(|error| format!("person: {error}"))?;
    let may_claim_again = match words.next() {
        Some("again") => true,
        Some("forfeit") => false,
        _ => return Err("neither again nor forfeit".into()),
    };
    if seq == 0 || words.next().is_some() {
        return Err("a return has six words and a claim number above 0".into());
    }
    Ok(JournalEvent::Returned { drop, epoch, seq, person: person.into(), returned_at_ms, may_claim_again })
}

fn parse_head<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<(DropId, Epoch, UnixMs), String> {
    let drop = words.next().ok_or("no drop")?;
    let drop = DropId::new(drop).map_err(|error| format!("drop id: {error}"))?;
    let epoch: u16 = number(words.next(), "epoch")?;
    let at_ms: u64 = number(words.next(), "time")?;
    let at_ms = UnixMs::try_from(at_ms).map_err(|_| "the time is out of range")?;
    Ok((drop, Epoch(epoch), at_ms))
}

/// Decimal digits alone, as the scripts write them: no sign, no leading zero.
fn number<N: std::str::FromStr>(word: Option<&str>, what: &str) -> Result<N, String> {
    let word = word.ok_or_else(|| format!("no {what}"))?;
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    let parsed = if plain { word.parse().ok() } else { None };
    parsed.ok_or_else(|| format!("the {what} is no number in range"))
}

fn is_mark(mark: &str) -> bool {
    mark.len() == 16 && mark.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn raw(fields: &[&[u8]]) -> String {
    let mut raw = String::new();
    for field in fields {
        if !raw.is_empty() {
            raw.push(' ');
        }
        raw.push_str(&String::from_utf8_lossy(field));
        if raw.len() > limits::POISON_BYTES_MAX {
            break;
        }
    }
    cut(&raw, limits::POISON_BYTES_MAX).to_owned()
}

/// The longest beginning of `text` that has at most `max` bytes and does not split a character.
fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("")
}

#[cfg(test)]
mod tests;
