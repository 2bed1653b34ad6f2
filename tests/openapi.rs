//! The document (`OpenAPI`) of the listeners: it has every call, it is the one that ships, and the running service keeps to it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use claimrush::http::admin_routes::ENDPOINTS;
use claimrush::http::{openapi, route};
use serde_json::Value;

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::Client;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

/// The document that ships.
fn shipped() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json")).expect("it ships")
}

/// (method, path) of every call in the document.
fn described() -> BTreeSet<(String, String)> {
    let document = openapi::document();
    let paths = document["paths"].as_object().expect("an object").iter();
    paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("an object").keys();
            methods.map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect()
}

#[test]
fn every_call_is_described_and_nothing_else() {
    let admin = ENDPOINTS.iter().map(|endpoint| (endpoint.method, endpoint.path));
    let served: BTreeSet<_> =
        admin.chain(route::calls()).map(|(method, path)| (method.to_owned(), path.to_owned())).collect();
    let described = described();
    let missing: Vec<_> = served.difference(&described).collect();
    let surplus: Vec<_> = described.difference(&served).collect();
    assert!(missing.is_empty(), "src/http/openapi does not describe {missing:?}");
    assert!(surplus.is_empty(), "src/http/openapi describes what is not served: {surplus:?}");
}

#[test]
fn the_shipped_document_is_up_to_date() {
    let text = openapi::text().expect("it is JSON");
    assert!(text == shipped(), "write it anew: cargo run -- openapi > docs/openapi.json");
    // Every reference leads somewhere, and every call has a name of its own.
    let document = openapi::document();
    let mut names = BTreeSet::new();
    let mut left = vec![&document];
    while let Some(value) = left.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(target)) = fields.get("$ref") {
                    let pointer = target.strip_prefix('#').expect("inside the document");
                    assert!(document.pointer(pointer).is_some(), "{target} is not there");
                }
                if let Some(Value::String(name)) = fields.get("operationId") {
                    assert!(names.insert(name.clone()), "{name} stands twice");
                }
                left.extend(fields.values());
            }
            Value::Array(values) => left.extend(values),
            _ => {}
        }
    }
}

/// Every field of an answer that its schema does not name, and every field that has to be there and is not.
fn unlike(document: &Value, schema: &Value, answer: &Value, place: &str) -> Vec<String> {
    let schema = match schema["$ref"].as_str() {
        Some(target) => document.pointer(target.trim_start_matches('#')).expect("it is there"),
        None => schema,
    };
    // What may be left out is this or nothing.
    if let Some(one) = schema["anyOf"].as_array().and_then(|any| any.first()) {
        return unlike(document, one, answer, place);
    }
    match answer {
        Value::Object(fields) => {
            let known = schema["properties"].as_object().cloned().unwrap_or_default();
            let needed = schema["required"].as_array().cloned().unwrap_or_default();
            let missing = needed.iter().filter_map(Value::as_str).filter(|name| !fields.contains_key(*name));
            let mut found: Vec<_> = missing.map(|name| format!("{place}.{name} is not there")).collect();
            for (name, value) in fields {
                match known.get(name) {
                    Some(schema) => found.extend(unlike(document, schema, value, &format!("{place}.{name}"))),
                    None => found.push(format!("{place}.{name} is not described")),
                }
            }
            found
        }
        Value::Array(values) => values
            .iter()
            .flat_map(|value| unlike(document, &schema["items"], value, &format!("{place}[]")))
            .collect(),
        _ => Vec::new(),
    }
}

