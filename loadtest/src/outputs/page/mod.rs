//! One self-contained HTML page: styles, scripts, data and charts in one file that needs no network.
//!
//! Owns the frame of every page and the form in which charts are described; what is on a page is its maker's
//! affair. The page's policy (CSP) lets nothing run but the two scripts embedded here, named by their hashes, and
//! lets nothing be loaded at all.

use std::fmt;

use anyhow::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use sha2::{Digest, Sha256};

const CHART_SCRIPT: &str = include_str!("../../../vendor/uplot/uPlot.iife.min.js");
const CHART_STYLE: &str = include_str!("../../../vendor/uplot/uPlot.min.css");
const SCRIPT: &str = include_str!("charts.js");
const STYLE: &str = include_str!("page.css");

/// A page.
pub(crate) struct Page {
    /// Its title, as plain text.
    pub(crate) title: String,
    /// Its body, as HTML.
    pub(crate) body: String,
    /// What is drawn into the body's [`Chart::place`]s.
    pub(crate) charts: Vec<Chart>,
}

/// A chart, as the page's script reads it.
#[derive(Serialize)]
pub(crate) struct Chart {
    /// Where it is drawn: the end of an element's id.
    pub(crate) id: String,
    /// Charts over time with the same number share their cursor: they show the same run.
    pub(crate) run: usize,
    /// What it shows, for those who cannot see it.
    pub(crate) about: &'static str,
    /// What its values are.
    pub(crate) unit: Unit,
    /// What lies along it.
    pub(crate) axis: Axis,
    /// Whether its values lie on a logarithmic scale.
    pub(crate) log: bool,
    /// Whether its columns stand on top of each other.
    pub(crate) stacked: bool,
    /// Its columns, by the places at which they have values.
    pub(crate) tables: Vec<Table>,
    /// Moments to mark.
    pub(crate) marks: Vec<Mark>,
}

/// What a chart's values are.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// So many a second.
    PerSecond,
    /// Milliseconds.
    Ms,
}

/// What lies along a chart.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Axis {
    /// Seconds of the run.
    Time,
    /// Percentiles as nines: 1 is 90 %, 2 is 99 %.
    Nines,
}

/// Columns over the same places.
#[derive(Serialize)]
pub(crate) struct Table {
    /// The places.
    pub(crate) x: Vec<f64>,
    /// The columns, each as long as `x`.
    pub(crate) columns: Vec<Column>,
}

/// One line of a chart.
#[derive(Serialize)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) label: String,
    /// Its colour: the name of a variable of the page's style.
    pub(crate) color: &'static str,
    /// How it is drawn.
    pub(crate) line: Line,
    /// Its values; none leaves a gap.
    pub(crate) values: Vec<Option<f64>>,
}

/// How a column is drawn.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// A line.
    Solid,
    /// A dashed line.
    Dashed,
    /// A line with what is below it filled.
    Filled,
}

/// A moment of the run.
#[derive(Serialize)]
pub(crate) struct Mark {
    /// Seconds from the start.
    pub(crate) at: f64,
    /// What it is.
    pub(crate) label: String,
}

impl Chart {
    /// A plain chart without columns.
    pub(crate) fn new(id: &str, about: &'static str, unit: Unit, axis: Axis) -> Self {
        let (log, stacked) = (false, false);
        let (id, run) = (id.to_owned(), 1);
        Self { id, run, about, unit, axis, log, stacked, tables: Vec::new(), marks: Vec::new() }
    }

    /// Makes it the chart of another run on the same page; the first has number 1.
    pub(crate) fn number(&mut self, run: usize) {
        self.id = format!("{}-{run}", self.id);
        self.run = run;
    }

    /// The place in the body where it is drawn, under a heading.
    pub(crate) fn place(&self, heading: &str) -> String {
        format!(
            "<section class=\"chart\"><h2>{}</h2><div id=\"chart-{}\" role=\"group\" aria-label=\"{}\"></div></section>",
            Escaped(heading),
            self.id,
            Escaped(self.about)
        )
    }
}

impl Page {
    /// The whole file.
    ///
    /// # Errors
    /// A number of a chart is not finite.
    pub(crate) fn html(&self) -> Result<String> {
        #[derive(Serialize)]
        struct Data<'a> {
            charts: &'a [Chart],
        }
        // No "<" in the data can end its element or begin another.
        let data = serde_json::to_string(&Data { charts: &self.charts })?.replace('<', "\\u003c");
        let (scripts, styles) = ([CHART_SCRIPT, SCRIPT].map(hash), [CHART_STYLE, STYLE].map(hash));
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; base-uri 'none'; form-action 'none'",
            scripts.join(" "),
            styles.join(" ")
        );
        Ok(format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n\
             <style>{CHART_STYLE}</style>\n<style>{STYLE}</style>\n</head>\n<body>\n{}\n\
             <script type=\"application/json\" id=\"data\">{data}</script>\n\
             <script>{CHART_SCRIPT}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
            Escaped(&self.title),
            self.body
        ))
    }
}

/// A source expression of the policy: the hash of an embedded script or style.
fn hash(content: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(content.as_bytes())))
}

/// Text that is safe within HTML, in elements and in quoted attributes.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => fmt::Write::write_char(f, other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_embedded_cannot_end_its_element() {
        for script in [CHART_SCRIPT, SCRIPT] {
            assert!(!script.to_lowercase().contains("</script") && !script.contains("<!--"));
        }
        for style in [CHART_STYLE, STYLE] {
            assert!(!style.to_lowercase().contains("</style"));
            assert!(!style.contains("url(") && !style.contains("@import"), "a style loads something");
        }
    }

    #[test]
    fn text_from_outside_stays_text() {
        let mut chart = Chart::new("a", "about", Unit::Ms, Axis::Time);
        let label = "</script><script>alert(1)</script>".to_owned();
        let column = Column { label, color: "granted", line: Line::Solid, values: vec![None] };
        chart.tables.push(Table { x: vec![0.0], columns: vec![column] });
        let page = Page { title: "<img src=x>".into(), body: chart.place("a \"<b>\""), charts: vec![chart] };
        let html = page.html().unwrap();
        assert!(!html.contains("<img") && !html.contains("alert(1)</") && !html.contains("\"<b>"));
        assert_eq!(html.matches("</script>").count(), 3, "the data and the two scripts");
    }
}
