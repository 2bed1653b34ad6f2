//! The sample campaigns at a street of tills, from their release on, with the rules that their programmes had. The one whose
//! vouchers are drawn is played at the desk (`desk/draw.rs`).

use claimrush::clock::rfc3339;
use serde_json::{Value, json};

use super::text;
use crate::redemptions::street::{Plan, Street, order, refused};
use crate::support::clock::FakeClock;
use crate::support::http::{Answer, Client, bearer, claims_path};
use crate::support::service::PATIENCE;
use crate::support::wait_for;

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 24 * HOUR_S;

/// A programme at a street of tills, on a clock that the test moves.
struct Programme {
    street: Street,
}

impl Programme {
    /// With these campaigns, whose first drops open so long after now.
    fn open(texts: &[String], opens_in_ms: i64) -> Self {
        let programme =
            Self { street: Street::of(Plan { clock: Some(FakeClock::new()), ..Plan::default() }) };
        for text in texts {
            programme.apply(text, &["--opens-at", &rfc3339(programme.now_ms() + opens_in_ms)]);
        }
        programme
    }

    fn now_ms(&self) -> i64 {
        self.street.clock.as_ref().expect("a clock").now_ms()
    }

    fn apply(&self, text: &str, more: &[&str]) {
        let file = self.street.service.data().join("programme.toml");
        std::fs::write(&file, text).expect("it is written");
        let file = file.to_string_lossy();
        let (exit, out, err) = self.street.service.campaign(&[&["apply", &*file], more].concat());
        assert_eq!((exit, err.as_str()), (0, ""), "{out}");
    }

    fn ticket(&self, drop: &str, person: &str) -> String {
        self.street.clock.as_ref().expect("a clock").mint(&self.street.service).ticket(drop, person)
    }

    fn claim(&self, drop: &str, person: &str, key: &str) -> Answer {
        let ticket = bearer(&self.ticket(drop, person));
        let headers = [("authorization", ticket.as_str()), ("idempotency-key", key)];
        Client::connect(self.street.service.address()).call("POST", &claims_path(drop), &headers, b"")
    }

    /// The code of a voucher that the ledger has.
    fn won(&self, drop: &str, person: &str, key: &str) -> String {
        let claim = self.claim(drop, person, key);
        assert_eq!(claim.status, 201, "{drop}, {person}: {}", claim.json());
        self.street.wait_drained();
        claim.text("voucher")
    }

    fn redeem(&self, till: &str, code: &str, id: &str, amount: &str) -> Answer {
        self.street.redeem(till, code, &format!("{id}-{code}"), &order(id, amount))
    }

    fn look(&self, drop: &str, code: &str, person: &str) -> Value {
        self.street.look(code, &self.ticket(drop, person)).json()
    }
}

fn instant_s(shown: &Value, field: &str) -> i64 {
    shown[field].as_str().expect("an instant").parse::<jiff::Timestamp>().expect("RFC 3339").as_second()
}

fn capped(answer: &Answer) {
    refused(answer, 409, "daily_limit_reached");
    assert_eq!(answer.text("detail"), "the person's");
}

#[test]
fn yunnan_gives_one_of_each_type_a_phase_and_takes_one_an_order() {
    // Where an address lies has its own tests.
    let one = text("yunnan-2022").replace(", address_regions = [\"53\"]", "");
    let other =
        one.replace("100-25", "200-50").replace("\"25.00\"", "\"50.00\"").replace("\"100.00\"", "\"200.00\"");
    let other = other.replace("2500000.00", "5000000.00");
    let mut play = Programme::open(&[one, other], -60_000);
    let [one, other] =
        ["100-25", "200-50"].map(|kind| move |day: u32| format!("yunnan-2022-{kind}-{day:02}"));
    let till = play.street.key("m-1");
    let first = play.won(&one(1), "ann", "k");
    assert_eq!(play.claim(&one(1), "ann", "another").status, 200, "the same one again");
    let second = play.won(&other(1), "ann", "k");

    let taken = play.redeem(&till, &first, "o-1", "300.00");
    assert_eq!((taken.status, taken.text("to_pay")), (201, "275.00".to_owned()), "{}", taken.json());
    refused(&play.redeem(&till, &second, "o-1", "300.00"), 409, "order_used");

    // The next day of the phase: another drop, and nothing for who has one of the type.
    let ends_s = instant_s(&play.look(&one(1), &first, "ann"), "expires_at");
    play.street.advance(DAY_S);
    refused(&play.claim(&one(1), "bob", "k"), 410, "closed");
    refused(&play.claim(&one(2), "ann", "k"), 409, "limit_reached");
    play.won(&one(2), "bob", "k");

    // A whole refund gives the voucher back with the end that it had.
    let redemption = taken.text("redemption_id");
    let refund = play.street.undo(&till, &redemption, "refunds", "r-1", &json!({}));
    assert_eq!((refund.status, refund.text("status")), (201, "issued".to_owned()), "{}", refund.json());
    assert_eq!(instant_s(&play.look(&one(1), &first, "ann"), "expires_at"), ends_s);
    let again = play.redeem(&till, &first, "o-2", "100.00");
    assert_eq!(again.status, 201, "{}", again.json());
    play.street.advance(7 * DAY_S);
    wait_for("the other one has expired by itself", PATIENCE, || {
        (play.look(&other(1), &second, "ann")["status"] == "expired").then_some(())
    });
    let late = play.street.undo(&till, &again.text("redemption_id"), "refunds", "r-2", &json!({}));
    assert_eq!((late.status, late.text("status")), (201, "lost".to_owned()), "{}", late.json());
    play.street.audited();
}