#[test]
fn answers_of_the_public_listener_have_the_fields_that_are_described() {
    let service = Service::start_with(&[("voucher.qr_valid_s", "30")], &["--demo"]);
    let shop = DropFile::open("shop", 5).item("hold_for = \"15m\"");
    let text = campaign("c-1", &[DropFile::open("d-1", 5), shop]);
    let text = text.replace("name = ", "sponsor = \"the city\"\nname = ");
    service.apply_ok(&text.replace("\"7d\" }", "\"7d\", merchants = { region = [\"53\"] } }"));
    let document = openapi::document();
    let call = |method: &str, path: &str, drop: &str, body: &str| {
        let ticket = format!("Bearer {}", service.ticket(drop, "ann"));
        let json = ("content-type", "application/json");
        Client::connect(service.address()).call(
            method,
            path,
            &[("authorization", &ticket), json],
            body.as_bytes(),
        )
    };
    let claim = call("POST", "/v1/drops/d-1/claims", "d-1", "");
    let (code, held) = (claim.text("voucher"), call("POST", "/v1/drops/shop/claims", "shop", ""));
    let id = held.text("claim_id");
    let mut found = Vec::new();
    for (method, described, path, drop, body) in [
        ("GET", "/v1/campaigns", "/v1/campaigns".to_owned(), "d-1", ""),
        ("GET", "/v1/campaigns/{id}", "/v1/campaigns/c-1".to_owned(), "d-1", ""),
        ("GET", "/v1/drops/{id}", "/v1/drops/d-1".to_owned(), "d-1", ""),
        ("GET", "/v1/time", "/v1/time".to_owned(), "d-1", ""),
        ("POST", "/v1/drops/{id}/claims", "/v1/drops/d-1/claims".to_owned(), "d-1", ""),
        ("POST", "/v1/drops/{id}/claims", "/v1/drops/shop/claims".to_owned(), "shop", ""),
        ("GET", "/v1/drops/{id}/claims/mine", "/v1/drops/shop/claims/mine".to_owned(), "shop", ""),
        ("GET", "/v1/vouchers/{id}", format!("/v1/vouchers/{code}"), "d-1", ""),
        ("GET", "/v1/vouchers/{id}/qr", format!("/v1/vouchers/{code}/qr"), "d-1", ""),
        ("POST", "/v1/claims/{id}/cancel", format!("/v1/claims/{id}/cancel"), "shop", ""),
        ("POST", "/demo/tickets", "/demo/tickets".to_owned(), "d-1", r#"{"drop":"d-1","person":7}"#),
    ] {
        // What was claimed just now is on its way into the ledger.
        let answer = wait_for(&path, PATIENCE, || {
            let answer = call(method, &path, drop, body);
            (answer.status != 503).then_some(answer)
        });
        assert!([200, 201].contains(&answer.status), "{path}: {}", answer.json());
        let operation = &document["paths"][described][method.to_lowercase()];
        let schema =
            &operation["responses"][answer.status.to_string()]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{path}: {} is not described", answer.status);
        found.extend(unlike(&document, schema, &answer.json(), &path));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_admin_listener_serves_it() {
    let service = Service::start();
    let answer = Client::connect(service.admin_address()).call("GET", "/openapi.json", &[], b"");
    assert_eq!((answer.status, answer.json()), (200, openapi::document()));
}

/// Where `deploy/setup.sh test` puts it.
fn schemathesis() -> Option<PathBuf> {
    let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let program = home.join("claimrush/schemathesis/bin/schemathesis");
    program.exists().then_some(program)
}

/// What the document says of a listener is thrown at the listener, with what fits it and what does not; every answer has
/// to be one that the document allows, and none may be a failure of the service.
#[test]
fn the_service_keeps_to_it() {
    let Some(schemathesis) = schemathesis() else {
        eprintln!("schemathesis is not here: deploy/setup.sh test installs it");
        return;
    };
    let service = Service::start_with(&[("limits.exempt_loopback", "true")], &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 500)]));
    let token = std::fs::read_to_string(service.data().join("admin.token")).expect("it is there");
    let document = service.data().join("openapi.json");
    std::fs::write(&document, shipped()).expect("it is written");
    let run = |address: std::net::SocketAddr, paths: &str, bearer: &str| {
        Command::new(&schemathesis)
            .args(["run", &document.to_string_lossy(), "--url", &format!("http://{address}")])
            .args(["--include-path-regex", paths, "--header", &format!("Authorization: Bearer {bearer}")])
            .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"])
            .args(["--phases", "fuzzing", "--mode", "all", "--max-examples", "12", "--seed", "7"])
            .arg("--generation-deterministic")
            .args(["--request-timeout", "10", "--max-time", "20", "--no-color"])
            .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
            .env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // It keeps what it found where it runs.
            .current_dir(service.data())
            .stdin(Stdio::null())
            .output()
            .expect("it runs")
    };
    let ticket = service.ticket("d-1", "ann");
    for (address, paths, bearer) in [
        (service.address(), "^/v1/", ticket.as_str()),
        (service.admin_address(), "^/(admin|metrics|healthz|openapi)", token.trim()),
    ] {
        let output = run(address, paths, bearer);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{paths}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("passed"), "something was tried: {said}");
    }
}
