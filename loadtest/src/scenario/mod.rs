//! A scenario: who comes, when, how they behave, and what must hold afterwards.
//!
//! Owns the words of a scenario file and nothing that runs. A file is TOML; its JSON schema is published under
//! `loadtest/schema/` and made from these types.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One rehearsal of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// A short name for files and titles.
    pub name: String,
    /// What it rehearses, in a sentence.
    #[serde(default)]
    pub about: String,
    /// Chooses every random number: the same seed sends the same people at the same moments.
    #[serde(default = "one")]
    pub seed: u64,
    /// Where claims go.
    #[serde(default)]
    pub service: Service,
    /// What is claimed; each arrival picks one by weight.
    #[serde(rename = "drop")]
    pub drops: Vec<DropShare>,
    /// When people come.
    pub arrivals: Arrivals,
    /// What carries them.
    #[serde(default)]
    pub connections: Connections,
    /// Where their tickets come from.
    pub tickets: Tickets,
    /// Who they are; each arrival is one of them by weight. All are honest when none is named.
    #[serde(default = "all_honest", rename = "persona")]
    pub personas: Vec<Persona>,
    /// What must hold, as in `granted.p99 < 5ms` or `code.overloaded == 0`.
    #[serde(default)]
    pub thresholds: Vec<String>,
}

/// The service under load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// Its public address, as `http://host:port`.
    pub url: String,
    /// Its admin address, for the live view's stock and drain lag and for the audit.
    pub admin_url: Option<String>,
    /// The path of a claim; `{drop}` stands for the drop's id.
    pub claim_path: String,
    /// The path of a person's own claims.
    pub mine_path: String,
    /// The path of a drop's public state.
    pub state_path: String,
    /// Sends an `Idempotency-Key` with every claim: one for each person and drop.
    pub idempotency_key: bool,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8080".into(),
            admin_url: None,
            claim_path: "/v1/drops/{drop}/claims".into(),
            mine_path: "/v1/drops/{drop}/claims/mine".into(),
            state_path: "/v1/drops/{drop}".into(),
            idempotency_key: false,
        }
    }
}

/// A drop and its share of the arrivals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropShare {
    /// Its id.
    pub id: String,
    /// Its share beside the others'.
    #[serde(default = "one_u32")]
    pub weight: u32,
}

/// When people come. All but `closed` are open models: they come whatever the service does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "profile", rename_all = "snake_case", deny_unknown_fields)]
pub enum Arrivals {
    /// A crowd round the release instant: nearly everybody presses within two seconds of it, some too early.
    Spike {
        /// How many come.
        people: u64,
        /// From the start of the run to the release instant.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "String")]
        release_after: Duration,
        /// The median reaction to the release instant.
        #[serde(default = "reaction", with = "humantime_serde")]
        #[schemars(with = "String")]
        reaction: Duration,
        /// The shape of the reaction times' log-normal spread.
        #[serde(default = "reaction_sigma")]
        reaction_sigma: f64,
        /// The share (0 to 1) that presses up to two seconds too early.
        #[serde(default = "early")]
        early: f64,
        /// The latest reaction that still counts; later ones come then.
        #[serde(default = "latest", with = "humantime_serde")]
        #[schemars(with = "String")]
        latest: Duration,
    },
    /// As many each second.
    Constant {
        /// Arrivals a second.
        rate: f64,
        /// For how long.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "String")]
        duration: Duration,
        /// How they are spaced.
        #[serde(default)]
        spacing: Spacing,
    },
    /// From one rate to another, evenly.
    Ramp {
        /// Arrivals a second at the start.
        from: f64,
        /// Arrivals a second at the end.
        to: f64,
        /// For how long.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "String")]
        duration: Duration,
        /// How they are spaced.
        #[serde(default)]
        spacing: Spacing,
    },
    /// One rate after another, each for as long.
    Stairs {
        /// Arrivals a second on each step.
        rates: Vec<f64>,
        /// How long a step is.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "String")]
        step: Duration,
        /// How they are spaced.
        #[serde(default)]
        spacing: Spacing,
    },
    /// A long run: a ramp up, then waves round one rate.
    Soak {
        /// Arrivals a second, on average after the ramp.
        rate: f64,
        /// For how long, ramp included.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "String")]
        duration: Duration,
        /// How long the ramp from nothing takes.
        #[serde(default = "soak_ramp", with = "humantime_serde")]
        #[schemars(with = "String")]
        ramp_up: Duration,
        /// How far a wave goes above and below the rate, as a share of it (0 to 1).
        #[serde(default)]
        wave: f64,
        /// The length of one wave.
        #[serde(default = "soak_period", with = "humantime_serde")]
        #[schemars(with = "String")]
        period: Duration,
        /// How they are spaced.
        #[serde(default)]
        spacing: Spacing,
    },
    /// The moments of a file: CSV with one column `offset_s`, seconds from the start of the run.
    Trace {
        /// The file, relative to the scenario.
        file: PathBuf,
        /// Plays it this much faster.
        #[serde(default = "one_f64")]
        speed: f64,
    },
    /// The closed model: each connection sends its next request after its answer and a pause. A slow service slows
    /// the load and hides its own stalls (coordinated omission); the report says so.
    Closed {
        /// For how long.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "String")]
        duration: Duration,
        /// The most arrivals over all connections; none for as many as there is time for.
        people: Option<u64>,
    },
}

