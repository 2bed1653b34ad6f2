//! A made-up run for the tests of the outputs: a release at 10:00 that sells out within a second.
//!
//! A small simulation, so that the numbers hang together: a queue in front of a service with a fixed pace, a stock,
//! and personas with their habits.

use std::{collections::BTreeSet, time::Duration};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};

use crate::{
    outputs::time,
    results::{
        AuditCheck, AuditResult, Circumstances, Cpu, DeskPart, DeskResult, Environment, Results,
        ThresholdResult, TimesResult, WorkerResult,
    },
    scenario::Scenario,
    tally::{Tally, interval_for},
};

const PEOPLE: u64 = 12_000;
const STOCK: u64 = 4_000;
const RELEASE: f64 = 3.0;
/// What the service takes for a claim and for a refusal from memory, in seconds.
const CLAIM: f64 = 1.0 / 6_000.0;
const REFUSAL: f64 = 1.0 / 40_000.0;

/// The scenario that was run.
pub(crate) fn scenario() -> Scenario {
    toml::from_str(
        r#"
        name = "release-10am"
        about = "Twelve thousand people press at 10:00:00 for four thousand vouchers; one in eight is a script."
        seed = 20231120
        thresholds = ["granted.p99 < 400ms", "code.overloaded == 0", "lost == 0", "refused.p99 < 5ms"]
        [service]
        url = "http://127.0.0.1:8080"
        [[drop]]
        id = "caiyun-100-25"
        [arrivals]
        profile = "spike"
        people = 12000
        release_after = "3s"
        [tickets]
        source = "mint"
        key_file = "claimrush-data/ticket.key"
        [[persona]]
        kind = "honest"
        weight = 70
        [[persona]]
        kind = "double_clicker"
        weight = 10
        [[persona]]
        kind = "impatient"
        weight = 8
        patience = "250ms"
        [[persona]]
        name = "bot farm <b>&amp;</b>"
        kind = "bot"
        weight = 12
        "#,
    )
    .unwrap()
}

/// What the people of the sample found.
struct Service {
    free_at: f64,
    stock: u64,
    claimed: BTreeSet<u64>,
}

impl Service {
    /// Answers a claim that comes at a moment: when, with which status and code.
    fn claim(&mut self, person: u64, at: f64, bot: bool, luck: f64) -> (f64, u16, &'static str) {
        let (cost, status, code) = if bot && luck < 0.45 {
            (REFUSAL, 401, "ticket_invalid")
        } else if bot && luck < 0.8 {
            (REFUSAL, 429, "rate_limited")
        } else if at < RELEASE {
            (REFUSAL, 425, "not_open")
        } else if self.claimed.contains(&person) {
            (CLAIM, 200, "")
        } else if self.stock == 0 {
            (REFUSAL, 410, "sold_out")
        } else {
            self.stock -= 1;
            self.claimed.insert(person);
            (CLAIM, 201, "")
        };
        if cost > REFUSAL {
            self.free_at = self.free_at.max(at) + cost;
            return (self.free_at + 0.000_4 * (1.0 + luck), status, code);
        }
        (at + 0.000_3 + REFUSAL + 0.002 * luck.powi(8), status, code)
    }
}

/// The counts of the sample.
pub(crate) fn tally() -> Tally {
    let scenario = scenario();
    let names = scenario.personas.iter().map(|persona| (persona.title(), persona.behaviour.kind()));
    let mut tally = Tally::new(names, interval_for(Duration::from_secs(8))).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(scenario.seed);
    let reaction = LogNormal::new(0.35_f64.ln(), 0.6).unwrap();
    let mut arrivals: Vec<(f64, usize, u64)> = (0..PEOPLE)
        .flat_map(|person| {
            let early = random.random_bool(0.03);
            let after = if early { -random.random_range(0.0..2.0) } else { reaction.sample(&mut random) };
            let at = RELEASE + f64::min(after, 4.0);
            let share: f64 = random.random_range(0.0..100.0);
            let persona = [70.0, 80.0, 88.0].iter().filter(|&&end| share >= end).count();
            let requests = [1, 2, 1, 4][persona];
            (0..requests).map(move |_| (at, persona, person))
        })
        .collect();
    arrivals.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut service = Service { free_at: 0.0, stock: STOCK, claimed: BTreeSet::new() };
    let mut seen = BTreeSet::new();
    for (at, persona, person) in arrivals {
        let is_new = seen.insert(person);
        let luck: f64 = random.random_range(0.0..1.0);
        let answer = service.claim(person, at, persona == 3, luck);
        note(&mut tally, at, persona, is_new, answer);
        let [response, patience] = [answer.0 - at, 0.25];
        if persona == 2 && response > patience {
            let again = service.claim(person, at + patience, false, luck);
            tally.personas[2].mishaps.retries += 1;
            note(&mut tally, at + patience, persona, false, again);
        }
    }
    tally.schedule.scheduled = PEOPLE;
    tally.schedule.late_generator = 3;
    tally.schedule.late_connections = 41;
    tally
}

