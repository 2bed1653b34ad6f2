//! Who was told what: kept outside of the system, and the measure of it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::support::crowd::{Told, Wish};
use crate::support::http::Answer;

/// Begins every person's name, so that one who appears in a log is seen.
pub(crate) const PERSON_MARK: &str = "qx7w";
/// The idempotency keys of a person who may have two claims.
const KEYS: [&str; 2] = ["first", "second"];

/// One answer, as the person understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// "Yours" (201), or "yours, as before" (200), with the claim's id.
    Claimed(u16, String),
    /// 410.
    SoldOut,
    /// Not now, or not known: 503, 429, or another service on a port that was ours.
    Later(u16, String),
    /// The connection broke, or nobody listens.
    Nothing,
    /// What nobody in a rush may ever be told.
    Wrong(u16, String),
}

impl Said {
    /// Understands an answer.
    pub(crate) fn of(answer: Option<Answer>) -> Self {
        let Some(answer) = answer else { return Self::Nothing };
        match answer.status {
            status @ (200 | 201) => Self::Claimed(status, answer.text("claim_id")),
            410 => Self::SoldOut,
            status @ (401 | 404 | 429 | 503) => Self::Later(status, answer.code()),
            status => Self::Wrong(status, answer.code()),
        }
    }

    /// Whether it is a claim.
    pub(crate) fn is_claim(&self) -> bool {
        matches!(self, Self::Claimed(..))
    }

    /// Whether the person need not ask again.
    pub(crate) fn is_conclusive(&self) -> bool {
        matches!(self, Self::Claimed(..) | Self::SoldOut | Self::Wrong(..))
    }
}

/// All rounds of a row at one drop.
pub(crate) struct History {
    limit: u32,
    wishes: Vec<Wish>,
    claims: HashMap<Wish, String>,
    told_201: usize,
    /// Contradictions between answers, each named by the promise that it breaks.
    broken: Vec<String>,
    lines: String,
}

impl History {
    /// Nobody has asked yet. A person may have one claim or two.
    pub(crate) fn begin(limit: u32) -> Self {
        assert!(limit == 1 || limit == 2, "no keys for more");
        let (wishes, claims) = (Vec::new(), HashMap::new());
        Self { limit, wishes, claims, told_201: 0, broken: Vec::new(), lines: String::new() }
    }

    /// Somebody who never asked before; with a limit of two every other wish is the same person's second.
    pub(crate) fn new_wish(&mut self) -> Wish {
        let number = self.wishes.len();
        let wish = match self.limit {
            1 => Wish::of(format!("{PERSON_MARK}-{number}")),
            _ => Wish::keyed(format!("{PERSON_MARK}-{}", number / 2), KEYS[number % 2]),
        };
        self.wishes.push(wish.clone());
        wish
    }

    /// Notes one answer.
    pub(crate) fn note(&mut self, wish: &Wish, at: Duration, said: Said) {
        let key = wish.key.unwrap_or("-");
        let _ = writeln!(self.lines, "{:>8} ms {} {key} {said:?}", at.as_millis(), wish.person);
        match said {
            Said::Claimed(status, id) => self.note_claim(wish, status, id),
            // A drop has units left until the crowd at the round's end comes.
            Said::SoldOut => self.broken.push(format!("I1: {wish:?} was told sold out with units left")),
            Said::Wrong(status, code) => self.broken.push(format!("I6: {wish:?} was told {status} {code}")),
            Said::Later(..) | Said::Nothing => {}
        }
    }

    /// Notes what everybody was told at a round's end.
    pub(crate) fn note_end(&mut self, told: HashMap<Wish, Told>) {
        for (wish, told) in told {
            let _ = writeln!(self.lines, "  at last {} {} {told:?}", wish.person, wish.key.unwrap_or("-"));
            match told {
                Told::Claimed(id) => self.note_claim(&wish, 200, id),
                Told::SoldOut => {
                    if let Some(id) = self.claims.get(&wish) {
                        self.broken.push(format!("I2: {wish:?} has {id} and was told sold out"));
                    }
                }
            }
        }
    }

    fn note_claim(&mut self, wish: &Wish, status: u16, id: String) {
        self.told_201 += usize::from(status == 201);
        match self.claims.get(wish) {
            Some(before) if *before != id => {
                self.broken.push(format!("I6: {wish:?} was told {before}, then {id}"));
            }
            Some(_) => {}
            None => {
                self.claims.insert(wish.clone(), id);
            }
        }
    }

    /// Everybody who ever came.
    pub(crate) fn wishes(&self) -> &[Wish] {
        &self.wishes
    }

    /// What people hold, by their own words.
    pub(crate) fn claims(&self) -> &HashMap<Wish, String> {
        &self.claims
    }

    /// How many claims people know of.
    pub(crate) fn claimed(&self) -> usize {
        self.claims.len()
    }

    /// How many claims one person may have.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Answers that contradict each other.
    pub(crate) fn broken(&self) -> &[String] {
        &self.broken
    }

    /// Every answer, a line each.
    pub(crate) fn lines(&self) -> &str {
        &self.lines
    }
}
