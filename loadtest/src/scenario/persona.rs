//! Who comes: the personas of a scenario file.

use std::{net::IpAddr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};

use super::{AddressBlock, Identity, one_u32, schema::DurationText};

/// One kind of person.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Persona {
    /// What the report calls them; the kind's name if not given.
    #[schemars(default)]
    pub name: Option<String>,
    /// Their share beside the others'.
    #[schemars(default = "one_u32")]
    pub weight: u32,
    /// The pause between two actions of one person.
    #[serde(with = "humantime_serde")]
    #[schemars(default, with = "DurationText")]
    pub think: Duration,
    /// Addresses that they come from as a trusted proxy tells it, by `X-Forwarded-For`: the next for each person, and
    /// for each request of a bot.
    #[schemars(default)]
    pub forwarded_for: Vec<AddressBlock>,
    /// What their identity tokens say, where tickets come from the desk.
    #[schemars(default)]
    pub identity: Identity,
    /// How they behave.
    #[serde(flatten)]
    pub behaviour: Behaviour,
}

/// How a kind of person behaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
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
        #[schemars(with = "DurationText")]
        every: Duration,
        /// The most polls.
        #[serde(default = "ten")]
        polls_max: u32,
        /// Polls on when all is gone, in case more comes; otherwise leaves.
        #[serde(default)]
        waits_for_more: bool,
    },
    /// Gives up on a slow reply, hangs up, and claims again with the same idempotency key.
    Impatient {
        /// How long they wait for a reply.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "DurationText")]
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
        /// What their tickets are worth.
        #[serde(default)]
        tickets: TicketMix,
    },
    /// Sends a claim and closes before the reply.
    Abandoner {
        /// How long they stay.
        #[serde(default, with = "humantime_serde")]
        #[schemars(with = "DurationText")]
        stay: Duration,
    },
    /// Sends a header byte by byte, to keep a connection busy.
    Slowloris {
        /// The pause between two bytes.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "DurationText")]
        every: Duration,
        /// How long they go on if nobody stops them.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "DurationText")]
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

/// The keys that every persona has; the others belong to its behaviour.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Common {
    #[serde(default)]
    name: Option<String>,
    #[serde(default = "one_u32")]
    weight: u32,
    #[serde(default, with = "humantime_serde")]
    think: Duration,
    #[serde(default)]
    forwarded_for: Vec<AddressBlock>,
    #[serde(default)]
    identity: Identity,
}

impl<'de> Deserialize<'de> for Persona {
    /// Splits the common keys off by hand: with `flatten` alone, serde would take any unknown key without a word.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut rest = Map::<String, Value>::deserialize(deserializer)?;
        let mut common = Map::new();
        for key in ["name", "weight", "think", "forwarded_for", "identity"] {
            common.extend(rest.remove_entry(key));
        }
        let Common { name, weight, think, forwarded_for, identity } =
            Common::deserialize(common).map_err(D::Error::custom)?;
        let behaviour = Behaviour::deserialize(Value::Object(rest)).map_err(D::Error::custom)?;
        Ok(Self { name, weight, think, forwarded_for, identity, behaviour })
    }
}

impl Persona {
    /// Somebody who claims once and does as told.
    #[must_use]
    pub fn honest() -> Self {
        let behaviour = Behaviour::Honest { retries: three() };
        let (forwarded_for, identity) = (Vec::new(), Identity::default());
        Self { name: None, weight: 1, think: Duration::ZERO, forwarded_for, identity, behaviour }
    }

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

const fn three() -> u32 {
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
fn poll_every() -> Duration {
    Duration::from_millis(200)
}
