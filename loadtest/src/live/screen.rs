//! Where the parts of the screen stand.
//!
//! Owns the layout from 1×1 to the largest terminal: what is dropped when room is short, and what gets the room
//! that is left over. The parts draw themselves, see [`super::panels`].

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span},
    widgets::{Block, BorderType},
};

use super::{
    palette::{FAINT, Palette, STRONG},
    panels,
    scene::Scene,
    small, tables,
};

/// Below this only lines are shown, the most important first.
const WIDTH_MIN: u16 = 60;
const HEIGHT_MIN: u16 = 16;
/// From this height on, parts have frames.
const FRAMES_FROM_HEIGHT: u16 = 24;
/// Rows of warnings at the most.
const WARNINGS_MAX: usize = 3;
/// Rows that response times need: a heading and four quantiles.
const TIMES_ROWS: u16 = 5;

/// Draws a scene over the whole frame.
pub(crate) fn draw(scene: &Scene<'_>, palette: Palette, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        small::draw(scene, palette, frame, area);
        return;
    }
    let framed = area.height >= FRAMES_FROM_HEIGHT;
    let warnings = panels::warnings(scene, palette, if framed { WARNINGS_MAX } else { 1 });
    let curve_rows = (area.height / 10).clamp(1, 10);
    let rows = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(if framed { 4 } else { 2 }),
        Constraint::Length(curve_rows),
        Constraint::Length(curve_rows),
        Constraint::Fill(1),
        Constraint::Length(u16::try_from(warnings.len()).unwrap_or(0)),
        Constraint::Length(1),
    ];
    let [title, clock, numbers, answered, p99, body, warn, keys] = area.layout(&Layout::vertical(rows));
    panels::title(scene, frame, title);
    panels::clock(scene, palette, frame, clock);
    panels::numbers(scene, palette, framed, frame, numbers);
    panels::answered_curve(scene, palette, frame, answered);
    panels::p99_curve(scene, palette, frame, p99);
    draw_body(scene, palette, framed, frame, body);
    for (line, row) in warnings.into_iter().zip(warn.rows()) {
        frame.render_widget(line, row);
    }
    frame.render_widget(Line::styled(format!(" {}", scene.keys()), FAINT), keys);
}

/// Answers and personas to the left, times and the service to the right.
fn draw_body(scene: &Scene<'_>, palette: Palette, framed: bool, frame: &mut Frame<'_>, area: Rect) {
    let right_columns = if area.width < 80 { 31 } else { (area.width * 2 / 5).clamp(36, 60) };
    let [left, right] =
        area.layout(&Layout::horizontal([Constraint::Fill(1), Constraint::Length(right_columns)]));
    let edges = if framed { 2 } else { 0 };
    let [times, service] =
        right.layout(&Layout::vertical([Constraint::Length(TIMES_ROWS + edges), Constraint::Fill(1)]));
    let personas_rows = tables::personas_rows(scene);
    let answers_rows = tables::answers_rows(scene).max(3);
    let room_for_both = left.height >= answers_rows + personas_rows + 2 * edges;
    let personas_rows = if room_for_both && personas_rows > 0 { personas_rows + edges } else { 0 };
    let [answers, personas] =
        left.layout(&Layout::vertical([Constraint::Fill(1), Constraint::Length(personas_rows)]));
    let answers = part("answers", framed, frame, answers);
    tables::answers(scene, palette, frame, answers);
    if personas_rows > 0 {
        let personas = part("people", framed, frame, personas);
        tables::personas(scene, palette, frame, personas);
    }
    let times = part("response time", framed, frame, times);
    panels::times(scene, frame, times);
    let service = part("service", framed, frame, service);
    panels::service(scene, palette, frame, service);
}

/// Draws a part's frame, if it has one, and gives the room inside.
fn part(title: &'static str, framed: bool, frame: &mut Frame<'_>, area: Rect) -> Rect {
    if !framed {
        return area;
    }
    let title = Line::from(vec![Span::raw(" "), Span::styled(title, STRONG), Span::raw(" ")]);
    let block = Block::bordered().border_type(BorderType::Rounded).border_style(FAINT).title(title);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    inside
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;
