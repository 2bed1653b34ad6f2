//! What a claim costs on its way into the embedded ledger: `cargo bench --bench ledger [-- GROUPS]`.
//!
//! Prints processor time and wall time per claim row, commits included, for groups as the drain writes them.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use claimrush::domain::campaign::Campaign;
use claimrush::domain::claim::{JournalEntry, JournalEvent, JournalId, Takers};
use claimrush::domain::ids::{DropId, Epoch, Shard};
use claimrush::ledger::sqlite::SqliteLedger;
use claimrush::ledger::{Committed, Group, Ledger};
use claimrush::limits::{BATCH_CLAIMS_MAX, DRAIN_GROUP_CLAIMS_MAX};

const CAMPAIGN: &str = r#"
id = "bench"
budget = "42949672950.00 CNY"
time_zone = "Asia/Shanghai"
[[drop]]
id = "bench-drop"
opens_at = "2023-11-20T10:00:00+08:00"
closes_at = "2023-11-27T10:00:00+08:00"
stock = 4294967295
limit_per_person = 1
voucher = { face = "10.00", threshold = "50.00", valid_for = "7d" }
"#;

/// One group of the drain, in entries of `batch` claims.
fn group(number: usize, batch: usize) -> Result<Group> {
    let entries = DRAIN_GROUP_CLAIMS_MAX / batch;
    let id = |entry: usize| JournalId { ms: (number * entries + entry) as u64, seq: 0 };
    let drop = DropId::new("bench-drop")?;
    let entry = |at: usize| -> Result<JournalEntry> {
        let first = (number * entries + at) * batch;
        let persons: Vec<_> = (first..first + batch).map(|person| format!("person-{person:09}")).collect();
        let claimed = JournalEvent::Claimed {
            drop: drop.clone(),
            epoch: Epoch::FIRST,
            claimed_at_ms: 1_700_445_600_000 + i64::try_from(first)?,
            first_seq: u32::try_from(first + 1)?,
            takers: Takers::new(&persons.join(" ")),
        };
        Ok(JournalEntry { id: id(at + 1), content: Ok(vec![claimed]) })
    };
    let entries = (0..entries).map(entry).collect::<Result<_>>()?;
    Ok(Group { shard: Shard(0), after: id(0), entries, now_ms: 1_700_445_600_000 })
}

/// Processor time of this process in seconds, of all threads.
fn processor_seconds() -> Result<f64> {
    // Fields 14 and 15 of proc(5) `stat`, counted after the command's name, in hundredths of a second.
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").context("no command name")?;
    let ticks: u64 = fields.split(' ').skip(11).take(2).map(|field| field.parse().unwrap_or(0_u64)).sum();
    Ok(ticks as f64 / 100.0)
}

async fn measure(groups: usize, batch: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("ledger.db");
    let ledger = SqliteLedger::open(&path)?;
    ledger.apply_campaign(&Campaign::parse(CAMPAIGN)?, 0, 0).await?;
    let groups: Vec<_> = (0..groups).map(|number| group(number, batch)).collect::<Result<_>>()?;
    let rows = groups.len() * DRAIN_GROUP_CLAIMS_MAX;
    let (began, processor) = (Instant::now(), processor_seconds()?);
    for group in groups {
        if let Committed::Moved { position } = ledger.commit(group).await? {
            bail!("the ledger stands at {position}");
        }
    }
    let per_row = |seconds: f64| seconds * 1e6 / rows as f64;
    let (cpu, wall) = (per_row(processor_seconds()? - processor), per_row(began.elapsed().as_secs_f64()));
    println!("{rows} rows, {batch:>4} an entry: {cpu:.2} µs CPU, {wall:.2} µs wall a row");
    let began = Instant::now();
    let head = ledger.verify_chain().await??;
    let verify = per_row(began.elapsed().as_secs_f64());
    drop(ledger);
    let bytes = std::fs::metadata(&path)?.len() as f64 / rows as f64;
    println!(
        "    chain of {} records: {verify:.2} µs wall a row to verify; file: {bytes:.0} bytes a row",
        head.length
    );
    Ok(())
}

fn main() -> Result<()> {
    let groups = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(50);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for batch in [BATCH_CLAIMS_MAX, 200, 20, 1] {
        runtime.block_on(measure(groups, batch))?;
    }
    Ok(())
}
