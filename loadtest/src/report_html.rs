//! One page about one rush: what happened, how fast, and whether the promises hold.
//!
//! Owns the page and nothing else: it reads the JSON that `rush` and `claimrush audit` wrote, and writes one file
//! that needs no network, script or font. Reads leniently, so that a field which is not there leaves its part of
//! the page out instead of failing the report.
//!
//! The fields of a rush are those of [`crate::report::Report`]. Fields of an audit: `ok` and `checks` (a list of
//! `id`, `promise`, `compared`, `ok`, `detail`).

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

const PAGE: &str = include_str!("report.html");

/// The largest JSON file that is read, in bytes.
const JSON_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The percentiles that are shown, with their fields.
const PERCENTILES: [(&str, &str); 5] =
    [("p50", "p50_ms"), ("p90", "p90_ms"), ("p99", "p99_ms"), ("p99.9", "p999_ms"), ("longest", "max_ms")];

/// What `report` is told on the command line.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
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
pub fn run(args: &ReportArgs) -> anyhow::Result<()> {
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
    if let Some(answers) = number(rush, "/answers") {
        facts.push(format!("{} answers", thousands(answers)));
    }
    if let Some(seconds) = number(rush, "/elapsed_s") {
        facts.push(format!("in {seconds:.1} s"));
    }
    if let Some(connections) = number(rush, "/connections") {
        facts.push(format!("over {} connections", thousands(connections)));
    }
    facts.join(" ")
}

/// The number at a JSON pointer.
fn number(value: &Value, pointer: &str) -> Option<f64> {
    value.pointer(pointer).and_then(Value::as_f64)
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
    let count = |figure: Option<f64>| figure.map(thousands);
    let time = |pointer| number(rush, pointer).map(duration);
    let tiles = [
        (count(number(rush, "/granted")), "people told “yours”"),
        (count(number(rush, "/granted_per_s")), "claims a second"),
        (count(number(rush, "/answers_per_s")), "answers a second"),
        (time("/all/response/p50_ms"), "half answered within"),
        (time("/all/response/p99_ms"), "99 % answered within"),
        (count(sold_out.and_then(|rush| number(rush, "/answers_per_s"))), "answers a second when sold out"),
    ];
    let mut shown = String::new();
    for (figure, about) in tiles.into_iter().filter_map(|(figure, about)| Some((figure?, about))) {
        let _ = write!(shown, "<div class=\"tile\"><b>{figure}</b><span>{about}</span></div>");
    }
    if shown.is_empty() { shown } else { format!("<div class=\"tiles\">{shown}</div>") }
}

fn answers(heading: &str, rush: &Value) -> String {
    let Some(counts) = rush.get("counts").and_then(Value::as_array) else { return String::new() };
    let all: f64 = counts.iter().filter_map(|count| number(count, "/answers")).sum();
    let mut rows = String::new();
    for count in counts {
        let answers = number(count, "/answers").unwrap_or(0.0);
        let share = if all > 0.0 { answers / all * 100.0 } else { 0.0 };
        let status = count.get("status").map(Value::to_string).unwrap_or_default();
        let word = match (status.as_str(), count.get("code").and_then(Value::as_str).unwrap_or_default()) {
            ("201", "") => "yours",
            ("200", "") => "yours, told again",
            (_, code) => code,
        };
        let _ = write!(
            rows,
            "<tr><td>{} {}</td><td class=\"number\">{}</td><td class=\"share\"><i style=\"width:{share:.1}%\"></i></td>\
             </tr>",
            escaped(&status),
            escaped(word),
            thousands(answers)
        );
    }
    section(heading, &format!("<table>{rows}</table>"))
}

fn latency(heading: &str, rush: &Value) -> String {
    let at = |times: &str, field: &str| {
        number(rush, &format!("/{times}/response/{field}")).map_or("–".to_owned(), duration)
    };
    if rush.pointer("/all/response").is_none() {
        return String::new();
    }
    let mut rows =
        "<tr><th></th><th class=\"number\">all</th><th class=\"number\">“yours”</th></tr>".to_owned();
    for (name, field) in PERCENTILES {
        let [all, granted] = ["all", "granted_times"].map(|times| at(times, field));
        let _ = write!(
            rows,
            "<tr><td>{name}</td><td class=\"number\">{all}</td><td class=\"number\">{granted}</td></tr>"
        );
    }
    section(heading, &format!("<table>{rows}</table>"))
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

/// `ms` milliseconds in the unit that reads best, with three digits.
fn duration(ms: f64) -> String {
    let (value, unit) = match ms {
        ms if ms < 1.0 => (ms * 1e3, "µs"),
        ms if ms < 1e3 => (ms, "ms"),
        ms => (ms / 1e3, "s"),
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
