//! What a threshold can look at, and how it is read off the results.

use std::fmt;

use crate::results::{Part, Percentiles, Results, TimesResult};

/// The words that may begin a metric, for error messages.
pub(super) const WORDS: &str = "p50, p90, p99, p999, max and mean (also after granted., refused. and service.), \
     arrivals, requests, answers, answers_per_s, granted, granted_per_s, granted_percent, replayed, unknown, lost, \
     retries, unsent, connect_failures, code.<code>[.share], status.<number>[.share]; for the whole run goodput, dropped, late";

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Milliseconds.
    Time,
    /// So many.
    Count,
    /// So many a second.
    PerSecond,
    /// Of a hundred.
    Percent,
}

impl Unit {
    /// A number with its unit.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Time => format!("{} ms", short(value)),
            Self::Count => short(value),
            Self::PerSecond => format!("{}/s", short(value)),
            Self::Percent => format!("{} %", short(value)),
        }
    }
}

/// At most three decimals, and none that are zero.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A metric of the whole run or of one persona.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metric {
    /// Whose it is; all personas together if nobody's.
    pub(super) persona: Option<String>,
    measure: Measure,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Measure {
    Time { answers: Answers, from_send: bool, point: Point },
    Count(Counter),
    AnswersPerSecond,
    GrantedPerSecond,
    GrantedPercent,
    Code { code: String, share: bool },
    Status { status: u16, share: bool },
    Goodput,
    Dropped,
    Late,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    All,
    Granted,
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    P50,
    P90,
    P99,
    P999,
    Max,
    Mean,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counter {
    Arrivals,
    Requests,
    Answers,
    Granted,
    Replayed,
    Unknown,
    Lost,
    Retries,
    Unsent,
    ConnectFailures,
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "answers",
            Self::Granted => "new claims",
            Self::Refused => "refusals",
        })
    }
}

impl Metric {
    /// Reads `[persona.<name>.]<metric>`; the error says what is wrong, and how far in it stands, in bytes.
    pub(super) fn parse(text: &str) -> Result<Self, (usize, String)> {
        let (persona, at, rest) = match text.strip_prefix("persona.") {
            None => (None, 0, text),
            Some(named) => {
                let Some((name, rest)) = named.split_once('.').filter(|(name, _)| !name.is_empty()) else {
                    return Err((text.len(), "persona.<name>.<metric> is needed".to_owned()));
                };
                (Some(name.to_owned()), text.len() - rest.len(), rest)
            }
        };
        let Some(measure) = Measure::parse(rest) else {
            return Err((at, format!("{rest:?} is no metric; allowed are {WORDS}")));
        };
        if persona.is_some() && matches!(measure, Measure::Goodput | Measure::Dropped | Measure::Late) {
            return Err((at, format!("{rest} is known of the whole run alone; leave persona. out")));
        }
        Ok(Self { persona, measure })
    }

    pub(super) fn unit(&self) -> Unit {
        match self.measure {
            Measure::Time { .. } => Unit::Time,
            Measure::AnswersPerSecond | Measure::GrantedPerSecond | Measure::Goodput => Unit::PerSecond,
            Measure::GrantedPercent => Unit::Percent,
            Measure::Code { share, .. } | Measure::Status { share, .. } if share => Unit::Percent,
            Measure::Code { .. }
            | Measure::Status { .. }
            | Measure::Count(_)
            | Measure::Dropped
            | Measure::Late => Unit::Count,
        }
    }

    pub(super) fn is_goodput(&self) -> bool {
        self.measure == Measure::Goodput
    }

    /// The number in the metric's unit; or why this run has none.
    pub(super) fn measure(&self, results: &Results) -> Result<f64, String> {
        let part = match &self.persona {
            None => &results.total,
            Some(name) => match results.personas.iter().find(|persona| persona.name == *name) {
                Some(persona) => &persona.part,
                None => return Err(format!("there was no persona {name}")),
            },
        };
        match &self.measure {
            Measure::Goodput => Goodput::of(results).map(|goodput| goodput.median),
            Measure::Dropped => schedule(results).map(|schedule| schedule.dropped as f64),
            Measure::Late => {
                schedule(results).map(|schedule| (schedule.late_generator + schedule.late_connections) as f64)
            }
            of_part => of_part.read(part),
        }
    }
}

fn schedule(results: &Results) -> Result<crate::tally::Schedule, String> {
    results.schedule.ok_or_else(|| "a closed model has no schedule".to_owned())
}

impl Measure {
    fn parse(text: &str) -> Option<Self> {
        let share = |text: &str| match text.strip_suffix(".share") {
            Some(start) => (start.to_owned(), true),
            None => (text.to_owned(), false),
        };
        if let Some(code) = text.strip_prefix("code.") {
            let (code, share) = share(code);
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            return (!code.is_empty() && code.chars().all(fits)).then_some(Self::Code { code, share });
        }
        if let Some(status) = text.strip_prefix("status.") {
            let (status, share) = share(status);
            let status = status.parse().ok().filter(|status| (100..=599).contains(status))?;
            return Some(Self::Status { status, share });
        }
        Some(match text {
            "arrivals" => Self::Count(Counter::Arrivals),
            "requests" => Self::Count(Counter::Requests),
            "answers" => Self::Count(Counter::Answers),
            "granted" => Self::Count(Counter::Granted),
            "replayed" => Self::Count(Counter::Replayed),
            "unknown" => Self::Count(Counter::Unknown),
            "lost" => Self::Count(Counter::Lost),
            "retries" => Self::Count(Counter::Retries),
            "unsent" => Self::Count(Counter::Unsent),
            "connect_failures" => Self::Count(Counter::ConnectFailures),
            "answers_per_s" => Self::AnswersPerSecond,
            "granted_per_s" => Self::GrantedPerSecond,
            "granted_percent" => Self::GrantedPercent,
            "goodput" => Self::Goodput,
            "dropped" => Self::Dropped,
            "late" => Self::Late,
            _ => return Self::parse_time(text),
        })
    }

