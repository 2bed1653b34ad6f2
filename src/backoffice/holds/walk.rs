//! The walk over a drop's claims: up to where everything is settled, and what was left behind on the way.
//!
//! Owns which claims are looked at again. Holds fall due in the order in which they were granted, so that the walk may end at
//! the first one that waits for its time; but never at one that the ledger does not end, which could hold up all behind it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::clock::UnixMs;
use crate::domain::ids::{ClaimNumber, Epoch};
use crate::domain::life::State;
use crate::ledger::{ClaimRow, ClaimStatus};
use crate::limits;

/// Which Redis units are given back to: the server that was compared last, and the drop's epoch in it. One that was
/// swapped or made anew may lack what was given back to the one before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stand {
    pub(super) run_id: Option<Arc<String>>,
    pub(super) epoch: Option<Epoch>,
}

/// How far the walk over a drop's claims has come.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// The Redis that all of it is about.
    pub(super) stand: Stand,
    /// Everything up to here is settled, or stuck.
    pub(super) settled: Option<ClaimNumber>,
    /// All claims were looked at once, those not due yet too: one may have been cancelled by a service that died.
    pub(super) is_whole: bool,
    /// What is stuck, and until when it was held; at most [`limits::HOLDS_STUCK_MAX`].
    pub(super) stuck: BTreeMap<ClaimNumber, UnixMs>,
    /// When it was last tried to end these.
    pub(super) tried_at: Option<Instant>,
}

/// A claim, and how it stands.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) row: ClaimRow,
    pub(super) state: State,
    /// The end of its time.
    pub(super) held_until_ms: UnixMs,
    /// Why the ledger does not end it although its time is over, or does not say how it stands.
    pub(super) stuck: Option<String>,
}

impl Looked {
    /// Whether nothing is left to be done with it.
    pub(super) fn is_settled(&self) -> bool {
        self.row.status == ClaimStatus::Returned || self.state == State::Confirmed
    }

    /// Whether its unit is to go back to stock.
    pub(super) fn is_given_up(&self) -> bool {
        matches!(self.state, State::Cancelled | State::Lapsed) && !self.is_settled()
    }

    /// Whether it is held, and nothing but time is in the way of its end.
    pub(super) fn is_held(&self) -> bool {
        self.state == State::Held && !self.is_settled() && self.stuck.is_none()
    }
}

impl Walk {
    /// Begins anew where another Redis is there.
    pub(super) fn keep_to(&mut self, stand: Stand) {
        if self.stand != stand {
            *self = Self { stand, ..Self::default() };
        }
    }

    /// Goes over the next page; `is_gapless` says whether everything before it is settled or stuck, and then whether
    /// everything in it is too. Whether anything behind the page may be due.
    pub(super) fn pass(&mut self, page: &[Looked], is_gapless: &mut bool) -> bool {
        for one in page {
            // What is given up counts as settled: it is back, or on the list of what is owed.
            *is_gapless &= one.is_settled() || one.is_given_up() || self.keep(one);
            if *is_gapless {
                self.settled = Some(one.row.number);
            }
        }
        !self.is_whole || !page.iter().any(Looked::is_held)
    }

    /// Keeps what is stuck, so that the walk can go past it; `false` where it is not, or where too much is.
    fn keep(&mut self, one: &Looked) -> bool {
        let Some(why) = &one.stuck else { return false };
        let claim = one.row.number;
        if self.stuck.contains_key(&claim) {
            return true;
        }
        let has_room = self.stuck.len() < limits::HOLDS_STUCK_MAX;
        if has_room {
            tracing::warn!(claim = claim.claim_id(), why, "a hold does not end");
            self.stuck.insert(claim, one.held_until_ms);
        }
        has_room
    }

    /// The stuck claims, where it is time to try again to end them.
    pub(super) fn take_due(&mut self) -> Vec<ClaimNumber> {
        let is_time = self.tried_at.is_none_or(|at| at.elapsed() >= limits::HOLDS_STUCK_AGAIN);
        if self.stuck.is_empty() || !is_time {
            return Vec::new();
        }
        self.tried_at = Some(Instant::now());
        self.stuck.keys().copied().collect()
    }

