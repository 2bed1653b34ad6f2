//! Whether two kinds of calls take the same time: Welch's t over times of which the slowest part is cut away.
//!
//! The method is that of dudect (Reparaz, Balasch and Verbauwhede, *Dude, is my code constant time?*, DATE 2017): calls of
//! both kinds in random order, the same cut for both, and a difference counts as found beyond |t| = 4.5. What
//! disturbs a call — an interrupt, another process — makes it slower, hence the cut at the top.

/// Beyond this a difference is no accident.
pub(crate) const T_FOUND: f64 = 4.5;
/// Of all times, so many are looked at: the fastest.
const KEPT: [f64; 3] = [0.5, 0.8, 0.95];

/// What was found at the cut that shows most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Difference {
    /// Mean of the first kind less that of the second, in the unit of the times.
    pub(crate) mean: f64,
    /// Half the width of its interval at 95 %.
    pub(crate) give_or_take: f64,
    /// Welch's t.
    pub(crate) t: f64,
}

impl Difference {
    /// Whether the two kinds take different times.
    pub(crate) fn is_found(&self) -> bool {
        self.t.abs() > T_FOUND
    }
}

/// The difference between two kinds of calls, by their times; none where there are too few.
pub(crate) fn difference(first: &[f64], second: &[f64]) -> Option<Difference> {
    let mut all: Vec<f64> = first.iter().chain(second).copied().collect();
    all.sort_unstable_by(f64::total_cmp);
    let at_cuts = KEPT.iter().filter_map(|kept| {
        let place = (all.len() as f64 * kept).floor();
        // A count of measurements is far below 2^52, and not negative.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
        let cut = *all.get(place as usize)?;
        let below = |times: &[f64]| Moments::of(times.iter().copied().filter(|time| *time <= cut));
        welch(&below(first)?, &below(second)?)
    });
    at_cuts.max_by(|one, other| one.t.abs().total_cmp(&other.t.abs()))
}

fn welch(first: &Moments, second: &Moments) -> Option<Difference> {
    let error = (first.variance / first.count + second.variance / second.count).sqrt();
    let mean = first.mean - second.mean;
    (error > 0.0).then(|| Difference { mean, give_or_take: 1.96 * error, t: mean / error })
}

struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(times: impl Iterator<Item = f64>) -> Option<Self> {
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for time in times {
            count += 1.0;
            let off = time - mean;
            mean += off / count;
            squares += off * (time - mean);
        }
        (count >= 100.0).then(|| Self { count, mean, variance: squares / (count - 1.0) })
    }
}
