//! What is compared, and when a change is for the better.

use crate::{
    outputs::{count, percent, rate, time},
    results::{Part, Percentiles, Results, TimesResult, kind_name},
};

/// A smaller change than this share is none: two runs of the same thing differ by as much.
const SAME_WITHIN: f64 = 0.02;

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// So many.
    Count,
    /// So many a second.
    PerSecond,
    /// Milliseconds.
    Ms,
    /// Microseconds of CPU.
    MicrosCpu,
    /// Of a hundred.
    Percent,
}

/// Which direction is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    Higher,
    Lower,
    Neither,
}

/// What a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// For the better.
    Better,
    /// For the worse.
    Worse,
    /// Too small to say, or of a number that is neither good nor bad.
    Neither,
}

/// One number of both runs.
#[derive(Debug, Clone)]
pub struct Row {
    /// What it is.
    pub name: String,
    /// What it is measured in.
    pub unit: Unit,
    /// In the run before; none where it had nothing to measure.
    pub before: Option<f64>,
    /// In the run after.
    pub after: Option<f64>,
    better: Better,
}

/// Numbers that belong together.
#[derive(Debug, Clone)]
pub struct Group {
    /// What they are about.
    pub title: String,
    /// The numbers.
    pub rows: Vec<Row>,
}

impl Unit {
    /// A number as people read it.
    #[must_use]
    pub fn spell(self, value: Option<f64>) -> String {
        let Some(value) = value else { return "–".into() };
        match self {
            Self::Count => whole(value),
            Self::PerSecond => format!("{}/s", rate(value)),
            Self::Ms => time(value),
            Self::MicrosCpu => format!("{value:.2} µs"),
            Self::Percent => percent(value),
        }
    }
}

/// A count that went through a float; counts are far below 2^53.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was a count before")]
fn whole(value: f64) -> String {
    count(value as u64)
}

impl Effect {
    /// The word for it; empty where there is nothing to say.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Better => "▲ better",
            Self::Worse => "▼ worse",
            Self::Neither => "",
        }
    }
}

impl Row {
    /// The change in percent of the value before; none where either is missing or nothing was there before.
    #[must_use]
    pub fn change_percent(&self) -> Option<f64> {
        let (before, after) = (self.before?, self.after?);
        (before.abs() > f64::EPSILON).then(|| (after - before) * 100.0 / before)
    }

    /// The change as people read it.
    #[must_use]
    pub fn change(&self) -> String {
        match (self.change_percent(), self.before, self.after) {
            (Some(change), ..) => format!("{change:+.1} %"),
            (None, Some(_), Some(after)) if after > 0.0 => "new".into(),
            _ => String::new(),
        }
    }

    /// Whether the change is for the better.
    #[must_use]
    pub fn effect(&self) -> Effect {
        let (Some(before), Some(after)) = (self.before, self.after) else { return Effect::Neither };
        let is_same = (after - before).abs() <= SAME_WITHIN * before.abs();
        match self.better {
            _ if is_same => Effect::Neither,
            Better::Higher if after > before => Effect::Better,
            Better::Lower if after < before => Effect::Better,
            Better::Neither => Effect::Neither,
            _ => Effect::Worse,
        }
    }
}

/// Everything that is compared, in the order in which it is read.
#[must_use]
pub fn groups(before: &Results, after: &Results) -> Vec<Group> {
    let (old, new) = (&before.total, &after.total);
    let mut groups = vec![overall(before, after)];
    let sorts = [
        ("All answers", &old.times, &new.times),
        ("Grants", &old.granted_times, &new.granted_times),
        ("Refusals", &old.refused_times, &new.refused_times),
    ];
    for (title, old, new) in sorts {
        groups.extend(times(title, old.as_ref(), new.as_ref()));
    }
    groups.push(codes(old, new));
    for persona in &after.personas {
        let same = before.personas.iter().find(|other| other.name == persona.name);
        groups.push(one_persona(&persona.name, same.map(|same| &same.part), &persona.part));
    }
    groups
}

fn row(name: &str, unit: Unit, better: Better, before: Option<f64>, after: Option<f64>) -> Row {
    Row { name: name.into(), unit, before, after, better }
}

