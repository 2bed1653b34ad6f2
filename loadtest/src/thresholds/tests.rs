//! The grammar, and each metric against results whose numbers are known.

use std::collections::BTreeMap;

use super::*;
use crate::{
    results::{
        CountResult, Cpu, Environment, FORMAT, Model, Part, Percentiles, PersonaResult, Series, TimesResult,
        Verdict,
    },
    scenario::{Arrivals, Connections, DropShare, Persona, Scenario, Service, Tickets},
    tally::{Mishaps, Schedule},
};

fn times(base_ms: f64) -> TimesResult {
    let response = Percentiles {
        p50_ms: base_ms,
        p90_ms: base_ms * 2.0,
        p99_ms: base_ms * 3.0,
        p999_ms: base_ms * 4.0,
        max_ms: base_ms * 5.0,
        mean_ms: base_ms * 1.5,
    };
    let service = Percentiles { p99_ms: base_ms * 2.5, ..response };
    TimesResult { response, service, response_hdr: String::new(), service_hdr: String::new() }
}

fn part() -> Part {
    let count = |status, code: &str, answers| CountResult { status, code: code.into(), answers };
    Part {
        arrivals: 1_000,
        requests: 1_100,
        answers: 1_000,
        answers_per_s: 500.0,
        granted: 400,
        granted_per_s: 200.0,
        replayed: 7,
        unknown: 3,
        granted_percent: 40.0,
        counts: vec![count(201, "", 400), count(410, "sold_out", 350), count(429, "rate_limited", 250)],
        times: Some(times(1.0)),
        granted_times: Some(times(2.0)),
        refused_times: Some(times(0.5)),
        mishaps: Mishaps {
            lost_replies: 5,
            retries: 9,
            unsent: 11,
            connect_failures: 13,
            ..Mishaps::default()
        },
    }
}

fn results() -> Results {
    let quiet = Part { granted: 0, granted_times: None, answers: 0, counts: Vec::new(), ..part() };
    let persona = |name: &str, part| PersonaResult { name: name.into(), kind: "bot".into(), part };
    let series = Series {
        interval_s: 1.0,
        granted_per_s: vec![0.0, 60.0, 100.0, 0.0, 90.0, 80.0, 0.0],
        ..Series::default()
    };
    Results {
        format: FORMAT,
        scenario: Scenario {
            name: "known".into(),
            about: String::new(),
            seed: 1,
            service: Service::default(),
            drops: vec![DropShare { id: "d".into(), weight: 1 }],
            arrivals: Arrivals::Closed { duration: std::time::Duration::from_secs(1), people: None },
            connections: Connections::default(),
            tickets: Tickets::File { path: "tickets".into(), skip: 0, uses: None, repeat: false },
            personas: vec![Persona::honest()],
            thresholds: Vec::new(),
        },
        environment: Environment::default(),
        model: Model::Open,
        elapsed_s: 2.0,
        desk: None,
        total: part(),
        personas: vec![persona("crowd", part()), persona("farm", quiet)],
        series: Series { codes_per_s: BTreeMap::new(), ..series },
        schedule: Some(Schedule { scheduled: 1_000, late_generator: 2, late_connections: 4, dropped: 8 }),
        generator_cpu: Cpu::default(),
        cpu_of: Vec::new(),
        thresholds: Vec::new(),
        audit: None,
        verdict: Verdict::default(),
    }
}

fn compare(text: &str) -> (String, bool) {
    Threshold::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).compare(&results())
}

#[test]
fn every_metric_is_read_from_its_own_number() {
    for (metric, measured) in [
        ("p50", "1 ms"),
        ("p90", "2 ms"),
        ("p99", "3 ms"),
        ("p999", "4 ms"),
        ("max", "5 ms"),
        ("mean", "1.5 ms"),
        ("granted.p99", "6 ms"),
        ("service.p99", "2.5 ms"),
        ("granted.service.p99", "5 ms"),
        ("refused.p99", "1.5 ms"),
        ("refused.service.p99", "1.25 ms"),
        ("arrivals", "1000"),
        ("requests", "1100"),
        ("answers", "1000"),
        ("granted", "400"),
        ("replayed", "7"),
        ("unknown", "3"),
        ("lost", "5"),
        ("retries", "9"),
        ("unsent", "11"),
        ("connect_failures", "13"),
        ("answers_per_s", "500/s"),
        ("granted_per_s", "200/s"),
        ("granted_percent", "40 %"),
        ("code.sold_out", "350"),
        ("code.overloaded", "0"),
        ("code.rate_limited.share", "25 %"),
        ("status.201", "400"),
        ("status.410.share", "35 %"),
        ("dropped", "8"),
        ("late", "6"),
        ("goodput", "80/s"),
        ("persona.crowd.granted.p50", "2 ms"),
        ("persona.farm.code.sold_out", "0"),
    ] {
        let limit = match measured.split(' ').nth(1) {
            Some("ms") => "1s",
            Some("%") => "1%",
            _ => "1",
        };
        assert_eq!(compare(&format!("{metric} < {limit}")).0, measured, "{metric}");
    }
}

