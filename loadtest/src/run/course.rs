//! The load itself: connect, let go, show, count.
//!
//! The same for a scenario file and for a rush; where the scenario comes from and what becomes of the results is the
//! affair of others.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::crew::{self, Harvest, Prepared, Running};
use crate::{
    claims_log::Unwritten,
    cpu::{self, CpuWatch},
    engine::{Job, Place, Supply},
    live::{Mode, Options, Reading, Stop, View, Watch},
    results::{Circumstances, Environment, Results},
    scenario::{Arrivals, Scenario},
    schedule,
    tally::Tally,
};

/// How often the view is told.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// What somebody without a screen is told after the first signal.
const STOPPING: &str = "stopping: nobody is let in any more, and the answers under way are waited for; a second signal \
     (Ctrl-C) ends the run at once, and it counts as invalid";
/// The same after the second.
const HALTING: &str = "ending at once: what became of the requests under way is not known";
/// How often the end of the run is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How a scenario is run, as far as it does not say itself.
pub(crate) struct Course<'a> {
    /// What is run.
    pub(crate) scenario: &'a Scenario,
    /// Who makes the load.
    pub(crate) makers: Makers<'a>,
    /// Where every claim that was seen is written.
    pub(crate) claims_log: Option<&'a Path>,
    /// Processes whose CPU time is reported too.
    pub(crate) cpu_of: &'a [u32],
    /// How the run is shown.
    pub(crate) mode: Mode,
}

/// Who makes the load.
pub(crate) enum Makers<'a> {
    /// So many threads of this process; as many as cores if not given, and never more than connections.
    Here(Option<usize>),
    /// Worker processes at these addresses, which know the token of this file.
    Fleet { addresses: &'a [String], token_file: &'a Path },
}

/// What a run has shown.
pub(crate) struct Ran {
    /// Its results, judged by no threshold yet.
    pub(crate) results: Results,
    /// What they were computed from.
    pub(crate) tally: Tally,
    /// It was ended at once, so that nobody knows what became of the requests under way.
    pub(crate) halted: bool,
    /// Keeps signals from ending the process until the results are written.
    pub(crate) signals: Watch,
}

/// What came of a load.
type Watched = (Harvest, Circumstances, Watch);

/// What a run has shown, or why it was not carried through.
pub(crate) type Outcome = Result<Ran, String>;

impl Course<'_> {
    /// Runs the scenario with tickets of this supply. The inner error is a run that says nothing of the service.
    ///
    /// # Errors
    /// Something that the run needs is missing or wrong.
    pub(crate) fn run(&self, supply: Supply) -> Result<Outcome> {
        let (prepared, threads) = crew::prepare(self, self.job(supply)?)?;
        if prepared.open_connections() == 0 {
            return Ok(Err(format!("nothing accepts connections at {}", self.scenario.service.url)));
        }
        Ok(match self.watch(prepared, threads)? {
            Ok((harvest, around, signals)) => {
                let halted = around.halted;
                let results = Results::new(self.scenario, &harvest.tally, around)?;
                Ok(Ran { results, tally: harvest.tally, halted, signals })
            }
            Err(why) => Err(why),
        })
    }

    fn job(&self, supply: Supply) -> Result<Job> {
        let trace = match &self.scenario.arrivals {
            Arrivals::Trace { file, .. } => Some(schedule::read_trace(file)?),
            _ => None,
        };
        let place = Place { first: 0, of: 1 };
        Ok(Job { scenario: self.scenario.clone(), supply, trace, place, threads: 1 })
    }

    /// Lets the crew go and shows the run until its end. The inner error is a run that was not carried through.
    fn watch(&self, prepared: Prepared, threads: usize) -> Result<Result<Watched, String>> {
        let (connections, planned) = (prepared.open_connections(), prepared.planned());
        let environment = Environment::of_this_machine();
        let processes = CpuWatch::start(self.cpu_of)?;
        let mut view = View::start(Options {
            mode: self.mode,
            title: self.scenario.name.clone(),
            target: self.scenario.service.url.clone(),
            planned,
            scrape: Some(self.scenario.into()),
        })?;
        let own_before = cpu::used_by_self();
        let began = Instant::now();
        let running = prepared.start()?;
        let mut tell_at = began;
        let mut asked = Stop::No;
        while !running.is_finished() {
            let asks = view.asked_to_stop();
            if asks != asked {
                asked = asks;
                heed(asked, &running, &view);
            }
            if Instant::now() >= tell_at {
                if let Some(meter) = running.meter() {
                    view.tell(&Reading::of(meter, began.elapsed(), connections));
                }
                tell_at += TELL_EVERY;
            }
            thread::sleep(LOOK_EVERY);
        }
        let signals = view.finish();
        let window = began.elapsed();
        let harvest = match running.join(own_before) {
            Ok(harvest) => harvest,
            Err(error) if error.is::<Unwritten>() => return Err(error),
            Err(error) => return Ok(Err(format!("{error:#}"))),
        };
        let around = Circumstances {
            environment,
            threads,
            connections,
            generator: harvest.cpu,
            watched: processes.since(),
            window,
            workers: harvest.workers.clone(),
            planned,
            halted: asked == Stop::Now,
        };
        Ok(Ok((harvest, around, signals)))
    }
}

/// Does what somebody at the terminal asks for.
fn heed(asked: Stop, running: &Running, view: &View) {
    match asked {
        Stop::No => {}
        Stop::Gently => {
            view.say(STOPPING);
            running.stop();
        }
        Stop::Now => {
            view.say(HALTING);
            running.halt();
        }
    }
}
