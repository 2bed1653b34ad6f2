use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Buffer,
    style::{Color, Modifier},
};

use super::{
    super::{
        Stop,
        sample::{self, Sample},
    },
    *,
};

fn render(sample: &Sample, width: u16, height: u16, palette: Palette) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(&sample.scene(), palette, frame)).unwrap();
    terminal.backend().buffer().clone()
}

/// The rows without the blanks at their ends.
fn rows(buffer: &Buffer) -> Vec<String> {
    let rows = buffer.content().chunks(usize::from(buffer.area.width));
    rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned())
        .collect()
}

fn look(sample: &Sample, width: u16, height: u16) -> Vec<String> {
    rows(&render(sample, width, height, Palette::new(true)))
}

#[test]
fn a_busy_run_on_the_smallest_whole_screen() {
    let expected = [
        " release-10am → http://127.0.0.1:8080            1,000 open",
        " 0:02 of 1:00 ━─────────────────────────────────────────────",
        " sent           answered       granted        lost",
        " 13,000 /s      12,000 /s      2,000 /s       7.0 /s",
        " answered/s ▄█                                peak 12,000",
        " p99        ██                                peak 9.02 ms",
        " 410 sold_out  13,500  75.0 %      last second     so far",
        " 201            3,750  20.8 % p50      2.01 ms    2.00 ms",
        " 503 overloa…     750   4.2 % p90      9.02 ms    8.97 ms",
        "                              p99      9.02 ms    8.97 ms",
        "                              max      9.02 ms    9.02 ms",
        "             came granted     stock left 12,345 of 50,000",
        " honest    15,000   3,750     drain lag  0.25 s · journal 37",
        " bot farm   3,000       0     queue      5 claims",
        " ! 3 arrivals never left (and 2 more)",
        " q or Ctrl-C: stop sending and finish",
    ];
    assert_eq!(look(&sample::busy(), 60, 16), expected);
}

#[test]
fn a_busy_run_on_a_framed_screen() {
    let expected = [
        " release-10am → http://127.0.0.1:8080                                          1,000 open",
        " 0:02 of 1:00 ━━──────────────────────────────────────────────────────────────────────────",
        "╭ sent ───────────────╮╭ answered ──────────╮╭ granted ────────────╮╭ lost ──────────────╮",
        "│ 13,000 /s           ││ 12,000 /s          ││ 2,000 /s            ││ 7.0 /s             │",
        "│ 20,000 in all       ││ 18,000 in all      ││ 3,750 in all        ││ 7 in all           │",
        "╰─────────────────────╯╰────────────────────╯╰─────────────────────╯╰────────────────────╯",
        " answered/s  █                                                              peak 12,000",
        "            ██",
        " p99        ██                                                              peak 9.02 ms",
        "            ██",
        "╭ answers ───────────────────────────────────────────╮╭ response time ───────────────────╮",
        "│ 410 sold_out    13,500  75.0 %  ██████████████▎    ││      last second     so far      │",
        "│ 201              3,750  20.8 %  ███▉               ││ p50      2.01 ms    2.00 ms      │",
        "│ 503 overloaded     750   4.2 %  ▊                  ││ p90      9.02 ms    8.97 ms      │",
        "│                                                    ││ p99      9.02 ms    8.97 ms      │",
        "│                                                    ││ max      9.02 ms    9.02 ms      │",
        "│                                                    │╰──────────────────────────────────╯",
        "│                                                    │╭ service ─────────────────────────╮",
        "╰────────────────────────────────────────────────────╯│ stock left 12,345 of 50,000      │",
        "╭ people ────────────────────────────────────────────╮│ ███████▉░░░░░░░░░░░░░░░░░░░░░░░░ │",
        "│             came answered granted   share          ││ drain lag  0.25 s · journal 37   │",
        "│ honest    15,000   14,000   3,750  25.0 %          ││ queue      5 claims              │",
        "│ bot farm   3,000    4,000       0   0.0 %          ││ caiyun-100-25  open  12,345      │",
        "╰────────────────────────────────────────────────────╯╰──────────────────────────────────╯",
        " ! 3 arrivals never left",
        " ! 1,200 arrivals left late: the generator has no CPU to spare",
        " ! metrics: no answer within 800 ms",
        " q or Ctrl-C: stop sending and finish",
    ];
    assert_eq!(look(&sample::busy(), 90, 28), expected);
}

