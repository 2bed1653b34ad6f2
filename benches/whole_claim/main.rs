//! What the guard adds to a whole claim, in CPU of the thread that serves it: `cargo bench --bench whole_claim`.
//!
//! A claim goes the way of the service: hyper, gate, queue, the claim script in a real Redis, a reply. Rounds without the
//! guard (the person stands in a header of their own, and no ticket is sent) take turns with rounds through it. The
//! thread's own CPU counts, from `/proc`, so neither the client nor Redis is in the figures. `-- full` sends all claims one way,
//! which is for a profiler.

mod client;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use claimrush::clock::Clock;
use claimrush::config::{Config, ServiceUrl};
use claimrush::domain::campaign::DropSpec;
use claimrush::domain::cause::Cause;
use claimrush::domain::ids::{CampaignId, DropId, DropNumber, Epoch, PersonId, Shard};
use claimrush::guard::Guard;
use claimrush::guard::address::AddressRules;
use claimrush::guard::blocked::{BlockList, Blocked};
use claimrush::guard::rate::{Allowance, LimitRules};
use claimrush::guard::tables::{AddressTables, Asn, AsnTable};
use claimrush::guard::ticket::{KeyFile, MintRequest, Persons, mint_tickets};
use claimrush::limits;
use claimrush::redis::codes::DropState;
use claimrush::redis::peer::Peer;
use claimrush::redis::pool;
use claimrush::redis::scripts::{self, DropConfig, Mode};
use claimrush::redis::{journal, keys};
use claimrush::rush::Decision;
use claimrush::rush::batcher::{Batcher, BatcherSettings, ClaimQueue};
use claimrush::rush::gate::{DropGate, DropRules, Gate};
use claimrush::rush::lane::Lane;
use claimrush::rush::poll::Poller;
use claimrush::telemetry::metrics::Metrics;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[path = "../../tests/support/mod.rs"]
#[expect(
    dead_code,
    clippy::expect_used,
    reason = "shared with the tests, which use the rest of it, and may fail"
)]
mod support;

use client::{Client, median};
use support::mmdb;
use support::redis::RedisServer;

/// As the service has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const DROP: &str = "caiyun-100-25";
const SHARD: Shard = Shard::FIRST;
const CONNECTIONS: usize = 64;
const CLAIMS_PER_ROUND: u32 = 20_000;
const ROUNDS: usize = 12;
/// Answers with the CPU that the serving thread has used, in nanoseconds.
const CPU_PATH: &str = "/cpu";

/// Which way a round's claims go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Past the guard.
    Without,
    /// Ticket, and limits by person and address.
    Guarded,
    /// The same behind a proxy, with 100,000 persons blocked and a table of autonomous systems.
    Full,
}

impl Way {
    const ALL: [Self; 3] = [Self::Without, Self::Guarded, Self::Full];

    fn path(self) -> &'static str {
        match self {
            Self::Without => "/without",
            Self::Guarded => "/guarded",
            Self::Full => "/full",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Without => "without the guard",
            Self::Guarded => "ticket, limits by person and address",
            Self::Full => "and 100,000 blocked, a proxy, an ASN table",
        }
    }
}

/// What the handler needs.
struct Server {
    gate: Arc<Gate>,
    drop: Arc<DropGate>,
    queue: ClaimQueue,
    clock: Clock,
    guarded: Guard,
    full: Guard,
}

impl Server {
    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let since = Instant::now();
        let now_ms = self.clock.now_ms();
        let header = |name| request.headers().get(name).map(HeaderValue::as_bytes);
        let guard = match request.uri().path() {
            CPU_PATH => return Ok(Response::new(Full::from(thread_cpu_ns().to_string()))),
            path if path == Way::Guarded.path() => Some(&self.guarded),
            path if path == Way::Full.path() => Some(&self.full),
            _ => None,
        };
        let person = match guard {
            Some(guard) => {
                let ticket = header(AUTHORIZATION.as_str());
                guard.admit(ticket, request.headers(), DROP, peer, now_ms).ok()
            }
            None => header("person").and_then(|name| PersonId::new(str::from_utf8(name).ok()?).ok()),
        };
        let decision = match person {
            Some(person) => self.claim(person, now_ms, since).await,
            None => Decision::Refused(Cause::BadRequest),
        };
        let mut response = Response::new(Full::from("{}"));
        let granted = matches!(decision, Decision::Granted(_));
        *response.status_mut() = if granted { StatusCode::CREATED } else { StatusCode::CONFLICT };
        Ok(response)
    }

    async fn claim(&self, person: PersonId, now_ms: i64, since: Instant) -> Decision {
        let print = self.gate.fingerprint(person.as_str());
        match self.gate.check(&self.drop, print, now_ms) {
            Ok(()) => self.queue.claim(Arc::clone(&self.drop), person, print, None, since).await,
            Err(cause) => Decision::Refused(cause),
        }
    }
}

/// CPU of this thread, user and system: the first field of `schedstat`.
fn thread_cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split_ascii_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or_default()
}

