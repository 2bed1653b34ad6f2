//! One page about one rush: what happened, how fast, and whether the promises hold.
//!
//! Owns the page and nothing else: it reads the JSON that `rush` and `claimrush audit` wrote, and writes one file
//! that needs no network, script or font. Reads leniently, so that a field which is not there leaves its part of
//! the page out instead of failing the report.
//!
//! Fields of a rush: `drop`, `target`, `started_at`, `connections`, `seconds`, `answered`, `answered_per_second`,
//! `claimed_per_second`, `codes` (word → count), `latency_us` or `latency_ms` (`p50` … `max` → number) and
//! `timeline` (a list of `at_ms`, `answered`, `claimed`). Fields of an audit: `ok` and `checks` (a list of `id`,
//! `promise`, `compared`, `ok`, `detail`).

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

const PAGE: &str = include_str!("report.html");

/// The largest JSON file that is read, in bytes.
const JSON_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The most columns in the timeline; a longer one is summed into as many.
const COLUMNS_MAX: usize = 240;

/// The words of `codes` that mean a voucher.
const GRANTS: [&str; 2] = ["claimed", "replayed"];

/// What `report` is told on the command line.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// The JSON of the rush
    #[arg(long, value_name = "FILE")]
    rush: PathBuf,
    /// The JSON of a second rush, against the sold-out drop
    #[arg(long, value_name = "FILE")]
    sold_out: Option<PathBuf>,
    /// The JSON of `claimrush audit --json`
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// The page's title
    #[arg(long, default_value = "A rush")]
    title: String,
    /// Where to write the page
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Reads the results and writes the page.
///
/// # Errors
/// When a file cannot be read, is no JSON, or the page cannot be written; the file is named.
pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let rush = read(&args.rush)?;
    let sold_out = args.sold_out.as_deref().map(read).transpose()?;
    let audit = args.audit.as_deref().map(read).transpose()?;
    let page = render(&args.title, &rush, sold_out.as_ref(), audit.as_ref());
    fs::write(&args.out, page).with_context(|| format!("cannot write {}", args.out.display()))
}

fn read(path: &Path) -> anyhow::Result<Value> {
    let bytes = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    anyhow::ensure!(
        bytes <= JSON_BYTES_MAX,
        "{} has {bytes} bytes; at most {JSON_BYTES_MAX} are read",
        path.display()
    );
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))
}

/// The page, whole.
fn render(title: &str, rush: &Value, sold_out: Option<&Value>, audit: Option<&Value>) -> String {
    let parts = [
        ("{{title}}", escaped(title)),
        ("{{about}}", about(rush)),
        ("{{verdict}}", verdict(audit)),
        ("{{tiles}}", tiles(rush, sold_out)),
        ("{{timeline}}", timeline(rush)),
        ("{{answers}}", answers("Answers", rush)),
        ("{{latency}}", latency("Time to answer", rush)),
        ("{{sold_out}}", sold_out.map(after_sold_out).unwrap_or_default()),
        ("{{audit}}", audit.map(audit_table).unwrap_or_default()),
        ("{{footer}}", format!("claimrush-loadtest {}", env!("CARGO_PKG_VERSION"))),
    ];
    fill(PAGE, &parts)
}

/// Replaces each mark once over, without looking for marks in what was put in.
fn fill(template: &str, parts: &[(&str, String)]) -> String {
    let mut page = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, from_mark)) = rest.find("{{").and_then(|at| rest.split_at_checked(at)) {
        page.push_str(before);
        let part = parts.iter().find_map(|(mark, part)| Some((part, from_mark.strip_prefix(mark)?)));
        rest = if let Some((part, after)) = part {
            page.push_str(part);
            after
        } else {
            page.push_str("{{");
            from_mark.trim_start_matches("{{")
        };
    }
    page.push_str(rest);
    page
}

