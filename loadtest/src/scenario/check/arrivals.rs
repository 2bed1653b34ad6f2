//! What a scenario may say of arrivals.

use std::time::Duration;

use super::{
    Check, LENGTH_MAX, PEOPLE_MAX, RATE_MAX, STEPS_MAX, count, length, number, positive_rate, refuse, wait,
};
use crate::scenario::Arrivals;

/// The widest spread of reaction times that still means something.
const SIGMA_MAX: f64 = 5.0;
/// The fastest and, turned over, the slowest play of a trace.
const SPEED_MAX: f64 = 1_000.0;

/// Checks when people come.
pub(super) fn check(arrivals: &Arrivals) -> Check {
    match arrivals {
        Arrivals::Spike { .. } => return spike(arrivals),
        Arrivals::Constant { rate, duration, .. } => {
            positive_rate("arrivals.rate", *rate)?;
            length("arrivals.duration", *duration)?;
        }
        Arrivals::Ramp { from, to, duration, .. } => {
            number("arrivals.from", *from, 0.0..=RATE_MAX)?;
            number("arrivals.to", *to, 0.0..=RATE_MAX)?;
            if from + to <= 0.0 {
                return refuse("arrivals.to", "nobody comes: from or to must be above 0");
            }
            length("arrivals.duration", *duration)?;
        }
        Arrivals::Stairs { rates, step, .. } => stairs(rates, *step)?,
        Arrivals::Soak { rate, duration, ramp_up, wave, period, .. } => {
            positive_rate("arrivals.rate", *rate)?;
            length("arrivals.duration", *duration)?;
            if ramp_up >= duration {
                return refuse("arrivals.ramp_up", "it is not shorter than the duration: it must be");
            }
            number("arrivals.wave", *wave, 0.0..=1.0)?;
            length("arrivals.period", *period)?;
        }
        Arrivals::Trace { speed, .. } => number("arrivals.speed", *speed, SPEED_MAX.recip()..=SPEED_MAX)?,
        Arrivals::Closed { duration, people } => {
            length("arrivals.duration", *duration)?;
            if let Some(people) = people {
                count("arrivals.people", *people, 1..=PEOPLE_MAX)?;
            }
        }
    }
    Ok(())
}

fn stairs(rates: &[f64], step: Duration) -> Check {
    count("arrivals.rates", rates.len(), 1..=STEPS_MAX)?;
    for (at, rate) in rates.iter().enumerate() {
        number(&format!("arrivals.rates.{at}"), *rate, 0.0..=RATE_MAX)?;
    }
    if rates.iter().all(|rate| *rate <= 0.0) {
        return refuse("arrivals.rates", "nobody comes: one rate must be above 0");
    }
    length("arrivals.step", step)?;
    let steps = u32::try_from(rates.len()).unwrap_or(u32::MAX);
    match step.checked_mul(steps) {
        Some(whole) if whole <= LENGTH_MAX => Ok(()),
        _ => refuse("arrivals.step", "all steps together are longer than 24h: up to 24h is allowed"),
    }
}

fn spike(arrivals: &Arrivals) -> Check {
    let Arrivals::Spike { people, release_after, reaction, reaction_sigma, early, latest } = arrivals else {
        return Ok(());
    };
    count("arrivals.people", *people, 1..=PEOPLE_MAX)?;
    wait("arrivals.release_after", *release_after)?;
    length("arrivals.reaction", *reaction)?;
    number("arrivals.reaction_sigma", *reaction_sigma, 0.0..=SIGMA_MAX)?;
    number("arrivals.early", *early, 0.0..=1.0)?;
    wait("arrivals.latest", *latest)?;
    if latest < reaction {
        return refuse("arrivals.latest", "it is before the median reaction: it may not be");
    }
    Ok(())
}
