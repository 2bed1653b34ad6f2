//! What must hold after a run: the thresholds of a scenario, read and compared with the results.
//!
//! A threshold is `[persona.<name>.]<metric> <operator> <limit>`, as in `granted.p99 < 5ms`; `loadtest/SCENARIOS.md`
//! lists the metrics. Owns the grammar and the comparison; every number comes from [`Results`].

mod limit;
mod metric;

use std::fmt;

use self::{
    limit::Limit,
    metric::{Metric, Unit},
};
use crate::results::{Results, ThresholdResult};

/// The longest threshold, in bytes.
pub const THRESHOLD_BYTES_MAX: usize = 300;
/// Numbers that differ by less than this share of the larger are equal: they went through floating point.
const SAME: f64 = 1e-9;

/// Why a text is no threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThresholdError {
    /// The column where it goes wrong, from 1.
    pub column: usize,
    /// What is wrong, and what is allowed.
    pub what: String,
}

impl fmt::Display for ThresholdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.what)
    }
}

impl std::error::Error for ThresholdError {}

/// One condition on the results.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    metric: Metric,
    operator: Operator,
    limit: Limit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
    Different,
}

impl Operator {
    /// Longer words first: `<=` begins with `<`.
    const WORDS: [(&'static str, Self); 6] = [
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("==", Self::Equal),
        ("!=", Self::Different),
        ("<", Self::Below),
        (">", Self::Above),
    ];

    fn holds(self, measured: f64, limit: f64) -> bool {
        let same = (measured - limit).abs() <= SAME * measured.abs().max(limit.abs());
        match self {
            Self::Below => measured < limit && !same,
            Self::AtMost => measured <= limit || same,
            Self::Above => measured > limit && !same,
            Self::AtLeast => measured >= limit || same,
            Self::Equal => same,
            Self::Different => !same,
        }
    }
}

impl Threshold {
    /// Reads one threshold.
    ///
    /// # Errors
    /// [`ThresholdError`] names the column and what is allowed there.
    pub fn parse(text: &str) -> Result<Self, ThresholdError> {
        let at = |offset: usize, what: String| {
            let column = text.get(..offset).map_or(text.len(), |before| before.chars().count()) + 1;
            ThresholdError { column, what }
        };
        if text.len() > THRESHOLD_BYTES_MAX {
            return Err(at(
                0,
                format!("it is longer than {THRESHOLD_BYTES_MAX} bytes, the most that is allowed"),
            ));
        }
        let start = text.find(['<', '>', '=', '!']).unwrap_or(text.len());
        let (left, right) = text.split_at(start);
        let indent = left.len() - left.trim_start().len();
        let metric = Metric::parse(left.trim()).map_err(|(offset, what)| at(indent + offset, what))?;
        let found = Operator::WORDS
            .iter()
            .find_map(|(word, operator)| right.strip_prefix(word).map(|rest| (*operator, rest)));
        let Some((operator, rest)) = found else {
            return Err(at(start, "an operator is needed: <, <=, >, >=, == or !=".to_owned()));
        };
        let limit_start = text.len() - rest.trim_start().len();
        let limit =
            Limit::parse(rest.trim(), &metric).map_err(|(offset, what)| at(limit_start + offset, what))?;
        Ok(Self { metric, operator, limit })
    }

    /// The personas that it names.
    pub fn personas(&self) -> impl Iterator<Item = &str> {
        let named = [Some(&self.metric), self.limit.metric()];
        named.into_iter().flatten().filter_map(|metric| metric.persona.as_deref())
    }

    /// What was measured with its unit, and whether the threshold holds. A metric that the run does not have (times
    /// of new claims where there were none) does not hold, whatever the limit.
    #[must_use]
    pub fn compare(&self, results: &Results) -> (String, bool) {
        let measured = match self.metric.measure(results) {
            Ok(measured) => measured,
            Err(why) => return (format!("nothing: {why}"), false),
        };
        let unit: Unit = self.metric.unit();
        let shown = unit.show(measured);
        match self.limit.amount(results) {
            Err(why) => (format!("{shown}, but nothing to compare it with: {why}"), false),
            Ok(limit) => {
                let told = match self.limit.base(results) {
                    Some(base) => {
                        format!("{shown}; the limit is {}, from {}", unit.show(limit), unit.show(base))
                    }
                    None => shown,
                };
                (told, self.operator.holds(measured, limit))
            }
        }
    }
}

/// Compares every threshold with the results, in order. A text that is no threshold does not hold.
#[must_use]
pub fn evaluate(thresholds: &[String], results: &Results) -> Vec<ThresholdResult> {
    let one = |text: &String| {
        let (measured, ok) = match Threshold::parse(text) {
            Ok(threshold) => threshold.compare(results),
            Err(error) => (error.to_string(), false),
        };
        ThresholdResult { text: text.clone(), measured, ok }
    };
    thresholds.iter().map(one).collect()
}

#[cfg(test)]
mod tests;