fn about(rush: &Value) -> String {
    let mut facts = Vec::new();
    if let Some(drop) = rush.get("drop").and_then(Value::as_str) {
        facts.push(format!("Drop <code>{}</code>", escaped(drop)));
    }
    if let Some(connections) = rush.get("connections").and_then(Value::as_u64) {
        facts.push(format!("{} connections", thousands(connections as f64)));
    }
    if let Some(seconds) = rush.get("seconds").and_then(Value::as_f64) {
        facts.push(format!("{seconds:.1} s"));
    }
    if let Some(at) = rush.get("started_at").and_then(Value::as_str) {
        facts.push(format!("started {}", escaped(at)));
    }
    facts.join(" · ")
}

fn verdict(audit: Option<&Value>) -> String {
    match audit.and_then(holds) {
        Some(true) => "<p class=\"verdict good\">✓ Every promise holds</p>".to_owned(),
        Some(false) => "<p class=\"verdict bad\">✗ A promise is broken</p>".to_owned(),
        None => String::new(),
    }
}

/// Whether the audit, or one check of it, holds; `None` when it does not say.
fn holds(value: &Value) -> Option<bool> {
    value.get("ok").and_then(Value::as_bool)
}

fn tiles(rush: &Value, sold_out: Option<&Value>) -> String {
    let mut tiles = String::new();
    let mut tile = |figure: String, about: &str| {
        let _ = write!(
            tiles,
            "<div class=\"tile\"><b>{}</b><span>{}</span></div>",
            escaped(&figure),
            escaped(about)
        );
    };
    let granted: f64 = GRANTS.iter().filter_map(|word| rush.get("codes")?.get(word)?.as_f64()).sum();
    if granted > 0.0 {
        tile(thousands(granted), "people told “yours”");
    }
    for (key, about) in
        [("claimed_per_second", "claims a second"), ("answered_per_second", "answers a second")]
    {
        if let Some(rate) = rush.get(key).and_then(Value::as_f64) {
            tile(thousands(rate), about);
        }
    }
    for (name, duration) in percentiles(rush) {
        if name == "p50" || name == "p99" {
            tile(duration, &format!("{name} time to answer"));
        }
    }
    if let Some(rate) = sold_out.and_then(|rush| rush.get("answered_per_second")).and_then(Value::as_f64) {
        tile(thousands(rate), "answers a second when sold out");
    }
    if tiles.is_empty() { tiles } else { format!("<div class=\"tiles\">{tiles}</div>") }
}

fn timeline(rush: &Value) -> String {
    let Some(points) = rush.get("timeline").and_then(Value::as_array).filter(|points| points.len() > 1)
    else {
        return String::new();
    };
    let count = |point: &Value, key: &str| point.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    let columns: Vec<(f64, f64)> = points
        .chunks(points.len().div_ceil(COLUMNS_MAX))
        .map(|chunk| {
            (
                chunk.iter().map(|p| count(p, "answered")).sum(),
                chunk.iter().map(|p| count(p, "claimed")).sum(),
            )
        })
        .collect();
    let highest = columns.iter().fold(1.0_f64, |highest, (answered, _)| highest.max(*answered));
    let mut bars = String::new();
    for (answered, claimed) in &columns {
        let class = if *claimed > 0.0 { " class=\"granted\"" } else { "" };
        let height = answered / highest * 100.0;
        let words = format!("{} answers, {} vouchers", thousands(*answered), thousands(*claimed));
        let _ = write!(bars, "<i{class} style=\"height:{height:.1}%\" title=\"{words}\"></i>");
    }
    let gap = if columns.iter().any(|(answered, _)| *answered == 0.0) {
        "; a gap is time without an answer"
    } else {
        ""
    };
    let last_ms = points.last().map_or(0.0, |point| count(point, "at_ms"));
    format!(
        "<section><h2>Answers over time</h2><p class=\"soft\">Green while vouchers were handed out{gap}.</p><div class=\"timeline\" role=\"img\" aria-label=\"Answers over time\">{bars}</div>\
         <div class=\"ends\"><span>0 s</span><span>{:.1} s</span></div></section>",
        last_ms / 1000.0
    )
}

