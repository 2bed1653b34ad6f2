//! Roles and keys: every role against every call of the admin listener, and what becomes of a key.

use std::collections::BTreeMap;

use claimrush::domain::access::{Permission, Role};
use claimrush::http::admin_routes::{Access, ENDPOINTS, Endpoint};

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Answer, Client, bearer, request};
use crate::support::service::Service;
use crate::support::{merchants, outcome};

/// The page with the table of roles.
const PAGE: &str = include_str!("../docs/BACKOFFICE.md");

/// Calls the admin listener with this token or key.
fn call(service: &Service, key: &str, method: &str, path: &str, body: &str) -> Answer {
    let authorization = bearer(key);
    let headers = [("authorization", authorization.as_str())];
    let headers = if key.is_empty() { &headers[..0] } else { &headers[..] };
    Client::connect(service.admin_address()).call(method, path, headers, body.as_bytes())
}

/// Runs `key …`: exit code, standard output without its end of line, standard error.
fn key(service: &Service, args: &[&str]) -> (i32, String, String) {
    let (exit, out, err) = outcome(&service.command(&["key"]).args(args).output().expect("it runs"));
    (exit, out.trim_end().to_owned(), err)
}

fn add(service: &Service, role: Role, name: &str) -> String {
    let mut args = vec!["add", "--role", role.as_str(), "--name", name];
    if role == Role::Merchant {
        args.extend(["--merchant", "m-1"]);
    }
    let (exit, out, err) = key(service, &args);
    assert_eq!(exit, 0, "{err}");
    assert!(out.starts_with("crk_") && err.contains("not shown again"), "{out} {err}");
    out
}

fn id_of(key: &str) -> &str {
    key.split('_').nth(1).expect("it has one")
}

/// Whether a caller with this role is let in, by the one table.
fn may(endpoint: &Endpoint, role: Role) -> bool {
    match endpoint.access {
        Access::Open | Access::AnyKey => true,
        Access::May(permission) => role.may(permission),
    }
}

#[test]
fn every_role_may_call_what_the_table_says_and_nothing_else() {
    let service = Service::start();
    merchants::enter(&service, "m-1");
    let token = std::fs::read_to_string(service.data().join("admin.token")).expect("it is there");
    let mut keys: BTreeMap<Role, String> =
        Role::OF_KEYS.iter().map(|role| (*role, add(&service, *role, role.as_str()))).collect();
    keys.insert(Role::Admin, token.trim().to_owned());
    let mut seen = (0, 0);
    for endpoint in ENDPOINTS {
        // Things that are not there, and a body that says nothing: whoever is let in changes nothing by it.
        let path = endpoint.path.replace("{id}", "nothing").replace("{number}", "999");
        for (role, key) in &keys {
            let answer = call(&service, key, endpoint.method, &path, "");
            let what = format!("{role}: {} {path}: {}", endpoint.method, answer.status);
            if may(endpoint, *role) {
                assert!(![401, 403, 405].contains(&answer.status), "{what}");
                seen.0 += 1;
            } else {
                assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{what}");
                seen.1 += 1;
            }
        }
        for stranger in ["", "no-key", "crk_0123456789_00"] {
            let answer = call(&service, stranger, endpoint.method, &path, "");
            let open = endpoint.access == Access::Open;
            assert_eq!(answer.status == 401, !open, "{stranger:?}: {} {path}", endpoint.method);
        }
    }
    assert!(seen.0 > 40 && seen.1 > 40, "both are there: {seen:?}");
    let me = call(&service, &keys[&Role::Finance], "GET", "/admin/v1/me", "").json();
    let may = me["may"].as_array().expect("a list").iter().map(|word| word.as_str().expect("a text"));
    let expected = Permission::ALL.iter().filter(|permission| Role::Finance.may(**permission));
    assert!(may.eq(expected.map(|permission| permission.as_str())), "{me}");
    assert_eq!((&me["role"], &me["name"]), (&"finance".into(), &"finance".into()));
}

