//! One win per campaign across its drops, for tickets that nobody's desk has looked at: on two front ends, beside drops that
//! come and rules that change, after returns and losses; and the audit, which tells when it was broken.

use claimrush::domain::ids::{DropId, Shard};
use claimrush::redis::keys;
use redis::cmd;

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Answer, Client, bearer, claim_request};
use crate::support::outcome;
use crate::support::postgres::PostgresServer;
use crate::support::redis::RedisServer;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

const RULE: &str = "eligibility = { one_per_campaign = true }\n";

fn file(drops: &[DropFile]) -> String {
    campaign("c-1", drops).replacen("[[drop]]", &format!("{RULE}[[drop]]"), 1)
}

fn vouchers(count: usize) -> Vec<DropFile> {
    (1..=count).map(|drop| DropFile::open(&format!("d-{drop}"), 2_000)).collect()
}

fn claim(service: &Service, drop: &str, person: &str) -> Answer {
    service.claim(drop, &service.ticket(drop, person))
}

fn status(service: &Service, drop: &str, person: &str) -> u16 {
    claim(service, drop, person).status
}

/// That the answer is a refusal because of a claim in another drop, and says so.
fn assert_elsewhere(answer: &Answer, won: &str, claim_id: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (409, "limit_reached"), "{answer:?}");
    let claim = &answer.json()["claim"];
    assert_eq!((claim["drop"].as_str(), claim["claim_id"].as_str()), (Some(won), Some(claim_id)));
    assert_eq!(answer.text("detail"), format!("you have claim {claim_id} in drop {won} of this campaign"));
}