/// Limits that refuse nothing, so that the way through is measured.
fn wide_limits() -> Result<LimitRules> {
    let wide = Allowance::new(1_000_000, Duration::from_nanos(1))?;
    Ok(LimitRules {
        person: wide,
        address: wide,
        network: wide,
        asn: wide,
        device: wide,
        keys_max: 4_000_000,
    })
}

/// The guard with all it can be given, and addresses as a crowd has them: all different, in 800 networks of the 450,000
/// that its table knows.
fn full_guard(keys: &KeyFile) -> Result<(Guard, Vec<IpAddr>)> {
    let blocked = Blocked::default();
    let many: Vec<String> = (0..100_000).map(|n| format!("blocked-{n},,why")).collect();
    blocked.replace(BlockList::read(&many.join("\n"))?);
    let tables = AddressTables::default();
    let (table, addresses) = mmdb::systems(450_000);
    tables.replace_asns(AsnTable::read(table)?);
    let networks = addresses.into_iter().filter_map(|address| match address {
        IpAddr::V4(address) => Some(address.to_bits()),
        IpAddr::V6(_) => None,
    });
    let networks: Vec<u32> = networks.take(800).collect();
    let hosts = (0..256_u32).flat_map(|host| networks.iter().map(move |network| network.wrapping_add(host)));
    let addresses = hosts.map(|address| IpAddr::V4(Ipv4Addr::from_bits(address))).collect();
    let proxies = vec!["127.0.0.0/8".parse()?];
    let rules = AddressRules { trusted_proxies: proxies, ..AddressRules::default() };
    let guard = Guard::new(keys, 0, wide_limits()?, rules).blocking(blocked);
    Ok((guard.by_asn(tables, &[Asn(1), Asn(2), Asn(3)]), addresses))
}

fn spec(now_ms: i64) -> Result<DropSpec> {
    Ok(DropSpec {
        id: DropId::new(DROP)?,
        name: None,
        opens_at_ms: now_ms - 1_000,
        closes_at_ms: now_ms + 86_400_000,
        stock: limits::STOCK_MAX,
        limit_per_person: 1,
        voucher: None,
        item: None,
        recycled: false,
        eligibility: None,
    })
}