#[test]
fn hangzhou_2020_gives_five_of_which_a_merchant_takes_two_a_day() {
    let mut play = Programme::open(&[text("hangzhou-2020")], -60_000);
    let (till, other) = (play.street.key("m-1"), play.street.key("m-3"));
    let drop = "hangzhou-2020-01";
    let keys = ["k-1", "k-2", "k-3", "k-4", "k-5"];
    let codes = keys.map(|key| play.won(drop, "ann", key));
    refused(&play.claim(drop, "ann", "k-6"), 409, "limit_reached");
    assert_eq!(play.claim(drop, "ann", "k-3").text("voucher"), codes[2]);
    // By noon of the day after no midnight comes between two orders.
    let of_day_s = (play.now_ms() / 1_000 + 8 * HOUR_S).rem_euclid(DAY_S);
    play.street.advance(DAY_S + 12 * HOUR_S - of_day_s);
    for (n, code) in codes[..2].iter().enumerate() {
        let taken = play.redeem(&till, code, &format!("o-{n}"), "40.00");
        assert_eq!((taken.status, taken.text("discount")), (201, "10.00".to_owned()), "{}", taken.json());
    }
    capped(&play.redeem(&till, &codes[2], "o-2", "40.00"));
    refused(&play.redeem(&other, &codes[2], "o-3", "39.99"), 422, "terms_not_met");
    assert_eq!(play.redeem(&other, &codes[2], "o-3", "40.00").status, 201);
    play.street.advance(DAY_S);
    assert_eq!(play.redeem(&till, &codes[3], "o-4", "40.00").status, 201, "another day");
    // Seven days from the claim the last one is over.
    play.street.advance(6 * DAY_S);
    refused(&play.redeem(&till, &codes[4], "o-5", "40.00"), 409, "voucher_not_live");
    play.street.audited();
}

#[test]
fn hangzhou_2022_gives_a_pack_of_fifty_yuan_a_person_and_takes_one_voucher_a_payment() {
    let play = Programme::open(&[text("hangzhou-2022")], -60_000);
    let till = play.street.key("m-1");
    let pack = [("20-5", "k-1"), ("20-5", "k-2"), ("40-10", "k-1"), ("40-10", "k-2"), ("80-20", "k-1")];
    let drop = |kind: &str| format!("hangzhou-2022-{kind}");
    let codes = pack.map(|(kind, key)| play.won(&drop(kind), "ann", key));
    for kind in ["20-5", "40-10"] {
        refused(&play.claim(&drop(kind), "ann", "k-3"), 409, "limit_reached");
    }
    assert_eq!(play.claim(&drop("80-20"), "ann", "k-2").status, 200, "one, whatever key");
    assert_eq!(play.street.books("hangzhou-2022")["live"], 5_000);
    // One voucher a payment: the other four need payments of their own.
    let taken = play.redeem(&till, &codes[0], "pay-0", "140.00");
    assert_eq!(taken.status, 201, "{}", taken.json());
    for code in &codes[1..] {
        refused(&play.redeem(&till, code, "pay-0", "140.00"), 409, "order_used");
    }
    for (n, amount) in [(1, "20.00"), (2, "40.00"), (3, "40.00"), (4, "80.00")] {
        let taken = play.redeem(&till, &codes[n], &format!("pay-{n}"), amount);
        assert_eq!(taken.status, 201, "{}", taken.json());
    }
    assert_eq!(play.street.books("hangzhou-2022")["payable:m-1"], 5_000);
    play.street.audited();
}

