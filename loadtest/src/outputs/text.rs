//! The results for a terminal.

use std::fmt::Write;

use super::{count, percent, rate, time};
use crate::results::{Model, Part, Percentiles, Results};

/// The results as text of about a hundred columns.
#[must_use]
pub fn text(results: &Results) -> String {
    let mut out = String::new();
    let parts = [
        head(results),
        desk(results),
        personas(results),
        times(results),
        codes(results),
        machine(results),
        thresholds(results),
        audit(results),
        verdict(results),
    ];
    for part in parts.iter().filter(|part| !part.is_empty()) {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(part);
    }
    out
}

/// Lines are written to memory, which cannot fail.
macro_rules! line {
    ($out:expr, $($part:tt)*) => { let _ = writeln!($out, $($part)*); };
}

fn head(results: &Results) -> String {
    let mut out = String::new();
    let model = match results.model {
        Model::Open => "open model: requests leave on schedule",
        Model::Closed => "closed model: each connection waits for its answer",
    };
    let (scenario, threads) = (&results.scenario, results.environment.threads);
    let connections = scenario.connections.count;
    line!(out, "{}: {model}", scenario.name);
    line!(out, "{connections} connections, {threads} threads, seed {}", scenario.seed);
    let total = &results.total;
    line!(
        out,
        "{} answers in {:.2} s = {}/s; {} granted = {}/s; {} unknown",
        count(total.answers),
        results.elapsed_s,
        rate(total.answers_per_s),
        count(total.granted),
        rate(total.granted_per_s),
        count(total.unknown)
    );
    out
}

fn desk(results: &Results) -> String {
    let mut out = String::new();
    if let Some(desk) = &results.desk {
        line!(out, "at the ticket desk, in {:.1} s:", desk.elapsed_s);
        for part in &desk.personas {
            line!(out, "  {part}");
        }
    }
    out
}

fn personas(results: &Results) -> String {
    let mut out = String::new();
    let head = ["arrivals", "answers", "granted", "of all", "replayed", "refused", "p50", "p99", "max"];
    persona_line(&mut out, "persona", &head.map(str::to_owned));
    for persona in &results.personas {
        persona_line(&mut out, &persona.name, &persona_figures(&persona.part));
    }
    if results.personas.len() > 1 {
        persona_line(&mut out, "total", &persona_figures(&results.total));
    }
    out
}

fn persona_figures(part: &Part) -> [String; 9] {
    let at = |of: fn(&Percentiles) -> f64| {
        part.times.as_ref().map_or_else(|| "-".to_owned(), |times| time(of(&times.response)))
    };
    [
        count(part.arrivals),
        count(part.answers),
        count(part.granted),
        percent(part.granted_percent),
        count(part.replayed),
        count(part.refused()),
        at(|times| times.p50_ms),
        at(|times| times.p99_ms),
        at(|times| times.max_ms),
    ]
}

fn persona_line(out: &mut String, name: &str, figures: &[String; 9]) {
    let _ = write!(out, "{name:<18}");
    for figure in figures {
        let _ = write!(out, "{figure:>10}");
    }
    out.push('\n');
}

fn times(results: &Results) -> String {
    let total = &results.total;
    let rows = [("all", &total.times), ("granted", &total.granted_times), ("refused", &total.refused_times)];
    let mut out = String::new();
    for (name, times) in rows.into_iter().filter_map(|(name, times)| Some((name, times.as_ref()?))) {
        for (view, p) in [("from intended start", times.response), ("from send", times.service)] {
            line!(
                out,
                "{:<30}{:>10}{:>10}{:>10}{:>10}{:>10}",
                format!("{name}, {view}"),
                time(p.p50_ms),
                time(p.p90_ms),
                time(p.p99_ms),
                time(p.p999_ms),
                time(p.max_ms)
            );
        }
    }
    if out.is_empty() {
        return out;
    }
    format!("{:<30}{:>10}{:>10}{:>10}{:>10}{:>10}\n{out}", "times", "p50", "p90", "p99", "p99.9", "max")
}

