//! The page of one run: what happened, how fast, who got what, and whether it held.
//!
//! Everything on it comes from [`Results`]. What each part says stands here, in [`people`] and in
//! [`later`]; how a page is built
//! is the affair of [`super::page`].

pub(crate) mod charts;
mod later;
mod people;

use anyhow::Result;

use super::{
    bytes, count,
    page::{Chart, Escaped, Page},
    percent, rate,
    tables::{Cell, Table, facts, list, section, tiles},
    time,
};
use crate::results::{Cpu, Environment, Model, Results, TimesResult};

/// What a page tells: one run at length, what happened meanwhile, and what came after it.
#[derive(Debug)]
pub struct Story<'a> {
    /// The page's title.
    pub title: &'a str,
    /// The run.
    pub run: &'a Results,
    /// What happened during the run, apart from it.
    pub moments: Vec<Moment>,
    /// Later runs, in their order.
    pub later: &'a [Results],
}

/// Something that happened during a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Seconds from the start of the run.
    pub at_s: f64,
    /// What it was, in a word or two.
    pub label: String,
}

/// A part of a page with the charts that are drawn into it.
struct Piece {
    html: String,
    charts: Vec<Chart>,
}

/// The page of a run: one HTML file that needs nothing else.
///
/// # Errors
/// The results hold a histogram that is none, or their scenario cannot be written as TOML.
pub fn report_page(results: &Results) -> Result<String> {
    story_page(&Story { title: &results.scenario.name, run: results, moments: Vec::new(), later: &[] })
}

/// The page of a story: one HTML file that needs nothing else.
///
/// # Errors
/// As those of [`report_page`].
pub fn story_page(story: &Story<'_>) -> Result<String> {
    let results = story.run;
    let Piece { html, mut charts } = opening(story)?;
    let mut body = html;
    for (number, run) in (2..).zip(story.later) {
        let chapter = later::chapter(run, number)?;
        body += &chapter.html;
        charts.extend(chapter.charts);
    }
    body += &audit(results);
    body +=
        &pair(&[section("How it was sent", &sending(results)), section("Environment", &machine(results))]);
    body += &workers(&results.environment);
    body += &scenario(results)?;
    let version = Escaped(&results.environment.version);
    let body = format!(
        "{body}</main><footer>claimrush-loadtest {version}, results format {}</footer>",
        results.format
    );
    Page { title: format!("{}: {}", story.title, results.verdict.headline()), body, charts }.html()
}

/// All that the page says of its run but how it was made.
fn opening(story: &Story<'_>) -> Result<Piece> {
    let results = story.run;
    let [rates, times, codes, percentiles] = charts::of(results, &story.moments)?;
    let mut html = header(story) + &verdict(results) + &key_figures(results);
    html += &pair(&[rates.place("Rate, per second"), times.place("Response time")]);
    html += &pair(&[codes.place("Answers by code, per second"), percentiles.place("Percentiles")]);
    html += "<p class=\"hint\">Drag over a chart to zoom, double-click to go back; names in a legend hide lines.</p>\
             <noscript><p class=\"hint\">The charts need JavaScript; every figure stands in the tables too.</p></noscript>";
    html += &people::desk(results);
    html += &section("What each persona got", &people::table(results));
    html += &section("Codes by persona", &people::codes(results));
    html += &pair(&[thresholds(results), section("Times", &all_times(results))]);
    Ok(Piece { html, charts: vec![rates, times, codes, percentiles] })
}

fn header(story: &Story<'_>) -> String {
    let results = story.run;
    let model = match results.model {
        Model::Open => "open model",
        Model::Closed => "closed model",
    };
    format!(
        "<header><p class=\"brand\"><b>claimrush</b> load test</p><h1>{}</h1><p class=\"about\">{}</p>\
         <p class=\"facts\">{} · {model} · {:.1} s</p></header><main>",
        Escaped(story.title),
        Escaped(&results.scenario.about),
        Escaped(&results.environment.started_at),
        results.elapsed_s
    )
}

