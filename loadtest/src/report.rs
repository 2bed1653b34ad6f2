//! `report`: one page from what several runs and an audit left.
//!
//! Owns what is read and what it is put together to; the page itself is of the same make as a run's.

use std::{
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    audit::ServiceAudit,
    outfile,
    outputs::{Moment, Story, story_page},
    results::{Results, document},
};

/// The longest label of a moment, in bytes.
const LABEL_BYTES_MAX: usize = 40;

/// What `report` is told on the command line.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The results of the run that the page is about, as `run` and `rush` write them; later runs after it
    #[arg(value_name = "RESULTS", required = true)]
    results: Vec<PathBuf>,
    /// What `claimrush audit --json` said after the last of them
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// A moment of the first run, in milliseconds since 1970, marked in its charts; may stand several times
    #[arg(long = "mark", value_name = "UNIX_MS=LABEL", value_parser = event)]
    marks: Vec<Event>,
    /// The page's title; the name of the first run if not given
    #[arg(long)]
    title: Option<String>,
    /// Where to write the page
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    unix_ms: u64,
    label: String,
}

fn event(text: &str) -> Result<Event, String> {
    let (moment, label) =
        text.split_once('=').ok_or("a moment and a label are needed, as in 1700445600000=kill")?;
    let unix_ms =
        moment.parse().map_err(|_| format!("{moment:?} is no number of milliseconds since 1970"))?;
    if label.is_empty() || label.len() > LABEL_BYTES_MAX {
        return Err(format!("a label has 1 to {LABEL_BYTES_MAX} bytes"));
    }
    Ok(Event { unix_ms, label: label.to_owned() })
}

/// Reads the runs and the audit, and writes the page.
///
/// # Errors
/// A file cannot be read or is not what it should be, or the page cannot be written; the file is named.
pub fn run(args: &ReportArgs) -> Result<()> {
    let mut runs =
        args.results.iter().map(|path| Results::read(path)).collect::<Result<Vec<_>>>()?.into_iter();
    let mut first = runs.next().context("a page needs the results of at least one run")?;
    if let Some(path) = &args.audit {
        first.set_audit(audit(path)?.into());
    }
    let moments = args.marks.iter().map(|event| moment(event, &first)).collect::<Result<_>>()?;
    let title = args.title.as_deref().unwrap_or(&first.scenario.name);
    let page = story_page(&Story { title, run: &first, moments, later: runs.as_slice() })?;
    outfile::write(&args.out, page)
}

fn audit(path: &Path) -> Result<ServiceAudit> {
    serde_json::from_value(document(path)?).with_context(|| format!("{} holds no audit", path.display()))
}

/// An event by the clock of a run.
fn moment(event: &Event, run: &Results) -> Result<Moment> {
    let began = &run.environment.started_at;
    let began = humantime::parse_rfc3339(began).with_context(|| format!("{began:?} is no start of a run"))?;
    let began_ms = began.duration_since(UNIX_EPOCH)?.as_millis() as f64;
    Ok(Moment { at_s: (event.unix_ms as f64 - began_ms) / 1e3, label: event.label.clone() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::outputs::sample;

    struct Desk(tempfile::TempDir);

    impl Desk {
        fn write(&self, name: &str, content: &str) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, content).unwrap();
            path
        }

        fn args(&self, results: Vec<PathBuf>, audit: Option<PathBuf>) -> ReportArgs {
            let out = self.0.path().join("report.html");
            ReportArgs { results, audit, marks: Vec::new(), title: None, out }
        }
    }

    fn document_of(name: &str) -> String {
        let (mut results, _) = sample::sold_out();
        results.scenario.name = name.into();
        results.audit = None;
        serde_json::to_string(&results).unwrap()
    }

    fn audit_that(ok: bool) -> String {
        let check = |id: &str, ok: bool, detail: &str| {
            format!(
                r#"{{"id":"{id}","promise":"stock adds up","compared":"40,000 = 0 + 40,000 − 0","ok":{ok},"detail":"{detail}"}}"#
            )
        };
        format!(r#"{{"ok":{ok},"checks":[{},{}]}}"#, check("I1", true, ""), check("I3", ok, "<row 7>"))
    }

    #[test]
    fn several_runs_their_moments_and_an_audit_make_one_page() {
        let desk = Desk(tempfile::tempdir().unwrap());
        let files = ["rush", "latecomers"].map(|name| desk.write(name, &document_of(name)));
        let mut args = desk.args(files.to_vec(), Some(desk.write("audit", &audit_that(true))));
        let (sample, _) = sample::sold_out();
        let began = humantime::parse_rfc3339(&sample.environment.started_at).unwrap();
        let began_ms = began.duration_since(UNIX_EPOCH).unwrap().as_millis();
        args.marks = vec![event(&format!("{}=kill -9", began_ms + 1_250)).unwrap()];
        args.title = Some("A rush <on> d".into());
        run(&args).unwrap();
        let page = fs::read_to_string(&args.out).unwrap();
        for part in [
            "A rush &lt;on&gt; d",
            "Then: latecomers",
            "The audit after the load",
            "40,000 = 0 + 40,000 − 0",
            r#"{"at":1.25,"label":"kill -9"}"#,
            "chart-rates-2",
        ] {
            assert!(page.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn a_broken_promise_is_the_first_thing_said() {
        let desk = Desk(tempfile::tempdir().unwrap());
        let rush = desk.write("rush", &document_of("rush"));
        let args = desk.args(vec![rush], Some(desk.write("audit", &audit_that(false))));
        run(&args).unwrap();
        let page = fs::read_to_string(&args.out).unwrap();
        assert!(page.contains("✗ The audit found a broken promise"));
        assert!(page.contains("stock adds up: &lt;row 7&gt;") && !page.contains("<row 7>"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let desk = Desk(tempfile::tempdir().unwrap());
        let error = |results: &PathBuf, audit: Option<PathBuf>| {
            format!("{:#}", run(&desk.args(vec![results.clone()], audit)).unwrap_err())
        };
        let rush = desk.write("rush", &document_of("rush"));
        assert!(
            error(&desk.write("text", "not json"), None)
                .ends_with("text is no JSON: expected ident at line 1 column 2")
        );
        assert!(
            error(&desk.write("other", "{}"), None).ends_with("other holds no results: it has no `format`")
        );
        assert!(error(&rush, Some(desk.write("empty", "{}"))).contains("empty holds no audit"));
        assert!(error(&rush, Some(desk.0.path().join("absent"))).contains("absent"));
        for bad in ["kill", "x=kill", "1=", &format!("1={}", "k".repeat(41))] {
            assert!(event(bad).is_err(), "{bad}");
        }
    }
}
