//! A whole campaign through the built service: two rushes over HTTP on a real Redis, and between them a week of tills, refunds,
//! reversals and expiry, day by day on a clock that the test moves. After every step the books are what this file, which
//! knows nothing of the service's own sums, says they must be, to the fen.

use std::collections::{BTreeMap, HashSet};

use claimrush::clock::rfc3339;
use serde_json::{Value, json};

use crate::redemptions::street::{Plan, Street, call_on, order, refused};
use crate::support::clock::FakeClock;
use crate::support::crowd::{Crowd, Told, Wish};
use crate::support::http::{Answer, Client};
use crate::support::postgres::PostgresServer;
use crate::support::service::PATIENCE;
use crate::support::{outcome, wait_for};

const FACE: i64 = 2_500;
const STOCK: usize = 200;
const PERSONS: usize = 1_200;
const DAYS: usize = 7;
const DAY_S: i64 = 86_400;
const TILLS: [&str; 2] = ["m-1", "m-3"];

fn first_wave(now_ms: i64) -> String {
    format!(
        "id = \"c-1\"\nname = \"彩云电商消费券\"\nbudget = \"5000.00 CNY\"\ntime_zone = \"Asia/Shanghai\"\n\
         redemption = {{ reverse_within = \"24h\" }}\n{}",
        drop("d-1", now_ms, STOCK, "")
    )
}

/// A drop that is open from an hour ago for a day.
fn drop(id: &str, now_ms: i64, stock: usize, more: &str) -> String {
    let (opens_at, closes_at) = (rfc3339(now_ms - 3_600_000), rfc3339(now_ms + DAY_S * 1_000));
    format!(
        "[[drop]]\nid = \"{id}\"\nopens_at = \"{opens_at}\"\ncloses_at = \"{closes_at}\"\nstock = {stock}\n\
         limit_per_person = 1\n{more}\
         voucher = {{ face = \"25.00\", threshold = \"100.00\", valid_for = \"7d\", \
         merchants = {{ category = [\"H62\"], region = [\"53\"] }} }}\n"
    )
}

/// What every account must hold, by this file's own sums.
#[derive(Default)]
struct Books(BTreeMap<String, i64>);

impl Books {
    fn add(&mut self, account: &str, fen: i64) {
        *self.0.entry(account.to_owned()).or_default() += fen;
    }

    fn moved(&mut self, from: &str, to: &str, fen: i64) {
        self.add(from, -fen);
        self.add(to, fen);
    }

    /// Nothing came, nothing went, and all stands where it must.
    fn check(&self, street: &Street, step: &str) {
        let mut stands = street.books("c-1");
        assert_eq!(stands.values().sum::<i64>(), 0, "{step}: {stands:?}");
        stands.retain(|_, fen| *fen != 0);
        let must: BTreeMap<_, _> = self.0.iter().filter(|(_, fen)| **fen != 0).collect();
        assert_eq!(stands.iter().collect::<BTreeMap<_, _>>(), must, "{step}");
    }
}

/// A voucher in somebody's hands.
struct Voucher {
    person: String,
    code: String,
}

/// A redemption that was made.
struct Redemption {
    id: String,
    voucher: usize,
    till: usize,
    amount: i64,
}

/// The campaign, its tills, and what must be.
struct Play {
    street: Street,
    keys: Vec<String>,
    client: Client,
    books: Books,
    file: String,
    calls: u32,
}

fn yuan(fen: i64) -> String {
    format!("{}.{:02}", fen / 100, fen % 100)
}

impl Play {
    fn open(postgres: Option<PostgresServer>, clock: FakeClock) -> Self {
        let file = first_wave(clock.now_ms());
        let plan = Plan { postgres, clock: Some(clock), files: vec![file.clone()], ..Plan::default() };
        let street = Street::of(plan);
        let keys = TILLS.iter().map(|merchant| street.key(merchant)).collect();
        let client = Client::connect(street.service.address());
        let mut books = Books::default();
        books.moved("budget", "unissued", 500_000);
        books.check(&street, "the campaign is applied");
        Self { street, keys, client, books, file, calls: 0 }
    }

    fn post(&mut self, till: usize, path: &str, body: &Value) -> Answer {
        self.calls += 1;
        let key = format!("key-{}", self.calls);
        call_on(&mut self.client, &self.keys[till], path, Some(&key), body)
    }

    /// Days pass.
    fn days(&mut self, days: i64) {
        self.street.advance(days * DAY_S);
    }

