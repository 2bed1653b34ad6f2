//! A later run on the page of an earlier one: in short what the earlier one has at length.

use anyhow::Result;

use super::{Piece, all_times, charts, key_figures, pair, people, verdict};
use crate::{
    outputs::{page::Escaped, tables::section},
    results::Results,
};

/// The run with this number on the page, from 2.
pub(super) fn chapter(results: &Results, number: usize) -> Result<Piece> {
    let [mut rates, _, _, mut percentiles] = charts::of(results, &[])?;
    for chart in [&mut rates, &mut percentiles] {
        chart.number(number);
    }
    let reasons = if results.verdict.exit_code == 0 { String::new() } else { verdict(results) };
    let name = Escaped(&results.scenario.name);
    let about = Escaped(&results.environment.started_at);
    let html = format!(
        "<div class=\"chapter\"><h2>Then: {name}</h2><p class=\"facts\">{about} · {:.1} s</p></div>{reasons}{}{}{}",
        results.elapsed_s,
        key_figures(results),
        pair(&[rates.place("Rate, per second"), percentiles.place("Percentiles")]),
        pair(&[section("Codes", &people::codes(results)), section("Times", &all_times(results))]),
    );
    Ok(Piece { html, charts: vec![rates, percentiles] })
}
