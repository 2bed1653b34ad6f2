use super::*;
use crate::{outputs::sample, tally::Schedule};

fn judged(change: impl FnOnce(&mut Tally, &mut Circumstances)) -> Results {
    let (mut tally, mut around) = (sample::tally(), sample::circumstances());
    change(&mut tally, &mut around);
    Results::new(&sample::scenario(), &tally, around).unwrap()
}

#[test]
fn the_total_is_the_sum_of_the_personas_and_their_merged_times() {
    let tally = sample::tally();
    let results = judged(|_, _| {});
    let sum = |of: fn(&Part) -> u64| results.personas.iter().map(|persona| of(&persona.part)).sum::<u64>();
    assert_eq!(results.total.arrivals, sum(|part| part.arrivals));
    assert_eq!(results.total.answers, sum(|part| part.answers));
    assert_eq!(results.total.granted, 4_000);
    assert_eq!(results.total.refused(), sum(Part::refused));
    let mut merged = Times::new(crate::tally::DIGITS).unwrap();
    for persona in &tally.personas {
        merged.merge(&persona.response).unwrap();
    }
    let times = results.total.times.as_ref().unwrap();
    assert_eq!(Times::from_base64(&times.response_hdr).unwrap(), merged);
    assert!((times.response.p99_ms - merged.histogram().value_at_quantile(0.99) as f64 / 1e3).abs() < 1e-9);
    assert!(results.total.counts.is_sorted_by_key(|count| Reverse(count.answers)));
}

#[test]
fn rates_of_the_series_add_up_to_the_counts() {
    let results = judged(|_, _| {});
    let series = &results.series;
    let sum = |column: &[f64]| {
        let (last, others) = column.split_last().unwrap();
        (others.iter().sum::<f64>() * series.interval_s + last * series.last_interval_s).round()
    };
    assert!((sum(&series.answers_per_s) - results.total.answers as f64).abs() < 0.5);
    assert!((sum(&series.granted_per_s) - 4_000.0).abs() < 0.5);
    let sold_out = results.total.counts.iter().find(|count| count.code == "sold_out").unwrap();
    assert!((sum(&series.codes_per_s["410 sold_out"]) - sold_out.answers as f64).abs() < 0.5);
    assert!((series.at_s[10] - 10.0 * series.interval_s).abs() < 1e-9);
}

#[test]
fn an_audit_does_not_hold_where_claims_were_granted_and_not_shown() {
    let audited = |unreadable| {
        let mut results = judged(|tally, _| tally.personas[0].mishaps.unreadable_claims = unreadable);
        results.set_audit(AuditResult { ok: true, checks: Vec::new(), left_out: Vec::new() });
        (results.verdict.audit_ok, results.audit.unwrap().checks.len())
    };
    assert_eq!((audited(0), audited(3)), ((true, 0), (false, 1)));
}

/// The series of a run with a hundred answers in each of three whole seconds, and a rest.
fn with_rest(rest_ms: u64, answers: u64) -> Series {
    let mut tally = Tally::new([], Duration::from_secs(1)).unwrap();
    for (second, answers) in [100, 100, 100, answers].into_iter().enumerate() {
        if answers > 0 {
            let interval = tally.interval_at(Duration::from_secs(second as u64)).unwrap();
            interval.answers = answers;
            interval.counts.add(410, "sold_out", answers);
            (0..answers).for_each(|_| interval.response.note(Duration::from_millis(1)));
        }
    }
    tally.last_answer = Duration::from_millis(3_000 + rest_ms);
    Series::new(&tally).unwrap()
}

#[test]
fn the_last_interval_is_as_long_as_the_run_was() {
    let about = |rest_ms, answers| {
        let series = with_rest(rest_ms, answers);
        assert_eq!(series.codes_per_s["410 sold_out"], series.answers_per_s);
        let rates =
            series.answers_per_s.iter().map(|rate| format!("{rate:.0}")).collect::<Vec<_>>().join(" ");
        format!("{rates}, the last in {:.3} s", series.last_interval_s)
    };
    assert_eq!(about(600, 60), "100 100 100 100, the last in 0.600 s");
    assert_eq!(about(1_000, 100), "100 100 100 100, the last in 1.000 s");
    // Too short for a rate of its own: twenty answers in a fifth of a second count with the second before.
    assert_eq!(about(200, 20), "100 100 100, the last in 1.200 s");
    assert_eq!(about(1, 2), "100 100 102, the last in 1.001 s");
    assert_eq!(about(0, 0), "100 100 100, the last in 1.000 s");
}

