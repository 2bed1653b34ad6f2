//! The dashboards' source: `deploy/grafana/dashboards.toml`.

use std::path::Path;

use serde::Deserialize;

/// The folder of all that is Grafana's.
pub(crate) fn grafana_dir() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/grafana"))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    dashboard: Vec<Dashboard>,
}

/// One dashboard.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dashboard {
    pub(crate) uid: String,
    pub(crate) title: String,
    /// Whether drops can be chosen.
    #[serde(default)]
    pub(crate) drops: bool,
    pub(crate) panel: Vec<Panel>,
}

/// How a panel looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Lines,
    Number,
    Heat,
}

/// One panel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) kind: Kind,
    pub(crate) unit: String,
    pub(crate) width: u32,
    #[serde(default)]
    pub(crate) help: String,
    /// Legend and expression.
    pub(crate) queries: Vec<(String, String)>,
}

/// All of them, in their order.
pub(crate) fn all() -> Vec<Dashboard> {
    let text = std::fs::read_to_string(grafana_dir().join("dashboards.toml")).expect("it is there");
    toml::from_str::<Source>(&text).expect("the dashboards' source").dashboard
}
