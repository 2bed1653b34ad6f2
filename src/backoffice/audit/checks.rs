//! The promises, one function each: what is compared, and what does not agree.

use std::fmt::Write as _;

use super::claims_log::Logged;
use super::holders::Walked;
use super::moment::{DropMoment, Moment, Series};
use super::report::{Check, DropLine, Findings};
use crate::domain::count::{counted, counted_of};
use crate::domain::ids::{CampaignId, DropNumber, Epoch};
use crate::domain::life::State;
use crate::domain::money::Fen;
use crate::ledger::{Balances, ChainBreak, ChainHead};
use crate::redis::codes::{DropState, DropView};

/// What the ledger says of the persons of one drop.
pub(super) struct Persons {
    pub(super) drop: DropNumber,
    /// Over the limit, with how many live claims they have.
    pub(super) over_limit: Vec<(String, u64)>,
    /// With one mark more than once.
    pub(super) repeated_marks: Vec<(String, String, u64)>,
}

/// Who has claims in several drops of a campaign in which one may win in one of them alone.
pub(super) struct Several {
    pub(super) campaign: CampaignId,
    /// With the number of those drops.
    pub(super) persons: Vec<(String, u64)>,
}

/// I1: stock.
pub(super) fn stock(moment: &Moment) -> Check {
    let mut found = Findings::default();
    let (mut total, mut left) = (0_u64, 0_u64);
    for drop in &moment.drops {
        let id = &drop.spec.id;
        let totals = drop.totals();
        total = total.saturating_add(drop.spec.stock);
        left = left.saturating_add(totals.left.unwrap_or(0));
        if let Err(error) = &drop.view {
            found.add(|| format!("{id}: what Redis holds of it is no drop ({error})"));
        } else if !drop.adds_up() {
            let stock = drop.spec.stock;
            found.add(|| match totals.left {
                None => format!("{id}: stock {stock} in the ledger, and the drop is gone from Redis"),
                Some(left) => format!(
                    "{id}: stock {stock} in the ledger, but in Redis {left} left + {} accepted - {} returned = {}",
                    totals.accepted,
                    totals.returned,
                    i128::from(left) + i128::from(totals.accepted) - i128::from(totals.returned)
                ),
            });
        }
    }
    let compared = format!(
        "the ledger's stock of {} ({}) with Redis' counters ({left} left)",
        counted_of(moment.drops.len(), "drop", "drops"),
        counted(total, "unit", "units")
    );
    let promise =
        "Nothing is oversold: stock in all = left + accepted - returned, and left is not below zero.";
    Check::new("I1", promise, compared, &found)
}

/// I2: claims one by one, and those that clients saw.
pub(super) fn claims(walked: &Walked, logged: Option<&Logged>) -> Check {
    let mut found = walked.differences.clone();
    let mut compared = format!(
        "{} of ledger and journal with the holders in Redis, of which {} the same",
        counted(walked.expected, "claim", "claims"),
        counted(walked.matched, "is", "are")
    );
    match logged {
        Some(Logged { claims, repeated, unknown, differences }) => {
            found = differences.clone().followed_by(found);
            let _ = write!(
                compared,
                "; {} that clients saw with ledger and journal ({} repeated one, {} unknown)",
                counted(*claims, "claim", "claims"),
                counted(*repeated, "answer", "answers"),
                counted(*unknown, "outcome is", "outcomes are")
            );
        }
        None => compared.push_str("; no claims log was given"),
    }
    let promise = "Every claim that was granted has exactly one ledger row, of the same person.";
    Check::new("I2", promise, compared, &found)
}

/// I3: numbers, and who is ahead of whom.
pub(super) fn numbers(moment: &Moment) -> Check {
    let mut found = Findings::default();
    if moment.journal_behind {
        let (end, position) = (moment.journal_end, moment.standing.position);
        found.add(|| format!("Redis' journal ends at {end}, the ledger has committed it up to {position}"));
    }
    let (mut rows, mut undrained, mut granted) = (0_u64, 0_u64, 0_u64);
    for drop in &moment.drops {
        let totals = drop.totals();
        rows = rows.saturating_add(totals.rows);
        undrained = undrained.saturating_add(totals.undrained);
        granted = granted.saturating_add(totals.accepted);
        for (epoch, series) in &drop.series {
            series_numbers(drop, *epoch, series, &mut found);
        }
        returns(drop, &mut found);
    }
    let compared = format!(
        "{} and {} in the journal with {} that Redis gave",
        counted(rows, "ledger row", "ledger rows"),
        counted(undrained, "claim", "claims"),
        counted(granted, "number", "numbers")
    );
    let promise =
        "The ledger has what was granted, numbered 1, 2, 3 ... without gaps; Redis is never behind it.";
    Check::new("I3", promise, compared, &found)
}

