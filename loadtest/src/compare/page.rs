//! The comparison as one page, of the same make as a run's.

use anyhow::Result;

use super::{Effect, caveats, groups};
use crate::{
    outputs::{
        curve_table,
        page::{Axis, Chart, Column, Escaped, Line, Page, Table as Columns, Unit},
        tables::{Cell, Table, list, section},
    },
    results::{Results, Series, TimesResult},
};

/// The page: one HTML file that needs nothing else.
///
/// # Errors
/// A document holds a histogram that is none.
pub(super) fn page(before: &Results, after: &Results) -> Result<String> {
    let runs = [before, after];
    let response = percentiles("response", "Response times by percentile, of both runs", runs, |times| {
        &times.response_hdr
    })?;
    let service = percentiles("service", "Service times by percentile, of both runs", runs, |times| {
        &times.service_hdr
    })?;
    let charts = vec![response, service, rates(runs), p99(runs)];
    let headings = [
        "Response time by percentile",
        "Service time by percentile",
        "Rate, per second",
        "Response time, p99",
    ];
    let places: String = charts.iter().zip(headings).map(|(chart, heading)| chart.place(heading)).collect();
    let body = format!(
        "{}<main>{}<div class=\"pair\">{places}</div>\
         <p class=\"hint\">Solid: after. Dashed: before. Drag over a chart to zoom, double-click to go back.</p>{}</main>\
         <footer>claimrush-loadtest {}</footer>",
        header(before, after),
        notes(before, after),
        section("Before and after", &table(before, after)),
        env!("CARGO_PKG_VERSION")
    );
    Page { title: format!("{}: before and after", after.scenario.name), body, charts }.html()
}

fn header(before: &Results, after: &Results) -> String {
    let [old, new] = [before, after].map(|run| {
        format!("{} · {} · {}", run.scenario.name, run.environment.started_at, run.verdict.headline())
    });
    format!(
        "<header><p class=\"brand\"><b>claimrush</b> load test</p><h1>{}: before and after</h1>\
         <p class=\"facts\">Before: {}<br>After: {}</p></header>",
        Escaped(&after.scenario.name),
        Escaped(&old),
        Escaped(&new)
    )
}

fn notes(before: &Results, after: &Results) -> String {
    let caveats = caveats(before, after);
    if caveats.is_empty() {
        return String::new();
    }
    let items = list(caveats.iter().map(String::as_str));
    format!("<section class=\"verdict warn\"><h2>Compare with care</h2>{items}</section>")
}

fn table(before: &Results, after: &Results) -> String {
    let head = [("", false), ("Before", true), ("After", true), ("Change", true), ("", false)];
    let mut table = Table::new("Before and after", head);
    for group in groups(before, after) {
        table.group(&group.title, head.len());
        for row in &group.rows {
            let effect = row.effect();
            let class = match effect {
                Effect::Better => "good",
                Effect::Worse => "bad",
                Effect::Neither => "soft",
            };
            let [old, new] = [row.before, row.after].map(|value| Cell::Figure(row.unit.spell(value)));
            table.row([
                Cell::Name(row.name.clone()),
                old,
                new,
                Cell::Figure(row.change()),
                Cell::Html(format!("<span class=\"kind {class}\">{}</span>", effect.word())),
            ]);
        }
    }
    table.html()
}

/// The curves of all answers and of grants, of both runs.
fn percentiles(
    id: &'static str,
    about: &'static str,
    [before, after]: [&Results; 2],
    encoded: fn(&TimesResult) -> &String,
) -> Result<Chart> {
    let mut chart = Chart { log: true, ..Chart::new(id, about, Unit::Ms, Axis::Nines) };
    for (when, run, line, [first, second]) in dressed(before, after) {
        let sorts = [("all", first, &run.total.times), ("grants", second, &run.total.granted_times)];
        for (sort, color, times) in sorts {
            if let Some(times) = times {
                chart.tables.push(curve_table(format!("{sort}, {when}"), color, line, encoded(times))?);
            }
        }
    }
    Ok(chart)
}

fn rates(runs: [&Results; 2]) -> Chart {
    let about = "Answers and new claims a second over both runs";
    over_time(Chart::new("rates", about, Unit::PerSecond, Axis::Time), runs, |series| {
        let some = |column: &[f64]| column.iter().copied().map(Some).collect();
        vec![("answered", some(&series.answers_per_s)), ("granted", some(&series.granted_per_s))]
    })
}

fn p99(runs: [&Results; 2]) -> Chart {
    let about = "The 99 % response time over both runs, on a logarithmic scale";
    let chart = Chart { log: true, ..Chart::new("p99", about, Unit::Ms, Axis::Time) };
    over_time(chart, runs, |series| vec![("p99", series.p99_ms.clone())])
}

/// A named column.
type Named = (&'static str, Vec<Option<f64>>);

/// A run's name, its line, and the colours of its first and its second column.
type Dressed<'a> = (&'static str, &'a Results, Line, [&'static str; 2]);

/// What is before lies grey and dashed behind what is after.
fn dressed<'a>(before: &'a Results, after: &'a Results) -> [Dressed<'a>; 2] {
    [
        ("before", before, Line::Dashed, ["before", "before-2"]),
        ("after", after, Line::Solid, ["after", "after-2"]),
    ]
}

/// Columns of both runs; each keeps its own moments, because intervals may differ in length.
fn over_time(mut chart: Chart, [before, after]: [&Results; 2], columns: fn(&Series) -> Vec<Named>) -> Chart {
    for (when, run, line, colors) in dressed(before, after) {
        let columns = columns(&run.series).into_iter().zip(colors).map(|((name, values), color)| Column {
            label: format!("{name}, {when}"),
            color,
            line,
            values,
        });
        chart.tables.push(Columns { x: run.series.at_s.clone(), columns: columns.collect() });
    }
    chart
}
