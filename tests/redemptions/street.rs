//! A street of merchants with tills before a built service: vouchers, keys, and what tills say and are told.

use std::collections::BTreeMap;

use claimrush::config::{LedgerConfig, ServiceUrl};
use claimrush::datadir::DataDir;
use claimrush::domain::ids::{CampaignId, ClaimNumber};
use claimrush::domain::qr::QrSigner;
use claimrush::domain::voucher::VoucherSigner;
use claimrush::guard::ticket::{KEY_FILE_NAME, KeyFile};
use claimrush::ledger::open::open_read_only;
use serde_json::{Value, json};

use crate::support::campaign::{DropFile, campaign};
use crate::support::clock::FakeClock;
use crate::support::http::{Answer, Client, bearer, claims_path};
use crate::support::mint::Mint;
use crate::support::postgres::PostgresServer;
use crate::support::redis::RedisServer;
use crate::support::service::{PATIENCE, Service};
use crate::support::{outcome, wait_for};

const MERCHANTS: &str = "id,name,category,region,shop_id,shop_name,shop_region,cap_per_day,cap_per_person_per_day,uat\n\
    m-1,过桥米线,H6210,530102,s-1,总店,,,,\n\
    m-1,过桥米线,H6210,530102,s-far,北京店,110101,,,\n\
    m-2,超市,F5211,530100,s-1,店,,1,,\n\
    m-3,茶馆,H6210,530102,s-1,店,,,,\n\
    m-4,面包房,H6210,530102,s-1,店,,,1,\n\
    m-4,面包房,H6210,530102,s-2,分店,,,1,\n\
    m-uat,试点,H6210,530102,s-1,店,,,,yes\n\
    m-away,连锁店,H6210,530102,cd-1,成都店,510104,,,\n\
    m-away,连锁店,H6210,530102,cd-2,成都二店,510104,,,\n\
    m-new,新店,H6210,530102,s-1,店,,,,\n";

/// Who waits for an answer to change asks often.
const GENEROUS: [(&str, &str); 2] = [("limits.person_per_second", "10000"), ("limits.person_burst", "10000")];

/// How a street is set up.
#[derive(Default)]
pub(crate) struct Plan<'p> {
    /// The server of the ledger; SQLite without one.
    pub(crate) postgres: Option<PostgresServer>,
    /// Whose clock the service and its Redis go by.
    pub(crate) clock: Option<FakeClock>,
    /// A Redis that goes by its own clock.
    pub(crate) redis: Option<RedisServer>,
    pub(crate) flags: &'p [&'static str],
    /// The campaigns; one of vouchers of 1.00 from 5.00 in Yunnan's catering and retail, where there are none.
    pub(crate) files: Vec<String>,
}

/// A service with merchants, vouchers and keys.
pub(crate) struct Street {
    pub(crate) service: Service,
    pub(crate) clock: Option<FakeClock>,
    _postgres: Option<PostgresServer>,
    _redis: Option<RedisServer>,
}

/// The usual campaign, with these rules of redemptions.
pub(crate) fn file(id: &str, drop: &DropFile, redemption: &str) -> String {
    let terms = "valid_for = \"7d\", merchants = { category = [\"H62\", \"F52\"], region = [\"53\"] } }";
    let file = campaign(id, std::slice::from_ref(drop)).replace("valid_for = \"7d\" }", terms);
    if redemption.is_empty() {
        return file;
    }
    file.replacen("[[drop]]", &format!("redemption = {{ {redemption} }}\n[[drop]]"), 1)
}

impl Street {
    pub(crate) fn open(postgres: Option<PostgresServer>) -> Self {
        Self::of(Plan { postgres, ..Plan::default() })
    }

    pub(crate) fn of(plan: Plan<'_>) -> Self {
        let Plan { postgres, clock, redis, flags, mut files } = plan;
        let url = postgres.as_ref().map(PostgresServer::url);
        let redis_url = redis.as_ref().map(|redis| redis.url().expose().to_owned());
        let mut settings = GENEROUS.to_vec();
        settings.extend(redis_url.iter().map(|url| ("redis.url", url.as_str())));
        settings.extend(url.iter().map(|url| ("ledger.url", url.as_str())));
        let environment = clock.as_ref().map(FakeClock::environment).unwrap_or_default();
        let service = Service::start_in(environment, &settings, flags);
        if files.is_empty() {
            files.push(file("c-1", &DropFile::open("d-1", 200), ""));
        }
        for file in files {
            service.apply_ok(&file);
        }
        let street = Self { service, clock, _postgres: postgres, _redis: redis };
        let path = street.service.data().join("merchants.csv");
        std::fs::write(&path, MERCHANTS).expect("written");
        street.ran(&["merchant", "import", &path.to_string_lossy()]);
        for merchant in ["m-1", "m-2", "m-3", "m-4", "m-away", "m-uat"] {
            street.ran(&["merchant", "review", merchant]);
            street.ran(&["merchant", "activate", merchant]);
        }
        street
    }

    /// The clock of the service, which has one of its own, moves on by whole seconds, two hours or more.
    pub(crate) fn advance(&mut self, by_s: i64) {
        self.clock.as_mut().expect("a clock").advance(&self.service, "d-1", by_s);
    }

