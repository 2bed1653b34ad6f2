//! Keys change in the middle of a sale: what is in the file is believed, what is not is not, and nobody is sent away in
//! between.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use claimrush::guard::ticket::{KEY_FILE_NAME, KeyFile};
use serde_json::Value;

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Client, bearer};
use crate::support::mint::Mint;
use crate::support::proxy::{Proxy, Upstream, Weather};
use crate::support::redis::RedisServer;
use crate::support::service::{PATIENCE, Service};
use crate::support::{folder, outcome, wait_for};

/// Base64url of 32 times the same byte.
fn secret(byte: u8) -> String {
    data_encoding::BASE64URL_NOPAD.encode(&[byte; 32])
}

/// A key file with this voucher secret, these old ones, and these ticket keys, of which the last signs.
fn key_file(voucher: u8, old: &[u8], keys: &[(&str, u8)]) -> String {
    let old: Vec<String> = old.iter().map(|byte| format!("\"{}\"", secret(*byte))).collect();
    let mut text =
        format!("voucher_secret = \"{}\"\nvoucher_secrets_old = [{}]\n", secret(voucher), old.join(", "));
    for (index, (kid, byte)) in keys.iter().enumerate() {
        let sign = index + 1 == keys.len();
        let secret = secret(*byte);
        let _ =
            writeln!(text, "[[key]]\nkid = \"{kid}\"\nalg = \"HS256\"\nsecret = \"{secret}\"\nsign = {sign}");
    }
    text
}

/// Puts another key file in the place of the one that is there, and waits until it holds.
fn change(service: &Service, text: &str) {
    let times = || service.log().matches("the key file").count();
    let before = times();
    // Whoever looks meanwhile sees the one before or the whole new one.
    let new = service.data().join("new.key");
    std::fs::write(&new, text).expect("it is written");
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    std::fs::rename(new, service.data().join(KEY_FILE_NAME)).expect("it takes its place");
    wait_for("the key file is read", PATIENCE, || (times() > before).then_some(()));
}

fn claim(service: &Service, ticket: &str) -> (u16, Value) {
    let answer = service.claim("d-1", ticket);
    (answer.status, answer.json())
}

fn show(service: &Service, code: &Value, ticket: &str) -> u16 {
    let path = format!("/v1/vouchers/{}", code.as_str().expect("a code"));
    Client::connect(service.address()).call("GET", &path, &[("authorization", &bearer(ticket))], b"").status
}

#[test]
fn ticket_keys_and_voucher_secrets_change_without_a_restart() {
    let service = Service::start();
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 99)]));
    change(&service, &std::fs::read_to_string(service.data().join(KEY_FILE_NAME)).expect("it is there"));
    let text = std::fs::read_to_string(service.data().join(KEY_FILE_NAME)).expect("it is there");
    let first: toml::Table = text.parse().expect("TOML");
    let made = first["voucher_secret"].as_str().expect("a secret").to_owned();
    let (old_ticket, old_claim) = {
        let ticket = service.ticket("d-1", "ann");
        let (status, claim) = claim(&service, &ticket);
        assert_eq!(status, 201);
        (ticket, claim)
    };
    // A new key signs, the old one is still believed; codes are signed with a new secret.
    let keep = format!("\"{made}\"");
    let first_key = first["key"][0]["secret"].as_str().expect("a secret").to_owned();
    let both = key_file(7, &[], &[("k1", 1), ("k2", 2)])
        .replace("voucher_secrets_old = []", &format!("voucher_secrets_old = [{keep}]"))
        .replace(&secret(1), &first_key);
    change(&service, &both);
    assert_eq!(show(&service, &old_claim["voucher"], &old_ticket), 200, "the old code");
    let (status, again) = claim(&service, &old_ticket);
    assert_eq!((status, &again["claim_id"]), (200, &old_claim["claim_id"]));
    assert_ne!(again["voucher"], old_claim["voucher"], "codes are signed with the new secret");
    assert_eq!(show(&service, &again["voucher"], &old_ticket), 200);
    let new_ticket = service.ticket("d-1", "bob");
    assert_eq!(claim(&service, &new_ticket).0, 201);
    // A wrong file changes nothing.
    change(&service, "voucher_secret = 7");
    assert!(service.log().contains("the key file is wrong; the keys before hold on"), "{}", service.log());
    assert_eq!((claim(&service, &old_ticket).0, claim(&service, &new_ticket).0), (200, 200));
    // The old key is gone: its tickets are not believed any more.
    change(&service, &both.replacen("kid = \"k1\"", "kid = \"k9\"", 1));
    assert_eq!((claim(&service, &old_ticket).0, claim(&service, &new_ticket).0), (401, 200));
    // Nobody may be given another name in the middle of a campaign.
    change(&service, &key_file(8, &[9], &[("k3", 3)]));
    assert!(service.log().contains("would give every person another name"), "{}", service.log());
    assert_eq!(claim(&service, &new_ticket).0, 200, "what held before holds on");
}

