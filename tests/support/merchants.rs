//! Merchants for tests.

use super::outcome;
use super::service::Service;

/// Enters a merchant of catering in Kunming, with the shop `main`; it is not reviewed yet.
pub(crate) fn enter(service: &Service, id: &str) {
    let path = service.data().join(format!("{id}.csv"));
    std::fs::write(&path, format!("id,name,category,region\n{id},店,H6210,530102\n")).expect("it is written");
    let output = service.command(&["merchant", "import", &path.to_string_lossy()]).output();
    let (exit, out, err) = outcome(&output.expect("it runs"));
    assert_eq!(exit, 0, "{out}{err}");
}
