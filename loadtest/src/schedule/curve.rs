//! The cumulative rate of a profile, and its inverse.
//!
//! Let Λ(t) be the arrivals that are due up to the moment t: the integral of the rate. Arrivals that stand at
//! Λ = 0, 1, 2, … are evenly spaced at every moment's rate; arrivals whose Λ grows by independent Exp(1) steps are a
//! Poisson process of that rate (time change; Çinlar, *Introduction to Stochastic Processes*, 1975, chapter 4). Either
//! way the moment is Λ⁻¹ of a number that is known as a whole, so no rounding of one moment moves the next.

use std::{f64::consts::TAU, time::Duration};

/// Steps of the safeguarded Newton iteration at the most; bisection alone would need about sixty.
const STEPS_MAX: usize = 64;

/// A profile's rate over time, as pieces that follow each other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Curve {
    pieces: Vec<Piece>,
    total: f64,
    length: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    /// Seconds from the start of the run.
    starts: f64,
    /// Λ at its start.
    before: f64,
    /// Λ that it adds.
    adds: f64,
    shape: Shape,
}

/// One piece's rate in arrivals a second; times are seconds from the piece's start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    /// From one rate evenly to another: Λ = from·t + (to − from)·t² / 2·seconds.
    Line { from: f64, to: f64, seconds: f64 },
    /// Round one rate: Λ = rate·(t + wave·period/2π·(1 − cos(2πt/period))).
    Wave { rate: f64, wave: f64, period: f64, seconds: f64 },
}

impl Shape {
    fn seconds(self) -> f64 {
        match self {
            Self::Line { seconds, .. } | Self::Wave { seconds, .. } => seconds,
        }
    }

    /// Λ from the piece's start.
    fn at(self, t: f64) -> f64 {
        match self {
            Self::Line { from, to, seconds } => t * (from + (to - from) * t / (2.0 * seconds)),
            Self::Wave { rate, wave, period, .. } => {
                rate * (t + wave * period / TAU * (1.0 - (TAU * t / period).cos()))
            }
        }
    }

    fn rate(self, t: f64) -> f64 {
        match self {
            Self::Line { from, to, seconds } => from + (to - from) * t / seconds,
            Self::Wave { rate, wave, period, .. } => rate * (1.0 + wave * (TAU * t / period).sin()),
        }
    }

    /// The moment at which Λ from the piece's start is `arrivals`.
    fn inverse(self, arrivals: f64) -> f64 {
        match self {
            Self::Line { from, to, seconds } => {
                let under_root = from * from + 2.0 * arrivals * (to - from) / seconds;
                // The form of the quadratic's root in which nothing cancels, for rates that rise or fall.
                let twice_mean = from + under_root.max(0.0).sqrt();
                if twice_mean > 0.0 { 2.0 * arrivals / twice_mean } else { 0.0 }
            }
            Self::Wave { rate, wave, period, .. } => {
                // 0 ≤ 1 − cos ≤ 2 bounds how far the wave can have run ahead.
                let latest = arrivals / rate;
                self.search(arrivals, (latest - wave * period * 2.0 / TAU).max(0.0), latest)
            }
        }
    }

    /// Newton's iteration, kept within bounds that close in: it cannot run away where the rate is near zero.
    fn search(self, arrivals: f64, mut low: f64, mut high: f64) -> f64 {
        let mut t = f64::midpoint(low, high);
        for _ in 0..STEPS_MAX {
            let beyond = self.at(t) - arrivals;
            if beyond > 0.0 {
                high = t;
            } else {
                low = t;
            }
            let newton = t - beyond / self.rate(t);
            let next = if newton > low && newton < high { newton } else { f64::midpoint(low, high) };
            if (next - t).abs() <= f64::EPSILON * t {
                return next;
            }
            t = next;
        }
        t
    }
}

impl Curve {
    pub(super) fn new(shapes: impl IntoIterator<Item = Shape>) -> Self {
        let mut curve = Self { pieces: Vec::new(), total: 0.0, length: 0.0 };
        for shape in shapes {
            let adds = shape.at(shape.seconds());
            curve.pieces.push(Piece { starts: curve.length, before: curve.total, adds, shape });
            curve.total += adds;
            curve.length += shape.seconds();
        }
        // A rate times a length that should be whole may come out a hair above it, and would bring one arrival more.
        curve.total *= 1.0 - 4.0 * f64::EPSILON;
        curve
    }

    /// Λ at the end.
    pub(super) fn total(&self) -> f64 {
        self.total
    }

    /// How long it is.
    pub(super) fn length(&self) -> Duration {
        seconds(self.length)
    }

    /// The moment at which so many arrivals are due; at the end where there are fewer.
    pub(super) fn inverse(&self, arrivals: f64) -> Duration {
        let place = self.pieces.partition_point(|piece| piece.before + piece.adds <= arrivals);
        let found =
            self.pieces.get(place).map(|piece| piece.starts + piece.shape.inverse(arrivals - piece.before));
        seconds(found.map_or(self.length, |t| t.min(self.length)))
    }
}

/// Seconds as a length of time; none below zero.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(shape: Shape) {
        let seconds = shape.seconds();
        for step in 1..1_000 {
            let t = seconds * f64::from(step) / 1_000.0;
            let back = shape.inverse(shape.at(t));
            assert!((back - t).abs() < 1e-9 * seconds, "{shape:?} at {t}: {back}");
        }
    }

    #[test]
    fn the_inverse_undoes_the_cumulative_rate() {
        for (from, to) in [(5.0, 5.0), (0.0, 900.0), (900.0, 0.0), (10.0, 1e7), (1e-3, 2e-3)] {
            round_trip(Shape::Line { from, to, seconds: 60.0 });
        }
        for (wave, period) in [(0.0, 10.0), (0.3, 7.0), (0.9, 600.0)] {
            round_trip(Shape::Wave { rate: 250.0, wave, period, seconds: 90.0 });
        }
    }

    #[test]
    fn a_wave_that_falls_to_nothing_is_still_inverted() {
        let shape = Shape::Wave { rate: 100.0, wave: 1.0, period: 10.0, seconds: 100.0 };
        for step in 0..10_000 {
            let arrivals = f64::from(step);
            let back = shape.at(shape.inverse(arrivals));
            assert!((back - arrivals).abs() < 1e-6, "{arrivals}: {back}");
        }
    }

    #[test]
    fn pieces_join_without_a_gap() {
        let line = |from, to| Shape::Line { from, to, seconds: 10.0 };
        let curve = Curve::new([line(0.0, 100.0), line(100.0, 100.0), line(0.0, 0.0), line(50.0, 50.0)]);
        assert!((curve.total() - 2_000.0).abs() < 1e-9);
        assert_eq!(curve.length(), Duration::from_secs(40));
        for (arrivals, at_s) in
            [(0.0, 0), (500.0, 10), (1_000.0, 15), (1_500.0, 30), (1_750.0, 35), (9_999.0, 40)]
        {
            assert_eq!(curve.inverse(arrivals), Duration::from_secs(at_s), "{arrivals}");
        }
    }
}