#[test]
fn an_admin_token_is_replaced_with_a_while_in_which_both_hold() {
    let service = Service::start();
    let path = service.data().join("admin.token");
    let old = std::fs::read_to_string(&path).expect("it is there").trim().to_owned();
    let list = |token: &str| {
        let headers = [("authorization", &*bearer(token))];
        Client::connect(service.admin_address()).call("GET", "/admin/v1/campaigns", &headers, b"").status
    };
    std::fs::write(&path, format!("another-token\n{old}\n")).expect("it is written");
    assert_eq!((list(&old), list("another-token"), list("a-third"), list("")), (200, 200, 401, 401));
    let (exit, _, err) = outcome(&service.command(&["campaign", "list"]).output().expect("it runs"));
    assert_eq!((exit, err.as_str()), (0, ""), "the command line takes the new one");
    std::fs::write(&path, "another-token\n").expect("it is written");
    assert_eq!((list(&old), list("another-token")), (401, 200));
}

#[test]
fn a_key_file_that_is_closed_to_others_as_the_log_asks_is_read() {
    let service = Service::start();
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let path = service.data().join(KEY_FILE_NAME);
    let text = std::fs::read_to_string(&path).expect("it is there").replace("\"k1\"", "\"k2\"");
    let new = service.data().join("new.key");
    std::fs::write(&new, text).expect("it is written");
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    std::fs::rename(new, &path).expect("it takes its place");
    let remedy = format!("run: chmod 600 {}", path.display());
    wait_for("the log tells what to do", PATIENCE, || service.log().contains(&remedy).then_some(()));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    let ticket = service.ticket("d-1", "ann");
    wait_for("the new key is believed", PATIENCE, || (claim(&service, &ticket).0 == 201).then_some(()));
}

#[test]
fn keys_that_change_while_the_service_starts_are_believed() {
    let redis = RedisServer::start(&["appendonly yes", "appendfsync always", "maxmemory-policy noeviction"]);
    let proxy = Proxy::start(Upstream::Unix(redis.folder().join("r.sock")));
    proxy.set(Weather { delay: Duration::from_millis(400), ..Weather::default() });
    let (files, url) = (folder(), format!("redis://{}", proxy.address()));
    let path = files.path().join("own.key");
    let settings = [
        ("redis.url", url.as_str()),
        ("redis.response_timeout_ms", "10000"),
        ("ticket.key_file", path.to_str().expect("a path")),
    ];
    KeyFile::load_or_create(&path).expect("it is made");
    let service = std::thread::scope(|scope| {
        let starting = scope.spawn(|| Service::start_with(&settings, &[]));
        // The keys are read by then, and every answer of Redis is late.
        wait_for("the service asks for Redis", PATIENCE, || (proxy.connections() > 0).then_some(()));
        let text = std::fs::read_to_string(&path).expect("it is there").replace("\"k1\"", "\"k2\"");
        let new = files.path().join("new.key");
        std::fs::write(&new, text).expect("it is written");
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
        std::fs::rename(new, &path).expect("it takes its place");
        proxy.heal();
        starting.join().expect("it starts")
    });
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let ticket = Mint::new(&KeyFile::load(&path).expect("a key file")).ticket("d-1", "ann");
    wait_for("the new key is believed", PATIENCE, || (claim(&service, &ticket).0 == 201).then_some(()));
}
