//! The right side of a threshold: a number with its unit, or a share of something else.

use super::metric::{Goodput, Metric, Unit};
use crate::results::Results;

/// What is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limit {
    /// `0.9` for `90% of …`; 1 where nothing is said.
    factor: f64,
    base: Base,
}

#[derive(Debug, Clone, PartialEq)]
enum Base {
    /// In the unit of the threshold's metric.
    Number(f64),
    /// The best interval of the goodput.
    Peak,
    /// Another metric of the same unit.
    Metric(Metric),
}

impl Limit {
    /// Reads a limit for a metric; the error says what is wrong, and how far in it stands, in bytes.
    pub(super) fn parse(text: &str, of: &Metric) -> Result<Self, (usize, String)> {
        let Some((factor_text, base_text)) = text.split_once(" of ") else {
            return match number(text, of.unit()) {
                Some(value) => Ok(Self { factor: 1.0, base: Base::Number(value) }),
                None => Err((0, format!("{text:?} is no limit; {}", allowed(of)))),
            };
        };
        let Some(factor) = factor(factor_text.trim()) else {
            let what =
                format!("{factor_text:?} is no share; allowed are a percentage as 90% or a multiple as 2x");
            return Err((0, what));
        };
        let at = text.len() - base_text.trim_start().len();
        let base_text = base_text.trim();
        if base_text == "peak" {
            if of.is_goodput() {
                return Ok(Self { factor, base: Base::Peak });
            }
            return Err((at, "peak is that of goodput alone, as in goodput >= 90% of peak".to_owned()));
        }
        if let Some(value) = number(base_text, of.unit()) {
            return Ok(Self { factor, base: Base::Number(value) });
        }
        let metric = Metric::parse(base_text).map_err(|(offset, what)| (at + offset, what))?;
        if metric.unit() != of.unit() {
            return Err((at, format!("{base_text} has another unit; {}", allowed(of))));
        }
        Ok(Self { factor, base: Base::Metric(metric) })
    }

    /// The other metric that it names, if any.
    pub(super) fn metric(&self) -> Option<&Metric> {
        match &self.base {
            Base::Metric(metric) => Some(metric),
            Base::Number(_) | Base::Peak => None,
        }
    }

    /// The limit in the metric's unit; or why this run has none.
    pub(super) fn amount(&self, results: &Results) -> Result<f64, String> {
        let base = match &self.base {
            Base::Number(value) => Ok(*value),
            Base::Peak => Goodput::of(results).map(|goodput| goodput.peak),
            Base::Metric(metric) => metric.measure(results),
        };
        base.map(|base| base * self.factor)
    }

    /// What the limit was computed from, where that was measured.
    pub(super) fn base(&self, results: &Results) -> Option<f64> {
        match &self.base {
            Base::Number(_) => None,
            Base::Peak => Goodput::of(results).ok().map(|goodput| goodput.peak),
            Base::Metric(metric) => metric.measure(results).ok(),
        }
    }
}

fn allowed(of: &Metric) -> String {
    let number = match of.unit() {
        Unit::Time => "a time as 5ms, 250us, 1.5s or 1m",
        Unit::Count => "a number as 1000",
        Unit::PerSecond => "a rate as 60000/s",
        Unit::Percent => "a percentage as 5%",
    };
    let peak = if of.is_goodput() { ", 90% of peak" } else { "" };
    format!("allowed are {number}{peak}, and 90% of … or 2x of … such a number or another metric")
}

/// A number of at least zero; `_` may stand between its digits.
fn plain(text: &str) -> Option<f64> {
    let text = text.trim();
    if !text.starts_with(|c: char| c.is_ascii_digit())
        || !text.chars().all(|c| matches!(c, '0'..='9' | '_' | '.'))
    {
        return None;
    }
    text.replace('_', "").parse().ok()
}

fn number(text: &str, unit: Unit) -> Option<f64> {
    match unit {
        Unit::Time => {
            let units = [("us", 0.001), ("µs", 0.001), ("ms", 1.0), ("s", 1_000.0), ("m", 60_000.0)];
            units.iter().find_map(|(word, millis)| Some(plain(text.strip_suffix(word)?)? * millis))
        }
        Unit::Count => plain(text),
        Unit::PerSecond => plain(text.strip_suffix("/s").unwrap_or(text)),
        Unit::Percent => plain(text.strip_suffix('%')?),
    }
}

fn factor(text: &str) -> Option<f64> {
    match text.strip_suffix('%') {
        Some(percent) => Some(plain(percent)? / 100.0),
        None => plain(text.strip_suffix('x')?),
    }
}
