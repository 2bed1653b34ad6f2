//! The promises, one by one: what people were told against ledger, Redis and audit.
//!
//! Reads through the program's own commands (`ledger export`, `audit`) and past them (Redis), and says what is broken
//! instead of failing, so that a negative control can ask for it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use claimrush::clock::Clock;
use serde_json::Value;

use crate::history::{History, PERSON_MARK};
use crate::scene::Scene;
use crate::support::outcome;

/// Descriptors that a service may hold once its clients have gone: pools, listeners, files.
const DESCRIPTORS_MAX: usize = 400;
/// Threads of a service: cores, background, ledger, and those that come and go.
const THREADS_MAX: u64 = 600;
/// Memory of a service in a debug build.
const RESIDENT_KB_MAX: u64 = 400_000;
/// The most that is told of one promise.
const SHOWN_MAX: usize = 3;

/// One row of `claimrush ledger export`.
struct Exported {
    claim_id: String,
    epoch: u32,
    seq: u32,
    person: String,
}

/// Everything that is broken, each line with the promise that it breaks; `head` is the audit chain's head as it was
/// kept before the round, or empty.
pub(crate) fn broken(scene: &Scene, history: &History, drop: &str, stock: usize, head: &str) -> Vec<String> {
    let mut broken = history.broken().to_vec();
    let rows = exported(scene, drop);
    stock_adds_up(scene, drop, stock, &rows, &mut broken);
    claims_have_their_rows(history, &rows, &mut broken);
    numbers_have_no_gaps(&rows, &mut broken);
    nobody_exceeds_the_limit(history, &rows, &mut broken);
    audit_holds(scene, history, head, &mut broken);
    service_is_bounded(scene, &mut broken);
    tickets_are_kept(scene, drop, &rows, &mut broken);
    broken
}

/// The ids of a drop's rows in the ledger.
pub(crate) fn rows_with_ids(scene: &Scene, drop: &str) -> HashSet<String> {
    exported(scene, drop).into_iter().map(|row| row.claim_id).collect()
}

fn exported(scene: &Scene, drop: &str) -> Vec<Exported> {
    let mut command = scene.service.command(&["ledger", "export", "--drop", drop, "--format", "csv"]);
    let (exit, out, err) = outcome(&command.output().expect("it runs"));
    assert_eq!((exit, err.as_str()), (0, ""), "the export comes");
    let mut reader = csv::Reader::from_reader(out.as_bytes());
    let header = reader.headers().expect("a header").clone();
    let column = |name| header.iter().position(|found| found == name).expect("a known column");
    let columns = ["claim_id", "epoch", "seq", "person"].map(column);
    let rows = reader.records().map(|record| {
        let record = record.expect("a row");
        let [claim_id, epoch, seq, person] = columns.map(|column| record[column].to_owned());
        let (epoch, seq) = (epoch.parse().expect("an epoch"), seq.parse().expect("a number"));
        Exported { claim_id, epoch, seq, person }
    });
    rows.collect()
}

/// I1: initial stock = left + accepted − returned, left ≥ 0; and accepted is what the ledger has (I3).
fn stock_adds_up(scene: &Scene, drop: &str, stock: usize, rows: &[Exported], broken: &mut Vec<String>) {
    let Some([left, seq, returned, epoch]) = scene.numbers(drop) else {
        broken.push(format!("I1: Redis has no {drop}"));
        return;
    };
    // What older epochs gave stands in the ledger alone.
    let older = rows.iter().filter(|row| i64::from(row.epoch) < epoch).count();
    let seq = seq + i64::try_from(older).expect("a count");
    if left < 0 || left + seq - returned != i64::try_from(stock).expect("a stock") {
        broken.push(format!("I1: stock {stock} is not {left} left + {seq} accepted - {returned} returned"));
    }
    if usize::try_from(seq).ok() != Some(rows.len()) {
        broken.push(format!("I3: Redis accepted {seq}, the ledger has {} rows", rows.len()));
    }
}

/// I2: who was told "yours" has exactly one row, and every row is known to its person, as everybody has asked until
/// there was an answer.
fn claims_have_their_rows(history: &History, rows: &[Exported], broken: &mut Vec<String>) {
    let mut by_id: HashMap<&str, Vec<&Exported>> = HashMap::new();
    for row in rows {
        by_id.entry(&row.claim_id).or_default().push(row);
    }
    let mut lines = Vec::new();
    for (wish, id) in history.claims() {
        match by_id.get(id.as_str()).map_or(&[][..], Vec::as_slice) {
            [row] if row.person == wish.person => {}
            [_] => lines.push(format!("I2: {id} of {wish:?} stands as another's")),
            found => lines.push(format!("I2: {id} of {wish:?} has {} rows", found.len())),
        }
    }
    let known: HashSet<&str> = history.claims().values().map(String::as_str).collect();
    if known.len() != history.claimed() {
        lines.push("I2: two people were told of the same claim".to_owned());
    }
    let unknown = rows.iter().filter(|row| !known.contains(row.claim_id.as_str()));
    lines.extend(unknown.map(|row| format!("I3: {} has a row and nobody knows of it", row.claim_id)));
    push_some(lines, broken);
}

