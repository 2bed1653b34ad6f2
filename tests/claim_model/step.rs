//! What can be done to drops, and random histories of it.

use std::collections::{BTreeMap, BTreeSet};

use claimrush::redis::codes::DropState;
use claimrush::redis::scripts::Mode;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::world::{CLAIMS_OF_ONE, DROPS, MARKS, PERSONS};

const STEPS_MAX: usize = 14;

/// One thing to do.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A batch of (drop, person, mark) by a front end with a view of the campaign, or with the present one; then the same
    /// call once more, if `twice`.
    Claim { claims: Vec<(usize, usize, Option<usize>)>, view: Option<usize>, twice: bool },
    /// Says that a person may win in one of the first `drops` drops alone, or that this is over; by somebody who has
    /// read an older revision, if `late`.
    Once { drops: usize, late: bool },
    /// Runs, pauses or freezes drops: by an older revision than they were set to, or by theirs; or whatever the campaigns say.
    State { drops: BTreeSet<usize>, state: DropState, late: Option<bool> },
    /// Changes drops.
    Configure { drops: BTreeMap<usize, Change> },
    /// Leaves a drop with so many units less than are claimed, then returns each person's first claim.
    TooMany { drop: usize, by: u64, again: bool },
    /// Returns a person's `nth` claim, modulo what there are; one that is nobody's if there is none, or from
    /// [`CLAIMS_OF_ONE`] on.
    Return { drop: usize, person: usize, nth: usize, again: bool },
    /// Makes a drop anew, in the next epoch, of all the claims that it has.
    Restore { drop: usize, how: Restored },
    /// Claims without a pause over the very millisecond in which a drop opens, or closes.
    Edge { drop: usize, opens: bool },
    /// Trims the first `entries` entries of the journal.
    Trim { entries: usize },
}

/// How a drop is made anew.
#[derive(Debug, Clone)]
pub(crate) struct Restored {
    /// Whether it was marked as lost before.
    pub(crate) lost: bool,
    /// Whether somebody else begins in the middle of it, and goes on alone.
    pub(crate) rival: bool,
    /// Whether it runs afterwards.
    pub(crate) runs: bool,
}

/// What is set in a drop, with the window relative to now.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) mode: Mode,
    pub(crate) total: u64,
    pub(crate) limit: u32,
    pub(crate) opens_in_ms: i64,
    pub(crate) closes_in_ms: i64,
}

fn change() -> impl Strategy<Value = Change> {
    // Mostly open; else around an edge that falls into the test's own milliseconds, or far away.
    let window = prop_oneof![
        6 => Just((-1_000, 1_000_000)),
        2 => (-1_i64..4).prop_map(|opens| (opens, 1_000_000)),
        2 => (0_i64..5).prop_map(|closes| (-1_000, closes)),
        1 => Just((1_000_000, 2_000_000)),
        1 => Just((-2_000, -1_000)),
    ];
    // Mostly somebody who takes stock away, and is refused what is claimed.
    let mode = prop_oneof![4 => Just(Mode::Shrink), 1 => Just(Mode::Create), 1 => Just(Mode::Update)];
    (mode, 0_u64..9, 1_u32..4, window).prop_map(|(mode, total, limit, window)| Change {
        mode,
        total,
        limit,
        opens_in_ms: window.0,
        closes_in_ms: window.1,
    })
}

fn step() -> impl Strategy<Value = Step> {
    // The drop that is never made comes up now and then.
    let drop = || prop_oneof![12 => 0..DROPS.len() - 1, 1 => Just(DROPS.len() - 1)];
    let claim = (drop(), 0..PERSONS, proptest::option::of(0..MARKS.len()));
    // All that are made; one that is never made beside them, of which nobody can tell who won; two of them; none.
    let once = prop_oneof![6 => Just(3_usize), 1 => Just(4), 1 => Just(2), 2 => Just(0)];
    let view =
        prop_oneof![5 => Just(None), 1 => prop_oneof![Just(0), Just(2), Just(3), Just(4)].prop_map(Some)];
    let state = prop_oneof![
        4 => Just(DropState::Running),
        2 => Just(DropState::Paused),
        1 => Just(DropState::Frozen),
    ];
    let nth = prop_oneof![7 => 0_usize..3, 1 => Just(CLAIMS_OF_ONE)];
    prop_oneof![
        8 => (vec(claim, 1..12), view, any::<bool>())
            .prop_map(|(claims, view, twice)| Step::Claim { claims, view, twice }),
        2 => (once, prop_oneof![3 => Just(false), 1 => Just(true)])
            .prop_map(|(drops, late)| Step::Once { drops, late }),
        2 => (btree_set(drop(), 1..4), state, proptest::option::of(any::<bool>()))
            .prop_map(|(drops, state, late)| Step::State { drops, state, late }),
        3 => btree_map(drop(), change(), 1..4).prop_map(|drops| Step::Configure { drops }),
        3 => (drop(), 0..PERSONS, nth, any::<bool>())
            .prop_map(|(drop, person, nth, again)| Step::Return { drop, person, nth, again }),
        1 => (0..DROPS.len() - 1, any::<bool>(), any::<bool>(), prop_oneof![3 => Just(true), 1 => Just(false)])
            .prop_map(|(drop, lost, rival, runs)| Step::Restore { drop, how: Restored { lost, rival, runs } }),
        1 => (0..DROPS.len() - 1, 1_u64..4, any::<bool>())
            .prop_map(|(drop, by, again)| Step::TooMany { drop, by, again }),
        1 => (0..DROPS.len() - 1, any::<bool>()).prop_map(|(drop, opens)| Step::Edge { drop, opens }),
        1 => (0_usize..4).prop_map(|entries| Step::Trim { entries }),
    ]
}

/// Random histories of steps.
pub(crate) fn history() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..STEPS_MAX)
}
