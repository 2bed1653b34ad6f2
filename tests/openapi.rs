//! The document (`OpenAPI`) of the listeners: it has every call, it is the one that ships, and the running service keeps to it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use claimrush::http::admin_routes::ENDPOINTS;
use claimrush::http::{openapi, route};
use serde_json::Value;

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::Client;
use crate::support::service::Service;

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
