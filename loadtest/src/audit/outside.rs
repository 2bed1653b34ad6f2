//! What the public API shows to the persons of the run, set beside what they were told.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    fmt,
    rc::Rc,
};

use rand::{SeedableRng, seq::index::sample};
use rand_chacha::ChaCha8Rng;

use super::{
    AuditPlan,
    findings::Findings,
    lookup::{Answer, Desk, Held, Question},
    seen::{Lost, Seen, Told},
    told::{States, distinct, id_of, limit_of},
};
use crate::results::AuditCheck;

/// Progress is told after so many answers.
const PROGRESS_EACH: u64 = 1_000;

/// What the checks over the public API need.
pub(super) struct Outside<'a> {
    pub(super) plan: &'a AuditPlan,
    pub(super) seen: &'a Seen,
    pub(super) states: &'a States,
    pub(super) desk: Rc<Desk>,
    pub(super) progress: &'a dyn Fn(&str),
}

/// What became of the claims of which nobody was told anything.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Claims that were granted, by drop: their persons hold them, and no answer told of them.
    granted: HashMap<usize, HashSet<Box<str>>>,
    /// Those of which it is not known even now.
    pub(super) open: HashSet<Lost>,
}

impl Settled {
    /// The claims of a drop that were granted without anybody having been told.
    pub(super) fn granted(&self, drop: usize) -> impl Iterator<Item = &Box<str>> {
        self.granted.get(&drop).into_iter().flatten()
    }
}

/// How many unknown outcomes turned out how.
#[derive(Default)]
struct Outcomes {
    granted: u64,
    told_after_all: u64,
    not_granted: u64,
}