#[test]
fn guangxi_gives_one_a_day_from_eight_on_for_seventy_two_hours() {
    // The next eight o'clock in Nanning, midnight in Greenwich, that is two hours ahead and more.
    let mut play = Programme::open(&[], 0);
    let now_s = play.now_ms() / 1_000;
    let of_day_s = now_s.rem_euclid(DAY_S);
    let ahead_s = if DAY_S - of_day_s > 2 * HOUR_S { DAY_S - of_day_s } else { 2 * DAY_S - of_day_s };
    play.apply(&text("guangxi"), &["--opens-at", &rfc3339((now_s + ahead_s) * 1_000)]);
    let early = play.claim("guangxi-01", "ann", "k");
    refused(&early, 425, "not_open");
    assert!(early.header("retry-after").is_some());
    play.street.advance(ahead_s + 60);
    let first = play.won("guangxi-01", "ann", "k");
    assert_eq!(play.claim("guangxi-01", "ann", "another").status, 200, "one a day");
    refused(&play.claim("guangxi-02", "ann", "k"), 425, "not_open");
    let shown = play.look("guangxi-01", &first, "ann");
    assert_eq!(instant_s(&shown, "expires_at") - instant_s(&shown, "claimed_at"), 72 * HOUR_S);
    // In the evening the day's drop is over, and the next one is not open yet.
    play.street.advance(17 * HOUR_S);
    refused(&play.claim("guangxi-01", "bob", "k"), 410, "closed");
    refused(&play.claim("guangxi-02", "ann", "k"), 425, "not_open");
    play.street.advance(7 * HOUR_S);
    let second = play.won("guangxi-02", "ann", "k");
    play.street.advance(2 * DAY_S);
    let till = play.street.key("m-1");
    wait_for("the first day's is over", PATIENCE, || {
        (play.look("guangxi-01", &first, "ann")["status"] == "expired").then_some(())
    });
    refused(&play.redeem(&till, &first, "o-1", "80.00"), 409, "voucher_not_live");
    assert_eq!(play.redeem(&till, &second, "o-1", "80.00").status, 201, "a day is left of the second one");
    play.street.audited();
}

#[test]
fn jinan_gives_what_came_back_to_others() {
    let mut play = Programme::open(&[text("jinan")], -60_000);
    let till = play.street.key("m-1");
    let used = play.won("jinan-01", "ann", "k");
    for person in ["bob", "cid", "dan"] {
        play.won("jinan-01", person, "k");
    }
    assert_eq!(play.redeem(&till, &used, "o-1", "100.00").status, 201);
    play.street.advance(7 * DAY_S + 60);
    wait_for("what nobody used is void, and its money is back", PATIENCE, || {
        (play.street.books("jinan").get("recycled") == Some(&6_000)).then_some(())
    });

    // The lines that the file has for it: the first wave is where it was moved to, and the second opens now.
    let first = Client::connect(play.street.service.address()).call("GET", "/v1/drops/jinan-01", &[], b"");
    let sample = text("jinan");
    let (head, wave) = sample.split_once("#     [[drop]]\n").expect("a second wave");
    let wave = format!("[[drop]]\n{}", wave.replace("#     ", ""));
    let now_ms = play.now_ms();
    let instants = [
        ("2022-06-10T09:00:00", first.text("opens_at")),
        ("2022-06-12T09:00:00", first.text("closes_at")),
        ("2022-06-24T09:00:00", rfc3339(now_ms - 60_000)),
        ("2022-06-26T09:00:00", rfc3339(now_ms + DAY_S * 1_000)),
    ];
    let both = |stock: &str| {
        let both = format!("{head}{}", wave.replace("9000", stock));
        instants.iter().fold(both, |text, (from, to)| text.replace(from, to))
    };
    let (exit, _, err) = play.street.service.apply(&both("4"));
    assert!(exit == 1 && err.contains("what came back is 20.00 short"), "{err}");
    play.street.service.apply_ok(&both("3"));
    // No second claim: neither for who used theirs nor for who let it expire.
    for person in ["ann", "bob"] {
        let refusal = play.claim("jinan-02", person, "k");
        refused(&refusal, 409, "limit_reached");
        assert_eq!(refusal.json()["claim"]["drop"], "jinan-01");
    }
    for person in ["eve", "fay", "gus"] {
        play.won("jinan-02", person, "k");
    }
    refused(&play.claim("jinan-02", "hal", "k"), 410, "sold_out");
    // Claims of any wave are paid for by what was never issued, as long as there is any.
    let books = play.street.books("jinan");
    let holds = ["unissued", "recycled", "live", "payable:m-1"].map(|account| books[account]);
    assert_eq!(holds, [100_000_000 - 7 * 2_000, 3 * 2_000, 3 * 2_000, 2_000]);
    play.street.audited();
}
