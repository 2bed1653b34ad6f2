//! When people are due: every arrival of a run, in order, from (profile, seed) alone.
//!
//! Owns the moments of a run and the choices that follow from an arrival's number. Nothing here looks at a clock or a
//! service: a moment does not depend on what happened before it.

mod choices;
mod curve;
mod spike;
mod trace;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use self::{
    curve::{Curve, Shape},
    spike::Crowd,
};
use crate::scenario::{Arrivals, Spacing};

pub use self::{
    choices::{Choices, TicketSort},
    trace::read_trace,
};

/// One arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its number over all threads and workers, from 0.
    pub n: u64,
    /// When it is due, from the start of the run.
    pub at: Duration,
}

/// The arrivals of a run, or one thread's share of them, in order.
///
/// For the closed model the numbers alone mean something: every moment is the start, and the caller takes the next
/// number whenever a connection is free, until [`Schedule::planned_length`] is over.
#[derive(Debug, Clone)]
pub struct Schedule {
    moments: Moments,
    seed: u64,
    /// The number of the next own arrival.
    next: u64,
    /// Threads that share the arrivals.
    slots: u64,
}

#[derive(Debug, Clone)]
enum Moments {
    Curve {
        curve: Arc<Curve>,
        spacing: Positions,
    },
    /// Nanoseconds from the start, sorted, played this much faster.
    List {
        offsets: Arc<[u64]>,
        speed: f64,
        length: Duration,
    },
    Closed {
        people: u64,
        duration: Duration,
    },
}

/// Where on the cumulative rate arrivals stand.
#[derive(Debug, Clone)]
enum Positions {
    /// At their number.
    Even,
    /// At a sum of independent Exp(1) steps.
    Poisson {
        random: Box<ChaCha8Rng>,
        /// How many steps were taken.
        steps: u64,
        /// Their sum.
        sum: f64,
    },
}

impl Schedule {
    /// The schedule of all arrivals. The same profile, seed and trace give the same schedule; `trace` holds the
    /// offsets that [`read_trace`] read, for the profile `trace` alone.
    ///
    /// # Errors
    /// A trace is missing, or there are more people than this machine can number.
    pub fn new(arrivals: &Arrivals, seed: u64, trace: Option<Arc<[u64]>>) -> Result<Self> {
        let moments = match arrivals {
            Arrivals::Spike { people, release_after, reaction, reaction_sigma, early, latest } => {
                let crowd = Crowd {
                    people: *people,
                    release_after: *release_after,
                    reaction: *reaction,
                    sigma: *reaction_sigma,
                    early: *early,
                    latest: *latest,
                };
                let length = *release_after + *latest;
                Moments::List { offsets: crowd.moments(seed)?, speed: 1.0, length }
            }
            Arrivals::Trace { speed, .. } => {
                let offsets = trace.context("the profile trace needs the offsets of its file")?;
                ensure!(offsets.is_sorted(), "the offsets of a trace must be sorted");
                let length = faster(offsets.last().copied().unwrap_or_default(), *speed);
                Moments::List { offsets, speed: *speed, length }
            }
            Arrivals::Closed { duration, people } => {
                Moments::Closed { people: people.unwrap_or(u64::MAX), duration: *duration }
            }
            Arrivals::Constant { spacing, .. }
            | Arrivals::Ramp { spacing, .. }
            | Arrivals::Stairs { spacing, .. }
            | Arrivals::Soak { spacing, .. } => Moments::Curve {
                curve: Arc::new(Curve::new(shapes(arrivals))),
                spacing: Positions::new(*spacing, seed),
            },
        };
        Ok(Self { moments, seed, next: 0, slots: 1 })
    }

    /// From the start, the arrivals whose number modulo `slots` is `slot`. All slots' shares together are the whole,
    /// whatever their count; a share costs one cheap random step for each arrival of the others, and no moment.
    #[must_use]
    pub fn share(&self, slot: u64, slots: u64) -> Self {
        let mut share = Self { next: slot, slots: slots.max(1), ..self.clone() };
        if let Moments::Curve { spacing, .. } = &mut share.moments {
            spacing.rewind(self.seed);
        }
        share
    }

    /// The last moment at which arrivals can be due; for the closed model, how long it lasts.
    #[must_use]
    pub fn planned_length(&self) -> Duration {
        match &self.moments {
            Moments::Curve { curve, .. } => curve.length(),
            Moments::List { length, .. } => *length,
            Moments::Closed { duration, .. } => *duration,
        }
    }

