//! Runs the engine in this process against a scripted server.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use claimrush_loadtest::{
    claims_log::{self, ClaimsLog, Line},
    engine::{self, Job, Place, Supply},
    scenario::{Arrivals, Scenario},
    tally::{PersonaTally, Tally, Times},
};

use crate::script::Act;

/// A key that nobody else has.
pub(crate) const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";

/// A scenario for the service at this address: what the text says.
pub(crate) fn scenario(address: SocketAddr, text: &str) -> Scenario {
    let whole = format!(
        "name = \"test\"\n{text}\n[service]\nurl = \"http://{address}\"\n\
         [tickets]\nsource = \"mint\"\nkey_file = \"unused\"\n"
    );
    toml::from_str(&whole).unwrap()
}

/// Tickets by a key, a new person each arrival.
pub(crate) fn minted() -> Supply {
    let (kid, secret, prefix) = ("k1".into(), SECRET.into(), "p".into());
    Supply::Key { kid, secret, prefix, persons: None }
}

/// Tickets `t1`, `t2` and so on.
pub(crate) fn numbered(tickets: u64) -> Supply {
    let lines: Vec<_> = (1..=tickets).map(|n| format!("t{n}\n")).collect();
    Supply::Lines { text: lines.concat(), skip: 0, uses: None, repeat: false }
}

/// The whole of a run.
pub(crate) fn job(scenario: Scenario, supply: Supply) -> Job {
    Job { scenario, supply, trace: None, place: Place { first: 0, of: 1 }, threads: 1 }
}

/// The same for a crowd of which one comes every so often: whoever has come by the end is still served, while of a rate
/// those who wait at the end are sent away, and on a busy machine somebody may.
pub(crate) fn crowd(job: Job, people: u64, every: Duration) -> Job {
    let every = u64::try_from(every.as_nanos()).unwrap();
    crowd_at(job, (0..people).map(|n| n * every).collect())
}

/// The same with the moments at which they come, in nanoseconds.
pub(crate) fn crowd_at(mut job: Job, moments: Vec<u64>) -> Job {
    job.scenario.arrivals = Arrivals::Trace { file: "read already".into(), speed: 1.0 };
    job.trace = Some(moments);
    job
}

/// Runs a job at once.
pub(crate) fn run(job: Job) -> Tally {
    engine::prepare(job, None).unwrap().start(Instant::now()).join().unwrap()
}

/// Runs a job at once; also gives its claims log.
pub(crate) fn run_with_log(job: Job) -> (Tally, Vec<Line>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let log = ClaimsLog::create(file.path()).unwrap();
    let tally = engine::prepare(job, Some(log)).unwrap().start(Instant::now()).join().unwrap();
    (tally, claims_log::read(file.path()).unwrap())
}

/// Answers of one kind.
pub(crate) fn answers(persona: &PersonaTally, status: u16, code: &str) -> u64 {
    let of_kind = persona.counts.iter().find(|(kind, _)| kind.status == status && &*kind.code == code);
    of_kind.map_or(0, |(_, answers)| answers)
}

/// All answers.
pub(crate) fn all_answers(persona: &PersonaTally) -> u64 {
    persona.counts.iter().map(|(_, answers)| answers).sum()
}

/// A quantile in milliseconds.
pub(crate) fn ms(times: &Times, quantile: f64) -> f64 {
    times.histogram().value_at_quantile(quantile) as f64 / 1_000.0
}

/// New claims, numbered as they come.
#[derive(Default)]
pub(crate) struct Claims(AtomicU64);

impl Claims {
    /// The next one.
    pub(crate) fn next(&self) -> Act {
        let seq = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Act::reply(201, format!(r#"{{"claim_id":"clm_{seq}","seq":{seq},"replayed":false}}"#))
    }
}