    /// Everybody wants one at once; the vouchers of those who were quick enough.
    fn rush(&mut self, drop: &str, persons: usize, stock: usize, from: &str) -> Vec<Voucher> {
        let clock = self.street.clock.as_ref().expect("a clock");
        let crowd = Crowd::new(drop, clock.mint(&self.street.service), self.street.service.address());
        let wishes: Vec<Wish> = (0..persons).map(|n| Wish::of(format!("p-{n}"))).collect();
        let told = crowd.rush(&wishes, 24);
        let holders: Vec<_> =
            wishes.iter().filter(|wish| matches!(told[*wish], Told::Claimed(_))).cloned().collect();
        let claims: HashSet<_> = told
            .values()
            .filter_map(|told| match told {
                Told::Claimed(id) => Some(id),
                Told::SoldOut => None,
            })
            .collect();
        assert_eq!((holders.len(), claims.len(), told.len()), (stock, stock, persons), "{drop}");
        self.street.wait_drained();
        let vouchers = holders.into_iter().map(|wish| {
            // The same claim again, with its code.
            let claim = self.street.service.claim(drop, &crowd.ticket(&wish));
            assert_eq!(claim.status, 200, "{}", claim.json());
            Voucher { person: wish.person, code: claim.text("voucher") }
        });
        let vouchers = vouchers.collect();
        self.books.moved(from, "live", FACE * i64::try_from(stock).expect("it fits"));
        self.books.check(&self.street, drop);
        vouchers
    }

    fn redeem(&mut self, vouchers: &[Voucher], voucher: usize, day: usize) -> Redemption {
        let till = voucher % TILLS.len();
        let amount = 10_000 + i64::try_from(voucher).expect("it fits") * 37;
        let path = format!("/v1/vouchers/{}/redemptions", vouchers[voucher].code);
        let id = format!("order-{}-{day}", vouchers[voucher].code);
        let answer = self.post(till, &path, &order(&id, &yuan(amount)));
        assert_eq!(answer.status, 201, "{}", answer.json());
        assert_eq!((answer.text("discount"), answer.text("to_pay")), (yuan(FACE), yuan(amount - FACE)));
        self.books.moved("live", &format!("payable:{}", TILLS[till]), FACE);
        Redemption { id: answer.text("redemption_id"), voucher, till, amount }
    }

    /// Has a redemption undone, which leaves the voucher in `status` and moves `back` to `to`.
    fn undo(
        &mut self,
        redemption: &Redemption,
        how: &str,
        body: &Value,
        (status, to, back): (&str, &str, i64),
    ) {
        let answer = self.post(redemption.till, &format!("/v1/redemptions/{}/{how}", redemption.id), body);
        let said = (answer.status, answer.text("status"), answer.text("discount_back"));
        assert_eq!(said, (201, status.to_owned(), yuan(back)), "{}", answer.json());
        self.books.moved(&format!("payable:{}", TILLS[redemption.till]), to, back);
    }

    /// A week of tills: 70 of 100 vouchers are redeemed, as many each day.
    fn week(&mut self, vouchers: &[Voucher]) -> Vec<Redemption> {
        let mut made = Vec::new();
        let a_day = STOCK * 7 / 10 / DAYS;
        for day in 0..DAYS {
            if day > 0 {
                self.days(1);
            }
            made.extend((day * a_day..(day + 1) * a_day).map(|voucher| self.redeem(vouchers, voucher, day)));
            self.books.check(&self.street, &format!("day {day}"));
        }
        made
    }

    /// On the last day of the vouchers: whole refunds, parts, and redemptions that are taken back.
    fn last_day(&mut self, vouchers: &[Voucher], made: &[Redemption]) {
        for redemption in &made[..6] {
            self.undo(redemption, "refunds", &json!({}), ("issued", "live", FACE));
        }
        self.books.check(&self.street, "whole refunds");
        // One of them is used again, for another order.
        let again = self.redeem(vouchers, made[0].voucher, 99);
        for redemption in &made[6..12] {
            let part = redemption.amount / 3;
            let body = json!({ "amount": yuan(part) });
            let back = FACE * part / redemption.amount;
            self.undo(redemption, "refunds", &body, ("lost", "recycled", back));
        }
        self.books.check(&self.street, "refunds of a part");
        // The rest of one is refunded too: in the end not a fen more than the discount.
        let first = &made[6];
        let rest = self.post(first.till, &format!("/v1/redemptions/{}/refunds", first.id), &json!({}));
        assert_eq!((rest.status, rest.text("discount_back")), (201, yuan(FACE)), "{}", rest.json());
        let back = FACE - FACE * (first.amount / 3) / first.amount;
        self.books.moved(&format!("payable:{}", TILLS[first.till]), "recycled", back);
        for redemption in &made[made.len() - 6..] {
            self.undo(redemption, "reversals", &json!({}), ("issued", "live", FACE));
        }
        let early = format!("/v1/redemptions/{}/reversals", made[12].id);
        refused(&self.post(made[12].till, &early, &json!({})), 409, "refund_refused");
        let undone = format!("/v1/redemptions/{}/refunds", made[1].id);
        refused(&self.post(made[1].till, &undone, &json!({})), 409, "refund_refused");
        assert_eq!(again.voucher, made[0].voucher);
        self.books.check(&self.street, "reversals");
    }