    /// How many come over all slots: exact but for Poisson spacing, where it is the mean. None for a closed model
    /// without a number of people: that depends on the service.
    #[must_use]
    pub fn expected_arrivals(&self) -> Option<u64> {
        match &self.moments {
            Moments::Curve { curve, .. } => Some(rounded(curve.total())),
            Moments::List { offsets, .. } => Some(offsets.len() as u64),
            Moments::Closed { people, .. } => (*people < u64::MAX).then_some(*people),
        }
    }

    /// Whether people come whatever the service does.
    #[must_use]
    pub fn is_open_model(&self) -> bool {
        !matches!(self.moments, Moments::Closed { .. })
    }
}

impl Iterator for Schedule {
    type Item = Due;

    fn next(&mut self) -> Option<Due> {
        let n = self.next;
        let at = match &mut self.moments {
            Moments::Curve { curve, spacing } => {
                let position = spacing.of(n, curve.total())?;
                curve.inverse(position)
            }
            Moments::List { offsets, speed, .. } => faster(*offsets.get(usize::try_from(n).ok()?)?, *speed),
            Moments::Closed { people, .. } if n < *people => Duration::ZERO,
            Moments::Closed { .. } => return None,
        };
        self.next = n.saturating_add(self.slots);
        Some(Due { n, at })
    }
}

impl Positions {
    fn new(spacing: Spacing, seed: u64) -> Self {
        match spacing {
            Spacing::Even => Self::Even,
            Spacing::Poisson => {
                Self::Poisson { random: Box::new(ChaCha8Rng::seed_from_u64(seed)), steps: 0, sum: 0.0 }
            }
        }
    }

    fn rewind(&mut self, seed: u64) {
        if let Self::Poisson { .. } = self {
            *self = Self::new(Spacing::Poisson, seed);
        }
    }

    /// Where arrival `n` stands, if that is before `end`; asked for growing numbers only.
    fn of(&mut self, n: u64, end: f64) -> Option<f64> {
        match self {
            Self::Even => Some(n as f64).filter(|position| *position < end),
            Self::Poisson { random, steps, sum } => {
                while *steps <= n && *sum < end {
                    let step: f64 = Exp1.sample(random);
                    *sum += step;
                    *steps += 1;
                }
                (*sum < end).then_some(*sum)
            }
        }
    }
}

/// The pieces of a profile's rate.
fn shapes(arrivals: &Arrivals) -> Vec<Shape> {
    let flat = |rate: f64, time: Duration| Shape::Line { from: rate, to: rate, seconds: time.as_secs_f64() };
    match arrivals {
        Arrivals::Constant { rate, duration, .. } => vec![flat(*rate, *duration)],
        Arrivals::Ramp { from, to, duration, .. } => {
            vec![Shape::Line { from: *from, to: *to, seconds: duration.as_secs_f64() }]
        }
        Arrivals::Stairs { rates, step, .. } => rates.iter().map(|rate| flat(*rate, *step)).collect(),
        Arrivals::Soak { rate, duration, ramp_up, wave, period, .. } => {
            let after = duration.saturating_sub(*ramp_up).as_secs_f64();
            let ramp = Shape::Line { from: 0.0, to: *rate, seconds: ramp_up.as_secs_f64() };
            let waves =
                Shape::Wave { rate: *rate, wave: *wave, period: period.as_secs_f64(), seconds: after };
            if ramp_up.is_zero() { vec![waves] } else { vec![ramp, waves] }
        }
        Arrivals::Spike { .. } | Arrivals::Trace { .. } | Arrivals::Closed { .. } => Vec::new(),
    }
}

fn faster(offset_nanos: u64, speed: f64) -> Duration {
    let offset = Duration::from_nanos(offset_nanos);
    // Exact where nothing is sped up: whole nanoseconds do not survive floating point beyond some weeks.
    if (speed - 1.0).abs() < f64::EPSILON { offset } else { curve::seconds(offset.as_secs_f64() / speed) }
}

/// The whole number of arrivals that stand below `total`.
fn rounded(total: f64) -> u64 {
    // A length of so many nanoseconds rounds and saturates without a cast; totals stay far below its end.
    let whole = curve::seconds(total.ceil());
    whole.as_secs()
}

#[cfg(test)]
mod tests;
