//! Files that are read, changed and refused.

use std::{fs, time::Duration};

use super::*;
use crate::scenario::{Behaviour, Method, Persona, Tickets};

const GOOD: &str = r#"name = "good"
seed = 9
thresholds = ["p99 < 5ms"]

[[drop]]
id = "a"

[arrivals]
profile = "constant"
rate = 100
duration = "5s"

[tickets]
source = "mint"
key_file = "ticket.key"

[[persona]]
kind = "honest"

[[persona]]
name = "farm"
kind = "bot"
weight = 2
tickets = { valid = 1, forged = 1 }
"#;

fn load_text(text: &str, overrides: &[&str]) -> Result<Scenario> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("good.toml");
    fs::write(&path, text).unwrap();
    let overrides: Vec<_> = overrides.iter().map(|&change| change.to_owned()).collect();
    load(&path, &overrides)
}

#[track_caller]
fn refused(text: &str, overrides: &[&str], expected: &str) {
    let error = format!("{:#}", load_text(text, overrides).unwrap_err());
    assert!(error.contains(expected), "{error}\ndoes not say\n{expected}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

/// The good file with one text in place of another.
#[track_caller]
fn refused_with(old: &str, new: &str, expected: &str) {
    assert!(GOOD.contains(old), "{old}");
    refused(&GOOD.replacen(old, new, 1), &[], expected);
}

#[test]
fn what_is_not_said_has_its_default() {
    let scenario = load_text(GOOD, &[]).unwrap();
    assert_eq!(scenario.service.url, "http://127.0.0.1:8080");
    assert_eq!(scenario.personas[0], Persona::honest());
    assert_eq!((scenario.personas[1].title(), scenario.personas[1].weight), ("farm", 2));
    let Behaviour::Bot { requests: 5, tickets, .. } = &scenario.personas[1].behaviour else {
        panic!("{:?}", scenario.personas[1]);
    };
    assert_eq!((tickets.valid, tickets.forged, tickets.missing), (1, 1, 0));
}

#[test]
fn a_scenario_survives_the_way_as_json() {
    let scenario = load_text(GOOD, &[]).unwrap();
    let json = serde_json::to_string(&scenario).unwrap();
    assert_eq!(serde_json::from_str::<Scenario>(&json).unwrap(), scenario);
}

#[test]
fn overrides_change_single_keys() {
    let changes = [
        "seed=7",
        "arrivals.rate = 5000",
        "service.url=http://127.0.0.1:9999",
        "drop.0.id=x",
        "drop.1.id=y",
        "arrivals.duration=90s",
        "thresholds=[]",
        "thresholds.0=granted.p99 < 1s",
        "persona.1.tickets.expired=3",
        "connections.slow={ round_trip = \"1s\", bytes_per_second = 100 }",
        "tickets.prefix=again-",
    ];
    let scenario = load_text(GOOD, &changes).unwrap();
    assert_eq!((scenario.seed, scenario.service.url.as_str()), (7, "http://127.0.0.1:9999"));
    assert_eq!(scenario.drops.iter().map(|drop| drop.id.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    let Arrivals::Constant { rate, duration, .. } = scenario.arrivals else {
        panic!("{:?}", scenario.arrivals);
    };
    assert_eq!((rate, duration.as_secs()), (5_000.0, 90));
    assert_eq!(scenario.thresholds, ["granted.p99 < 1s"]);
    assert_eq!(scenario.connections.slow.unwrap().bytes_per_second, 100);
    assert!(matches!(&scenario.tickets, Tickets::Mint { prefix, .. } if prefix == "again-"));
    let Behaviour::Bot { tickets, .. } = &scenario.personas[1].behaviour else {
        panic!("{:?}", scenario.personas[1]);
    };
    assert_eq!(tickets.expired, 3);
}

#[test]
fn another_kind_of_request_and_a_part_of_a_ticket_file_can_be_asked_for() {
    let tickets = r#"tickets={ source = "file", path = "t", skip = 10, uses = 5, repeat = true }"#;
    let changes = [
        "service.method=GET",
        "service.claim_path=/EVALSHA/ab/1/{drop}/person-{line}",
        "connections.retry_unknown_for=0s",
        tickets,
    ];
    let scenario = load_text(GOOD, &changes).unwrap();
    assert_eq!(scenario.service.method, Method::Get);
    assert_eq!(scenario.connections.retry_unknown_for, Some(Duration::ZERO));
    assert_eq!(scenario.tickets, Tickets::File { path: "t".into(), skip: 10, uses: Some(5), repeat: true });
    let plain = load_text(GOOD, &[]).unwrap();
    assert_eq!((plain.service.method, plain.connections.retry_unknown_for), (Method::Post, None));
}

#[test]
fn bad_overrides_are_named() {
    for (change, expected) in [
        ("service.method=FETCH", "service.method: unknown variant `FETCH`, expected one of `GET`, `POST`"),
        (
            "connections.retry_unknown_for=25h",
            "connections.retry_unknown_for: 1day 1h is not allowed: up to 24h",
        ),
        (r#"tickets={ source = "file", path = "t", uses = 0 }"#, "tickets.uses: 0 is not allowed: from 1 to"),
        ("seed", "--set seed: key=value is needed"),
        ("=1", "--set =1: the key needs"),
        ("drop.2.id=x", "--set drop.2.id=x: 2 is no place in a list of 1: 0 to 1 are"),
        ("seed.deep=1", "--set seed.deep=1: deep cannot be set in a integer"),
        (
            "arrivals.rate=many",
            "--set arrivals.rate=many: arrivals.rate: invalid type: string \"many\", expected f64",
        ),
        (
            "arrivals.rate=0",
            "--set arrivals.rate=0: arrivals.rate: 0 is not allowed: above 0 and up to 10000000",
        ),
        (
            "arrivals.speed=2",
            "--set arrivals.speed=2: arrivals.speed: unknown field `speed`, expected one of",
        ),
        ("a.b.c.d.e.f.g.h.i=1", "1 to 8 names"),
    ] {
        refused(GOOD, &[change], expected);
    }
}

#[test]
fn unknown_keys_and_wrong_types_are_named_with_their_line() {
    for (old, new, expected) in [
        ("seed = 9", "sed = 9", "good.toml:2: sed: unknown field `sed`, expected one of `name`"),
        ("seed = 9", "seed = -9", "good.toml:2: seed: invalid value"),
        ("seed = 9", "seed =", "good.toml:2: "),
        ("id = \"a\"", "id = \"a\"\nwieght = 1", "good.toml:7: drop.0.wieght: unknown field `wieght`"),
        (
            "rate = 100",
            "rate = \"x\"",
            "good.toml:10: arrivals.rate: invalid type: string \"x\", expected f64",
        ),
        (
            "rate = 100",
            "rat = 100",
            "good.toml:10: arrivals.rat: unknown field `rat`, expected one of `rate`",
        ),
        ("rate = 100\n", "", "good.toml:8: arrivals: missing field `rate`"),
        (
            "\"5s\"",
            "5",
            "good.toml:11: arrivals.duration: invalid type: integer `5`, expected a length of time",
        ),
        ("\"5s\"", "\"5 parsecs\"", "expected a length of time such as \"500ms\""),
        (
            "\"constant\"",
            "\"burst\"",
            "good.toml:9: arrivals.profile: unknown variant `burst`, expected one of `spike`",
        ),
        (
            "weight = 2",
            "wait = 2",
            "good.toml:23: persona.1.wait: unknown field `wait`, expected one of `requests`",
        ),
        ("weight = 2", "weight = -2", "good.toml:23: persona.1.weight: invalid value"),
        ("forged = 1", "faked = 1", "good.toml:24: persona.1.tickets.faked: unknown field `faked`"),
        ("kind = \"honest\"", "", "good.toml:17: persona.0: missing field `kind`"),
        ("kind = \"honest\"", "kind = \"nice\"", "good.toml:18: persona.0.kind: unknown variant `nice`"),
        ("[tickets]", "[tockets]", "good.toml:13: tockets: unknown field `tockets`"),
    ] {
        refused_with(old, new, expected);
    }
}

#[test]
fn every_limit_names_its_key_and_what_is_allowed() {
    for (old, new, expected) in [
        ("name = \"good\"", "name = \"go od\"", "good.toml:1: name: \"go od\" is no name"),
        ("rate = 100", "rate = nan", "good.toml:10: arrivals.rate: NaN is not allowed"),
        ("rate = 100", "rate = 10000001", "up to 10000000 arrivals a second"),
        ("\"5s\"", "\"0s\"", "good.toml:11: arrivals.duration: 0s is not allowed"),
        ("\"5s\"", "\"25h\"", "arrivals.duration: 1day 1h is not allowed: up to 24h is"),
        ("id = \"a\"", "id = \"A\"", "good.toml:6: drop.0.id: \"A\" is no drop's id"),
        ("id = \"a\"", "id = \"\"", "drop.0.id: \"\" is no drop's id"),
        ("id = \"a\"", "id = \"a\"\nweight = 0", "good.toml:5: drop: all weights are 0"),
        ("[arrivals]", "[[drop]]\nid = \"a\"\n[arrivals]", "drop.1.id: \"a\" is there twice"),
        (
            "p99 < 5ms",
            "p98 < 5ms",
            "good.toml:3: thresholds.0: \"p98 < 5ms\": column 1: \"p98\" is no metric",
        ),
        ("p99 <", "persona.crowd.p99 <", "there is no persona crowd; there are honest, farm"),
        ("{ valid = 1, forged = 1 }", "{ valid = 0 }", "good.toml:24: persona.1.tickets: all weights are 0"),
        ("weight = 2", "requests = 0", "good.toml:23: persona.1.requests: 0 is not allowed: from 1 to"),
        ("weight = 2", "addresses = [\"10.0.0.1\"]", "persona.1.addresses: 10.0.0.1 is no loopback address"),
        ("name = \"farm\"", "name = \"honest\"", "persona.1.name: \"honest\" is there twice"),
        ("\"ticket.key\"", "\"\"", "tickets.key_file: it is empty"),
        ("\"ticket.key\"", "\"k\"\nprefix = \"a b\"", "tickets.prefix: \"a b\" is not allowed"),
        ("\"ticket.key\"", "\"k\"\npersons = 0", "tickets.persons: 0 is not allowed"),
    ] {
        refused_with(old, new, expected);
    }
    for (change, expected) in [
        ("connections.count=0", "connections.count: 0 is not allowed: from 1 to 1000000 is"),
        ("connections.count=1000001", "from 1 to 1000000 is"),
        ("connections.reply_wait=0s", "connections.reply_wait: 0s is not allowed"),
        ("service.url=https://a", "allowed is http://host:port"),
        ("service.url=http://a/b", "allowed is http://host:port"),
        ("service.claim_path=claims", "service.claim_path: \"claims\" is no path"),
        ("arrivals={profile=\"spike\", people=50000001, release_after=\"1s\"}", "arrivals.people"),
        (
            "arrivals={profile=\"spike\", people=1, release_after=\"1s\", early=1.1}",
            "arrivals.early: 1.1 is not",
        ),
        ("arrivals={profile=\"spike\", people=1, release_after=\"1s\", latest=\"1ms\"}", "arrivals.latest"),
        (
            "arrivals={profile=\"soak\", rate=1, duration=\"1m\", wave=1.5}",
            "arrivals.wave: 1.5 is not allowed",
        ),
        ("arrivals={profile=\"soak\", rate=1, duration=\"1s\"}", "arrivals.ramp_up: it is not shorter"),
        ("arrivals={profile=\"ramp\", from=0, to=0, duration=\"1s\"}", "arrivals.to: nobody comes"),
        ("arrivals={profile=\"stairs\", rates=[], step=\"1s\"}", "arrivals.rates: 0 is not allowed: from 1"),
        ("arrivals={profile=\"stairs\", rates=[1,-1], step=\"1s\"}", "arrivals.rates.1: -1 is not allowed"),
        ("arrivals={profile=\"stairs\", rates=[1,1], step=\"13h\"}", "arrivals.step: all steps together"),
        ("arrivals={profile=\"trace\", file=\"t\", speed=0}", "arrivals.speed: 0 is not allowed"),
        ("arrivals={profile=\"closed\", duration=\"1s\", people=0}", "arrivals.people: 0 is not allowed"),
    ] {
        refused(GOOD, &[change], expected);
    }
    let file = GOOD.replace("source = \"mint\"\nkey_file", "source = \"file\"\npath");
    assert!(load_text(&file, &[]).is_ok());
    refused(&file, &["drop.1.id=b"], "tickets.source: a ticket file serves one drop");
}

#[test]
fn tickets_of_the_desk_say_who_people_are() {
    const DESK: &str = "source = \"desk\"\nidentity_keys = \"keys.json\"";
    let desk = GOOD.replace("source = \"mint\"\nkey_file = \"ticket.key\"", DESK);
    let farm = |key: &str| desk.replace("weight = 2", &format!("weight = 2\n{key}"));
    refused(&desk, &[], "tickets.persons: it is missing: only a spike says how many people come");
    let told = load_text(&farm("identity = { account_age = \"30d\" }"), &["tickets.persons=500"]).unwrap();
    assert_eq!((told.desk_persons(), told.personas[1].identity.accounts_per_phone), (Some(500), 1));
    let spike = "arrivals={profile=\"spike\",people=70,release_after=\"1s\"}";
    assert_eq!(load_text(&desk, &[spike]).unwrap().desk_persons(), Some(70));
    let persons = &["tickets.persons=5"];
    refused(&desk, &["tickets.persons=0"], "tickets.persons");
    refused(&desk, &["tickets.persons=5", "tickets.wait=0s"], "tickets.wait: 0s is not allowed");
    refused(
        &desk,
        &["tickets.persons=5", "tickets.identity_keys=\"\""],
        "tickets.identity_keys: it is empty",
    );
    refused(
        &farm("identity = { region = \"53 01\" }"),
        persons,
        "persona.1.identity.region: \"53 01\" is no region",
    );
    refused(&farm("forwarded_for = [\"10.0.0.1/8\"]"), persons, "bits behind its first 8 are set");
    let minted = GOOD.replace("weight = 2", "weight = 2\nidentity = { accounts_per_phone = 9 }");
    refused(&minted, &[], "persona.1.identity: only tickets from the desk");
}

#[test]
fn a_path_without_the_drop_is_a_path_too() {
    assert!(load_text(GOOD, &["service.claim_path=/buy"]).is_ok());
}

#[test]
fn a_trace_is_sought_beside_its_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replay.toml");
    fs::write(&path, GOOD).unwrap();
    let change = "arrivals={profile=\"trace\", file=\"day.csv\"}".to_owned();
    let Arrivals::Trace { file, speed } = load(&path, &[change]).unwrap().arrivals else {
        panic!("it is a trace");
    };
    assert_eq!((file, speed), (folder.path().join("day.csv"), 1.0));
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let error = load(Path::new("no-such-scenario.toml"), &[]).unwrap_err();
    assert!(format!("{error:#}").contains("scenario no-such-scenario.toml: No such file"));
    let huge = "#".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1);
    refused(&huge, &[], "larger than 1048576 bytes");
}