fn series_numbers(drop: &DropMoment, epoch: Epoch, series: &Series, found: &mut Findings) {
    let id = &drop.spec.id;
    let (rows, max) = (series.rows, series.row_seq_max);
    if rows != u64::from(max) {
        let missing = u64::from(max).saturating_sub(rows);
        found.add(|| format!("{id}: the ledger misses {missing} of the claims 1 to {max}"));
    }
    let mut last = max;
    for stretch in &series.undrained {
        let first = stretch.first_seq;
        if last.checked_add(1) != Some(first) {
            found.add(|| format!("{id}: the journal goes on with claim {first} after claim {last}"));
        }
        last = last.max(stretch.last_seq());
    }
    let Some(view) = drop.in_redis() else {
        let count = rows.saturating_add(series.undrained_claims());
        let claims = counted(count, "claim", "claims");
        if drop.view.is_err() {
            found.add(|| format!("{id}: {claims} cannot be compared with what Redis holds"));
        } else if count > 0 || drop.loaded {
            found.add(|| format!("{id}: the drop is gone from Redis, where it had {claims}"));
        }
        return;
    };
    match epoch.cmp(&view.epoch) {
        std::cmp::Ordering::Less => {}
        std::cmp::Ordering::Greater => {
            let (ours, theirs) = (view.epoch.0, epoch.0);
            found.add(|| format!("{id}: Redis is in epoch {ours}, the ledger in epoch {theirs}"));
        }
        std::cmp::Ordering::Equal => ahead(drop, view, last, found),
    }
}

/// Redis' last number beside that of ledger and journal.
fn ahead(drop: &DropMoment, view: &DropView, last: u32, found: &mut Findings) {
    let (id, seq) = (&drop.spec.id, view.seq);
    if seq < last {
        let lost = last - seq;
        found.add(|| {
            let (claims, lost) = (counted(seq.into(), "claim", "claims"), counted(lost.into(), "is", "are"));
            format!("{id}: Redis is behind the ledger: {claims} against {last}, {lost} lost in Redis")
        });
    } else if seq > last {
        let lost = seq - last;
        found.add(|| {
            let claims = counted(seq.into(), "claim", "claims");
            let lost = counted(lost.into(), "of them stands", "of them stand");
            format!("{id}: Redis gave {claims}, {lost} in neither ledger nor journal")
        });
    }
}

/// Returns in Redis beside ledger and journal, while Redis has counted all of them.
fn returns(drop: &DropMoment, found: &mut Findings) {
    let Some(view) = drop.in_redis() else { return };
    if drop.series.range(..view.epoch).next().is_some() {
        return;
    }
    let durable: u64 = drop.series.values().map(|series| series.returned).sum();
    let known = durable.saturating_add(drop.undrained_returns);
    if known != view.returned {
        let (id, in_redis) = (&drop.spec.id, view.returned);
        let in_redis = counted(in_redis, "return", "returns");
        found.add(|| format!("{id}: {in_redis} in Redis, {known} in ledger and journal"));
    }
}

/// I4: the limit.
pub(super) fn limit(moment: &Moment, walked: &Walked, persons: &[Persons], several: &[Several]) -> Check {
    let mut found = walked.over_limit.clone();
    for (drop, said) in by_drop(moment, persons) {
        let (id, limit) = (&drop.spec.id, drop.spec.limit_per_person);
        for (_, claims) in &said.over_limit {
            found.add(|| format!("{id}: one person has {claims} live claims in the ledger, {limit} may be"));
        }
    }
    for Several { campaign, persons } in several {
        for (_, drops) in persons {
            found.add(|| {
                format!("{campaign}: one person has claims in {drops} drops, and may have them in one")
            });
        }
    }
    let compared = format!(
        "the live claims of each person, in Redis and in the ledger, with the limits of {}, and in the ledger \
         across the drops of {}",
        counted_of(moment.drops.len(), "drop", "drops"),
        counted_of(several.len(), "campaign", "campaigns")
    );
    let promise =
        "Nobody has more claims than the drop's limit, or in more than one drop of a campaign that says so.";
    Check::new("I4", promise, compared, &found)
}

fn by_drop<'a>(
    moment: &'a Moment,
    persons: &'a [Persons],
) -> impl Iterator<Item = (&'a DropMoment, &'a Persons)> {
    persons.iter().filter_map(|said| Some((moment.drops.iter().find(|drop| drop.number == said.drop)?, said)))
}

/// I5: money.
pub(super) fn money(moment: &Moment) -> Check {
    let mut found = Findings::default();
    let mut budget = Fen(0);
    for record in &moment.standing.catalogue.campaigns {
        let id = &record.campaign.id;
        let Some(books) = moment.standing.balances.iter().find(|books| books.campaign == *id) else {
            found.add(|| format!("{id}: has no postings"));
            continue;
        };
        budget = budget.plus(books.budget).unwrap_or(budget);
        let drops = record.campaign.drops.iter().zip(&record.drops);
        let issued = drops.filter_map(|(spec, drop)| {
            let tallies = moment.standing.tallies.iter().filter(|tally| tally.drop == drop.number);
            let kept: u64 = tallies.map(|tally| tally.claims.saturating_sub(tally.returned)).sum();
            let live = kept.saturating_sub(used(moment, drop.number));
            spec.voucher.as_ref().map(|terms| terms.face.times(live))
        });
        let mut issued = issued;
        let issued = issued.try_fold(Fen(0), |sum, worth| sum.plus(worth?));
        balances(books, record.campaign.budget, issued, &mut found);
    }
    let compared = format!(
        "the postings of every campaign ({} in all, budgets of {budget}) with their budgets and with the face value of \
         the live vouchers",
        moment.standing.balances.len()
    );
    let promise = "Money is accounted for to the fen: budget = unissued + live + payable + settled + recycled + treasury \
                   + recovered.";
    Check::new("I5", promise, compared, &found)
}

