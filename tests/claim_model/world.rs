//! The model beside a real Redis: each step is done in both, and everything that can be seen is compared.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use claimrush::clock::UnixMs;
use claimrush::domain::claim::{JournalEvent, JournalId};
use claimrush::domain::ids::{DropId, Epoch, Mark, PersonId, Shard};
use claimrush::redis::codes::{Code, DropState, decode_records};
use claimrush::redis::scripts::{self, ClaimCall, DropConfig, Mode, Refused, Return};
use claimrush::redis::{journal, keys, reads};
use redis::cmd;

use super::configured::config_of;
use super::model;
use super::mutant::Connection;
use super::step::{Change, Step};

/// The shard of the test.
pub(crate) const SHARD: Shard = Shard(3);
/// The drops of the test. The last is never created.
pub(crate) const DROPS: [&str; 4] = ["one-each", "three-each", "two.each_2", "never-made"];
/// The persons of the test: usual ones, one of every kind of character, and the longest.
pub(crate) const PERSONS: usize = 5;
/// The marks of the test.
pub(crate) const MARKS: [Mark; 3] = [Mark([0; 8]), Mark([0xff; 8]), Mark(*b"a b\tc\r\n%")];
/// More claims than one person has in a drop of the test.
pub(crate) const CLAIMS_OF_ONE: usize = 100;
const LIMITS: [u32; 3] = [1, 3, 2];
const DAY_MS: i64 = 86_400_000;
/// How far ahead an edge is set that is then claimed over.
const EDGE_MS: i64 = 2;

/// A model, a Redis, and what was seen.
pub(crate) struct World {
    pub(super) conn: Connection,
    pub(super) drops: Vec<model::Drop>,
    /// What the journal must hold.
    entries: Vec<Vec<JournalEvent>>,
    /// What was read from the journal and then trimmed.
    pub(super) trimmed: Vec<JournalEvent>,
    /// The highest limit that each drop ever had.
    pub(super) limits: Vec<u32>,
    /// Of how many drops a person may win in one alone, and the revision of what was said last.
    pub(super) once: (usize, u64),
    /// The last claim that each drop had, by epoch and number, when that began to hold for all of them.
    pub(super) once_since: Option<Vec<(Epoch, u32)>>,
    /// How many units of each drop went back before its epoch.
    pub(super) returned_before: [u64; LIMITS.len()],
    pub(super) batch_id: u64,
    passers_by: usize,
}

/// The person of an index; from [`PERSONS`] on, one who is in no other step.
pub(super) fn person(index: usize) -> PersonId {
    let names = ["ann".to_owned(), "bob".into(), "0".into(), "!\"%s\\'{}|~".into(), "x".repeat(128)];
    let name = names.get(index).cloned().unwrap_or_else(|| format!("passer-by-{index}"));
    PersonId::new(&name).expect("a person")
}

pub(super) fn drop_id(index: usize) -> DropId {
    DropId::new(DROPS[index]).expect("a drop id")
}

impl World {
    /// An emptied Redis with three running, open drops of 5 units.
    pub(crate) async fn new(mut conn: Connection) -> Result<Self> {
        cmd("FLUSHALL").query_async::<()>(&mut conn).await?;
        let mut world = Self {
            conn,
            drops: Vec::new(),
            entries: Vec::new(),
            trimmed: Vec::new(),
            limits: LIMITS.to_vec(),
            once: (0, 1),
            once_since: None,
            returned_before: [0; LIMITS.len()],
            batch_id: 0,
            passers_by: 0,
        };
        let now_ms = world.now_ms().await?;
        for (index, limit) in LIMITS.into_iter().enumerate() {
            world.drops.push(model::Drop {
                id: drop_id(index),
                epoch: Epoch(u16::try_from(index * 300)? + 1),
                state: DropState::Running,
                opens_at_ms: now_ms - DAY_MS,
                closes_at_ms: now_ms + DAY_MS,
                limit,
                total: 5,
                revision: 1,
                shrinking: false,
                once: None,
                older: Vec::new(),
                carried: 0,
                claims: Vec::new(),
            });
        }
        let configs = world.drops.iter().map(|drop| DropConfig {
            epoch: drop.epoch,
            state: drop.state,
            ..config_of(drop, Mode::Create, world.once)
        });
        let configs: Vec<_> = configs.collect();
        let made = scripts::configure(&mut world.conn, SHARD, &configs).await?;
        let views: Vec<_> = world.drops.iter().map(model::Drop::view).collect();
        ensure!(made == Ok(views), "created {made:?}");
        world.compare().await?;
        Ok(world)
    }

