//! The end of a campaign: by one of two front ends, as the other one's people and staff see it; and what becomes of money that
//! nobody claimed.

use std::time::Instant;

use redis::cmd;
use serde_json::json;

use crate::redemptions::street::{call, order};
use crate::support::campaign::{DropFile, campaign};
use crate::support::drainer::Drainer;
use crate::support::http::{Answer, Client, bearer};
use crate::support::postgres::PostgresServer;
use crate::support::redis::RedisServer;
use crate::support::service::{PATIENCE, Service};
use crate::support::{outcome, wait_for};

/// Two front ends on one Redis and one ledger.
struct Pair {
    one: Service,
    other: Service,
    redis: RedisServer,
    postgres: PostgresServer,
}

fn pair() -> Pair {
    let postgres = PostgresServer::start(&[]);
    let redis = RedisServer::start(&["appendonly yes", "appendfsync always", "maxmemory-policy noeviction"]);
    let (redis_url, ledger_url) = (redis.url(), postgres.url());
    let settings = [("redis.url", redis_url.expose()), ("ledger.url", ledger_url.as_str())];
    let one = Service::start_with(&settings, &[]);
    let keys = one.data().join("ticket.key");
    let keys = [("ticket.key_file", keys.to_str().expect("a path"))];
    let other = Service::start_with(&[&settings[..], &keys].concat(), &["--no-drain"]);
    Pair { one, other, redis, postgres }
}

fn ran(service: &Service, args: &[&str]) -> String {
    let (exit, out, err) = outcome(&service.command(args).output().expect("it runs"));
    assert_eq!(exit, 0, "{args:?}: {out}{err}");
    out
}

#[test]
fn a_campaign_that_one_front_end_ends_is_closed_at_the_other() {
    let Pair { one, other, redis, postgres } = pair();
    let file = campaign("c-1", &[DropFile::open("d-1", 9), DropFile::open("later", 9).not_open()]);
    one.apply_ok(&file);
    one.apply_ok(&campaign("c-2", &[DropFile::open("d-2", 9)]));
    for drop in ["d-1", "d-2"] {
        other.wait_state(drop, "open");
    }
    let path = one.data().join("merchants.csv");
    std::fs::write(&path, "id,name,category,region\nm-1,店,H6210,530102\n").expect("written");
    ran(&one, &["merchant", "import", &path.to_string_lossy()]);
    for step in ["review", "activate"] {
        ran(&one, &["merchant", step, "m-1"]);
    }
    let till = ran(&one, &["key", "add", "--role", "merchant", "--name", "till", "--merchant", "m-1"]);

    let claim = |service: &Service, drop: &str, person: &str| -> Answer {
        service.claim(drop, &one.ticket(drop, person))
    };
    let held = claim(&other, "d-1", "ann");
    assert_eq!(held.status, 201, "{}", held.json());
    wait_for("all is in the ledger", PATIENCE, || (one.journal_length() == 0).then_some(()));

    assert_eq!(ran(&one, &["campaign", "end", "c-1"]), "c-1 is ended\n");
    let ended = Instant::now();
    // Redis has decided it: nobody is granted anything by anybody from now on, whatever the other one's memory says.
    for (service, person) in [(&other, "bob"), (&one, "cid"), (&other, "dan")] {
        let refused = claim(service, "d-1", person);
        assert_eq!((refused.status, refused.code().as_str()), (410, "closed"), "{}", refused.json());
    }
    for drop in ["d-1", "later"] {
        other.wait_state(drop, "closed");
        one.wait_state(drop, "closed");
    }
    eprintln!("the other one shows it after {} ms", ended.elapsed().as_millis());
    let refused = claim(&other, "later", "bob");
    assert_eq!((refused.status, refused.code().as_str()), (410, "closed"), "one that was not open yet");
    assert_eq!(claim(&other, "d-2", "bob").status, 201, "the other campaign goes on");

    // Nobody can do anything with it any more, here or there.
    for service in [&other, &one] {
        for args in [&["pause", "c-1"][..], &["resume", "c-1"]] {
            let (exit, out, err) = service.campaign(args);
            assert!(exit == 1 && out.is_empty() && err.contains("has ended, for good"), "{args:?}: {err}");
        }
        let (exit, _, err) = service.apply(&file.replacen("stock = 9", "stock = 99", 1));
        assert!(exit == 1 && err.contains("has ended, for good"), "{err}");
        assert!(service.campaign(&["list"]).1.contains("ended"));
        assert_eq!(service.campaign(&["end", "c-1"]).0, 0, "twice is the same as once");
        assert_eq!(service.drop_state("d-1").json()["stock_total"], 9);
    }

    // Whoever holds a claim keeps it, and the voucher is good at tills of both.
    for service in [&other, &one] {
        let again = claim(service, "d-1", "ann");
        assert_eq!((again.status, again.text("claim_id")), (200, held.text("claim_id")));
    }
    let path = format!("/v1/vouchers/{}/redemptions", held.text("voucher"));
    let mut body = order("o-1", "6.00");
    body["shop"] = json!("main");
    let taken = wait_for("the other one knows the till", PATIENCE, || {
        let answer = call(&other, till.trim(), &path, Some("k-1"), &body);
        (answer.status != 401).then_some(answer)
    });
    assert_eq!(taken.status, 201, "{}", taken.json());
    assert_eq!(call(&one, till.trim(), &path, Some("k-1"), &body).status, 200, "the key is known at both");

    // Who comes later knows it from the start.
    let settings =
        [("redis.url", redis.url()), ("ledger.url", claimrush::config::ServiceUrl::new(postgres.url()))];
    let keys = one.data().join("ticket.key");
    let mut settings: Vec<_> = settings.iter().map(|(key, url)| (*key, url.expose())).collect();
    settings.push(("ticket.key_file", keys.to_str().expect("a path")));
    let late = Service::start_with(&settings, &["--no-drain"]);
    assert_eq!(claim(&late, "d-1", "eve").code(), "closed");
    wait_for("all is in the ledger", PATIENCE, || (one.journal_length() == 0).then_some(()));
    ran(&one, &["audit"]);
}

