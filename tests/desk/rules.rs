//! Who may take part, from when to when, how often, and with which device.

use claimrush::clock::{Clock, rfc3339};
use sha2::{Digest, Sha256};

use super::*;
use crate::support::http::{bearer, claims_path, request};

/// A campaign file with rules for the whole campaign and for its first drop.
fn with_rules(drops: &[DropFile], campaign_rules: &str, first_drop_rules: &str) -> String {
    let text = campaign("c-1", drops);
    let (head, rest) = text.split_once("[[drop]]\n").expect("a drop");
    format!("{head}{campaign_rules}\n[[drop]]\n{first_drop_rules}\n{rest}")
}

fn claim_with(service: &Service, ticket: &str, device: Option<&str>) -> (u16, String) {
    let authorization = bearer(ticket);
    let mut headers = vec![("authorization", authorization.as_str())];
    headers.extend(device.map(|device| ("device-id", device)));
    said(&Client::connect(service.address()).call("POST", &claims_path("d-1"), &headers, b""))
}

#[test]
fn region_and_age_of_the_account_are_looked_at() {
    let (_folder, service) = desk(&[]);
    let drops = [DropFile::open("d-1", 9), DropFile::open("d-2", 9)];
    service.apply_ok(&with_rules(
        &drops,
        "eligibility = { regions = [\"53\", \"5101\"] }",
        "eligibility = { min_account_age = \"30d\" }",
    ));
    let now_s = Clock::System.now_ms() / 1_000;
    let (old, young) = (now_s - 31 * 86_400, now_s - 29 * 86_400);
    for (account, drop, claims, outcome) in [
        ("a", "d-1", json!({"region": "530100", "account_since": old}), given()),
        ("b", "d-1", json!({"region": "530100", "account_since": young}), refused(403, "not_eligible")),
        ("c", "d-1", json!({"region": "530100"}), refused(403, "not_eligible")),
        ("d", "d-2", json!({"region": "510104"}), given()),
        ("e", "d-2", json!({"region": "510200"}), refused(403, "not_eligible")),
        ("f", "d-2", json!({}), refused(403, "not_eligible")),
    ] {
        assert_eq!(said(&ask(&service, drop, &identity(account, &claims))), outcome, "{account}");
    }
}

#[test]
fn one_drop_of_a_campaign_at_a_time() {
    let (_folder, service) = desk(&[("desk.person_per_minute", "600")]);
    let drops = [DropFile::open("d-1", 9), DropFile::open("d-2", 9), DropFile::open("d-3", 9)];
    service.apply_ok(&with_rules(&drops, "eligibility = { one_per_campaign = true }", ""));
    let ann = identity("ann", &json!({}));
    let first = ask(&service, "d-1", &ann);
    assert_eq!(said(&first), given());
    assert_eq!(said(&ask(&service, "d-2", &ann)), refused(403, "not_eligible"), "a ticket for another drop");
    assert_eq!(said(&ask(&service, "d-1", &ann)), given(), "the same again");
    assert_eq!(said(&ask(&service, "d-2", &identity("bob", &json!({})))), given());
    // The first drop is over, and Ann has nothing: she may try another one.
    let over = [DropFile::open("d-1", 9).closed(), DropFile::open("d-2", 9), DropFile::open("d-3", 9)];
    service.apply_ok(&with_rules(&over, "eligibility = { one_per_campaign = true }", ""));
    let second = ask(&service, "d-2", &ann);
    assert_eq!(said(&second), given());
    assert_eq!(service.claim("d-2", &second.text("ticket")).status, 201);
    let all_over = [over[0].clone(), DropFile::open("d-2", 9).closed(), DropFile::open("d-3", 9)];
    service.apply_ok(&with_rules(&all_over, "eligibility = { one_per_campaign = true }", ""));
    assert_eq!(said(&ask(&service, "d-3", &ann)), refused(403, "not_eligible"), "she has one");
}

#[test]
fn who_has_just_won_waits() {
    let (_folder, service) = desk(&[("desk.person_per_minute", "600")]);
    let drops = [DropFile::open("d-1", 9), DropFile::open("d-2", 9)];
    service.apply_ok(&with_rules(&drops, "eligibility = { cool_down = \"1h\" }", ""));
    let ann = identity("ann", &json!({}));
    let ticket = ask(&service, "d-1", &ann).text("ticket");
    assert_eq!(said(&ask(&service, "d-2", &ann)), given());
    assert_eq!(service.claim("d-1", &ticket).status, 201);
    assert_eq!(said(&ask(&service, "d-2", &ann)), refused(403, "not_eligible"));
    assert_eq!(said(&ask(&service, "d-1", &ann)), given(), "the drop that they won in");
    service.apply_ok(&with_rules(&drops, "eligibility = { cool_down = \"1s\" }", ""));
    wait_for("she has rested", PATIENCE, || (said(&ask(&service, "d-2", &ann)) == given()).then_some(()));
}