    /// Does one step in both and compares.
    pub(crate) async fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Claim { claims, view, twice } => {
                let view = view.unwrap_or(self.once.0);
                let call = self.call(claims, view);
                self.claim(claims, view, &call).await?;
                if *twice {
                    self.compare().await.context("before the retry")?;
                    self.claim(claims, view, &call).await.context("retry")?;
                }
            }
            Step::Once { drops, late } => self.set_once(*drops, *late).await?,
            Step::State { drops, state, late } => self.set_state(drops, *state, *late).await?,
            Step::Configure { drops } => self.configure(drops).await?,
            Step::TooMany { drop, by, again } => self.too_many(*drop, *by, *again).await?,
            Step::Return { drop, person, nth, again } => {
                self.return_claim(*drop, *person, *nth, *again).await?;
            }
            Step::Restore { drop, how } => self.restore(*drop, how).await?,
            Step::Edge { drop, opens } => self.edge(*drop, *opens).await?,
            Step::Trim { entries } => self.trim(*entries).await?,
        }
        self.compare().await?;
        self.invariants().await
    }

    /// Sends a batch, once or twice, and neither looks at the reply nor tells the model.
    pub(super) async fn claim_unseen(
        &mut self,
        claims: &[(usize, usize, Option<usize>)],
        view: Option<usize>,
        twice: bool,
    ) -> Result<()> {
        let call = self.call(claims, view.unwrap_or(self.once.0));
        for _ in 0..=usize::from(twice) {
            self.send(&call).await?;
        }
        Ok(())
    }

    pub(super) async fn now_ms(&mut self) -> Result<UnixMs> {
        let (seconds, micros): (i64, i64) = cmd("TIME").query_async(&mut self.conn).await?;
        Ok(seconds * 1000 + micros / 1000)
    }

    async fn claim(
        &mut self,
        claims: &[(usize, usize, Option<usize>)],
        view: usize,
        call: &ClaimCall,
    ) -> Result<UnixMs> {
        let before_ms = self.now_ms().await?;
        let reply = call.decode(&self.send(call).await?)?;
        let after_ms = self.now_ms().await?;
        ensure!((before_ms..=after_ms).contains(&reply.now_ms), "now is {}, not the clock's", reply.now_ms);

        let mut order: Vec<usize> = Vec::new();
        for (drop, _, _) in claims {
            if !order.contains(drop) {
                order.push(*drop);
            }
        }
        let mut events = Vec::new();
        let mut expected = Vec::new();
        for drop in order {
            let of_drop = claims.iter().filter(|claim| claim.0 == drop);
            let of_drop: Vec<_> =
                of_drop.map(|claim| (person(claim.1), claim.2.map(|mark| MARKS[mark]))).collect();
            let requests: Vec<_> = of_drop.iter().map(|(person, mark)| (person.as_str(), *mark)).collect();
            let elsewhere = (drop < self.drops.len()).then(|| model::Elsewhere::of(&self.drops, drop, view));
            expected.push(self.drops.get_mut(drop).zip(elsewhere).map(|(drop, elsewhere)| {
                let (reply, event) = drop.claim(&elsewhere, reply.now_ms, &requests);
                events.extend(event);
                reply
            }));
        }
        if !events.is_empty() {
            self.entries.push(events);
        }
        ensure!(reply.drops == expected, "replied {:?}, expected {expected:?}", reply.drops);
        Ok(reply.now_ms)
    }

    async fn send(&mut self, call: &ClaimCall) -> Result<redis::Value> {
        Ok(scripts::CLAIM.run(&mut self.conn, &call.to_evalsha()).await?)
    }

    /// `late`: by an older revision than the drops were set to, or by theirs; without, whatever the campaigns say.
    pub(super) async fn set_state(
        &mut self,
        drops: &BTreeSet<usize>,
        state: DropState,
        late: Option<bool>,
    ) -> Result<()> {
        let ids: Vec<_> = drops.iter().map(|drop| drop_id(*drop)).collect();
        let ids: Vec<_> = ids.iter().collect();
        let revision = late.map(|late| self.once.1 - u64::from(late));
        let reply = scripts::set_state(&mut self.conn, SHARD, &ids, state, revision).await?;
        let unknown = drops.iter().position(|drop| *drop >= self.drops.len());
        let expected = if late == Some(true) && unknown != Some(0) {
            Err(Refused { code: Code::OutOfDate, drop: 0 })
        } else if let Some(drop) = unknown {
            Err(Refused { code: Code::UnknownDrop, drop })
        } else {
            for drop in drops {
                self.drops[*drop].state = state;
            }
            Ok(drops.iter().map(|drop| self.drops[*drop].view()).collect())
        };
        ensure!(reply == expected, "replied {reply:?}, expected {expected:?}");
        Ok(())
    }

    pub(super) async fn return_claim(
        &mut self,
        drop: usize,
        who: usize,
        nth: usize,
        again: bool,
    ) -> Result<()> {
        let (id, holder) = (drop_id(drop), person(who));
        let known = self.drops.get(drop);
        let of_person: Vec<_> = known.iter().flat_map(|drop| drop.claims_of(holder.as_str())).collect();
        let (epoch, seq) = if of_person.is_empty() {
            (known.map_or(Epoch::FIRST, |drop| drop.epoch), 77)
        } else {
            let grant = &of_person[nth % of_person.len()].grant;
            // Beyond all that anybody has, the number is right and the epoch is not.
            (Epoch(grant.epoch.0 + 500 * u16::from(nth >= CLAIMS_OF_ONE)), grant.seq)
        };
        let claim = Return { drop: &id, person: &holder, epoch, seq, may_claim_again: again };

        let before_ms = self.now_ms().await?;
        let reply = scripts::return_claim(&mut self.conn, SHARD, &claim).await?;
        let after_ms = self.now_ms().await?;
        let expected = match self.drops.get_mut(drop) {
            None => Err(Code::UnknownDrop),
            Some(drop) => drop.return_claim(holder.as_str(), (epoch, seq), again).map(|()| drop.view()),
        };
        ensure!(reply == expected, "replied {reply:?}, expected {expected:?}");
        if reply.is_ok() {
            let entries = journal::read_after(&mut self.conn, SHARD, JournalId::START, 10_000).await?;
            let last = entries.last().context("a journal entry")?.content.clone();
            let Ok([JournalEvent::Returned { returned_at_ms, .. }]) = last.as_deref() else {
                anyhow::bail!("the journal ends with {last:?}");
            };
            ensure!((before_ms..=after_ms).contains(returned_at_ms), "returned at {returned_at_ms}");
            let (person, returned_at_ms) = (holder.as_str().to_owned(), *returned_at_ms);
            let event = JournalEvent::Returned {
                drop: id,
                epoch,
                seq,
                person,
                returned_at_ms,
                may_claim_again: again,
            };
            self.entries.push(vec![event]);
        }
        Ok(())
    }

    async fn edge(&mut self, drop: usize, opens: bool) -> Result<()> {
        let taken = self.drops[drop].taken();
        let (opens_in_ms, closes_in_ms) = if opens { (EDGE_MS, DAY_MS) } else { (-DAY_MS, EDGE_MS) };
        // Refused to nobody, also while stock is being taken away.
        let change = Change { mode: Mode::Shrink, total: taken + 1_000, limit: 1, opens_in_ms, closes_in_ms };
        self.set_state(&BTreeSet::from([drop]), DropState::Running, None).await?;
        self.configure(&BTreeMap::from([(drop, change.clone())])).await?;
        let edge_ms = if opens { self.drops[drop].opens_at_ms } else { self.drops[drop].closes_at_ms };
        let mut now_ms = 0;
        while now_ms <= edge_ms && self.drops[drop].taken() < taken + 1_000 {
            let claims = [(drop, PERSONS + self.passers_by, None)];
            self.passers_by += 1;
            let view = self.once.0;
            let call = self.call(&claims, view);
            now_ms = self.claim(&claims, view, &call).await?;
        }
        let few_left = Change {
            total: self.drops[drop].taken() + 3,
            opens_in_ms: -DAY_MS,
            closes_in_ms: DAY_MS,
            ..change
        };
        self.configure(&BTreeMap::from([(drop, few_left)])).await
    }

    async fn trim(&mut self, count: usize) -> Result<()> {
        let last_before = journal::last_id(&mut self.conn, SHARD).await?;
        let first = journal::read_after(&mut self.conn, SHARD, JournalId::START, count.max(1)).await?;
        let first = &first[..count.min(first.len())];
        let through = first.last().map_or(JournalId::START, |entry| entry.id);
        let trimmed = journal::trim_through(&mut self.conn, SHARD, through).await?;
        ensure!(trimmed == first.len() as u64, "trimmed {trimmed} of {}", first.len());
        self.trimmed.extend(self.entries.drain(..first.len()).flatten());
        ensure!(journal::last_id(&mut self.conn, SHARD).await? == last_before, "trimming forgot the last id");
        Ok(())
    }

    pub(super) async fn hash<V: redis::FromRedisValue>(
        &mut self,
        key: String,
    ) -> Result<BTreeMap<String, V>> {
        Ok(cmd("HGETALL").arg(key).query_async(&mut self.conn).await?)
    }

    pub(super) async fn journal(&mut self) -> Result<Vec<Vec<JournalEvent>>> {
        let entries = journal::read_after(&mut self.conn, SHARD, JournalId::START, 10_000).await?;
        let length = journal::length(&mut self.conn, SHARD).await?;
        ensure!(entries.len() as u64 == length, "read {} of {length} entries", entries.len());
        ensure!(entries.is_sorted_by(|a, b| a.id < b.id), "the journal is out of order");
        entries
            .into_iter()
            .map(|entry| entry.content.map_err(|poison| anyhow::anyhow!("{poison:?}")))
            .collect()
    }

    /// Everything in Redis against the model.
    pub(super) async fn compare(&mut self) -> Result<()> {
        let ids: Vec<_> = (0..DROPS.len()).map(drop_id).collect();
        let (_, views) = reads::views(&mut self.conn, SHARD, &ids).await?;
        let expected: Vec<_> =
            (0..DROPS.len()).map(|drop| self.drops.get(drop).map(model::Drop::view)).collect();
        ensure!(views == expected, "the drops are {views:?}, expected {expected:?}");
        for drop in self.drops.clone() {
            let hash = self.hash(keys::drop(SHARD, &drop.id)).await?;
            ensure!(hash == drop.hash(), "drop {} is {hash:?}, expected {:?}", drop.id, drop.hash());
            let holders: BTreeMap<String, Vec<u8>> = self.hash(keys::holders(SHARD, &drop.id)).await?;
            ensure!(holders == drop.holders(), "holders are {holders:?}, expected {:?}", drop.holders());
            for (person, records) in holders {
                let grants: Vec<_> = drop.claims_of(&person).map(|claim| claim.grant).collect();
                ensure!(decode_records(&records)? == grants, "{person} does not hold {grants:?}");
            }
        }
        let journal = self.journal().await?;
        ensure!(journal == self.entries, "the journal is {journal:?}, expected {:?}", self.entries);
        Ok(())
    }
}