#[test]
fn a_run_without_a_second_yet_on_a_framed_screen() {
    let expected = [
        " release-10am → http://127.0.0.1:8080",
        " 0:00 of 1:00 ──────────────────────────────────────────────────────────────────",
        "╭ sent ────────────╮╭ answered ────────╮╭ granted ─────────╮╭ lost ────────────╮",
        "│ – /s             ││ – /s             ││ – /s             ││ – /s             │",
        "│ 0 in all         ││ 0 in all         ││ 0 in all         ││ 0 in all         │",
        "╰──────────────────╯╰──────────────────╯╰──────────────────╯╰──────────────────╯",
        " answered/s                                                       peak –",
        "",
        " p99                                                              peak –",
        "",
        "╭ answers ─────────────────────────────────╮╭ response time ───────────────────╮",
        "│ no answers yet                           ││      last second     so far      │",
        "│                                          ││ p50            –          –      │",
        "│                                          ││ p90            –          –      │",
        "│                                          ││ p99            –          –      │",
        "│                                          ││ max            –          –      │",
        "│                                          │╰──────────────────────────────────╯",
        "│                                          │╭ service ─────────────────────────╮",
        "│                                          ││ not asked                        │",
        "│                                          ││                                  │",
        "│                                          ││                                  │",
        "│                                          ││                                  │",
        "╰──────────────────────────────────────────╯╰──────────────────────────────────╯",
        " q or Ctrl-C: stop sending and finish",
    ];
    assert_eq!(look(&sample::empty(), 80, 24), expected);
}

#[test]
fn a_busy_run_in_a_corner() {
    let expected = [
        "release-10am",
        "0:02 of 1:00",
        "answered 12,000/s",
        "granted  2,000/s · 3,750",
        "p99      9.02 ms",
        " ! 3 arrivals never left (and 2 more)",
        "sent     13,000/s",
        "p50      2.01 ms",
        "stock    12,345 of 50,000",
        "q or Ctrl-C: stop sending and finish",
    ];
    assert_eq!(look(&sample::busy(), 40, 10), expected);
}

#[test]
fn the_most_important_facts_are_left_in_a_sliver() {
    assert_eq!(look(&sample::busy(), 20, 3), ["release-10am", "0:02 of 1:00", "q or Ctrl-C: stop se"]);
    assert_eq!(look(&sample::busy(), 12, 1), ["release-10am"]);
}

#[test]
fn every_size_can_be_drawn() {
    for sample in [sample::busy(), sample::empty()] {
        for width in [1, 2, 5, 12, 30, 59, 60, 61, 79, 80, 130] {
            for height in (1..=17).chain([23, 24, 25, 33]) {
                render(&sample, width, height, Palette::new(true));
            }
        }
        render(&sample, 300, 100, Palette::new(true));
    }
}

#[test]
fn meaning_has_a_colour_unless_colours_are_unwanted() {
    let place = |buffer: &Buffer, text: &str| {
        let row = rows(buffer).iter().position(|row| row.contains(text)).unwrap();
        let wide = usize::from(buffer.area.width);
        let cells = &buffer.content()[row * wide..(row + 1) * wide];
        let letters: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        let column = letters[..letters.find(text).unwrap()].chars().count();
        cells[column].clone()
    };
    let coloured = render(&sample::busy(), 90, 28, Palette::new(true));
    assert_eq!(place(&coloured, "201 ").fg, Color::Green);
    assert_eq!(place(&coloured, "410 sold_out").fg, Color::Yellow);
    assert_eq!(place(&coloured, "503 overloaded").fg, Color::Red);
    assert_eq!(place(&coloured, "! 3 arrivals never").fg, Color::Red);
    assert_eq!(place(&coloured, "! metrics").fg, Color::Yellow);

    let plain = render(&sample::busy(), 90, 28, Palette::new(false));
    assert_eq!(rows(&plain), rows(&coloured));
    assert!(plain.content().iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    assert!(place(&plain, "! 3 arrivals never").modifier.contains(Modifier::BOLD));
}

#[test]
fn the_screen_says_what_is_waited_for_and_what_a_key_does() {
    let mut sample = sample::busy();
    sample.stop = Stop::Gently;
    let rows = look(&sample, 90, 28);
    assert!(rows[1].starts_with(" 0:02 of 1:00 · stopping "), "{}", rows[1]);
    assert_eq!(rows[27], " waiting for the last answers · q or Ctrl-C: leave at once");
    sample.stop = Stop::No;
    sample.tell(|reading| reading.elapsed = std::time::Duration::from_secs(61));
    assert!(look(&sample, 90, 28)[1].starts_with(" 1:01 of 1:00 · last answers ━"));
}

#[test]
fn a_service_that_lost_redis_is_the_first_warning() {
    let mut sample = sample::busy();
    sample.service.as_mut().unwrap().redis_up = Some(false);
    let rows = look(&sample, 60, 16);
    assert_eq!(rows[14], " ! the service does not reach Redis (and 3 more)");
}

#[test]
fn more_kinds_than_rows_are_counted() {
    let mut sample = sample::busy();
    sample.tell(|reading| (400..500).for_each(|status| reading.counts.add(status, "odd", 1)));
    let rows = look(&sample, 60, 16);
    let last = rows.iter().position(|row| row.contains("kinds more")).unwrap();
    let shown = rows[..last].iter().filter(|row| row.contains('%')).count();
    assert!(rows[last].starts_with(&format!(" and {} kinds more", 103 - shown)), "{}", rows[last]);
}