#[test]
fn a_key_is_shown_once_rotated_and_revoked_at_once() {
    let service = Service::start();
    let first = add(&service, Role::Auditor, "Ann");
    let id = id_of(&first).to_owned();
    let status = |key: &str| call(&service, key, "GET", "/admin/v1/campaigns", "").status;
    assert_eq!(status(&first), 200);

    let (_, listed, _) = key(&service, &["list", "--json"]);
    assert!(listed.contains(&id) && !listed.contains(&first[15..]), "{listed}");
    let (_, second, _) = key(&service, &["rotate", &id]);
    assert_eq!((status(&first), status(&second)), (401, 200), "the old secret ends at once");
    let (_, third, _) = key(&service, &["rotate", &format!("crk_{id}"), "--overlap", "1h"]);
    assert_eq!((status(&second), status(&third)), (200, 200), "both hold for a while");
    let (exit, said, _) = key(&service, &["revoke", &id]);
    assert_eq!((exit, said), (0, format!("key {id} of Ann is revoked")));
    assert_eq!((status(&second), status(&third)), (401, 401));
    assert_eq!(key(&service, &["list"]).1, "no keys");
    assert!(key(&service, &["list", "--all"]).1.contains("revoked"));
    let (exit, _, err) = key(&service, &["rotate", &id]);
    assert_eq!((exit, err.contains("is revoked: add another one")), (1, true), "{err}");
    let (exit, _, err) = key(&service, &["revoke", "nobody"]);
    assert_eq!((exit, err.contains("there is no key \"nobody\"")), (1, true), "{err}");

    // Neither in the ledger nor in the log stands a secret.
    let ledger = rusqlite::Connection::open(service.data().join("ledger.db")).expect("it is there");
    let stored: String = ledger
        .query_row(
            "SELECT group_concat(body) FROM (SELECT body FROM document UNION SELECT body FROM audit)",
            [],
            |row| row.get(0),
        )
        .expect("there are rows");
    for secret in [&first, &second, &third] {
        assert!(!stored.contains(&secret[15..]) && !service.log().contains(&secret[15..]));
    }
}