fn note(tally: &mut Tally, at: f64, persona: usize, is_new: bool, answer: (f64, u16, &str)) {
    let (done, status, code) = answer;
    let response = Duration::from_secs_f64(done - at);
    let service = response.mul_f64(0.97);
    let refused = status >= 400;
    let person = &mut tally.personas[persona];
    person.arrivals += u64::from(is_new);
    person.requests += 1;
    person.granted += u64::from(status == 201);
    person.replayed += u64::from(status == 200);
    person.counts.add(status, code, 1);
    person.response.note(response);
    person.service.note(service);
    if status == 201 {
        person.granted_response.note(response);
        person.granted_service.note(service);
    }
    if refused {
        person.refused_response.note(response);
        person.refused_service.note(service);
    }
    let due = tally.interval_at(Duration::from_secs_f64(at)).unwrap();
    due.scheduled += u64::from(is_new);
    due.sent += 1;
    let answered = tally.interval_at(Duration::from_secs_f64(done)).unwrap();
    answered.answers += 1;
    answered.granted += u64::from(status == 201);
    answered.counts.add(status, code, 1);
    answered.response.note(response);
    tally.last_answer = tally.last_answer.max(Duration::from_secs_f64(done));
}

/// What is around the sample.
pub(crate) fn circumstances() -> Circumstances {
    let environment = Environment {
        version: "0.1.0".into(),
        started_at: "2023-11-20T01:59:57.000Z".into(),
        system: "Linux 6.8.0 x86_64".into(),
        processor: "A processor with eight cores".into(),
        cores: 8,
        memory_bytes: 16 << 30,
        ..Environment::default()
    };
    let worker = |n: u16| WorkerResult {
        address: format!("10.0.0.{n}:7000"),
        threads: 2,
        clock_offset_us: -180 + 400 * i64::from(n),
        clock_error_us: 90,
        cpu: Cpu { cpu_s: 0.21, us_per_answer: 12.5, cores: 0.04 },
    };
    Circumstances {
        environment,
        threads: 4,
        connections: 1_000,
        generator: Duration::from_millis(420),
        watched: vec![(4_711, Some(Duration::from_millis(1_310)))],
        window: Duration::from_secs(7),
        workers: vec![worker(1), worker(2)],
        planned: Duration::from_secs(8),
        halted: false,
    }
}

/// The whole sample: valid, audited, with one threshold missed.
pub(crate) fn sold_out() -> (Results, Tally) {
    let tally = tally();
    let mut results = Results::new(&scenario(), &tally, circumstances()).unwrap();
    let part = |name: &str, asked, given, hashes| DeskPart {
        asked,
        given,
        told_to_wait: asked - given,
        refused: [("not_eligible".to_owned(), asked - given)].into_iter().filter(|(_, n)| *n > 0).collect(),
        hashes,
        ..DeskPart::new(name)
    };
    results.desk = Some(DeskResult {
        elapsed_s: 12.5,
        personas: vec![
            part("honest", 8_400, 8_400, 210_000_000),
            part("bot farm <b>&amp;</b>", 1_440, 15, 90_000_000),
        ],
    });
    let threshold =
        |text: &str, measured: &str, ok| ThresholdResult { text: text.into(), measured: measured.into(), ok };
    let p99 = |times: &Option<TimesResult>| time(times.as_ref().unwrap().response.p99_ms);
    let (granted, refused) = (p99(&results.total.granted_times), p99(&results.total.refused_times));
    results.set_thresholds(vec![
        threshold("granted.p99 < 400ms", &granted, false),
        threshold("code.overloaded == 0", "0", true),
        threshold("lost == 0", "0", true),
        threshold("refused.p99 < 5ms", &refused, true),
    ]);
    let check = |id: &str, promise: &str, compared: &str, detail: &str| AuditCheck {
        id: id.into(),
        promise: promise.into(),
        compared: compared.into(),
        ok: true,
        detail: detail.into(),
    };
    results.set_audit(AuditResult {
        ok: true,
        checks: vec![
            check("stock", "No more is granted than there was", "201s, stock", "4000 granted of 4000"),
            check("once", "Nobody got two", "201s by person", "4000 persons, one each"),
            check("kept", "Every 201 is in the ledger", "claims log, ledger export", "4000 of 4000 found"),
        ],
        left_out: Vec::new(),
    });
    (results, tally)
}