/// Runs the audit once all is in the ledger: exit code and report.
fn audit(service: &Service) -> (i32, String) {
    wait_for("all is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));
    let (exit, out, err) = outcome(&service.command(&["audit"]).output().expect("it runs"));
    (exit, out + &err)
}

fn assert_sound(service: &Service) {
    let (exit, report) = audit(service);
    assert_eq!(exit, 0, "{report}");
}

/// Two front ends of one Redis and one PostgreSQL.
struct Pair {
    _redis: RedisServer,
    _ledger: PostgresServer,
    one: Service,
    other: Service,
}

impl Pair {
    fn start() -> Self {
        let redis =
            RedisServer::start(&["appendonly yes", "appendfsync always", "maxmemory-policy noeviction"]);
        let ledger = PostgresServer::start(&[]);
        let (redis_url, ledger_url) = (redis.url(), ledger.url());
        let settings = [
            ("redis.url", redis_url.expose()),
            ("ledger.url", &*ledger_url),
            ("limits.person_per_second", "10000"),
            ("limits.person_burst", "10000"),
        ];
        let one = Service::start_with(&settings, &[]);
        let key = one.data().join("ticket.key");
        let keys = [("ticket.key_file", key.to_str().expect("text"))];
        let other = Service::start_with(&[&settings[..], &keys].concat(), &["--no-drain"]);
        Self { _redis: redis, _ledger: ledger, one, other }
    }

    /// A claim at the other front end, with a ticket of the same key.
    fn at_other(&self, drop: &str, person: &str) -> Answer {
        self.other.claim(drop, &self.one.ticket(drop, person))
    }
}

#[test]
fn a_thousand_persons_at_two_drops_and_two_front_ends_win_once_each() {
    let pair = Pair::start();
    pair.one.apply_ok(&file(&vouchers(2)));
    for drop in ["d-1", "d-2"] {
        pair.other.wait_state(drop, "open");
    }
    let mint = pair.one.mint();
    let ends = [pair.one.address(), pair.other.address()];
    let wins: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..20_usize)
            .map(|worker| {
                let mint = &mint;
                scope.spawn(move || {
                    let mut clients = ends.map(Client::connect);
                    (worker * 50..worker * 50 + 50).filter(|n| wins_once(&mut clients, mint, *n)).count()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("it ends well")).sum()
    });
    assert_eq!(wins, 1_000, "everybody wins, as there is enough of both");
    let held: u64 = ["d-1", "d-2"].map(|drop| 2_000 - pair.one.redis_stock_left(drop)).iter().sum();
    assert_eq!(held, 1_000);
    assert_sound(&pair.one);
}

/// One person asks for both drops at the same instant, at both front ends: whether they won one of them, and were told so
/// by the other.
fn wins_once(clients: &mut [Client; 2], mint: &crate::support::mint::Mint, n: usize) -> bool {
    let person = format!("p-{n}");
    let drops = if n.is_multiple_of(2) { ["d-1", "d-2"] } else { ["d-2", "d-1"] };
    for (client, drop) in clients.iter_mut().zip(drops) {
        client.send(&claim_request(drop, &mint.ticket(drop, &person)));
    }
    let answers: Vec<Answer> = clients.iter_mut().map(Client::answer).collect();
    let won = answers.iter().position(|answer| answer.status == 201).expect("one of them");
    let (first, second) = (&answers[won], &answers[1 - won]);
    assert_elsewhere(second, drops[won], &first.text("claim_id"));
    true
}

#[test]
fn a_front_end_that_has_not_heard_of_a_new_drop_grants_nobody_a_second_win() {
    let pair = Pair::start();
    pair.one.apply_ok(&file(&vouchers(1)));
    pair.other.wait_state("d-1", "open");
    for drops in 2..=6 {
        let (new, person) = (format!("d-{drops}"), format!("p-{drops}"));
        pair.one.apply_ok(&file(&vouchers(drops)));
        let won = claim(&pair.one, &new, &person);
        assert_eq!(won.status, 201, "{won:?}");
        // At first the other one may know fewer drops than there are: then nobody is granted anything by it.
        let told = wait_for("the other one knows", PATIENCE, || {
            let answer = pair.at_other("d-1", &person);
            (answer.code() != "unavailable").then_some(answer)
        });
        assert_elsewhere(&told, &new, &won.text("claim_id"));
        assert_eq!(pair.at_other("d-1", &format!("q-{drops}")).status, 201, "others are granted theirs");
    }
    assert_sound(&pair.one);
}

#[test]
fn a_rule_that_comes_later_holds_from_then_on_and_can_be_taken_back() {
    let service = Service::start();
    let drops = vouchers(3);
    service.apply_ok(&campaign("c-1", &drops));
    assert_eq!(["d-1", "d-2"].map(|drop| status(&service, drop, "early")), [201, 201]);
    service.apply_ok(&file(&drops));
    assert_eq!(["d-1", "d-2"].map(|drop| status(&service, drop, "early")), [200, 200], "theirs stay theirs");
    assert_eq!(status(&service, "d-3", "early"), 409);
    assert_eq!(["d-3", "d-1", "d-3"].map(|drop| status(&service, drop, "late")), [201, 409, 200]);
    assert_sound(&service);
    service.apply_ok(&campaign("c-1", &drops));
    assert_eq!(status(&service, "d-1", "late"), 201);
    assert_sound(&service);
    service.apply_ok(&file(&drops));
    assert_eq!(status(&service, "d-2", "late"), 409);
    assert_sound(&service);
}

#[test]
fn who_gives_a_claim_back_may_win_elsewhere_if_they_might_claim_again_there() {
    let service = Service::start();
    let drops = [
        DropFile::open("d-1", 9).item("hold_for = \"15m\""),
        DropFile::open("d-2", 9).item("hold_for = \"15m\", claim_again = false"),
        DropFile::open("d-3", 9).limit(2),
    ];
    service.apply_ok(&file(&drops));
    let give_back = |drop: &str, person: &str, claim: &str| {
        let ticket = bearer(&service.ticket(drop, person));
        let headers = [("authorization", ticket.as_str())];
        let path = format!("/v1/claims/{claim}/cancel");
        let answer = Client::connect(service.address()).call("POST", &path, &headers, b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        let id = DropId::new(drop).expect("an id");
        wait_for("the unit is back", PATIENCE, || (service.redis_stock_left(id.as_str()) == 9).then_some(()));
    };
    let keyed = |drop: &str, person: &str, key: &str| {
        let ticket = bearer(&service.ticket(drop, person));
        let headers = [("authorization", ticket.as_str()), ("idempotency-key", key)];
        let path = crate::support::http::claims_path(drop);
        Client::connect(service.address()).call("POST", &path, &headers, b"")
    };
    let ann = claim(&service, "d-1", "ann").text("claim_id");
    assert_elsewhere(&keyed("d-3", "ann", "k1"), "d-1", &ann);
    give_back("d-1", "ann", &ann);
    assert_eq!(keyed("d-3", "ann", "k1").status, 201);
    assert_eq!(keyed("d-3", "ann", "k2").status, 201, "one drop, of which two are allowed");
    assert_eq!(status(&service, "d-1", "ann"), 409);

    let bob = claim(&service, "d-2", "bob").text("claim_id");
    give_back("d-2", "bob", &bob);
    assert_elsewhere(&keyed("d-3", "bob", "k1"), "d-2", &bob);
    assert_elsewhere(&claim(&service, "d-1", "bob"), "d-2", &bob);
    assert_sound(&service);
}

fn forget(service: &Service, drop: &str) {
    let id = DropId::new(drop).expect("an id");
    let mut forget = cmd("DEL");
    forget.arg(keys::drop(Shard::FIRST, &id)).arg(keys::holders(Shard::FIRST, &id));
    let gone: u64 = service.ask_redis(&forget);
    assert_eq!(gone, 2);
}

#[test]
fn while_one_drop_is_lost_no_other_grants_and_after_its_recovery_its_winners_are_known() {
    let service = Service::start();
    service.apply_ok(&file(&vouchers(3)));
    let first: Vec<_> = (0..10).map(|n| claim(&service, "d-1", &format!("p-{n}"))).collect();
    let second: Vec<_> = (0..10).map(|n| claim(&service, "d-2", &format!("q-{n}"))).collect();
    wait_for("all is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));
    forget(&service, "d-2");
    // From the very next claim on, whether or not anybody has noticed.
    assert_eq!(status(&service, "d-1", "q-0"), 503);
    service.wait_unready("shard_frozen");
    assert_eq!(["d-1", "d-3"].map(|drop| status(&service, drop, "new")), [503, 503]);
    assert_eq!(status(&service, "d-1", "p-0"), 200, "who has one gets it again");
    recover(&service);
    for (n, won) in first.iter().enumerate() {
        assert_elsewhere(&claim(&service, "d-2", &format!("p-{n}")), "d-1", &won.text("claim_id"));
    }
    for (n, won) in second.iter().enumerate() {
        assert_elsewhere(&claim(&service, "d-1", &format!("q-{n}")), "d-2", &won.text("claim_id"));
    }
    assert_eq!(["d-3", "d-1"].map(|drop| status(&service, drop, "new")), [201, 409]);
    assert_sound(&service);

    let () = service.ask_redis(&cmd("FLUSHALL"));
    service.wait_unready("shard_frozen");
    recover(&service);
    for (drop, person) in [("d-2", "p-0"), ("d-3", "q-9"), ("d-1", "new"), ("d-2", "new")] {
        assert_eq!(status(&service, drop, person), 409, "{person} in {drop}");
    }
    assert_eq!(["d-2", "d-3"].map(|drop| status(&service, drop, "newer")), [201, 409]);
    assert_sound(&service);
}

fn recover(service: &Service) {
    let args = ["recover", "--apply", "--accept-loss"];
    let (exit, out, err) = outcome(&service.command(&args).output().expect("it runs"));
    assert_eq!((exit, err.as_str()), (0, ""), "{out}");
    service.wait_ready();
}

#[test]
fn a_second_win_is_a_finding_of_the_audit() {
    let service = Service::start();
    service.apply_ok(&file(&vouchers(2)));
    assert_eq!(status(&service, "d-1", "ann"), 201);
    let hash = keys::drop(Shard::FIRST, &DropId::new("d-2").expect("an id"));
    let gone: u64 = service.ask_redis(cmd("HDEL").arg(hash).arg("once"));
    assert_eq!((gone, status(&service, "d-2", "ann")), (1, 201), "Redis was made to forget the rule");
    let (exit, report) = audit(&service);
    assert_eq!(exit, 1, "{report}");
    let said = "c-1: one person has claims in 2 drops, and may have them in one";
    let words: Vec<_> = report.split_whitespace().collect();
    assert!(words.join(" ").contains(said), "{report}");
}
