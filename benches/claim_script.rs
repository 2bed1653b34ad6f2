//! What a claim costs Redis: CPU of the claim script and memory of its record, by the number of holders.
//!
//! `cargo bench --bench claim_script -- --holders 10000,1000000` starts its own redis-server with
//! `appendfsync always`, fills a drop, and measures batches of new persons on top. Only Redis' own CPU counts, from
//! `INFO`, so the driver's cost and its build profile do not matter.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use claimrush::domain::ids::{CampaignId, DropId, DropNumber, Epoch, PersonId, Shard};
use claimrush::limits;
use claimrush::redis::codes::{DropState, Outcome};
use claimrush::redis::scripts::{self, ClaimCall, DropConfig, Mode, OnePerCampaign};
use claimrush::redis::{journal, keys};
use clap::Parser;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, cmd};

#[expect(clippy::expect_used, dead_code, reason = "shared with the tests, which may stop and use more of it")]
#[path = "../tests/support/mod.rs"]
mod support;

use support::redis::RedisServer;

const SHARD: Shard = Shard(0);
/// The journal is trimmed after so many batches, as the drain would.
const BATCHES_PER_TRIM: u32 = 50;

#[derive(Parser)]
struct Arguments {
    /// How many holders the drop has before the measurement; several give several rows.
    #[arg(long, value_delimiter = ',', default_value = "10000,1000000")]
    holders: Vec<u32>,
    /// Drops of the campaign, each with as many holders, where a person may win in one drop alone; 0 without that rule.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    once: Vec<usize>,
    /// Claims in one call.
    #[arg(long, default_value_t = 200)]
    batch: u32,
    /// Calls in one round.
    #[arg(long, default_value_t = 500)]
    batches: u32,
    /// Rounds; the least and the middle one are told.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Cargo hands this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Drops on one server, of which one at a time is claimed by ever new persons of 12 characters.
struct Rush {
    conn: MultiplexedConnection,
    drops: Vec<DropId>,
    /// Which is claimed.
    drop: DropId,
    /// Its claims so far.
    seq: u32,
    campaign: Option<Arc<OnePerCampaign>>,
    call: ClaimCall,
    command: Cmd,
    claimed: u32,
}

impl Rush {
    async fn new(mut conn: MultiplexedConnection, once: usize) -> Result<Self> {
        let drops: Vec<DropId> =
            (0..once.max(1)).map(|n| DropId::new(&format!("caiyun-100-25-{n}"))).collect::<Result<_, _>>()?;
        let config = |drop| DropConfig {
            drop,
            mode: Mode::Create,
            stock_total: limits::STOCK_MAX,
            carried: 0,
            opens_at_ms: 0,
            closes_at_ms: 1 << 42,
            limit: 1,
            epoch: Epoch::FIRST,
            state: DropState::Running,
            once,
            revision: 0,
            overrules: None,
        };
        let configs: Vec<_> = drops.iter().map(config).collect();
        let made = scripts::configure(&mut conn, SHARD, &configs).await?;
        ensure!(made.is_ok(), "the drops were not made: {made:?}");
        let numbered = drops.iter().cloned().zip((1..).map(DropNumber)).collect();
        let campaign = OnePerCampaign::new(SHARD, CampaignId::new("caiyun")?, numbered);
        let (drop, campaign) =
            (drops.first().context("a drop")?.clone(), (once > 0).then(|| Arc::new(campaign)));
        let (call, command) = (ClaimCall::new(SHARD, 0), Cmd::new());
        Ok(Self { conn, drops, drop, seq: 0, campaign, call, command, claimed: 0 })
    }

