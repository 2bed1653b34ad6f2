//! The page says what the results say, and nothing that they smuggle in.

use serde_json::json;

use super::*;

fn rush() -> Value {
    json!({
        "drop": "caiyun-100-25", "connections": 256, "seconds": 4.21, "started_at": "2023-11-20T02:00:00Z",
        "answered_per_second": 61234.4, "claimed_per_second": 24000.0,
        "codes": {"claimed": 39998, "replayed": 2, "sold_out": 60000, "closed": 0},
        "latency_us": {"max": 812_345, "p50": 900, "p99": 9_996, "p99.9": 9_996, "p90": 3210},
        "timeline": [
            {"at_ms": 100, "answered": 8000, "claimed": 8000},
            {"at_ms": 200, "answered": 0, "claimed": 0},
            {"at_ms": 300, "answered": 4000, "claimed": 0},
        ],
    })
}

fn audit(ok: bool) -> Value {
    json!({"ok": ok, "checks": [
        {"id": "I1", "promise": "stock adds up", "compared": "40,000 = 0 + 40,000 − 0", "ok": true},
        {"id": "I3", "promise": "no gaps", "compared": "seq 40,000 against 40,000 rows", "ok": ok, "detail": "<row 7>"},
        {"id": "I9", "promise": "no forged ticket", "ok": null},
    ]})
}

#[test]
fn what_happened_is_on_the_page() {
    let sold_out =
        json!({"answered_per_second": 98000, "codes": {"sold_out": 490_000}, "latency_ms": {"p50": 1.5}});
    let page = render("A rush", &rush(), Some(&sold_out), Some(&audit(true)));
    for part in [
        "<title>A rush</title>",
        "<b>40,000</b><span>people told",
        "<b>61,234</b><span>answers a second<",
        "<b>98,000</b><span>answers a second when sold out",
        "<td>p99</td><td class=\"number\">10.0 ms</td>",
        "<td>max</td><td class=\"number\">812 ms</td>",
        "<td>p50</td><td class=\"number\">1.50 ms</td>",
        "<i class=\"granted\" style=\"height:100.0%\"",
        "<i style=\"height:0.0%\"",
        "✓ Every promise holds",
        "40,000 = 0 + 40,000 − 0",
        "– not checked",
    ] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
    assert!(!page.contains("{{"), "{page}");
    assert!(!page.contains("closed"), "a code that nobody saw needs no row");
    let [p99, p999, max] =
        ["<td>p99</td>", "<td>p99.9</td>", "<td>max</td>"].map(|mark| page.find(mark).unwrap());
    assert!(p99 < p999 && p999 < max, "percentiles ascend");
}

#[test]
fn a_broken_promise_is_the_first_thing_said() {
    let page = render("A rush", &rush(), None, Some(&audit(false)));
    assert!(page.contains("✗ A promise is broken"));
    assert!(page.contains("class=\"result bad\">✗ broken"));
    assert!(!page.contains("Every promise holds"));
}

#[test]
fn results_cannot_smuggle_markup_or_marks_in() {
    let mut hostile = rush();
    hostile["drop"] = json!("</code><script>alert(1)</script>");
    hostile["codes"] = json!({"{{footer}}": 1, "\"><img src=x>": 1});
    let page = render("{{audit}} & \"more\"", &hostile, None, Some(&audit(false)));
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<row 7>"), "{page}");
    assert!(page.contains("<title>{{audit}} &amp; &quot;more&quot;</title>"), "{page}");
    assert!(page.contains("<code>{{footer}}</code>"), "{page}");
}

#[test]
fn what_is_not_there_is_left_out() {
    let page = render("Nothing", &json!({}), Some(&json!([])), Some(&json!({"ok": true})));
    assert!(page.contains("<h1>Nothing</h1>"));
    for absent in ["<section>", "class=\"tile\"", "class=\"pair\"><section", "NaN"] {
        assert!(!page.contains(absent), "{absent} in\n{page}");
    }
}

#[test]
fn the_page_needs_no_network() {
    let page = render("A rush", &rush(), None, None);
    for outside in ["http:", "https:", "src=", "@import", "url(", "<script", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn a_long_timeline_is_summed_into_columns() {
    let points: Vec<Value> =
        (0..10_000).map(|at| json!({"at_ms": at * 10, "answered": 1, "claimed": 0})).collect();
    let page = timeline(&json!({ "timeline": points }));
    let columns = page.matches("<i ").count();
    assert!((COLUMNS_MAX / 2..=COLUMNS_MAX).contains(&columns), "{columns} columns");
}

#[test]
fn numbers_read_well() {
    for (us, words) in
        [(0.5, "0.50 µs"), (999.0, "999 µs"), (1500.0, "1.50 ms"), (9_996.0, "10.0 ms"), (2e6, "2.00 s")]
    {
        assert_eq!(duration(us), words);
    }
    for (number, words) in [(0.0, "0"), (999.0, "999"), (1000.0, "1,000"), (1_234_567.0, "1,234,567")] {
        assert_eq!(thousands(number), words);
    }
}

#[test]
fn files_are_read_and_errors_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let (rush_path, out) = (folder.path().join("rush.json"), folder.path().join("report.html"));
    fs::write(&rush_path, rush().to_string()).unwrap();
    let mut args = ReportArgs {
        rush: rush_path.clone(),
        sold_out: None,
        audit: None,
        title: "A rush".to_owned(),
        out: out.clone(),
    };
    run(&args).unwrap();
    assert!(fs::read_to_string(&out).unwrap().contains("caiyun-100-25"));

    fs::write(&rush_path, "not json").unwrap();
    assert!(run(&args).unwrap_err().to_string().ends_with("rush.json is no JSON"));
    args.audit = Some(folder.path().join("absent.json"));
    fs::write(&rush_path, "{}").unwrap();
    assert!(run(&args).unwrap_err().to_string().ends_with("absent.json"));
}
