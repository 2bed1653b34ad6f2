//! Holders in Redis beside rows in the ledger and claims in the journal, claim by claim.
//!
//! Compares fingerprints by claim number, a window of numbers at a time, so that memory stays bounded however
//! many hold a claim. A scan may give a holder twice and miss who came during it: what is given twice is the same
//! claim number with the same fingerprint, and what came later has a number beyond the moment's last.

use std::collections::HashMap;

use redis::aio::MultiplexedConnection;

use super::AuditError;
use super::moment::{DropMoment, Series};
use super::print::{Print, Printer};
use super::report::Findings;
use crate::domain::claim::Grant;
use crate::domain::ids::{ClaimNumber, DropNumber, Epoch, Mark, Shard};
use crate::ledger::Ledger;
use crate::limits;
use crate::redis::codes::decode_records;
use crate::redis::reads;

/// What the walk over all holders has found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Claims that were expected: rows and claims in the journal.
    pub(super) expected: u64,
    /// Records of holders that met what was expected of their number.
    pub(super) matched: u64,
    /// Claims that Redis and ledger do not agree about.
    pub(super) differences: Findings,
    /// Holders with more live claims than the limit.
    pub(super) over_limit: Findings,
    /// Holders with one mark twice.
    pub(super) repeated_marks: Findings,
    /// Which claims are in ledger or journal; kept only when it is asked for.
    pub(super) present: Option<Present>,
}

/// Which claims stand in ledger or journal, one byte a claim.
#[derive(Debug, Default)]
pub(super) struct Present(HashMap<(DropNumber, Epoch), Vec<bool>>);

impl Present {
    /// Whether the claim stands in ledger or journal.
    pub(super) fn has(&self, number: ClaimNumber) -> bool {
        let series = self.0.get(&(number.drop, number.epoch));
        series.and_then(|series| series.get(usize::try_from(number.seq).ok()?)).copied().unwrap_or(false)
    }

    fn add(&mut self, window: &Window) {
        let series = self.0.entry((window.drop, window.epoch)).or_default();
        let first = usize::try_from(window.first_seq).unwrap_or(usize::MAX);
        series.resize(first.saturating_add(window.prints.len()), false);
        for (present, print) in series.iter_mut().skip(first).zip(&window.prints) {
            *present = print.is_some();
        }
    }
}

/// A run of claim numbers of one series: what is expected of each, and whether a holder had it.
struct Window {
    shard: Shard,
    drop: DropNumber,
    epoch: Epoch,
    first_seq: u32,
    prints: Vec<Option<Print>>,
    seen: Vec<bool>,
}

/// Walks over the holders of drops.
pub(super) struct Walk<'a> {
    pub(super) redis: &'a mut MultiplexedConnection,
    pub(super) ledger: &'a dyn Ledger,
    pub(super) shard: Shard,
    pub(super) printer: &'a Printer,
    pub(super) walked: Walked,
}

