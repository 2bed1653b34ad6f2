//! The page says what the results say, and nothing that they smuggle in.

use serde_json::json;

use super::*;

fn rush() -> Value {
    json!({
        "model": "closed", "connections": 256, "elapsed_s": 4.21, "answers": 100_000, "answers_per_s": 23_753.0,
        "granted": 39_998, "granted_per_s": 9_501.0, "unknown": 0,
        "counts": [
            {"status": 410, "code": "sold_out", "answers": 60_000},
            {"status": 201, "code": "", "answers": 39_998},
            {"status": 200, "code": "", "answers": 2},
        ],
        "all": {"response": {"p50_ms": 0.9, "p90_ms": 3.21, "p99_ms": 9.996, "p999_ms": 9.996, "max_ms": 812.345}},
        "granted_times": {"response": {"p50_ms": 1.5}},
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
        json!({"answers_per_s": 98_000, "counts": [{"status": 410, "code": "sold_out", "answers": 150_000}]});
    let page = render("A rush", &rush(), Some(&sold_out), Some(&audit(true)));
    for part in [
        "<title>A rush</title>",
        "100,000 answers in 4.2 s over 256 connections",
        "<b>39,998</b><span>people told",
        "<b>9,501</b><span>claims a second<",
        "<b>98,000</b><span>answers a second when sold out",
        "<b>900 µs</b><span>half answered within",
        "<td>410 sold_out</td><td class=\"number\">60,000</td><td class=\"share\"><i style=\"width:60.0%\">",
        "<td>201 yours</td>",
        "<td>200 yours, told again</td><td class=\"number\">2</td>",
        "<td>p50</td><td class=\"number\">900 µs</td><td class=\"number\">1.50 ms</td>",
        "<td>longest</td><td class=\"number\">812 ms</td><td class=\"number\">–</td>",
        "<h2>Answers after the last voucher</h2>",
        "✓ Every promise holds",
        "40,000 = 0 + 40,000 − 0",
        "– not checked",
    ] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
    assert!(!page.contains("{{"), "{page}");
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
    hostile["counts"] = json!([
        {"status": 410, "code": "{{footer}}", "answers": 1},
        {"status": "</td><script>alert(1)</script>", "code": "\"><img src=x>", "answers": 1},
    ]);
    let page = render("{{audit}} & \"more\"", &hostile, None, Some(&audit(false)));
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<row 7>"), "{page}");
    assert!(page.contains("<title>{{audit}} &amp; &quot;more&quot;</title>"), "{page}");
    assert!(page.contains("410 {{footer}}</td>"), "{page}");
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
fn numbers_read_well() {
    for (ms, words) in
        [(0.0005, "0.50 µs"), (0.999, "999 µs"), (1.5, "1.50 ms"), (9.996, "10.0 ms"), (2e3, "2.00 s")]
    {
        assert_eq!(duration(ms), words);
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
    assert!(fs::read_to_string(&out).unwrap().contains("39,998"));

    fs::write(&rush_path, "not json").unwrap();
    assert!(run(&args).unwrap_err().to_string().ends_with("rush.json is no JSON"));
    args.audit = Some(folder.path().join("absent.json"));
    fs::write(&rush_path, "{}").unwrap();
    assert!(run(&args).unwrap_err().to_string().ends_with("absent.json"));
}
