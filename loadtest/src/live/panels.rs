//! The parts of the screen.
//!
//! Each draws itself into the room that it is given, however small, and reads nothing but the scene.

use std::cmp::Reverse;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Style,
    symbols,
    text::{Line, Span},
    widgets::{Block, BorderType, LineGauge, Paragraph, Sparkline, SparklineBar},
};

use super::{
    feed::{Quantiles, Second},
    palette::{FAINT, Palette, STRONG},
    scene::Scene,
    words::{UNKNOWN, grouped, kind, rate, share, time},
};

/// Columns of a curve's name, and of its peak.
const CURVE_NAME: u16 = 12;
const CURVE_PEAK: u16 = 15;
/// The longest name that is not cut off in a table.
const NAME_MAX: usize = 28;
/// Columns of a count with its share.
const COUNT_COLUMNS: usize = 21;

/// What is rehearsed against what, and the open connections.
pub(crate) fn title(scene: &Scene<'_>, frame: &mut Frame<'_>, area: Rect) {
    let open = format!("{} open ", grouped(scene.feed.now().connections));
    let title = vec![
        Span::raw(" "),
        Span::styled(scene.title, STRONG),
        Span::styled(" → ", FAINT),
        Span::raw(scene.target),
    ];
    let [left, right] =
        area.layout(&Layout::horizontal([Constraint::Fill(1), Constraint::Length(columns(&open))]));
    frame.render_widget(Line::from(title), left);
    frame.render_widget(Line::styled(open, FAINT), right);
}

/// How much of the planned time has passed.
pub(crate) fn clock(scene: &Scene<'_>, palette: Palette, frame: &mut Frame<'_>, area: Rect) {
    let gauge = LineGauge::default()
        .ratio(scene.progress())
        .label(format!(" {} ", scene.clock()))
        .filled_symbol(symbols::line::THICK_HORIZONTAL)
        .unfilled_symbol(symbols::line::HORIZONTAL)
        .filled_style(palette.good())
        .unfilled_style(FAINT);
    frame.render_widget(gauge, area);
}

/// The rates, and the sums below them.
pub(crate) fn numbers(scene: &Scene<'_>, palette: Palette, framed: bool, frame: &mut Frame<'_>, area: Rect) {
    let now = scene.feed.now();
    let last = scene.feed.last();
    let lost_style = if now.lost > 0 { palette.bad() } else { Style::new() };
    let per_s = |read: fn(&Second) -> f64| last.map_or_else(|| UNKNOWN.into(), |second| rate(read(second)));
    let numbers = [
        ("sent", per_s(|second| second.sent_per_s), now.sent, palette.measure()),
        ("answered", per_s(|second| second.answers_per_s), now.answers, palette.measure()),
        ("granted", per_s(|second| second.granted_per_s), now.granted, palette.good()),
        ("lost", per_s(|second| second.lost_per_s), now.lost, lost_style),
    ];
    let cells = area.layout_vec(&Layout::horizontal([Constraint::Fill(1); 4]));
    for ((name, big, sum, style), cell) in numbers.into_iter().zip(cells) {
        let big = vec![Span::styled(format!(" {big}"), STRONG.patch(style)), Span::styled(" /s", FAINT)];
        let lines = if framed {
            vec![Line::from(big), Line::styled(format!(" {} in all", grouped(sum)), FAINT)]
        } else {
            vec![Line::styled(format!(" {name}"), FAINT), Line::from(big)]
        };
        let paragraph = Paragraph::new(lines);
        let block = Block::bordered().border_type(BorderType::Rounded).border_style(FAINT);
        let paragraph = if framed { paragraph.block(block.title(format!(" {name} "))) } else { paragraph };
        frame.render_widget(paragraph, cell);
    }
}

/// Answers a second over time.
pub(crate) fn answered_curve(scene: &Scene<'_>, palette: Palette, frame: &mut Frame<'_>, area: Rect) {
    // Rounded through its digits: a rate is never negative, and far below 2^64.
    let value = |second: &Second| format!("{:.0}", second.answers_per_s).parse().ok();
    curve(scene, ("answered/s", value, &grouped), palette.measure(), frame, area);
}

/// The 99 % response time over time.
pub(crate) fn p99_curve(scene: &Scene<'_>, palette: Palette, frame: &mut Frame<'_>, area: Rect) {
    let value = |second: &Second| second.times.map(|times| times.p99_us);
    curve(scene, ("p99", value, &time), palette.attention(), frame, area);
}

