//! Answers calls: who may call, which call it is, and what is said.
//!
//! Owns the worker's one place for a job, its clock, and the status codes of the link.

use std::{
    fmt::Display,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use super::{
    Offer,
    job::{ActiveJob, Refused},
};
use crate::{
    streams,
    workers::{
        clock::AnchoredClock,
        protocol::{
            About, CALL_WAIT, ClockReading, JOB_BYTES_MAX, Order, REQUEST_BYTES_MAX, Refusal, START_WITHIN,
            StartAt, TRANSFER_WAIT, Taken, VERSION,
        },
    },
};

/// Calls with a wrong token are logged this often at the most.
const COMPLAIN_EVERY: Duration = Duration::from_secs(1);

pub(super) type Reply = Response<Full<Bytes>>;
type Answered = Result<Reply, No>;

/// Why a call is refused.
struct No {
    status: StatusCode,
    why: String,
}

/// The worker's state and the answers that it gives.
#[derive(Debug)]
pub(super) struct Desk {
    offer: Offer,
    /// Anchored anew with each job, so that a wall clock that was set in between does no harm.
    clock: Mutex<AnchoredClock>,
    place: Mutex<Place>,
    complained: Mutex<Option<Instant>>,
}

/// The one place for a job.
#[derive(Debug, Default)]
enum Place {
    #[default]
    Free,
    /// A job is on its way.
    Reserved,
    Taken(Arc<ActiveJob>),
}

/// Frees a reserved place when the job does not come: its coordinator hung up, for instance.
struct Reservation<'desk>(&'desk Desk);

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut place = lock(&self.0.place);
        if matches!(*place, Place::Reserved) {
            *place = Place::Free;
        }
    }
}

impl Desk {
    pub(super) fn new(offer: Offer) -> Self {
        let clock = Mutex::new(AnchoredClock::new(offer.wall_clock));
        Self { offer, clock, place: Mutex::default(), complained: Mutex::default() }
    }

    /// Lets a call in that carries the token.
    ///
    /// # Errors
    /// What is answered to one that does not.
    pub(super) fn admit(&self, request: &Request<Incoming>, peer: SocketAddr) -> Result<(), Box<Reply>> {
        if self.offer.token.is(request.headers().get(AUTHORIZATION)) {
            return Ok(());
        }
        self.complain(peer);
        let mut reply = no(StatusCode::UNAUTHORIZED, "the token is wrong or missing").reply();
        reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Err(Box::new(reply))
    }

    /// Answers a call that was let in.
    pub(super) async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Reply {
        self.route(request).await.unwrap_or_else(No::reply)
    }

    async fn route(self: &Arc<Self>, request: Request<Incoming>) -> Answered {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let steps: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match (method, steps.as_slice()) {
            (Method::GET, ["v1", "worker"]) => json(&self.about()),
            (Method::GET, ["v1", "clock"]) => json(&self.read_clock()?),
            (Method::POST, ["v1", "jobs"]) => self.take(request).await,
            (Method::DELETE, ["v1", "jobs", id]) => {
                self.job(id)?.abandon().await;
                Ok(Reply::default())
            }
            (Method::POST, ["v1", "jobs", id, "start"]) => self.start(id, request).await,
            (Method::GET, ["v1", "jobs", id, "progress"]) => json(&self.job(id)?.progress()),
            (Method::GET, ["v1", "jobs", id, "claims"]) => self.claims(id, request.uri().query()).await,
            (Method::GET, ["v1", "jobs", id, "result"]) => {
                let job = self.job(id)?;
                in_background(move || job.outcome()).await?.map_err(refused).map(with_json)
            }
            (Method::POST, ["v1", "jobs", id, "stop"]) => {
                self.job(id)?.stop();
                Ok(Reply::default())
            }
            (Method::POST, ["v1", "jobs", id, "halt"]) => {
                self.job(id)?.halt();
                Ok(Reply::default())
            }
            _ => Err(no(StatusCode::NOT_FOUND, "there is no such call")),
        }
    }

    fn about(&self) -> About {
        let free = matches!(*lock(&self.place), Place::Free);
        About { version: VERSION.to_owned(), threads: self.offer.threads, free }
    }

    fn read_clock(&self) -> Result<ClockReading, No> {
        let unix_ns = u64::try_from(lock(&self.clock).now().as_nanos())
            .map_err(|_| no(StatusCode::INTERNAL_SERVER_ERROR, "the clock stands after 2554"))?;
        Ok(ClockReading { unix_ns })
    }

