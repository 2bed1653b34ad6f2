//! The live view on a real terminal, in a pipe, and asked to end.
//!
//! A view has the terminal of its whole process, so each test runs itself once more as that process, with the part
//! to play in its environment.

use std::{
    env,
    io::{Read, Write},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use claimrush_loadtest::live::{Mode, Options, Reading, Stop, View};
use rustix::process::{Signal, getpid, kill_process};

/// The part that this process plays.
const PART: &str = "CLAIMRUSH_TEST_LIVE_PART";
/// Longer than anything that is waited for takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a terminal is told when a screen comes, and when it goes.
const SCREEN_COMES: &str = "\x1b[?1049h";
const SCREEN_GOES: &str = "\x1b[?1049l";
const CURSOR_COMES: &str = "\x1b[?25h";

fn view(mode: Mode) -> View {
    View::start(Options {
        mode,
        title: "rehearsal".into(),
        target: "http://127.0.0.1:1".into(),
        planned: Duration::from_secs(60),
        scrape: None,
    })
    .unwrap()
}

fn reading(seconds: u64) -> Reading {
    let mut reading = Reading::new().unwrap();
    reading.elapsed = Duration::from_secs(seconds);
    reading.sent = seconds * 1_000;
    reading
}

/// Tells the view the same until it is asked for this. The next wish may have come on the heels of the first.
fn tell_until(view: &mut View, wanted: Stop) {
    let give_up_at = Instant::now() + PATIENCE;
    loop {
        view.tell(&reading(1));
        let asked = view.asked_to_stop();
        if asked == wanted || asked == Stop::Now {
            return;
        }
        assert!(Instant::now() < give_up_at, "nobody asked for {wanted:?}");
        thread::yield_now();
    }
}

/// This test once more, in a shell on a terminal of its own that tells its settings before and after.
fn on_a_terminal(test: &str, part: &str) -> Child {
    let shell =
        r#"stty rows 28 cols 90; stty -g; "$THIS" --exact "$TEST" --nocapture; echo "exit=$?"; stty -g"#;
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", shell, "/dev/null"]);
    command
        .env("THIS", env::current_exe().unwrap())
        .env("TEST", test)
        .env(PART, part)
        .env("SHELL", "/bin/sh");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// Reads on, a byte at a time so as not to read too far, until this has been said.
fn read_until(child: &mut Child, said: &mut String, wanted: &str) {
    let mut new = Vec::new();
    while !new.ends_with(wanted.as_bytes()) {
        let mut byte = [0];
        let read = child.stdout.as_mut().unwrap().read(&mut byte).unwrap();
        assert!(read > 0, "never said {wanted:?}: {said}{}", String::from_utf8_lossy(&new));
        new.extend(byte);
    }
    said.push_str(&String::from_utf8_lossy(&new));
}

fn press(child: &mut Child, keys: &str) {
    child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
}

/// Reads the rest and checks that the terminal is as it was; gives all that was said.
fn was_given_back(mut child: Child, mut said: String, exit: i32) -> String {
    child.stdout.as_mut().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    let lines: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert!(lines.first().unwrap().contains(':'), "not the settings: {lines:?}");
    assert_eq!(lines.first(), lines.last(), "the terminal's settings");
    assert!(said.contains(&format!("exit={exit}")), "{said}");
    let came = said.find(SCREEN_COMES).unwrap();
    let went = said.rfind(SCREEN_GOES).unwrap();
    assert!(came < went && said[came..went].contains("rehearsal"), "{said}");
    assert!(said[went..].contains(CURSOR_COMES), "{said}");
    said
}

#[test]
fn keys_end_a_run_gently_then_at_once() {
    if env::var_os(PART).is_some() {
        let mut view = view(Mode::Screen);
        tell_until(&mut view, Stop::Gently);
        tell_until(&mut view, Stop::Now);
        return drop(view.finish());
    }
    let mut child = on_a_terminal("live::keys_end_a_run_gently_then_at_once", "view");
    let mut said = String::new();
    read_until(&mut child, &mut said, "stop sending");
    press(&mut child, "xq");
    read_until(&mut child, &mut said, "stopping");
    press(&mut child, "\x03");
    was_given_back(child, said, 0);
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told() {
    if env::var_os(PART).is_some() {
        let mut view = view(Mode::Screen);
        view.tell(&reading(1));
        panic!("on purpose");
    }
    let child = on_a_terminal("live::a_panic_gives_the_terminal_back_before_it_is_told", "view");
    let said = was_given_back(child, String::new(), 101);
    assert!(said.rfind(SCREEN_GOES) < said.find("on purpose"), "{said}");
}

#[test]
fn after_a_panic_elsewhere_the_view_goes_on_in_lines() {
    if env::var_os(PART).is_some() {
        let mut view = view(Mode::Screen);
        view.tell(&reading(1));
        assert!(thread::spawn(|| panic!("on purpose")).join().is_err());
        view.tell(&reading(2));
        view.tell(&reading(3));
        return drop(view.finish());
    }
    let child = on_a_terminal("live::after_a_panic_elsewhere_the_view_goes_on_in_lines", "view");
    let said = was_given_back(child, String::new(), 0);
    let after = &said[said.rfind(SCREEN_GOES).unwrap()..];
    assert!(after.contains(" 0:03  sent 1,000/s  answered 0/s"), "{after}");
}

#[test]
fn signals_that_nobody_heeds_end_the_process_and_give_the_terminal_back() {
    if env::var_os(PART).is_some() {
        let mut view = view(Mode::Screen);
        for asked in [Stop::Gently, Stop::Now] {
            kill_process(getpid(), Signal::TERM).unwrap();
            tell_until(&mut view, asked);
        }
        kill_process(getpid(), Signal::TERM).unwrap();
        thread::sleep(PATIENCE);
        return;
    }
    let test = "live::signals_that_nobody_heeds_end_the_process_and_give_the_terminal_back";
    was_given_back(on_a_terminal(test, "view"), String::new(), 143);
}

/// This test once more, its standard error read through a pipe.
fn in_a_pipe(test: &str, part: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env::current_exe().unwrap());
    let output = command.args(["--exact", test, "--nocapture"]).env(PART, part).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_pipe_gets_a_line_a_second_or_nothing() {
    if let Ok(part) = env::var(PART) {
        let mut view = view(Mode::choose(part == "quiet", false));
        (1..=8).for_each(|quarter| {
            let mut reading = reading(quarter / 4);
            reading.elapsed = Duration::from_millis(quarter * 250);
            view.tell(&reading);
        });
        return drop(view.finish());
    }
    let test = "live::a_pipe_gets_a_line_a_second_or_nothing";
    let (code, lines) = in_a_pipe(test, "plain");
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 2), "{lines:?}");
    assert!(
        lines[0].starts_with(" 0:01  sent 1,000/s  answered 0/s  granted 0/s  lost 0  p50 – "),
        "{lines:?}"
    );
    assert!(lines[1].starts_with(" 0:02  sent 1,000/s "), "{lines:?}");
    assert_eq!(in_a_pipe(test, "quiet"), (Some(0), String::new()));
}

#[test]
fn signals_are_heeded_while_a_view_lasts_and_end_the_process_after_it() {
    if env::var_os(PART).is_some() {
        let mut view = view(Mode::Quiet);
        assert_eq!(view.asked_to_stop(), Stop::No);
        kill_process(getpid(), Signal::INT).unwrap();
        tell_until(&mut view, Stop::Gently);
        kill_process(getpid(), Signal::HUP).unwrap();
        tell_until(&mut view, Stop::Now);
        drop(view.finish());
        kill_process(getpid(), Signal::INT).unwrap();
        thread::sleep(PATIENCE);
        return;
    }
    let test = "live::signals_are_heeded_while_a_view_lasts_and_end_the_process_after_it";
    assert_eq!(in_a_pipe(test, "view").0, Some(130));
}
