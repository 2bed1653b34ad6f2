//! Who got what: the personas' tables, in which fairness can be seen.

use std::fmt::Write;

use super::super::{
    Palette, count, label,
    page::Escaped,
    percent,
    tables::{Cell, Table, section},
    time,
};
use crate::results::{Part, Percentiles, Results, kind_name};

/// One line a persona: how many came, what share was granted, what else they were told, and how fast.
pub(super) fn table(results: &Results) -> String {
    let head = [
        ("Persona", false),
        ("Came", true),
        ("Granted", true),
        ("Share of those who came", false),
        ("", true),
        ("Replayed", true),
        ("Refused", true),
        ("Unknown", true),
        ("p50", true),
        ("p99", true),
    ];
    let mut table = Table::new("What each persona got", head);
    for persona in &results.personas {
        let name = if persona.name == persona.kind {
            persona.name.clone()
        } else {
            format!("{} ({})", persona.name, persona.kind)
        };
        table.row(cells(name, &persona.part));
    }
    if results.personas.len() > 1 {
        table.total(cells("All".into(), &results.total));
    }
    table.html()
}

fn cells(name: String, part: &Part) -> [Cell; 10] {
    let at = |of: fn(&Percentiles) -> f64| {
        let times = part.times.as_ref().map(|times| time(of(&times.response)));
        Cell::Figure(times.unwrap_or_else(|| "–".into()))
    };
    let figure = |number| Cell::Figure(count(number));
    let share = part.granted_percent.clamp(0.0, 100.0);
    [
        Cell::Name(name),
        figure(part.arrivals),
        figure(part.granted),
        Cell::Wide(bar(&[(0.0, share, "granted")])),
        Cell::Figure(percent(part.granted_percent)),
        figure(part.replayed),
        figure(part.refused()),
        figure(part.unknown),
        at(|times| times.p50_ms),
        at(|times| times.p99_ms),
    ]
}

/// A bar of a hundred: parts with start, length and colour. Sizes are attributes, because the page's policy allows
/// no style in them.
fn bar(parts: &[(f64, f64, &str)]) -> String {
    let mut out = "<svg class=\"bar\" aria-hidden=\"true\">".to_owned();
    for (start, length, color) in parts {
        let _ = write!(
            out,
            "<rect class=\"c-{color}\" x=\"{start:.2}%\" width=\"{length:.2}%\" height=\"100%\"/>"
        );
    }
    out + "</svg>"
}

/// One line a persona: who got a ticket at the desk, what it took, and what else they were told.
pub(super) fn desk(results: &Results) -> String {
    let Some(desk) = &results.desk else { return String::new() };
    let head = [
        ("Persona", false),
        ("Asked", true),
        ("Tickets", true),
        ("Hashes each", true),
        ("Told to come later", true),
        ("Refused", false),
    ];
    let mut table = Table::new("At the ticket desk", head);
    for part in &desk.personas {
        let refused: Vec<_> =
            part.refused.iter().map(|(code, times)| format!("{} {code}", count(*times))).collect();
        table.row([
            Cell::Name(part.name.clone()),
            Cell::Figure(count(part.asked)),
            Cell::Figure(count(part.given)),
            Cell::Figure(count(part.hashes_each())),
            Cell::Figure(count(part.told_to_wait)),
            Cell::Text(refused.join(", ")),
        ]);
    }
    section("At the ticket desk", &table.html())
}

/// A matrix of answers: a line a code, a column a persona, and over it each persona's answers as one bar.
pub(super) fn codes(results: &Results) -> String {
    let palette = Palette::new(&results.total.counts);
    let personas = results.personas.iter().map(|persona| (persona.name.as_str(), &persona.part));
    let parts: Vec<(&str, &Part)> = personas.chain([("All", &results.total)]).collect();
    let head = parts.iter().map(|(name, _)| (*name, true));
    let mut table = Table::new("Codes by persona", [("Code", false)].into_iter().chain(head));
    let bars = parts.iter().map(|(_, part)| Cell::Html(bar(&shares(part, &palette))));
    table.row([Cell::Name("All answers".into())].into_iter().chain(bars));
    for kind in &results.total.counts {
        let of = |part: &Part| {
            let own = part.counts.iter().find(|own| own.status == kind.status && own.code == kind.code);
            own.map_or_else(|| "–".to_owned(), |own| count(own.answers))
        };
        let color = palette.color(&kind_name(kind.status, &kind.code));
        let name = label(kind.status, &kind.code);
        let name = Cell::Html(format!(
            "<span class=\"kind\"><span class=\"key c-{color}\"></span>{}</span>",
            Escaped(&name)
        ));
        table.row([name].into_iter().chain(parts.iter().map(|(_, part)| Cell::Figure(of(part)))));
    }
    table.html()
}

/// A persona's answers as parts of a bar.
fn shares(part: &Part, palette: &Palette) -> Vec<(f64, f64, &'static str)> {
    let mut start = 0.0;
    let share = |answers: u64| answers as f64 * 100.0 / part.answers.max(1) as f64;
    let mut counts: Vec<_> = part.counts.iter().collect();
    counts.sort_by_key(|count| (count.status, &count.code));
    let parts = counts.into_iter().map(|count| {
        let length = share(count.answers);
        start += length;
        (start - length, length, palette.color(&kind_name(count.status, &count.code)))
    });
    parts.collect()
}
