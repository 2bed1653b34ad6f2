//! The screen's tables: kinds of answers, and personas.
//!
//! Their columns are as wide as what stands in them, and are dropped or cut off where the room is too narrow.

use std::cmp::Reverse;

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    palette::{FAINT, Palette, STRONG},
    scene::Scene,
    words::{grouped, kind, share},
};

/// The longest name that is not cut off.
const NAME_MAX: usize = 28;
/// Columns of a share with the blank before it.
const SHARE_COLUMNS: usize = 8;
/// Columns of a count that are kept even for small ones, so that headings fit.
const COUNT_COLUMNS_MIN: usize = 7;

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
    let names: Vec<_> = counts.iter().take(shown).map(|(of, _)| kind(of.status, &of.code)).collect();
    let count_columns = count_columns(counts.iter().map(|(_, answers)| *answers));
    let room = usize::from(area.width).saturating_sub(count_columns + SHARE_COLUMNS + 2);
    let name_columns = longest(names.iter().map(String::as_str)).min(room);
    let bar_columns = room.saturating_sub(name_columns + 2);
    let mut lines: Vec<_> = counts
        .iter()
        .zip(&names)
        .map(|((of, answers), name)| {
            let style = palette.status(of.status);
            Line::from(vec![
                Span::styled(format!(" {:<name_columns$}", fit(name, name_columns)), style),
                Span::styled(format!(" {:>count_columns$}", grouped(*answers)), STRONG),
                Span::raw(format!("{:>SHARE_COLUMNS$}", share(*answers, now.answers))),
                Span::styled(format!("  {}", bar(*answers, now.answers, bar_columns)), style),
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

/// What each persona got; shares, and then answers, where there is room for them.
pub(crate) fn personas(scene: &Scene<'_>, palette: Palette, frame: &mut Frame<'_>, area: Rect) {
    let personas = &scene.feed.now().personas;
    let came_columns = count_columns(personas.iter().map(|persona| persona.arrivals));
    let answers_columns = count_columns(personas.iter().map(|persona| persona.answers)).max("answered".len());
    let granted_columns = count_columns(personas.iter().map(|persona| persona.granted));
    let room = usize::from(area.width).saturating_sub(came_columns + granted_columns + 3);
    let longest = longest(personas.iter().map(|persona| persona.name.as_str()));
    let with_share = room >= longest + SHARE_COLUMNS;
    let with_answers = room > longest + SHARE_COLUMNS + answers_columns;
    let answers = |text: &str| {
        if with_answers { format!("{text:>answers_columns$} ") } else { String::new() }
    };
    let name_columns = longest.min(room);
    let share_heading = if with_share { format!("{:>SHARE_COLUMNS$}", "share") } else { String::new() };
    let heading = format!(
        " {:name_columns$} {:>came_columns$} {}{:>granted_columns$}{share_heading}",
        "",
        "came",
        answers("answered"),
        "granted"
    );
    let mut lines = vec![Line::styled(heading, FAINT)];
    lines.extend(personas.iter().map(|persona| {
        let name = fit(&persona.name, name_columns);
        let share = if with_share { share(persona.granted, persona.arrivals) } else { String::new() };
        Line::from(vec![
            Span::raw(format!(
                " {name:<name_columns$} {:>came_columns$} {}",
                grouped(persona.arrivals),
                answers(&grouped(persona.answers))
            )),
            Span::styled(
                format!("{:>granted_columns$}", grouped(persona.granted)),
                STRONG.patch(palette.good()),
            ),
            Span::raw(format!("{share:>SHARE_COLUMNS$}")),
        ])
    }));
    frame.render_widget(Paragraph::new(lines), area);
}

/// A bar of eighths of a column.
pub(crate) fn bar(part: u64, whole: u64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = u128::from(part.min(whole)) * 8 * columns as u128 / u128::from(whole.max(1));
    let eighths = usize::try_from(eighths).unwrap_or(0);
    "█".repeat(eighths / 8) + EIGHTHS.get(eighths % 8).copied().unwrap_or_default()
}

/// Columns in which each of these fits.
fn count_columns(counts: impl Iterator<Item = u64>) -> usize {
    counts.map(|count| grouped(count).len()).max().unwrap_or(0).max(COUNT_COLUMNS_MIN)
}

/// Columns of the longest name, within reason.
fn longest<'name>(names: impl Iterator<Item = &'name str>) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or(0).min(NAME_MAX)
}

/// A name, cut off with an ellipsis where it is too long.
fn fit(name: &str, columns: usize) -> String {
    if name.chars().count() <= columns {
        return name.to_owned();
    }
    name.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}
