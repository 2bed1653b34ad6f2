//! What clients saw, kept outside of the service, beside ledger and journal.
//!
//! Reads the file that `claimrush-loadtest` writes (a JSON object a line), or one claim id a line. The end of the
//! file is noted before Redis is looked at, so whatever is read was granted before.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Take};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::AuditError;
use super::holders::Present;
use super::moment::Moment;
use super::report::Findings;
use crate::domain::ids::{ClaimNumber, DropId, DropNumber, Epoch, Shard};
use crate::limits;

/// A claims log, up to where it ended when it was opened.
pub(super) struct ClaimsLog {
    path: PathBuf,
    lines: BufReader<Take<File>>,
}

/// What the log says beside the ledger.
#[derive(Debug, Default)]
pub(super) struct Logged {
    /// Claims that clients saw, repetitions not counted.
    pub(super) claims: u64,
    /// Answers that gave a claim once more.
    pub(super) repeated: u64,
    /// Requests whose outcome the client does not know: they may have a row or not.
    pub(super) unknown: u64,
    /// Claims that a client saw and that are not what the ledger has.
    pub(super) differences: Findings,
}

/// A line of the file. Other fields than these are not looked at.
#[derive(Deserialize)]
struct Line {
    claim_id: Option<String>,
    drop: Option<String>,
    seq: Option<u32>,
    ticket_line: Option<u32>,
    outcome: Option<String>,
}

impl ClaimsLog {
    /// Opens the file and notes its end.
    pub(super) fn open(path: &Path) -> Result<Self, AuditError> {
        let failed = |error: io::Error| AuditError::Log(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(failed)?;
        let end = file.metadata().map_err(failed)?.len();
        Ok(Self { path: path.to_owned(), lines: BufReader::new(file.take(end)) })
    }

    /// Sets every line beside what ledger and journal have.
    pub(super) fn compare(
        mut self,
        moment: &Moment,
        present: &Present,
        shard: Shard,
    ) -> Result<Logged, AuditError> {
        let mut logged = Logged::default();
        let names = moment.drops.iter().map(|drop| (drop.number, &drop.spec.id)).collect();
        let mut checker = Checker { names, present, shard, tickets: HashMap::new() };
        let mut text = String::new();
        for number in 1_u64.. {
            text.clear();
            let limit = u64::try_from(limits::CLAIMS_LOG_LINE_BYTES_MAX).unwrap_or(u64::MAX);
            let path = self.path.display().to_string();
            let failed = |what: &str| AuditError::Log(format!("{path}: line {number}: {what}"));
            let mut line = (&mut self.lines).take(limit);
            let read = line.read_line(&mut text).map_err(|error| failed(&error.to_string()))?;
            if read == 0 {
                break;
            }
            let whole = text.ends_with('\n');
            match parse(text.trim()) {
                Some(line) => checker.check(number, &line, &mut logged),
                None if text.trim().is_empty() => {}
                // Somebody is still writing it.
                None if !whole && read < limits::CLAIMS_LOG_LINE_BYTES_MAX => {}
                None => return Err(failed("is neither a claim id nor a line of a claims log")),
            }
        }
        Ok(logged)
    }
}

fn parse(text: &str) -> Option<Line> {
    if text.starts_with('{') {
        let line: Line = serde_json::from_str(text).ok()?;
        return (line.claim_id.is_some() || line.outcome.is_some()).then_some(line);
    }
    let plain = text.starts_with("clm_") && !text.contains(char::is_whitespace);
    let claim_id = plain.then(|| text.to_owned())?;
    Some(Line { claim_id: Some(claim_id), drop: None, seq: None, ticket_line: None, outcome: None })
}

/// What is known while the lines go by.
struct Checker<'a> {
    names: HashMap<DropNumber, &'a DropId>,
    present: &'a Present,
    shard: Shard,
    /// By claim, which ticket saw it first: its line in the ticket file, or [`NO_TICKET`].
    tickets: HashMap<(DropNumber, Epoch), Vec<u32>>,
}

/// A claim was seen, and the log does not say with which ticket.
const NO_TICKET: u32 = u32::MAX;

impl Checker<'_> {
    fn check(&mut self, at: u64, line: &Line, logged: &mut Logged) {
        let Some(id) = &line.claim_id else {
            logged.unknown = logged.unknown.saturating_add(1);
            return;
        };
        let number = match ClaimNumber::parse_claim_id(id) {
            Ok(number) if number.seq > 0 && self.is_named(number, line) => number,
            _ => {
                logged.claims = logged.claims.saturating_add(1);
                logged.differences.add(|| format!("line {at}: {id} is no claim of its drop and number"));
                return;
            }
        };
        if number.shard != self.shard || !self.present.has(number) {
            logged.claims = logged.claims.saturating_add(1);
            logged.differences.add(|| format!("line {at}: {id} stands in neither ledger nor journal"));
            return;
        }
        let ticket = line.ticket_line.unwrap_or(NO_TICKET);
        match self.seen_before(number, ticket) {
            None => logged.claims = logged.claims.saturating_add(1),
            Some(first) => {
                logged.repeated = logged.repeated.saturating_add(1);
                if first != ticket {
                    logged
                        .differences
                        .add(|| format!("line {at}: {id} was given to the tickets {first} and {ticket}"));
                }
            }
        }
    }

    /// Whether the line's drop and number, where it names them, are those of its claim id.
    fn is_named(&self, number: ClaimNumber, line: &Line) -> bool {
        let drop = self.names.get(&number.drop);
        let same_drop = line.drop.as_ref().is_none_or(|name| drop.is_some_and(|drop| drop.as_str() == name));
        same_drop && line.seq.is_none_or(|seq| seq == number.seq)
    }

    /// Notes that a ticket saw a claim that is present; the ticket that saw it first, if one did.
    fn seen_before(&mut self, number: ClaimNumber, ticket: u32) -> Option<u32> {
        let series = self.tickets.entry((number.drop, number.epoch)).or_default();
        let index = usize::try_from(number.seq).unwrap_or(usize::MAX);
        if series.len() <= index {
            // Present claims alone come here, so this is bounded by the claims that there are.
            series.resize(index.saturating_add(1), 0);
        }
        let slot = series.get_mut(index)?;
        let before = std::mem::replace(slot, if *slot == 0 { ticket } else { *slot });
        (before != 0).then_some(before)
    }
}