#[test]
fn operators_compare_and_equal_numbers_are_equal() {
    for (text, holds) in [
        ("p99 < 3ms", false),
        ("p99 <= 3ms", true),
        ("p99<3.01ms", true),
        ("p99 > 2999us", true),
        ("p99 > 3000us", false),
        ("p99 >= 0.003s", true),
        ("granted == 400", true),
        ("granted != 400", false),
        ("granted == 4_01", false),
        ("code.overloaded == 0", true),
        ("answers >= 1001", false),
    ] {
        assert_eq!(compare(text).1, holds, "{text}");
    }
}

#[test]
fn shares_are_of_the_peak_of_a_number_or_of_another_metric() {
    // From the first grant to the last: 60, 100, 0, 90, 80; sorted 0, 60, 80, 90, 100.
    assert_eq!(compare("goodput >= 80% of peak"), ("80/s; the limit is 80/s, from 100/s".into(), true));
    assert!(!compare("goodput >= 81% of peak").1);
    assert_eq!(compare("goodput >= 90% of 60/s"), ("80/s".into(), true));
    assert_eq!(compare("granted.p99 <= 2x of p99"), ("6 ms; the limit is 6 ms, from 3 ms".into(), true));
    assert!(!compare("granted.p99 <= 1.9x of p99").1);
    assert!(!compare("p99 <= 2x of 1ms").1);
    let text = "persona.crowd.granted_percent <= 1x of persona.farm.granted_percent";
    assert_eq!(Threshold::parse(text).unwrap().personas().collect::<Vec<_>>(), ["crowd", "farm"]);
}

#[test]
fn one_lucky_interval_is_no_peak() {
    let peak_of = |interval_s, rates: Vec<f64>| {
        let mut noisy = results();
        noisy.series = Series { interval_s, granted_per_s: rates, ..Series::default() };
        let goodput = |limit| Threshold::parse(limit).unwrap().compare(&noisy).0;
        goodput("goodput >= 100% of peak")
    };
    // Thirty seconds in tenths at a rate of 1,000/s, each a tenth above or below it, and one three times as high: the
    // mean of the five seconds round that one counts.
    let mut rates: Vec<_> = (0..300).map(|n| if n % 2 == 0 { 900.0 } else { 1_100.0 }).collect();
    rates[101] = 3_100.0;
    assert_eq!(peak_of(0.1, rates), "1000/s; the limit is 1040/s, from 1040/s");
    // A step of three seconds in fifteen is the whole stretch.
    let steps = [100.0, 1_000.0, 900.0, 900.0, 900.0];
    let rates = steps.iter().flat_map(|rate| [*rate; 6]).collect();
    assert_eq!(peak_of(0.5, rates), "900/s; the limit is 1000/s, from 1000/s");
}

#[test]
fn what_the_run_does_not_have_does_not_hold() {
    for (text, why) in [
        ("persona.farm.granted.p99 < 1s", "nothing: there were no new claims"),
        ("persona.farm.code.sold_out.share < 5%", "nothing: there were no answers"),
        ("persona.nobody.p99 < 1s", "nothing: there was no persona nobody"),
        (
            "p99 < 2x of persona.farm.granted.p99",
            "3 ms, but nothing to compare it with: there were no new claims",
        ),
    ] {
        assert_eq!(compare(text), (why.to_owned(), false), "{text}");
    }
    let mut idle = results();
    idle.series.granted_per_s = vec![0.0; 3];
    idle.schedule = None;
    for text in ["goodput >= 0/s", "goodput >= 90% of peak", "dropped == 0"] {
        assert!(!Threshold::parse(text).unwrap().compare(&idle).1, "{text}");
    }
}

#[test]
fn bad_thresholds_name_the_column_and_the_allowed_words() {
    for (text, column, allowed) in [
        ("p98 < 5ms", 1, "p50, p90, p99"),
        ("  granted.p42 < 5ms", 3, "p50, p90, p99"),
        ("persona.crowd.latency < 5ms", 15, "code.<code>"),
        ("persona.crowd < 5ms", 14, "persona.<name>.<metric>"),
        ("persona.crowd.goodput > 1", 15, "whole run"),
        ("p99", 4, "<, <=, >"),
        ("p99 = 5ms", 5, "<, <=, >"),
        ("p99 < 5", 7, "5ms"),
        ("p99 < 5 minutes", 7, "5ms"),
        ("p99 < -5ms", 7, "5ms"),
        ("p99 <", 6, "5ms"),
        ("granted > many", 11, "a number as 1000"),
        ("code.sold_out.share < 5", 23, "5%"),
        ("goodput >= most of peak", 12, "90%"),
        ("p99 < 90% of peak", 14, "goodput"),
        ("p99 < 2x of granted", 13, "another unit"),
        ("p99 < 2x of p98", 13, "p50, p90, p99"),
        ("status.42 == 0", 1, "status.<number>"),
        ("", 1, "p50, p90, p99"),
    ] {
        let error = Threshold::parse(text).unwrap_err();
        assert_eq!(error.column, column, "{text}: {error}");
        assert!(error.what.contains(allowed), "{text}: {error}");
    }
    assert!(Threshold::parse(&"p".repeat(THRESHOLD_BYTES_MAX + 1)).is_err());
}

#[test]
fn all_are_evaluated_in_order() {
    let texts = ["p99 < 5ms".to_owned(), "granted > 400".to_owned(), "what".to_owned()];
    let evaluated = evaluate(&texts, &results());
    assert_eq!(evaluated.iter().map(|result| result.ok).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(evaluated[1].measured, "400");
    assert_eq!(evaluated[2].text, "what");
}
