//! What is promised of the metrics: all are there from the start, well named, explained, and bounded.

use std::collections::HashMap;
use std::fs;

use super::*;

const CODES: &[&str] = &["sold_out", "overloaded"];

fn metrics() -> Metrics {
    Metrics::new(CODES, 2).unwrap()
}

/// Name → (kind, help) of everything rendered.
fn families(text: &str) -> HashMap<&str, (&str, &str)> {
    let mut families: HashMap<&str, (&str, &str)> = HashMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name).or_default().1 = help;
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            families.entry(name).or_default().0 = kind;
        }
    }
    families
}

#[test]
fn every_metric_is_rendered_with_its_help_before_anything_happened() {
    let metrics = metrics();
    for gauges in [
        &metrics.queue_claims,
        &metrics.limiter_keys,
        &metrics.shard_frozen,
        &metrics.drop_stock_left,
        &metrics.journal_fill_ratio,
        &metrics.orphan_receipts,
    ] {
        gauges.of("one").set(0);
    }
    metrics.drop_seq.of("one").set(0);
    metrics.drop_sold_out_latched.of("one").set(0);
    let text = metrics.render();
    let families = families(&text);
    for name in Instruments::NAMES {
        let (kind, help) = families.get(name).unwrap_or_else(|| panic!("{name} is not rendered:\n{text}"));
        assert!(!kind.is_empty(), "{name} has no type");
        assert!(help.len() > 10 && help.ends_with('.'), "{name} is not explained: {help:?}");
        let has_value = text.lines().any(|line| line.starts_with(name));
        assert!(has_value, "{name} has no value");
    }
    assert!(text.contains("claimrush_refusals_total{code=\"overloaded\"} 0"), "{text}");
    assert!(text.contains("claimrush_request_seconds_count{core=\"1\"} 0"), "{text}");
    assert!(text.contains(concat!("claimrush_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1")));
}

#[test]
fn names_follow_the_rules_of_prometheus_and_of_the_house() {
    let metrics = metrics();
    let text = metrics.render();
    for (name, (kind, _)) in families(&text) {
        let words_only = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        assert!(words_only && !name.contains("__"), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        let abbreviated = ["_ms", "_us", "_millis", "_secs", "_kb", "_mb", "_count", "_sum", "_bucket"];
        assert!(!abbreviated.iter().any(|unit| name.ends_with(unit)), "{name}");
        if kind == "histogram" {
            assert!(
                name.ends_with("_seconds") || name.ends_with("_claims"),
                "{name} has no unit of the bucket lists"
            );
        }
        assert_ne!(kind, "summary", "{name} has no buckets");
    }
}

#[test]
fn values_arrive_where_they_belong() {
    let metrics = metrics();
    metrics.refusals_total.increment(0);
    metrics.refusals_total.add(1, 41);
    metrics.refusals_total.increment(1);
    metrics.drop_stock_left.of("a").set(7);
    metrics.drop_stock_left.of("a").decrement(1);
    metrics.request_seconds.core(0).record(Duration::from_micros(900));
    metrics.request_seconds.core(1).record(0.9);
    metrics.request_seconds.record(9, Duration::from_millis(900));
    let text = metrics.render();
    for line in [
        "claimrush_refusals_total{code=\"sold_out\"} 1",
        "claimrush_refusals_total{code=\"overloaded\"} 42",
        "claimrush_drop_stock_left{drop=\"a\"} 6",
        "claimrush_request_seconds_bucket{core=\"0\",le=\"0.0005\"} 0",
        "claimrush_request_seconds_bucket{core=\"0\",le=\"0.001\"} 1",
        "claimrush_request_seconds_count{core=\"0\"} 2",
        "claimrush_request_seconds_bucket{core=\"1\",le=\"0.5\"} 0",
        "claimrush_request_seconds_bucket{core=\"1\",le=\"1\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
}

#[test]
fn process_figures_are_current() {
    let text = metrics().render();
    let resident = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes ")).unwrap();
    assert!(resident.parse::<f64>().unwrap() > 1e6, "{resident}");
    assert!(text.contains("# HELP process_cpu_seconds_total "), "{text}");
}

#[test]
fn two_sets_do_not_mix() {
    let (one, other) = (metrics(), metrics());
    one.claims_decided_total.increment(5);
    assert!(one.render().contains("claimrush_claims_decided_total 5"));
    assert!(other.render().contains("claimrush_claims_decided_total 0"));
}

#[test]
fn label_values_are_capped() {
    let metrics = metrics();
    for limit in ["person", "address", "one too many"] {
        metrics.limiter_keys.of(limit).set(1);
    }
    let text = metrics.render();
    assert_eq!(text.lines().filter(|line| line.starts_with("claimrush_limiter_keys{")).count(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn upkeep_keeps_memory_bounded() {
    let resident_bytes = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    let metrics = metrics();
    let histogram = metrics.request_seconds.core(0);
    let record = |count: u32| {
        for sample in 0..count {
            histogram.record(f64::from(sample) * 1e-6);
            if sample % 10_000 == 0 {
                metrics.upkeep();
            }
        }
        metrics.upkeep();
    };
    record(100_000);
    let before = resident_bytes();
    record(4_000_000);
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "4,000,000 samples of 16 bytes left {grown} bytes behind");
    assert!(metrics.render().contains("claimrush_request_seconds_count{core=\"0\"} 4100000"));
}