#[test]
fn lists_of_persons_change_without_a_stop() {
    let lists = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, text: &str| std::fs::write(lists.path().join(name), text).expect("it is written");
    let hashed = |account: &str| data_encoding::HEXLOWER.encode(&Sha256::digest(account));
    let folder = lists.path().to_str().expect("a path");
    let (_folder, service) = desk(&[
        ("desk.lists_dir", folder),
        ("desk.person_per_minute", "60000"),
        ("desk.address_per_minute", "60000"),
    ]);
    let drops = [DropFile::open("d-1", 9)];
    service.apply_ok(&with_rules(&drops, "eligibility = { allow_list = \"vip\" }", ""));
    let ann = identity("ann", &json!({}));
    assert_eq!(said(&ask(&service, "d-1", &ann)), refused(503, "unavailable"), "there is no such list yet");
    write("vip.csv", &format!("{},Ann\n", hashed("ann")));
    let ticket = wait_for("the list is read", PATIENCE, || {
        let answer = ask(&service, "d-1", &ann);
        (answer.status == 201).then(|| answer.text("ticket"))
    });
    assert_eq!(said(&ask(&service, "d-1", &identity("bob", &json!({})))), refused(403, "not_eligible"));
    // Blocked: by the desk, and whoever minted the ticket.
    let person =
        data_encoding::BASE64URL_NOPAD.decode(ticket.split('.').nth(1).expect("a payload").as_bytes());
    let person: Value = serde_json::from_slice(&person.expect("base64url")).expect("JSON");
    let person = person["sub"].as_str().expect("a person").to_owned();
    let by_partner = service.ticket("d-1", &person);
    write("blocked.csv", &format!("{person},,sold vouchers on\n"));
    wait_for("the person is blocked", PATIENCE, || {
        (said(&ask(&service, "d-1", &ann)) == refused(403, "blocked")).then_some(())
    });
    for ticket in [&ticket, &by_partner] {
        assert_eq!(claim_with(&service, ticket, None), refused(403, "blocked"));
    }
    write("blocked.csv", &format!("{person},{},served\n", rfc3339(Clock::System.now_ms() - 1_000)));
    wait_for("the time is over", PATIENCE, || (claim_with(&service, &ticket, None) == given()).then_some(()));
}

#[test]
fn a_ticket_is_for_the_device_that_asked_for_it() {
    let (_folder, service) = desk(&[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let ask_from = |device: &str| {
        let body = json!({
            "identity": identity("ann", &json!({})), "solution": solution(&service, "d-1"), "device": device,
        });
        post(&service, "/v1/drops/d-1/tickets", &body)
    };
    let ticket = ask_from("device-0123456789").text("ticket");
    assert_eq!(claim_with(&service, &ticket, Some("device-9999999999")), refused(401, "ticket_invalid"));
    assert_eq!(claim_with(&service, &ticket, Some("device-0123456789")), given());
    for device in ["short", &"x".repeat(257), "device 0123456789"] {
        assert_eq!(said(&ask_from(device)), refused(400, "bad_request"), "{device}");
    }
    let (_folder, strict) = desk(&[("ticket.device_required", "true")]);
    strict.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let body = json!({
        "identity": identity("ann", &json!({})), "solution": solution(&strict, "d-1"), "device": "device-0123456789",
    });
    let bound = post(&strict, "/v1/drops/d-1/tickets", &body).text("ticket");
    assert_eq!(claim_with(&strict, &bound, None), refused(401, "ticket_invalid"));
    assert_eq!(claim_with(&strict, &bound, Some("device-0123456789")), given());
    let unbound = strict.ticket("d-1", "bob");
    assert_eq!(claim_with(&strict, &unbound, None), given(), "a ticket that names no device");
}

#[test]
fn the_desk_is_open_around_the_release() {
    let (_folder, service) = desk(&[("desk.opens_before_s", "60"), ("desk.ticket_valid_s", "900")]);
    let drops =
        [DropFile::open("d-1", 9).not_open(), DropFile::open("d-2", 9).closed(), DropFile::open("d-3", 9)];
    service.apply_ok(&campaign("c-1", &drops));
    let early = Client::connect(service.address()).call("POST", "/v1/drops/d-1/challenges", &[], b"");
    assert_eq!(said(&early), refused(425, "not_open"));
    let wait_s: u64 = early.header("retry-after").expect("a hint").parse().expect("a number");
    assert!((3_500..=3_540).contains(&wait_s), "an hour less a minute: {wait_s}");
    let late = Client::connect(service.address()).call("POST", "/v1/drops/d-2/challenges", &[], b"");
    assert_eq!(said(&late), refused(410, "closed"));
    let answer = ask(&service, "d-3", &identity("ann", &json!({}))).json();
    let instant =
        |name: &str| answer[name].as_str().expect("an instant").parse::<jiff::Timestamp>().expect("RFC 3339");
    assert_eq!(instant("valid_until").as_second() - instant("valid_from").as_second(), 900);
}

#[test]
fn persons_who_share_a_device_claim_no_oftener_than_one() {
    let (_folder, service) = desk(&[("limits.person_per_second", "1"), ("limits.person_burst", "2")]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let device = "device-0123456789";
    let claims: Vec<_> = (0..6)
        .flat_map(|n| {
            let body = json!({
                "identity": identity(&format!("p-{n}"), &json!({})), "solution": solution(&service, "d-1"), "device": device,
            });
            let ticket = bearer(&post(&service, "/v1/drops/d-1/tickets", &body).text("ticket"));
            request("POST", &claims_path("d-1"), &[("authorization", &ticket), ("device-id", device)], b"")
        })
        .collect();
    // All at once, so that the limit does not recover between two of them.
    let mut client = Client::connect(service.address());
    client.send(&claims);
    let answers: Vec<_> = (0..6).map(|_| client.answer()).collect();
    assert_eq!((said(&answers[0]), said(&answers[1])), (given(), given()));
    let late = answers.iter().find(|answer| answer.status != 201).expect("somebody comes too often");
    assert_eq!(said(late), refused(429, "rate_limited"));
    assert!(late.header("ratelimit").is_some_and(|limit| limit.starts_with("\"device\";")), "{late:?}");
}

#[test]
fn a_ticket_is_good_from_the_release_on_for_as_long_as_it_may_be_and_no_longer_than_the_drop() {
    // The drop opens in an hour and closes in a day: 23 hours and 20 minutes from the release on are more than that.
    let (_folder, service) = desk(&[("desk.opens_before_s", "7200"), ("desk.ticket_valid_s", "84000")]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9).not_open(), DropFile::open("d-2", 9)]));
    let ends_in_s = |drop: &str| {
        let answer = ask(&service, drop, &identity("ann", &json!({})));
        assert_eq!(said(&answer), given());
        let instant =
            |name: &str| answer.text(name).parse::<jiff::Timestamp>().expect("RFC 3339").as_second();
        (instant("valid_until") - instant("valid_from"), answer.text("valid_until"))
    };
    let (good_s, until) = ends_in_s("d-1");
    let closes_at = service.drop_state("d-1").text("closes_at");
    assert_eq!(until.get(..19), closes_at.get(..19), "it ends with its drop");
    assert!(
        (84_001..=86_400).contains(&good_s),
        "by then it is good for longer than it takes from now: {good_s}"
    );
    assert_eq!(ends_in_s("d-2").0, 84_000);
}

