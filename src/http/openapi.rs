//! The document (`OpenAPI` 3.1) of both listeners, made from the types of their bodies.
//!
//! Owns the form of the document. What stands in it is said in `public` and `admin`, call by call; a test compares that
//! with the tables of routes.

mod admin;
mod books;
mod public;
mod types;

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::reply::{OK, status_of};
use crate::domain::cause::Cause;
use crate::limits;

/// The media types of bodies.
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// How a caller shows who they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Security {
    /// Not at all.
    Open,
    /// With a ticket for the drop.
    Ticket,
    /// With the admin token or a key.
    Key,
    /// With a ticket, or with a merchant's key.
    TicketOrKey,
}

/// A body: its media type and its schema.
type Body = (&'static str, Value);

/// One call as the document shows it.
struct Operation {
    method: &'static str,
    path: &'static str,
    summary: String,
    security: Security,
    parameters: Vec<Value>,
    request: Option<(Vec<Body>, bool)>,
    answers: BTreeMap<u16, (&'static str, Vec<Body>)>,
    causes: Vec<Cause>,
}

impl Operation {
    fn new(method: &'static str, path: &'static str, summary: impl Into<String>, security: Security) -> Self {
        let named = |segment: &'static str| segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let parameter = |name: &'static str| {
            let schema = if name == "number" {
                json!({ "type": "integer", "minimum": 1 })
            } else {
                json!({ "type": "string", "minLength": 1, "maxLength": 128 })
            };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        };
        Self {
            method,
            path,
            summary: summary.into(),
            security,
            parameters: path.split('/').filter_map(named).map(parameter).collect(),
            request: None,
            answers: BTreeMap::new(),
            causes: Vec::new(),
        }
    }

    /// It takes a query parameter that may be left out.
    fn query(mut self, name: &str, what: &str, schema: &Value) -> Self {
        self.parameters.push(json!({ "name": name, "in": "query", "description": what, "schema": schema }));
        self
    }

    /// It takes a header that may be left out.
    fn header(mut self, name: &str, what: &str, schema: &Value) -> Self {
        self.parameters.push(json!({ "name": name, "in": "header", "description": what, "schema": schema }));
        self
    }

    /// It takes a body.
    fn takes(mut self, bodies: Vec<Body>, needed: bool) -> Self {
        self.request = Some((bodies, needed));
        self
    }

    /// It answers 200 with a JSON body.
    fn ok(self, what: &'static str, schema: &Value) -> Self {
        self.answers(OK, what, vec![(JSON, schema.clone())])
    }

    /// It answers with one of these bodies.
    fn answers(mut self, status: u16, what: &'static str, bodies: Vec<Body>) -> Self {
        self.answers.insert(status, (what, bodies));
        self
    }

    /// It refuses for these causes.
    fn refuses(mut self, causes: &[Cause]) -> Self {
        self.causes.extend_from_slice(causes);
        self
    }

    fn describe(&self) -> Value {
        let mut answers = Map::new();
        for (status, (what, bodies)) in &self.answers {
            answers.insert(status.to_string(), json!({ "description": what, "content": content(bodies) }));
        }
        let mut codes: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for cause in &self.causes {
            codes.entry(status_of(*cause).as_u16()).or_default().push(cause.code());
        }
        let problem = vec![(PROBLEM, json!({ "$ref": "#/components/schemas/Problem" }))];
        for (status, codes) in codes {
            let what = format!("`{}`", codes.join("`, `"));
            // 503 of the readiness has a body of its own.
            let known = answers.contains_key(&status.to_string());
            if !known {
                answers
                    .insert(status.to_string(), json!({ "description": what, "content": content(&problem) }));
            }
        }
        let whatever =
            json!({ "description": "Any other refusal, by its `code`", "content": content(&problem) });
        answers.insert("default".to_owned(), whatever);
        let mut operation = json!({
            "operationId": self.id(),
            "summary": self.summary,
            "parameters": self.parameters,
            "responses": answers,
        });
        if let (Some(fields), Some((bodies, needed))) = (operation.as_object_mut(), &self.request) {
            fields
                .insert("requestBody".to_owned(), json!({ "required": needed, "content": content(bodies) }));
        }
        if let Some(fields) = operation.as_object_mut() {
            let security = match self.security {
                Security::Open => json!([]),
                Security::Ticket => json!([{ "ticket": [] }]),
                Security::Key => json!([{ "key": [] }]),
                Security::TicketOrKey => json!([{ "ticket": [] }, { "key": [] }]),
            };
            fields.insert("security".to_owned(), security);
        }
        operation
    }

    /// `post_admin_v1_keys_id_rotate`, unique as method and path are.
    fn id(&self) -> String {
        let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let path: String =
            self.path.trim_start_matches('/').chars().filter(|c| !"{}".contains(*c)).map(word).collect();
        format!("{}_{path}", self.method.to_lowercase())
    }
}

/// What an `Idempotency-Key` may be.
fn idempotency_key() -> Value {
    let max = limits::IDEMPOTENCY_KEY_BYTES_MAX;
    json!({ "type": "string", "minLength": 1, "maxLength": max, "pattern": "^[!-~]+$" })
}

fn content(bodies: &[Body]) -> Value {
    let media = bodies.iter().map(|(media, schema)| ((*media).to_owned(), json!({ "schema": schema })));
    Value::Object(media.collect())
}

/// Makes schemas from types, and keeps those that have names.
struct Schemas(SchemaGenerator);

impl Schemas {
    fn of<T: JsonSchema>(&mut self) -> Value {
        self.0.subschema_for::<T>().to_value()
    }
}

/// The document.
#[must_use]
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = Schemas(settings.into_generator());
    let mut operations = public::operations(&mut schemas);
    operations.extend(admin::operations(&mut schemas));
    operations.extend(books::operations(&mut schemas));
    schemas.of::<types::Problem>();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in &operations {
        let methods = paths.entry(operation.path).or_default();
        methods.insert(operation.method.to_lowercase(), operation.describe());
    }
    let bearer = |what: &str| json!({ "type": "http", "scheme": "bearer", "description": what });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "claimrush",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The admin listener has /metrics, /healthz, /readyz, /openapi.json and what is below /admin; \
                            the public listener has all other paths.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas.0.take_definitions(true),
            "securitySchemes": {
                "ticket": bearer("A ticket (JWT) for the drop"),
                "key": bearer("The admin token, or an API key whose role may make the call"),
            },
        },
    })
}

/// The document as it is served and shipped.
///
/// # Errors
/// None in practice: it is made of texts and numbers.
pub fn text() -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&document()).map(|text| text + "\n")
}
