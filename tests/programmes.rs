//! The sample campaigns of `deploy/campaigns`: each is applied as it stands, and has the figures that were published.

mod played;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::folder;
use crate::support::http::{Client, bearer};
use crate::support::mmdb::{Table, place};
use crate::support::service::Service;

/// A file, its budget, how many drops it stands for, and some of them with voucher, stock and limit per person.
struct Sample {
    file: &'static str,
    budget: &'static str,
    drops: usize,
    first: &'static [(&'static str, [&'static str; 2], u64, u64)],
}

const SAMPLES: [Sample; 7] = [
    Sample {
        file: "caiyun-2023",
        budget: "4000000.00",
        drops: 4,
        first: &[
            ("caiyun-50-10", ["50.00", "10.00"], 120_000, 1),
            ("caiyun-100-25", ["100.00", "25.00"], 40_000, 1),
            ("caiyun-200-50", ["200.00", "50.00"], 20_000, 1),
            ("caiyun-300-80", ["300.00", "80.00"], 10_000, 1),
        ],
    },
    Sample {
        file: "yunnan-2022",
        budget: "2500000.00",
        drops: 10,
        first: &[("yunnan-2022-100-25-01", ["100.00", "25.00"], 10_000, 1)],
    },
    Sample {
        file: "hangzhou-2020",
        budget: "20000000.00",
        drops: 4,
        first: &[("hangzhou-2020-01", ["40.00", "10.00"], 500_000, 5)],
    },
    Sample {
        file: "hangzhou-2022",
        budget: "185000000.00",
        drops: 3,
        first: &[
            ("hangzhou-2022-20-5", ["20.00", "5.00"], 2 * 3_700_000, 2),
            ("hangzhou-2022-40-10", ["40.00", "10.00"], 2 * 3_700_000, 2),
            ("hangzhou-2022-80-20", ["80.00", "20.00"], 3_700_000, 1),
        ],
    },
    Sample {
        file: "guangxi",
        budget: "12000000.00",
        drops: 30,
        first: &[("guangxi-01", ["80.00", "20.00"], 20_000, 1)],
    },
    Sample {
        file: "jinan",
        budget: "1000000.00",
        drops: 1,
        first: &[("jinan-01", ["100.00", "20.00"], 50_000, 1)],
    },
    Sample {
        file: "shanghai-2025",
        budget: "192960000.00",
        drops: 3,
        first: &[
            ("shanghai-2025-300-90", ["300.00", "90.00"], 864_000 / 3, 1),
            ("shanghai-2025-500-180", ["500.00", "180.00"], 864_000 / 3, 1),
            ("shanghai-2025-1000-400", ["1000.00", "400.00"], 864_000 / 3, 1),
        ],
    },
];

fn path(file: &str) -> PathBuf {
    PathBuf::from(format!("{}/deploy/campaigns/{file}.toml", env!("CARGO_MANIFEST_DIR")))
}

fn text(file: &str) -> String {
    std::fs::read_to_string(path(file)).expect("a sample")
}

fn fen(amount: &str) -> u64 {
    amount.replace('.', "").parse().expect("an amount")
}

#[test]
fn every_sample_is_applied_as_it_stands_and_spends_its_budget_to_the_fen() {
    let tables = folder();
    let table = tables.path().join("regions.mmdb");
    let yunnan = Table::of("GeoLite2-City", &[("192.0.2.0/24", place("CN", &["YN"]))]);
    std::fs::write(&table, yunnan).expect("it is written");
    let service = Service::start_with(&[("guard.region_table", table.to_str().expect("a path"))], &[]);
    let files = std::fs::read_dir(path("x").parent().expect("a folder")).expect("it is there").count();
    assert_eq!(files, SAMPLES.len(), "each file has its row");
    for Sample { file, budget, drops, first } in SAMPLES {
        for outcome in ["created", "unchanged"] {
            let (exit, out, err) = service.campaign(&["apply", &path(file).to_string_lossy()]);
            assert_eq!((exit, err.as_str()), (0, ""), "{file}");
            assert!(out.lines().next().expect("a line").ends_with(outcome), "{file}: {out}");
        }
        let id =
            text(file).lines().find_map(|line| line.strip_prefix("id = ")).expect("an id").replace('"', "");
        let shown =
            Client::connect(service.address()).call("GET", &format!("/v1/campaigns/{id}"), &[], b"").json();
        let of = shown["drops"].as_array().expect("a list");
        let number = |drop: &Value, field: &str| drop[field].as_u64().expect("a number");
        let worth = of.iter().map(|drop| {
            let left = number(drop, "stock_left");
            assert_eq!(left, number(drop, "stock_total"), "{file}");
            left * fen(drop["voucher"]["face"].as_str().expect("an amount"))
        });
        assert_eq!((worth.sum::<u64>(), of.len()), (fen(budget), drops), "{file}");
        assert_eq!(shown["budget"], budget, "{file}");
        for (drop, (id, [threshold, face], stock, limit)) in of.iter().zip(first) {
            let terms = (&drop["voucher"]["threshold"], &drop["voucher"]["face"]);
            assert_eq!((drop["id"].as_str(), terms), (Some(*id), (&json!(threshold), &json!(face))));
            assert_eq!(
                (number(drop, "stock_total"), number(drop, "limit_per_person")),
                (*stock, *limit),
                "{id}"
            );
        }
    }
}

/// A code that is shown on a photograph is taken nowhere: the QR code is good for as long as the programme says, 30 or 60 s.
#[test]
fn a_qr_code_is_good_for_as_long_as_the_programme_says() {
    for seconds in ["30", "60"] {
        let service = Service::start_with(&[("voucher.qr_valid_s", seconds)], &[]);
        let (exit, out, err) =
            service.campaign(&["apply", &path("caiyun-2023").to_string_lossy(), "--opens-at", "+0"]);
        assert_eq!((exit, err.as_str()), (0, ""), "{out}");
        let ticket = service.ticket("caiyun-50-10", "ann");
        let code = service.claim("caiyun-50-10", &ticket).text("voucher");
        let authorization = bearer(&ticket);
        let path = format!("/v1/vouchers/{code}/qr");
        let headers = [("authorization", authorization.as_str())];
        let shown = Client::connect(service.address()).call("GET", &path, &headers, b"").json();
        let seconds: i64 = seconds.parse().expect("a number");
        let valid_ms = shown["valid_ms"].as_i64().expect("a number");
        assert!(((seconds - 1) * 1_000..=seconds * 1_000).contains(&valid_ms), "{shown}");
        assert!(shown["refresh_after_ms"].as_i64().expect("a number") < valid_ms, "{shown}");
    }
}
