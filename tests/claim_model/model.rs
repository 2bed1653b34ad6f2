//! What the scripts should do, as small as it can be said: a vector of claims for each drop and no Redis.

use std::collections::BTreeMap;

use claimrush::clock::UnixMs;
use claimrush::domain::claim::{Grant, JournalEvent, Takers};
use claimrush::domain::ids::{DropId, Epoch, Mark};
use claimrush::redis::codes::{Code, DropReply, DropState, DropView, Outcome};

/// One claim of the model.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) person: String,
    pub(crate) grant: Grant,
    pub(crate) may_claim_again: bool,
}

/// What a claim must know of the other drops of its campaign.
#[derive(Debug)]
pub(crate) enum Elsewhere {
    /// Somebody may have won there.
    Unknown,
    /// By person, the place of a drop where they have a claim that counts, and the claim.
    Won(BTreeMap<String, (usize, Grant)>),
}

impl Elsewhere {
    /// For the drop at `index`, where the caller names the first `named` drops as the campaign's.
    pub(crate) fn of(drops: &[Drop], index: usize, named: usize) -> Self {
        let once = drops[index].once.map_or(0, |(once, _)| once);
        let mut won = BTreeMap::new();
        if once == 0 {
            return Self::Won(won);
        }
        if once != named || index >= named {
            return Self::Unknown;
        }
        for place in (0..once).filter(|place| *place != index) {
            match drops.get(place).filter(|drop| drop.state != DropState::Frozen) {
                None => return Self::Unknown,
                Some(drop) => {
                    let counting = drop.all().filter(|claim| !claim.may_claim_again);
                    won.extend(counting.map(|claim| (claim.person.clone(), (place, claim.grant))));
                }
            }
        }
        Self::Won(won)
    }
}

/// A drop of the model.
#[derive(Debug, Clone)]
pub(crate) struct Drop {
    pub(crate) id: DropId,
    pub(crate) epoch: Epoch,
    pub(crate) state: DropState,
    pub(crate) opens_at_ms: UnixMs,
    pub(crate) closes_at_ms: UnixMs,
    pub(crate) limit: u32,
    pub(crate) total: u64,
    /// The revision of the campaigns to which it was set last.
    pub(crate) revision: u64,
    /// Whether stock was taken away at that revision.
    pub(crate) shrinking: bool,
    /// Of how many drops, from the first on, a person may win in one alone, and the revision that says so; 0 for no rule.
    pub(crate) once: Option<(usize, u64)>,
    /// Claims of older epochs, in the order of granting.
    pub(crate) older: Vec<Claim>,
    /// How many of those had their unit when this epoch began.
    pub(crate) carried: u64,
    /// In order of `seq`, which is the index + 1.
    pub(crate) claims: Vec<Claim>,
}

impl Drop {
    /// Every claim, in the order of granting.
    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = &Claim> {
        self.older.iter().chain(&self.claims)
    }

    /// Claimed in any epoch and not returned.
    pub(crate) fn taken(&self) -> u64 {
        self.all().filter(|claim| !claim.grant.returned).count() as u64
    }

    /// Returned in this epoch.
    pub(crate) fn returned(&self) -> u64 {
        self.carried + self.claims.len() as u64 - self.taken()
    }

    /// The drop as it is made anew of all its claims: frozen, with a total that is no less than what they have.
    pub(crate) fn made_anew(&self, epoch: Epoch) -> Self {
        let (older, carried) = (self.all().cloned().collect(), self.taken());
        let total = self.total.max(carried);
        Self { epoch, state: DropState::Frozen, total, older, carried, claims: Vec::new(), ..self.clone() }
    }

    pub(crate) fn view(&self) -> DropView {
        DropView {
            epoch: self.epoch,
            state: self.state,
            opens_at_ms: self.opens_at_ms,
            closes_at_ms: self.closes_at_ms,
            limit: self.limit,
            stock: self.total.saturating_sub(self.taken()),
            seq: u32::try_from(self.claims.len()).expect("a short test"),
            returned: self.returned(),
        }
    }

    pub(crate) fn claims_of<'a>(&'a self, person: &'a str) -> impl DoubleEndedIterator<Item = &'a Claim> {
        self.all().filter(move |claim| claim.person == person)
    }

