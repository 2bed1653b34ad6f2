//! Where claims go: the service of a scenario file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The service under load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// Its public address, as `http://host:port`.
    pub url: String,
    /// Its admin address, for the live view's stock and drain lag and for the audit.
    pub admin_url: Option<String>,
    /// The method of a claim.
    pub method: Method,
    /// The path of a claim; `{drop}` stands for the drop's id, `{line}` for the person's number.
    pub claim_path: String,
    /// The path of a person's own claims.
    pub mine_path: String,
    /// The path of a drop's public state.
    pub state_path: String,
    /// Sends an `Idempotency-Key` with every claim: one for each person and drop.
    pub idempotency_key: bool,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8080".into(),
            admin_url: None,
            method: Method::Post,
            claim_path: "/v1/drops/{drop}/claims".into(),
            mine_path: "/v1/drops/{drop}/claims/mine".into(),
            state_path: "/v1/drops/{drop}".into(),
            idempotency_key: false,
        }
    }
}

/// The method of a request. None has a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "UPPERCASE")]
#[value(rename_all = "UPPER")]
pub enum Method {
    /// GET
    Get,
    /// POST
    #[default]
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

impl From<Method> for hyper::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Patch => Self::PATCH,
            Method::Delete => Self::DELETE,
        }
    }
}