/// A campaign of `stock` vouchers of 1.00 whose budget is just as much, one of them claimed and come back, and a second wave
/// of one voucher for that; the service drains nothing by itself.
fn second_wave(stock: u32) -> (Service, Drainer) {
    let service = Service::start_with(&[], &["--no-drain"]);
    let first = DropFile::open("d-1", stock);
    let file =
        |drops: &[DropFile]| campaign("c-1", drops).replace("1000000.00 CNY", &format!("{stock}.00 CNY"));
    service.apply_ok(&file(std::slice::from_ref(&first)));
    let drainer = Drainer::start(&service);
    let code = claimed(&service, "d-1", "sly");
    wait_drained(&service);
    ran(&service, &["voucher", "void", &code, "--reason", "sold on"]);
    ran(&service, &moving("recovered", "recycled", "1.00"));
    let second = file(&[first, DropFile::open("d-2", 1)]);
    service.apply_ok(&format!("{second}funded_by = \"recycled\"\n"));
    (service, drainer)
}

/// The code of a person's new voucher.
fn claimed(service: &Service, drop: &str, person: &str) -> String {
    let answer = service.claim(drop, &service.ticket(drop, person));
    assert_eq!(answer.status, 201, "{}", answer.json());
    answer.text("voucher")
}

fn wait_drained(service: &Service) {
    wait_for("all is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));
}

fn moving<'a>(from: &'a str, to: &'a str, amount: &'a str) -> [&'a str; 13] {
    [
        "books",
        "move",
        "c-1",
        "--from",
        from,
        "--to",
        to,
        "--amount",
        amount,
        "--reference",
        "r-1",
        "--reason",
        "it is over",
    ]
}

fn refused(service: &Service, args: &[&str], what: &str) {
    let (exit, out, err) = outcome(&service.command(args).output().expect("it runs"));
    assert_eq!((exit, out.as_str()), (1, ""), "{args:?}: {err}");
    assert!(err.contains(what), "{args:?}: {err}");
}

#[test]
fn what_nobody_claimed_goes_back_once_the_ledger_has_all_that_was() {
    let (service, drainer) = second_wave(3);
    let back = moving("recycled", "treasury", "1.00");
    let unissued = moving("unissued", "treasury", "1.00");
    refused(&service, &back, "what may still be claimed");
    refused(&service, &unissued, "it is the budget that is lowered");
    drainer.stop();
    claimed(&service, "d-1", "ann");
    ran(&service, &["campaign", "end", "c-1"]);
    // Somebody's voucher is on its way, and for all that the ledger knows there may be more.
    refused(&service, &back, "is not in the ledger yet");
    refused(&service, &unissued, "until the campaign has ended and the ledger has every claim");
    let _drainer = Drainer::start(&service);
    wait_drained(&service);
    refused(&service, &moving("recycled", "treasury", "1.01"), "recycled holds 1.00");
    let said = ran(&service, &back);
    assert!(said.starts_with("1.00 recycled → treasury (step "), "{said}");
    refused(&service, &moving("unissued", "treasury", "1.01"), "unissued holds 1.00");
    let said = ran(&service, &unissued);
    assert!(said.starts_with("1.00 unissued → treasury (step "), "{said}");
    let books = ran(&service, &["books", "show", "c-1"]);
    assert!(books.contains("unissued   0.00\n") && books.contains("treasury   2.00\n"), "{books}");
    ran(&service, &["audit"]);
}

#[test]
fn a_lost_claim_of_a_campaign_that_ended_is_honoured_while_there_is_money() {
    let (service, drainer) = second_wave(3);
    claimed(&service, "d-2", "ann");
    wait_drained(&service);
    drainer.stop();
    let codes = ["bob", "cid"].map(|person| claimed(&service, "d-1", person));
    let () = service.ask_redis(&cmd("FLUSHALL"));
    service.wait_unready("shard_frozen");
    ran(&service, &["recover", "--apply", "--accept-loss"]);
    service.wait_ready();
    ran(&service, &["campaign", "end", "c-1"]);
    let _drainer = Drainer::start(&service);
    let show = |code: &str, person: &str| {
        let authorization = bearer(&service.ticket("d-1", person));
        let headers = [("authorization", authorization.as_str())];
        let path = format!("/v1/vouchers/{code}");
        let answer = Client::connect(service.address()).call("GET", &path, &headers, b"");
        assert_eq!(answer.text("status"), "in_review", "{}", answer.json());
    };
    // What is owed to somebody stays; then nothing is, as far as anybody knows.
    let back = moving("recycled", "treasury", "1.00");
    show(&codes[0], "eve");
    refused(&service, &back, "has to stay paid for");
    ran(&service, &["receipt", "void", "1", "--reason", "bob's"]);
    ran(&service, &back);
    show(&codes[0], "bob");
    show(&codes[1], "cid");
    let said = ran(&service, &["receipt", "honour", "2"]);
    assert!(said.starts_with("receipt 2 is honoured: bob has clm_"), "{said}");
    refused(&service, &["receipt", "honour", "3"], "campaign c-1 has ended and its money was moved: void it");
    assert_eq!(ran(&service, &["receipt", "honour", "2"]), said);
    ran(&service, &["audit"]);
}
