//! `claimrush serve`: the one file that wires.
//!
//! Owns the order of starting and stopping. Starting: folder, secrets, Redis, ledger, campaigns, listeners.
//! Stopping: unready, no more connections, requests at hand answered, batches flushed, journal drained, Redis
//! last. Nothing that was acknowledged is lost either way; stopping in order is only quicker to start from.
//!
//! ```text
//!  thread core-0 ─ runtime ─ listener ─ connections ─ batcher ─ lane ─┐
//!  thread core-1 ─ runtime ─ listener ─ connections ─ batcher ─ lane ─┼─► Redis
//!  background runtime ─ admin · poll · drain · campaign watch · upkeep ┘
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use deadpool_redis::Pool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backoffice::campaigns::Campaigns;
use crate::cli::{Exit, Failure};
use crate::clock::{Clock, rfc3339};
use crate::config::{Config, ServiceUrl};
use crate::datadir::{DataDir, DataLock, RunInfo};
use crate::domain::cause::Cause;
use crate::domain::ids::Shard;
use crate::domain::voucher::VoucherSigner;
use crate::drain::Drain;
use crate::guard::Guard;
use crate::guard::address::AddressRules;
use crate::guard::rate::{Allowance, LimitRules};
use crate::guard::ticket::KeyFile;
use crate::http::admin::Admin;
use crate::http::connection::TimeLimits;
use crate::http::front::{Front, RequestIds};
use crate::http::listen::{self, ConnectionCap, Listening};
use crate::ledger::Ledger;
use crate::ledger::sqlite::SqliteLedger;
use crate::limits;
use crate::redis::pool;
use crate::redis::server::{RedisServer, RedisWatch};
use crate::rush::batcher::{Batcher, BatcherSettings};
use crate::rush::gate::Gate;
use crate::rush::lane::Lane;
use crate::rush::poll::Poller;
use crate::signals::Signals;
use crate::telemetry::metrics::{Metrics, UPKEEP_INTERVAL};

/// The shard that this version serves. Keys, claim numbers and the ledger carry it, so that more of them change
/// no format.
pub const SHARD: Shard = Shard(0);

/// How often the ledger is asked whether somebody changed the campaigns.
const CAMPAIGN_WATCH: Duration = Duration::from_millis(500);

/// What all cores share.
struct Shared {
    config: Config,
    redis_url: ServiceUrl,
    gate: Arc<Gate>,
    guard: Arc<Guard>,
    signer: VoucherSigner,
    metrics: Arc<Metrics>,
    cap: Arc<ConnectionCap>,
    clock: Clock,
}

/// Serves until told to stop.
///
/// # Errors
/// [`Failure`] with one line that names the cause; nothing is left running.
pub async fn run(config: Config) -> Result<Exit, Failure> {
    let clock = Clock::System;
    let mut signals = Signals::install()?;
    let folder = DataDir::create(&config.data.dir)?;
    let lock = folder.lock(&clock)?;
    let keys = KeyFile::load_or_create(&config.ticket.key_path(folder.path()))?;
    let token = folder.admin_token()?;
    let redis = RedisServer::start(&lock, &config).await?;
    let served = serve(&config, &lock, &keys, token, &redis, &clock, &mut signals).await;
    let stopped = async {
        redis.stop(config.server.shutdown_deadline()).await;
        lock.remove_run_info()
    };
    tokio::select! {
        removed = stopped => removed?,
        () = signals.again() => return served.and(Err(at_once())),
    }
    served
}

fn at_once() -> Failure {
    let line = "stopped at once by a second signal; the journal keeps what is not in the ledger yet";
    Failure::new(Exit::Failed, line)
}

