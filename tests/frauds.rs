//! What courts and audits have seen done with vouchers, tried at a street of tills. Photographed codes, farms, addresses from
//! elsewhere and shops that nobody reviewed have tests of their own (docs/PROGRAMMES.md says which).

use serde_json::json;

use crate::redemptions::street::{Plan, Street, call, file, order, redemptions_of, refused};
use crate::support::campaign::DropFile;
use crate::support::http::Client;
use crate::support::outcome;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

const SET: [(&str, &str, &str); 3] =
    [("100-20", "100.00", "20.00"), ("200-40", "200.00", "40.00"), ("500-100", "500.00", "100.00")];

/// Vouchers of 100 − 20, 200 − 40 and 500 − 100.
fn set(redemption: &str) -> String {
    let drops = SET.map(|(id, threshold, face)| {
        let text = file("c-1", &DropFile::open(id, 50), "");
        let drop = text.split_once("[[drop]]").expect("a drop").1.to_owned();
        format!(
            "[[drop]]{}",
            drop.replace("\"1.00\"", &format!("\"{face}\"")).replace("\"5.00\"", &format!("\"{threshold}\""))
        )
    });
    let one = file("c-1", &DropFile::open("x", 1), redemption);
    let head = one.split_once("[[drop]]").expect("a drop").0;
    format!("{head}{}", drops.concat())
}

/// A person's set; a till and its shop play it for 160 without goods.
fn holders(street: &Street, person: &str) -> [String; 3] {
    SET.map(|(drop, ..)| street.vouchers(drop, person, 1).0.remove(0))
}

/// "100 − 20, 200 − 40 and 500 − 100 played as a set of 800 for 160, without goods": neither on one order nor, where the campaign
/// says so, on three of one day; and what was played comes back.
#[test]
fn a_set_is_played_neither_on_one_order_nor_on_three_of_a_day() {
    let street = Street::of(Plan { files: vec![set("person_per_merchant_per_day = 1")], ..Plan::default() });
    let till = street.key("m-1");
    let ann = holders(&street, "ann");
    let play = |code: &str, id: &str, amount: &str| {
        street.redeem(&till, code, &format!("{id}-{code}"), &order(id, amount))
    };
    let taken = play(&ann[0], "o-1", "800.00");
    assert_eq!((taken.status, taken.text("discount")), (201, "20.00".to_owned()), "{}", taken.json());
    for code in &ann[1..] {
        refused(&play(code, "o-1", "800.00"), 409, "order_used");
    }
    for (code, id, amount) in [(&ann[1], "o-2", "200.00"), (&ann[2], "o-3", "500.00")] {
        refused(&play(code, id, amount), 409, "daily_limit_reached");
        // Nor is the threshold of one reached by splitting an order.
        refused(&street.redeem(&till, code, &format!("s-{id}"), &order(id, "199.99")), 422, "terms_not_met");
    }
    assert_eq!(street.books("c-1")["payable:m-1"], 2_000, "20 of 160");
    street.audited();
}

/// The same where the campaign has no cap, and somebody looks later: what the holders, the shop and the orders were is there to be
/// read, nothing more is taken, and no fen of it is paid.
#[test]
fn what_a_shop_has_played_is_found_stopped_and_recovered() {
    let street = Street::of(Plan { files: vec![set("")], ..Plan::default() });
    let till = street.key("m-1");
    let persons = ["ann", "bob", "cid"];
    let sets = persons.map(|person| holders(&street, person));
    for (person, codes) in persons.iter().zip(&sets) {
        for (code, (id, threshold, _)) in codes.iter().zip(SET) {
            let order_id = format!("{person}-{id}");
            let body = json!({ "order_id": order_id, "amount": threshold, "shop": "s-1", "cashier": "07", "receipt": "4711",
                "location": "one address" });
            let taken = street.redeem(&till, code, &order_id, &body);
            assert_eq!(taken.status, 201, "{}", taken.json());
        }
    }
    // By merchant in the books; by voucher all that the till said, and who held it.
    assert_eq!(street.books("c-1")["payable:m-1"], 3 * 16_000);
    let shown = street.ran(&["books", "show", "c-1"]);
    assert!(shown.contains("m-1") && shown.contains("480.00"), "{shown}");
    let shown = street.ran(&["voucher", "show", &sets[1][2], "--json"]);
    for said in ["bob", "m-1", "s-1", "bob-500-100", "500.00"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    // The shop takes nothing more, at once, and its money comes back voucher by voucher.
    let dans = holders(&street, "dan");
    street.ran(&["merchant", "suspend", "m-1", "--reason", "orders without goods"]);
    refused(&street.redeem(&till, &dans[0], "k-1", &order("o-1", "100.00")), 403, "merchant_inactive");
    for code in sets.iter().flatten() {
        street.ran(&["voucher", "recover", code, "--reason", "no goods were sent"]);
    }
    for code in &dans {
        street.ran(&["voucher", "freeze", code, "--reason", "a broker's"]);
        street.ran(&["voucher", "void", code, "--reason", "sold on"]);
    }
    let books = street.books("c-1");
    let holds = ["payable:m-1", "live", "recovered"].map(|account| books.get(account).copied().unwrap_or(0));
    assert_eq!(holds, [0, 0, 4 * 16_000]);
    for (drop, ..) in SET {
        let rows = street.ran(&["ledger", "export", "--drop", drop, "--format", "csv"]);
        for person in ["ann", "bob", "cid", "dan"] {
            assert!(rows.contains(&format!(",{person},void,")), "{rows}");
        }
    }
    let other = street.key("m-3");
    refused(&street.redeem(&other, &dans[1], "k-1", &order("o-1", "200.00")), 409, "voucher_not_live");
    // Whoever sold them is kept out of the rest.
    street.ran(&["ban", "add", "dan", "--reason", "sold vouchers on"]);
    let ticket = street.service.ticket("100-20", "dan");
    assert_eq!(street.service.claim("100-20", &ticket).code(), "blocked");
    let paid = [
        "books",
        "paid",
        "c-1",
        "--merchant",
        "m-1",
        "--amount",
        "0.01",
        "--reference",
        "r",
        "--reason",
        "week 1",
    ];
    let output = street.service.command(&paid).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "nothing is owed any more");
    street.audited();
}

