//! The ledger's rows, set beside what clients were told.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::time::sleep;

use super::{
    AuditPlan, ServiceAccess, Verdicts,
    findings::Findings,
    outside::Settled,
    seen::{Seen, Told},
    service::Row,
    told::claims_of_drop,
};

/// The checks of this module.
pub(super) const CHECKS: [&str; 3] = [IN_THE_LEDGER, NO_SURPRISE, NO_GAPS];
const IN_THE_LEDGER: &str = "in_the_ledger";
const NO_SURPRISE: &str = "ledger_has_no_surprise";
const NO_GAPS: &str = "numbers_without_gaps";

/// The first pause between two exports, and the longest: each is twice the one before.
const EXPORT_PAUSE: Duration = Duration::from_millis(250);
const EXPORT_PAUSE_MAX: Duration = Duration::from_secs(5);

/// The checks of the ledger while its drops go by.
pub(super) struct LedgerAudit<'a> {
    plan: &'a AuditPlan,
    seen: &'a Seen,
    settled: &'a Settled,
    progress: &'a dyn Fn(&str),
    /// Persons of whose outcome nobody knows, by drop and name; `None` where a name is not known.
    open: Option<HashSet<(usize, String)>>,
    /// What the ledger calls a person whose name cannot be known from outside, and the other way round.
    names: HashMap<u64, Box<str>>,
    numbers: HashMap<Box<str>, u64>,
    told: Findings,
    surprises: Findings,
    gaps: Findings,
    rows: u64,
    /// Rows by where they come from: before the run, told, granted without an answer, of an open outcome.
    sources: [u64; 4],
    series: u64,
}

impl<'a> LedgerAudit<'a> {
    pub(super) fn new(
        plan: &'a AuditPlan,
        seen: &'a Seen,
        settled: &'a Settled,
        progress: &'a dyn Fn(&str),
    ) -> Self {
        let named = settled.open.iter().map(|lost| {
            let drop = plan.drops.get(lost.drop)?;
            Some((lost.drop, plan.tickets.name(lost.person, drop)?))
        });
        Self {
            plan,
            seen,
            settled,
            progress,
            open: named.collect(),
            names: HashMap::new(),
            numbers: HashMap::new(),
            told: Findings::default(),
            surprises: Findings::default(),
            gaps: Findings::default(),
            rows: 0,
            sources: [0; 4],
            series: 0,
        }
    }

    /// Waits for each drop's rows and compares them.
    pub(super) async fn audit(mut self, service: &ServiceAccess, until: Instant, verdicts: &mut Verdicts) {
        for (drop, id) in self.plan.drops.iter().enumerate() {
            match self.caught_up(service, drop, id, until).await {
                Ok(rows) => self.compare(drop, id, &rows),
                Err(error) => {
                    let why = format!("{id}: {error:#}");
                    for found in [&mut self.told, &mut self.surprises, &mut self.gaps] {
                        found.add(|| why.clone());
                    }
                }
            }
        }
        self.conclude(verdicts);
    }

    /// A drop's rows once all that must be there is there and nothing comes any more, or nothing has come for too long.
    async fn caught_up(
        &self,
        service: &ServiceAccess,
        drop: usize,
        id: &str,
        until: Instant,
    ) -> Result<Vec<Row>> {
        let mut expected = claims_of_drop(self.seen, drop);
        expected.extend(self.settled.granted(drop).map(|claim_id| &**claim_id));
        expected.extend(self.before(id).into_iter().flatten().map(|claim_id| &**claim_id));
        let (mut before, mut moved_at, mut pause) = (None, Instant::now(), EXPORT_PAUSE);
        loop {
            let rows = service.export(id, until).await?;
            let there: HashSet<_> = rows.iter().map(|row| &*row.claim_id).collect();
            let missing = expected.difference(&there).count();
            if before == Some(rows.len()) {
                if missing == 0 || moved_at.elapsed() >= self.plan.drain_wait {
                    return Ok(rows);
                }
            } else {
                moved_at = Instant::now();
            }
            if Instant::now() + pause >= until {
                return Ok(rows);
            }
            (self.progress)(&format!("ledger: {} rows of {id}, {missing} still missing", rows.len()));
            before = Some(rows.len());
            sleep(pause).await;
            pause = (pause * 2).min(EXPORT_PAUSE_MAX);
        }
    }

