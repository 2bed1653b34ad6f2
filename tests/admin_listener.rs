//! What holds for every call of the admin listener: traces of refusals, HEAD, and what a request's head may be.

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Answer, Client, bearer, request};
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

const UUID: &str = "018f4e8c-2a6b-7c3d-9e4f-5a6b7c8d9e0f";

fn call(service: &Service, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    Client::connect(service.admin_address()).call(method, path, headers, body.as_bytes())
}

fn token(service: &Service) -> String {
    let token = std::fs::read_to_string(service.data().join("admin.token")).expect("it is there");
    token.trim().to_owned()
}

/// How often the service has refused something by this code.
fn refusals(service: &Service, code: &str) -> u64 {
    service.metric(&format!("claimrush_refusals_total{{code=\"{code}\"}}")).expect("it answers")
}

#[test]
fn a_refusal_is_counted_logged_and_found_again_by_its_id() {
    let service = Service::start_with(&[("log.format", "json"), ("log.level", "debug")], &[]);
    let good = bearer(&token(&service));
    let auditor = service.command(&["key", "add", "--role", "auditor", "--name", "Ann"]).output();
    let auditor = String::from_utf8(auditor.expect("it runs").stdout).expect("text");
    let (auditor, wrong) = (bearer(auditor.trim()), "a-token-that-is-wrong");
    let campaigns = "/admin/v1/campaigns";
    let refused = [
        ("GET", campaigns, bearer(wrong), "", 401, "unauthorized", "WARN"),
        ("POST", campaigns, auditor, "", 403, "forbidden", "WARN"),
        ("POST", campaigns, good.clone(), "id = 7", 422, "campaign_refused", "DEBUG"),
        ("GET", "/admin/v1/campaigns/none", good.clone(), "", 404, "unknown_campaign", "DEBUG"),
        ("GET", "/admin/v1/nothing", good.clone(), "", 404, "not_found", "DEBUG"),
        ("DELETE", campaigns, good.clone(), "", 405, "method_not_allowed", "DEBUG"),
    ];
    for (method, path, authorization, body, status, code, level) in &refused {
        let before = refusals(&service, code);
        let headers = [("authorization", authorization.as_str())];
        let own = call(&service, method, path, &headers, body);
        assert_eq!((own.status, own.code().as_str()), (*status, *code), "{method} {path}");
        assert_eq!(own.header("x-request-id"), Some(own.text("request_id").as_str()), "{code}");
        let theirs = call(&service, method, path, &[headers[0], ("x-request-id", UUID)], body);
        assert_eq!(theirs.header("x-request-id"), Some(UUID), "{code}");
        assert_eq!((theirs.text("request_id").as_str(), theirs.status), (UUID, *status), "{code}");
        assert_eq!(refusals(&service, code), before + 2, "{code}");
        let id = own.text("request_id");
        let line = wait_for(&format!("{code} is logged"), PATIENCE, || {
            let log = service.log();
            log.lines().find(|line| line.contains(&id)).map(str::to_owned)
        });
        assert!(line.contains(code) && line.contains(level), "{line}");
    }
    assert!(!service.log().contains(wrong), "what was shown is in the log");

    // An id of theirs comes back with what is no refusal too; one that could be a person's number does not.
    let me = |id: &str| {
        call(&service, "GET", "/admin/v1/me", &[("authorization", &good), ("x-request-id", id)], "")
    };
    assert_eq!((me(UUID).status, me(UUID).header("x-request-id")), (200, Some(UUID)));
    assert_eq!((me("13800138000").status, me("13800138000").header("x-request-id")), (200, None));
}

#[test]
fn staff_say_once_who_they_are_and_spell_the_scheme_as_they_like() {
    let service = Service::start();
    let token = token(&service);
    let me = |headers: &[(&str, &str)]| call(&service, "GET", "/admin/v1/me", headers, "");
    for good in [format!("Bearer {token}"), format!("bearer {token}"), format!("BEARER   {token}")] {
        assert_eq!(me(&[("authorization", &good)]).status, 200, "{good}");
    }
    let good = bearer(&token);
    let who = ("authorization", good.as_str());
    for bad in [
        &[][..],
        &[who, who],
        &[who, ("authorization", "Bearer x")],
        &[("authorization", "Bearer x"), who],
        &[("authorization", token.as_str())],
        &[("authorization", "Bearer")],
    ] {
        let answer = me(bad);
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"), "{bad:?}");
    }
}

