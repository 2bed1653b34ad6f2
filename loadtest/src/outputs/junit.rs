//! The verdict as `JUnit` XML, for build servers: whether the run is valid, every threshold, every check of the audit.

use std::time::Duration;

use anyhow::Result;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::results::Results;

/// The XML of one run.
///
/// # Errors
/// Never in practice: text is written to memory.
pub fn junit(results: &Results) -> Result<String> {
    let mut report = Report::new(format!("claimrush-loadtest {}", results.scenario.name));
    report.set_time(Duration::try_from_secs_f64(results.elapsed_s).unwrap_or_default());
    let verdict = &results.verdict;
    let mut validity = TestSuite::new("validity");
    let because = verdict.invalid_because.join("; ");
    validity.add_test_case(case("the run measures the service", "validity", verdict.valid, &because, ""));
    report.add_test_suite(validity);
    if !results.thresholds.is_empty() {
        let mut suite = TestSuite::new("thresholds");
        for threshold in &results.thresholds {
            let measured = format!("measured {}", threshold.measured);
            suite.add_test_case(case(&threshold.text, "thresholds", threshold.ok, &measured, ""));
        }
        report.add_test_suite(suite);
    }
    if let Some(audit) = &results.audit {
        let mut suite = TestSuite::new("audit");
        for check in &audit.checks {
            let name = format!("{}: {}", check.id, check.promise);
            suite.add_test_case(case(&name, "audit", check.ok, &check.detail, &check.compared));
        }
        report.add_test_suite(suite);
    }
    Ok(report.to_string()?)
}

/// One test case; what was found stands in it whether it held or not.
fn case(name: &str, class: &str, ok: bool, found: &str, compared: &str) -> TestCase {
    let status = if ok {
        TestCaseStatus::success()
    } else {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type(class).set_message(found);
        if !compared.is_empty() {
            status.set_description(format!("compared: {compared}"));
        }
        status
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("claimrush-loadtest.{class}"));
    if ok && !found.is_empty() {
        case.set_system_out(found);
    }
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::sample;

    #[test]
    fn a_missed_threshold_fails_with_what_was_measured() {
        let (results, _) = sample::sold_out();
        let report = Report::deserialize_from_str(&junit(&results).unwrap()).unwrap();
        assert_eq!((report.tests, report.failures), (8, 1), "validity, four thresholds, three checks");
        let missed = &report.test_suites[1].test_cases[0];
        assert_eq!(missed.name.as_str(), "granted.p99 < 400ms");
        let TestCaseStatus::NonSuccess { message, .. } = &missed.status else { panic!("it must fail") };
        assert_eq!(message.as_ref().unwrap().as_str(), "measured 562 ms");
    }

    #[test]
    fn an_invalid_run_fails_with_its_reasons() {
        let (mut results, _) = sample::sold_out();
        results.verdict.valid = false;
        results.verdict.invalid_because = vec!["one < two".into(), "three".into()];
        results.audit = None;
        let report = Report::deserialize_from_str(&junit(&results).unwrap()).unwrap();
        assert_eq!((report.tests, report.failures), (5, 2));
        let TestCaseStatus::NonSuccess { message, .. } = &report.test_suites[0].test_cases[0].status else {
            panic!("it must fail")
        };
        assert_eq!(message.as_ref().unwrap().as_str(), "one < two; three");
    }
}
