//! Redemptions a second, and what they take: `cargo bench --bench redeem [-- VOUCHERS [STORE]]`, STORE being `sqlite` or
//! `postgres`, both where none is named.
//!
//! Tills in this process put redemptions into the queue that the service's tills use, and wait for their answers: first as
//! many at a time as the queue likes, which gives the peak; then at half of the peak, and at half of the rate that the store
//! must reach, each at its own instant, with the time counted from the instant at which it was due. PostgreSQL runs on the
//! same machine, with its defaults.

#[path = "../tests/support/postgres.rs"]
#[expect(dead_code, clippy::expect_used, reason = "shared with the tests, which use the rest of it")]
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use claimrush::backoffice::redemptions::Redemptions;
use claimrush::domain::campaign::Campaign;
use claimrush::domain::cause::Cause;
use claimrush::domain::claim::{JournalEntry, JournalEvent, JournalId, Takers};
use claimrush::domain::ids::{ClaimNumber, DropId, DropNumber, Epoch, Shard};
use claimrush::domain::money::Fen;
use claimrush::ledger::life::{Action, Key, Merchant, Redeem, Request, ShownAs};
use claimrush::ledger::postgres::PostgresLedger;
use claimrush::ledger::sqlite::SqliteLedger;
use claimrush::ledger::{Group, Ledger};
use claimrush::telemetry::metrics::Metrics;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

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
const NOW_MS: i64 = 1_700_445_600_000;
const MERCHANTS: u32 = 200;
const TILLS: u32 = 400;
const CLAIMS_IN_GROUP: u32 = 10_000;

async fn mint(ledger: &dyn Ledger, vouchers: u32) -> Result<()> {
    ledger.apply_campaign(&Campaign::parse(CAMPAIGN)?, 0, "bench", NOW_MS).await?;
    for (at, first) in (1_u64..).zip((0..vouchers).step_by(CLAIMS_IN_GROUP as usize)) {
        let last = (first + CLAIMS_IN_GROUP).min(vouchers);
        let persons: Vec<_> = (first..last).map(|person| format!("person-{person:09}")).collect();
        let claimed = JournalEvent::Claimed {
            drop: DropId::new("bench-drop")?,
            epoch: Epoch::FIRST,
            claimed_at_ms: NOW_MS,
            first_seq: first + 1,
            takers: Takers::new(&persons.join(" ")),
        };
        let id = |ms| JournalId { ms, seq: 0 };
        let entries = vec![JournalEntry { id: id(at), content: Ok(vec![claimed]) }];
        ledger.commit(Group { shard: Shard(0), after: id(at - 1), entries, now_ms: NOW_MS }).await?;
    }
    Ok(())
}

fn request(seq: u32) -> Request {
    let merchant = format!("m{}", seq % MERCHANTS);
    let key = Key {
        actor: merchant.clone(),
        key: format!("{seq:032x}"),
        content: format!("{:032x}", seq ^ 0xffff),
    };
    let redeem = Redeem {
        claim: ClaimNumber { drop: DropNumber(1), shard: Shard(0), epoch: Epoch::FIRST, seq },
        shown: ShownAs::Code,
        merchant: Merchant {
            id: merchant,
            category: "5211".to_owned(),
            region: "530102".to_owned(),
            per_day: Some(1_000_000),
            person_per_day: Some(5),
        },
        barred: None,
        shop: Some("shop-1".to_owned()),
        order_id: format!("order-{seq:012}"),
        amount: Fen(12_345),
        detail: Some(r#"{"order_id":"…","amount":"123.45","cashier":"17"}"#.to_owned()),
        trial: false,
    };
    Request { action: Action::Redeem(redeem), key: Some(key) }
}

async fn redeem(redemptions: &Redemptions, seq: u32) -> Result<()> {
    match redemptions.take(request(seq)).await? {
        Ok(_) => Ok(()),
        Err(refused) => bail!("voucher {seq}: {refused:?}"),
    }
}

/// Redemptions a second when tills wait for nothing but their answers.
async fn peak(redemptions: &Redemptions, vouchers: std::ops::Range<u32>) -> Result<f64> {
    let (began, count) = (Instant::now(), vouchers.len());
    let mut tills = JoinSet::new();
    for till in 0..TILLS {
        let (redemptions, vouchers) = (redemptions.clone(), vouchers.clone());
        tills.spawn(async move {
            for seq in vouchers.skip(till as usize).step_by(TILLS as usize) {
                redeem(&redemptions, seq).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(till) = tills.join_next().await {
        till??;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// Microseconds from when each was due to its answer, at a constant rate.
async fn at_rate(
    redemptions: &Redemptions,
    vouchers: std::ops::Range<u32>,
    rate: f64,
) -> Result<Histogram<u64>> {
    let began = Instant::now();
    let mut tills = JoinSet::new();
    for (at, seq) in vouchers.enumerate() {
        let due = began + Duration::from_secs_f64(at as f64 / rate);
        // Those that are due within the timer's tick leave together; each is timed from its own instant.
        if let Some(wait) = due.checked_duration_since(Instant::now()).filter(|wait| wait.as_millis() > 0) {
            tokio::time::sleep(wait).await;
        }
        let redemptions = redemptions.clone();
        tills.spawn(async move {
            redeem(&redemptions, seq).await?;
            anyhow::Ok(due.elapsed())
        });
    }
    let mut times = Histogram::new(3)?;
    while let Some(till) = tills.join_next().await {
        times.record(u64::try_from(till??.as_micros())?)?;
    }
    Ok(times)
}

async fn measure(name: &str, ledger: Arc<dyn Ledger>, vouchers: u32, target: f64) -> Result<()> {
    mint(&*ledger, vouchers).await?;
    let metrics = Arc::new(Metrics::new(Cause::CODES, 1)?);
    let (redemptions, work) = Redemptions::new(Arc::clone(&ledger), || NOW_MS, metrics);
    let work = tokio::spawn(work);
    let (half, last) = (vouchers / 2, vouchers / 5 * 4);
    let peak = peak(&redemptions, 1..half).await?;
    println!("{name}: {peak:.0} redemptions/s");
    for (of, rate, vouchers) in [("it", peak, half..last), ("the target", target, last..vouchers)] {
        let times = at_rate(&redemptions, vouchers, rate / 2.0).await?;
        let ms = |quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
        println!(
            "{name}: at half of {of}, {:.0}/s: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms ({} redemptions)",
            rate / 2.0,
            ms(0.5),
            ms(0.99),
            ms(1.0),
            times.len()
        );
    }
    drop(redemptions);
    work.await?;
    let head = ledger.verify_chain().await?.context("the chain does not verify")?;
    println!("{name}: the chain of {} records verifies", head.length);
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let vouchers = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    let wanted = |store: &str| {
        arguments.iter().all(|argument| argument.parse::<u32>().is_ok())
            || arguments.iter().any(|one| one == store)
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        if wanted("sqlite") {
            let folder = tempfile::tempdir()?;
            let ledger = SqliteLedger::open(&folder.path().join("ledger.db"))?;
            measure("sqlite", Arc::new(ledger), vouchers, 5_000.0).await?;
        }
        if wanted("postgres") {
            let server = PostgresServer::start(&["shared_buffers=128MB"]);
            let ledger = PostgresLedger::open(&server.url(), None).await?;
            measure("postgres", Arc::new(ledger), vouchers, 3_000.0).await?;
        }
        Ok(())
    })
}
