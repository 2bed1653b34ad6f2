//! The parts of the screen; those with a row for each of many things are in [`super::tables`].
//!
//! Each draws itself into the room that it is given, however small, and reads nothing but the scene.

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
    tables::bar,
    words::{UNKNOWN, grouped, rate, time},
};

/// Columns of a curve's name, and of its peak.
const CURVE_NAME: u16 = 12;
const CURVE_PEAK: u16 = 15;
/// Columns of a fact's name about the service.
const FACT_NAME: usize = 11;

/// What is rehearsed against what, and the open connections.
pub(crate) fn title(scene: &Scene<'_>, frame: &mut Frame<'_>, area: Rect) {
    let open = match scene.feed.now().connections {
        0 => String::new(),
        open => format!("{} open ", grouped(open)),
    };
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
        .label(format!(" {}", scene.clock()))
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
            Span::styled(format!(" {name:<FACT_NAME$}"), FAINT),
            Span::styled(value, STRONG),
            Span::styled(more, FAINT),
        ])
    };
    let room = usize::from(area.width).saturating_sub(FACT_NAME + 1);
    let stock = Some(scene.stock()).filter(|stock| stock.chars().count() <= room);
    let mut lines = vec![
        fact("stock left", stock.unwrap_or_else(|| scene.stock_left()), String::new()),
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

/// A bar, with the rest of the columns shown as empty.
fn bar_over(part: u64, whole: u64, columns: usize) -> String {
    let bar = bar(part, whole, columns);
    let rest = columns.saturating_sub(bar.chars().count());
    bar + &"░".repeat(rest)
}

fn columns(text: &str) -> u16 {
    u16::try_from(text.chars().count()).unwrap_or(u16::MAX)
}