type Curve<'name> = (&'name str, fn(&Second) -> Option<u64>, &'name dyn Fn(u64) -> String);

fn curve(
    scene: &Scene<'_>,
    (name, value, write): Curve<'_>,
    style: Style,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let columns = [Constraint::Length(CURVE_NAME), Constraint::Fill(1), Constraint::Length(CURVE_PEAK)];
    let [left, middle, right] = area.layout(&Layout::horizontal(columns));
    let room = usize::from(middle.width);
    // A short run is stretched over the room; of a long one the last seconds are shown.
    let planned = usize::try_from(scene.planned.as_secs()).unwrap_or(usize::MAX).max(1);
    let stretch = (room / planned).max(1);
    let history = scene.feed.history();
    let hidden = history.len().saturating_sub(room / stretch);
    let shown: Vec<_> = history.skip(hidden).map(value).collect();
    let peak = shown.iter().flatten().max().copied();
    let bars = shown.iter().flat_map(|value| std::iter::repeat_n(SparklineBar::from(*value), stretch));
    frame.render_widget(Line::styled(format!(" {name}"), FAINT), left);
    frame.render_widget(Sparkline::default().data(bars).max(peak.unwrap_or(1).max(1)).style(style), middle);
    let peak = peak.map_or_else(|| UNKNOWN.into(), write);
    frame.render_widget(Line::styled(format!(" peak {peak}"), FAINT), right);
}

/// Rows that all kinds of answers need.
pub(crate) fn answers_rows(scene: &Scene<'_>) -> u16 {
    u16::try_from(scene.feed.now().counts.iter().count()).unwrap_or(u16::MAX)
}