impl Walk<'_> {
    /// Compares all claims of a drop.
    pub(super) async fn drop(&mut self, drop: &DropMoment) -> Result<(), AuditError> {
        let mut first = true;
        let mut last_seq = 0;
        for (epoch, series) in &drop.series {
            let view = drop.in_redis().filter(|view| view.epoch == *epoch);
            let through = series.seq_max().max(view.map_or(0, |view| view.seq));
            let mut from = 1_u32;
            loop {
                let to = through.min(from.saturating_add(limits::AUDIT_WINDOW_CLAIMS - 1));
                let mut window = self.expect(drop, *epoch, series, from, to).await?;
                let newest = self.scan(drop, &mut window, first).await?;
                if view.is_some() {
                    last_seq = last_seq.max(newest);
                }
                self.note(&window);
                first = false;
                if to >= through {
                    break;
                }
                from = to.saturating_add(1);
            }
        }
        self.look_beyond(drop, last_seq).await
    }

    /// What ledger and journal expect of the numbers `from` to `to`.
    async fn expect(
        &mut self,
        drop: &DropMoment,
        epoch: Epoch,
        series: &Series,
        from: u32,
        to: u32,
    ) -> Result<Window, AuditError> {
        let len = usize::try_from((u64::from(to) + 1).saturating_sub(u64::from(from))).unwrap_or(0);
        let mut window = Window {
            shard: self.shard,
            drop: drop.number,
            epoch,
            first_seq: from,
            prints: vec![None; len],
            seen: vec![false; len],
        };
        let rows_through = to.min(series.row_seq_max);
        let mut after = window.number(from.saturating_sub(1));
        while after.seq < rows_through {
            let page = self.ledger.claims(drop.number, Some(after), limits::CLAIM_ROWS_PAGE).await?;
            let ours = page.iter().take_while(|row| {
                let number = row.number;
                (number.shard, number.epoch) == (self.shard, epoch) && number.seq <= rows_through
            });
            let mut last = None;
            for row in ours {
                let print = self.printer.print(row.person.as_bytes(), row.mark.as_deref(), row.claimed_at_ms);
                window.put(row.number.seq, print);
                last = Some(row.number);
            }
            let Some(last) = last else { break };
            after = last;
        }
        for stretch in &series.undrained {
            for (seq, print) in (stretch.first_seq..=stretch.last_seq()).zip(&stretch.prints) {
                window.put(seq, *print);
            }
        }
        Ok(window)
    }

    /// Goes over all holders once; the highest number of the window's series that any of them has.
    async fn scan(&mut self, drop: &DropMoment, window: &mut Window, first: bool) -> Result<u32, AuditError> {
        let (mut cursor, mut newest) = (0, 0);
        loop {
            let page =
                reads::holders_page(self.redis, self.shard, &drop.spec.id, cursor, limits::SCAN_HOLDERS)
                    .await?;
            for (person, records) in &page.holders {
                let Ok(grants) = decode_records(records) else {
                    if first {
                        let id = &drop.spec.id;
                        self.walked.differences.add(|| format!("{id}: a holder's record cannot be read"));
                    }
                    continue;
                };
                if first {
                    self.look_at_person(drop, &grants);
                }
                let epoch = window.epoch;
                for grant in grants.iter().filter(|grant| grant.epoch == epoch) {
                    newest = newest.max(grant.seq);
                    self.meet(drop, window, person, grant);
                }
            }
            match page.next {
                Some(next) => cursor = next,
                None => return Ok(newest),
            }
        }
    }

    /// Sets one record beside what is expected of its number.
    fn meet(&mut self, drop: &DropMoment, window: &mut Window, person: &[u8], grant: &Grant) {
        let number = window.number(grant.seq);
        let Some((expected, seen)) = window.slot(grant.seq) else { return };
        let mark = grant.mark.map(|mark| mark.to_string());
        let print = self.printer.print(person, mark.as_deref(), grant.claimed_at_ms);
        let id = &drop.spec.id;
        let Some(expected) = expected else {
            let claim = number.claim_id();
            self.walked.differences.add(|| {
                format!(
                    "{id}: {claim} (no {}) has a holder and stands in neither ledger nor journal",
                    number.seq
                )
            });
            return;
        };
        if expected != print {
            let claim = number.claim_id();
            self.walked.differences.add(|| {
                format!("{id}: {claim} (no {}) is another person's in Redis than in the ledger", number.seq)
            });
        } else if !*seen {
            self.walked.matched = self.walked.matched.saturating_add(1);
        }
        *seen = true;
    }

    /// What one person may hold.
    fn look_at_person(&mut self, drop: &DropMoment, grants: &[Grant]) {
        let id = &drop.spec.id;
        let live: Vec<&Grant> = grants.iter().filter(|grant| !grant.returned).collect();
        // The limit only ever rises, and Redis is told of it after the ledger.
        let limit = drop.spec.limit_per_person;
        if live.len() > usize::try_from(limit).unwrap_or(usize::MAX) {
            let claims: Vec<String> =
                live.iter().take(4).map(|grant| grant.number(drop.number, self.shard).claim_id()).collect();
            let (count, claims) = (live.len(), claims.join(", "));
            self.walked.over_limit.add(|| format!("{id}: one person holds {count} of {limit} ({claims})"));
        }
        let mut marks: Vec<Mark> = grants.iter().filter_map(|grant| grant.mark).collect();
        marks.sort_unstable();
        if marks.windows(2).any(|pair| pair.first() == pair.get(1)) {
            self.walked.repeated_marks.add(|| format!("{id}: one person has two claims of one key in Redis"));
        }
        let epoch_now = drop.in_redis().map_or(Epoch::FIRST, |view| view.epoch);
        if let Some(stray) =
            grants.iter().find(|grant| grant.epoch <= epoch_now && !drop.series.contains_key(&grant.epoch))
        {
            let claim = stray.number(drop.number, self.shard).claim_id();
            self.walked.differences.add(|| format!("{id}: {claim} has a holder and no ledger row"));
        }
    }

    /// Counts what was expected, and names what no holder had.
    fn note(&mut self, window: &Window) {
        for (seq, (print, seen)) in (window.first_seq..).zip(window.prints.iter().zip(&window.seen)) {
            if print.is_none() {
                continue;
            }
            self.walked.expected = self.walked.expected.saturating_add(1);
            if !seen {
                let claim = window.number(seq).claim_id();
                self.walked.differences.add(|| format!("{claim} (no {seq}) has no holder in Redis"));
            }
        }
        if let Some(present) = &mut self.walked.present {
            present.add(window);
        }
    }

    /// A record beyond the moment's last number belongs to a later claim, if the drop has come that far by now.
    async fn look_beyond(&mut self, drop: &DropMoment, newest: u32) -> Result<(), AuditError> {
        let Some(before) = drop.in_redis() else { return Ok(()) };
        if newest <= before.seq {
            return Ok(());
        }
        let (_, views) = reads::views(self.redis, self.shard, [&drop.spec.id]).await?;
        if let Some(Some(now)) = views.first()
            && now.epoch == before.epoch
            && newest > now.seq
        {
            let (id, last) = (&drop.spec.id, now.seq);
            self.walked
                .differences
                .add(|| format!("{id}: a holder has claim no {newest}, and only {last} were granted"));
        }
        Ok(())
    }
}

impl Window {
    fn number(&self, seq: u32) -> ClaimNumber {
        ClaimNumber { drop: self.drop, shard: self.shard, epoch: self.epoch, seq }
    }

    fn index(&self, seq: u32) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.first_seq)?).ok()
    }

    fn put(&mut self, seq: u32, print: Print) {
        if let Some(slot) = self.index(seq).and_then(|index| self.prints.get_mut(index)) {
            *slot = Some(print);
        }
    }

    /// What is expected of a number, and whether a holder had it; nothing for a number outside of the window.
    fn slot(&mut self, seq: u32) -> Option<(Option<Print>, &mut bool)> {
        let index = self.index(seq)?;
        Some((*self.prints.get(index)?, self.seen.get_mut(index)?))
    }
}