    /// Takes a job if there is room for it, and lets it live.
    async fn take(self: &Arc<Self>, request: Request<Incoming>) -> Answered {
        {
            let mut place = lock(&self.place);
            if !matches!(*place, Place::Free) {
                return Err(no(StatusCode::CONFLICT, "the worker is busy with another job"));
            }
            *place = Place::Reserved;
        }
        let reservation = Reservation(self);
        let body = body(request, JOB_BYTES_MAX, TRANSFER_WAIT).await?;
        let order: Order = in_background(move || parse(body)).await??;
        let (job, life) = ActiveJob::take(order, self.offer.let_go_after).map_err(|error| {
            no(StatusCode::INTERNAL_SERVER_ERROR, format!("the job cannot be taken: {error:#}"))
        })?;
        *lock(&self.clock) = AnchoredClock::new(self.offer.wall_clock);
        *lock(&self.place) = Place::Taken(Arc::clone(&job));
        drop(reservation);
        let taken = Taken { id: job.id().to_owned() };
        let desk = Arc::clone(self);
        tokio::spawn(async move {
            life.live().await;
            *lock(&desk.place) = Place::Free;
            job.is_over();
        });
        json(&taken)
    }

    async fn start(&self, id: &str, request: Request<Incoming>) -> Answered {
        let job = self.job(id)?;
        let StartAt { at_unix_ns } = parse(body(request, REQUEST_BYTES_MAX, CALL_WAIT).await?)?;
        let at = Duration::from_nanos(at_unix_ns);
        let clock = *lock(&self.clock);
        let ahead = at.checked_sub(clock.now()).filter(|ahead| *ahead <= START_WITHIN);
        let (Some(_), Some(at)) = (ahead, clock.instant_of(at)) else {
            let within = START_WITHIN.as_secs();
            let why = format!("the start moment is over by this clock, or more than {within} s ahead");
            return Err(no(StatusCode::UNPROCESSABLE_ENTITY, why));
        };
        job.start(at).map_err(refused)?;
        Ok(Reply::default())
    }

    async fn claims(&self, id: &str, query: Option<&str>) -> Answered {
        let job = self.job(id)?;
        let from = query.and_then(|query| query.strip_prefix("from=")?.parse().ok());
        let from = from.ok_or_else(|| no(StatusCode::BAD_REQUEST, "claims are asked for by ?from=N"))?;
        let lines = in_background(move || job.claims(from)).await?;
        let lines = lines.map_err(|error| no(StatusCode::INTERNAL_SERVER_ERROR, error))?;
        let mut reply = Reply::new(Full::new(Bytes::from(lines)));
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        Ok(reply)
    }

    /// The job of this name; a call for it shows that its coordinator is there.
    fn job(&self, id: &str) -> Result<Arc<ActiveJob>, No> {
        match &*lock(&self.place) {
            Place::Taken(job) if job.id() == id => {
                job.heard();
                Ok(Arc::clone(job))
            }
            _ => Err(no(StatusCode::NOT_FOUND, "the worker has no such job (any more)")),
        }
    }

    fn complain(&self, peer: SocketAddr) {
        let mut complained = lock(&self.complained);
        if complained.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
            *complained = Some(Instant::now());
            streams::tell(&format!(
                "claimrush-loadtest worker: refused a call from {peer}: its token is wrong or missing"
            ));
        }
    }
}

/// Locks; what a broken thread left behind is still whole, for no lock is held across a call that can break.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does what takes long beside the calls.
async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, No> {
    let broke = |_| no(StatusCode::INTERNAL_SERVER_ERROR, "the worker broke over this call");
    tokio::task::spawn_blocking(work).await.map_err(broke)
}

async fn body(request: Request<Incoming>, bytes_max: usize, wait: Duration) -> Result<Collected<Bytes>, No> {
    let whole = timeout(wait, Limited::new(request.into_body(), bytes_max).collect()).await;
    let whole = whole.map_err(|_| no(StatusCode::REQUEST_TIMEOUT, "the body took too long to come"))?;
    whole.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            no(StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {bytes_max} bytes here"))
        } else {
            no(StatusCode::BAD_REQUEST, "the body broke off")
        }
    })
}

/// Reads a body. The parser's own words could quote a key or a ticket, so only the place is told.
fn parse<T: DeserializeOwned>(body: Collected<Bytes>) -> Result<T, No> {
    serde_json::from_reader(body.aggregate().reader()).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let why = format!("the body is not what this call takes, at line {line} column {column}");
        no(StatusCode::BAD_REQUEST, why)
    })
}

fn json(value: &impl Serialize) -> Answered {
    let body = serde_json::to_vec(value)
        .map_err(|_| no(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written"))?;
    Ok(with_json(body))
}

fn with_json(body: Vec<u8>) -> Reply {
    let mut reply = Reply::new(Full::new(Bytes::from(body)));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

fn refused(why: Refused) -> No {
    no(StatusCode::CONFLICT, why)
}

fn no(status: StatusCode, why: impl Display) -> No {
    No { status, why: why.to_string() }
}

impl No {
    fn reply(self) -> Reply {
        let mut reply = with_json(serde_json::to_vec(&Refusal { error: self.why }).unwrap_or_default());
        *reply.status_mut() = self.status;
        reply
    }
}
