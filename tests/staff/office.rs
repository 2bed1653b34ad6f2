//! An office: a service with a campaign, two merchants with tills, and a key for each role.

use std::collections::BTreeMap;

use claimrush::domain::access::Role;
use serde_json::{Value, json};

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Answer, Client, bearer};
use crate::support::postgres::PostgresServer;
use crate::support::service::{PATIENCE, Service};
use crate::support::{outcome, wait_for};

const MERCHANTS: &str = "id,name,category,region,shop_id,shop_name,shop_region\n\
    m-1,过桥米线,H6210,530102,s-1,总店,\n\
    m-2,超市,F5211,530100,s-1,店,\n";

pub(super) struct Office {
    pub(super) service: Service,
    keys: BTreeMap<String, String>,
    _postgres: Option<PostgresServer>,
}

impl Office {
    /// One with vouchers of 1.00 from 5.00 in `d-1` and held items in `phone`, of campaign `c-1`.
    pub(super) fn open(postgres: Option<PostgresServer>, settings: &[(&str, &str)]) -> Self {
        let url = postgres.as_ref().map(PostgresServer::url);
        let mut all = settings.to_vec();
        all.extend(url.iter().map(|url| ("ledger.url", url.as_str())));
        let mut office =
            Self { service: Service::start_with(&all, &[]), keys: BTreeMap::new(), _postgres: postgres };
        for role in Role::OF_KEYS.into_iter().filter(|role| *role != Role::Merchant) {
            office.hire(role.as_str(), role.as_str());
        }
        let drops = [DropFile::open("d-1", 200), DropFile::open("phone", 5).item("hold_for = \"15m\"")];
        let file = office.write("c.toml", &campaign("c-1", &drops));
        office.ran_as("operator", &["campaign", "draft", &file]);
        office.ran_as("approver", &["campaign", "approve", "c-1", "--revision", "1"]);
        let file = office.write("merchants.csv", MERCHANTS);
        office.ran_as("operator", &["merchant", "import", &file]);
        for merchant in ["m-1", "m-2"] {
            office.ran_as("approver", &["merchant", "review", &format!("{merchant}@1")]);
            office.ran_as("approver", &["merchant", "activate", merchant]);
            let args = ["key", "add", "--role", "merchant", "--name", merchant, "--merchant", merchant];
            let key = office.ran(&args).trim().to_owned();
            office.keys.insert(merchant.to_owned(), key);
        }
        office
    }

    /// Gives somebody a key, known here as `who`.
    pub(super) fn hire(&mut self, who: &str, name: &str) {
        let role = who.split(' ').next().expect("a word");
        let key = self.ran(&["key", "add", "--role", role, "--name", name]).trim().to_owned();
        self.write(&format!("{who}.key"), &key);
        self.keys.insert(who.to_owned(), key);
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.service.data().join(name);
        std::fs::write(&path, text).expect("it is written");
        path.to_string_lossy().into_owned()
    }

    /// What a command says that must do its work, with the admin token.
    pub(super) fn ran(&self, args: &[&str]) -> String {
        let (exit, out, err) = outcome(&self.service.command(args).output().expect("it runs"));
        assert_eq!(exit, 0, "{args:?}: {out}{err}");
        out
    }

    /// Exit code and everything that a command says, with somebody's key.
    pub(super) fn try_as(&self, who: &str, args: &[&str]) -> (i32, String) {
        let file = self.service.data().join(format!("{who}.key"));
        let mut command = self.service.command(args);
        let (exit, out, err) = outcome(&command.arg("--token-file").arg(file).output().expect("it runs"));
        (exit, out + &err)
    }

    /// What a command says that must do its work, with somebody's key.
    pub(super) fn ran_as(&self, who: &str, args: &[&str]) -> String {
        let (exit, said) = self.try_as(who, args);
        assert_eq!(exit, 0, "{who} {args:?}: {said}");
        said
    }

    /// A call of the admin listener with somebody's key; `admin` has the admin token.
    pub(super) fn call(
        &self,
        who: &str,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Answer {
        let admin_token =
            || std::fs::read_to_string(self.service.data().join("admin.token")).expect("it is there");
        let token = self.keys.get(who).cloned().unwrap_or_else(admin_token);
        let authorization = bearer(token.trim());
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let path = format!("/admin/v1/{path}");
        Client::connect(self.service.admin_address()).call(method, &path, &headers, body.as_bytes())
    }

    pub(super) fn get(&self, who: &str, path: &str) -> Value {
        let answer = self.call(who, "GET", path, None, &Value::Null);
        assert_eq!(answer.status, 200, "{path}: {}", answer.json());
        answer.json()
    }

    pub(super) fn decide(&self, who: &str, code: &str, what: &str, reason: &str) -> Answer {
        self.call(who, "POST", &format!("vouchers/{code}/{what}"), None, &json!({ "reason": reason }))
    }

    /// A person's claim in a drop, which the ledger has.
    pub(super) fn claimed(&self, drop: &str, person: &str) -> Answer {
        let claimed = self.service.claim(drop, &self.service.ticket(drop, person));
        assert_eq!(claimed.status, 201, "{}", claimed.json());
        wait_for("the ledger has the claim", PATIENCE, || (self.service.journal_length() == 0).then_some(()));
        claimed
    }

    /// The code of a person's voucher, which the ledger has.
    pub(super) fn voucher(&self, person: &str) -> String {
        self.claimed("d-1", person).text("voucher")
    }

    /// A till's order of 6.00 with a voucher.
    pub(super) fn redeem(&self, merchant: &str, code: &str, order: &str) -> Answer {
        self.redeem_by(merchant, code, order, order)
    }

    /// The same by an idempotency key that is not the order's number.
    pub(super) fn redeem_by(&self, merchant: &str, code: &str, order: &str, key: &str) -> Answer {
        let body = json!({ "order_id": order, "amount": "6.00", "shop": "s-1" }).to_string();
        let authorization = bearer(&self.keys[merchant]);
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        let path = format!("/v1/vouchers/{code}/redemptions");
        Client::connect(self.service.address()).call("POST", &path, &headers, body.as_bytes())
    }

    /// A voucher of a new person, redeemed at a merchant.
    pub(super) fn redeemed(&self, merchant: &str, person: &str) -> String {
        let code = self.voucher(person);
        let answer = self.redeem(merchant, &code, person);
        assert_eq!(answer.status, 201, "{}", answer.json());
        code
    }

    /// The audit finds nothing, the money included.
    pub(super) fn audited(&self) {
        self.ran(&["audit"]);
    }
}

/// The answer is this problem, and its words say so much.
pub(super) fn refused(answer: &Answer, status: u16, code: &str, words: &str) {
    let body = answer.json();
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
    assert!(answer.text("detail").contains(words), "{words:?}: {body}");
}
