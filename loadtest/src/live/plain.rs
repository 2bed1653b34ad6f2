//! One line a second, for logs and pipes.
//!
//! Owns the form of the line: fixed words in a fixed order, so that it can be searched.

use std::fmt::Write as _;

use super::{
    scene::Scene,
    words::{UNKNOWN, grouped, kind, rate, share, stopwatch, time},
};

/// Kinds of answers in one line; the most frequent ones.
const KINDS_MAX: usize = 5;

/// The facts of a scene in one line, without a line end.
pub(crate) fn line(scene: &Scene<'_>) -> String {
    let now = scene.feed.now();
    let last = scene.feed.last();
    let times = last.and_then(|second| second.times);
    let per_s =
        |value: Option<f64>| value.map_or_else(|| UNKNOWN.into(), |value| format!("{}/s", rate(value)));
    let quantile = |value: Option<u64>| value.map_or_else(|| UNKNOWN.into(), time);
    let facts = [
        ("sent", per_s(last.map(|second| second.sent_per_s))),
        ("answered", per_s(last.map(|second| second.answers_per_s))),
        ("granted", per_s(last.map(|second| second.granted_per_s))),
        ("lost", grouped(now.lost)),
        ("p50", quantile(times.map(|times| times.p50_us))),
        ("p90", quantile(times.map(|times| times.p90_us))),
        ("p99", quantile(times.map(|times| times.p99_us))),
        ("max", quantile(times.map(|times| times.max_us))),
        ("open", grouped(now.connections)),
        ("stock", scene.stock_left()),
        ("lag", scene.drain_lag()),
        ("journal", scene.journal()),
        ("queue", scene.queue()),
        ("answers", kinds(scene)),
    ];
    let mut line = format!("{:>5}", stopwatch(now.elapsed));
    for (name, value) in facts {
        // Writing to a String cannot fail.
        let _written = write!(line, "  {name} {value}");
    }
    for warning in scene.warnings() {
        let _written = write!(line, "  ! {}", warning.text);
    }
    line
}

/// `201 42.1 %, 410 sold_out 57.9 %`: shares of all answers since the start.
fn kinds(scene: &Scene<'_>) -> String {
    let now = scene.feed.now();
    if now.answers == 0 {
        return UNKNOWN.into();
    }
    let mut counts: Vec<_> = now.counts.iter().collect();
    counts.sort_by_key(|(_, answers)| std::cmp::Reverse(*answers));
    let shown = counts.iter().take(KINDS_MAX);
    let mut shown: Vec<_> = shown
        .map(|(of, answers)| format!("{} {}", kind(of.status, &of.code), share(*answers, now.answers)))
        .collect();
    if counts.len() > KINDS_MAX {
        shown.push("…".into());
    }
    shown.join(", ")
}