    /// The week is over: what nobody used goes back, and refunds come too late.
    fn over(&mut self, vouchers: &[Voucher], made: &[Redemption]) {
        self.street.advance(DAY_S - 600);
        let at_last = self.redeem(vouchers, made.len(), DAYS);
        self.books.check(&self.street, "ten minutes before the end");
        self.street.advance(7_200);
        let unused = STOCK - made.len() - 1 + 5 + 6;
        wait_for("the service has expired them", PATIENCE, || {
            let expired = self.street.service.metric("claimrush_vouchers_expired_total")?;
            (usize::try_from(expired) == Ok(unused)).then_some(())
        });
        self.books.moved("live", "recycled", FACE * i64::try_from(unused).expect("it fits"));
        self.books.check(&self.street, "expiry");
        // Taken back when its time is over: it has expired too.
        self.undo(&at_last, "reversals", &json!({}), ("expired", "recycled", FACE));
        self.books.check(&self.street, "a late reversal");
        let last = vouchers.last().expect("one");
        let path = format!("/v1/vouchers/{}/redemptions", last.code);
        refused(&self.post(0, &path, &order("late", "120.00")), 409, "voucher_not_live");
        for redemption in &made[12..18] {
            self.undo(redemption, "refunds", &json!({}), ("lost", "recycled", FACE));
        }
        self.books.check(&self.street, "late refunds");
    }

    /// What came back is given out again, and no fen more.
    fn second_wave(&mut self) {
        let came_back = self.books.0["recycled"];
        let stock = usize::try_from(came_back / FACE).expect("it fits");
        let clock = self.street.clock.as_ref().expect("a clock");
        let now_ms = clock.now_ms();
        let first = self.file.clone();
        let both = |stock| format!("{first}{}", drop("d-2", now_ms, stock, "funded_by = \"recycled\"\n"));
        let (exit, out, err) = self.street.service.apply(&both(stock + 1));
        let short = yuan(FACE - came_back % FACE);
        assert_eq!((exit, out.as_str()), (1, ""), "{err}");
        assert!(err.contains(&format!("what came back is {short} short of the drops")), "{err}");
        self.books.check(&self.street, "a wave that is not covered");
        let said = self.street.service.apply_ok(&both(stock));
        assert!(said.contains("drop d-2 created"), "{said}");
        self.books.check(&self.street, "the second wave is applied");

        let vouchers = self.rush("d-2", PERSONS, stock, "recycled");
        assert!(self.books.0["recycled"] < FACE);
        let persons: HashSet<_> = vouchers.iter().map(|voucher| &voucher.person).collect();
        assert_eq!(persons.len(), stock, "one each");
        for voucher in 0..10 {
            self.redeem(&vouchers, voucher, 0);
        }
        self.books.check(&self.street, "tills of the second wave");
    }
}

/// The audit, running and stopped and started again, finds nothing.
fn audited(play: &mut Play) {
    play.street.audited();
    play.street.service.stop();
    play.street.service.restart();
    play.street.audited();
    play.books.check(&play.street, "a restart");
    let clock = play.street.clock.as_ref().expect("a clock");
    let mut verify = play.street.service.command(&["audit", "verify"]);
    let (exit, out, err) = outcome(&verify.envs(clock.environment()).output().expect("it runs"));
    assert_eq!(exit, 0, "{out}{err}");
}

fn a_whole_campaign(postgres: Option<PostgresServer>) {
    let mut play = Play::open(postgres, FakeClock::new());
    let vouchers = play.rush("d-1", PERSONS, STOCK, "unissued");
    let made = play.week(&vouchers);
    assert_eq!(made.len(), 140);
    play.last_day(&vouchers, &made);
    play.over(&vouchers, &made);
    play.second_wave();
    audited(&mut play);
}

#[test]
fn a_campaign_from_its_file_to_a_second_wave_loses_no_fen() {
    a_whole_campaign(None);
}

#[test]
fn a_campaign_from_its_file_to_a_second_wave_loses_no_fen_in_postgres() {
    a_whole_campaign(Some(PostgresServer::start(&[])));
}