async fn serve(
    config: &Config,
    lock: &DataLock,
    keys: &KeyFile,
    token: String,
    redis: &RedisServer,
    clock: &Clock,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let cores = config.server.thread_count();
    let metrics = Arc::new(
        Metrics::new(Cause::CODES, cores).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?,
    );
    let ledger: Arc<dyn Ledger> =
        Arc::new(SqliteLedger::open(&config.ledger.sqlite_path(lock.dir().path()))?);
    let background = pool::connect(redis.url(), &config.redis)?;
    let gate = Arc::new(Gate::default());
    let campaigns = Arc::new(Campaigns::new(
        Arc::clone(&ledger),
        background.clone(),
        Arc::clone(&gate),
        SHARD,
        clock.clone(),
    ));
    let poller = Poller {
        shard: SHARD,
        pool: background.clone(),
        gate: Arc::clone(&gate),
        metrics: Arc::clone(&metrics),
        clock: clock.clone(),
    };
    campaigns.load().await?;
    poller.poll_once().await?;
    gate.set_redis_up(true);

    let shared = Arc::new(Shared {
        config: config.clone(),
        redis_url: redis.url().clone(),
        gate: Arc::clone(&gate),
        guard: Arc::new(guard(config, keys)?),
        signer: VoucherSigner::new(keys.voucher_secret().bytes()),
        metrics: Arc::clone(&metrics),
        cap: Arc::new(ConnectionCap::new(config.server.max_connections)),
        clock: clock.clone(),
    });
    let (listeners, listen) = open_public(config.server.listen, cores)?;
    let admin_listener = listen::open(config.server.admin_listen, false)
        .map_err(|error| cannot_listen(config.server.admin_listen, &error))?;
    let admin_listen = admin_listener.local_addr()?;

    let stopping = Arc::new(AtomicBool::new(false));
    let stop = Stops::default();
    let tasks = TaskTracker::new();
    let fronts = start_cores(&shared, listeners, &stop.fronts)?;
    tasks.spawn(poller.run(stop.background.clone()));
    tasks.spawn(watch_campaigns(Arc::clone(&campaigns), stop.background.clone()));
    tasks.spawn(upkeep(Arc::clone(&shared), stop.background.clone()));
    let admin = Admin {
        campaigns,
        gate: Arc::clone(&gate),
        metrics: Arc::clone(&metrics),
        token: token.into(),
        stopping: Arc::clone(&stopping),
        clock: clock.clone(),
        request_ids: RequestIds::new(),
    };
    tasks.spawn(serve_admin(admin, admin_listener, config.clone(), stop.background.clone()));
    let drain = config
        .drain
        .enabled
        .then(|| tokio::spawn(drain(config, background, &ledger, &metrics, clock).run(stop.drain.clone())));
    let info = RunInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        listen,
        admin_listen,
        redis_url: redis.url().clone(),
        redis_pid: redis.pid(),
        ledger_url: config.ledger.url.clone(),
        started_at: rfc3339(clock.now_ms()),
    };
    lock.write_run_info(&info)?;
    metrics.ready.set(1.0);
    eprintln!("claimrush {} serves http://{listen} (admin http://{admin_listen})", env!("CARGO_PKG_VERSION"));

    tokio::select! {
        () = signals.first() => {}
        () = follow_redis(redis.watch(), lock, info, &metrics) => {}
    }
    stopping.store(true, Ordering::Relaxed);
    metrics.ready.set(0.0);
    let ended = async {
        stop.fronts.cancel();
        let _ = tokio::task::spawn_blocking(move || fronts.into_iter().for_each(|front| drop(front.join())))
            .await;
        stop.drain.cancel();
        if let Some(drain) = drain {
            let _ = drain.await;
        }
        stop.background.cancel();
        tasks.close();
        tasks.wait().await;
    };
    tokio::select! {
        ended = tokio::time::timeout(config.server.shutdown_deadline(), ended) => match ended {
            Ok(()) => Ok(Exit::Ok),
            Err(_) => Err(Failure::new(Exit::Failed, "stopping took too long; the journal keeps what is not in the ledger yet")),
        },
        () = signals.again() => Err(at_once()),
    }
}

/// What is told to stop, in this order.
#[derive(Default)]
struct Stops {
    fronts: CancellationToken,
    drain: CancellationToken,
    background: CancellationToken,
}

/// The drain of this configuration.
#[must_use]
pub fn drain(
    config: &Config,
    pool: Pool,
    ledger: &Arc<dyn Ledger>,
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Drain {
    Drain {
        shard: SHARD,
        pool,
        ledger: Arc::clone(ledger),
        metrics: Arc::clone(metrics),
        clock: clock.clone(),
        commit_interval: config.drain.commit_interval(),
        group_claims_max: config.drain.group_max,
    }
}

/// The guard of this configuration.
fn guard(config: &Config, keys: &KeyFile) -> Result<Guard, Failure> {
    let limits = &config.limits;
    let allowance = |per_second: u32, burst: u32| {
        Allowance::new(burst, Duration::from_secs(1) / per_second.max(1))
            .map_err(|error| Failure::new(Exit::Config, format!("config: limits: {error}")))
    };
    let rules = LimitRules {
        person: allowance(limits.person_per_second, limits.person_burst)?,
        address: allowance(limits.address_per_second, limits.address_burst)?,
        keys_max: limits.keys_max,
    };
    let addresses = AddressRules {
        trusted_proxies: config.server.trusted_proxies.clone(),
        limit_loopback: !limits.exempt_loopback,
        ..AddressRules::default()
    };
    let leeway_ms = i64::try_from(config.ticket.leeway_s).unwrap_or(0).saturating_mul(1_000);
    Ok(Guard::new(keys, leeway_ms, rules, addresses))
}

/// One listener a core, all on one address.
fn open_public(
    address: SocketAddr,
    cores: usize,
) -> Result<(Vec<std::net::TcpListener>, SocketAddr), Failure> {
    let refused = |error: std::io::Error| cannot_listen(address, &error);
    // The first one without SO_REUSEPORT would show that somebody else is here; the kernel would let us share a
    // port with another service of the same user, which is never meant.
    drop(listen::open(address, false).map_err(refused)?);
    let first = listen::open(address, true).map_err(refused)?;
    let bound = first.local_addr().map_err(refused)?;
    let mut listeners = vec![first];
    for _ in 1..cores {
        listeners.push(listen::open(bound, true).map_err(refused)?);
    }
    Ok((listeners, bound))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot listen on {address}: {error}"))
}

fn start_cores(
    shared: &Arc<Shared>,
    listeners: Vec<std::net::TcpListener>,
    stop: &CancellationToken,
) -> Result<Vec<JoinHandle<()>>, Failure> {
    let mut threads = Vec::with_capacity(listeners.len());
    for (core, listener) in listeners.into_iter().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let core = Core { number: core, shared: Arc::clone(shared), stop: stop.clone() };
        let pool = pool::connect(&shared.redis_url, &shared.config.redis)?;
        let thread = std::thread::Builder::new().name(format!("core-{}", core.number));
        threads.push(thread.spawn(move || runtime.block_on(core.run(listener, pool)))?);
    }
    Ok(threads)
}

