use std::{fs, time::Duration};

use serde_json::Value;

use super::*;
use crate::{
    outputs::sample,
    scenario::{Reuse, Tickets},
    tally::{Tally, Times},
};

/// The sample, and the same run with every time doubled and a service that failed now and then.
fn runs() -> (Results, Results) {
    let (before, mut tally) = sample::sold_out();
    for persona in &mut tally.personas {
        persona.response = doubled(&persona.response);
        persona.counts.add(503, "overloaded", 12);
    }
    (before, Results::new(&sample::scenario(), &tally, sample::circumstances()).unwrap())
}

fn doubled(times: &Times) -> Times {
    let mut twice = Times::new(crate::tally::DIGITS).unwrap();
    for bucket in times.histogram().iter_recorded() {
        for _ in 0..bucket.count_at_value() {
            twice.note(Duration::from_micros(bucket.value_iterated_to() * 2));
        }
    }
    twice
}

fn find<'a>(groups: &'a [Group], title: &str, name: &str) -> &'a Row {
    let group = groups.iter().find(|group| group.title == title).unwrap();
    group.rows.iter().find(|row| row.name == name).unwrap()
}

#[test]
fn slower_is_worse_and_faster_is_better() {
    let (before, after) = runs();
    let there = groups(&before, &after);
    let p99 = find(&there, "All answers, response", "p99");
    assert!((p99.change_percent().unwrap() - 100.0).abs() < 0.5, "{p99:?}");
    assert_eq!(p99.effect(), Effect::Worse);
    let back = groups(&after, &before);
    assert_eq!(find(&back, "All answers, response", "p99").effect(), Effect::Better);
    assert_eq!(find(&there, "All answers, service", "p99").effect(), Effect::Neither);
    let errors = find(&there, "Answers by code", "503 overloaded");
    assert_eq!((errors.before, errors.after, errors.effect()), (Some(0.0), Some(48.0), Effect::Worse));
    assert_eq!(errors.change(), "new");
    assert_eq!(find(&there, "Answers by code", "410 sold_out").effect(), Effect::Neither);
    assert_eq!(find(&there, "Persona honest", "p99 response").effect(), Effect::Worse);
}

#[test]
fn the_same_run_twice_is_neither_better_nor_worse() {
    let (run, _) = sample::sold_out();
    let text = text(&run, &run);
    assert!(!text.contains("better") && !text.contains("worse") && !text.contains("warning"), "{text}");
    assert!(text.contains("+0.0 %"), "{text}");
}

#[test]
fn the_text_tells_both_values_and_the_mark() {
    let (before, after) = runs();
    let text = text(&before, &after);
    let line = text.lines().find(|line| line.contains("503 overloaded")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words, ["503", "overloaded", "0", "48", "new", "▼", "worse"]);
}

#[test]
fn what_hinders_a_comparison_is_told() {
    let (before, mut after) = runs();
    assert_eq!(caveats(&before, &after), Vec::<String>::new());
    after.scenario.seed += 1;
    after.environment.cores = 2;
    after.verdict.valid = false;
    after.verdict.invalid_because = vec!["too late".into()];
    let told = caveats(&before, &after);
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[2], "the run after is invalid: too late");
}

#[test]
fn whatever_makes_the_load_another_one_is_named() {
    let (before, mut after) = runs();
    after.scenario.about = "again".into();
    after.scenario.thresholds.clear();
    after.scenario.service.url = "http://10.0.0.1:8080".into();
    after.scenario.service.admin_url = Some("http://10.0.0.1:9090".into());
    let key_file = "elsewhere/ticket.key".into();
    after.scenario.tickets = Tickets::Mint { key_file, persons: None, prefix: "again-".into() };
    assert_eq!(caveats(&before, &after), Vec::<String>::new());
    after.scenario.connections.count = 20;
    after.scenario.connections.reuse = Reuse::PerPerson;
    after.scenario.personas[0].weight = 71;
    after.environment.threads = 1;
    let told = "the loads differ: connections.count 1000 and 20; connections.reuse keep_alive and per_person; \
                persona.0.weight 70 and 71; threads 4 and 1";
    assert_eq!(caveats(&before, &after), [told]);
    after.scenario.personas.pop();
    assert!(caveats(&before, &after)[0].contains("persona: 4 and 3 of them"));
    after.scenario = serde_json::from_value(serde_json::json!({
        "name": "other", "drop": [{ "id": "d" }],
        "arrivals": { "profile": "closed", "duration": "1s" },
        "tickets": { "source": "file", "path": "tickets" },
    }))
    .unwrap();
    let told = caveats(&before, &after);
    assert!(told.len() == 2 && told[1].ends_with(" more"), "{told:?}");
}

/// `KEEP_SAMPLE=folder` keeps the page, for those who want to look at it.
#[test]
fn files_become_a_page_of_both_runs() {
    let scratch = tempfile::tempdir().unwrap();
    let (before, after) = runs();
    let write = |name: &str, results: &Results| {
        let path = scratch.path().join(name);
        fs::write(&path, serde_json::to_string(results).unwrap()).unwrap();
        path
    };
    let kept = std::env::var_os("KEEP_SAMPLE").map(PathBuf::from);
    let out = kept.unwrap_or_else(|| scratch.path().to_owned()).join("compare.html");
    let (before, after) = (write("a.json", &before), write("b.json", &after));
    run(&CompareArgs { before, after, out: Some(out.clone()) }).unwrap();
    let html = fs::read_to_string(out).unwrap();
    let data = html.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["charts"].as_array().unwrap().len(), 4);
    let label = &data["charts"][0]["tables"][0]["columns"][0]["label"];
    assert_eq!(label, "all, before");
    assert!(html.contains("▼ worse"));
    assert!(!html.contains("src=") && !html.contains("href="));
}

#[test]
fn runs_without_an_answer_can_be_compared() {
    let scenario = sample::scenario();
    let tally = Tally::new([("honest", "honest")], Duration::from_secs(1)).unwrap();
    let nothing = Results::new(&scenario, &tally, sample::circumstances()).unwrap();
    let (some, _) = sample::sold_out();
    assert!(page::page(&nothing, &some).is_ok());
    assert!(text(&nothing, &some).contains("the run before is invalid"));
}