#[test]
fn a_run_that_was_ended_at_once_is_invalid() {
    let verdict = judged(|_, around| around.halted = true).verdict;
    assert_eq!((verdict.valid, verdict.exit_code), (false, 3));
    assert!(verdict.invalid_because[0].starts_with("it was ended at once"), "{verdict:?}");
}

#[test]
fn a_clock_that_is_far_off_or_hardly_known_is_warned_of() {
    let warned = |offset_us, error_us| {
        let verdict = judged(|_, around| {
            around.workers[1].clock_offset_us = offset_us;
            around.workers[1].clock_error_us = error_us;
        })
        .verdict;
        assert!(verdict.valid && verdict.exit_code == 0);
        verdict.warnings
    };
    assert_eq!(warned(30_000_000, 10_000), Vec::<String>::new());
    let unsure = warned(0, 12_345);
    assert!(
        unsure.len() == 1 && unsure[0].contains("worker 10.0.0.2:7000 is known to 12.3 ms only"),
        "{unsure:?}"
    );
    let behind = warned(-90_000_000, 90);
    assert!(
        behind.len() == 1 && behind[0].contains("10.0.0.2:7000 is 90.0 s behind this machine's"),
        "{behind:?}"
    );
    assert!(warned(31_000_000, 90)[0].contains("31.0 s ahead of"));
}

#[test]
fn a_punctual_run_is_valid_and_counts_its_cpu() {
    let results = judged(|_, _| {});
    assert_eq!(results.verdict.invalid_because, Vec::<String>::new());
    assert_eq!((results.verdict.valid, results.verdict.exit_code), (true, 0));
    let cpu = results.cpu_of[0].cpu.unwrap();
    assert!((cpu.us_per_answer - 1.31e6 / results.total.answers as f64).abs() < 1e-9);
    assert!((results.generator_cpu.cores - 0.06).abs() < 1e-9);
    assert_eq!(results.environment.threads, 4);
}

#[test]
fn one_percent_of_late_or_dropped_arrivals_is_allowed_and_no_more() {
    let late = |late_generator, dropped| {
        let verdict = judged(|tally, _| {
            tally.schedule = Schedule { scheduled: 10_000, late_generator, late_connections: 0, dropped };
        })
        .verdict;
        (verdict.exit_code, verdict.invalid_because.len())
    };
    assert_eq!([late(100, 100), late(101, 0), late(0, 101)], [(0, 0), (3, 1), (3, 1)]);
    let few = |late_generator| {
        judged(|tally, _| tally.schedule = Schedule { scheduled: 50, late_generator, ..Schedule::default() })
            .verdict
            .exit_code
    };
    assert_eq!([few(10), few(11)], [0, 3], "a short run is allowed ten");
}

#[test]
fn why_arrivals_never_left_is_told_apart() {
    use crate::scenario::Reuse::{KeepAlive, PerPerson};
    let why = |reuse, connect_failures| {
        let (mut scenario, mut tally) = (sample::scenario(), sample::tally());
        scenario.connections.reuse = reuse;
        tally.schedule = Schedule { scheduled: 1_000, dropped: 20, ..Schedule::default() };
        tally.personas[0].mishaps.connect_failures = connect_failures;
        let results = Results::new(&scenario, &tally, sample::circumstances()).unwrap();
        results.verdict.invalid_because.join("; ")
    };
    assert_eq!(why(PerPerson, 7), "20 requests never left: 7 times no connection could be opened");
    assert!(why(KeepAlive, 0).ends_with("1000 connections are too few for this rate and this service"));
    assert!(
        why(PerPerson, 0)
            .ends_with("10000 at a time with connections of their own are too few for this rate")
    );
}

