//! A shop that sells held units: a service with an item drop, and callbacks signed as the shop's payment service signs them.

use claimrush::clock::Clock;
use claimrush::domain::webhook::WebhookSecrets;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::campaign::{DropFile, campaign};
use crate::support::clock::FakeClock;
use crate::support::http::{Answer, Client, bearer, request};
use crate::support::service::{PATIENCE, Service};
use crate::support::{folder, outcome, wait_for};

/// What the shop and the service share.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The drop with items.
pub(super) const DROP: &str = "phone";

pub(super) struct Shop {
    pub(super) service: Service,
    /// The clock that the shop goes by, where it is not the right one.
    pub(super) clock: Option<FakeClock>,
    _secrets: TempDir,
}

impl Shop {
    /// One with `stock` units that are held as `terms` say.
    pub(super) fn open(settings: &[(&str, &str)], stock: u32, terms: &str) -> Self {
        Self::by(None, settings, stock, terms)
    }

    /// The same by a clock of the test's own.
    pub(super) fn by(clock: Option<FakeClock>, settings: &[(&str, &str)], stock: u32, terms: &str) -> Self {
        Self::with(clock, (settings, &[]), stock, terms)
    }

    /// The same with flags of `serve`.
    pub(super) fn with(
        clock: Option<FakeClock>,
        (settings, flags): (&[(&str, &str)], &[&'static str]),
        stock: u32,
        terms: &str,
    ) -> Self {
        let secrets = folder();
        let path = secrets.path().join("payments");
        std::fs::write(&path, format!("{SECRET}\n")).expect("it is written");
        let path = path.to_str().expect("text");
        // A test asks often, to see what it waits for.
        let own = [
            ("holds.payment_secret_file", path),
            ("limits.person_per_second", "10000"),
            ("limits.person_burst", "10000"),
        ];
        let environment = clock.as_ref().map(FakeClock::environment).unwrap_or_default();
        let service = Service::start_in(environment, &[&own[..], settings].concat(), flags);
        let drops = [DropFile::open(DROP, stock).item(terms), DropFile::open("voucher", 5)];
        service.apply_ok(&campaign("sale", &drops));
        Self { service, clock, _secrets: secrets }
    }

    /// A ticket that is good by the shop's clock.
    pub(super) fn ticket(&self, person: &str) -> String {
        let mint = self.clock.as_ref().map(|clock| clock.mint(&self.service));
        mint.unwrap_or_else(|| self.service.mint()).ticket(DROP, person)
    }

    /// A person's claim, or why there is none.
    pub(super) fn claim(&self, person: &str) -> Answer {
        self.service.claim(DROP, &self.ticket(person))
    }

    /// The id of a person's new claim.
    pub(super) fn claimed(&self, person: &str) -> String {
        let answer = self.claim(person);
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        answer.text("claim_id")
    }

    /// A callback, signed now.
    pub(super) fn pay(&self, claim: &str, message: &str, payment: &str) -> Answer {
        let body = json!({"payment": payment, "amount": "4999.00"}).to_string();
        let now_ms = self.clock.as_ref().map_or_else(|| Clock::System.now_ms(), FakeClock::now_ms);
        self.try_call_back(claim, message, now_ms / 1_000, body.as_bytes()).expect("an answer")
    }

    /// A callback of these words, signed at `at_s`, to a service that may go away.
    pub(super) fn try_call_back(
        &self,
        claim: &str,
        message: &str,
        at_s: i64,
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let signature = WebhookSecrets::parse(SECRET).expect("a secret").sign(message, at_s, body);
        self.send(claim, message, &at_s.to_string(), &signature, body)
    }

    /// A callback with these headers.
    pub(super) fn send(
        &self,
        claim: &str,
        message: &str,
        at: &str,
        signature: &str,
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let headers = [
            ("webhook-id", message),
            ("webhook-timestamp", at),
            ("webhook-signature", signature),
            ("content-type", "application/json"),
        ];
        let path = format!("/v1/claims/{claim}/confirm");
        Client::try_connect(self.service.address())?.try_call("POST", &path, &headers, body)
    }

    /// The bytes of a signed callback, to be sent again as they are.
    pub(super) fn signed(claim: &str, message: &str, at_s: i64, body: &[u8]) -> Vec<u8> {
        let signature = WebhookSecrets::parse(SECRET).expect("a secret").sign(message, at_s, body);
        let at = at_s.to_string();
        let headers = [
            ("webhook-id", message),
            ("webhook-timestamp", &at),
            ("webhook-signature", &signature),
            ("content-type", "application/json"),
        ];
        request("POST", &format!("/v1/claims/{claim}/confirm"), &headers, body)
    }

    /// The holder gives a unit back.
    pub(super) fn cancel(&self, claim: &str, person: &str) -> Answer {
        self.try_cancel(claim, person).expect("an answer")
    }

    /// The same at a service that may go away.
    pub(super) fn try_cancel(&self, claim: &str, person: &str) -> std::io::Result<Answer> {
        let ticket = bearer(&self.ticket(person));
        let path = format!("/v1/claims/{claim}/cancel");
        Client::try_connect(self.service.address())?.try_call(
            "POST",
            &path,
            &[("authorization", &ticket)],
            b"",
        )
    }

    /// The words for a person's claims.
    pub(super) fn statuses(&self, person: &str) -> Vec<String> {
        let answer = self.service.mine(DROP, &self.ticket(person)).json();
        let claims = answer["claims"].as_array().expect("claims").clone();
        claims.iter().map(|claim| claim["status"].as_str().expect("a word").to_owned()).collect()
    }

    /// Waits until a person's only claim stands so.
    pub(super) fn wait_status(&self, person: &str, status: &str) {
        wait_for(&format!("{person}'s claim is {status}"), PATIENCE, || {
            (self.statuses(person) == [status]).then_some(())
        });
    }

    /// Waits until Redis has this many units left and the ledger knows of all that went back.
    pub(super) fn wait_stock(&self, left: u64) {
        wait_for(&format!("{left} units are left"), PATIENCE, || {
            (self.service.redis_stock_left(DROP) == left && self.service.journal_length() == 0).then_some(())
        });
    }

    /// What `claimrush …` says, which must go well.
    pub(super) fn run(&self, args: &[&str]) -> String {
        let environment = self.clock.as_ref().map(FakeClock::environment).unwrap_or_default();
        let output = self.service.command(args).envs(environment).output().expect("it runs");
        let (exit, out, err) = outcome(&output);
        assert_eq!((exit, err.as_str()), (0, ""), "{args:?}: {out}");
        out
    }

    /// Every invariant, Redis against ledger.
    pub(super) fn audit(&self) {
        self.run(&["audit", "--json"]);
    }

    /// Late payments, refunded ones too.
    pub(super) fn late(&self) -> Vec<Value> {
        let list: Value =
            serde_json::from_str(&self.run(&["late-payment", "list", "--all", "--json"])).expect("JSON");
        list["payments"].as_array().expect("a list").clone()
    }
}
