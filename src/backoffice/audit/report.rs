//! What an audit says: one line a promise, then the drops. Printed as JSON for programs, as a table for people.

use std::fmt::Write as _;

use serde::Serialize;

use crate::limits;

/// Columns of a terminal that the table keeps within.
const COLUMNS: usize = 80;
/// Where the text of a check begins.
const INDENT: usize = 12;
/// A drop's id that is wider stands on a line of its own.
const ID_COLUMNS: usize = 24;

/// The outcome of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether every check holds.
    pub ok: bool,
    /// I1 to I7, then Q (quarantine), F (frozen drops) and R (orphan receipts).
    pub checks: Vec<Check>,
    /// The audit chain's last hash, to be kept elsewhere; empty when the chain does not verify.
    pub head: String,
    /// Every drop of every campaign.
    pub drops: Vec<DropLine>,
}

/// One promise, and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// `I1` to `I7`, `Q`, `F` or `R`.
    pub id: &'static str,
    /// What is promised, in one sentence.
    pub promise: &'static str,
    /// What was compared with what, with numbers.
    pub compared: String,
    /// Whether it holds.
    pub ok: bool,
    /// The first differences; empty when it holds.
    pub detail: String,
}

impl Check {
    /// A check that holds when nothing was found.
    pub(super) fn new(id: &'static str, promise: &'static str, compared: String, found: &Findings) -> Self {
        Self { id, promise, compared, ok: found.is_empty(), detail: found.text() }
    }
}

/// A drop in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DropLine {
    /// The drop.
    pub drop: String,
    /// Units in all, by the ledger's campaign.
    pub stock_total: u64,
    /// Units left, by Redis; nothing where Redis does not have the drop.
    pub left: Option<u64>,
    /// Claims granted, by Redis.
    pub accepted: u64,
    /// Claims whose unit went back, by Redis.
    pub returned: u64,
    /// Claims in the ledger.
    pub ledger_rows: u64,
    /// Claims in the journal that are not in the ledger yet.
    pub in_journal: u64,
}

/// Differences: the first ones by name, the rest by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Findings {
    shown: Vec<String>,
    count: u64,
}