    fn decide(&mut self, elsewhere: &Elsewhere, now_ms: UnixMs, person: &str, mark: Option<Mark>) -> Outcome {
        if self.state == DropState::Frozen {
            return Outcome::Refused(Code::Frozen);
        }
        let again = self.claims_of(person).rfind(|claim| match mark {
            Some(_) => claim.grant.mark == mark,
            None => !claim.grant.returned,
        });
        if let Some(claim) = again {
            return Outcome::Again(claim.grant);
        }
        let counting = self.claims_of(person).filter(|claim| !claim.may_claim_again).count() as u64;
        let refusals = [
            (self.state == DropState::Paused, Code::Paused),
            (now_ms < self.opens_at_ms, Code::NotOpen),
            (now_ms >= self.closes_at_ms, Code::Closed),
            (counting >= u64::from(self.limit), Code::LimitReached),
            (self.taken() >= self.total, Code::SoldOut),
        ];
        if let Some((_, code)) = refusals.into_iter().find(|(applies, _)| *applies) {
            return Outcome::Refused(code);
        }
        match elsewhere {
            Elsewhere::Unknown => return Outcome::Refused(Code::Frozen),
            Elsewhere::Won(won) => {
                if let Some((place, grant)) = won.get(person) {
                    return Outcome::Elsewhere { place: *place, grant: *grant };
                }
            }
        }
        let seq = u32::try_from(self.claims.len() + 1).expect("a short test");
        let grant = Grant { epoch: self.epoch, seq, claimed_at_ms: now_ms, returned: false, mark };
        self.claims.push(Claim { person: person.to_owned(), grant, may_claim_again: false });
        Outcome::Granted { seq }
    }

    /// Decides a batch's claims in this drop, and tells what the journal must say of it.
    pub(crate) fn claim(
        &mut self,
        elsewhere: &Elsewhere,
        now_ms: UnixMs,
        requests: &[(&str, Option<Mark>)],
    ) -> (DropReply, Option<JournalEvent>) {
        let before = self.claims.len();
        let decide = |(person, mark): &(&str, _)| self.decide(elsewhere, now_ms, person, *mark);
        let outcomes = requests.iter().map(decide).collect();
        let takers: Vec<String> = self.claims[before..]
            .iter()
            .map(|claim| match claim.grant.mark {
                Some(mark) => format!("{}\t{mark}", claim.person),
                None => claim.person.clone(),
            })
            .collect();
        let event = (!takers.is_empty()).then(|| JournalEvent::Claimed {
            drop: self.id.clone(),
            epoch: self.epoch,
            claimed_at_ms: now_ms,
            first_seq: u32::try_from(before + 1).expect("a short test"),
            takers: Takers::new(&takers.join(" ")),
        });
        (DropReply { view: self.view(), outcomes }, event)
    }

    /// Returns a claim, unless it may not be.
    pub(crate) fn return_claim(
        &mut self,
        person: &str,
        number: (Epoch, u32),
        again: bool,
    ) -> Result<(), Code> {
        if self.state == DropState::Frozen {
            return Err(Code::Frozen);
        }
        let is_it =
            |claim: &&mut Claim| claim.person == person && (claim.grant.epoch, claim.grant.seq) == number;
        let claim = self.older.iter_mut().chain(&mut self.claims).find(is_it);
        let claim = claim.ok_or(Code::NotFound)?;
        if claim.grant.returned {
            return Err(Code::AlreadyReturned);
        }
        claim.grant.returned = true;
        claim.may_claim_again = again;
        Ok(())
    }

    /// The drop hash as Redis must hold it.
    pub(crate) fn hash(&self) -> BTreeMap<String, String> {
        let view = self.view();
        let fields = [
            ("epoch", view.epoch.0.to_string()),
            ("state", view.state.as_str().to_owned()),
            ("opens_at", view.opens_at_ms.to_string()),
            ("closes_at", view.closes_at_ms.to_string()),
            ("limit", view.limit.to_string()),
            ("stock", view.stock.to_string()),
            ("seq", view.seq.to_string()),
            ("returned", view.returned.to_string()),
            ("revision", self.revision.to_string()),
        ];
        let over = self.taken().checked_sub(self.total).filter(|over| *over > 0);
        let over = over.map(|over| ("over", over.to_string()));
        let shrinking = self.shrinking.then(|| ("shrinking", self.revision.to_string()));
        let once = self.once.into_iter().flat_map(|(drops, revision)| {
            [("once", drops.to_string()), ("once_revision", revision.to_string())]
        });
        let fields = fields.into_iter().chain(over).chain(shrinking).chain(once);
        fields.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The holders hash as Redis must hold it, byte for byte.
    pub(crate) fn holders(&self) -> BTreeMap<String, Vec<u8>> {
        let mut holders: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for claim in self.all() {
            let grant = &claim.grant;
            let flags = u8::from(grant.returned)
                + 2 * u8::from(claim.may_claim_again)
                + 4 * u8::from(grant.mark.is_some());
            let records = holders.entry(claim.person.clone()).or_default();
            records.push(flags);
            records.extend(grant.epoch.0.to_be_bytes());
            records.extend(grant.seq.to_be_bytes());
            records.extend(&grant.claimed_at_ms.to_be_bytes()[2..]);
            records.extend(grant.mark.iter().flat_map(|mark| mark.0));
        }
        holders
    }
}
