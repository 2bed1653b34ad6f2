use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::outputs::{curve, sample};

fn page() -> (Results, String) {
    let (results, _) = sample::sold_out();
    let html = report_page(&results).unwrap();
    (results, html)
}

/// The page's data, as its script reads it.
fn data(html: &str) -> Value {
    let (_, rest) = html.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// What a reader sees without the charts: the body's text, tags taken out.
fn visible(html: &str) -> String {
    let body = html.split_once("<body>").unwrap().1.split_once("<script").unwrap().0;
    let mut text = String::new();
    for piece in body.split('<').skip(1) {
        text.push(' ');
        text.push_str(piece.split_once('>').unwrap().1);
    }
    text
}

/// The pieces of a text that begin with a digit, without those that belong to a word, as in `p99`.
fn numbers(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_alphanumeric() || ",.-_:".contains(c)))
        .map(|piece| piece.trim_matches([',', '.', ':', '-', '_']))
        .filter(|piece| piece.starts_with(|c: char| c.is_ascii_digit()))
        .map(ToOwned::to_owned)
        .collect()
}

/// Every way in which the numbers and texts of a document may be written.
fn spellings(document: &Value, found: &mut BTreeSet<String>) {
    match document {
        Value::Number(number) => {
            let value = number.as_f64().unwrap();
            let plain = [format!("{value:.1}"), format!("{value:.2}"), number.to_string()];
            let words = [rate(value), time(value), percent(value)];
            let whole = number.as_u64().map(|whole| [count(whole), bytes(whole)]);
            for text in plain.into_iter().chain(words).chain(whole.into_iter().flatten()) {
                found.extend(numbers(&text));
            }
        }
        Value::String(text) => found.extend(numbers(text)),
        Value::Array(items) => items.iter().for_each(|item| spellings(item, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                found.extend(numbers(name));
                spellings(value, found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_number_shown_is_in_the_results() {
    let (results, html) = page();
    let mut known = BTreeSet::new();
    spellings(&serde_json::to_value(&results).unwrap(), &mut known);
    // Sums of fields that stand in the results one by one, and the words of headings.
    let parts = results.personas.iter().map(|persona| &persona.part).chain([&results.total]);
    known.extend(parts.map(|part| count(part.refused())));
    let desk = results.desk.iter().flat_map(|desk| &desk.personas);
    known.extend(
        desk.flat_map(|part| [part.asked, part.given, part.told_to_wait, part.hashes_each()]).map(count),
    );
    known.insert("99".into());
    let shown = numbers(&visible(&html));
    let strangers: Vec<_> = shown.difference(&known).collect();
    assert!(strangers.is_empty(), "not in the results: {strangers:?}");
    assert!(shown.len() > 100, "only {} numbers are shown", shown.len());
}

#[test]
fn the_charts_show_the_series_and_the_histograms() {
    let (results, html) = page();
    let data = data(&html);
    let chart =
        |id: &str| data["charts"].as_array().unwrap().iter().find(|chart| chart["id"] == id).unwrap().clone();
    let column = |id: &str, label: &str| -> Vec<Option<f64>> {
        let chart = chart(id);
        let tables = chart["tables"].as_array().unwrap();
        let columns = tables.iter().flat_map(|table| table["columns"].as_array().unwrap());
        let found = columns.clone().find(|column| column["label"] == label).unwrap();
        serde_json::from_value(found["values"].clone()).unwrap()
    };
    let whole = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
    assert_eq!(column("rates", "answered"), whole(&results.series.answers_per_s));
    assert_eq!(column("rates", "due"), whole(&results.series.scheduled_per_s));
    assert_eq!(column("times", "p99"), results.series.p99_ms);
    assert_eq!(column("codes", "410 sold_out"), whole(&results.series.codes_per_s["410 sold_out"]));
    let encoded = &results.total.times.as_ref().unwrap().service_hdr;
    assert_eq!(column("percentiles", "all, service"), whole(&curve(encoded).unwrap()));
    assert_eq!(chart("rates")["marks"][0]["at"], 3.0);
    for chart in data["charts"].as_array().unwrap() {
        let place = format!("id=\"chart-{}\"", chart["id"].as_str().unwrap());
        assert_eq!(html.matches(&place).count(), 1, "{place}");
        for table in chart["tables"].as_array().unwrap() {
            for column in table["columns"].as_array().unwrap() {
                assert_eq!(column["values"].as_array().unwrap().len(), table["x"].as_array().unwrap().len());
                let color = format!("--{}:", column["color"].as_str().unwrap());
                assert_eq!(html.matches(&color).count(), 2, "{color} in light and dark");
            }
        }
    }
}

#[test]
fn the_page_needs_nothing_else() {
    let (_, html) = page();
    for reference in ["src=", "href=", "url(", "@import", "<link", "<iframe", "srcset", "fetch(", "import("] {
        assert!(!html.contains(reference), "the page refers to something by {reference}");
    }
    for handler in [" onclick", " onload", " onerror", " style=", "javascript:"] {
        let body = html.split_once("<body>").unwrap().1.split_once("<script").unwrap().0;
        assert!(!body.contains(handler), "the page has {handler}, which its own policy forbids");
    }
}

#[test]
fn words_from_outside_stay_words() {
    let (mut results, _) = sample::sold_out();
    results.scenario.about = "<script>alert(1)</script>".into();
    results.total.counts[0].code = "</script><b onclick=x>".into();
    let html = report_page(&results).unwrap();
    assert!(!html.contains("<script>alert") && !html.contains("<b onclick"));
    assert!(html.contains("bot farm &lt;b&gt;&amp;amp;&lt;/b&gt; (bot)"), "{}", visible(&html));
    assert_eq!(html.matches("</script>").count(), 3);
}

#[test]
fn the_verdict_names_its_reasons() {
    let (mut results, html) = page();
    assert!(visible(&html).contains("granted.p99 &lt; 400ms: measured 562 ms"));
    results.verdict.valid = false;
    results.verdict.invalid_because = vec!["the generator had no CPU".into()];
    results.set_thresholds(Vec::new());
    let html = report_page(&results).unwrap();
    assert!(html.contains("class=\"verdict warn\""));
    assert!(visible(&html).contains("the generator had no CPU"));
    assert!(visible(&html).contains("This run is invalid"));
}

#[test]
fn an_empty_run_has_a_page_too() {
    let scenario = sample::scenario();
    let tally = crate::tally::Tally::new([("honest", "honest")], std::time::Duration::from_secs(1)).unwrap();
    let results = Results::new(&scenario, &tally, sample::circumstances()).unwrap();
    let html = report_page(&results).unwrap();
    assert!(visible(&html).contains("no request was answered"));
    assert_eq!(data(&html)["charts"][3]["tables"].as_array().unwrap().len(), 0);
}