    fn parse_time(text: &str) -> Option<Self> {
        let (answers, text) = if let Some(rest) = text.strip_prefix("granted.") {
            (Answers::Granted, rest)
        } else if let Some(rest) = text.strip_prefix("refused.") {
            (Answers::Refused, rest)
        } else {
            (Answers::All, text)
        };
        let (from_send, text) = match text.strip_prefix("service.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let point = match text {
            "p50" => Point::P50,
            "p90" => Point::P90,
            "p99" => Point::P99,
            "p999" => Point::P999,
            "max" => Point::Max,
            "mean" => Point::Mean,
            _ => return None,
        };
        Some(Self::Time { answers, from_send, point })
    }

    fn read(&self, part: &Part) -> Result<f64, String> {
        let answers_of = |kind: &dyn Fn(&str, u16) -> bool| -> u64 {
            let of_kind = part.counts.iter().filter(|count| kind(&count.code, count.status));
            of_kind.map(|count| count.answers).sum()
        };
        let shared = |answers: u64, share: bool| match (share, part.answers) {
            (false, _) => Ok(answers as f64),
            (true, 0) => Err("there were no answers".to_owned()),
            (true, all) => Ok(answers as f64 * 100.0 / all as f64),
        };
        match self {
            Self::Time { answers, from_send, point } => {
                let times = match answers {
                    Answers::All => &part.times,
                    Answers::Granted => &part.granted_times,
                    Answers::Refused => &part.refused_times,
                };
                let times = times.as_ref().ok_or_else(|| format!("there were no {answers}"))?;
                Ok(point.of(times, *from_send))
            }
            Self::Count(counter) => Ok(counter.of(part) as f64),
            Self::AnswersPerSecond => Ok(part.answers_per_s),
            Self::GrantedPerSecond => Ok(part.granted_per_s),
            Self::GrantedPercent if part.arrivals == 0 => Err("nobody came".to_owned()),
            Self::GrantedPercent => Ok(part.granted_percent),
            Self::Code { code, share } => shared(answers_of(&|known, _| known == code), *share),
            Self::Status { status, share } => shared(answers_of(&|_, known| known == *status), *share),
            Self::Goodput | Self::Dropped | Self::Late => {
                Err("it is known of the whole run alone".to_owned())
            }
        }
    }
}

impl Point {
    fn of(self, times: &TimesResult, from_send: bool) -> f64 {
        let Percentiles { p50_ms, p90_ms, p99_ms, p999_ms, max_ms, mean_ms } =
            if from_send { times.service } else { times.response };
        match self {
            Self::P50 => p50_ms,
            Self::P90 => p90_ms,
            Self::P99 => p99_ms,
            Self::P999 => p999_ms,
            Self::Max => max_ms,
            Self::Mean => mean_ms,
        }
    }
}

impl Counter {
    fn of(self, part: &Part) -> u64 {
        match self {
            Self::Arrivals => part.arrivals,
            Self::Requests => part.requests,
            Self::Answers => part.answers,
            Self::Granted => part.granted,
            Self::Replayed => part.replayed,
            Self::Unknown => part.unknown,
            Self::Lost => part.mishaps.lost_replies,
            Self::Retries => part.mishaps.retries,
            Self::Unsent => part.mishaps.unsent,
            Self::ConnectFailures => part.mishaps.connect_failures,
        }
    }
}

/// The longest stretch, in seconds, whose mean can be the peak. A single interval is noise: of many with the same
/// true rate the highest lies well above it, the more so the shorter they are.
const PEAK_S_MAX: f64 = 5.0;
/// In a short run the stretch is this part of the time in which there was something to get, so that a peak that was
/// held for one of five equal steps is not thinned by its neighbours.
const PEAK_ONE_IN: usize = 5;

/// New claims a second while there was something to get: from the first interval of the series with a new claim to
/// the last one, both included; intervals without any between them count as zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goodput {
    /// The middle interval (of an even number, the mean of the two in the middle).
    pub(super) median: f64,
    /// The highest mean over a stretch: see [`PEAK_S_MAX`].
    pub(super) peak: f64,
}

impl Goodput {
    pub(super) fn of(results: &Results) -> Result<Self, String> {
        let rates = &results.series.granted_per_s;
        let first = rates.iter().position(|rate| *rate > 0.0);
        let last = rates.iter().rposition(|rate| *rate > 0.0);
        let loaded = first.zip(last).and_then(|(first, last)| rates.get(first..=last));
        let mut loaded = loaded.ok_or_else(|| "there were no new claims".to_owned())?.to_vec();
        let peak = highest_mean(&loaded, results.series.interval_s);
        loaded.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| loaded.get(place).copied().unwrap_or_default();
        let middle = loaded.len() / 2;
        let median =
            if loaded.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle - 1), at(middle)) };
        Ok(Self { median, peak })
    }
}

/// The highest mean of a stretch of these intervals.
fn highest_mean(rates: &[f64], interval_s: f64) -> f64 {
    let fifth = rates.len() / PEAK_ONE_IN;
    let stretch = (1..=fifth).take_while(|n| *n as f64 * interval_s <= PEAK_S_MAX).last().unwrap_or(1);
    let means = rates.windows(stretch).map(|stretch| stretch.iter().sum::<f64>() / stretch.len() as f64);
    means.fold(0.0, f64::max)
}