/// Claims of a drop whose vouchers are no longer in their holders' hands.
fn used(moment: &Moment, drop: DropNumber) -> u64 {
    let of = moment.standing.vouchers.iter().filter(|count| count.drop == drop);
    of.filter(|count| !matches!(count.state, State::Issued | State::Frozen)).map(|count| count.claims).sum()
}

fn balances(books: &Balances, budget: Fen, issued: Option<Fen>, found: &mut Findings) {
    let Balances { campaign, unissued, live, payable, settled, recycled, treasury, recovered, .. } = books;
    if books.unbalanced > 0 {
        let do_not = counted(books.unbalanced, "posting does not", "postings do not");
        found.add(|| format!("{campaign}: {do_not} balance"));
    }
    if books.spread() != Some(books.budget) {
        found.add(|| {
            format!(
                "{campaign}: budget {} is not {unissued} unissued + {live} live + {payable} payable + {settled} settled \
                 + {recycled} recycled + {treasury} treasury + {recovered} recovered",
                books.budget
            )
        });
    }
    if books.budget != budget {
        found.add(|| format!("{campaign}: the postings gave it {}, its budget is {budget}", books.budget));
    }
    if unissued.0 < 0 {
        found.add(|| format!("{campaign}: {unissued} are unissued"));
    }
    if issued != Some(*live) {
        let issued = issued.map_or_else(|| "more than fits".to_owned(), |issued| issued.to_string());
        found.add(|| format!("{campaign}: {live} live in the postings, {issued} by its live rows"));
    }
}

/// I6: idempotency.
pub(super) fn idempotency(moment: &Moment, walked: &Walked, persons: &[Persons]) -> Check {
    let mut found = walked.repeated_marks.clone();
    for (drop, said) in by_drop(moment, persons) {
        let id = &drop.spec.id;
        for (_, mark, count) in &said.repeated_marks {
            found.add(|| format!("{id}: one person has {count} claims of the key with mark {mark}"));
        }
        for (_, count) in said.over_limit.iter().filter(|_| drop.spec.limit_per_person == 1) {
            found.add(|| format!("{id}: one person has {count} claims, and is the key themself"));
        }
    }
    let compared =
        "every person's claims with each other by idempotency key, in the ledger and in Redis".to_owned();
    Check::new("I6", "One person and one idempotency key get one claim.", compared, &found)
}

/// I7: the audit chain. `kept` is the head that was kept elsewhere and the record that has it now.
pub(super) fn chain(verified: &Result<ChainHead, ChainBreak>, kept: Option<(&str, Option<u64>)>) -> Check {
    let mut found = Findings::default();
    let mut compared = match verified {
        Ok(head) => format!(
            "{} and all rows that they cover, by hash",
            counted(head.length, "audit record", "audit records")
        ),
        Err(broken) => {
            found.add(|| broken.to_string());
            format!("audit records and the rows that they cover, by hash, up to record {}", broken.index)
        }
    };
    match kept {
        None => compared.push_str("; no head that was kept elsewhere was given (--head)"),
        Some((_, Some(record))) => {
            let _ = write!(compared, "; the given head is that of record {record}");
        }
        Some((hash, None)) => {
            compared.push_str("; the given head with those of all records");
            found.add(|| format!("no record has the given head {hash}: the chain was cut or rewritten"));
        }
    }
    Check::new(
        "I7",
        "The audit chain verifies, and contains the head that was kept elsewhere.",
        compared,
        &found,
    )
}

/// F: drops that answer nobody.
pub(super) fn frozen(moment: &Moment) -> Check {
    let mut found = Findings::default();
    let known = moment.drops.iter().filter_map(|drop| Some((drop, drop.in_redis()?)));
    for (drop, _) in known.clone().filter(|(_, view)| view.state == DropState::Frozen) {
        found.add(|| format!("{} is frozen", drop.spec.id));
    }
    let compared = format!("the states of {} in Redis", counted_of(known.count(), "drop", "drops"));
    Check::new("F", "No drop is frozen.", compared, &found)
}

/// The drops in numbers.
pub(super) fn drop_lines(moment: &Moment) -> Vec<DropLine> {
    let line = |drop: &DropMoment| {
        let totals = drop.totals();
        DropLine {
            drop: drop.spec.id.to_string(),
            stock_total: drop.spec.stock,
            left: totals.left,
            accepted: totals.accepted,
            returned: totals.returned,
            ledger_rows: totals.rows,
            in_journal: totals.undrained,
        }
    };
    moment.drops.iter().map(line).collect()
}
