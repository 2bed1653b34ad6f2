//! Questions to the service, asked as its clients ask: so many a second, and later where it says so.
//!
//! Owns how politely and how long is asked. What an answer means is the checks' business.

use std::{
    cell::Cell,
    fmt,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use hyper::{Method, header::AUTHORIZATION};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use tokio::{
    sync::mpsc::{self, Sender},
    task::LocalSet,
    time::sleep_until,
};

use super::{AuditPlan, PersonTickets};
use crate::client::{
    answer::{self, OK, SERVICE_UNAVAILABLE},
    ask::Ask,
    target::Target,
    wire::{Reply, Wire},
};

const NOT_FOUND: u16 = 404;
const TOO_MANY_REQUESTS: u16 = 429;
/// The code of a 404 that says nothing about claims.
const UNKNOWN_DROP: &str = "unknown_drop";

/// How often one question is asked before it counts as not answered.
const ATTEMPTS_MAX: u32 = 20;
/// How long one reply may take.
const REPLY_WAIT: Duration = Duration::from_secs(10);
/// The pause after a reply that did not come.
const LOST_PAUSE: Duration = Duration::from_millis(200);
/// The pause after a refusal that names none.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
/// Connections of one audit.
const CONNECTIONS_MAX: usize = 256;
/// Room for the name of a header, in bytes.
const HEADER_NAME_BYTES: usize = 32;
/// Of the time that is left, so much is counted on.
const ROOM: f64 = 0.9;
/// Answers on their way to the check.
const ANSWERS_MAX: usize = 64;

/// Whose claims are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    /// The drop's place among the plan's drops.
    pub(super) drop: usize,
    /// The person's number, from 1.
    pub(super) person: u64,
}

/// A claim as its person is shown it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Held {
    pub(super) claim_id: Box<str>,
    pub(super) seq: u64,
    #[serde(default)]
    status: Box<str>,
}

impl Held {
    /// Whether its unit has not gone back to stock: then it counts towards the drop's limit.
    pub(super) fn is_live(&self) -> bool {
        !matches!(&*self.status, "returned" | "cancelled" | "lapsed")
    }
}

#[derive(Deserialize)]
struct Mine {
    claims: Vec<Held>,
}

/// What the service answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The person's claims; none for a 404.
    Holds(Vec<Held>),
    /// Nothing that tells, and why.
    Nothing(String),
    /// Nothing yet, when the time for lookups was over: that says nothing of the service.
    TimeOver,
}

/// Why there is no answer.
enum Missing {
    Because(String),
    /// See [`Answer::TimeOver`].
    TimeOver,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Because(why) => why,
            Self::TimeOver => "the time for the audit is over",
        })
    }
}

/// What a drop's public state says, as far as the audit needs it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) struct DropState {
    pub(super) stock_total: Option<u64>,
    pub(super) limit_per_person: Option<u64>,
    /// Units are held until they are paid for. One that goes back is granted again, so that over time there are more
    /// claims than units, and more of one person than they may hold at once.
    #[serde(default, rename = "item", deserialize_with = "is_there")]
    pub(super) units_come_back: bool,
}

/// Whether there is anything.
fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<IgnoredAny>::deserialize(deserializer)?.is_some())
}

/// Asks the service, until a moment after which nothing more is sent.
pub(super) struct Desk {
    drops: Vec<DropDesk>,
    tickets: Arc<dyn PersonTickets>,
    pace: Pace,
    until: Instant,
}

/// Where one drop is asked about.
struct DropDesk {
    id: String,
    mine: Target,
    state: Target,
}

impl Desk {
    /// A desk that asks until `until`.
    ///
    /// # Errors
    /// The plan's URL or one of its paths is none.
    pub(super) fn new(plan: &AuditPlan, until: Instant) -> Result<Self> {
        let target =
            |path: &str, drop: &str| Target::new(&plan.url, &Method::GET, &path.replace("{drop}", drop));
        let drops = plan.drops.iter().map(|id| {
            let (mine, state) = (target(&plan.mine_path, id)?, target(&plan.state_path, id)?);
            Ok(DropDesk { id: id.clone(), mine, state })
        });
        let pace = Pace::new(plan.lookups.per_second);
        Ok(Self { drops: drops.collect::<Result<_>>()?, tickets: Arc::clone(&plan.tickets), pace, until })
    }

    /// Each drop's public state, or why it is not known.
    ///
    /// # Errors
    /// The service does not answer at all.
    pub(super) async fn states(&self) -> Result<Vec<Result<DropState, String>>> {
        let mut states = Vec::with_capacity(self.drops.len());
        let mut wire = None;
        for drop in &self.drops {
            let reply = self.reply(&mut wire, &drop.state, &drop.state.request(0, 0)).await;
            let reply =
                reply.map_err(|why| anyhow!("the service does not say how {} stands: {why}", drop.id))?;
            states.push(match reply.status {
                OK => serde_json::from_slice(&reply.body).map_err(|_| "its state cannot be read".to_owned()),
                _ => Err(format!("its state was answered with {}", named(&reply))),
            });
        }
        Ok(states)
    }