impl Outside<'_> {
    /// Every claim that was seen is among those that its person is shown.
    pub(super) async fn found_by_owner(&self) -> (AuditCheck, Option<String>) {
        let persons = self.seen.by_person().filter_map(<[Told]>::first);
        let all: Vec<_> = persons.map(|told| Question { drop: told.drop, person: told.person }).collect();
        let (asking, later) = (all.len(), self.seen.lost.len());
        // Those who are looked up later need their share of the time.
        let share = self.desk.questions_max() as u128 * asking as u128 / (asking + later).max(1) as u128;
        let mut sampled = self.sample(all, usize::try_from(share).unwrap_or(usize::MAX));
        let mut found = Findings::default();
        let (mut claims, mut persons) = (0_u64, 0_u64);
        let ask = self.ask("claims", &mut sampled, |question, answer| {
            let Question { drop, person } = question;
            let id = id_of(self.plan, drop);
            let held = match answer {
                Ok(held) => held,
                Err(why) => {
                    found.add(|| format!("person {person} of {id} could not be looked up: {why}"));
                    return;
                }
            };
            persons += 1;
            for told in distinct(self.seen.of_person(drop, person)) {
                claims += 1;
                if !held.iter().any(|held| held.claim_id == told.claim_id && held.seq == told.seq) {
                    let (claim, seq) = (&told.claim_id, told.seq);
                    found.add(|| format!("{claim} (no {seq}) of {id} is not shown to its person {person}"));
                }
            }
            self.check_limit(question, &held, &mut found);
        });
        ask.await;
        sampled.check(&mut found);
        let compared = format!(
            "{claims} claims that {persons} persons were told of with those that they are shown{sampled}"
        );
        let promise = "Whoever was told of a claim still has it.";
        let check = found.into_check("found_by_owner", promise, compared, String::new());
        (check, sampled.left_out("found_by_owner"))
    }

    fn check_limit(&self, question: Question, held: &[Held], found: &mut Findings) {
        let live = held.iter().filter(|held| held.is_live()).count() as u64;
        if let Some(limit) = limit_of(self.states, question.drop).filter(|limit| live > *limit) {
            let (person, id) = (question.person, id_of(self.plan, question.drop));
            found.add(|| format!("person {person} holds {live} claims of {id}, {limit} may be"));
        }
    }

    /// What became of every unknown outcome. It holds unless somebody holds more than can have been granted, or the
    /// service does not tell.
    pub(super) async fn unknown_settled(&self) -> (AuditCheck, Option<String>, Settled) {
        let mut lost: HashMap<Lost, u64> = HashMap::new();
        for outcome in &self.seen.lost {
            *lost.entry(*outcome).or_default() += 1;
        }
        let mut all: Vec<_> = lost.keys().copied().collect();
        all.sort_unstable();
        let mut settled = Settled { open: all.iter().copied().collect(), ..Settled::default() };
        let all = all.iter().map(|lost| Question { drop: lost.drop, person: lost.person }).collect();
        let mut sampled = self.sample(all, self.desk.questions_max());
        let asked = sampled.questions.len();
        let (mut found, mut outcomes) = (Findings::default(), Outcomes::default());
        let ask = self.ask("unknown outcomes", &mut sampled, |question, answer| {
            let Question { drop, person } = question;
            let held = match answer {
                Ok(held) => held,
                Err(why) => {
                    let id = id_of(self.plan, drop);
                    found.add(|| format!("person {person} of {id} could not be looked up: {why}"));
                    return;
                }
            };
            self.check_limit(question, &held, &mut found);
            let key = Lost { drop, person };
            settled.open.remove(&key);
            let asked_for = lost.get(&key).copied().unwrap_or_default();
            self.settle(question, asked_for, held, &mut settled, &mut outcomes, &mut found);
        });
        ask.await;
        sampled.check(&mut found);
        let compared = format!(
            "{} unknown outcomes with the claims that their {asked} persons are shown{sampled}",
            self.seen.unknown
        );
        let Outcomes { granted, told_after_all, not_granted } = outcomes;
        let detail = format!(
            "{granted} claims were granted; {told_after_all} persons had been told after all; {not_granted} got none"
        );
        let promise = "A claim whose outcome its client does not know was granted once or not at all.";
        let check = found.into_check("unknown_settled", promise, compared, detail);
        (check, sampled.left_out("unknown_settled"), settled)
    }

    /// Sorts one person's claims into those that they were told of, those from before the run, and the others.
    fn settle(
        &self,
        question: Question,
        asked_for: u64,
        held: Vec<Held>,
        settled: &mut Settled,
        outcomes: &mut Outcomes,
        found: &mut Findings,
    ) {
        let Question { drop, person } = question;
        let id = id_of(self.plan, drop);
        let told = self.seen.of_person(drop, person);
        let before = self.plan.baseline.as_ref().and_then(|baseline| baseline.of(id));
        let is_news = |held: &Held| {
            let was_told = told.iter().any(|told| told.claim_id == held.claim_id);
            !was_told && before.is_none_or(|before| !before.contains(&held.claim_id))
        };
        let news: Vec<_> = held.into_iter().filter(is_news).collect();
        let granted = news.len() as u64;
        match (granted, told.is_empty()) {
            (0, true) => outcomes.not_granted += 1,
            (0, false) => outcomes.told_after_all += 1,
            _ => outcomes.granted += granted,
        }
        if before.is_some() && granted > asked_for {
            found.add(|| {
                format!("person {person} of {id} got {granted} claims out of {asked_for} unknown outcomes")
            });
        }
        settled.granted.entry(drop).or_default().extend(news.into_iter().map(|held| held.claim_id));
    }

    /// As many of these as may be asked and as the time allows, the same for each run of one seed.
    fn sample(&self, all: Vec<Question>, time_allows: usize) -> Sampled {
        let limits = &self.plan.lookups;
        let (of, seed) = (all.len(), limits.seed);
        let may = limits.lookups_max.map_or(of, |most| most.min(of));
        let most = may.min(time_allows.max(1));
        let questions = if most < of {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let chosen = sample(&mut random, of, most);
            chosen.into_iter().filter_map(|place| all.get(place).copied()).collect()
        } else {
            all
        };
        Sampled { questions, asked: most, of, seed, no_time_for: may - most, over: 0 }
    }

    async fn ask(
        &self,
        what: &str,
        sampled: &mut Sampled,
        mut answered: impl FnMut(Question, Result<Vec<Held>, String>),
    ) {
        let Sampled { questions, asked, over, .. } = sampled;
        let done = Cell::new(0_u64);
        let connections = self.plan.lookups.connections;
        let counted = |question, answer| {
            match answer {
                Answer::Holds(held) => answered(question, Ok(held)),
                Answer::Nothing(why) => answered(question, Err(why)),
                Answer::TimeOver => {
                    *over += 1;
                    return;
                }
            }
            done.set(done.get() + 1);
            if done.get().is_multiple_of(PROGRESS_EACH) {
                (self.progress)(&format!("{what}: {} of {asked} persons looked up", done.get()));
            }
        };
        Rc::clone(&self.desk).ask_all(std::mem::take(questions), connections, counted).await;
        (self.progress)(&format!("{what}: {} of {asked} persons looked up", done.get()));
    }
}

/// Persons who are looked up, out of all.
struct Sampled {
    questions: Vec<Question>,
    asked: usize,
    of: usize,
    seed: u64,
    /// Who would have been asked too, had there been more time.
    no_time_for: usize,
    /// Who was to be asked, and had no answer when the time was over.
    over: usize,
}

impl Sampled {
    /// A check for which nobody was looked up does not hold.
    fn check(&self, found: &mut Findings) {
        if self.over > 0 && self.over == self.asked {
            found.add(|| "nobody was looked up before the time for that was over".to_owned());
        }
    }

    /// What a check has left out for want of time, if anything.
    fn left_out(&self, check: &str) -> Option<String> {
        let without = self.no_time_for + self.over;
        let line = || format!("{check}: {without} of {} persons, for whom there was no time", self.of);
        (without > 0).then(line)
    }
}

/// What is to be said of it: nothing where all were looked up.
impl fmt::Display for Sampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, of, seed, no_time_for, over, .. } = self;
        if asked < of {
            write!(f, "; a sample of {asked} of {of} persons (seed {seed})")?;
        }
        if *no_time_for > 0 {
            f.write_str(", as many as there is time for")?;
        }
        if *over > 0 {
            write!(f, "; of these {over} were not looked up before the time was over")?;
        }
        Ok(())
    }
}
