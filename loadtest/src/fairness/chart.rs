//! The turns as a drawing that needs nothing else and is read on light and dark pages alike.

use anyhow::{Result, anyhow};
use plotters::{
    chart::ChartBuilder,
    coord::Shift,
    drawing::{DrawingArea, IntoDrawingArea},
    element::{Rectangle, Text},
    prelude::{BLACK, RGBColor, SVGBackend},
    style::{
        Color, IntoFont, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{
    Turn,
    page::{Spread, spread},
};

const WIDTH: u32 = 900;
const HEIGHT: u32 = 300;
const TEXT_SIZE: u32 = 15;
const TITLE_SIZE: u32 = 17;

const PEOPLE: RGBColor = RGBColor(31, 111, 235);
const FARM: RGBColor = RGBColor(207, 122, 48);
const INK: RGBColor = RGBColor(31, 35, 40);
const GRID: RGBColor = RGBColor(208, 215, 222);

/// The same drawing on a dark page: colours that stand there, and what takes their place.
const DARK: [(RGBColor, &str); 4] =
    [(PEOPLE, "#58A6FF"), (FARM, "#E8A063"), (INK, "#E6EDF3"), (GRID, "#3D444D")];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One bar: its label, its parts from the left with their colours, and what stands behind it.
struct Bar {
    label: &'static str,
    parts: Vec<(f64, RGBColor)>,
    figure: String,
}

/// The chart as SVG.
///
/// # Errors
/// A sort of turns is missing, or the library cannot draw.
pub(super) fn svg(turns: &[Turn]) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, HEIGHT)).into_drawing_area();
        let (left, right) = area.split_horizontally(WIDTH * 3 / 5);
        shares(&left, turns)?;
        times(&right, turns)?;
        area.present().map_err(|error| anyhow!("{error}"))?;
    }
    Ok(readable(&text))
}

fn shares(area: &Area<'_>, turns: &[Turn]) -> Result<()> {
    let bar = |label, guarded| -> Result<Bar> {
        let people = spread(turns, guarded, Turn::people_percent)?;
        let farm = spread(turns, guarded, |turn| turn.farm_got as f64 * 100.0 / turn.stock.max(1) as f64)?;
        let figure = format!("{:.1} %", people.median);
        Ok(Bar { label, parts: vec![(people.median, PEOPLE), (people.median + farm.median, FARM)], figure })
    };
    let bars = [bar("guard off", false)?, bar("guard on", true)?];
    draw(area, "Who got the vouchers (% of the stock)", 100.0, &bars)?;
    let key = [("people", PEOPLE, 20), ("farm", FARM, 130)];
    for (name, color, x) in key {
        let y = i32::try_from(HEIGHT).unwrap_or(0) - 24;
        put(area, &Rectangle::new([(x, y), (x + 14, y + 14)], color.filled()))?;
        put(area, &Text::new(name, (x + 22, y), ink(TEXT_SIZE, HPos::Left, VPos::Top)))?;
    }
    Ok(())
}

fn times(area: &Area<'_>, turns: &[Turn]) -> Result<()> {
    let of = |guarded| spread(turns, guarded, |turn| turn.people_p99_ms);
    let (off, on) = (of(false)?, of(true)?);
    let bar = |label, spread: Spread| Bar {
        label,
        parts: vec![(spread.median, PEOPLE)],
        figure: format!("{:.1} ms", spread.median),
    };
    let most = off.median.max(on.median);
    draw(area, "People's p99 (ms)", most * 1.02, &[bar("guard off", off), bar("guard on", on)])
}

/// Horizontal bars from zero, the first on top.
fn draw(area: &Area<'_>, title: &str, most: f64, bars: &[Bar]) -> Result<()> {
    let decimals = usize::from(most < 10.0);
    let failed = |error: &dyn std::fmt::Display| anyhow!("{error}");
    let rows = bars.len() as f64;
    put(area, &Text::new(title.to_owned(), (20, 14), ink(TITLE_SIZE, HPos::Left, VPos::Top)))?;
    let mut chart = ChartBuilder::on(area)
        .margin_top(48)
        .margin_right(78)
        .margin_left(100)
        .margin_bottom(40)
        .x_label_area_size(28)
        .build_cartesian_2d(0.0..most, 0.0..rows)
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(if most > 100.0 { 3 } else { 5 })
        .x_label_formatter(&|value| format!("{value:.decimals$}"))
        .axis_style(GRID)
        .bold_line_style(GRID)
        .light_line_style(BLACK.mix(0.0))
        .x_label_style(ink(TEXT_SIZE, HPos::Center, VPos::Top))
        .draw()
        .map_err(|error| failed(&error))?;
    for (row, bar) in bars.iter().enumerate() {
        let (bottom, top) = (rows - row as f64 - 0.78, rows - row as f64 - 0.22);
        let mut start = 0.0;
        for (end, color) in &bar.parts {
            let shape = Rectangle::new([(start, bottom), (*end, top)], color.filled());
            chart.draw_series([shape]).map_err(|error| failed(&error))?;
            start = *end;
        }
        let middle = f64::midpoint(bottom, top);
        let (_, y) = chart.backend_coord(&(0.0, middle));
        let (x, _) = chart.backend_coord(&(start, middle));
        let (zero, _) = chart.backend_coord(&(0.0, middle));
        let base = area.get_base_pixel();
        let figure = ink(TEXT_SIZE, HPos::Left, VPos::Center);
        put(area, &Text::new(bar.figure.clone(), (x - base.0 + 8, y - base.1), figure))?;
        let label = ink(TEXT_SIZE, HPos::Right, VPos::Center);
        put(area, &Text::new(bar.label, (zero - base.0 - 10, y - base.1), label))?;
    }
    Ok(())
}

fn put<'a, E>(area: &Area<'a>, element: &E) -> Result<()>
where
    for<'b> &'b E: plotters::element::PointCollection<'b, (i32, i32)>,
    E: plotters::element::Drawable<SVGBackend<'a>>,
{
    area.draw(element).map_err(|error| anyhow!("{error}"))
}

fn ink(size: u32, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    TextStyle::from(("system-ui, sans-serif", size).into_font())
        .color(&INK)
        .pos(Pos::new(horizontal, vertical))
}

/// Adds what a dark page needs, and words for those who do not see it.
fn readable(svg: &str) -> String {
    let hex = |RGBColor(red, green, blue): RGBColor| format!("#{red:02X}{green:02X}{blue:02X}");
    let mut style =
        String::from("<title>People's share of a drop and their p99, with the guard off and on</title>");
    style += "<style>@media (prefers-color-scheme: dark){";
    for (light, dark) in DARK {
        let light = hex(light);
        style.extend([
            "[fill=\"",
            &light,
            "\"]{fill:",
            dark,
            "}[stroke=\"",
            &light,
            "\"]{stroke:",
            dark,
            "}",
        ]);
    }
    style += "}</style>";
    match svg.split_once('>') {
        Some((head, rest)) => format!("{head} role=\"img\">{style}{rest}"),
        None => svg.to_owned(),
    }
}