fn overall(before: &Results, after: &Results) -> Group {
    let both =
        |name, unit, better, of: fn(&Results) -> Option<f64>| row(name, unit, better, of(before), of(after));
    let watched = |run: &Results| {
        let used = run.cpu_of.iter().map(|process| process.cpu.map(|cpu| cpu.us_per_answer));
        used.collect::<Option<Vec<_>>>().filter(|used| !used.is_empty()).map(|used| used.iter().sum::<f64>())
    };
    let rows = vec![
        both("answers", Unit::PerSecond, Better::Higher, |run| Some(run.total.answers_per_s)),
        both("granted", Unit::PerSecond, Better::Higher, |run| Some(run.total.granted_per_s)),
        both("granted in all", Unit::Count, Better::Neither, |run| Some(run.total.granted as f64)),
        both("outcomes unknown", Unit::Count, Better::Lower, |run| Some(run.total.unknown as f64)),
        both("replies lost", Unit::Count, Better::Lower, |run| Some(run.total.mishaps.lost_replies as f64)),
        both("never left", Unit::Count, Better::Lower, |run| Some(run.schedule?.dropped as f64)),
        both("generator CPU an answer", Unit::MicrosCpu, Better::Neither, |run| {
            Some(run.generator_cpu.us_per_answer)
        }),
        row("watched CPU an answer", Unit::MicrosCpu, Better::Lower, watched(before), watched(after)),
    ];
    let rows = rows.into_iter().filter(|row| row.before.is_some() || row.after.is_some()).collect();
    Group { title: "Overall".into(), rows }
}

/// Both views of one sort of answers; none where neither run had any.
fn times(title: &str, before: Option<&TimesResult>, after: Option<&TimesResult>) -> Vec<Group> {
    if before.is_none() && after.is_none() {
        return Vec::new();
    }
    let response = |times: &TimesResult| times.response;
    let service = |times: &TimesResult| times.service;
    vec![
        one_view(format!("{title}, response"), before.map(response), after.map(response)),
        one_view(format!("{title}, service"), before.map(service), after.map(service)),
    ]
}

fn one_view(title: String, before: Option<Percentiles>, after: Option<Percentiles>) -> Group {
    let one = |name, value: fn(Percentiles) -> f64| {
        row(name, Unit::Ms, Better::Lower, before.map(value), after.map(value))
    };
    let rows = vec![
        one("p50", |p| p.p50_ms),
        one("p90", |p| p.p90_ms),
        one("p99", |p| p.p99_ms),
        one("p99.9", |p| p.p999_ms),
        one("max", |p| p.max_ms),
    ];
    Group { title, rows }
}

/// Answers by code; only errors of the service are worse for being more.
fn codes(before: &Part, after: &Part) -> Group {
    let mut kinds: Vec<_> =
        before.counts.iter().chain(&after.counts).map(|count| (count.status, &count.code)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let rows = kinds.into_iter().map(|(status, code)| {
        let of = |part: &Part| {
            let own = part.counts.iter().find(|count| (count.status, &count.code) == (status, code));
            Some(own.map_or(0, |count| count.answers) as f64)
        };
        let better = if status >= 500 { Better::Lower } else { Better::Neither };
        row(&kind_name(status, code), Unit::Count, better, of(before), of(after))
    });
    Group { title: "Answers by code".into(), rows: rows.collect() }
}

fn one_persona(name: &str, before: Option<&Part>, after: &Part) -> Group {
    let both = |name, unit, better, of: fn(&Part) -> Option<f64>| {
        row(name, unit, better, before.and_then(of), of(after))
    };
    let rows = vec![
        both("came", Unit::Count, Better::Neither, |part| Some(part.arrivals as f64)),
        both("granted of those", Unit::Percent, Better::Neither, |part| Some(part.granted_percent)),
        both("p50 response", Unit::Ms, Better::Lower, |part| Some(part.times.as_ref()?.response.p50_ms)),
        both("p99 response", Unit::Ms, Better::Lower, |part| Some(part.times.as_ref()?.response.p99_ms)),
    ];
    Group { title: format!("Persona {name}"), rows }
}