/// How it ended, and every reason for it.
fn verdict(results: &Results) -> String {
    let verdict = &results.verdict;
    let (class, mark) = match verdict.exit_code {
        0 => ("good", "✓"),
        3 => ("warn", "!"),
        _ => ("bad", "✗"),
    };
    let missed = results.thresholds.iter().filter(|threshold| !threshold.ok);
    let missed = missed.map(|threshold| format!("{}: measured {}", threshold.text, threshold.measured));
    let broken = results.audit.iter().flat_map(|audit| &audit.checks).filter(|check| !check.ok);
    let broken = broken.map(|check| format!("{}: {}", check.promise, check.detail));
    let reasons: Vec<String> = verdict.invalid_because.iter().cloned().chain(broken).chain(missed).collect();
    let warnings: Vec<String> = verdict.warnings.iter().map(|warning| format!("Note: {warning}")).collect();
    let reasons = list(reasons.iter().chain(&warnings).map(String::as_str));
    format!(
        "<section class=\"verdict {class}\"><h2>{mark} {}</h2>{reasons}</section>",
        Escaped(verdict.headline())
    )
}

fn key_figures(results: &Results) -> String {
    let total = &results.total;
    let mut shown = vec![
        (count(total.granted), "granted", format!("{}/s", rate(total.granted_per_s))),
        (count(total.answers), "answers", format!("{}/s", rate(total.answers_per_s))),
        (count(total.arrivals), "people came", format!("{} got a claim", percent(total.granted_percent))),
    ];
    if let Some(times) = &total.granted_times {
        let slowest = format!("slowest {}", time(times.response.max_ms));
        shown.push((time(times.response.p99_ms), "99 % of grants within", slowest));
    }
    if let Some(times) = &total.refused_times {
        let slowest = format!("slowest {}", time(times.response.max_ms));
        shown.push((time(times.response.p99_ms), "99 % of refusals within", slowest));
    }
    let lost = format!("{} replies lost", count(total.mishaps.lost_replies));
    shown.push((count(total.unknown), "outcomes unknown", lost));
    tiles(&shown)
}

fn pair(sections: &[String]) -> String {
    let sections: Vec<&str> =
        sections.iter().map(String::as_str).filter(|section| !section.is_empty()).collect();
    format!("<div class=\"pair\">{}</div>", sections.concat())
}

fn thresholds(results: &Results) -> String {
    if results.thresholds.is_empty() {
        return String::new();
    }
    let mut table = Table::new("Thresholds", [("", false), ("Must hold", false), ("Measured", true)]);
    for threshold in &results.thresholds {
        table.row([
            Cell::Mark(threshold.ok),
            Cell::Code(threshold.text.clone()),
            Cell::Figure(threshold.measured.clone()),
        ]);
    }
    section("Thresholds", &table.html())
}

fn all_times(results: &Results) -> String {
    let total = &results.total;
    let head = [("", false), ("p50", true), ("p90", true), ("p99", true), ("p99.9", true), ("max", true)];
    let mut table = Table::new("Times", head);
    let sorts =
        [("All answers", &total.times), ("Grants", &total.granted_times), ("Refusals", &total.refused_times)];
    for (title, times) in sorts.into_iter().filter_map(|(title, times)| Some((title, times.as_ref()?))) {
        let TimesResult { response, service, .. } = times;
        table.group(title, head.len());
        for (view, p) in [("response", response), ("service", service)] {
            let figures = [p.p50_ms, p.p90_ms, p.p99_ms, p.p999_ms, p.max_ms];
            let figures = figures.map(|ms| Cell::Figure(time(ms)));
            table.row([Cell::Name(view.into())].into_iter().chain(figures));
        }
    }
    table.html()
        + "<p class=\"hint\">Response: from the intended start, what a person waits. Service: from the actual send.</p>"
}