/// How arrivals of one rate are spaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// As independent people come: exponential gaps.
    #[default]
    Poisson,
    /// Like clockwork.
    Even,
}

/// What carries the requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// Kept-alive connections that honest people share.
    pub count: usize,
    /// The most personas with connections of their own at a time; later ones are counted as dropped.
    pub sessions_max: usize,
    /// Whether a request uses a connection that stands, or opens its own.
    pub reuse: Reuse,
    /// A network slower than this machine's.
    pub slow: Option<SlowNetwork>,
    /// How long one reply may take.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub reply_wait: Duration,
    /// How long after the last arrival answers are waited for.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub grace: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            count: 1_000,
            sessions_max: 10_000,
            reuse: Reuse::KeepAlive,
            slow: None,
            reply_wait: Duration::from_secs(10),
            grace: Duration::from_secs(5),
        }
    }
}

/// Which connection a request takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reuse {
    /// One that stands.
    #[default]
    KeepAlive,
    /// A new one each.
    NewEach,
}

/// A phone's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowNetwork {
    /// The way there and back takes this much longer.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub round_trip: Duration,
    /// Bytes a second each way, per connection.
    pub bytes_per_second: u64,
}

/// Where tickets come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "source", rename_all = "snake_case", deny_unknown_fields)]
pub enum Tickets {
    /// A file with one ticket a line, used in order; person 1 has the first. All tickets are for the first drop.
    File {
        /// The file, relative to the working folder.
        path: PathBuf,
        /// Start again with the first after the last.
        #[serde(default)]
        repeat: bool,
    },
    /// Made here, from a key that the service trusts.
    Mint {
        /// The service's ticket key file, relative to the working folder.
        key_file: PathBuf,
        /// How many persons there are; arrivals beyond them are the same persons again. None: a new one each.
        persons: Option<u64>,
        /// What stands before a person's number.
        #[serde(default = "prefix")]
        prefix: String,
    },
}

/// One kind of person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Persona {
    /// What the report calls them; the kind's name if not given.
    #[serde(default)]
    pub name: Option<String>,
    /// Their share beside the others'.
    #[serde(default = "one_u32")]
    pub weight: u32,
    /// The pause between two actions of one person.
    #[serde(default, with = "humantime_serde")]
    #[schemars(with = "String")]
    pub think: Duration,
    /// How they behave.
    #[serde(flatten)]
    pub behaviour: Behaviour,
}

