//! Where the sweep over vouchers whose time is over has to begin again.

use std::collections::BTreeMap;

use super::StepRow;
use crate::domain::life::State;

/// The first claim of each series, by row number, whose voucher these steps have given back to its holder. The sweep may
/// have passed it: it was redeemed or frozen then, and its time became longer since, or the clock of whoever gave it back
/// is behind.
pub(crate) fn given_back(steps: &[StepRow]) -> BTreeMap<i64, i64> {
    let mut first = BTreeMap::new();
    for claim in steps.iter().filter(|step| step.state == Some(State::Issued)).filter_map(|step| step.claim) {
        first.entry(claim >> 32).and_modify(|first: &mut i64| *first = claim.min(*first)).or_insert(claim);
    }
    first
}
