//! Values that a campaign file's `redemption` and `funded_by` cannot have: refused by the built binary with line and key, and
//! nothing is changed by them.

use crate::support::campaign::{DropFile, campaign};
use crate::support::service::Service;

/// Line 5 of a file holds the rules, line 6 begins the drop, line 13 its source of money.
fn with(redemption: &str, funded_by: &str) -> String {
    let file = campaign("c", &[DropFile::open("d-1", 5)]);
    let file = file.replacen("[[drop]]", &format!("redemption = {redemption}\n[[drop]]"), 1);
    if funded_by.is_empty() { file } else { format!("{file}funded_by = {funded_by}\n") }
}

/// What stands, and since which revision.
fn stands(service: &Service) -> (String, String) {
    (service.campaign(&["show", "c"]).1, service.campaign(&["list"]).1)
}

fn refused(service: &Service, file: &str, line: usize, words: &[&str]) {
    let before = stands(service);
    let length = chain_length(service);
    std::fs::write(service.data().join("draft.toml"), file).expect("written");
    let path = service.data().join("draft.toml");
    let draft = service.campaign(&["draft", &path.to_string_lossy()]);
    for (exit, out, err) in [service.apply(file), draft] {
        assert_eq!((exit, out.as_str()), (1, ""), "{file}: {err}");
        assert!(err.contains(&format!("line {line}: ")) && err.lines().count() == 1, "{file}: {err}");
        for word in words {
            assert!(err.contains(word), "{word:?}: {err}");
        }
    }
    assert_eq!(stands(service), before, "{file}");
    assert_eq!(chain_length(service), length, "{file}");
    assert_eq!(service.campaign(&["drafts"]).1, "no drafts\n", "{file}");
}

fn chain_length(service: &Service) -> String {
    let output = service.command(&["audit", "verify"]).output().expect("it runs");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn rules_of_redemptions_that_cannot_be_are_refused_by_name() {
    let service = Service::start();
    service.apply_ok(&with("{ reverse_within = \"15m\", person_per_day = 3 }", ""));
    let count = ["person_per_day", "person_per_merchant_per_day"];
    for key in count {
        for (value, what) in [
            ("0", "must be 1 to 10000000, is 0"),
            ("-1", "must be 1 to 10000000, is -1"),
            ("10000001", "must be 1 to 10000000, is 10000001"),
            ("99999999999999999999", ""),
            ("1.5", "must be a whole number, is a number with a point"),
            ("\"3\"", "must be a whole number, is a text"),
            ("true", "must be a whole number"),
            ("[3]", "must be a whole number, is a list"),
        ] {
            refused(&service, &with(&format!("{{ {key} = {value} }}"), ""), 5, &[what]);
        }
        refused(&service, &with(&format!("{{ {key} = 0 }}"), ""), 5, &[key]);
    }
    for (value, what) in [
        ("\"0s\"", "must be more than zero"),
        ("\"-15m\"", "is not a duration"),
        ("\"25h\"", "is more than 24h"),
        ("\"3651d\"", "is more than 3650d"),
        ("\"99999999999999999999d\"", "is more than 3650d"),
        ("\"15\"", "is not a duration"),
        ("\"\"", "must not be empty"),
        ("15", "must be a text in quotes, is a whole number"),
    ] {
        let file = with(&format!("{{ reverse_within = {value} }}"), "");
        refused(&service, &file, 5, &["redemption: reverse_within", what]);
    }
    for (key, words) in [("unused", "is not one of recycled, treasury"), ("code", "is not one of any, qr")] {
        for value in ["\"sponsor\"", "\"QR \"", "\"Recycled\""] {
            refused(&service, &with(&format!("{{ {key} = {value} }}"), ""), 5, &["redemption", key, words]);
        }
        for value in ["0", "-1", "true", "[\"qr\"]"] {
            let words = &["redemption", key, "must be a text in quotes"];
            refused(&service, &with(&format!("{{ {key} = {value} }}"), ""), 5, words);
        }
    }
    refused(&service, &with("{ per_day = 3 }", ""), 5, &["redemption: unknown key \"per_day\""]);
    for value in ["\"15m\"", "3", "[]"] {
        refused(&service, &with(value, ""), 5, &["redemption: must be a table"]);
    }
    // The largest values are values.
    let said = service.apply_ok(&with(
        "{ reverse_within = \"24h\", person_per_day = 10000000, person_per_merchant_per_day = 1, unused = \"treasury\", code = \"qr\" }",
        "",
    ));
    assert!(said.contains("redemption: reverse_within 900s to 86400s"), "{said}");
}

#[test]
fn sources_of_money_that_cannot_be_are_refused_by_name() {
    let service = Service::start();
    service.apply_ok(&with("{ unused = \"recycled\" }", ""));
    let rules = "{ unused = \"recycled\" }";
    for (value, what) in [
        ("\"nobody\"", "is not one of budget, recycled"),
        ("\"Recycled\"", "is not one of budget, recycled"),
        ("\"\"", "must not be empty"),
        ("0", "must be a text in quotes, is a whole number"),
        ("-1", "must be a text in quotes, is a whole number"),
        ("true", "must be a text in quotes"),
        ("[\"recycled\"]", "must be a text in quotes, is a list"),
    ] {
        refused(&service, &with(rules, value), 13, &["drop \"d-1\": funded_by", what]);
    }
    // Nothing has come back, and the budget stays what it is for: a wave of recycled money is not covered by it.
    let more = |stock: u32, funded_by: &str| {
        let both = campaign("c", &[DropFile::open("d-1", 5), DropFile::open("d-2", stock)]);
        let both = both.replacen("[[drop]]", &format!("redemption = {rules}\n[[drop]]"), 1);
        format!("{}funded_by = \"{funded_by}\"\n", both.replace("1000000.00", "5.00"))
    };
    service.apply_ok(&with(rules, "").replace("1000000.00", "5.00"));
    let before = stands(&service);
    for stock in [1, 10_000_000] {
        let (exit, out, err) = service.apply(&more(stock, "recycled"));
        assert_eq!((exit, out.as_str()), (1, ""), "{err}");
        let short = format!("what came back is {stock}.00 short of the drops that are funded by it");
        assert!(err.contains(&short) && err.lines().count() == 1, "{err}");
        let (exit, _, err) = service.apply(&more(stock, "budget"));
        assert!(exit == 1 && err.contains("above the budget of 5.00 CNY"), "{err}");
        assert_eq!(stands(&service), before);
    }
    assert_eq!(service.drop_state("d-2").status, 404);
    let (exit, out, _) = service.campaign(&["drafts"]);
    assert_eq!((exit, out.as_str()), (0, "no drafts\n"));
}
