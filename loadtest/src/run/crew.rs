//! Who makes the load: the threads of this process, or workers on other machines.

use std::time::Duration;

use anyhow::Result;

use super::course::{Course, Makers};
use crate::{
    claims_log::ClaimsLog,
    cpu,
    engine::{self, Job, MeterReading, Place},
    results::WorkerResult,
    tally::Tally,
    workers::{Fleet, PreparedFleet, RunningFleet, Token},
};

/// Connected, and waiting for the start.
pub(super) enum Prepared {
    Here(engine::Prepared),
    Fleet(PreparedFleet),
}

/// Under way.
pub(super) enum Running {
    Here(engine::Running),
    Fleet(RunningFleet),
}

/// What the crew counted, and what it cost.
pub(super) struct Harvest {
    pub(super) tally: Tally,
    pub(super) workers: Vec<WorkerResult>,
    /// CPU time of this process alone where the load is made here; of all workers otherwise.
    pub(super) cpu: Duration,
}

/// Gives out the job and opens the connections; tells how many threads make the load.
pub(super) fn prepare(course: &Course<'_>, mut job: Job) -> Result<(Prepared, usize)> {
    match &course.makers {
        Makers::Here(threads) => {
            let threads = threads.unwrap_or_else(cpu::cores).min(job.scenario.connections.count);
            (job.place, job.threads) = (Place { first: 0, of: threads }, threads);
            let log = course.claims_log.map(ClaimsLog::create).transpose()?;
            Ok((Prepared::Here(engine::prepare(job, log)?), threads))
        }
        Makers::Fleet { addresses, token_file } => {
            let fleet = Fleet::connect(addresses, &Token::load(token_file)?)?;
            let threads = fleet.threads();
            Ok((Prepared::Fleet(fleet.prepare(job, course.claims_log)?), threads))
        }
    }
}

impl Prepared {
    pub(super) fn open_connections(&self) -> u64 {
        match self {
            Self::Here(prepared) => prepared.open_connections(),
            Self::Fleet(prepared) => prepared.open_connections(),
        }
    }

    /// How long arrivals come.
    pub(super) fn planned(&self) -> Duration {
        match self {
            Self::Here(prepared) => prepared.planned(),
            Self::Fleet(prepared) => prepared.planned(),
        }
    }

    pub(super) fn start(self) -> Result<Running> {
        Ok(match self {
            Self::Here(prepared) => Running::Here(prepared.start(std::time::Instant::now())),
            Self::Fleet(prepared) => Running::Fleet(prepared.start()?),
        })
    }
}

impl Running {
    /// What is known of the run at this moment; `None` before the first word of the workers.
    pub(super) fn meter(&self) -> Option<MeterReading> {
        match self {
            Self::Here(running) => Some(running.meter()),
            Self::Fleet(running) => running.meter(),
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        match self {
            Self::Here(running) => running.is_finished(),
            Self::Fleet(running) => running.is_finished(),
        }
    }

    /// Lets no new arrival go.
    pub(super) fn stop(&self) {
        match self {
            Self::Here(running) => running.stop(),
            Self::Fleet(running) => running.stop(),
        }
    }

    /// Ends at once, with what is known.
    pub(super) fn halt(&self) {
        match self {
            Self::Here(running) => running.halt(),
            Self::Fleet(running) => running.halt(),
        }
    }

    /// Waits for the end. `own_cpu_before` is this process' CPU time at the start.
    pub(super) fn join(self, own_cpu_before: Duration) -> Result<Harvest> {
        match self {
            Self::Here(running) => {
                let tally = running.join()?;
                let cpu = cpu::used_by_self().saturating_sub(own_cpu_before);
                Ok(Harvest { tally, workers: Vec::new(), cpu })
            }
            Self::Fleet(running) => {
                let (tally, workers) = running.join()?;
                let cpu = cpu_of_all(&workers);
                Ok(Harvest { tally, workers, cpu })
            }
        }
    }
}

/// What all workers used together, whatever they say.
fn cpu_of_all(workers: &[WorkerResult]) -> Duration {
    let cpu_s: f64 = workers.iter().map(|worker| worker.cpu.cpu_s).sum();
    Duration::try_from_secs_f64(cpu_s.max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Cpu;

    #[test]
    fn no_word_of_a_worker_on_its_cpu_ends_the_run() {
        let worker = |cpu_s| WorkerResult {
            address: String::new(),
            threads: 1,
            clock_offset_us: 0,
            clock_error_us: 0,
            cpu: Cpu { cpu_s, ..Cpu::default() },
        };
        assert_eq!(cpu_of_all(&[worker(0.5), worker(1.5)]), Duration::from_secs(2));
        assert_eq!(cpu_of_all(&[worker(1.8e19), worker(1.8e19)]), Duration::MAX);
        assert_eq!(cpu_of_all(&[worker(-1.0)]), Duration::ZERO);
    }
}