/// Serves on one thread, as one core of the service does.
async fn serve(url: ServiceUrl, keys: KeyFile, full: Guard, listener: std::net::TcpListener) -> Result<()> {
    let (config, clock) = (Config::default(), Clock::System);
    let (pool, spec) = (pool::connect(&url, &config.redis)?, spec(clock.now_ms())?);
    let mut connection = pool::checkout(&pool).await?;
    let made = DropConfig {
        drop: &spec.id,
        mode: Mode::Create,
        stock_total: spec.stock,
        carried: 0,
        opens_at_ms: spec.opens_at_ms,
        closes_at_ms: spec.closes_at_ms,
        limit: spec.limit_per_person,
        epoch: Epoch::FIRST,
        state: DropState::Running,
        once: 0,
        revision: 0,
        overrules: None,
    };
    let made = scripts::configure(&mut connection, SHARD, &[made]).await?;
    ensure!(made.is_ok(), "the drop was not made: {made:?}");

    let gate = Arc::new(Gate::default());
    let rules = DropRules { spec, campaign: CampaignId::new("caiyun")?, number: DropNumber(1), once: None };
    gate.replace(Vec::new(), vec![rules]);
    gate.trust.set(&Peer::learn(&mut connection).await?.run_id);
    let metrics = Arc::new(Metrics::new(Cause::CODES, 1)?);
    let poller = Poller {
        shard: SHARD,
        pool: pool.clone(),
        gate: Arc::clone(&gate),
        metrics: Arc::clone(&metrics),
        clock: clock.clone(),
        journal_limits: (&config.journal).into(),
        pressure: Arc::default(),
    };
    poller.poll_once().await?;
    gate.set_redis_up(true);
    let settings = BatcherSettings {
        core: 0,
        shard: SHARD,
        batch_max: config.claim.batch_max,
        inflight_max: config.claim.inflight_max,
        queue_max: config.claim.queue_max,
        queue_wait_max: config.claim.queue_wait(),
    };
    let lane = Lane::new(
        pool,
        Arc::clone(&gate),
        config.redis.response_timeout(),
        metrics.redis_reconnects_total.clone(),
        None,
    );
    let (queue, batcher) = Batcher::new(settings, lane, Arc::clone(&gate), metrics, clock.clone());
    tokio::spawn(batcher.run());
    let rules = AddressRules { limit_loopback: true, ..AddressRules::default() };
    let guarded = Guard::new(&keys, 0, wide_limits()?, rules);
    let drop = gate.find(DROP).context("the drop is there")?;
    let server = Arc::new(Server { gate, drop, queue, clock, guarded, full });
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let service = service_fn(|request| server.answer(request, peer.ip()));
            let mut connection = http1::Builder::new();
            let _ = connection.half_close(true).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// A round's requests, of persons who never came before.
fn requests(way: Way, round: usize, keys: &KeyFile, addresses: &[IpAddr]) -> Result<Vec<Vec<u8>>> {
    let prefix = format!("{}{round:02}-", &way.path()[1..2]);
    let head = format!("POST {} HTTP/1.1\r\nhost: claim.example.cn\r\ncontent-length: 0\r\n", way.path());
    if way == Way::Without {
        let person = |n| format!("{head}person: {prefix}{n:06}\r\n\r\n").into_bytes();
        return Ok((0..CLAIMS_PER_ROUND).map(person).collect());
    }
    let persons = Persons::Numbered { prefix: &prefix, count: CLAIMS_PER_ROUND };
    let request = MintRequest { drop: DROP, persons, valid_for: Duration::from_secs(3_600), out: None };
    let mut text = Vec::new();
    mint_tickets(keys, &request, Clock::System.now_ms(), &mut text)?;
    let tickets = String::from_utf8(text)?;
    let with = |(ticket, address): (&str, &IpAddr)| {
        let forwarded = match way {
            Way::Full => format!("x-forwarded-for: {address}\r\n"),
            _ => String::new(),
        };
        format!("{head}{forwarded}authorization: Bearer {ticket}\r\n\r\n").into_bytes()
    };
    Ok(tickets
        .lines()
        .zip(addresses.iter().cycle().skip(round * CLAIMS_PER_ROUND as usize))
        .map(with)
        .collect())
}

/// Sends every request over some connection, and gives the CPU that each cost the server, in microseconds.
async fn round(clients: &mut Vec<Client>, requests: Vec<Vec<u8>>) -> Result<f64> {
    let count = requests.len() as f64;
    let before = clients.first_mut().context("a client")?.cpu_ns().await?;
    let requests = Arc::new(Mutex::new(requests));
    let mut running = tokio::task::JoinSet::new();
    for mut client in clients.drain(..) {
        let requests = Arc::clone(&requests);
        running.spawn(async move {
            let next = || requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
            while let Some(request) = next() {
                let reply = client.ask(&request).await?;
                ensure!(
                    reply.starts_with("HTTP/1.1 201 "),
                    "{reply} for {}",
                    String::from_utf8_lossy(&request)
                );
            }
            anyhow::Ok(client)
        });
    }
    while let Some(client) = running.join_next().await {
        clients.push(client??);
    }
    let after = clients.first_mut().context("a client")?.cpu_ns().await?;
    Ok((after - before) / count / 1_000.0)
}

async fn measure(
    redis: &RedisServer,
    server: SocketAddr,
    keys: &KeyFile,
    addresses: &[IpAddr],
    only: Option<Way>,
) -> Result<()> {
    let mut connection = redis.connect().await;
    let mut clients = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(server).await?);
    }
    let mut costs: Vec<[f64; 3]> = Vec::with_capacity(ROUNDS);
    // The first one warms up and is not counted.
    for turn in 0..=ROUNDS {
        let mut of_turn = [0.0; 3];
        for step in 0..Way::ALL.len() {
            let which = (turn + step) % Way::ALL.len();
            let (Some(way), Some(cost)) = (Way::ALL.get(which), of_turn.get_mut(which)) else { continue };
            if only.is_some_and(|only| only != *way) {
                continue;
            }
            *cost = round(&mut clients, requests(*way, turn, keys, addresses)?).await?;
            let last = journal::last_id(&mut connection, SHARD).await?;
            journal::trim_through(&mut connection, SHARD, last).await?;
        }
        if turn > 0 {
            costs.push(of_turn);
        }
    }
    let holders = keys::holders(SHARD, &DropId::new(DROP)?);
    let held: u64 = redis::cmd("HLEN").arg(holders).query_async(&mut connection).await?;
    println!(
        "{ROUNDS} rounds of {CLAIMS_PER_ROUND} claims each, {CONNECTIONS} connections; {held} persons hold a claim"
    );
    println!("{:<46}{:>12}{:>14}", "", "µs a claim", "more, median");
    for (which, way) in Way::ALL.iter().enumerate() {
        let of = |turn: &[f64; 3]| turn.get(which).copied().unwrap_or_default();
        let cost = median(costs.iter().map(of));
        let more = median(costs.iter().map(|turn| of(turn) - turn[0]));
        println!("{:<46}{cost:>12.2}{more:>14.2}", way.name());
    }
    Ok(())
}

fn main() -> Result<()> {
    let redis = RedisServer::in_memory();
    let keys = KeyFile::generate();
    let (full, addresses) = full_guard(&keys)?;
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let url = redis.url();
    let served = keys.clone();
    let thread = std::thread::Builder::new().name("core-0".to_owned());
    thread.spawn(move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(serve(url, served, full, listener)).inspect_err(|error| eprintln!("{error:?}"))
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let named = |way: &&Way| std::env::args().any(|argument| argument == way.path()[1..]);
    let only = Way::ALL.iter().find(named).copied();
    runtime.block_on(measure(&redis, address, &keys, &addresses, only))
}
