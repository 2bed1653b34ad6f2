//! The dashboards of `deploy/grafana`: the files are what their source says, well formed, and ask for metrics that exist.

use std::collections::HashSet;
use std::fs;

use claimrush::telemetry::metrics::Instruments;
use serde_json::{Value, json};

use crate::support::dashboards::{Dashboard, Kind, Panel, all, grafana_dir};
use crate::support::prometheus::{expressions, rules_dir};
use crate::support::promql::selectors;

/// Set to write the files instead of comparing them: `make dashboards`.
const WRITE: &str = "WRITE_DASHBOARDS";
/// The version of Grafana's dashboard format that is written; Grafana moves older ones up itself.
const SCHEMA_VERSION: u32 = 39;
const COLUMNS: u32 = 24;

fn data_source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn variable(name: &str, query: &str) -> Value {
    json!({
        "name": name, "type": "query", "datasource": data_source(),
        "query": { "query": query, "refId": name }, "definition": query,
        "refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".*",
        "current": { "text": "All", "value": "$__all" },
    })
}

fn panel(id: usize, panel: &Panel, x: u32, y: u32, height: u32) -> Value {
    let targets = panel.queries.iter().zip('A'..).map(|((legend, expr), letter)| {
        json!({
            "refId": letter.to_string(), "datasource": data_source(), "expr": expr, "legendFormat": legend,
            "format": if panel.kind == Kind::Heat { "heatmap" } else { "time_series" },
        })
    });
    let (kind, options) = match panel.kind {
        Kind::Lines => (
            "timeseries",
            json!({ "tooltip": { "mode": "multi", "sort": "desc" }, "legend": { "placement": "bottom" } }),
        ),
        Kind::Number => {
            ("stat", json!({ "reduceOptions": { "calcs": ["lastNotNull"] }, "graphMode": "area" }))
        }
        Kind::Heat => (
            "heatmap",
            json!({ "calculate": false, "yAxis": { "unit": panel.unit }, "tooltip": { "mode": "single" } }),
        ),
    };
    json!({
        "id": id, "type": kind, "title": panel.title, "description": panel.help, "datasource": data_source(),
        "gridPos": { "h": height, "w": panel.width, "x": x, "y": y },
        "fieldConfig": { "defaults": { "unit": panel.unit }, "overrides": [] },
        "options": options, "targets": targets.collect::<Vec<_>>(),
    })
}

fn dashboard(source: &Dashboard) -> Value {
    let mut panels = Vec::new();
    let (mut x, mut y) = (0, 0);
    for (index, one) in source.panel.iter().enumerate() {
        let height = if one.kind == Kind::Number { 4 } else { 8 };
        panels.push(panel(index + 1, one, x, y, height));
        x += one.width;
        if x == COLUMNS {
            (x, y) = (0, y + height);
        }
    }
    assert_eq!(x, 0, "{}: the last line of panels is not full", source.title);
    let mut variables = vec![
        json!({ "name": "datasource", "type": "datasource", "query": "prometheus", "current": {} }),
        variable("instance", r#"label_values(claimrush_build_info{job="claimrush"}, instance)"#),
    ];
    if source.drops {
        variables.push(variable("drop", r#"label_values(claimrush_drop_seq{job="claimrush"}, drop)"#));
    }
    json!({
        "uid": source.uid, "title": source.title, "tags": ["claimrush"], "schemaVersion": SCHEMA_VERSION, "version": 1,
        "editable": false, "graphTooltip": 1, "refresh": "5s", "time": { "from": "now-15m", "to": "now" },
        "timezone": "browser", "templating": { "list": variables }, "annotations": { "list": [] },
        "links": [{ "type": "dashboards", "tags": ["claimrush"], "title": "claimrush", "asDropdown": true }],
        "panels": panels,
    })
}

fn file_name(source: &Dashboard) -> String {
    format!("{}.json", source.uid.trim_start_matches("claimrush-"))
}

#[test]
fn dashboard_files_are_what_their_source_says() {
    let folder = grafana_dir().join("dashboards");
    let sources = all();
    for source in &sources {
        let text = serde_json::to_string_pretty(&dashboard(source)).unwrap() + "\n";
        let path = folder.join(file_name(source));
        if std::env::var_os(WRITE).is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, text).unwrap();
        } else {
            let found = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == text,
                "{} is not what dashboards.toml says: run `make dashboards`",
                path.display()
            );
        }
    }
    let files: HashSet<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, sources.iter().map(file_name).collect(), "a file without a source");
}

#[test]
fn dashboards_are_well_formed() {
    let mut uids = HashSet::new();
    for source in all() {
        assert!(uids.insert(source.uid.clone()), "{} twice", source.uid);
        let text = fs::read_to_string(grafana_dir().join("dashboards").join(file_name(&source))).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(file["schemaVersion"], SCHEMA_VERSION);
        let mut ids = HashSet::new();
        for panel in file["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is taken");
            assert!(
                !panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap().is_empty(),
                "{title} has no unit"
            );
            assert!(
                panel["gridPos"]["x"].as_u64().unwrap() + panel["gridPos"]["w"].as_u64().unwrap() <= 24,
                "{title}"
            );
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{title} asks nothing");
            let mut letters = HashSet::new();
            for target in targets {
                assert!(letters.insert(target["refId"].as_str().unwrap()), "{title}");
                let expr = target["expr"].as_str().unwrap();
                assert!(!expr.trim().is_empty(), "{title} asks nothing");
                assert!(source.drops || !expr.contains("$drop"), "{title}: there is no $drop");
            }
        }
    }
    assert_eq!(uids.len(), 5);
}

#[test]
fn dashboards_and_rules_ask_for_what_there_is() {
    let recording = fs::read_to_string(rules_dir().join("recording.yml")).unwrap();
    let recorded: HashSet<_> = recording
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "))
        .map(str::to_owned)
        .collect();
    let panels = all().into_iter().flat_map(|dashboard| dashboard.panel).flat_map(|panel| panel.queries);
    let rules = ["recording.yml", "alerts.yml"].into_iter().flat_map(expressions);
    let asked = panels.map(|(_, expr)| expr).chain(rules);
    let mut seen = HashSet::new();
    for (name, _) in asked.flat_map(|text| selectors(&text)) {
        let base =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        let known = recorded.contains(&name)
            || Instruments::NAMES.contains(&base)
            || Instruments::NAMES.contains(&name.as_str())
            || name.starts_with("process_")
            || ["up", "ALERTS"].contains(&name.as_str());
        assert!(known, "there is no {name}");
        seen.insert(name);
    }
    for name in recorded {
        assert!(seen.contains(&name), "nobody asks for {name}");
    }
}