#[test]
fn what_limits_a_valid_run_is_a_warning() {
    let warned = judged(|tally, around| {
        tally.schedule.late_connections = 5_000;
        around.generator = Duration::from_secs(27);
        around.watched.push((1, None));
    });
    assert_eq!((warned.verdict.valid, warned.verdict.warnings.len()), (true, 3));
    let warned = judged(|_, around| around.workers[1].cpu.cores = 1.99);
    assert_eq!(
        warned.verdict.warnings,
        ["1 of 2 workers used all of their cores: they may be the limit, not the service"]
    );
}

#[test]
fn a_closed_model_says_that_it_hides_stalls_and_has_no_schedule() {
    let mut scenario = sample::scenario();
    scenario.arrivals = Arrivals::Closed { duration: Duration::from_secs(1), people: None };
    let results = Results::new(&scenario, &sample::tally(), sample::circumstances()).unwrap();
    assert_eq!((results.model, results.schedule), (Model::Closed, None));
    assert!(results.verdict.warnings[0].contains("coordinated omission"));
}

#[test]
fn a_closed_model_whose_service_went_away_is_invalid_and_as_long_as_it_was_to_be() {
    let mut scenario = sample::scenario();
    scenario.arrivals = Arrivals::Closed { duration: Duration::from_secs(8), people: None };
    let mut tally = sample::tally();
    tally.last_answer = Duration::from_secs(2);
    tally.let_in_until = Duration::from_secs(8);
    let results = Results::new(&scenario, &tally, sample::circumstances()).unwrap();
    assert!(results.verdict.valid && results.verdict.warnings.len() == 1, "{:?}", results.verdict);
    assert!((results.elapsed_s - 8.0).abs() < 1e-9);
    assert!((results.total.granted_per_s - 500.0).abs() < 1e-9, "{}", results.total.granted_per_s);
    tally.schedule.dropped = 1;
    let verdict = Results::new(&scenario, &tally, sample::circumstances()).unwrap().verdict;
    assert_eq!(verdict.exit_code, 3);
    assert!(verdict.invalid_because[0].contains("the service has gone away"), "{verdict:?}");
    // Where all had come before its time the run is as long as it took them.
    tally.let_in_until = Duration::ZERO;
    let results = Results::new(&scenario, &tally, sample::circumstances()).unwrap();
    assert!((results.elapsed_s - 2.0).abs() < 1e-9);
}

#[test]
fn a_run_that_was_ended_before_its_time_says_so() {
    let warnings = |let_in_ms| {
        let verdict = judged(|tally, _| tally.let_in_until = Duration::from_millis(let_in_ms)).verdict;
        assert_eq!(verdict.exit_code, 0);
        verdict.warnings
    };
    assert_eq!([warnings(0), warnings(8_000)], [Vec::<String>::new(), Vec::new()]);
    let cut_short = warnings(2_040);
    assert!(cut_short.len() == 1 && cut_short[0].starts_with("ended after 2.0 s of 8s: "), "{cut_short:?}");
}

#[test]
fn the_gravest_verdict_decides_the_exit_code() {
    let mut results = judged(|_, _| {});
    let threshold = |ok| ThresholdResult { text: "a < 1".into(), measured: "1".into(), ok };
    results.set_thresholds(vec![threshold(true), threshold(false)]);
    assert_eq!(results.verdict.exit_code, 1);
    results.set_audit(AuditResult { ok: false, checks: Vec::new(), left_out: Vec::new() });
    assert_eq!(results.verdict.exit_code, 4);
    results.verdict.valid = false;
    results.set_thresholds(vec![threshold(true)]);
    assert_eq!(results.verdict.exit_code, 3);
    results.verdict.valid = true;
    results.set_audit(AuditResult { ok: true, checks: Vec::new(), left_out: Vec::new() });
    assert_eq!(results.verdict.exit_code, 0);
}

#[test]
fn nobody_answered_is_no_result() {
    let scenario = sample::scenario();
    let tally = Tally::new([("honest", "honest")], Duration::from_secs(1)).unwrap();
    let results = Results::new(&scenario, &tally, sample::circumstances()).unwrap();
    assert_eq!(results.verdict.exit_code, 3);
    assert_eq!(results.verdict.invalid_because, ["no request was answered"]);
    assert!(results.total.times.is_none() && results.total.answers_per_s.abs() < 1e-9);
}
