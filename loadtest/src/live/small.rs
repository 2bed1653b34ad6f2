//! The screen where there is no room for one: a line a fact, the most important first.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::{
    palette::{FAINT, Palette, STRONG},
    panels,
    scene::Scene,
    words::{grouped, per_second, time_if_any},
};

/// Draws as many facts as there are rows.
pub(crate) fn draw(scene: &Scene<'_>, palette: Palette, frame: &mut Frame<'_>, area: Rect) {
    let now = scene.feed.now();
    let last = scene.feed.last();
    let times = last.and_then(|second| second.times);
    let fact = |name: &'static str, value: String| {
        Line::from(vec![Span::styled(format!("{name:<9}"), FAINT), Span::styled(value, STRONG)])
    };
    let mut lines = vec![
        Line::styled(scene.title, STRONG),
        Line::raw(scene.clock()),
        fact("answered", per_second(last.map(|second| second.answers_per_s))),
        fact(
            "granted",
            format!("{} · {}", per_second(last.map(|second| second.granted_per_s)), grouped(now.granted)),
        ),
        fact("p99", time_if_any(times.map(|times| times.p99_us))),
    ];
    lines.extend(panels::warnings(scene, palette, 1));
    lines.extend([
        fact("sent", per_second(last.map(|second| second.sent_per_s))),
        fact("p50", time_if_any(times.map(|times| times.p50_us))),
        fact("stock", scene.stock()),
        fact("drain lag", format!(" {}", scene.drain_lag())),
    ]);
    if let Some(keys) = area.rows().next_back().filter(|_| area.height > 2) {
        lines.truncate(usize::from(area.height - 1));
        frame.render_widget(Line::styled(scene.keys(), FAINT), keys);
    }
    for (line, row) in lines.into_iter().zip(area.rows()) {
        frame.render_widget(line, row);
    }
}