    fn before(&self, id: &str) -> Option<&'a HashSet<Box<str>>> {
        self.plan.baseline.as_ref()?.of(id)
    }

    fn compare(&mut self, drop: usize, id: &str, rows: &[Row]) {
        let mut by_claim: HashMap<&str, Vec<&Row>> = HashMap::with_capacity(rows.len());
        for row in rows {
            by_claim.entry(&row.claim_id).or_default().push(row);
        }
        for told in self.seen.of_drop(drop) {
            let its_rows = by_claim.get(&*told.claim_id).map(Vec::as_slice).unwrap_or_default();
            self.compare_told(told, id, its_rows);
        }
        self.compare_sources(drop, id, rows, &by_claim);
        self.series += check_numbers(id, rows, &mut self.gaps);
    }

    /// One answer that a client saw, and the rows of its claim.
    fn compare_told(&mut self, told: &Told, id: &str, rows: &[&Row]) {
        let (claim, person) = (&told.claim_id, told.person);
        let [row] = rows else {
            let count = rows.len();
            self.told.add(|| format!("{claim} of {id}, told to person {person}, has {count} rows"));
            return;
        };
        if &*row.drop != id || row.seq != told.seq {
            let (seq, row_seq, row_drop) = (told.seq, row.seq, &row.drop);
            self.told.add(|| {
                format!("{claim} was told as no {seq} of {id} and stands there as no {row_seq} of {row_drop}")
            });
        }
        if !self.is_theirs(person, id, &row.person) {
            self.told.add(|| {
                format!("{claim} of {id}, told to person {person}, stands in the ledger as another's")
            });
        }
    }

    /// Whether the ledger's person is this one. Where a person's name cannot be known, the first row gives it.
    fn is_theirs(&mut self, person: u64, drop: &str, in_ledger: &str) -> bool {
        if let Some(name) = self.plan.tickets.name(person, drop) {
            return name == in_ledger;
        }
        let name = self.names.entry(person).or_insert_with(|| in_ledger.into());
        let same_name = **name == *in_ledger;
        let number = self.numbers.entry(in_ledger.into()).or_insert(person);
        same_name && *number == person
    }

    /// Every row comes from somewhere, and what is known to have been granted has one.
    fn compare_sources(&mut self, drop: usize, id: &str, rows: &[Row], by_claim: &HashMap<&str, Vec<&Row>>) {
        let told = claims_of_drop(self.seen, drop);
        let granted: HashSet<&str> = self.settled.granted(drop).map(|claim_id| &**claim_id).collect();
        let before = self.before(id);
        self.rows += rows.len() as u64;
        for row in rows {
            let claim = &*row.claim_id;
            let is_open =
                || self.open.as_ref().is_some_and(|open| open.contains(&(drop, row.person.to_string())));
            let source = if before.is_some_and(|before| before.contains(claim)) {
                0
            } else if told.contains(claim) {
                1
            } else if granted.contains(claim) {
                2
            } else if is_open() {
                3
            } else {
                self.surprises.add(|| format!("{claim} (no {}) of {id}: nobody was told of it", row.seq));
                continue;
            };
            if let Some(count) = self.sources.get_mut(source) {
                *count += 1;
            }
        }
        let has_none = |claim: &&str| !by_claim.contains_key(*claim);
        for claim in granted.iter().copied().filter(has_none) {
            self.surprises.add(|| format!("{claim} of {id} is shown to its person and has no row"));
        }
        for claim in before.into_iter().flatten().filter(|claim| has_none(&&***claim)) {
            self.surprises.add(|| format!("{claim} of {id} had a row before the run and has none now"));
        }
    }

    fn conclude(self, verdicts: &mut Verdicts) {
        let [before, told, granted, open] = self.sources;
        let compared =
            format!("{} answers with a claim with {} ledger rows", self.seen.told.len(), self.rows);
        let promise = "Every claim that a client was told of has exactly one ledger row, of the same person.";
        let no_detail = String::new;
        verdicts.checks.push(self.told.into_check(IN_THE_LEDGER, promise, compared, no_detail()));

        let not_known = if self.plan.baseline.is_none() {
            Some("what the ledger held before the run was not noted")
        } else if self.open.is_none() {
            Some("outcomes are unknown of persons whose name in the ledger is not known")
        } else {
            None
        };
        if let Some(why) = not_known {
            verdicts.left_out.push(format!("{NO_SURPRISE}: {why}"));
        } else {
            let compared = format!(
                "{} ledger rows with {before} from before the run, {told} that were told, {granted} granted without \
                     an answer, and {open} whose outcome was not looked up",
                self.rows
            );
            let promise = "The ledger has nothing but what was there, told, or granted without an answer.";
            verdicts.checks.push(self.surprises.into_check(NO_SURPRISE, promise, compared, no_detail()));
        }

        let compared = format!("the numbers of {} ledger rows in {} series", self.rows, self.series);
        let promise = "Claims are numbered 1, 2, 3 ... without gaps or repetitions in each shard and epoch.";
        verdicts.checks.push(self.gaps.into_check(NO_GAPS, promise, compared, no_detail()));
    }
}

/// Each series counts 1, 2, 3 … up to its last number. The number of series.
fn check_numbers(id: &str, rows: &[Row], gaps: &mut Findings) -> u64 {
    let mut series: BTreeMap<(u32, u32), Vec<u64>> = BTreeMap::new();
    for row in rows {
        series.entry((row.shard, row.epoch)).or_default().push(row.seq);
    }
    for ((shard, epoch), numbers) in &mut series {
        numbers.sort_unstable();
        let place = || format!("{id}, shard {shard}, epoch {epoch}");
        let mut last = 0;
        for &seq in numbers.iter() {
            if seq == last {
                gaps.add(|| format!("{}: no {seq} stands twice", place()));
            } else if seq != last + 1 {
                let missing = seq - last - 1;
                gaps.add(|| format!("{}: {missing} missing before no {seq}", place()));
            }
            last = seq;
        }
    }
    series.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_numbered_for_itself() {
        let row = |shard, epoch, seq| Row {
            claim_id: format!("{shard}-{epoch}-{seq}").into(),
            drop: "d".into(),
            shard,
            epoch,
            seq,
            person: "ann".into(),
        };
        let good = [row(0, 1, 2), row(0, 1, 1), row(1, 1, 1), row(1, 2, 1)];
        let mut gaps = Findings::default();
        assert_eq!(check_numbers("d", &good, &mut gaps), 3);
        assert!(gaps.into_check("c", "p", String::new(), String::new()).ok);
        let bad = [row(0, 1, 3), row(0, 1, 3), row(0, 1, 7), row(1, 1, 1), row(2, 1, 0)];
        let mut gaps = Findings::default();
        check_numbers("d", &bad, &mut gaps);
        assert_eq!(
            gaps.into_check("c", "p", String::new(), String::new()).detail,
            "d, shard 0, epoch 1: 2 missing before no 3; d, shard 0, epoch 1: no 3 stands twice; \
             d, shard 0, epoch 1: 3 missing before no 7; d, shard 2, epoch 1: no 0 stands twice"
        );
    }
}