    async fn claim(&mut self, batches: u32, size: u32) -> Result<()> {
        for batch in 1..=batches {
            self.call.reset(u64::from(batch));
            for _ in 0..size {
                self.claimed += 1;
                // An odd multiplier spreads the persons, so that they do not come in order.
                let person = PersonId::new(&format!("u{:011}", self.claimed.wrapping_mul(2_654_435_761)))?;
                self.seq += 1;
                let slot = self.call.claim(&self.drop, &person, None).context("the batch is full")?;
                if let Some(campaign) = &self.campaign {
                    self.call.once(slot, campaign);
                }
            }
            self.call.write_evalsha(&mut self.command);
            let reply = scripts::claim(&mut self.conn, &self.call, &self.command).await?;
            let last = reply.drops.last().and_then(Option::as_ref).and_then(|part| part.outcomes.last());
            ensure!(last == Some(&Outcome::Granted { seq: self.seq }), "got {last:?}");
            if batch % BATCHES_PER_TRIM == 0 || batch == batches {
                let last = journal::last_id(&mut self.conn, SHARD).await?;
                journal::trim_through(&mut self.conn, SHARD, last).await?;
            }
        }
        Ok(())
    }

    async fn fill(&mut self, holders: u32) -> Result<()> {
        self.set("appendfsync", "no").await?;
        let full = u32::try_from(limits::BATCH_CLAIMS_MAX)?;
        for drop in self.drops.clone().into_iter().rev() {
            (self.drop, self.seq) = (drop, 0);
            self.claim(holders / full, full).await?;
            self.claim(1, holders % full + 1).await?;
        }
        self.set("appendfsync", "always").await
    }

    async fn set(&mut self, name: &str, value: &str) -> Result<()> {
        Ok(cmd("CONFIG").arg("SET").arg(name).arg(value).query_async(&mut self.conn).await?)
    }

    async fn info(&mut self) -> Result<HashMap<String, String>> {
        let info: String = cmd("INFO").query_async(&mut self.conn).await?;
        let pairs = info.lines().filter_map(|line| line.split_once(':'));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// CPU seconds of the whole server so far, user and system.
    async fn cpu_s(&mut self) -> Result<f64> {
        let info = self.info().await?;
        let read =
            |name: &str| -> Result<f64> { Ok(info.get(name).context("INFO lacks CPU figures")?.parse()?) };
        Ok(read("used_cpu_user")? + read("used_cpu_sys")?)
    }

    async fn memory_bytes(&mut self) -> Result<u64> {
        Ok(self.info().await?.get("used_memory").context("INFO lacks used_memory")?.parse()?)
    }

    /// Bytes of a holder's record and its share of the hash, with the journal trimmed: what deleting them frees.
    async fn bytes_per_claim(&mut self) -> Result<f64> {
        let before = self.memory_bytes().await?;
        cmd("DEL").arg(keys::holders(SHARD, &self.drop)).query_async::<()>(&mut self.conn).await?;
        Ok(before.saturating_sub(self.memory_bytes().await?) as f64 / f64::from(self.seq))
    }
}

async fn measure(arguments: &Arguments, once: usize, holders: u32) -> Result<()> {
    let redis = RedisServer::start(&[
        "appendonly yes",
        "appendfsync always",
        "save \"\"",
        "auto-aof-rewrite-percentage 0",
    ]);
    let mut rush = Rush::new(redis.connect().await, once).await?;
    rush.fill(holders).await?;
    let claims = f64::from(arguments.batches) * f64::from(arguments.batch);
    let mut rounds_us = Vec::with_capacity(arguments.rounds);
    for _ in 0..arguments.rounds {
        let before_s = rush.cpu_s().await?;
        rush.claim(arguments.batches, arguments.batch).await?;
        rounds_us.push((rush.cpu_s().await? - before_s) * 1e6 / claims);
    }
    rounds_us.sort_by(f64::total_cmp);
    let least_us = rounds_us.first().copied().unwrap_or_default();
    let middle_us = rounds_us.get(rounds_us.len() / 2).copied().unwrap_or_default();
    let bytes = rush.bytes_per_claim().await?;
    println!("{once:>6} {holders:>10} {least_us:>10.2} {middle_us:>10.2} {bytes:>12.1}");
    Ok(())
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!(
        "batches of {}, {} calls a round, {} rounds",
        arguments.batch, arguments.batches, arguments.rounds
    );
    println!("{:>6} {:>10} {:>10} {:>10} {:>12}", "once", "holders", "µs least", "µs middle", "bytes/claim");
    for once in &arguments.once {
        for holders in &arguments.holders {
            runtime.block_on(measure(&arguments, *once, *holders))?;
        }
    }
    Ok(())
}