fn audit(results: &Results) -> String {
    let Some(audit) = &results.audit else { return String::new() };
    let head = [("", false), ("", false), ("Promise", false), ("Compared", false), ("Found", false)];
    let mut table = Table::new("The audit", head);
    for check in &audit.checks {
        table.row([
            Cell::Mark(check.ok),
            Cell::Code(check.id.clone()),
            Cell::Text(check.promise.clone()),
            Cell::Text(check.compared.clone()),
            Cell::Text(check.detail.clone()),
        ]);
    }
    let left_out = list(audit.left_out.iter().map(String::as_str));
    let left_out = if left_out.is_empty() { left_out } else { format!("<h3>Not checked</h3>{left_out}") };
    section("The audit after the load", &(table.html() + &left_out))
}

fn cpu(cpu: &Cpu) -> String {
    format!("{:.2} cores, {:.2} µs an answer", cpu.cores, cpu.us_per_answer)
}

/// How the schedule was kept, what went wrong, and what it cost.
fn sending(results: &Results) -> String {
    let mut shown = Vec::new();
    if let Some(schedule) = &results.schedule {
        shown.extend([
            ("Due", count(schedule.scheduled)),
            ("Late by the generator", count(schedule.late_generator)),
            ("Late by busy connections", count(schedule.late_connections)),
            ("Never left", count(schedule.dropped)),
        ]);
    }
    let mishaps = &results.total.mishaps;
    shown.extend([
        ("Requests", count(results.total.requests)),
        ("Sent again", count(mishaps.retries)),
        ("Replies lost", count(mishaps.lost_replies)),
        ("Connections failed", count(mishaps.connect_failures)),
        ("Connections reopened", count(mishaps.reconnects)),
        ("Closed by the service", count(mishaps.closed_on)),
        ("Never sent", count(mishaps.unsent)),
        ("Unreadable claims", count(mishaps.unreadable_claims)),
        ("Generator CPU", cpu(&results.generator_cpu)),
    ]);
    let watched: Vec<_> = results
        .cpu_of
        .iter()
        .map(|process| {
            let used = process.cpu.as_ref().map_or_else(|| "it ended during the run".to_owned(), cpu);
            (format!("CPU of process {}", process.pid), used)
        })
        .collect();
    let watched = watched.iter().map(|(name, used)| (name.as_str(), used.clone()));
    facts(shown.into_iter().chain(watched))
}

fn machine(results: &Results) -> String {
    let environment = &results.environment;
    let connections = &results.scenario.connections;
    facts([
        ("Service", results.scenario.service.url.clone()),
        ("Connections", count(u64::try_from(connections.count).unwrap_or(u64::MAX))),
        ("Generator threads", environment.threads.to_string()),
        ("Seed", results.scenario.seed.to_string()),
        ("Started", environment.started_at.clone()),
        ("System", environment.system.clone()),
        ("Processor", environment.processor.clone()),
        ("Cores", environment.cores.to_string()),
        ("Memory", bytes(environment.memory_bytes)),
        ("Exit code", results.verdict.exit_code.to_string()),
    ])
}

fn workers(environment: &Environment) -> String {
    if environment.workers.is_empty() {
        return String::new();
    }
    let head = [
        ("Worker", false),
        ("Threads", true),
        ("Clock", true),
        ("give or take", true),
        ("Generator CPU", true),
    ];
    let mut table = Table::new("Workers", head);
    for worker in &environment.workers {
        table.row([
            Cell::Name(worker.address.clone()),
            Cell::Figure(worker.threads.to_string()),
            Cell::Figure(format!("{} µs", worker.clock_offset_us)),
            Cell::Figure(format!("{} µs", worker.clock_error_us)),
            Cell::Figure(cpu(&worker.cpu)),
        ]);
    }
    section("Workers", &table.html())
}

fn scenario(results: &Results) -> Result<String> {
    let toml = toml::to_string_pretty(&results.scenario)?;
    Ok(format!(
        "<section><details><summary>The scenario</summary><pre tabindex=\"0\"><code>{}</code></pre></details></section>",
        Escaped(&toml)
    ))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
