//! The front-end cores: a thread, a runtime, a listener, a batcher and a lane each, and nothing handed over
//! between them on the way of a claim.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use deadpool_redis::Pool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::holds::ForCores;
use crate::backoffice::access::Access;
use crate::backoffice::merchants::Merchants;
use crate::backoffice::receipts::VoucherDesk;
use crate::backoffice::redemptions::{Redemptions, Tills};
use crate::clock::Clock;
use crate::config::{Config, ServerConfig, ServiceUrl};
use crate::desk::demo::DemoDesk;
use crate::domain::ids::Shard;
use crate::domain::qr::QrSigner;
use crate::domain::voucher::VoucherSigner;
use crate::exit::{Exit, Failure};
use crate::guard::Guard;
use crate::http::cap::ConnectionCap;
use crate::http::connection::TimeLimits;
use crate::http::cors::Cors;
use crate::http::desk::DeskAccess;
use crate::http::front::{Front, RequestIds, Stamps};
use crate::http::list::CampaignList;
use crate::http::listen::{self, Listening};
use crate::http::trail::Decisions;
use crate::redis::fence::Fence;
use crate::redis::pool;
use crate::rush::batcher::{Batcher, BatcherSettings};
use crate::rush::gate::Gate;
use crate::rush::lane::Lane;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::SpanSink;
use crate::web::Pages;

/// What all cores share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) redis_url: ServiceUrl,
    pub(super) gate: Arc<Gate>,
    pub(super) guard: Arc<Guard>,
    pub(super) signer: VoucherSigner,
    pub(super) qr: QrSigner,
    pub(super) holds: ForCores,
    pub(super) vouchers: VoucherDesk,
    pub(super) access: Arc<Access>,
    pub(super) merchants: Arc<Merchants>,
    pub(super) redemptions: Redemptions,
    pub(super) tills: Arc<dyn Tills>,
    pub(super) desk: Option<DeskAccess>,
    pub(super) demo: Option<Arc<DemoDesk>>,
    pub(super) pages: Arc<Pages>,
    pub(super) list: Arc<CampaignList>,
    pub(super) cors: Option<Arc<Cors>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) cap: Arc<ConnectionCap>,
    pub(super) clock: Clock,
    /// Where the spans of others' traces go, if anywhere.
    pub(super) spans: Option<Arc<dyn SpanSink>>,
}

/// One listener a core, all on one address.
pub(super) fn open_public(
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

pub(super) fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot listen on {address}: {error}"))
}

/// Starts a thread with a runtime of its own for each listener.
pub(super) fn start_all(
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
            shard: Shard::FIRST,
            batch_max: claim.batch_max,
            inflight_max: claim.inflight_max,
            queue_max: claim.queue_max,
            queue_wait_max: claim.queue_wait(),
        };
        let fence = Fence::of(&shared.config, settings.shard);
        let lane = Lane::new(
            pool.clone(),
            Arc::clone(&shared.gate),
            shared.config.redis.response_timeout(),
            shared.metrics.redis_reconnects_total.clone(),
            fence.clone(),
        );
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
            shard: Shard::FIRST,
            gate: Arc::clone(&shared.gate),
            guard: Arc::clone(&shared.guard),
            queue,
            pool,
            fence,
            access: Arc::clone(&shared.access),
            vouchers: shared.vouchers.clone(),
            redemptions: shared.redemptions.clone(),
            tills: Arc::clone(&shared.tills),
            desk: shared.desk.clone(),
            demo: shared.demo.clone(),
            pages: Arc::clone(&shared.pages),
            list: Arc::clone(&shared.list),
            cors: shared.cors.clone(),
            signer: shared.signer.clone(),
            qr: shared.qr.clone(),
            holds: shared.holds.desk.clone(),
            payments: shared.holds.payments.clone(),
            payment_tolerance_ms: shared.holds.tolerance_ms,
            standing: shared.holds.standing.clone(),
            metrics: Arc::clone(&shared.metrics),
            request_seconds: shared.metrics.request_seconds.core(number),
            clock: shared.clock.clone(),
            body_timeout: server.body_timeout(),
            request_ids: RequestIds::new(),
            stamps: Stamps::default(),
            decisions: Decisions::new(&shared.config.log),
            spans: shared.spans.clone(),
        };
        let listening = Listening {
            listener,
            handler: Arc::new(front),
            cap: Arc::clone(&shared.cap),
            limits: time_limits(server),
            refused_total: shared.metrics.connections_refused_total.clone(),
            address_refused_total: shared.metrics.connections_address_refused_total.clone(),
        };
        // Half of the deadline for the clients, the rest for batches, journal and Redis.
        listening.run(stop, server.shutdown_deadline() / 2).await;
        // The last queue is gone with the last connection: the batcher ends when all it took is answered.
        let _ = batcher.await;
    }
}

/// How long a connection may do what.
pub(super) fn time_limits(server: &ServerConfig) -> TimeLimits {
    TimeLimits { idle: server.idle_timeout(), header: server.header_timeout(), write: server.body_timeout() }
}
