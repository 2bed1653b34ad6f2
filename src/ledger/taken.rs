//! What is said in a journal entry: whether its takers can be written, and its text where it cannot be accepted.
//!
//! Owns the reasons that stand in quarantine, so that every store gives the same. Pure.

use crate::domain::claim::{JournalEvent, Takers};
use crate::domain::ids::check_person;
use crate::domain::life::State;

/// A taker as the journal names them: the person, and the mark of an idempotency key.
pub(super) type Taker<'t> = (&'t str, Option<&'t str>);

/// Whether persons and marks are of the form that the service writes.
///
/// # Errors
/// The reason, for the quarantine.
pub(super) fn check_takers(takers: &Takers) -> Result<(), String> {
    for (person, mark) in takers.iter() {
        check_person(person).map_err(|error| format!("person {person:?} {error}"))?;
        let hex =
            |mark: &str| mark.len() == 16 && mark.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if let Some(mark) = mark.filter(|mark| !hex(mark)) {
            return Err(format!("mark {mark:?} is not 16 hex digits"));
        }
    }
    Ok(())
}

/// Whether a claim's unit may go back to stock in this state of its voucher or hold.
///
/// # Errors
/// The reason, for the quarantine.
pub(super) fn may_return(seq: u32, state: State) -> Result<(), String> {
    if state.may_return() { Ok(()) } else { Err(format!("returns claim {seq}, which is {}", state.as_str())) }
}

/// The start of a text, at most `bytes_max` long.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    if text.len() <= bytes_max { text } else { text.get(..end).unwrap_or(text) }
}

/// An entry that was understood and yet not accepted, as a text to look at.
pub(super) fn raw_text(events: &[JournalEvent]) -> String {
    let line = |event: &JournalEvent| match event {
        JournalEvent::Claimed { drop, epoch, claimed_at_ms, first_seq, takers } => {
            format!("claims {drop} {} {claimed_at_ms} {first_seq} {}", epoch.0, takers.as_str())
        }
        JournalEvent::Returned { drop, epoch, seq, person, returned_at_ms, may_claim_again } => {
            format!("return {drop} {} {returned_at_ms} {seq} {person} {may_claim_again}", epoch.0)
        }
    };
    events.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abc", 2), "ab");
        assert_eq!(cut("a券b", 3), "a");
        assert_eq!(cut("a券b", 4), "a券");
        assert_eq!(cut("券", 0), "");
    }
}
