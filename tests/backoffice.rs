//! Staff at work: drafts by one and approval by another, the end of a campaign, merchants from files.

use serde_json::Value;

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Answer, Client, bearer};
use crate::support::outcome;
use crate::support::service::Service;

/// A key of this role, for a person of this name.
fn key(service: &Service, role: &str, name: &str) -> String {
    let args = ["key", "add", "--role", role, "--name", name];
    let (exit, out, err) = outcome(&service.command(&args).output().expect("it runs"));
    assert_eq!(exit, 0, "{err}");
    out.trim().to_owned()
}

fn admin_token(service: &Service) -> String {
    std::fs::read_to_string(service.data().join("admin.token")).expect("it is there").trim().to_owned()
}

fn call(service: &Service, key: &str, method: &str, path: &str, body: &str) -> Answer {
    let authorization = bearer(key);
    let headers = [("authorization", authorization.as_str())];
    Client::connect(service.admin_address()).call(method, path, &headers, body.as_bytes())
}

fn refused(answer: &Answer, status: u16, code: &str, words: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.json());
    assert!(answer.text("detail").contains(words), "{}", answer.json());
}

/// The audit finds nothing.
fn audited(service: &Service) {
    let (exit, out, err) = outcome(&service.command(&["audit"]).output().expect("it runs"));
    assert_eq!(exit, 0, "{out}{err}");
}