    /// What has become of these. The walk has gone past them: one that is only held again is kept too, until it ends.
    pub(super) fn tried(&mut self, looked: &[Looked]) {
        let left = looked.iter().filter(|one| !one.is_settled() && !one.is_given_up());
        self.stuck = left.map(|one| (one.row.number, one.held_until_ms)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{DropNumber, Epoch, Shard};

    fn number(seq: u32) -> ClaimNumber {
        ClaimNumber { drop: DropNumber(1), shard: Shard(0), epoch: Epoch::FIRST, seq }
    }

    /// A page from `first` on: `l` lapsed, `c` confirmed, `h` held, `x` stuck.
    fn page(first: u32, states: &str) -> Vec<Looked> {
        let looked = |(seq, word)| Looked {
            row: ClaimRow {
                number: number(seq),
                person: "ann".to_owned(),
                mark: None,
                status: ClaimStatus::Issued,
                may_claim_again: true,
                claimed_at_ms: 1,
            },
            state: match word {
                'l' => State::Lapsed,
                'c' => State::Confirmed,
                _ => State::Held,
            },
            held_until_ms: 2,
            stuck: (word == 'x').then(|| "it is poisoned".to_owned()),
        };
        (first..).zip(states.chars()).map(looked).collect()
    }

    #[test]
    fn the_walk_goes_past_what_is_stuck_and_ends_at_what_waits() {
        let mut walk = Walk { is_whole: true, ..Walk::default() };
        let mut is_gapless = true;
        assert!(walk.pass(&page(1, "lxc"), &mut is_gapless), "what is behind a stuck one may be due");
        assert_eq!((walk.settled, is_gapless), (Some(number(3)), true));
        assert_eq!(walk.stuck, BTreeMap::from([(number(2), 2)]));
        assert!(!walk.pass(&page(4, "lhl"), &mut is_gapless), "nothing behind one that waits is due");
        assert_eq!((walk.settled, is_gapless), (Some(number(4)), false));
        assert_eq!(walk.take_due(), [number(2)]);
        assert_eq!(walk.take_due(), [], "not at every sweep");
    }

    #[test]
    fn what_the_walk_went_past_is_looked_at_until_it_has_ended() {
        let mut walk = Walk { is_whole: true, ..Walk::default() };
        walk.pass(&page(1, "xxxx"), &mut true);
        walk.tried(&page(1, "lxhc"));
        assert_eq!(walk.stuck.keys().copied().collect::<Vec<_>>(), [number(2), number(3)]);
        walk.tried(&page(2, "cl"));
        assert_eq!(walk.stuck, BTreeMap::new());
    }

    #[test]
    fn a_walk_begins_anew_with_another_server_or_epoch() {
        let stand = |run_id: &str, epoch| Stand {
            run_id: Some(Arc::new(run_id.to_owned())),
            epoch: Some(Epoch(epoch)),
        };
        let mut walk = Walk::default();
        for other in [stand("a", 1), stand("a", 2), stand("b", 2)] {
            walk.keep_to(other.clone());
            assert_eq!((walk.settled, walk.is_whole), (None, false), "{other:?}");
            walk.pass(&page(1, "lxc"), &mut true);
            walk.is_whole = true;
            walk.keep_to(other);
            assert_eq!((walk.settled, walk.is_whole, walk.stuck.len()), (Some(number(3)), true, 1));
        }
    }

    #[test]
    fn the_first_walk_looks_at_everything() {
        let mut walk = Walk::default();
        let mut is_gapless = true;
        assert!(walk.pass(&page(1, "hh"), &mut is_gapless));
        assert!(walk.pass(&page(3, "ll"), &mut is_gapless));
        assert_eq!((walk.settled, is_gapless), (None, false));
    }

    #[test]
    fn when_too_much_is_stuck_the_walk_comes_back_to_it() {
        let mut walk = Walk { is_whole: true, ..Walk::default() };
        let mut is_gapless = true;
        let all = "x".repeat(limits::HOLDS_STUCK_MAX + 2);
        assert!(walk.pass(&page(1, &all), &mut is_gapless), "what is behind them is swept all the same");
        assert!(walk.pass(&page(1, &all), &mut true), "and so it is the next time");
        let kept = u32::try_from(limits::HOLDS_STUCK_MAX).unwrap();
        assert_eq!((walk.settled, is_gapless), (Some(number(kept)), false));
        assert_eq!(walk.stuck.len(), limits::HOLDS_STUCK_MAX);
    }
}
