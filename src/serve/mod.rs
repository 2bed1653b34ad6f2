//! `claimrush serve`: the one place that wires.
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

mod background;
mod core;
mod descriptors;
mod desk;
mod disk;
pub mod files;
mod guard;
mod holds;
mod keys;
mod running;
mod seal;
mod staff;
mod tables;
mod tills;
mod traces;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_redis::Pool;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::backoffice::bans::Bans;
use crate::backoffice::books::Books;
use crate::backoffice::campaigns::{Campaigns, EpochMemory};
use crate::backoffice::documents::DocumentWatch;
use crate::backoffice::drafts::Drafts;
use crate::backoffice::heads::Heads;
use crate::backoffice::holds::{Holds, Sweeper};
use crate::backoffice::quarantine::Quarantine;
use crate::backoffice::receipts::{Receipts, VoucherDesk};
use crate::backoffice::redemptions::{self, Redemptions};
use crate::backoffice::vouchers::Vouchers;
use crate::clock::{Clock, rfc3339};
use crate::config::Config;
use crate::datadir::{DataDir, DataLock, RunInfo};
use crate::desk::TicketDesk;
use crate::desk::demo::DemoDesk;
use crate::desk::lists::Lists;
use crate::domain::cause::Cause;
use crate::domain::ids::Shard;
use crate::domain::qr::QrSigner;
use crate::domain::voucher::VoucherSigner;
use crate::drain::Drain;
use crate::exit::{Exit, Failure};
use crate::guard::blocked::Blocked;
use crate::guard::ticket::Secret;
use crate::http::admin::Admin;
use crate::http::cap::ConnectionCap;
use crate::http::cors::Cors;
use crate::http::desk::DeskAccess;
use crate::http::front::RequestIds;
use crate::http::listen;
use crate::ledger::Ledger;
use crate::ledger::open;
use crate::redis::pool;
use crate::redis::server::RedisServer;
use crate::rush::gate::Gate;
use crate::rush::poll::Poller;
use crate::signals::Signals;
use crate::telemetry::logging;
use crate::telemetry::metrics::Metrics;
use crate::web::{PageSettings, Pages};
use core::Shared;
use keys::{KeyWatch, LoadedKeys};
use running::{Running, Stops};
use seal::Sealer;
use staff::Staff;
use tables::TableWatch;
use tills::StaffTills;

/// Serves until told to stop.
///
/// # Errors
/// [`Failure`] with one line that names the cause; nothing is left running.
pub async fn run(config: Config) -> Result<Exit, Failure> {
    let mut signals = Signals::install()?;
    let folder = DataDir::create(&config.data.dir)?;
    let lock = folder.lock(&Clock::System)?;
    let keys = LoadedKeys::load_or_create(config.ticket.key_path(folder.path()))?;
    let tables = TableWatch::read(&config.guard).await?;
    let redis = RedisServer::start(&lock, &config).await?;
    let served = match Service::load(&config, &lock, &keys, tables, &redis).await {
        Ok(service) => service.run(&lock, &redis, &mut signals).await,
        Err(failure) => Err(failure),
    };
    let stopped = async {
        redis.stop(config.server.shutdown_deadline()).await;
        lock.remove_run_info()
    };
    tokio::select! {
        removed = stopped => removed?,
        () = signals.again() => return served.and(Err(cut_short("stopped at once by a second signal"))),
    }
    served
}

/// A service that has loaded its campaigns and is ready to listen.
struct Service {
    shared: Arc<Shared>,
    ledger: Arc<dyn Ledger>,
    campaigns: Arc<Campaigns>,
    receipts: Arc<Receipts>,
    holds: Arc<Holds>,
    bans: Arc<Bans>,
    desk: Option<Arc<TicketDesk>>,
    lists: Arc<Lists>,
    tables: TableWatch,
    key_watch: KeyWatch,
    poller: Poller,
    heads: Heads,
    /// Redis for everything that is no claim.
    pool: Pool,
    documents: Arc<DocumentWatch>,
}