impl Findings {
    /// Notes one; its text is made only if it will be shown.
    pub(super) fn add(&mut self, text: impl FnOnce() -> String) {
        self.count = self.count.saturating_add(1);
        if self.shown.len() < limits::AUDIT_DIFFERENCES_SHOWN {
            self.shown.push(text());
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// These first, then `later` ones.
    pub(super) fn followed_by(mut self, later: Self) -> Self {
        self.shown.extend(later.shown);
        self.shown.truncate(limits::AUDIT_DIFFERENCES_SHOWN);
        self.count = self.count.saturating_add(later.count);
        self
    }

    fn text(&self) -> String {
        let mut text = self.shown.join("; ");
        let more = self.count.saturating_sub(u64::try_from(self.shown.len()).unwrap_or(u64::MAX));
        if more > 0 {
            let _ = write!(text, "; and {more} more");
        }
        text
    }
}

impl Report {
    /// One JSON object on one line.
    ///
    /// # Errors
    /// None in practice: every field has a JSON form.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self).map(|json| json + "\n")
    }

    /// For people, within 80 columns.
    #[must_use]
    pub fn to_table(&self) -> String {
        let mut text = String::new();
        for check in &self.checks {
            let word = if check.ok { "holds" } else { "BROKEN" };
            wrap(&mut text, &format!("{:<4}{word:<8}", check.id), check.promise);
            wrap(&mut text, "", &format!("compared: {}", check.compared));
            if !check.ok {
                wrap(&mut text, "", &format!("found: {}", check.detail));
            }
        }
        text.push('\n');
        drop_table(&mut text, &self.drops);
        if !self.head.is_empty() {
            let _ = writeln!(text, "\naudit chain head:\n{}", self.head);
        }
        let broken: Vec<&str> = self.checks.iter().filter(|check| !check.ok).map(|check| check.id).collect();
        let _ = match broken.as_slice() {
            [] => writeln!(text, "\nall {} checks hold", self.checks.len()),
            broken => {
                writeln!(
                    text,
                    "\n{} of {} checks BROKEN: {}",
                    broken.len(),
                    self.checks.len(),
                    broken.join(", ")
                )
            }
        };
        text
    }
}

fn drop_table(text: &mut String, drops: &[DropLine]) {
    const HEADS: [&str; 7] = ["DROP", "STOCK", "LEFT", "ACCEPTED", "RETURNED", "LEDGER", "JOURNAL"];
    let rows: Vec<[String; 7]> = drops
        .iter()
        .map(|line| {
            let left = line.left.map_or_else(|| "-".to_owned(), |left| left.to_string());
            let numbers = [line.stock_total, line.accepted, line.returned, line.ledger_rows, line.in_journal];
            let [total, accepted, returned, rows, journal] = numbers.map(|number| number.to_string());
            [line.drop.clone(), total, left, accepted, returned, rows, journal]
        })
        .collect();
    let mut widths = HEADS.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let mut line = |cells: [&str; 7]| {
        let [id, numbers @ ..] = cells;
        let [id_width, number_widths @ ..] = widths;
        let id_width = id_width.min(ID_COLUMNS);
        if id.len() > id_width {
            let _ = write!(text, "{id}\n{:id_width$}", "");
        } else {
            let _ = write!(text, "{id:id_width$}");
        }
        for (cell, width) in numbers.iter().zip(number_widths) {
            let _ = write!(text, "  {cell:>width$}");
        }
        text.push('\n');
    };
    line(HEADS);
    for row in &rows {
        line(row.each_ref().map(String::as_str));
    }
}

/// Appends `words` after `head`, broken into lines that begin where the head ends.
fn wrap(text: &mut String, head: &str, words: &str) {
    let mut line = format!("{head:INDENT$}");
    let mut used = INDENT;
    for word in words.split(' ') {
        let width = columns(word);
        if used > INDENT && used + 1 + width > COLUMNS {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(INDENT);
            used = INDENT;
        }
        if used > INDENT {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += width;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

/// Columns of a terminal that `text` takes at most: letters from Hangul on may be two wide, and the few of them
/// that are not only make a line shorter.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(|c| if c < '\u{1100}' { 1 } else { 2 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ok: bool, detail: &str) -> Report {
        let check = |id, ok, detail: &str| Check {
            id,
            promise: "A promise that is kept.",
            compared: "this with that, which takes many words ".repeat(5).trim_end().to_owned(),
            ok,
            detail: detail.to_owned(),
        };
        Report {
            ok,
            checks: vec![check("I1", true, ""), check("I2", ok, detail)],
            head: "ab".repeat(32),
            drops: ["d-1", &"x".repeat(64)]
                .map(|drop| DropLine {
                    drop: drop.to_owned(),
                    stock_total: 4_294_967_295,
                    left: (drop == "d-1").then_some(7),
                    accepted: 1,
                    returned: 0,
                    ledger_rows: 1,
                    in_journal: 0,
                })
                .into(),
        }
    }

    #[test]
    fn the_table_fits_a_terminal_with_wide_letters_too() {
        let detail = "彩云电商消费券 ".repeat(12);
        let text = report(false, &detail).to_table();
        for line in text.lines() {
            assert!(columns(line) <= COLUMNS, "{} columns: {line}", columns(line));
        }
        assert!(text.contains("I2  BROKEN  A promise"), "{text}");
        assert!(text.ends_with("\n1 of 2 checks BROKEN: I2\n"), "{text}");
        assert!(report(true, "").to_table().ends_with("\nall 2 checks hold\n"));
    }

    #[test]
    fn json_has_the_documented_keys() {
        let json: serde_json::Value = serde_json::from_str(&report(true, "").to_json().unwrap()).unwrap();
        assert_eq!(json["checks"][0]["id"], "I1");
        assert_eq!(json["drops"][0]["left"], 7);
        assert_eq!(json["drops"][1]["left"], serde_json::Value::Null);
        assert_eq!(json["ok"], true);
    }

    #[test]
    fn the_first_differences_are_named_and_the_rest_counted() {
        let mut found = Findings::default();
        for n in 1..=7 {
            found.add(|| format!("no {n}"));
        }
        assert_eq!(found.text(), "no 1; no 2; no 3; no 4; no 5; and 2 more");
    }
}