/// How a kind of person behaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Behaviour {
    /// Claims once; a 503 or 429 with `Retry-After` is obeyed and tried again.
    Honest {
        /// How often it is tried again.
        #[serde(default = "three")]
        retries: u32,
    },
    /// Presses twice: two claims at the same moment on two connections.
    DoubleClicker {},
    /// Polls the drop's state until it is open, then claims.
    Refresher {
        /// Waits as long as `poll_after_ms` says; otherwise polls each `every`.
        #[serde(default = "yes")]
        obeys: bool,
        /// The pause of those who do not obey, and of all where nothing is said.
        #[serde(default = "poll_every", with = "humantime_serde")]
        #[schemars(with = "String")]
        every: Duration,
        /// The most polls.
        #[serde(default = "ten")]
        polls_max: u32,
    },
    /// Gives up on a slow reply, hangs up, and claims again with the same idempotency key.
    Impatient {
        /// How long they wait for a reply.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "String")]
        patience: Duration,
        /// How often they try again.
        #[serde(default = "three")]
        retries: u32,
    },
    /// A farm of scripts: many persons from few addresses, tickets of all sorts, no back-off.
    Bot {
        /// Claims that each sends, one right after the other.
        #[serde(default = "five")]
        requests: u32,
        /// The loopback addresses from which they come, each bound in turn; the system's choice when empty.
        #[serde(default)]
        addresses: Vec<IpAddr>,
        /// Addresses that they pretend to come from, by `X-Forwarded-For`, in turn.
        #[serde(default)]
        forwarded_for: Vec<IpAddr>,
        /// What their tickets are worth.
        #[serde(default)]
        tickets: TicketMix,
    },
    /// Sends a claim and closes before the reply.
    Abandoner {
        /// How long they stay.
        #[serde(default, with = "humantime_serde")]
        #[schemars(with = "String")]
        stay: Duration,
    },
    /// Sends a header byte by byte, to keep a connection busy.
    Slowloris {
        /// The pause between two bytes.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "String")]
        every: Duration,
        /// How long they go on if nobody stops them.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "String")]
        hold: Duration,
    },
}

impl Behaviour {
    /// The word of the scenario file.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Honest { .. } => "honest",
            Self::DoubleClicker {} => "double_clicker",
            Self::Refresher { .. } => "refresher",
            Self::Impatient { .. } => "impatient",
            Self::Bot { .. } => "bot",
            Self::Abandoner { .. } => "abandoner",
            Self::Slowloris { .. } => "slowloris",
        }
    }
}

impl Persona {
    /// What the report calls them.
    #[must_use]
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.behaviour.kind())
    }
}

/// Shares of the sorts of tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TicketMix {
    /// Good ones.
    pub valid: u32,
    /// Signed with a key that nobody trusts.
    pub forged: u32,
    /// Good once, over now.
    pub expired: u32,
    /// For another drop.
    pub foreign: u32,
    /// No ticket at all.
    pub missing: u32,
}

impl Default for TicketMix {
    fn default() -> Self {
        Self { valid: 1, forged: 0, expired: 0, foreign: 0, missing: 0 }
    }
}

fn one() -> u64 {
    1
}
fn one_u32() -> u32 {
    1
}
fn one_f64() -> f64 {
    1.0
}
fn three() -> u32 {
    3
}
fn five() -> u32 {
    5
}
fn ten() -> u32 {
    10
}
fn yes() -> bool {
    true
}
fn prefix() -> String {
    "person-".into()
}
/// The median of simple human reaction times plus the way of a finger; see loadtest/README.md for the source.
fn reaction() -> Duration {
    Duration::from_millis(350)
}
fn reaction_sigma() -> f64 {
    0.6
}
fn early() -> f64 {
    0.03
}
fn latest() -> Duration {
    Duration::from_secs(30)
}
fn soak_ramp() -> Duration {
    Duration::from_secs(10)
}
fn soak_period() -> Duration {
    Duration::from_secs(600)
}
fn poll_every() -> Duration {
    Duration::from_millis(200)
}
fn all_honest() -> Vec<Persona> {
    let behaviour = Behaviour::Honest { retries: three() };
    vec![Persona { name: None, weight: 1, think: Duration::ZERO, behaviour }]
}