/// I3: 1, 2, 3 … in each epoch.
fn numbers_have_no_gaps(rows: &[Exported], broken: &mut Vec<String>) {
    let mut epochs: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for row in rows {
        if !epochs.entry(row.epoch).or_default().insert(row.seq) {
            broken.push(format!("I3: number {} of epoch {} stands twice", row.seq, row.epoch));
        }
    }
    for (epoch, numbers) in epochs {
        let last = numbers.last().copied().unwrap_or(0);
        if numbers.first() != Some(&1) || last as usize != numbers.len() {
            broken.push(format!("I3: epoch {epoch} has {} numbers up to {last}", numbers.len()));
        }
    }
}

/// I4.
fn nobody_exceeds_the_limit(history: &History, rows: &[Exported], broken: &mut Vec<String>) {
    let mut counts: HashMap<&str, u32> = HashMap::new();
    for row in rows {
        *counts.entry(&row.person).or_default() += 1;
    }
    let over = counts.into_iter().filter(|(_, count)| *count > history.limit());
    push_some(over.map(|(person, count)| format!("I4: {person} has {count} rows")).collect(), broken);
}

/// I5, I7 and whatever else the audit sees, with the ids that people know and the head that was kept.
fn audit_holds(scene: &Scene, history: &History, head: &str, broken: &mut Vec<String>) {
    let log = scene.service.data().with_file_name("claims.log");
    let ids: Vec<&str> = history.claims().values().map(String::as_str).collect();
    std::fs::write(&log, ids.join("\n")).expect("it is written");
    let mut command = scene.service.command(&["audit", "--json"]);
    if !ids.is_empty() {
        command.arg("--claims-log").arg(&log);
    }
    if !head.is_empty() {
        command.args(["--head", head]);
    }
    let (exit, out, err) = outcome(&command.output().expect("it runs"));
    let Ok(report) = serde_json::from_str::<Value>(&out) else {
        broken.push(format!("I7: the audit came to no result: exit {exit}, {err}"));
        return;
    };
    for check in report["checks"].as_array().expect("checks") {
        if check["ok"] != true {
            broken.push(format!(
                "{}: audit: {}",
                check["id"].as_str().unwrap(),
                check["detail"].as_str().unwrap()
            ));
        }
    }
}

/// The audit chain's head, to be kept outside until the round is over.
pub(crate) fn head(scene: &Scene) -> String {
    let (_, out, _) = outcome(&scene.service.command(&["audit", "--json"]).output().expect("it runs"));
    let report: Value = serde_json::from_str(&out).expect("a report");
    report["head"].as_str().expect("a head").to_owned()
}

/// I8: memory, descriptors and threads of the service.
fn service_is_bounded(scene: &Scene, broken: &mut Vec<String>) {
    let process = format!("/proc/{}", scene.service.pid());
    let descriptors = std::fs::read_dir(format!("{process}/fd")).expect("it runs").count();
    let status = std::fs::read_to_string(format!("{process}/status")).expect("it runs");
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("linux has it");
        line.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number")
    };
    let (threads, resident_kb) = (field("Threads:"), field("VmRSS:"));
    if descriptors > DESCRIPTORS_MAX || threads > THREADS_MAX || resident_kb > RESIDENT_KB_MAX {
        broken.push(format!("I8: {descriptors} descriptors, {threads} threads, {resident_kb} kB"));
    }
}

/// I9: no forged, expired or foreign ticket is accepted, and no person or ticket reaches a log.
fn tickets_are_kept(scene: &Scene, drop: &str, rows: &[Exported], broken: &mut Vec<String>) {
    let person = format!("{PERSON_MARK}-stranger");
    let mint = scene.service.mint();
    let good = mint.ticket(drop, &person);
    let mut forged = good.clone().into_bytes();
    // Not the last character, of which some bits stand for nothing.
    let at = forged.len() - 8;
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    let expired = mint.ticket_from(drop, &person, Clock::System.now_ms() - 10_800_000);
    let foreign = mint.ticket("another-drop", &person);
    for ticket in [String::from_utf8(forged).expect("text"), expired, foreign] {
        let answer = scene.service.claim(drop, &ticket);
        if answer.status != 401 {
            broken.push(format!("I9: a bad ticket was answered with {}", answer.status));
        }
    }
    if rows.iter().any(|row| row.person == person) {
        broken.push("I9: a stranger has a claim".to_owned());
    }
    let logs = [scene.service.log(), scene.drain_log()];
    let header = good.split('.').next().unwrap_or_default();
    if logs.iter().any(|log| log.contains(PERSON_MARK) || log.contains(header)) {
        broken.push("I9: a person or a ticket stands in a log".to_owned());
    }
}

fn push_some(mut lines: Vec<String>, broken: &mut Vec<String>) {
    let more = lines.len().saturating_sub(SHOWN_MAX);
    lines.truncate(SHOWN_MAX);
    broken.append(&mut lines);
    if more > 0 {
        broken.push(format!("and {more} more"));
    }
}