fn answers(heading: &str, rush: &Value) -> String {
    let Some(codes) = rush.get("codes").and_then(Value::as_object) else { return String::new() };
    let mut counts: Vec<(&str, f64)> =
        codes.iter().filter_map(|(code, count)| Some((code.as_str(), count.as_f64()?))).collect();
    counts.retain(|(_, count)| *count > 0.0);
    counts.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    let all: f64 = counts.iter().map(|(_, count)| count).sum();
    let mut rows = String::new();
    for (code, count) in counts {
        let share = count / all * 100.0;
        let _ = write!(
            rows,
            "<tr><td><code>{}</code></td><td class=\"number\">{}</td><td class=\"share\"><i style=\"width:{share:.1}%\">\
             </i></td></tr>",
            escaped(code),
            thousands(count)
        );
    }
    section(heading, &format!("<table>{rows}</table>"))
}

fn latency(heading: &str, rush: &Value) -> String {
    let mut rows = String::new();
    for (name, duration) in percentiles(rush) {
        let _ = write!(rows, "<tr><td>{}</td><td class=\"number\">{duration}</td></tr>", escaped(&name));
    }
    if rows.is_empty() { rows } else { section(heading, &format!("<table>{rows}</table>")) }
}

/// Name and readable duration of each percentile, ascending.
fn percentiles(rush: &Value) -> Vec<(String, String)> {
    let found = [("latency_us", 1.0), ("latency_ms", 1000.0)]
        .into_iter()
        .find_map(|(key, unit_us)| Some((rush.get(key)?.as_object()?, unit_us)));
    let Some((latency, unit_us)) = found else { return Vec::new() };
    let mut rows: Vec<(&String, f64)> =
        latency.iter().filter_map(|(name, value)| Some((name, value.as_f64()? * unit_us))).collect();
    rows.sort_by(|a, b| a.1.total_cmp(&b.1).then(rank(a.0).total_cmp(&rank(b.0))));
    rows.into_iter().map(|(name, us)| (name.clone(), duration(us))).collect()
}

/// Orders names of equal values: minimum, percentiles, maximum.
fn rank(name: &str) -> f64 {
    match name {
        "min" => -1.0,
        "max" => 101.0,
        _ => name.trim_start_matches('p').parse().unwrap_or(100.5),
    }
}

fn after_sold_out(rush: &Value) -> String {
    let inner = answers("Answers after the last voucher", rush) + &latency("Time to say “sold out”", rush);
    if inner.is_empty() { inner } else { format!("<div class=\"pair\">{inner}</div>") }
}

fn audit_table(audit: &Value) -> String {
    let Some(checks) = audit.get("checks").and_then(Value::as_array) else { return String::new() };
    let text = |check: &Value, key: &str| match check.get(key) {
        Some(Value::String(text)) => escaped(text),
        None | Some(Value::Null) => String::new(),
        Some(other) => escaped(&other.to_string()),
    };
    let mut rows = String::new();
    for check in checks {
        let (class, word) = match holds(check) {
            Some(true) => ("good", "✓ holds"),
            Some(false) => ("bad", "✗ broken"),
            None => ("soft", "– not checked"),
        };
        let compared = [text(check, "compared"), text(check, "detail")];
        let compared: Vec<&str> =
            compared.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td class=\"soft\">{}</td><td class=\"result {class}\">{word}</td></tr>",
            text(check, "id"),
            text(check, "promise"),
            compared.join("<br>")
        );
    }
    let head = "<tr><th></th><th>Promise</th><th>What was compared</th><th>Result</th></tr>";
    section(
        "The audit: Redis against the ledger",
        &format!("<div class=\"scroll\"><table>{head}{rows}</table></div>"),
    )
}

fn section(heading: &str, inner: &str) -> String {
    format!("<section><h2>{}</h2>{inner}</section>", escaped(heading))
}

/// `us` microseconds in the unit that reads best, with three digits.
fn duration(us: f64) -> String {
    let (value, unit) = match us {
        us if us < 1e3 => (us, "µs"),
        us if us < 1e6 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    let decimals = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// A rounded number with a comma every three digits.
fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut grouped = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
#[path = "report_html_tests.rs"]
mod tests;
