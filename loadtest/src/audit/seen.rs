//! What clients were told, read from the claims log.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// The longest line of a claims log, in bytes.
const LINE_BYTES_MAX: u64 = 8_192;
/// Lines that are read; a longer log is refused, not cut.
const LINES_MAX: u64 = 50_000_000;

/// A claim that a client was told of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Told {
    /// The drop's place among the plan's drops.
    pub(super) drop: usize,
    /// The person's number, from 1.
    pub(super) person: u64,
    pub(super) claim_id: Box<str>,
    pub(super) seq: u64,
    /// Told as new (201), not as one that was there already (200).
    pub(super) is_new: bool,
}

/// A claim of which nobody was told what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Lost {
    /// The drop's place among the plan's drops.
    pub(super) drop: usize,
    /// The person's number, from 1.
    pub(super) person: u64,
}

/// All of a claims log.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// By drop, then by person.
    pub(super) told: Vec<Told>,
    /// By drop, then by person. An outcome whose line names no drop stands here once for each drop.
    pub(super) lost: Vec<Lost>,
    /// Lines with an unknown outcome.
    pub(super) unknown: u64,
}

/// Other fields than these are not looked at.
#[derive(Deserialize)]
struct Line {
    ticket_line: u64,
    claim_id: Option<Box<str>>,
    drop: Option<String>,
    seq: Option<u64>,
    status: Option<u16>,
    outcome: Option<String>,
}

impl Seen {
    /// Reads the claims log of a run on these drops.
    ///
    /// # Errors
    /// The file cannot be read, has a line that is none of a claims log, or is about another drop.
    pub(super) fn read(path: &Path, drops: &[String]) -> Result<Self> {
        let name = || format!("claims log {}", path.display());
        let mut reader = BufReader::with_capacity(1 << 18, File::open(path).with_context(name)?);
        let places = drops.iter().enumerate().map(|(place, drop)| (drop.as_str(), place)).collect();
        let (mut seen, mut text) = (Self::default(), Vec::new());
        for number in 1_u64.. {
            text.clear();
            let read = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
            if read.with_context(name)? == 0 {
                break;
            }
            ensure!(number <= LINES_MAX, "{}: has more than {LINES_MAX} lines", name());
            let added = serde_json::from_slice(&text)
                .context("is no line of a claims log")
                .and_then(|line| seen.add(line, &places));
            added.with_context(|| format!("{} line {number}", name()))?;
        }
        seen.told.sort_unstable();
        seen.lost.sort_unstable();
        Ok(seen)
    }

    fn add(&mut self, line: Line, places: &HashMap<&str, usize>) -> Result<()> {
        let place = match &line.drop {
            Some(drop) => Some(*places.get(drop.as_str()).with_context(|| {
                let mut known: Vec<_> = places.keys().copied().collect();
                known.sort_unstable();
                format!("drop {drop:?} is none of this run, which is about {}", known.join(", "))
            })?),
            None => None,
        };
        let person = line.ticket_line;
        match (line, place) {
            (Line { claim_id: Some(claim_id), seq: Some(seq), status: Some(status), .. }, Some(drop)) => {
                ensure!(matches!(status, 200 | 201), "status must be 200 or 201, is {status}");
                self.told.push(Told { drop, person, claim_id, seq, is_new: status == 201 });
            }
            (Line { claim_id: None, outcome: Some(outcome), .. }, place) => {
                ensure!(outcome == "unknown", "outcome must be unknown, is {outcome:?}");
                self.unknown += 1;
                let drops = place.map_or(0..places.len(), |drop| drop..drop + 1);
                self.lost.extend(drops.map(|drop| Lost { drop, person }));
            }
            _ => bail!("must have claim_id, drop, seq and status, or an outcome"),
        }
        Ok(())
    }

    /// What each person was told about each drop.
    pub(super) fn by_person(&self) -> impl Iterator<Item = &[Told]> {
        self.told.chunk_by(|one, next| (one.drop, one.person) == (next.drop, next.person))
    }

    /// What was told about one drop.
    pub(super) fn of_drop(&self, drop: usize) -> &[Told] {
        let from = self.told.partition_point(|told| told.drop < drop);
        let to = self.told.partition_point(|told| told.drop <= drop);
        self.told.get(from..to).unwrap_or_default()
    }

    /// What this person was told about this drop.
    pub(super) fn of_person(&self, drop: usize, person: u64) -> &[Told] {
        let from = self.told.partition_point(|told| (told.drop, told.person) < (drop, person));
        let to = self.told.partition_point(|told| (told.drop, told.person) <= (drop, person));
        self.told.get(from..to).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(text: &str) -> Result<Seen> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Seen::read(file.path(), &["a".to_owned(), "b".to_owned()])
    }

    #[test]
    fn lines_are_ordered_by_drop_and_person() {
        let seen = read(concat!(
            r#"{"claim_id":"y","drop":"b","seq":1,"status":201,"ticket_line":3}"#,
            "\n",
            r#"{"claim_id":"x","drop":"a","seq":2,"status":201,"ticket_line":9}"#,
            "\n",
            r#"{"claim_id":"x","drop":"a","seq":2,"status":200,"ticket_line":9}"#,
            "\n",
            r#"{"ticket_line":4,"outcome":"unknown"}"#,
            "\n",
            r#"{"ticket_line":5,"outcome":"unknown","drop":"b"}"#,
            "\n",
        ))
        .unwrap();
        let groups: Vec<_> =
            seen.by_person().map(|told| (told[0].drop, told[0].person, told.len())).collect();
        assert_eq!(groups, [(0, 9, 2), (1, 3, 1)]);
        assert_eq!((seen.of_drop(0).len(), seen.of_drop(1).len(), seen.of_drop(2).len()), (2, 1, 0));
        assert_eq!((seen.of_person(0, 9).len(), seen.of_person(1, 9).len()), (2, 0));
        let lost = |drop, person| Lost { drop, person };
        assert_eq!((seen.unknown, seen.lost), (2, vec![lost(0, 4), lost(1, 4), lost(1, 5)]));
    }

    #[test]
    fn a_bad_line_is_named() {
        let good = r#"{"ticket_line":4,"outcome":"unknown"}"#;
        for (bad, words) in [
            ("{", "line 2: is no line of a claims log"),
            (r#"{"ticket_line":1}"#, "line 2: must have claim_id"),
            (r#"{"ticket_line":1,"outcome":"granted"}"#, "line 2: outcome must be unknown"),
            (
                r#"{"claim_id":"x","drop":"c","seq":2,"status":201,"ticket_line":9}"#,
                "line 2: drop \"c\" is none",
            ),
            (r#"{"claim_id":"x","drop":"a","seq":2,"status":410,"ticket_line":9}"#, "line 2: status must be"),
        ] {
            let error = format!("{:#}", read(&format!("{good}\n{bad}\n")).unwrap_err());
            assert!(error.contains(words), "{error}");
        }
    }
}
