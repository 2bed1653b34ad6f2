//! The four charts of a run.

use anyhow::Result;

use super::{
    super::{
        Palette, curve, label, nines,
        page::{Axis, Chart, Column, Line, Mark, Table, Unit},
    },
    Moment,
};
use crate::{
    results::{Results, kind_name},
    scenario::Arrivals,
};

/// So many kinds of answers have a line of their own; rarer ones stand in the tables alone.
const KINDS_SHOWN: usize = 10;

/// Rates, response times and codes over time with these moments marked, and the percentiles.
///
/// # Errors
/// The results hold a histogram that is none.
pub(super) fn of(results: &Results, moments: &[Moment]) -> Result<[Chart; 4]> {
    let mut over_time = [rates(results), times(results), codes(results)];
    for chart in &mut over_time {
        let marked = moments.iter().map(|moment| Mark { at: moment.at_s, label: moment.label.clone() });
        chart.marks = release(results).into_iter().chain(marked).collect();
    }
    let [rates, times, codes] = over_time;
    Ok([rates, times, codes, percentiles(results)?])
}

/// The release instant of a spike.
fn release(results: &Results) -> Option<Mark> {
    match results.scenario.arrivals {
        Arrivals::Spike { release_after, .. } => {
            Some(Mark { at: release_after.as_secs_f64(), label: "release".into() })
        }
        _ => None,
    }
}

/// A column of values of which each may be missing.
fn column<V: Copy + Into<Option<f64>>>(label: &str, color: &'static str, line: Line, values: &[V]) -> Column {
    Column { label: label.into(), color, line, values: values.iter().copied().map(Into::into).collect() }
}

fn rates(results: &Results) -> Chart {
    let series = &results.series;
    let about = "Arrivals due, requests sent, answers and new claims a second, over the run";
    let mut chart = Chart::new("rates", about, Unit::PerSecond, Axis::Time);
    let columns = vec![
        column("granted", "granted", Line::Filled, &series.granted_per_s),
        column("answered", "answers", Line::Solid, &series.answers_per_s),
        column("sent", "sent", Line::Solid, &series.sent_per_s),
        column("due", "due", Line::Dashed, &series.scheduled_per_s),
    ];
    chart.tables.push(Table { x: series.at_s.clone(), columns });
    chart
}

fn times(results: &Results) -> Chart {
    let series = &results.series;
    let about = "Response times over the run on a logarithmic scale: median, 99 % and the longest";
    let mut chart = Chart { log: true, ..Chart::new("times", about, Unit::Ms, Axis::Time) };
    // The later is drawn above the earlier: a 99 % that equals the longest stays visible on its dashes.
    let columns = vec![
        column("p50", "p50", Line::Solid, &series.p50_ms),
        column("p99", "p99", Line::Solid, &series.p99_ms),
        column("max", "max", Line::Dashed, &series.max_ms),
    ];
    chart.tables.push(Table { x: series.at_s.clone(), columns });
    chart
}

fn codes(results: &Results) -> Chart {
    let about = "Answers a second by status and code over the run, one above the other";
    let mut chart = Chart { stacked: true, ..Chart::new("codes", about, Unit::PerSecond, Axis::Time) };
    let palette = Palette::new(&results.total.counts);
    let mut shown: Vec<_> = results.total.counts.iter().take(KINDS_SHOWN).collect();
    shown.sort_by_key(|count| (count.status, &count.code));
    let columns = shown.into_iter().filter_map(|count| {
        let kind = kind_name(count.status, &count.code);
        let values = results.series.codes_per_s.get(&kind)?;
        Some(column(&label(count.status, &count.code), palette.color(&kind), Line::Filled, values))
    });
    chart.tables.push(Table { x: results.series.at_s.clone(), columns: columns.collect() });
    chart
}

fn percentiles(results: &Results) -> Result<Chart> {
    let about =
        "Times by percentile on a logarithmic scale, from the intended start and from the actual send";
    let mut chart = Chart { log: true, ..Chart::new("percentiles", about, Unit::Ms, Axis::Nines) };
    let total = &results.total;
    let sorts = [
        ("all", "response", &total.times),
        ("grants", "granted", &total.granted_times),
        ("refusals", "sent", &total.refused_times),
    ];
    for (sort, color, times) in sorts {
        let Some(times) = times else { continue };
        for (view, line, encoded) in
            [("response", Line::Solid, &times.response_hdr), ("service", Line::Dashed, &times.service_hdr)]
        {
            chart.tables.push(curve_table(format!("{sort}, {view}"), color, line, encoded)?);
        }
    }
    Ok(chart)
}

/// A histogram in the form of the results as a line over percentiles.
///
/// # Errors
/// It is no histogram.
pub(crate) fn curve_table(label: String, color: &'static str, line: Line, encoded: &str) -> Result<Table> {
    let values: Vec<_> = curve(encoded)?.into_iter().map(Some).collect();
    let x = nines().into_iter().take(values.len()).collect();
    Ok(Table { x, columns: vec![Column { label, color, line, values }] })
}