#[test]
fn a_key_that_is_revoked_before_the_body_has_come_does_nothing() {
    let service = Service::start();
    let key_text = add(&service, Role::Operator, "Ann");
    let (authorization, body) = (bearer(&key_text), br#"{"person":"ann","reason":"why"}"#);
    let headers = [("authorization", authorization.as_str()), ("expect", "100-continue")];
    let request = request("POST", "/admin/v1/bans", &headers, body);
    let (head, _) = request.split_at(request.len() - body.len());
    let mut client = Client::connect(service.admin_address());
    client.send(head);
    assert_eq!(client.answer().status, 100, "it is let in, and its body waited for");
    assert_eq!(key(&service, &["revoke", id_of(&key_text)]).0, 0);
    client.send(body);
    let answer = client.answer();
    assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"));
    let token = std::fs::read_to_string(service.data().join("admin.token")).expect("it is there");
    let bans = call(&service, token.trim(), "GET", "/admin/v1/bans", "").json();
    assert_eq!(bans["bans"], serde_json::json!([]));
}

#[test]
fn an_operator_manages_merchants_keys_alone() {
    let service = Service::start();
    merchants::enter(&service, "m-1");
    let operator = add(&service, Role::Operator, "Ann");
    let auditor = add(&service, Role::Auditor, "Bob");
    let post = |path: &str, body: &str| call(&service, &operator, "POST", path, body);
    let made = post("/admin/v1/keys", r#"{"role":"merchant","name":"till 1","merchant":"m-1"}"#);
    assert_eq!(made.status, 201, "{}", made.json());
    let till = made.text("key");
    let me = call(&service, &till, "GET", "/admin/v1/me", "").json();
    assert_eq!((&me["role"], &me["merchant"]), (&"merchant".into(), &"m-1".into()));
    let cases = [
        (r#"{"role":"operator","name":"Eve"}"#, 403, "forbidden"),
        (r#"{"role":"merchant","name":"Eve"}"#, 422, "key_refused"),
        (r#"{"role":"merchant","name":" ","merchant":"m-1"}"#, 422, "key_refused"),
        (r#"{"role":"king","name":"Eve"}"#, 400, "bad_request"),
        (r#"{"role":"merchant","name":"Eve","merchant":"m-1","secret":"mine"}"#, 400, "bad_request"),
    ];
    for (body, status, code) in cases {
        let answer = post("/admin/v1/keys", body);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
    }
    // One for a merchant that nobody entered, by a slip of the pen, would be good as soon as somebody enters it.
    let strange = post("/admin/v1/keys", r#"{"role":"merchant","name":"till 2","merchant":"m-2"}"#);
    let said = (strange.status, strange.code(), strange.text("detail"));
    assert_eq!(said, (422, "key_refused".to_owned(), "there is no merchant \"m-2\"".to_owned()));
    let (exit, out, err) =
        key(&service, &["add", "--role", "merchant", "--name", "till 2", "--merchant", "m-2"]);
    assert_eq!((exit, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("there is no merchant \"m-2\""), "{err}");
    assert!(!key(&service, &["list", "--all"]).1.contains("till 2"));
    let revoke = |key: &str| post(&format!("/admin/v1/keys/{}/revoke", id_of(key)), "").status;
    assert_eq!((revoke(&auditor), revoke(&till)), (403, 200));
    assert_eq!(call(&service, &till, "GET", "/admin/v1/me", "").status, 401);
    assert_eq!(call(&service, &auditor, "GET", "/admin/v1/me", "").status, 200);
}

#[test]
fn whoever_changes_something_stands_in_the_audit_chain() {
    let service = Service::start();
    let operator = add(&service, Role::Operator, "Ann");
    let file = campaign("c-1", &[DropFile::open("d-1", 5)]);
    assert_eq!(call(&service, &operator, "POST", "/admin/v1/campaigns", &file).status, 200);
    assert_eq!(call(&service, &operator, "POST", "/admin/v1/campaigns/c-1/pause", "").status, 200);
    service.campaign(&["resume", "c-1"]);
    let ledger = rusqlite::Connection::open(service.data().join("ledger.db")).expect("it is there");
    let mut records = ledger.prepare("SELECT body FROM audit ORDER BY number").expect("the table is known");
    let records = records.query_map([], |row| row.get::<_, String>(0)).expect("it reads");
    let by: Vec<_> = records
        .map(|body| serde_json::from_str::<serde_json::Value>(&body.expect("text")).expect("JSON"))
        .filter(|body| body["content"]["kind"] != "loaded")
        .map(|body| (body["content"]["kind"].clone(), body["actor"].clone()))
        .collect();
    let ann = format!("Ann (crk_{})", id_of(&operator));
    let expected =
        [("document", "admin token"), ("campaign", &ann), ("state", &ann), ("state", "admin token")];
    assert!(
        by.iter()
            .map(|(kind, by)| (kind.as_str(), by.as_str()))
            .eq(expected.map(|(k, b)| (Some(k), Some(b)))),
        "{by:?}"
    );
    let (exit, out, err) = outcome(&service.command(&["audit"]).output().expect("it runs"));
    assert_eq!(exit, 0, "{out}{err}");
}

#[test]
fn the_page_has_the_table_of_roles() {
    let row =
        |first: &str, cells: [&str; Role::OF_KEYS.len()]| format!("| {first} | {} |\n", cells.join(" | "));
    let head = row("permission", Role::OF_KEYS.map(Role::as_str)) + &row("---", [":-:"; Role::OF_KEYS.len()]);
    let rows = Permission::ALL.iter().map(|permission| {
        let sentence = permission.describe().trim_end_matches('.');
        let may = Role::OF_KEYS.map(|role| if role.may(*permission) { "✓" } else { " " });
        row(&format!("`{}`: {sentence}", permission.as_str()), may)
    });
    let table = head + &rows.collect::<String>();
    assert!(PAGE.contains(&table), "docs/BACKOFFICE.md has another table than\n\n{table}\n");
}