    pub(crate) fn ran(&self, args: &[&str]) -> String {
        let environment = self.clock.as_ref().map(FakeClock::environment).unwrap_or_default();
        let output = self.service.command(args).envs(environment).output().expect("it runs");
        let (exit, out, err) = outcome(&output);
        assert_eq!(exit, 0, "{args:?}: {out}{err}");
        out
    }

    pub(crate) fn key(&self, merchant: &str) -> String {
        let args = ["key", "add", "--role", "merchant", "--name", merchant, "--merchant", merchant];
        self.ran(&args).trim().to_owned()
    }

    fn mint(&self) -> Mint {
        match &self.clock {
            Some(clock) => clock.mint(&self.service),
            None => self.service.mint(),
        }
    }

    /// The code of a voucher that the ledger has, and its holder's ticket.
    pub(crate) fn voucher(&self, person: &str) -> (String, String) {
        let (mut codes, ticket) = self.vouchers("d-1", person, 1);
        (codes.remove(0), ticket)
    }

    /// The same of several vouchers of one person.
    pub(crate) fn vouchers(&self, drop: &str, person: &str, count: usize) -> (Vec<String>, String) {
        let ticket = self.mint().ticket(drop, person);
        let codes = (0..count).map(|n| {
            let (authorization, key) = (bearer(&ticket), format!("claim-{n}"));
            let headers = [("authorization", authorization.as_str()), ("idempotency-key", key.as_str())];
            let claimed =
                Client::connect(self.service.address()).call("POST", &claims_path(drop), &headers, b"");
            assert_eq!(claimed.status, 201, "{}", claimed.json());
            claimed.text("voucher")
        });
        let codes = codes.collect();
        self.wait_drained();
        (codes, ticket)
    }

    /// Waits until the ledger has all claims.
    pub(crate) fn wait_drained(&self) {
        wait_for("the ledger has it", PATIENCE, || (self.service.journal_length() == 0).then_some(()));
    }

    pub(crate) fn call(&self, bearer_text: &str, path: &str, key: Option<&str>, body: &Value) -> Answer {
        call(&self.service, bearer_text, path, key, body)
    }

    pub(crate) fn redeem(&self, till: &str, code: &str, key: &str, body: &Value) -> Answer {
        self.call(till, &redemptions_of(code), Some(key), body)
    }

    /// Takes one of the two back: `refunds` or `reversals`.
    pub(crate) fn undo(&self, till: &str, redemption: &str, how: &str, key: &str, body: &Value) -> Answer {
        self.call(till, &format!("/v1/redemptions/{redemption}/{how}"), Some(key), body)
    }

    /// A voucher by its code or QR payload, for whoever's ticket or key this is.
    pub(crate) fn look(&self, code: &str, ticket: &str) -> Answer {
        let authorization = bearer(ticket);
        let path = format!("/v1/vouchers/{code}");
        Client::connect(self.service.address()).call("GET", &path, &[("authorization", &authorization)], b"")
    }

    pub(crate) fn status(&self, code: &str, ticket: &str) -> String {
        self.look(code, ticket).text("status")
    }

    /// The audit finds nothing, the money included.
    pub(crate) fn audited(&self) {
        self.ran(&["audit"]);
    }

    /// What every account of a campaign holds, in fen, and the postings that make it up.
    pub(crate) fn books(&self, campaign: &str) -> BTreeMap<String, i64> {
        let id = CampaignId::new(campaign).expect("an id");
        let data = self.service.data();
        let url = DataDir::open(&data).expect("a folder").run_info().expect("it runs").ledger_url;
        let config = LedgerConfig { url: ServiceUrl::new(url.expose()), ..LedgerConfig::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let accounts = runtime.block_on(async {
            let ledger = open_read_only(&config, &data).await.expect("it opens");
            ledger.accounts(&id).await.expect("it reads")
        });
        accounts.into_iter().map(|(name, amount)| (name, amount.0)).collect()
    }

    /// What signs codes and QR payloads here.
    pub(crate) fn signers(&self) -> (VoucherSigner, QrSigner) {
        let keys = KeyFile::load(&self.service.data().join(KEY_FILE_NAME)).expect("it is there");
        let secret = keys.voucher_secret().bytes();
        (VoucherSigner::new(secret), QrSigner::new(secret, 30))
    }

    /// The claim that a code stands for.
    pub(crate) fn number(&self, code: &str) -> ClaimNumber {
        self.signers().0.verify(code).expect("a code of ours")
    }
}

/// Where a voucher is redeemed.
pub(crate) fn redemptions_of(code: &str) -> String {
    format!("/v1/vouchers/{code}/redemptions")
}

/// A till's request on a connection of its own.
pub(crate) fn call(service: &Service, till: &str, path: &str, key: Option<&str>, body: &Value) -> Answer {
    call_on(&mut Client::connect(service.address()), till, path, key, body)
}

/// A till's request.
pub(crate) fn call_on(
    client: &mut Client,
    till: &str,
    path: &str,
    key: Option<&str>,
    body: &Value,
) -> Answer {
    let authorization = bearer(till);
    let mut headers = vec![("authorization", authorization.as_str()), ("content-type", "application/json")];
    headers.extend(key.map(|key| ("idempotency-key", key)));
    client.call("POST", path, &headers, body.to_string().as_bytes())
}

pub(crate) fn order(id: &str, amount: &str) -> Value {
    json!({ "order_id": id, "amount": amount, "shop": "s-1" })
}

pub(crate) fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.json());
}
