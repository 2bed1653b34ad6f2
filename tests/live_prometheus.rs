//! A real Prometheus beside a service in a small rush: every rule, alert and panel asks for something that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use crate::support::campaign::{DropFile, campaign};
use crate::support::crowd::{Crowd, Wish};
use crate::support::dashboards;
use crate::support::prometheus::{Prometheus, expressions, is_there, rules_dir};
use crate::support::promql::selectors;
use crate::support::service::Service;
use crate::support::wait_for;

/// How long all of it may take to be there: the longest step is Prometheus' own start.
const PATIENCE: Duration = Duration::from_secs(60);

/// What has no series while all is well, and why.
const EMPTY_WHEN_HEALTHY: [(&str, &str); 1] =
    [("claimrush: rush overview / Alerts that fire /  1", "no alert fires")];

/// Every question, by where it stands.
fn questions() -> BTreeMap<String, String> {
    let mut asked = BTreeMap::new();
    for dashboard in dashboards::all() {
        for panel in dashboard.panel {
            for (index, (legend, expr)) in panel.queries.iter().enumerate() {
                let place = format!("{} / {} / {legend} {}", dashboard.title, panel.title, index + 1);
                asked.insert(place, expr.replace("$instance", ".*").replace("$drop", ".*"));
            }
        }
    }
    let recording = fs::read_to_string(rules_dir().join("recording.yml")).expect("it is there");
    for name in recording.lines().filter_map(|line| line.trim().strip_prefix("- record: ")) {
        asked.insert(format!("recorded / {name}"), name.to_owned());
    }
    for (name, braces) in expressions("alerts.yml").iter().flat_map(|expr| selectors(expr)) {
        let selector = format!("{name}{braces}");
        asked.insert(format!("alerts ask for / {selector}"), selector);
    }
    assert!(asked.len() > 120, "{}", asked.len());
    asked
}

fn rush(service: &Service) {
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 40), DropFile::open("d-2", 9).not_open()]));
    let crowd = Crowd::new("d-1", service.mint(), service.address());
    let wishes: Vec<_> = (0..80).map(|n| Wish::of(format!("p-{n}"))).collect();
    let told = crowd.rush(&wishes, 4);
    assert_eq!(told.len(), 80);
    assert_eq!(service.claim("d-1", "no.ticket.this").status, 401);
}

#[test]
fn every_rule_and_panel_has_something_to_show() {
    if !is_there("prometheus") {
        return;
    }
    let service = Service::start();
    let prometheus = Prometheus::start(service.admin_address());
    // A rate needs a count before it and one after it.
    wait_for("the first scrape", PATIENCE, || {
        (prometheus.count("claimrush_ready == 1") == Ok(1)).then_some(())
    });
    rush(&service);
    let healthy: BTreeSet<_> = EMPTY_WHEN_HEALTHY.iter().map(|(place, _)| (*place).to_owned()).collect();
    let asked = questions();
    for place in &healthy {
        assert!(asked.contains_key(place), "there is no {place}");
    }
    let mut missing = asked.clone();
    let began = Instant::now();
    while missing.keys().any(|place| !healthy.contains(place)) {
        assert!(began.elapsed() < PATIENCE, "there is nothing for {missing:#?}");
        missing.retain(|place, expr| {
            let found = prometheus.count(expr).unwrap_or_else(|error| panic!("{place}: {expr}: {error}"));
            found == 0
        });
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(missing.into_keys().collect::<BTreeSet<_>>(), healthy, "declared empty, and is not");
    let rules = prometheus.rules();
    let groups = rules.as_array().expect("groups");
    let all: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules")).collect();
    assert!(all.len() > 60, "{}", all.len());
    for rule in all {
        assert_eq!(
            (rule["health"].as_str(), rule["lastError"].as_str().unwrap_or_default()),
            (Some("ok"), ""),
            "{rule}"
        );
        assert_ne!(rule["state"].as_str(), Some("firing"), "{rule}");
    }
}
