//! What a claim costs on its way into a ledger: `cargo bench --bench ledger [-- GROUPS [STORE]]`, STORE being
//! `sqlite` or `postgres`, both where none is named; `shapes` compares other forms of PostgreSQL's table of claims.
//!
//! Prints processor time of this process and wall time per claim row, commits included, for groups as the drain writes
//! them, and what reading them again costs. PostgreSQL runs on the same machine, with its defaults.

#[path = "../tests/support/postgres.rs"]
#[expect(dead_code, clippy::expect_used, reason = "shared with the tests, which use the rest of it")]
mod server;

use std::time::Instant;

use anyhow::{Context, Result, bail};
use claimrush::domain::campaign::Campaign;
use claimrush::domain::claim::{JournalEntry, JournalEvent, JournalId, Takers};
use claimrush::domain::ids::{ClaimNumber, DropId, DropNumber, Epoch, Shard};
use claimrush::ledger::postgres::PostgresLedger;
use claimrush::ledger::sqlite::SqliteLedger;
use claimrush::ledger::{Committed, Group, Ledger};
use claimrush::limits::{BATCH_CLAIMS_MAX, DRAIN_GROUP_CLAIMS_MAX};

use self::server::PostgresServer;

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

async fn measure(ledger: &dyn Ledger, groups: usize, batch: usize) -> Result<usize> {
    ledger.apply_campaign(&Campaign::parse(CAMPAIGN)?, 0, "bench", 0).await?;
    let rows = groups * DRAIN_GROUP_CLAIMS_MAX;
    let (mut wall, processor) = (0.0, processor_seconds()?);
    for number in 0..groups {
        let group = group(number, batch)?;
        let began = Instant::now();
        if let Committed::Moved { position } = ledger.commit(group).await? {
            bail!("the ledger stands at {position}");
        }
        wall += began.elapsed().as_secs_f64();
    }
    let per_row = |seconds: f64| seconds * 1e6 / rows as f64;
    let cpu = per_row(processor_seconds()? - processor);
    println!(
        "    {rows} rows, {batch:>4} an entry: {cpu:.2} µs CPU, {:.2} µs wall a row, {:.0} rows/s",
        per_row(wall),
        rows as f64 / wall
    );
    let timed = |began: Instant| per_row(began.elapsed().as_secs_f64());
    let began = Instant::now();
    let head = ledger.verify_chain().await??;
    let verify = timed(began);
    let began = Instant::now();
    let tallies = ledger.tallies().await?;
    let count = timed(began);
    let claims: u64 = tallies.iter().map(|tally| tally.claims).sum();
    if claims != rows as u64 {
        bail!("{claims} rows stand there");
    }
    println!(
        "    chain of {} records: {verify:.2} µs wall a row to verify, {count:.3} µs to count",
        head.length
    );
    Ok(rows)
}

async fn measure_sqlite(groups: usize, batch: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("ledger.db");
    let ledger = SqliteLedger::open(&path)?;
    let rows = measure(&ledger, groups, batch).await?;
    drop(ledger);
    println!("    file: {:.0} bytes a row", std::fs::metadata(&path)?.len() as f64 / rows as f64);
    Ok(())
}

/// Forms that the table of claims could have: a name, and what makes it so.
const SHAPES: [(&str, &str); 3] = [
    ("as it is, its key its only index", ""),
    ("an index by person beside it", "CREATE INDEX claim_person ON claim (person)"),
    (
        "a partition for each series",
        "ALTER TABLE claim RENAME TO plain; \
         CREATE TABLE claim (LIKE plain, PRIMARY KEY (number)) PARTITION BY RANGE (number); \
         CREATE TABLE claim_1 PARTITION OF claim FOR VALUES FROM (4294967296) TO (8589934592); \
         DROP TABLE plain",
    ),
];
/// Claims that are looked up one by one.
const LOOK_UPS: u32 = 2_000;

async fn measure_postgres(groups: usize, batch: usize, (name, shape): (&str, &str)) -> Result<()> {
    let server = PostgresServer::start(&["shared_buffers=128MB"]);
    let ledger = PostgresLedger::open(&server.url(), None).await?;
    server.sql(shape);
    println!("postgres, {name}:");
    let rows = measure(&ledger, groups, batch).await?;
    let began = Instant::now();
    for at in 0..LOOK_UPS {
        let seq = 1 + at * (u32::try_from(rows)? / LOOK_UPS);
        let number = ClaimNumber { drop: DropNumber(1), shard: Shard(0), epoch: Epoch::FIRST, seq };
        ledger.claim(number).await?.context("it was written")?;
    }
    let look_up = began.elapsed().as_secs_f64() * 1e6 / f64::from(LOOK_UPS);
    let bytes = |what: &str| -> Result<f64> {
        let sql = format!(
            "SELECT sum({what}(relid)) FROM pg_partition_tree('claim') \
             UNION ALL SELECT {what}('claim') ORDER BY 1 DESC NULLS LAST LIMIT 1"
        );
        Ok(server.sql(&sql).parse::<f64>()? / rows as f64)
    };
    println!(
        "    {look_up:.0} µs wall to look one up; table: {:.0} bytes a row, its indexes: {:.0}",
        bytes("pg_table_size")?,
        bytes("pg_indexes_size")?
    );
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|given| !given.starts_with('-')).collect();
    let groups = arguments.iter().find_map(|given| given.parse().ok()).unwrap_or(50);
    let wanted = |store: &str| {
        arguments.iter().any(|given| given == store)
            || arguments.iter().all(|given| given.parse::<usize>().is_ok())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if wanted("shapes") && !wanted("postgres") {
        for shape in SHAPES {
            runtime.block_on(measure_postgres(groups, 200, shape))?;
        }
        return Ok(());
    }
    for batch in [BATCH_CLAIMS_MAX, 200, 20, 1] {
        if wanted("sqlite") {
            println!("sqlite:");
            runtime.block_on(measure_sqlite(groups, batch))?;
        }
        if wanted("postgres") {
            runtime.block_on(measure_postgres(groups, batch, SHAPES[0]))?;
        }
    }
    Ok(())
}
