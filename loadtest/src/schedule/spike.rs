//! The crowd round a release instant.
//!
//! Reaction times of people are skewed to the right and are commonly described by a log-normal spread; a simple
//! reaction takes 0.2 to 0.3 s, and pressing a button on a page that has just changed somewhat more. Some trust their
//! own clock more than the page and press too early.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};

use super::curve::seconds;

/// How long before the release instant the early ones press.
pub(super) const EARLY: Duration = Duration::from_secs(2);

/// A crowd's numbers, as in the scenario file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crowd {
    pub(super) people: u64,
    pub(super) release_after: Duration,
    pub(super) reaction: Duration,
    pub(super) sigma: f64,
    pub(super) early: f64,
    pub(super) latest: Duration,
}

impl Crowd {
    /// Everybody's moment in nanoseconds from the start of the run, sorted.
    pub(super) fn moments(&self, seed: u64) -> Result<Arc<[u64]>> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let spread =
            LogNormal::new(self.reaction.as_secs_f64().ln(), self.sigma).context("reaction times")?;
        let people = usize::try_from(self.people).context("people")?;
        let mut moments = Vec::with_capacity(people);
        moments.extend((0..self.people).map(|_| nanos(self.moment(&spread, &mut random))));
        moments.sort_unstable();
        Ok(moments.into())
    }

    fn moment(&self, spread: &LogNormal<f64>, random: &mut impl Rng) -> Duration {
        if random.random::<f64>() < self.early {
            let window = EARLY.min(self.release_after);
            return self.release_after.saturating_sub(window) + window.mul_f64(random.random::<f64>());
        }
        self.release_after + seconds(spread.sample(random)).min(self.latest)
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROWD: Crowd = Crowd {
        people: 200_000,
        release_after: Duration::from_secs(10),
        reaction: Duration::from_millis(350),
        sigma: 0.6,
        early: 0.03,
        latest: Duration::from_secs(30),
    };

    fn seconds_of(crowd: Crowd) -> Vec<f64> {
        crowd.moments(7).unwrap().iter().map(|nanos| Duration::from_nanos(*nanos).as_secs_f64()).collect()
    }

    #[test]
    fn the_median_the_spread_and_the_early_share_are_as_asked() {
        let moments = seconds_of(CROWD);
        assert_eq!(moments.len(), 200_000);
        let early = moments.iter().filter(|at| **at < 10.0).count();
        assert!((5_700..6_300).contains(&early), "{early}");
        assert!(moments[0] >= 8.0);
        let early_mean = moments[..early].iter().sum::<f64>() / early as f64;
        assert!((early_mean - 9.0).abs() < 0.03, "{early_mean}");
        let reactions: Vec<f64> = moments[early..].iter().map(|at| at - 10.0).collect();
        let median = reactions[reactions.len() / 2];
        assert!((median - 0.35).abs() < 0.003, "{median}");
        // 84.13 % of a log-normal spread lie below the median times e^sigma.
        let one_sigma = reactions[reactions.len() * 8_413 / 10_000];
        assert!((one_sigma / 0.35 / 0.6_f64.exp() - 1.0).abs() < 0.02, "{one_sigma}");
    }

    #[test]
    fn nobody_is_later_than_the_latest_or_before_the_start() {
        let crowd = Crowd {
            latest: Duration::from_millis(500),
            release_after: Duration::from_millis(300),
            early: 0.5,
            ..CROWD
        };
        let moments = seconds_of(crowd);
        assert!((moments[moments.len() - 1] - 0.8).abs() < 1e-9);
        let at_the_end = moments.iter().filter(|at| **at > 0.799_999).count();
        assert!(at_the_end > 10_000, "{at_the_end} of those who would come later");
        let early = moments.iter().filter(|at| **at < 0.3).count();
        assert!((98_000..102_000).contains(&early), "{early}");
    }
}