    /// Asks all `questions` over so many connections, and hands each answer over as it comes.
    pub(super) async fn ask_all(
        self: Rc<Self>,
        questions: Vec<Question>,
        connections: usize,
        mut answered: impl FnMut(Question, Answer),
    ) {
        let lines = Rc::new(Cell::new(questions.into_iter()));
        let (answers, mut to_read) = mpsc::channel(ANSWERS_MAX);
        let asking = LocalSet::new();
        for _ in 0..connections.clamp(1, CONNECTIONS_MAX) {
            asking.spawn_local(Rc::clone(&self).ask_each(Rc::clone(&lines), answers.clone()));
        }
        drop(answers);
        let reading = async {
            while let Some((question, answer)) = to_read.recv().await {
                answered(question, answer);
            }
        };
        asking.run_until(reading).await;
    }

    /// Takes one question after the other, on a connection of its own.
    async fn ask_each(self: Rc<Self>, questions: Questions, answers: Sender<(Question, Answer)>) {
        let mut wire = None;
        loop {
            let mut rest = questions.take();
            let next = rest.next();
            questions.set(rest);
            let Some(question) = next else { return };
            let answer = match self.ask(&mut wire, question).await {
                Ok(claims) => Answer::Holds(claims),
                Err(Missing::Because(why)) => Answer::Nothing(why),
                Err(Missing::TimeOver) => Answer::TimeOver,
            };
            if answers.send((question, answer)).await.is_err() {
                return;
            }
        }
    }

    async fn ask(&self, wire: &mut Option<Wire>, question: Question) -> Result<Vec<Held>, Missing> {
        let because = |why: &str| Missing::Because(why.to_owned());
        let Some(drop) = self.drops.get(question.drop) else { return Err(because("no such drop")) };
        let authorization = self
            .tickets
            .authorization(question.person, &drop.id)
            .map_err(|error| Missing::Because(format!("no ticket: {error:#}")))?;
        let mut ask = drop.mine.request(question.person, authorization.len() + HEADER_NAME_BYTES);
        ask.header(&AUTHORIZATION, &authorization);
        let reply = self.reply(wire, &drop.mine, &ask).await?;
        match reply.status {
            OK => serde_json::from_slice::<Mine>(&reply.body)
                .map(|mine| mine.claims)
                .map_err(|_| because("the answer lists no claims")),
            NOT_FOUND if answer::problem_code(&reply.body) != UNKNOWN_DROP => Ok(Vec::new()),
            _ => Err(Missing::Because(named(&reply))),
        }
    }

    /// How many questions may be asked in the time that is left, with some room for answers that take long.
    pub(super) fn questions_max(&self) -> usize {
        let left = self.until.saturating_duration_since(Instant::now()).mul_f64(ROOM);
        usize::try_from(left.as_nanos() / self.pace.gap.as_nanos().max(1)).unwrap_or(usize::MAX)
    }

    /// Sends a request until the service has an answer to it.
    async fn reply(&self, wire: &mut Option<Wire>, target: &Target, ask: &Ask) -> Result<Reply, Missing> {
        let mut why = String::new();
        for _ in 0..ATTEMPTS_MAX {
            let at = self.pace.next();
            if at >= self.until {
                return Err(Missing::TimeOver);
            }
            sleep_until(at.into()).await;
            let pause = match self.exchange(wire, target, ask).await {
                Ok(reply) if matches!(reply.status, TOO_MANY_REQUESTS | SERVICE_UNAVAILABLE) => {
                    why = named(&reply);
                    reply.retry_after.map_or(BUSY_PAUSE, Duration::from_secs)
                }
                Ok(reply) => return Ok(reply),
                Err(lost) => {
                    why = lost;
                    LOST_PAUSE
                }
            };
            let again_at = Instant::now() + pause.min(REPLY_WAIT);
            if again_at >= self.until {
                return Err(Missing::TimeOver);
            }
            sleep_until(again_at.into()).await;
        }
        Err(Missing::Because(why))
    }

    async fn exchange(&self, wire: &mut Option<Wire>, target: &Target, ask: &Ask) -> Result<Reply, String> {
        if !wire.as_ref().is_some_and(Wire::is_open) {
            *wire = Some(Wire::open(target.address).await.map_err(|error| format!("{error:#}"))?);
        }
        let Some(open) = wire else { return Err("no connection".to_owned()) };
        let give_up_at = (Instant::now() + REPLY_WAIT).min(self.until);
        let reply = open.exchange(ask, give_up_at).await;
        let came = open.take_no_reply();
        // A connection that gave no reply is of no use any more.
        if reply.is_err() {
            *wire = None;
        }
        reply.map_err(|_| {
            came.map_or_else(|| "no reply came".to_owned(), |came| format!("no reply came: {came}"))
        })
    }
}

/// Questions that are not asked yet. Taken out for the moment in which one is taken from them.
type Questions = Rc<Cell<std::vec::IntoIter<Question>>>;

/// A reply in a few words.
fn named(reply: &Reply) -> String {
    let code = answer::problem_code(&reply.body);
    format!("{} {}", reply.status, code.chars().take(64).collect::<String>()).trim_end().to_owned()
}

/// Lets so many requests leave a second, one after the other.
struct Pace {
    gap: Duration,
    next: Cell<Instant>,
}

impl Pace {
    fn new(per_second: u32) -> Self {
        Self { gap: Duration::from_secs(1) / per_second.max(1), next: Cell::new(Instant::now()) }
    }

    /// When the next request may leave. What was not used is not saved up.
    fn next(&self) -> Instant {
        let at = self.next.get().max(Instant::now());
        self.next.set(at + self.gap);
        at
    }
}