#[test]
fn persons_and_addresses_come_so_often_and_work_harder_when_they_do() {
    let (_folder, service) = desk(&[
        ("desk.person_per_minute", "2"),
        ("desk.address_per_minute", "40"),
        ("limits.exempt_loopback", "false"),
    ]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let ann = identity("ann", &json!({}));
    for outcome in [given(), given(), refused(429, "rate_limited")] {
        assert_eq!(said(&ask(&service, "d-1", &ann)), outcome);
    }
    assert_eq!(said(&ask(&service, "d-1", &identity("bob", &json!({})))), given());
    let mut hardness = Vec::new();
    let refused_at = wait_for("the address is limited", PATIENCE, || {
        let answer = Client::connect(service.address()).call("POST", "/v1/drops/d-1/challenges", &[], b"");
        if answer.status == 201 {
            hardness.push(answer.json()["maxnumber"].as_u64().expect("a number"));
            return None;
        }
        Some(answer)
    });
    assert_eq!(said(&refused_at), refused(429, "rate_limited"));
    assert!(refused_at.header("retry-after").is_some());
    assert!(
        hardness.first() < hardness.last() && hardness.last() >= Some(&400),
        "it gets harder: {hardness:?}"
    );
}

#[test]
fn nobody_who_is_kept_out_gets_in_by_a_restart_beside_a_wrong_list() {
    let lists = tempfile::tempdir().expect("a folder");
    let file = lists.path().join("blocked.csv");
    std::fs::write(&file, "eve,,sold vouchers on\n").expect("it is written");
    let (_folder, mut service) = desk(&[("desk.lists_dir", lists.path().to_str().expect("a path"))]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let eve = service.ticket("d-1", "eve");
    assert_eq!(claim_with(&service, &eve, None), refused(403, "blocked"));
    std::fs::write(&file, "eve,,sold vouchers on\nbob,soon,\n").expect("it is written");
    wait_for("the log says so", PATIENCE, || service.log().contains("a list is wrong").then_some(()));
    assert_eq!(claim_with(&service, &eve, None), refused(403, "blocked"), "the one before holds on");
    service.stop();
    let (exit, said) = service.restart_in_vain();
    let shown = file.display();
    assert_eq!(exit, Some(64), "{said}");
    assert!(said.contains("desk.lists_dir") && said.contains(&format!("{shown}: line 2: ")), "{said}");
    std::fs::write(&file, "eve,,sold vouchers on\n").expect("it is written");
    service.restart();
    assert_eq!(claim_with(&service, &eve, None), refused(403, "blocked"));
}