#[test]
fn with_two_persons_one_drafts_and_another_approves() {
    let service = Service::start_with(&[("backoffice.approval", "two-person")], &[]);
    let token = admin_token(&service);
    let (ann, bob) = (key(&service, "operator", "Ann"), key(&service, "approver", "Bob"));
    let ann_too = key(&service, "approver", "ann");
    let file = campaign("c-1", &[DropFile::open("d-1", 5)]);
    for who in [&token, &ann] {
        let answer = call(&service, who, "POST", "/admin/v1/campaigns", &file);
        refused(&answer, 409, "draft_refused", "two persons are needed");
    }
    let wrong = call(&service, &ann, "POST", "/admin/v1/drafts", &file.replace("stock = 5", "stock = 0"));
    refused(&wrong, 422, "campaign_refused", "line 9: drop \"d-1\": stock");

    let draft = call(&service, &ann, "POST", "/admin/v1/drafts", &file);
    assert_eq!((draft.status, draft.text("state").as_str()), (200, "waiting"), "{}", draft.json());
    assert_eq!(draft.json()["changes"][0], "drop d-1 created");
    assert_eq!(service.drop_state("d-1").status, 404, "a draft sells nothing");
    let approve = |who: &str, body: &str| call(&service, who, "POST", "/admin/v1/drafts/c-1/approve", body);
    refused(&approve(&ann, ""), 403, "forbidden", "operator");
    refused(&approve(&ann_too, r#"{"revision":1}"#), 409, "draft_refused", "somebody else has to approve");
    // What was looked at is what is approved.
    refused(&approve(&bob, ""), 409, "draft_refused", "name the revision");
    let again = call(&service, &ann, "POST", "/admin/v1/drafts", &file.replace("stock = 5", "stock = 6"));
    assert_eq!(again.json()["revision"], 2);
    refused(&approve(&bob, r#"{"revision":1}"#), 409, "draft_refused", "it is at revision 2");
    let approved = approve(&bob, r#"{"revision":2}"#);
    assert_eq!((approved.status, approved.text("state").as_str()), (200, "approved"), "{}", approved.json());
    assert!(approved.text("approved_by").starts_with("Bob (crk_"), "{}", approved.json());
    assert_eq!(service.drop_state("d-1").json()["stock_total"], 6);
    for seen in [2, 3] {
        assert_eq!(approve(&bob, &format!(r#"{{"revision":{seen}}}"#)).status, 200, "again changes nothing");
    }
    refused(&approve(&bob, r#"{"revision":1}"#), 409, "draft_refused", "it is at revision 3");
    refused(&approve(&token, ""), 409, "draft_refused", "name the revision");

    // The admin token is one person too.
    let other = campaign("c-2", &[DropFile::open("d-2", 5)]);
    assert_eq!(call(&service, &token, "POST", "/admin/v1/drafts", &other).status, 200);
    let own = call(&service, &token, "POST", "/admin/v1/drafts/c-2/approve", r#"{"revision":1}"#);
    refused(&own, 409, "draft_refused", "admin token drafted it");
    refused(
        &call(&service, &bob, "POST", "/admin/v1/drafts/nothing/approve", ""),
        404,
        "unknown_draft",
        "nothing",
    );
    audited(&service);
}

#[test]
fn a_draft_that_cannot_be_applied_any_more_waits_on() {
    let service = Service::start();
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 5)]));
    let (exit, out, err) = {
        std::fs::write(service.data().join("less.toml"), campaign("c-1", &[DropFile::open("d-1", 1)]))
            .expect("written");
        service.campaign(&["draft", &service.data().join("less.toml").to_string_lossy()])
    };
    assert_eq!(exit, 0, "{out}{err}");
    assert!(out.contains("stock 5 to 1") && out.contains("drafted by admin token"), "{out}");
    for person in ["ann", "bob"] {
        assert_eq!(service.claim("d-1", &service.ticket("d-1", person)).status, 201);
    }
    let (exit, _, err) = service.campaign(&["approve", "c-1"]);
    assert!(exit == 1 && err.contains("below what is claimed"), "{err}");
    let (_, out, _) = service.campaign(&["drafts"]);
    assert!(out.contains("waiting"), "{out}");
    assert_eq!(service.drop_state("d-1").json()["stock_total"], 5);
    audited(&service);
}

#[test]
fn a_copy_is_drafted_with_ids_and_times_of_its_own() {
    let service = Service::start();
    service.apply_ok(&campaign(
        "spring",
        &[DropFile::open("spring-a", 5), DropFile::open("other", 7).not_open()],
    ));
    let (exit, out, err) = service.campaign(&["copy", "spring", "autumn", "--opens-at", "+3600"]);
    assert_eq!(exit, 0, "{out}{err}");
    let (_, out, _) = service.campaign(&["drafts", "autumn"]);
    let draft: Value = serde_json::from_str(&out).expect("JSON");
    let ids: Vec<_> =
        draft["drops"].as_array().expect("a list").iter().map(|drop| drop["id"].clone()).collect();
    assert_eq!(ids, ["autumn-a", "autumn-other"]);
    let (exit, out, err) = service.campaign(&["approve", "autumn"]);
    assert_eq!(exit, 0, "one alone is enough by default: {out}{err}");
    assert_eq!(service.drop_state("autumn-a").text("state"), "scheduled");
    let (exit, _, err) = service.campaign(&["copy", "spring", "autumn", "--opens-at", "+9"]);
    assert!(exit == 1 && err.contains("there is a campaign \"autumn\" already"), "{err}");
}

#[test]
fn a_copy_gives_no_two_drops_one_id() {
    let service = Service::start();
    let drops = [DropFile::open("sp-x", 5), DropFile::open("x", 7), DropFile::open("spring", 9)];
    service.apply_ok(&campaign("sp", &drops));
    let (exit, out, err) = service.campaign(&["copy", "sp", "su", "--opens-at", "+3600"]);
    assert_eq!(exit, 0, "{out}{err}");
    let draft: Value = serde_json::from_str(&service.campaign(&["drafts", "su"]).1).expect("JSON");
    let drops = draft["drops"].as_array().expect("a list").iter();
    let stocks: Vec<_> = drops.map(|drop| (drop["id"].as_str().expect("text"), &drop["stock"])).collect();
    assert_eq!(stocks, [("su-sp-x", &5.into()), ("su-x", &7.into()), ("su-spring", &9.into())]);
    let (exit, out, err) = service.campaign(&["approve", "su"]);
    assert_eq!(exit, 0, "{out}{err}");
    for (drop, stock) in [("su-sp-x", 5), ("su-x", 7)] {
        assert_eq!(service.drop_state(drop).json()["stock_total"], stock);
    }
    audited(&service);
}

#[test]
fn a_draft_tells_everything_that_it_would_change() {
    let service = Service::start_with(&[("backoffice.approval", "two-person")], &[]);
    let (ann, bob) = (key(&service, "operator", "Ann"), key(&service, "approver", "Bob"));
    let rules = "eligibility = { regions = [\"53\"], one_per_campaign = true }\n[[drop]]";
    let plain = campaign("c-1", &[DropFile::open("d-1", 5), DropFile::open("d-3", 5)]);
    let file = plain.replacen("[[drop]]", rules, 1);
    let draft = |text: &str| call(&service, &ann, "POST", "/admin/v1/drafts", text);
    let new = draft(&file);
    assert_eq!(new.status, 200);
    // Of what is new all is said, so that nobody approves what they cannot see.
    let told = |list: &Value| -> Vec<String> {
        list.as_array()
            .expect("a list")
            .iter()
            .map(|line| line.as_str().expect("a text").to_owned())
            .collect()
    };
    for (list, lines) in [
        (
            &new.json()["rules"],
            &[
                "eligibility: regions [\"53\"]",
                "eligibility: one_per_campaign true",
                "redemption: unused recycled",
            ][..],
        ),
        (
            &new.json()["drops"][1]["terms"],
            &[
                "voucher: threshold 5.00",
                "voucher: valid_for 7d",
                "voucher: merchants: region all",
                "funded_by budget",
            ],
        ),
    ] {
        for line in lines {
            assert!(told(list).iter().any(|told| told == line), "{line}: {list}");
        }
    }
    let approve = |seen: u32| {
        let body = format!(r#"{{"revision":{seen}}}"#);
        call(&service, &bob, "POST", "/admin/v1/drafts/c-1/approve", &body)
    };
    assert_eq!(approve(1).status, 200);
    // Behind a stock that rises: nobody has to be at home in Yunnan any more, and one person may win twice.
    let open =
        plain.replace("stock = 5", "stock = 6").replace("彩云", "彩云之南").replace("\"7d\"", "\"8d\"");
    let told = draft(&open);
    let expected = serde_json::json!([
        "drop d-1: stock 5 to 6",
        "drop d-3: stock 5 to 6",
        "drop d-1: voucher: valid_for 7d to 8d",
        "drop d-3: voucher: valid_for 7d to 8d",
        "name \"彩云\" to \"彩云之南\"",
        "eligibility: regions [\"53\"] to none",
        "eligibility: one_per_campaign true to false",
    ]);
    assert_eq!((told.status, &told.json()["changes"]), (200, &expected));
    let seen = call(&service, &bob, "GET", "/admin/v1/drafts/c-1", "");
    assert_eq!(seen.json()["changes"], expected);
    let (_, out, _) = service.campaign(&["drafts", "c-1"]);
    assert!(out.contains("one_per_campaign true to false"), "{out}");
    let approved = approve(3);
    assert_eq!((approved.status, &approved.json()["changes"]), (200, &expected));
    audited(&service);
}

#[test]
fn a_campaign_cannot_be_moved_to_where_no_calendar_reaches() {
    let service = Service::start();
    let file = campaign("c-1", &[DropFile::open("d-1", 5)]);
    service.apply_ok(&file);
    let token = admin_token(&service);
    for at in ["-9223372036854775808", "0", "281474976710656", "9223372036854775807"] {
        for path in ["campaigns", "drafts"] {
            let path = format!("/admin/v1/{path}?opens_at_ms={at}");
            let moved = call(&service, &token, "POST", &path, &file);
            refused(&moved, 422, "campaign_refused", "in the years 1970 to 9999");
        }
        let body = format!(r#"{{"id":"c-2","opens_at_ms":{at}}}"#);
        let copy = call(&service, &token, "POST", "/admin/v1/campaigns/c-1/copy", &body);
        refused(&copy, 422, "campaign_refused", "in the years 1970 to 9999");
    }
    // Nothing of it stands: campaigns are loaded as before.
    assert_eq!(call(&service, &token, "GET", "/admin/v1/recovery", "").status, 200);
    audited(&service);
}

#[test]
fn a_campaign_that_ended_is_closed_for_good() {
    let mut service = Service::start();
    let drops = [DropFile::open("d-1", 5), DropFile::open("later", 5).not_open()];
    service.apply_ok(&campaign("c-1", &drops));
    let (ann, bob) = (service.ticket("d-1", "ann"), service.ticket("d-1", "bob"));
    let first = service.claim("d-1", &ann);
    assert_eq!(first.status, 201);
    // Also while it is paused, which would otherwise answer that it goes on soon.
    service.campaign(&["pause", "c-1"]);
    let (exit, out, err) = service.campaign(&["end", "c-1"]);
    assert_eq!((exit, out.as_str()), (0, "c-1 is ended\n"), "{err}");
    let closed = |service: &Service| {
        for (drop, ticket) in [("d-1", &bob), ("later", &service.ticket("later", "bob"))] {
            let answer = service.claim(drop, ticket);
            assert_eq!((answer.status, answer.code().as_str()), (410, "closed"), "{drop}");
            assert_eq!(service.drop_state(drop).text("state"), "closed");
        }
        let again = service.claim("d-1", &ann);
        assert_eq!(
            (again.status, again.text("claim_id")),
            (200, first.text("claim_id")),
            "who has one keeps it"
        );
    };
    closed(&service);
    for args in [&["resume", "c-1"][..], &["pause", "c-1"]] {
        let (exit, _, err) = service.campaign(args);
        assert!(exit == 1 && err.contains("has ended, for good"), "{err}");
    }
    let (exit, _, err) =
        service.apply(&campaign("c-1", &[DropFile::open("d-1", 9), DropFile::open("later", 5)]));
    assert!(exit == 1 && err.contains("has ended, for good"), "{err}");
    assert_eq!(service.campaign(&["end", "c-1"]).0, 0, "twice is the same as once");
    assert!(service.campaign(&["list"]).1.contains("ended"));
    audited(&service);
    service.stop();
    service.restart();
    closed(&service);
    audited(&service);
}

#[test]
fn merchants_come_from_a_file_and_are_reviewed_by_another() {
    let service = Service::start();
    let work = service.data();
    let run =
        |args: &[&str]| outcome(&service.command(&[&["merchant"], args].concat()).output().expect("it runs"));
    let path = work.join("merchants.csv");
    let import = |text: &str, more: &[&str]| {
        std::fs::write(&path, text).expect("it is written");
        run(&[&["import", &path.to_string_lossy()], more].concat())
    };
    let head = "id,name,category,region,shop_id\n";
    let (exit, _, err) =
        import(&format!("{head}m-1,n,F5211,530102,s\nm-2,n,colour,53,s\nM,n,F,530102,s\n"), &[]);
    assert_eq!(exit, 1);
    for words in [
        "merchants.csv: 3 flaws; nothing was entered",
        "line 3, category: must be a code",
        "line 4, id: may not",
    ] {
        assert!(err.contains(words), "{words}: {err}");
    }
    // As Excel saves it, with an empty line in it.
    let (_, _, err) =
        import(&format!("{head}\nm-1,n,F5211,530102,s\nM,n,F,530102,s\n").replace('\n', "\r\n"), &[]);
    assert!(err.contains("line 4, id: may not"), "{err}");
    assert_eq!(run(&["list"]).1, "no merchants\n");
    let good = format!("{head}m-1,超市,F5211,530102,s-1\nm-1,超市,F5211,530102,s-2\n");
    let (exit, out, _) = import(&good, &["--dry-run"]);
    assert_eq!(
        (exit, out.as_str()),
        (0, "2 rows: 1 new, 0 changed, 0 unchanged merchants would be entered\n")
    );
    assert_eq!(run(&["list"]).1, "no merchants\n");

    let (ann, bob) = (key(&service, "operator", "Ann"), key(&service, "approver", "Bob"));
    let entered = call(&service, &ann, "POST", "/admin/v1/merchants", &good);
    assert_eq!(
        (entered.status, &entered.json()["new"]),
        (200, &serde_json::json!(["m-1"])),
        "{}",
        entered.json()
    );
    let step = |who: &str, step: &str, body: &str| {
        call(&service, who, "POST", &format!("/admin/v1/merchants/m-1/{step}"), body)
    };
    refused(&step(&bob, "activate", ""), 409, "merchant_refused", "applied cannot be activated");
    refused(&step(&ann, "review", ""), 403, "forbidden", "operator");
    // Between Bob's look and his review Ann enters something else: what is reviewed is what was looked at.
    let seen = call(&service, &bob, "GET", "/admin/v1/merchants/m-1", "");
    assert_eq!((&seen.json()["revision"], &seen.json()["proposed"]["region"]), (&1.into(), &"530102".into()));
    let other = good.replace("530102", "530103");
    assert_eq!(call(&service, &ann, "POST", "/admin/v1/merchants", &other).status, 200);
    refused(&step(&bob, "review", ""), 409, "merchant_refused", "name the revision");
    refused(&step(&bob, "review", r#"{"revision":1}"#), 409, "merchant_refused", "it is at revision 2");
    assert_eq!(step(&bob, "review", r#"{"revision":2}"#).text("status"), "reviewed");
    assert_eq!(step(&bob, "activate", "").text("status"), "active");
    assert!(run(&["list"]).1.contains("active"));
    refused(&step(&ann, "suspend", r#"{"reason":" "}"#), 400, "bad_request", "reason: must have");
    let suspended = step(&ann, "suspend", r#"{"reason":"complaints"}"#);
    assert_eq!(
        (suspended.text("status"), suspended.text("reason")),
        ("suspended".into(), "complaints".into())
    );
    refused(
        &call(&service, &bob, "GET", "/admin/v1/merchants/nobody", ""),
        404,
        "unknown_merchant",
        "nobody",
    );
    let broken = call(&service, &ann, "POST", "/admin/v1/merchants", "id\n");
    assert_eq!((broken.status, broken.code().as_str()), (422, "import_refused"));
    assert_eq!(broken.json()["errors"][0]["what"], "this column is missing", "{}", broken.json());
    audited(&service);
}

#[test]
fn a_workbook_whose_last_cell_is_far_away_is_refused_and_harms_nobody() {
    let service = Service::start();
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    sheet.write_row(0, 0, ["id", "name", "category", "region"]).expect("it fits");
    sheet.write_row(1, 0, ["m-1", "n", "F52", "530102"]).expect("it fits");
    sheet.write_string(1_048_575, 16_383, "x").expect("it fits");
    let path = service.data().join("merchants.xlsx");
    std::fs::write(&path, book.save_to_buffer().expect("it is made")).expect("it is written");
    let mut command = service.command(&["merchant", "import", &path.to_string_lossy(), "--dry-run"]);
    let (exit, out, err) = outcome(&command.output().expect("it runs"));
    assert_eq!((exit, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("line 1048576: cell XFD1048576 is not empty"), "{err}");
    let (exit, out, err) = outcome(&service.command(&["merchant", "list"]).output().expect("it runs"));
    assert_eq!((exit, out.as_str()), (0, "no merchants\n"), "it is there as before: {err}");
}
