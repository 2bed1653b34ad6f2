//! The run over time as CSV: one line an interval, the columns of [`Series`], then one column a kind of answer.

use anyhow::Result;

use crate::results::Series;

/// The columns that every run has, in this order.
const COLUMNS: [&str; 9] = [
    "at_s",
    "scheduled_per_s",
    "sent_per_s",
    "answers_per_s",
    "granted_per_s",
    "lost_per_s",
    "p50_ms",
    "p99_ms",
    "max_ms",
];

/// The series as CSV. A time is left empty where nothing was answered.
///
/// # Errors
/// Never in practice: text is written to memory.
pub fn series_csv(series: &Series) -> Result<String> {
    let kinds = series.codes_per_s.keys().map(|kind| format!("{kind} per_s"));
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(COLUMNS.iter().map(|&name| name.to_owned()).chain(kinds))?;
    for row in 0..series.at_s.len() {
        let rates = [
            &series.at_s,
            &series.scheduled_per_s,
            &series.sent_per_s,
            &series.answers_per_s,
            &series.granted_per_s,
            &series.lost_per_s,
        ];
        let times = [&series.p50_ms, &series.p99_ms, &series.max_ms];
        let rates = rates.into_iter().map(|column| column.get(row).copied());
        let times = times.into_iter().map(|column| column.get(row).copied().flatten());
        let kinds = series.codes_per_s.values().map(|column| column.get(row).copied());
        let cells = rates.chain(times).chain(kinds);
        csv.write_record(cells.map(|cell| cell.map(|number| number.to_string()).unwrap_or_default()))?;
    }
    Ok(String::from_utf8(csv.into_inner()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::sample;

    #[test]
    fn every_interval_is_a_line_that_reads_back() {
        let (results, _) = sample::sold_out();
        let series = &results.series;
        let text = series_csv(series).unwrap();
        let mut csv = csv::Reader::from_reader(text.as_bytes());
        let names: Vec<String> = csv.headers().unwrap().iter().map(ToOwned::to_owned).collect();
        assert_eq!(names[..9], COLUMNS);
        let sold_out = names.iter().position(|name| name == "410 sold_out per_s").unwrap();
        let rows: Vec<csv::StringRecord> = csv.records().collect::<Result<_, _>>().unwrap();
        assert_eq!(rows.len(), series.at_s.len());
        for (n, row) in rows.iter().enumerate() {
            assert_eq!(row[3].parse().ok(), Some(series.answers_per_s[n]));
            assert_eq!(row[7].parse().ok(), series.p99_ms[n]);
            assert_eq!(row[sold_out].parse().ok(), Some(series.codes_per_s["410 sold_out"][n]));
        }
    }
}