#[test]
fn what_can_be_got_can_be_asked_about() {
    let service = Service::start();
    let good = bearer(&token(&service));
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/admin/v1/me", "/admin/v1/campaigns"] {
        let mut client = Client::connect(service.admin_address());
        let headers = [("authorization", good.as_str())];
        let head = client.call("HEAD", path, &headers, b"");
        assert_eq!(head.status, 200, "{path}");
        assert!(head.header("content-length").is_some_and(|length| length != "0"), "{path}: as GET has it");
        // The connection is in order behind it: HEAD had no body.
        assert_eq!(client.call("GET", path, &headers, b"").status, 200, "{path}");
    }
    assert_eq!(call(&service, "HEAD", "/admin/v1/campaigns", &[], "").status, 401);
    let refused = call(&service, "HEAD", "/admin/v1/bans/lift", &[("authorization", &good)], "");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("POST")));
    let refused = call(&service, "DELETE", "/admin/v1/bans", &[("authorization", &good)], "");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD, POST")));
}

#[test]
fn a_head_is_bounded_as_at_the_public_listener() {
    let service = Service::start();
    let long = "x".repeat(20_000);
    let many: Vec<(String, &str)> = (0..80).map(|n| (format!("x-{n}"), "1")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let target = format!("/healthz?{}", "x".repeat(2_000));
    for (what, bytes, status, code) in [
        ("a long header", request("GET", "/healthz", &[("x-long", &long)], b""), 431, "headers_too_large"),
        ("many headers", request("GET", "/healthz", &many, b""), 431, "headers_too_large"),
        ("a long target", request("GET", &target, &[], b""), 414, "target_too_long"),
        ("no such path, first", request("GET", "/x", &many, b""), 404, "not_found"),
    ] {
        let mut client = Client::connect(service.admin_address());
        client.send(&bytes);
        let answer = client.answer();
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{what}");
    }
}

#[test]
fn a_parameter_that_a_call_does_not_have_is_refused_and_nothing_is_done() {
    let service = Service::start();
    let good = bearer(&token(&service));
    let file = campaign("c", &[DropFile::open("d-1", 5)]);
    for (path, body) in [
        ("/admin/v1/campaigns?dry_run=true", &*file),
        ("/admin/v1/campaigns?opens_at=2099-01-01T00:00:00Z", &file),
        ("/admin/v1/campaigns?opens_at_ms=", &file),
        ("/admin/v1/campaigns?dry_run=true&opens_at_ms=4070908800000", &file),
        ("/admin/v1/drafts?opens_at=2099-01-01T00:00:00Z", &file),
        ("/admin/v1/merchants?dry_run=1", ""),
        ("/admin/v1/recovery?accept_loss=1", ""),
        ("/admin/v1/recovery?dry_run=true", ""),
    ] {
        let refused = call(&service, "POST", path, &[("authorization", &good)], body);
        assert_eq!((refused.status, refused.code().as_str()), (400, "bad_request"), "{path}");
        assert!(refused.text("detail").starts_with("the one parameter is "), "{path}: {}", refused.json());
    }
    assert_eq!(service.drop_state("d-1").status, 404, "nothing was applied");
    assert_eq!(service.campaign(&["drafts"]).1, "no drafts\n");
}

#[test]
fn connections_to_the_admin_listener_are_not_those_of_the_public_one() {
    let service = Service::start();
    let mut idle: Vec<_> = (0..claimrush::limits::ADMIN_CONNECTIONS_MAX + 4)
        .map(|_| Client::connect(service.admin_address()))
        .collect();
    wait_for("one is refused", PATIENCE, || {
        idle.last_mut().is_some_and(Client::is_closed_by_service).then_some(())
    });
    drop(idle);
    let refused =
        wait_for("it answers again", PATIENCE, || service.metric("claimrush_connections_refused_total"));
    assert_eq!(refused, 0);
}