impl Service {
    async fn load(
        config: &Config,
        lock: &DataLock,
        loaded_keys: &LoadedKeys,
        tables: TableWatch,
        redis: &RedisServer,
    ) -> Result<Self, Failure> {
        let (clock, keys) = (Clock::System, &loaded_keys.keys);
        let metrics = Metrics::new(Cause::CODES, config.server.thread_count());
        let metrics = Arc::new(metrics.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?);
        let ledger = open::open(&config.ledger, lock.dir().path()).await?;
        let pool = pool::connect(redis.url(), &config.redis)?;
        let gate = Arc::new(Gate::default());
        let (ledger_too, gate_too, ack) = (Arc::clone(&ledger), Arc::clone(&gate), config.claim.ack);
        let campaigns = Campaigns::new(ledger_too, pool.clone(), gate_too, Shard::FIRST, clock.clone(), ack)
            .knowing_addresses(tables.handle())
            .remembering(EpochMemory::of(lock.dir().clone())?);
        let poller = Poller {
            shard: Shard::FIRST,
            pool: pool.clone(),
            gate: Arc::clone(&gate),
            metrics: Arc::clone(&metrics),
            clock: clock.clone(),
            journal_limits: (&config.journal).into(),
            pressure: Arc::default(),
        };
        campaigns.load().await?;
        seal::use_it(&campaigns, ledger.as_ref(), lock.dir(), redis.pid().is_some()).await?;
        poller.poll_once().await?;
        // Before anybody can ask for it: a count that begins at 0 would look like entries that have just come.
        metrics.quarantine_entries.set(ledger.quarantine_open().await? as f64);
        gate.set_redis_up(true);
        let campaigns = Arc::new(campaigns);
        let receipts = Arc::new(Receipts::new(Arc::clone(&campaigns)));
        let (holds, for_cores) = holds::open(config, &campaigns, &metrics)?;
        let signer = VoucherSigner::new(keys.voucher_secret().bytes());
        signer.rekey(keys.voucher_secret().bytes(), keys.voucher_secrets_old().iter().map(Secret::bytes));
        let qr = QrSigner::new(keys.voucher_secret().bytes(), config.voucher.qr_valid_s);
        qr.rekey(keys.voucher_secret().bytes(), keys.voucher_secrets_old().iter().map(Secret::bytes));
        let blocked = Blocked::default();
        let lists = desk::lists(&config.desk, &blocked)?;
        let lent = desk::Lent {
            config,
            keys,
            ledger: Arc::clone(&ledger),
            pool: pool.clone(),
            gate: Arc::clone(&gate),
            metrics: Arc::clone(&metrics),
            clock: clock.clone(),
            blocked: blocked.clone(),
            tables: tables.handle(),
        };
        let desk = desk::open(lent, Arc::clone(&lists)).await?.map(Arc::new);
        let staff = Staff::open(config, lock, &ledger, &blocked, &clock).await?;
        let heads = staff::heads(config, &ledger, &clock)?;
        let (gate_too, clock_too) = (Arc::clone(&gate), clock.clone());
        let now_ms = move || gate_too.redis_now_ms(clock_too.now_ms());
        let (redemptions, work) = Redemptions::new(Arc::clone(&ledger), now_ms, Arc::clone(&metrics));
        // It ends with the last front end.
        tokio::spawn(work);
        let shared = Shared {
            redemptions,
            tills: Arc::new(StaffTills::new(&staff)),
            config: config.clone(),
            redis_url: redis.url().clone(),
            gate,
            guard: Arc::new(guard::open(config, keys, blocked, tables.handle())?),
            desk: desk.clone().map(|desk| DeskAccess::new(desk, Handle::current())),
            demo: config.demo.enabled.then(|| Arc::new(DemoDesk::new(keys))),
            pages: Arc::new(Pages::new(&PageSettings {
                api_origin: config.page.api_origin.clone(),
                login_url: config.page.login_url.clone(),
                demo: config.demo.enabled,
            })),
            list: Arc::default(),
            cors: Cors::new(&config.server.allowed_origins).map(Arc::new),
            vouchers: VoucherDesk::new(Arc::clone(&receipts), Handle::current()),
            signer,
            access: Arc::clone(&staff.access),
            merchants: Arc::clone(&staff.merchants),
            qr,
            holds: for_cores,
            metrics,
            spans: traces::open(config)?,
            cap: connection_cap(config),
            clock,
        };
        let shared = Arc::new(shared);
        let key_watch = loaded_keys.watch(Arc::clone(&shared), desk.clone());
        Ok(Self {
            shared,
            ledger,
            campaigns,
            receipts,
            holds,
            bans: staff.bans,
            desk,
            lists,
            tables,
            key_watch,
            poller,
            heads,
            pool,
            documents: staff.documents,
        })
    }

    /// Listens, serves until the first signal, and stops in order; at once after a second signal.
    async fn run(self, lock: &DataLock, redis: &RedisServer, signals: &mut Signals) -> Result<Exit, Failure> {
        let server = self.shared.config.server.clone();
        let (listeners, listen) = core::open_public(server.listen, server.thread_count())?;
        let admin_listener = listen::open(server.admin_listen, false)
            .map_err(|error| core::cannot_listen(server.admin_listen, &error))?;
        let info = self.info(listen, admin_listener.local_addr()?, redis);
        let metrics = Arc::clone(&self.shared.metrics);
        let stopping = Arc::new(AtomicBool::new(false));
        lock.write_run_info(&info)?;
        seal::break_it(self.ledger.as_ref(), lock.dir()).await?;
        let running = self.start(listeners, admin_listener, lock.dir(), &stopping)?;
        let (version, admin_listen) = (&info.version, info.admin_listen);
        logging::tell(&format!("claimrush {version} serves http://{listen} (admin http://{admin_listen})"));
        tokio::select! {
            () = signals.first() => {}
            () = background::follow_redis(redis.watch(), lock, info, &metrics) => {}
        }
        stopping.store(true, Ordering::Relaxed);
        tokio::select! {
            ended = tokio::time::timeout(server.shutdown_deadline(), running.stop()) => match ended {
                Ok(()) => Ok(Exit::Ok),
                Err(_) => Err(cut_short("stopping took too long")),
            },
            () = signals.again() => Err(cut_short("stopped at once by a second signal")),
        }
    }

