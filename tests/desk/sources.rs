//! Keys from a URL, and captcha services: there, changed, away.

use super::*;
use crate::support::proxy::{Direction, Proxy, Upstream, Weather};
use crate::support::stand_in::StandIn;

/// A token that is signed with another secret under another name.
fn signed_as(kid: &str, secret: &[u8]) -> String {
    let claims = json!({"sub": "ann", "exp": jsonwebtoken::get_current_timestamp() + 600});
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
    encode(&header, &claims, &EncodingKey::from_secret(secret)).expect("it is signed")
}

fn set_of(kid: &str, secret: &[u8]) -> String {
    let k = data_encoding::BASE64URL_NOPAD.encode(secret);
    json!({"keys": [{"kty": "oct", "kid": kid, "k": k}]}).to_string()
}

#[test]
fn keys_are_fetched_when_a_new_one_is_named_and_kept_when_the_sponsor_is_away() {
    let sponsor = StandIn::start(503, "");
    let url = format!("{}?token=not-for-logs", sponsor.url());
    let settings = [("desk.keys_url", url.as_str()), EASY, ("desk.person_per_minute", "600")];
    let service = Service::start_with(&settings, &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let (first, second) = ([1_u8; 32], [2_u8; 32]);
    assert_eq!(said(&ask(&service, "d-1", &signed_as("k1", &first))), refused(503, "unavailable"));
    let asked = sponsor.count();
    assert_eq!(said(&ask(&service, "d-1", &signed_as("k1", &first))), refused(503, "unavailable"));
    assert_eq!(sponsor.count(), asked, "nobody can make the desk ask over and over");
    assert!(sponsor.heard().starts_with("GET /anything?token=not-for-logs "), "{}", sponsor.heard());
    let log = service.log();
    assert!(log.contains("/anything?…: answered 503") && !log.contains("not-for-logs"), "{log}");

    sponsor.say(200, &set_of("k1", &first));
    let service = Service::start_with(&settings, &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    assert_eq!(said(&ask(&service, "d-1", &signed_as("k1", &first))), given());
    // The sponsor changes keys: the first token of the new one has them fetched.
    sponsor.say(200, &set_of("k2", &second));
    assert_eq!(said(&ask(&service, "d-1", &signed_as("k2", &second))), given());
    assert_eq!(said(&ask(&service, "d-1", &signed_as("k1", &first))), refused(401, "identity_invalid"));
    sponsor.say(500, "broken");
    assert_eq!(said(&ask(&service, "d-1", &signed_as("k3", &first))), refused(401, "identity_invalid"));
    assert_eq!(
        said(&ask(&service, "d-1", &signed_as("k2", &second))),
        given(),
        "the keys that were there hold on"
    );
}

fn captcha_desk(service: &StandIn, fallback: &str) -> (tempfile::TempDir, Service) {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "captcha&secret\n").expect("it is written");
    let (keys, url) = (key_file(folder.path()), service.url());
    let settings = [
        ("desk.keys_file", keys.as_str()),
        EASY,
        ("desk.challenge", "turnstile"),
        ("desk.captcha_url", url.as_str()),
        ("desk.captcha_secret_file", secret.to_str().expect("a path")),
        ("desk.captcha_fallback", fallback),
        ("desk.person_per_minute", "600"),
    ];
    let service = Service::start_with(&settings, &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    (folder, service)
}

fn with_captcha(service: &Service, token: &str, solution: &str) -> (u16, String) {
    let body = json!({"identity": identity("ann", &json!({})), "captcha": token, "solution": solution});
    said(&post(service, "/v1/drops/d-1/tickets", &body))
}

#[test]
fn a_captcha_is_asked_about_and_fails_closed() {
    let captcha = StandIn::start(200, r#"{"success":true,"hostname":"x"}"#);
    let (_folder, service) = captcha_desk(&captcha, "refuse");
    assert_eq!(with_captcha(&service, "to/ken", ""), given());
    assert!(captcha.heard().ends_with("secret=captcha%26secret&response=to%2Fken"), "{}", captcha.heard());
    captcha.say(200, r#"{"success":false,"error-codes":["timeout-or-duplicate"]}"#);
    assert_eq!(with_captcha(&service, "token", ""), refused(403, "challenge_failed"));
    let work = solution(&service, "d-1");
    for (status, body) in [(500, ""), (200, "<html>"), (200, r#"{"success":"true"}"#), (302, "")] {
        captcha.say(status, body);
        assert_eq!(
            with_captcha(&service, "token", &work),
            refused(403, "challenge_failed"),
            "{status} {body}"
        );
    }
    let asked = captcha.count();
    assert_eq!(with_captcha(&service, "", &work), refused(403, "challenge_failed"), "nothing to ask about");
    assert_eq!(captcha.count(), asked);
}

#[test]
fn work_may_take_the_place_of_a_captcha_that_is_away() {
    let captcha = StandIn::start(500, "");
    let (_folder, service) = captcha_desk(&captcha, "proof_of_work");
    assert_eq!(with_captcha(&service, "token", ""), refused(403, "challenge_failed"));
    assert_eq!(with_captcha(&service, "token", &solution(&service, "d-1")), given());
    captcha.say(200, r#"{"success":false}"#);
    let work = solution(&service, "d-1");
    assert_eq!(with_captcha(&service, "token", &work), refused(403, "challenge_failed"), "a no is a no");
}

#[test]
fn tokens_of_unknown_keys_stop_nobody_while_the_sponsor_does_not_answer() {
    let secret = [1_u8; 32];
    let sponsor = StandIn::start(200, &set_of("k1", &secret));
    let address = sponsor.url().trim_start_matches("http://").trim_end_matches("/anything").to_owned();
    let proxy = Proxy::start(Upstream::Tcp(address.parse().expect("an address")));
    let url = format!("http://{}/anything", proxy.address());
    let settings = [
        ("desk.keys_url", url.as_str()),
        ("desk.challenge", "none"),
        ("desk.person_per_minute", "600"),
        ("desk.address_per_minute", "600000"),
    ];
    let service = Service::start_with(&settings, &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let path = "/v1/drops/d-1/tickets";
    let ask = || said(&post(&service, path, &json!({ "identity": signed_as("k1", &secret) })));
    assert_eq!(ask(), given());
    proxy.set(Weather { hole: Some(Direction::Replies), ..Weather::default() });
    // More than the desk serves at a time.
    let body = json!({ "identity": signed_as("nobody's", &[7; 32]) }).to_string();
    let forged = request("POST", path, &[("content-type", "application/json")], body.as_bytes());
    let mut bots: Vec<_> = (0..300).map(|_| Client::connect(service.address())).collect();
    for bot in &mut bots {
        bot.send(&forged);
    }
    service.wait_all_read();
    for _ in 0..5 {
        assert_eq!(ask(), given(), "the keys that were there hold on");
    }
    let statuses: Vec<u16> = bots.iter_mut().map(|bot| bot.answer().status).collect();
    assert!(statuses.iter().all(|status| matches!(status, 401 | 503)), "{statuses:?}");
}