/// One front-end core: its own runtime, listener, batcher and lane.
struct Core {
    number: usize,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl Core {
    async fn run(self, listener: std::net::TcpListener, pool: Pool) {
        let Self { number, shared, stop } = self;
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(core = number, %error, "the listener cannot be used");
                return;
            }
        };
        let claim = &shared.config.claim;
        let settings = BatcherSettings {
            core: number,
            shard: SHARD,
            batch_max: claim.batch_max,
            inflight_max: claim.inflight_max,
            queue_max: claim.queue_max,
            queue_wait_max: claim.queue_wait(),
        };
        let lane = Lane::new(pool.clone(), shared.config.redis.response_timeout());
        let (queue, batcher) = Batcher::new(
            settings,
            lane,
            Arc::clone(&shared.gate),
            Arc::clone(&shared.metrics),
            shared.clock.clone(),
        );
        let batcher = tokio::spawn(batcher.run());
        let server = &shared.config.server;
        let front = Front {
            shard: SHARD,
            gate: Arc::clone(&shared.gate),
            guard: Arc::clone(&shared.guard),
            queue,
            pool,
            signer: shared.signer.clone(),
            metrics: Arc::clone(&shared.metrics),
            request_seconds: shared.metrics.request_seconds.core(number),
            clock: shared.clock.clone(),
            body_timeout: server.body_timeout(),
            request_ids: RequestIds::new(),
        };
        let listening = Listening {
            listener,
            handler: Arc::new(front),
            cap: Arc::clone(&shared.cap),
            limits: TimeLimits {
                idle: server.idle_timeout(),
                header: server.header_timeout(),
                write: server.body_timeout(),
            },
            metrics: Arc::clone(&shared.metrics),
        };
        // Half of the deadline for the clients, the rest for batches, journal and Redis.
        listening.run(stop, server.shutdown_deadline() / 2).await;
        // The last queue is gone with the last connection: the batcher ends when all it took is answered.
        let _ = batcher.await;
    }
}

async fn serve_admin(admin: Admin, listener: std::net::TcpListener, config: Config, stop: CancellationToken) {
    let metrics = Arc::clone(&admin.metrics);
    match TcpListener::from_std(listener) {
        Ok(listener) => {
            let server = &config.server;
            let listening = Listening {
                listener,
                handler: Arc::new(admin),
                cap: Arc::new(ConnectionCap::new(limits::ADMIN_CONNECTIONS_MAX)),
                limits: TimeLimits {
                    idle: server.idle_timeout(),
                    header: server.header_timeout(),
                    write: server.body_timeout(),
                },
                metrics,
            };
            listening.run(stop, Duration::from_secs(1)).await;
        }
        Err(error) => tracing::error!(%error, "the admin listener cannot be used"),
    }
}

/// Loads what another front end, or an apply that Redis missed, left in the ledger.
async fn watch_campaigns(campaigns: Arc<Campaigns>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(CAMPAIGN_WATCH);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = campaigns.load_if_stale().await {
            tracing::warn!(%error, "campaigns could not be loaded");
        }
    }
}

/// Keeps `run.json` true when the managed Redis is started again. Never ends.
async fn follow_redis(mut redis: RedisWatch, lock: &DataLock, mut info: RunInfo, metrics: &Metrics) {
    loop {
        info.redis_pid = Some(redis.restarted().await);
        metrics.redis_restarts_total.increment(1);
        if let Err(error) = lock.write_run_info(&info) {
            tracing::warn!(%error, "run.json is out of date");
        }
    }
}

/// What has to be done now and then: histograms, limiter keys, gauges.
async fn upkeep(shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let metrics = &shared.metrics;
        metrics.upkeep();
        shared.guard.upkeep();
        let (persons, addresses) = shared.guard.keys();
        metrics.limiter_keys.of("person").set(persons as f64);
        metrics.limiter_keys.of("address").set(addresses as f64);
        metrics.connections.set(shared.cap.open() as f64);
    }
}