    fn info(&self, listen: SocketAddr, admin_listen: SocketAddr, redis: &RedisServer) -> RunInfo {
        RunInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            listen,
            admin_listen,
            redis_url: redis.url().clone(),
            redis_pid: redis.pid(),
            ledger_url: self.shared.config.ledger.url.clone(),
            started_at: rfc3339(self.shared.clock.now_ms()),
        }
    }

    fn start(
        self,
        listeners: Vec<std::net::TcpListener>,
        admin_listener: std::net::TcpListener,
        folder: &DataDir,
        stopping: &Arc<AtomicBool>,
    ) -> Result<Running, Failure> {
        let Self {
            shared,
            ledger,
            campaigns,
            receipts,
            holds,
            bans,
            desk,
            lists,
            tables,
            key_watch,
            poller,
            heads,
            pool,
            documents,
        } = self;
        let (stops, background) = (Stops::default(), TaskTracker::new());
        // With a Redis of its own nobody grants once the fronts have stopped.
        let spans = shared.spans.clone();
        let sealer = Sealer { campaigns: Arc::clone(&campaigns), folder: folder.clone() };
        let sealer = shared.config.redis.is_managed().then_some(sealer);
        let fronts = core::start_all(&shared, listeners, &stops.fronts)?;
        let stop = || stops.background.clone();
        background.spawn(poller.run(stop()));
        background.spawn(background::watch_campaigns(Arc::clone(&campaigns), stop()));
        background.spawn(background::upkeep(Arc::clone(&shared), stop()));
        background.spawn(background::watch_ledger(Arc::clone(&ledger), Arc::clone(&shared), stop()));
        background.spawn(background::watch_redis(Arc::clone(&campaigns), Arc::clone(&shared), stop()));
        background.spawn(disk::watch(folder.path().to_owned(), Arc::clone(&shared), stop()));
        background.spawn(holds::watch(Arc::clone(&holds), Arc::clone(&shared), stop()));
        background.spawn(Sweeper::new(Arc::clone(&holds)).run(stop()));
        background.spawn(lists.keep_fresh(stop()));
        background.spawn(documents.run(stop()));
        background.spawn(heads.run(stop()));
        let (metrics, gate, clock) =
            (Arc::clone(&shared.metrics), Arc::clone(&shared.gate), shared.clock.clone());
        let now_ms = move || gate.redis_now_ms(clock.now_ms());
        background.spawn(redemptions::expire(Arc::clone(&ledger), now_ms, metrics, stop()));
        background.spawn(key_watch.run(stop()));
        background.spawn(tables.run(stop()));
        if let Some(desk) = desk {
            desk::spawn_upkeep(&desk, &background, &stops.background);
        }
        let approval = shared.config.backoffice.approval;
        let admin = Admin {
            access: Arc::clone(&shared.access),
            drafts: Drafts::new(Arc::clone(&campaigns), approval),
            merchants: Arc::clone(&shared.merchants),
            vouchers: Vouchers::new(Arc::clone(&campaigns), shared.signer.clone(), approval),
            books: Books::new(Arc::clone(&campaigns), approval),
            quarantine: Quarantine::new(Arc::clone(&ledger), shared.clock.clone()),
            campaigns,
            receipts,
            holds,
            bans,
            gate: Arc::clone(&shared.gate),
            metrics: Arc::clone(&shared.metrics),
            stopping: Arc::clone(stopping),
            clock: shared.clock.clone(),
            request_ids: RequestIds::new(),
        };
        background.spawn(background::serve_admin(admin, admin_listener, Arc::clone(&shared), stop()));
        let config = &shared.config;
        let drain = Drain::new(config, pool, ledger, Arc::clone(&shared.metrics), shared.clock.clone());
        let drain = config.drain.enabled.then(|| tokio::spawn(drain.run(stops.drain.clone())));
        Ok(Running { fronts, drain, background, stops, sealer, spans })
    }
}

/// As many connections as are asked for and can be had.
fn connection_cap(config: &Config) -> Arc<ConnectionCap> {
    let server = &config.server;
    let held = descriptors::provide(server.max_connections, server.thread_count());
    ConnectionCap::by_address(held, server.address_connections(held), guard::addresses(config))
}

fn cut_short(why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("{why}; the journal keeps what is not in the ledger yet"))
}
