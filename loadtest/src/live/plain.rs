//! One line a second, for logs and pipes.
//!
//! Owns the form of the line: fixed words in a fixed order, so that it can be searched.

use std::fmt::Write as _;

use super::{
    scene::Scene,
    words::{UNKNOWN, grouped, kind, per_second, share, stopwatch, time_if_any},
};

/// Kinds of answers in one line; the most frequent ones.
const KINDS_MAX: usize = 5;

/// The facts of a scene in one line, without a line end.
pub(crate) fn line(scene: &Scene<'_>) -> String {
    let now = scene.feed.now();
    let last = scene.feed.last();
    let times = last.and_then(|second| second.times);
    let facts = [
        ("sent", per_second(last.map(|second| second.sent_per_s))),
        ("answered", per_second(last.map(|second| second.answers_per_s))),
        ("granted", per_second(last.map(|second| second.granted_per_s))),
        ("lost", grouped(now.lost)),
        ("p50", time_if_any(times.map(|times| times.p50_us))),
        ("p90", time_if_any(times.map(|times| times.p90_us))),
        ("p99", time_if_any(times.map(|times| times.p99_us))),
        ("max", time_if_any(times.map(|times| times.max_us))),
        ("open", if now.connections == 0 { UNKNOWN.into() } else { grouped(now.connections) }),
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

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    #[test]
    fn a_busy_second_in_one_line() {
        let sample = sample::busy();
        assert_eq!(
            line(&sample.scene()),
            " 0:02  sent 13,000/s  answered 12,000/s  granted 2,000/s  lost 7  p50 2.01 ms  p90 9.02 ms  \
             p99 9.02 ms  max 9.02 ms  open 1,000  stock 12,345  lag 0.25 s  journal 37  queue 5  \
             answers 410 sold_out 75.0 %, 201 20.8 %, 503 overloaded 4.2 %  ! 3 arrivals never left  \
             ! 1,200 arrivals left late: the generator has no CPU to spare  \
             ! metrics: no answer within 800 ms"
        );
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        let sample = sample::empty();
        assert_eq!(
            line(&sample.scene()),
            " 0:00  sent –  answered –  granted –  lost 0  p50 –  p90 –  p99 –  max –  open –  stock –  \
             lag –  journal –  queue –  answers –"
        );
    }

    #[test]
    fn many_kinds_of_answers_do_not_make_a_long_line() {
        let mut sample = sample::busy();
        sample.tell(|reading| (400..500).for_each(|status| reading.counts.add(status, "odd", 1)));
        let line = line(&sample.scene());
        let kinds = line.split("answers ").nth(1).and_then(|rest| rest.split("  ").next()).unwrap();
        assert_eq!(kinds.split(", ").count(), KINDS_MAX + 1);
        assert!(kinds.ends_with(", …"), "{kinds}");
    }
}