/// Kinds of answers, most frequent first, with their share of all since the start.
pub(crate) fn answers(scene: &Scene<'_>, palette: Palette, frame: &mut Frame<'_>, area: Rect) {
    let now = scene.feed.now();
    let mut counts: Vec<_> = now.counts.iter().collect();
    if counts.is_empty() {
        frame.render_widget(Line::styled(" no answers yet", FAINT), area);
        return;
    }
    counts.sort_by_key(|(_, answers)| Reverse(*answers));
    let rows = usize::from(area.height);
    let shown = if counts.len() > rows { rows.saturating_sub(1) } else { counts.len() };
    let room = usize::from(area.width);
    let names: Vec<_> = counts.iter().take(shown).map(|(of, _)| kind(of.status, &of.code)).collect();
    let name_columns = names.iter().map(String::len).max().unwrap_or(0).min(NAME_MAX);
    let name_columns = name_columns.min(room.saturating_sub(COUNT_COLUMNS));
    let bar_columns = room.saturating_sub(name_columns + COUNT_COLUMNS + 2);
    let mut lines: Vec<_> = counts
        .iter()
        .zip(&names)
        .map(|((of, answers), name)| {
            let style = palette.status(of.status);
            Line::from(vec![
                Span::styled(format!(" {:<name_columns$}", fit(name, name_columns)), style),
                Span::styled(format!(" {:>11}", grouped(*answers)), STRONG),
                Span::raw(format!("{:>8}", share(*answers, now.answers))),
                Span::styled(format!(" {}", bar(*answers, now.answers, bar_columns)), style),
            ])
        })
        .collect();
    if shown < counts.len() {
        lines.push(Line::styled(format!(" and {} kinds more", counts.len() - shown), FAINT));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// Rows that all personas need with their heading; 0 where there are none.
pub(crate) fn personas_rows(scene: &Scene<'_>) -> u16 {
    match scene.feed.now().personas.len() {
        0 => 0,
        personas => u16::try_from(personas + 1).unwrap_or(u16::MAX),
    }
}

/// What each persona got.
pub(crate) fn personas(scene: &Scene<'_>, palette: Palette, frame: &mut Frame<'_>, area: Rect) {
    let personas = &scene.feed.now().personas;
    let longest = personas.iter().map(|persona| persona.name.chars().count()).max().unwrap_or(0);
    let name_columns = longest.min(NAME_MAX);
    let heading = format!(" {:name_columns$} {:>11}{:>11}{:>8}", "", "came", "granted", "share");
    let mut lines = vec![Line::styled(heading, FAINT)];
    lines.extend(personas.iter().map(|persona| {
        let name = fit(&persona.name, name_columns);
        Line::from(vec![
            Span::raw(format!(" {name:<name_columns$} {:>11}", grouped(persona.arrivals))),
            Span::styled(format!("{:>11}", grouped(persona.granted)), STRONG.patch(palette.good())),
            Span::raw(format!("{:>8}", share(persona.granted, persona.arrivals))),
        ])
    }));
    frame.render_widget(Paragraph::new(lines), area);
}

/// Quantiles of the last second and so far.
pub(crate) fn times(scene: &Scene<'_>, frame: &mut Frame<'_>, area: Rect) {
    let last = scene.feed.last().and_then(|second| second.times);
    let so_far = scene.feed.so_far();
    let mut lines = vec![Line::styled(format!(" {:5}{:>11}{:>11}", "", "last second", "so far"), FAINT)];
    let write = |times: Option<Quantiles>, read: fn(&Quantiles) -> u64| {
        times.map_or_else(|| UNKNOWN.into(), |times| time(read(&times)))
    };
    let mut row = |name: &'static str, read: fn(&Quantiles) -> u64| {
        lines.push(Line::from(vec![
            Span::styled(format!(" {name:5}"), FAINT),
            Span::styled(format!("{:>11}", write(last, read)), STRONG),
            Span::raw(format!("{:>11}", write(so_far, read))),
        ]));
    };
    row("p50", |times| times.p50_us);
    row("p90", |times| times.p90_us);
    row("p99", |times| times.p99_us);
    row("max", |times| times.max_us);
    frame.render_widget(Paragraph::new(lines), area);
}

/// What the service says of itself; drops one by one where there is room.
pub(crate) fn service(scene: &Scene<'_>, palette: Palette, frame: &mut Frame<'_>, area: Rect) {
    let Some(service) = scene.service else {
        frame.render_widget(Line::styled(" not asked", FAINT), area);
        return;
    };
    let fact = |name: &'static str, value: String, more: String| {
        Line::from(vec![
            Span::styled(format!(" {name:<11}"), FAINT),
            Span::styled(value, STRONG),
            Span::styled(more, FAINT),
        ])
    };
    let mut lines = vec![
        fact("stock left", scene.stock(), String::new()),
        fact("drain lag", scene.drain_lag(), format!(" · journal {}", scene.journal())),
        fact("queue", scene.queue(), " claims".into()),
    ];
    if let (Some(left), Some(total)) = service.stock()
        && area.height > 3
    {
        let columns = usize::from(area.width.saturating_sub(2));
        lines.insert(1, Line::styled(format!(" {}", bar_over(left, total, columns)), palette.good()));
    }
    for drop in &service.drops {
        let left = drop.left.map_or_else(|| UNKNOWN.into(), grouped);
        let state = drop.state.as_deref().unwrap_or(UNKNOWN);
        lines.push(Line::from(vec![
            Span::raw(format!(" {}", drop.id)),
            Span::styled(format!("  {state}  "), FAINT),
            Span::raw(left),
        ]));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// Warnings, one a row; the last of `rows_max` says how many did not fit.
pub(crate) fn warnings(scene: &Scene<'_>, palette: Palette, rows_max: usize) -> Vec<Line<'static>> {
    let warnings = scene.warnings();
    let hidden = warnings.len().saturating_sub(rows_max);
    let mut lines: Vec<_> = warnings
        .into_iter()
        .take(rows_max)
        .map(|warning| {
            let style = if warning.grave { STRONG.patch(palette.bad()) } else { palette.attention() };
            Line::styled(format!(" ! {}", warning.text), style)
        })
        .collect();
    if hidden > 0
        && let Some(last) = lines.last_mut()
    {
        last.push_span(Span::raw(format!(" (and {hidden} more)")));
    }
    lines
}

/// A bar of eighths of a column.
fn bar(part: u64, whole: u64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = u128::from(part.min(whole)) * 8 * columns as u128 / u128::from(whole.max(1));
    let eighths = usize::try_from(eighths).unwrap_or(0);
    "█".repeat(eighths / 8) + EIGHTHS.get(eighths % 8).copied().unwrap_or_default()
}

/// The same, with the rest of the columns shown as empty.
fn bar_over(part: u64, whole: u64, columns: usize) -> String {
    let bar = bar(part, whole, columns);
    let rest = columns.saturating_sub(bar.chars().count());
    bar + &"░".repeat(rest)
}

/// A name, cut off with an ellipsis where it is too long.
fn fit(name: &str, columns: usize) -> String {
    if name.chars().count() <= columns {
        return name.to_owned();
    }
    name.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

fn columns(text: &str) -> u16 {
    u16::try_from(text.chars().count()).unwrap_or(u16::MAX)
}