/// "Holder to broker to qualified shop": without the holder's own ticket nobody has a QR code to show, and where the campaign takes
/// nothing else a code that was handed on is worth nothing in any shop.
#[test]
fn a_code_that_was_handed_on_is_taken_by_no_shop() {
    let street = Street::of(Plan {
        files: vec![file("c-1", &DropFile::open("d-1", 9), "code = \"qr\"")],
        ..Plan::default()
    });
    let (code, _) = street.voucher("ann");
    for merchant in ["m-1", "m-3", "m-4"] {
        let till = street.key(merchant);
        refused(&street.redeem(&till, &code, "k-1", &order("o-1", "6.00")), 422, "qr_required");
    }
    let broker = street.service.ticket("d-1", "broker");
    let authorization = crate::support::http::bearer(&broker);
    let path = format!("/v1/vouchers/{code}/qr");
    let headers = [("authorization", authorization.as_str())];
    refused(
        &Client::connect(street.service.address()).call("GET", &path, &headers, b""),
        404,
        "unknown_voucher",
    );
    street.audited();
}

/// "Shops passed by an insider": nobody passes what they entered, whatever keys they have, and not with the admin token where two are
/// needed; nor does what they enter of a shop that was passed count before somebody else has looked.
#[test]
fn nobody_passes_a_shop_that_they_entered() {
    let service = Service::start_with(&[("backoffice.approval", "two-person")], &[]);
    let path = |name: &str| service.data().join(name).to_string_lossy().into_owned();
    let ran = |args: &[&str]| outcome(&service.command(args).output().expect("it runs"));
    for (file, role, name) in
        [("enters", "operator", "Li Si"), ("passes", "approver", "li-si"), ("other", "approver", "Wang Wu")]
    {
        let (exit, key, err) = ran(&["key", "add", "--role", role, "--name", name]);
        assert_eq!(exit, 0, "{err}");
        std::fs::write(path(file), key).expect("it is written");
    }
    let by = |who: &str, args: &[&str]| {
        let (exit, out, err) = ran(&[args, &["--token-file", &path(who)]].concat());
        (exit, out + &err)
    };
    let enter = |who: &str, region: &str| {
        let rows = format!("id,name,category,region,shop_id\nm-1,店,H6210,{region},s-1\n");
        std::fs::write(path("shops.csv"), rows).expect("it is written");
        assert_eq!(by(who, &["merchant", "import", &path("shops.csv")]).0, 0);
    };
    let own = |who: &str, revision: &str| {
        let (exit, said) = by(who, &["merchant", "review", revision]);
        assert!(exit == 1 && said.contains("entered it, and somebody else has to review it"), "{said}");
    };

    // The shop is in Chengdu, and vouchers are for Yunnan. Reviewing and activating it are revisions too.
    let voucher = file("c-1", &DropFile::open("d-1", 9), "");
    std::fs::write(path("c.toml"), voucher).expect("it is written");
    assert_eq!(by("enters", &["campaign", "draft", &path("c.toml")]).0, 0);
    assert_eq!(by("other", &["campaign", "approve", "c-1", "--revision", "1"]).0, 0);
    enter("admin.token", "510104");
    own("admin.token", "m-1@1");
    enter("enters", "510105");
    own("passes", "m-1@2");
    assert_eq!(by("other", &["merchant", "review", "m-1@2"]).0, 0);
    assert_eq!(by("other", &["merchant", "activate", "m-1"]).0, 0);
    let (exit, till, err) = ran(&["key", "add", "--role", "merchant", "--name", "till", "--merchant", "m-1"]);
    assert_eq!(exit, 0, "{err}");
    let code = service.claim("d-1", &service.ticket("d-1", "ann")).text("voucher");
    wait_for("the ledger has it", PATIENCE, || (service.journal_length() == 0).then_some(()));
    let redeem = |id: &str| call(&service, till.trim(), &redemptions_of(&code), Some(id), &order(id, "6.00"));
    refused(&redeem("o-1"), 422, "terms_not_met");
    enter("enters", "530102");
    own("passes", "m-1@5");
    refused(&redeem("o-1"), 422, "terms_not_met");
    assert_eq!(by("other", &["merchant", "review", "m-1@5"]).0, 0);
    assert_eq!(redeem("o-1").status, 201, "somebody else has looked");
}