fn codes(results: &Results) -> String {
    let mut out = String::new();
    for kind in &results.total.counts {
        line!(out, "{:<5}{:<24}{:>12}", kind.status, kind.code, count(kind.answers));
    }
    out
}

fn machine(results: &Results) -> String {
    let mut out = String::new();
    if let Some(schedule) = &results.schedule {
        line!(
            out,
            "schedule: {} due, {} late by the generator, {} late by busy connections, {} dropped",
            count(schedule.scheduled),
            count(schedule.late_generator),
            count(schedule.late_connections),
            count(schedule.dropped)
        );
    }
    let mishaps = &results.total.mishaps;
    line!(
        out,
        "connections: {} failed, {} reopened, {} closed by the service; {} replies lost, {} retries, {} unsent",
        count(mishaps.connect_failures),
        count(mishaps.reconnects),
        count(mishaps.closed_on),
        count(mishaps.lost_replies),
        count(mishaps.retries),
        count(mishaps.unsent)
    );
    let own = results.generator_cpu;
    line!(out, "CPU of the generator: {:.2} µs an answer, {:.2} cores", own.us_per_answer, own.cores);
    for process in &results.cpu_of {
        if let Some(cpu) = process.cpu {
            let (pid, us, cores) = (process.pid, cpu.us_per_answer, cpu.cores);
            line!(out, "CPU of process {pid}: {us:.2} µs an answer, {cores:.2} cores");
        }
    }
    out
}

fn mark(ok: bool) -> char {
    if ok { '✓' } else { '✗' }
}

fn thresholds(results: &Results) -> String {
    let mut out = String::new();
    for threshold in &results.thresholds {
        line!(out, "{} {:<40} measured {}", mark(threshold.ok), threshold.text, threshold.measured);
    }
    out
}

fn audit(results: &Results) -> String {
    let mut out = String::new();
    for check in results.audit.iter().flat_map(|audit| &audit.checks) {
        line!(out, "{} {:<22} {}", mark(check.ok), check.id, check.promise);
        let found = if check.detail.is_empty() { &check.compared } else { &check.detail };
        line!(out, "  {:<22} {found}", "");
    }
    for what in results.audit.iter().flat_map(|audit| &audit.left_out) {
        line!(out, "- {:<22} {what}", "not checked");
    }
    out
}

fn verdict(results: &Results) -> String {
    let mut out = String::new();
    let verdict = &results.verdict;
    for warning in &verdict.warnings {
        line!(out, "warning: {warning}");
    }
    for cause in &verdict.invalid_because {
        line!(out, "INVALID RUN: {cause}");
    }
    line!(out, "{} (exit code {})", verdict.headline(), verdict.exit_code);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::sample;

    #[test]
    fn the_terminal_is_told_what_counts() {
        let (results, _) = sample::sold_out();
        let text = text(&results);
        let has = |part: &str| assert!(text.contains(part), "{part} is missing in\n{text}");
        has("release-10am: open model");
        has("at the ticket desk, in 12.5 s:");
        has(
            "bot farm <b>&amp;</b>: 15 tickets for 1440, 62500 hashes each, 1425 times told to come later, 1425 not_eligible",
        );
        has("✗ granted.p99 < 400ms");
        has("measured 562 ms");
        has("✓ kept");
        has("410  sold_out");
        has("A threshold was missed (exit code 1)");
        let honest = text.lines().find(|line| line.starts_with("honest")).unwrap();
        assert!(honest.contains(&count(results.personas[0].part.granted)), "{honest}");
    }

    #[test]
    fn an_invalid_run_says_why() {
        let (mut results, _) = sample::sold_out();
        results.verdict.valid = false;
        results.verdict.invalid_because = vec!["no request was answered".into()];
        results.total.times = None;
        let text = text(&results);
        assert!(text.contains("INVALID RUN: no request was answered"), "{text}");
    }
}
